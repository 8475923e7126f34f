# Sourced by launch/run, launch/test and .ci/run: packages, Swift, cores. Sets and changes nothing but what it says.
# shellcheck shell=bash

REPOSITORY=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PACKAGES=(libopenmpi-dev openmpi-bin libopenblas-dev libpng-dev zlib1g-dev libhwloc-dev)
. "$REPOSITORY/launch/cores.sh"
. "$REPOSITORY/launch/swift-toolchain.sh"

say() { echo "${0##*/}: $*" >&2; }

# fail STATUS LINE: one clear line and the end.
fail() {
  local status=$1
  shift
  say "$*"
  exit "$status"
}

can_be_root() { [ "$(id -u)" = 0 ] || command -v sudo >/dev/null; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# Installs what is missing. Without apt it is enough that a compiler finds the headers and mpirun is there.
setup_packages() {
  local wanted=("$@") missing=() package
  if command -v dpkg-query >/dev/null; then
    for package in "${wanted[@]}"; do
      [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
  fi
  if command -v apt-get >/dev/null; then
    can_be_root || fail 1 "not root and no sudo here; as root: apt-get install ${missing[*]}"
    say "installing ${missing[*]}"
    local log
    log=$(mktemp)
    # Debian's other scripts may hold apt's lock for a while after a boot.
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120)
    if ! { as_root "${apt[@]}" update && as_root "${apt[@]}" install --no-install-recommends "${missing[@]}"; } \
      >"$log" 2>&1 </dev/null; then
      tail -n 20 "$log" >&2
      rm -f "$log"
      fail 1 "apt-get could not install ${missing[*]}"
    fi
    rm -f "$log"
  elif ! have_headers; then
    fail 1 "needs ${wanted[*]} (or their like): no apt-get here, and their headers or mpirun are missing"
  fi
}

have_headers() {
  command -v mpirun >/dev/null || return 1
  local compiler
  compiler=$(command -v clang || command -v cc) || return 1
  printf '#include <%s>\n' mpi/mpi.h cblas.h png.h zlib.h hwloc.h | "$compiler" -E - >/dev/null 2>&1
}

# swift_starts FOLDER: whether FOLDER/swift is Swift 6 or newer; sets swift_said, what it says of itself.
swift_starts() {
  local text status=0 version
  swift_said="no such file"
  [ -x "$1/swift" ] || return 1
  text=$("$1/swift" --version 2>&1 </dev/null) || status=$?
  version=$(sed -n 's/.*Swift version \([0-9][0-9]*\).*/\1/p' <<<"$text" | head -n 1)
  swift_said="version ${version:-unknown}"
  if [ "$status" != 0 ]; then
    swift_said="status $status: $(head -n 1 <<<"$text")"
    return 1
  fi
  [ "${version:-0}" -ge 6 ]
}

# Puts a Swift 6 toolchain first in PATH, fetched where none is there.
setup_swift() {
  local folder folders found=""
  folders=(/opt/swift/usr/bin /usr/local/swift/usr/bin "${SWIFTLY_BIN_DIR:-/nowhere}" "${HOME:-/root}/.local/share/swiftly/bin"
    "${HOME:-/root}/.swiftly/bin" /usr/libexec/swift/bin "${HOME:-/root}/swift/usr/bin")
  [ -z "${BYOL_DIST_SWIFT_FOLDERS:-}" ] || IFS=: read -r -a folders <<<"$BYOL_DIST_SWIFT_FOLDERS"
  for folder in "$(dirname "$(command -v swift || echo /nowhere/swift)")" "${folders[@]}"; do
    [ -x "$folder/swift" ] || continue
    if swift_starts "$folder"; then
      export PATH="$folder:$PATH"
      return 0
    fi
    found="$found $folder/swift ($swift_said)"
  done
  fetch_swift "$found"
}

# quietly WHAT COMMAND...: runs the command and shows its output only when it fails.
quietly() {
  local what=$1 log status=0
  shift
  log=$(mktemp)
  say "$what"
  "$@" >"$log" 2>&1 </dev/null || status=$?
  [ "$status" = 0 ] || cat "$log" >&2
  rm -f "$log"
  return "$status"
}

# Flags without which mpirun refuses or is noisy, in MPIRUN.
mpirun_basics() {
  # -q: mpirun's banners stay away, the ranks say themselves why they end.
  MPIRUN=(mpirun -q)
  [ "$(id -u)" != 0 ] || MPIRUN+=(--allow-run-as-root)
}
