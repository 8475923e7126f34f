# Sourced by launch/run, launch/test and .ci/run: packages, Swift, cores. Sets and changes nothing but what it says.
# shellcheck shell=bash

REPOSITORY=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$REPOSITORY/launch/cores.sh"
PACKAGES=(libopenmpi-dev openmpi-bin libopenblas-dev libpng-dev zlib1g-dev libhwloc-dev)

say() { echo "${0##*/}: $*" >&2; }

# fail STATUS LINE: one clear line and the end.
fail() {
  local status=$1
  shift
  say "$*"
  exit "$status"
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    fail 1 "not root and no sudo here; as root: apt-get install ${PACKAGES[*]}"
  fi
}

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

# Puts a Swift 6 toolchain first in PATH.
setup_swift() {
  local folder version found=""
  for folder in "$(dirname "$(command -v swift || echo /nowhere/swift)")" /opt/swift/usr/bin /usr/local/swift/usr/bin \
    "${SWIFTLY_BIN_DIR:-/nowhere}" "${HOME:-/root}/.local/share/swiftly/bin" "${HOME:-/root}/.swiftly/bin" \
    /usr/libexec/swift/bin "${HOME:-/root}/swift/usr/bin"; do
    [ -x "$folder/swift" ] || continue
    version=$("$folder/swift" --version 2>/dev/null | sed -n 's/.*Swift version \([0-9][0-9]*\).*/\1/p' | head -n 1)
    found="$found $folder/swift (version ${version:-unknown})"
    if [ "${version:-0}" -ge 6 ]; then
      export PATH="$folder:$PATH"
      return 0
    fi
  done
  fail 1 "needs Swift 6 or newer in PATH or /opt/swift/usr/bin (https://www.swift.org/install); found${found:- none}"
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
