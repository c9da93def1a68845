"""Programs for developers of coderls: an LSP client, the demo, fetching example projects."""
