"""What coderls knows of each language, one small file a language."""
