# Helix, with its runtime.
unpack trixie "$DIR/tree" hx=25.01.1-4
own_loader "$DIR/tree" "$(readlink -f "$DIR/tree/usr/bin/hx")"
runtime=$(dirname "$(find "$DIR/tree" -path '*/runtime/queries' -o -path '*/runtime/themes' | head -1)")
printf '#!/bin/sh\nHELIX_RUNTIME=%q exec %q "$@"\n' "$runtime" "$DIR/tree/usr/bin/hx" > "$DIR/hx"
chmod +x "$DIR/hx"
"$DIR/hx" --version
