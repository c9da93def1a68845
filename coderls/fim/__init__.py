"""Fill-in-the-middle: what to ask a model at a cursor, and what of its answer to keep."""
