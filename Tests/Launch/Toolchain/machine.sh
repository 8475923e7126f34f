# Sourced by Tests/Launch/toolchain.sh, which sets names: a machine without Swift, a mirror with a small archive that is
# really signed, and the judging of a start there.
# shellcheck shell=bash

filter=${1:-} passed=0 failed=0 skipped=0 status=0 server="" job=""
matching=()
for name in "${names[@]}"; do
  if [[ "toolchain: $name" == *"$filter"* ]]; then matching+=("$name"); fi
done
if [ ${#matching[@]} = 0 ]; then
  echo "0 passed, 0 failed, 0 skipped"
  exit 0
fi
for tool in gpg gpgv flock; do
  command -v "$tool" >/dev/null && continue
  echo "skipped toolchain: all: no $tool here"
  echo "0 passed, 0 failed, 1 skipped"
  exit 0
done

work=$(mktemp -d)
chmod 755 "$work"
finish() {
  [ -z "$job" ] || kill -KILL "$job" 2>/dev/null || true
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  umount "$repository/.swift-toolchain" 2>/dev/null || true
  GNUPGHOME=$work/gpg gpgconf --kill gpg-agent 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

# --- a machine without Swift ------------------------------------------------------------------------------------------

# A PATH of everything here but Swift and sudo; every package counts as installed.
mkdir "$work/bin"
for folder in /usr/sbin /sbin /usr/bin /bin; do
  ln -sf "$folder"/* "$work/bin/"
done
rm -f "$work"/bin/swift* "$work"/bin/{sudo,dpkg-query,apt-get}
cat >"$work/bin/dpkg-query" <<'SCRIPT'
#!/bin/sh
for package; do :; done
if [ "$package" = "${ABSENT:-}" ]; then exit 1; else printf installed; fi
SCRIPT
printf '#!/bin/sh\necho "$*" >>"$APT"\n' >"$work/bin/apt-get"
chmod +x "$work"/bin/{dpkg-query,apt-get}

# system ID VERSION [ID_LIKE UBUNTU_CODENAME]: what /etc/os-release says.
system() {
  printf 'PRETTY_NAME="%s %s"\nID=%s\nVERSION_ID="%s"\n' "$1" "$2" "$1" "$2" >"$work/os-release"
  if [ $# = 4 ]; then printf '%s="%s"\n' ID_LIKE "$3" UBUNTU_CODENAME "$4" >>"$work/os-release"; fi
}

# environment: sets given, what a start there has in its environment.
environment() {
  given=(PATH="$work/stubs:$work/bin" HOME="$work/nowhere" TMPDIR="$work/tmp" CALLS="$work/calls" APT="$work/apt"
    BYOL_DIST_SWIFT_FOLDERS="$work/nowhere" BYOL_DIST_OS_RELEASE="$work/os-release" BYOL_DIST_SWIFT_TIMEOUT=1
    BYOL_DIST_SWIFT_SHA256="$sha" BYOL_DIST_SWIFT_FINGERPRINT="$fingerprint" ${settings[@]+"${settings[@]}"})
}

# machine COMMAND ARGUMENTS...: one of the launch scripts there; sets status and $work/out.
machine() {
  environment
  status=0
  timeout -k 5 60 ${as[@]+"${as[@]}"} env -i "${given[@]}" "$repository/launch/$1" "${@:2}" >"$work/out" 2>&1 </dev/null ||
    status=$?
} 2>/dev/null

# machine_starts OUT COMMAND: the same in the background; sets job.
machine_starts() {
  environment
  env --default-signal=INT -i "${given[@]}" "$repository/launch/$2" >"$1" 2>&1 </dev/null &
  job=$!
}

ends() { # ends JOB: sets status
  status=0
  wait "$1" || status=$?
} 2>/dev/null

# fresh: a clone that has fetched nothing, on Debian 12, and the right archive to fetch.
fresh() {
  rm -rf "$repository"
  mkdir -p "$repository"
  cp -r launch "$repository/"
  rm -rf "$work/calls" "$work/apt" "$work/requests" "$work/gate" "$work/stubs"
  mkdir "$work/stubs"
  system debian 12
  serve "$work/good.tar.gz" "$work/good.tar.gz.sig" "$work/key.asc"
  fingerprint=$good_key settings=(BYOL_DIST_SWIFT_URL="file://$work/mirror")
}

# stub NAME SCRIPT: a program of that name comes first in the machine's PATH, until the next `fresh`.
stub() {
  printf '#!/bin/sh\n%s\n' "$2" >"$work/stubs/$1"
  chmod +x "$work/stubs/$1"
}

# --- archives ---------------------------------------------------------------------------------------------------------

archive=swift-6.3.1-RELEASE-debian12.tar.gz
key=release-key-swift-6.x.asc
repository="$work/a clone"
target=$repository/.swift-toolchain/${archive%.tar.gz}
as=()
mkdir "$work/mirror" "$work/tmp" "$work/gpg"
chmod 1777 "$work/tmp"
chmod 700 "$work/gpg"
export GNUPGHOME=$work/gpg

# serve ARCHIVE SIGNATURE KEY: what the mirror has from now on, none for "".
serve() {
  rm -f "$work"/mirror/*
  [ -z "$1" ] || cp "$1" "$work/mirror/$archive"
  [ -z "$2" ] || cp "$2" "$work/mirror/$archive.sig"
  [ -z "$3" ] || cp "$3" "$work/mirror/$key"
  sha=$(sha256sum <"${1:-$work/good.tar.gz}" | cut -d ' ' -f 1)
}

# pack NAME: NAME.tar.gz of $work/pack, whose one folder is the archive's.
pack() { tar -czf "$work/$1.tar.gz" -C "$work/pack" swift; }

# new_key NAME [GPG'S OPTIONS]: prints the fingerprint.
new_key() {
  gpg --batch --quiet "${@:2}" --passphrase '' --quick-generate-key "$1 <$1@test>" ed25519 sign "${expires:-never}" 2>/dev/null
  gpg --batch --with-colons --list-keys "$1@test" 2>/dev/null | awk -F: '/^fpr/ { print $10; exit }'
}

sign() { # sign KEY ARCHIVE SIGNATURE [GPG'S OPTIONS]
  gpg --batch --quiet --yes "${@:4}" -u "$1@test" -o "$3" --detach-sign "$2" 2>/dev/null
}

swift=$work/pack/swift/usr/bin/swift
mkdir -p "${swift%/*}"
cat >"$swift" <<'SCRIPT'
#!/bin/sh
case $1 in
  --version) echo "Swift version ${FAKE_VERSION:-6.3.1} (swift-6.3.1-RELEASE)" ;;
  *) echo "$*" >>"$CALLS"; exit 1 ;;
esac
SCRIPT
chmod +x "$swift"
head -c 100000 /dev/urandom >"$work/pack/swift/usr/rest"
pack good
printf '#!/bin/sh\necho "libz: not found" >&2\nexit 127\n' >"$swift"
pack lame
rm "$swift"
pack empty
good_key=$(new_key good)
other_key=$(new_key other)
expired_key=$(expires=1d new_key expired --faked-system-time 20200101T000000)
revoked_key=$(new_key revoked)
for name in good lame empty; do
  sign good "$work/$name.tar.gz" "$work/$name.tar.gz.sig"
done
sign other "$work/good.tar.gz" "$work/other.sig"
sign expired "$work/good.tar.gz" "$work/expired.sig" --faked-system-time 20200101T010000
sign revoked "$work/good.tar.gz" "$work/revoked.sig"
sed 's/^:---/---/' "$work/gpg/openpgp-revocs.d/$revoked_key.rev" | gpg --batch --quiet --import 2>/dev/null
for name in good other expired revoked; do
  gpg --batch --quiet --armor --export "$name@test" >"$work/$name.asc"
done
cp "$work/good.asc" "$work/key.asc"
{ cat "$work/good.tar.gz" && echo more; } >"$work/tampered.tar.gz"
head -c 50000 "$work/good.tar.gz" >"$work/short.tar.gz"
echo '<!DOCTYPE html><title>Sign in</title>' >"$work/page"

# --- judging ----------------------------------------------------------------------------------------------------------

good() {
  passed=$((passed + 1))
  echo "passed  toolchain: $1"
}

bad() { # bad NAME REASON
  failed=$((failed + 1))
  echo "FAILED  toolchain: $1: $2; status $status and:"
  cat "$work/out"
}

skip() {
  skipped=$((skipped + 1))
  echo "skipped toolchain: $1: $2"
}

# built NAME [TEXT]...: the toolchain is there, was called to build, and nothing else is left.
built() {
  local name=$1 text
  shift
  [ "$status" = 1 ] && grep -qx "[a-z]*: the build failed" "$work/out" || { bad "$name" "no build" && return 0; }
  grep -q '^build ' "$work/calls" 2>/dev/null || { bad "$name" "swift was not called" && return 0; }
  [ "$(ls "$repository/.swift-toolchain")" = "lock"$'\n'"${target##*/}" ] ||
    { bad "$name" "left: $(ls "$repository/.swift-toolchain")" && return 0; }
  for text in "$@"; do
    grep -qF -- "$text" "$work/out" || { bad "$name" "no '$text'" && return 0; }
  done
  good "$name"
}

# refused NAME STATUS KEPT TEXT...: no toolchain; the last line has the texts; KEPT is yes where the archive may stay.
refused() {
  local name=$1 wanted=$2 kept=$3 text
  shift 3
  [ "$status" = "$wanted" ] || { bad "$name" "status $wanted was due" && return 0; }
  [ ! -e "$target" ] && [ ! -e "$repository/.swift-toolchain/work" ] && [ ! -e "$work/calls" ] ||
    { bad "$name" "something was unpacked" && return 0; }
  [ "$kept" = yes ] || [ ! -e "$target.tar.gz" ] || { bad "$name" "the archive is still there" && return 0; }
  for text in "$@"; do
    tail -n 1 "$work/out" | grep -qF -- "$text" || { bad "$name" "no '$text' in the last line" && return 0; }
  done
  [ "$(grep -cvE ': Swift 6 is not here \(found .*\): fetching |are right: unpacking$' "$work/out")" = 1 ] || { bad "$name" "more than one line" && return 0; }
  good "$name"
}

# --- a server ---------------------------------------------------------------------------------------------------------

# until COMMAND...: waits until it succeeds, 20 s at most.
until_true() {
  for _ in $(seq 1000); do
    ! "$@" 2>/dev/null || return 0
    sleep 0.02
  done
  return 1
}

# have_server NAME: starts the server, or skips the case.
have_server() {
  [ -z "$server" ] || return 0
  if ! python3 -c '' 2>/dev/null; then
    skip "$1" "no python3 here"
    return 1
  fi
  python3 Tests/Launch/Toolchain/server.py "$work" &
  server=$!
  until_true test -s "$work/port"
  url=http://127.0.0.1:$(cat "$work/port")
}

# gets PATTERN: how many requests for the archive match.
gets() { grep -c "^GET $archive $1" "$work/requests" || true; }
