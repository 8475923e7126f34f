# Sourced by launch/setup.sh: fetches Swift's own archive where a machine has no Swift 6.
#   BYOL_DIST_FETCH_SWIFT=off      fetches nothing
#   BYOL_DIST_SWIFT_URL=URL        a mirror (http://, https:// or file://): the folder that holds the archive, its .sig and
#                                  Swift's key by the names that they have at swift.org; or the archive itself (….tar.gz)
#   BYOL_DIST_SWIFT_SHA256, BYOL_DIST_SWIFT_FINGERPRINT   of another archive and key; only with BYOL_DIST_SWIFT_URL
#   BYOL_DIST_SWIFT_TIMEOUT=60     seconds without progress after which a connection is given up
# For tests: BYOL_DIST_SWIFT_FOLDERS (in place of the folders that setup_swift knows), BYOL_DIST_OS_RELEASE.
# shellcheck shell=bash

. "$REPOSITORY/launch/download.sh"

SWIFT_RELEASE=6.3.1
# "Swift 6.x Release Signing Key" of https://www.swift.org/keys/active.
SWIFT_FINGERPRINT=52BB7E3DE28A71BE22EC05FFEF80A866B47A981F
SWIFT_KEY_FILE=release-key-swift-6.x.asc
SWIFT_SYSTEMS="Debian 12, Ubuntu 22.04 and 24.04, RHEL 9 and its like, Fedora 39 and 41, Amazon Linux 2 and 2023"
SWIFT_POINTER="in PATH or /opt/swift/usr/bin (https://www.swift.org/install)"
SWIFT_HOME=$REPOSITORY/.swift-toolchain

# SHA-256 of the release's x86_64 archives, as bazelbuild/rules_swift records them (swift_releases.bzl).
swift_checksum() {
  case $1 in
    amazonlinux2) echo 1dfa4a000d7cd5565cae340be8feeb342f5c3caa735a0dec67391c2d2e1370c9 ;;
    amazonlinux2023) echo aff7ae1a3d84418d481b8a3146d4f7ab356206945f8f5dce6d7aa5fc53ce2baf ;;
    debian12) echo 5b234de265eefebbd9880c5bb100448dd0de7edd0e77b39cf7e695fc9c0660c8 ;;
    fedora39) echo 1ffd09f11c21be86f6b6aec9cecc830443c50ea189c8cc176de7a8727a40ecfa ;;
    fedora41) echo 5069eb6e60a9ca317fc82cb16541726b45f4855e3e3545d216d23aac3b4e4ade ;;
    ubi9) echo 8914741adb96e9c8b0191670e45b407e7b9e074601c92ebcee8cf45813ef8d54 ;;
    ubuntu22.04) echo 5cbade3ba55fda182f877ac04d83de405f1c79d19649d21cabdf9178bd64c69b ;;
    ubuntu24.04) echo c7928abfda6b916d812d231a5c724a6a6bdf25878298f6bdece451f585ab9a5f ;;
  esac
}

os_value() { # os_value NAME: the value of NAME in /etc/os-release
  sed -n "s/^$1=//p" "${BYOL_DIST_OS_RELEASE:-/etc/os-release}" 2>/dev/null | tail -n 1 | tr -d "\"'"
}

# Prints swift.org's name of this system, nothing for a system without an archive.
swift_platform() {
  case $(os_value ID):$(os_value VERSION_ID) in
    debian:12 | debian:12.*) echo debian12 ;;
    ubuntu:22.04) echo ubuntu22.04 ;;
    ubuntu:24.04) echo ubuntu24.04 ;;
    amzn:2) echo amazonlinux2 ;;
    amzn:2023 | amzn:2023.*) echo amazonlinux2023 ;;
    fedora:39) echo fedora39 ;;
    fedora:41) echo fedora41 ;;
    rhel:9 | rhel:9.* | centos:9 | rocky:9 | rocky:9.* | almalinux:9 | almalinux:9.* | ol:9 | ol:9.*) echo ubi9 ;;
    *)
      # Distributions that are made of Ubuntu's packages have version numbers of their own.
      case "$(os_value ID_LIKE) $(os_value UBUNTU_CODENAME)" in
        *ubuntu*" jammy") echo ubuntu22.04 ;;
        *ubuntu*" noble") echo ubuntu24.04 ;;
      esac
      ;;
  esac
}

