"""The edit that follows from the last ones, elsewhere in the same document. Rules, no model: each offer is checked."""
