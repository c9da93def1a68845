# For your kakrc, with kakoune-lsp 18 or newer: coderls beside the server of the language.
# Adding goes on after kakoune-lsp's own hooks have named theirs.
hook -group coderls global BufSetOption filetype=(?:python|rust|go|c|cpp|javascript|typescript) %{
    set-option -add buffer lsp_servers %{
        [coderls]
        command = "coderls"
        args = [ "--stdio" ]
        root_globs = [ ".git", "pyproject.toml", "Cargo.toml", "go.mod", "package.json" ]
    }
}
