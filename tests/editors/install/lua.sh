# What looks at the Lua of the Neovim plugin: luacheck (Debian) and StyLua (npm, as WebAssembly; its binaries are elsewhere).
command -v npm > /dev/null || { echo "lua: npm is needed" >&2; exit 1; }
unpack trixie "$DIR/tree" lua-check=1.2.0-1
own_loader "$DIR/tree" "$DIR/tree/usr/bin/lua5.1"
modules=$(dirname "$(find "$DIR/tree" -path '*/lua/5.1/lfs.so' | head -1)")
cat > "$DIR/luacheck" << END
#!/bin/sh
export LUA_PATH='$DIR/tree/usr/share/lua/5.1/?.lua;$DIR/tree/usr/share/lua/5.1/?/init.lua' LUA_CPATH='$modules/?.so'
exec '$DIR/tree/usr/bin/lua5.1' '$DIR/tree/usr/bin/luacheck' "\$@"
END
chmod +x "$DIR/luacheck"
"$DIR/luacheck" --version | head -1
file=$(cd "$DIR" && npm pack --silent @johnnymorganz/stylua@2.5.2 2> /dev/null)
echo "b195f633bf3475be4e621cc2a76e9a412c17f0d9b50edc7a8bbce127cd96e22a  $DIR/$file" | sha256sum --check --quiet
mkdir -p "$DIR/stylua"
tar -xzf "$DIR/$file" -C "$DIR/stylua" --strip-components=1
rm "$DIR/$file"
