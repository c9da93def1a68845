# Neovim 0.12, the first with inline completion of its own: from Debian's next release.
unpack forky "$DIR/tree" neovim=0.12.4-1
own_loader "$DIR/tree" "$DIR/tree/usr/bin/nvim"
printf '#!/bin/sh\nVIMRUNTIME=%q exec %q "$@"\n' "$DIR/tree/usr/share/nvim/runtime" "$DIR/tree/usr/bin/nvim" > "$DIR/nvim"
chmod +x "$DIR/nvim"
"$DIR/nvim" --version | head -1
