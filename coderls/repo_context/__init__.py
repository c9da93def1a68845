"""What a completion needs from the rest of the repository: found, ranked and packed."""
