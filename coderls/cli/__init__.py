"""The console script `coderls`."""
