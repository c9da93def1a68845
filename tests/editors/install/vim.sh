# Vim 9.1, and ALE, a client of language servers that Debian packages.
unpack trixie "$DIR/tree" vim=2:9.1.1230-2 vim-ale=4.0.0-2
own_loader "$DIR/tree" "$DIR/tree/usr/bin/vim.basic"
printf '#!/bin/sh\nVIM=%q exec %q "$@"\n' "$DIR/tree/usr/share/vim" "$DIR/tree/usr/bin/vim.basic" > "$DIR/vim"
chmod +x "$DIR/vim"
ln -s "$(dirname "$(find "$DIR/tree" -path '*/autoload/ale.vim' | head -1)")/.." "$DIR/ale"
"$DIR/vim" --version | head -1