# Libraries and headers that the toolchain needs, in SWIFT_PACKAGES; none where there is no apt.
swift_packages() {
  SWIFT_PACKAGES=(binutils ca-certificates gpgv libc6-dev libncurses6 libsqlite3-0 libxml2 tzdata zlib1g-dev)
  command -v curl >/dev/null || command -v wget >/dev/null || SWIFT_PACKAGES+=(curl)
  case $1 in
    debian12) SWIFT_PACKAGES+=(libcurl4 libgcc-12-dev libstdc++-12-dev) ;;
    ubuntu22.04) SWIFT_PACKAGES+=(libcurl4 libgcc-11-dev libstdc++-11-dev) ;;
    ubuntu24.04) SWIFT_PACKAGES+=(libcurl4t64 libgcc-13-dev libstdc++-13-dev) ;;
    *) SWIFT_PACKAGES=() ;;
  esac
}

# Without root's rights the toolchain is tried with what is there.
setup_swift_packages() {
  swift_packages "$1"
  if [ ${#SWIFT_PACKAGES[@]} -gt 0 ] && can_be_root; then setup_packages "${SWIFT_PACKAGES[@]}"; fi
}

# Checks the settings; sets swift_url, swift_key_url, swift_origin, swift_sha256, swift_fingerprint.
swift_source() {
  local name=swift-$SWIFT_RELEASE-RELEASE-$1.tar.gz mirror=${BYOL_DIST_SWIFT_URL:-}
  swift_sha256=$(swift_checksum "$1") swift_fingerprint=$SWIFT_FINGERPRINT
  [[ ${BYOL_DIST_SWIFT_TIMEOUT:-60} =~ ^[1-9][0-9]{0,4}$ ]] ||
    fail 2 "BYOL_DIST_SWIFT_TIMEOUT is '$BYOL_DIST_SWIFT_TIMEOUT'; should be seconds, from 1"
  if [ -z "$mirror" ]; then
    swift_url=https://download.swift.org/swift-$SWIFT_RELEASE-release/${1//./}/swift-$SWIFT_RELEASE-RELEASE/$name
    swift_key_url=https://www.swift.org/keys/$SWIFT_KEY_FILE
    swift_origin=download.swift.org
    [ -z "${BYOL_DIST_SWIFT_SHA256:-}${BYOL_DIST_SWIFT_FINGERPRINT:-}" ] ||
      say "BYOL_DIST_SWIFT_SHA256 and BYOL_DIST_SWIFT_FINGERPRINT count only with BYOL_DIST_SWIFT_URL: Swift's own are used"
    unset BYOL_DIST_SWIFT_SHA256 BYOL_DIST_SWIFT_FINGERPRINT
    return 0
  fi
  [[ $mirror =~ ^(https?://[^/]|file:///) ]] ||
    fail 2 "BYOL_DIST_SWIFT_URL is '$mirror'; should begin with http://, https:// or file:///"
  while [[ $mirror == */ ]]; do mirror=${mirror%/}; done
  case $mirror in
    *.tar.gz) swift_url=$mirror ;;
    *) swift_url=$mirror/$name ;;
  esac
  swift_key_url=${swift_url%/*}/$SWIFT_KEY_FILE
  swift_origin=${swift_url%/*}
  swift_sha256=${BYOL_DIST_SWIFT_SHA256:-$swift_sha256}
  [[ $swift_sha256 =~ ^[0-9A-Fa-f]{64}$ ]] || fail 2 "BYOL_DIST_SWIFT_SHA256 is '$swift_sha256'; should be 64 hexadecimal digits"
  swift_sha256=${swift_sha256,,}
  swift_fingerprint=${BYOL_DIST_SWIFT_FINGERPRINT:-$swift_fingerprint}
  swift_fingerprint=${swift_fingerprint// /}
  [[ $swift_fingerprint =~ ^[0-9A-Fa-f]{40}$ ]] ||
    fail 2 "BYOL_DIST_SWIFT_FINGERPRINT is '$BYOL_DIST_SWIFT_FINGERPRINT'; should be 40 hexadecimal digits"
  swift_fingerprint=${swift_fingerprint^^}
}

# --- checks ---------------------------------------------------------------------------------------------------------------

# give_up WORDS...: leaves nothing but what another start can go on with.
give_up() {
  rm -rf "$swift_work"
  fail 1 "$@"
}

# refuse LINE: the archive is not what it should be.
refuse() {
  rm -f "$swift_archive"
  give_up "$1; the archive is removed, nothing was unpacked"
}

check_checksum() {
  local sum first
  first=$(head -c 2 "$swift_archive" | od -An -tx1 | tr -d ' ')
  [ "$first" = 1f8b ] ||
    refuse "$swift_url gave no gzip archive: it begins with '$(head -c 40 "$swift_archive" | tr -c '[:print:]' ' ')'"
  interruptible sha256sum "$swift_archive" >"$swift_work/sum" || refuse "$swift_archive cannot be read"
  sum=$(cut -d ' ' -f 1 "$swift_work/sum")
  sum=${sum#\\}
  [ "$sum" = "$swift_sha256" ] || refuse "checksum: the archive from $swift_url has SHA-256 $sum, should be $swift_sha256"
}

# Takes the key out of its text form: the lines between the empty line and the checksum.
read_key() {
  tr -d '\r' <"$swift_work/key" |
    awk '/^-----BEGIN PGP PUBLIC KEY BLOCK/ { head = 1; next } /^-----END/ { body = 0 } /^=/ { next }
      head { if ($0 == "") { head = 0; body = 1 }; next } body' | base64 -d >"$swift_work/key.gpg" 2>/dev/null || true
  [ -s "$swift_work/key.gpg" ] || give_up "signature: $swift_key_url holds no public key; nothing was fetched"
}

# signature_fault FILE: sets swift_fault to what is wrong with the signature as one of FILE, "other file" if only that.
signature_fault() {
  local report good
  interruptible gpgv --homedir "$swift_work" --keyring "$swift_work/key.gpg" --status-fd 1 "$swift_work/sig" "$1" \
    >"$swift_work/report" 2>/dev/null || true
  report=$(cat "$swift_work/report")
  # A release outlives its key's last day: the signature of a key that has expired since is good, that of a revoked one
  # is not.
  good=$(grep -cE '^\[GNUPG:\] (GOODSIG|EXPKEYSIG) ' <<<"$report" || true)
  case $report in
    *"] BADSIG "*) swift_fault="other file" ;;
    *"] REVKEYSIG "*) swift_fault="the key in $swift_key_url is revoked" ;;
    *"] EXPSIG "*) swift_fault="$swift_url.sig has expired" ;;
    *"] ERRSIG ${swift_fingerprint:24} "*) swift_fault="$swift_key_url does not hold the key with fingerprint $swift_fingerprint" ;;
    *"] ERRSIG "*) swift_fault="$swift_url.sig is not by the key with fingerprint $swift_fingerprint" ;;
    # gpgv computes the fingerprint from the key itself: a key by another one is no use, whatever it says.
    *"] VALIDSIG "*)
      swift_fault=""
      [ "$good" = 1 ] && grep -qE "^\[GNUPG:\] VALIDSIG .* $swift_fingerprint\$" <<<"$report" ||
        swift_fault="$swift_url.sig is not by the key with fingerprint $swift_fingerprint"
      ;;
    *) swift_fault="$swift_url.sig is no signature" ;;
  esac
}

check_signature() {
  signature_fault "$swift_archive"
  [ "$swift_fault" != "other file" ] || swift_fault="$swift_url.sig is not of the archive that came with it"
  [ -z "$swift_fault" ] || refuse "signature: $swift_fault"
}

check_space() { # check_space BYTES
  local free need
  # The archive, and 3.5 times as much for what it unpacks to.
  need=$(megabytes $(($1 * 45 / 10 - $(bytes_of "$swift_archive"))))
  free=$(df -Pk "$SWIFT_HOME" | awk 'NR == 2 { print int($4 * 1024 / 1000000) }')
  [ "${free:-$need}" -ge "$need" ] || give_up "no room for Swift in $SWIFT_HOME: $free MB free, should be $need MB"
}

# --- the whole ------------------------------------------------------------------------------------------------------------

# One start fetches, others of this repository wait.
lock_swift() {
  local reason
  if ! reason=$( (mkdir -p "$SWIFT_HOME" && : >>"$SWIFT_HOME/lock") 2>&1); then
    fail 1 "Swift 6 is not here and cannot be put into $SWIFT_HOME (${reason##*: }): should be writable, or Swift 6 $SWIFT_POINTER"
  fi
  exec {swift_lock}>>"$SWIFT_HOME/lock"
  flock -n "$swift_lock" 2>/dev/null && return 0
  say "another start is fetching Swift: waiting for it ($SWIFT_HOME/lock)"
  interruptible flock "$swift_lock" 2>/dev/null || fail 1 "$SWIFT_HOME/lock cannot be locked: should be on a file system with flock"
}

# get URL FILE [LINE]: downloads it or gives up.
get() {
  download "$1" "$2" || give_up "Swift 6 is not here; could not fetch $1: $transfer_error;${3:+ $3;} should be reachable," \
    "or there should be a mirror (BYOL_DIST_SWIFT_URL) or Swift 6 $SWIFT_POINTER"
}

fetch_files() { # fetch_files FOUND: the archive, its signature and the key
  local have size="about 1000 MB" rest=""
  # The small ones first: without them the archive is of no use.
  get "$swift_key_url" "$swift_work/key"
  read_key
  get "$swift_url.sig" "$swift_work/sig"
  # Of an empty file it is no signature; any other fault it would have of the archive too.
  signature_fault /dev/null
  [ "$swift_fault" = "other file" ] || give_up "signature: $swift_fault; nothing was fetched"
  measure "$swift_url"
  have=$(bytes_of "$swift_archive")
  if [ -n "$remote_bytes" ] && [ "$have" -gt "$remote_bytes" ]; then
    rm -f "$swift_archive"
    have=0
  fi
  check_space "${remote_bytes:-1100000000}"
  [ -z "$remote_bytes" ] || size="$(megabytes "$remote_bytes") MB"
  [ "$have" = 0 ] || rest=" ($(megabytes "$have") MB are here)"
  say "Swift 6 is not here (found$1): fetching Swift $SWIFT_RELEASE for $swift_system, $size$rest," \
    "from $swift_origin into .swift-toolchain/"
  if [ "$have" = 0 ] || [ "$have" != "$remote_bytes" ]; then
    get "$swift_url" "$swift_archive" "another start goes on from where this one ended"
  fi
}

# unpack_swift TARGET: whenever this is stopped, the folder TARGET is a complete toolchain or not there.
unpack_swift() {
  local new=$swift_work/new
  mkdir "$new"
  interruptible tar -xzf "$swift_archive" -C "$new" --strip-components=1 --no-same-owner 2>"$swift_work/tar" ||
    give_up "could not unpack $swift_archive: $(head -n 1 "$swift_work/tar")"
  chmod -R a+rX "$new"
  [ -x "$new/usr/bin/swift" ] || refuse "the archive from $swift_url holds no usr/bin/swift"
  swift_starts "$new/usr/bin" || give_up "the Swift from $swift_url does not start here ($swift_said): should be version 6 or newer"
  [ ! -e "$1" ] || mv "$1" "$swift_work/old"
  mv "$new" "$1"
  rm -rf "$swift_archive" "$swift_work"
}

# Everything that can be said before a byte is fetched.
check_before_fetch() { # check_before_fetch FOUND
  local missing="" tool
  case ${BYOL_DIST_FETCH_SWIFT:-on} in
    on) ;;
    off) fail 1 "needs Swift 6 or newer $SWIFT_POINTER; found$1" ;;
    *) fail 2 "BYOL_DIST_FETCH_SWIFT is '$BYOL_DIST_FETCH_SWIFT'; should be on or off" ;;
  esac
  [ "$(uname -m)" = x86_64 ] || fail 1 "Swift 6 is not here (found$1) and is not fetched for $(uname -m):" \
    "byol-dist needs x86-64 with AVX2"
  [ -n "$swift_system" ] || fail 1 "Swift 6 is not here (found$1) and is not fetched for '$(os_value PRETTY_NAME)':" \
    "should be $SWIFT_SYSTEMS, or Swift 6 $SWIFT_POINTER"
  swift_source "$swift_system"
  setup_swift_packages "$swift_system"
  [[ $swift_url == file://* ]] || command -v curl >/dev/null || command -v wget >/dev/null || missing=" curl (or wget)"
  for tool in gpgv flock gzip; do
    command -v "$tool" >/dev/null || missing="$missing $tool"
  done
  [ -z "$missing" ] || fail 1 "Swift 6 is not here (found$1) and cannot be fetched without$missing"
}

# fetch_swift FOUND: puts the release into .swift-toolchain/ and first in PATH, or ends with one line. Fetched before,
# it is used without network.
fetch_swift() {
  local found=$1 target
  swift_system=$(swift_platform)
  target=$SWIFT_HOME/swift-$SWIFT_RELEASE-RELEASE-$swift_system
  if [ -e "$target" ]; then
    setup_swift_packages "$swift_system"
    if swift_starts "$target/usr/bin"; then
      export PATH="$target/usr/bin:$PATH"
      return 0
    fi
    found="$found $target/usr/bin/swift ($swift_said)"
  fi
  found=${found:- none}
  check_before_fetch "$found"
  swift_archive=$target.tar.gz swift_work=$SWIFT_HOME/work
  lock_swift
  if ! swift_starts "$target/usr/bin"; then
    # Left by a start that was stopped.
    rm -rf "$swift_work"
    mkdir -m 700 "$swift_work"
    fetch_files "$found"
    check_checksum
    check_signature
    say "checksum${BYOL_DIST_SWIFT_SHA256:+ (BYOL_DIST_SWIFT_SHA256)} and" \
      "signature${BYOL_DIST_SWIFT_FINGERPRINT:+ (BYOL_DIST_SWIFT_FINGERPRINT)} are right: unpacking"
    unpack_swift "$target"
    say "Swift $SWIFT_RELEASE is in $target"
  fi
  exec {swift_lock}>&-
  export PATH="$target/usr/bin:$PATH"
}
