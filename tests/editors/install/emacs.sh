# Emacs 30, which has eglot, and lsp-mode with what it requires.
unpack trixie "$DIR/tree" emacs-nox=1:30.1+1-6+deb13u1 elpa-lsp-mode=9.0.0-2
program=$(readlink -f "$DIR/tree/usr/bin/emacs-nox")
own_loader "$DIR/tree" "$program"
share=$(dirname "$(find "$DIR/tree/usr/share/emacs" -maxdepth 2 -name lisp)")
dump=$(find "$DIR/tree" -name '*.pdmp')
{
  echo '#!/bin/sh'
  printf 'export EMACSLOADPATH=%q\n' "$(find "$share/lisp" "$DIR/tree/usr/share/emacs/site-lisp/elpa-src" -type d | paste -sd:)"
  printf 'export EMACSDATA=%q EMACSDOC=%q EMACSPATH=%q\n' "$share/etc" "$share/etc" "$(dirname "$dump")"
  printf 'exec %q --dump-file=%q "$@"\n' "$program" "$dump"
} > "$DIR/emacs"
chmod +x "$DIR/emacs"
"$DIR/emacs" --version | head -1
