#!/usr/bin/env bash
# Tests of launch/swift-toolchain.sh: launch/run and launch/test on a machine that has no Swift. A small archive, really
# signed, takes the place of Swift's own; its `swift build` fails after it has left a line.
# Usage: Tests/Launch/toolchain.sh [FILTER]; ends with "N passed, N failed, N skipped".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

names=(commands settings systems files tampered transfers wget tools users interrupted waiting broken space)
. Tests/Launch/Toolchain/machine.sh

# --- cases ------------------------------------------------------------------------------------------------------------

case_commands() {
  local command form
  for command in run test; do
    fresh
    machine "$command"
    built "launch/$command fetches Swift and goes on to build" "(found none): fetching Swift 6.3.1 for debian12, 1 MB" \
      "into .swift-toolchain/" "checksum (BYOL_DIST_SWIFT_SHA256) and signature (BYOL_DIST_SWIFT_FINGERPRINT) are right: unpacking"
    rm -r "$work"/mirror/* "$work/calls"
    machine "$command"
    built "launch/$command finds what was fetched"
    ! grep -q fetching "$work/out" || bad "launch/$command" "fetched again"
  done
  for form in "$work/mirror/" "$work/mirror/$archive" "${work//tmp/%74mp}/mirror"; do
    fresh
    settings=("BYOL_DIST_SWIFT_URL=file://$form")
    machine run
    built "BYOL_DIST_SWIFT_URL as ${form/#$work/...}"
  done
}

case_settings() {
  fresh
  settings+=(BYOL_DIST_FETCH_SWIFT=off)
  machine run
  refused "nothing is fetched" 1 no "needs Swift 6 or newer in PATH or /opt/swift/usr/bin (https://www.swift.org/install); found none"
  machine test
  refused "nothing is fetched by launch/test" 1 no "https://www.swift.org/install"
  stub swift 'echo "Swift version 5.9 (old)"'
  machine run
  refused "an older Swift in PATH is named" 1 no "found $work/stubs/swift (version 5)"
  fresh
  stub swift 'echo "Swift version 5.9 (old)"'
  settings+=(PATH="$work/bin" BYOL_DIST_SWIFT_FOLDERS="$work/nowhere:$work/stubs")
  machine run
  built "an older Swift elsewhere is named, and 6 is fetched" "(found $work/stubs/swift (version 5)): fetching"
  local row
  for row in FETCH_SWIFT=no SWIFT_URL=localhost/x SWIFT_URL=ftp://localhost/x SWIFT_URL=file://x SWIFT_SHA256=12 \
    SWIFT_FINGERPRINT=B47A981F SWIFT_TIMEOUT=0; do
    fresh
    settings+=("BYOL_DIST_$row")
    machine run
    refused "a mistake: $row" 2 no "BYOL_DIST_${row%%=*} is '${row#*=}'; should "
  done
  # Without a mirror, Swift's own checksum and key are meant. curl is not run, or it would fetch.
  fresh
  stub curl 'exit 6'
  settings=()
  machine run
  grep -v 'count only with BYOL_DIST_SWIFT_URL' "$work/out" >"$work/rest" || true
  [ "$(wc -l <"$work/rest")" -lt "$(wc -l <"$work/out")" ] || status=silent
  mv "$work/rest" "$work/out"
  refused "Swift's own checksum and key cannot be replaced" 1 no "could not fetch https://www.swift.org/keys/" "no such host"
}

case_systems() {
  local id version like codename wanted machine_type
  while read -r id version like codename wanted; do
    fresh
    rm "$work/mirror/$archive" "$work/mirror/$archive.sig"
    if [ "$like" = - ]; then system "$id" "$version"; else system "$id" "$version" "$like" "$codename"; fi
    machine run
    if [ "$wanted" = none ]; then
      refused "$id $version" 1 no "is not fetched for '$id $version': should be Debian 12, Ubuntu"
    else
      refused "$id $version" 1 no "could not fetch file://$work/mirror/swift-6.3.1-RELEASE-$wanted.tar.gz.sig"
    fi
  done <<'ROWS'
debian 12 - - debian12
debian 13 - - none
ubuntu 22.04 debian jammy ubuntu22.04
ubuntu 24.04 debian noble ubuntu24.04
ubuntu 25.10 debian questing none
linuxmint 22.1 ubuntu,debian noble ubuntu24.04
pop 22.04 ubuntu,debian jammy ubuntu22.04
rhel 9.4 - - ubi9
rocky 9.5 - - ubi9
rhel 8.10 - - none
almalinux 90 - - none
fedora 39 - - fedora39
fedora 41 - - fedora41
fedora 40 - - none
amzn 2 - - amazonlinux2
amzn 2023 - - amazonlinux2023
alpine 3.19.1 - - none
ROWS
  fresh
  rm "$work/os-release"
  machine run
  refused "a system without /etc/os-release" 1 no "is not fetched for ''"
  for machine_type in aarch64 ppc64le; do
    fresh
    stub uname "echo $machine_type"
    machine run
    refused "$machine_type" 1 no "is not fetched for $machine_type: byol-dist needs x86-64 with AVX2"
  done
}

# The right archive, signature and key, but for one.
case_files() {
  local name archive_file signature key_file sum by text
  while IFS='|' read -r name archive_file signature key_file sum by text; do
    fresh
    serve "${archive_file:+$work/$archive_file}" "${signature:+$work/$signature}" "${key_file:+$work/$key_file}"
    [ -z "$sum" ] || sha=$(printf '%064d' "$sum")
    by=${by}_key
    fingerprint=${!by}
    machine run
    if [ "$text" = built ]; then built "$name"; else refused "$name" 1 no "$text"; fi
  done <<'ROWS'
the key has expired since it signed|good.tar.gz|expired.sig|expired.asc||expired|built
no archive||good.tar.gz.sig|good.asc||good|.tar.gz: no such file
no signature|good.tar.gz||good.asc||good|.tar.gz.sig: no such file
no key|good.tar.gz|good.tar.gz.sig|||good|.asc: no such file
another checksum|good.tar.gz|good.tar.gz.sig|good.asc|7|good|, should be 0000
signed by another key, which is served|good.tar.gz|other.sig|other.asc||good|.sig is not by the key with fingerprint
signed by another key|good.tar.gz|other.sig|good.asc||good|.sig is not by the key with fingerprint
another key is served|good.tar.gz|good.tar.gz.sig|other.asc||good|does not hold the key with fingerprint
the key is revoked|good.tar.gz|revoked.sig|revoked.asc||revoked|is revoked
the signature is another archive's|good.tar.gz|lame.tar.gz.sig|good.asc||good|is not of the archive
the signature is a page|good.tar.gz|page|good.asc||good|.sig is no signature
the key is a page|good.tar.gz|good.tar.gz.sig|page||good|holds no public key
the archive is a page|page|good.tar.gz.sig|good.asc||good|begins with '<!DOCTYPE html>
no swift in the archive|empty.tar.gz|empty.tar.gz.sig|good.asc||good|holds no usr/bin/swift
ROWS
  fresh
  serve "$work/lame.tar.gz" "$work/lame.tar.gz.sig" "$work/good.asc"
  machine run
  refused "a Swift that does not start" 1 yes "does not start here (status 127: libz: not found)"
}

# What the checksum does not find, the signature does, and the other way round.
case_tampered() {
  local name right
  right=$(sha256sum <"$work/good.tar.gz" | cut -d ' ' -f 1)
  for name in tampered short; do
    fresh
    serve "$work/$name.tar.gz" "$work/good.tar.gz.sig" "$work/good.asc"
    machine run
    refused "$name, with its checksum" 1 no "signature: " "is not of the archive"
    sign good "$work/$name.tar.gz" "$work/mirror/$archive.sig"
    sha=$right
    machine run
    refused "$name, signed" 1 no "checksum: " "should be $right"
  done
}

# transfers: by curl, or by wget where curl is hidden.
transfers() {
  local mode text by=curl
  [ -e "$work/bin/curl" ] || by=wget
  while IFS='|' read -r mode text; do
    fresh
    settings=(BYOL_DIST_SWIFT_URL="$url/$mode")
    machine run
    if [ "$text" = built ]; then built "$by: $mode" "1 MB"; else refused "$by: $mode" 1 yes "could not fetch $url/$mode" "$text"; fi
  done <<'ROWS'
right|built
cut|built
plain|the connection was lost
silent|for 1 s
none|404
ROWS
  fresh
  mkdir "$repository/.swift-toolchain"
  head -c 40000 "$work/good.tar.gz" >"$target.tar.gz"
  settings=(BYOL_DIST_SWIFT_URL="$url/right")
  machine run
  [ "$(gets "bytes=40000-")" = 1 ] || status=whole
  built "$by: goes on after what is here" "1 MB (1 MB are here)"
  fresh
  settings=(BYOL_DIST_SWIFT_URL="$url/shy")
  machine run
  built "$by: a server that does not say the size" "about 1000 MB"
}

case_transfers() {
  have_server transfers || return 0
  transfers
  local mode
  for mode in hang busy; do
    fresh
    settings=(BYOL_DIST_SWIFT_URL="$url/$mode")
    machine run
    refused "curl: $mode" 1 yes "could not fetch $url/$mode"
  done
  fresh
  settings=(BYOL_DIST_SWIFT_URL="$url/page")
  machine run
  refused "a page in place of the archive" 1 no "gave no gzip archive: it begins with '<!DOCTYPE html>"
  fresh
  mkdir "$repository/.swift-toolchain"
  cp "$work/good.tar.gz" "$target.tar.gz"
  settings=(BYOL_DIST_SWIFT_URL="$url/right")
  machine run
  [ "$(gets .)" = 0 ] || status=fetched
  built "a complete archive is not fetched again"
}

case_wget() {
  have_server wget || return 0
  [ -e "$work/bin/wget" ] || { skip wget "no wget here" && return 0; }
  hide curl
  transfers
  show curl
}

# hide TOOL... and show TOOL...: takes it out of the machine's PATH and puts it back.
hide() { for tool; do mv "$work/bin/$tool" "$work/$tool.hidden"; done; }
show() { for tool; do mv "$work/$tool.hidden" "$work/bin/$tool"; done; }

case_tools() {
  fresh
  settings=(BYOL_DIST_SWIFT_URL=http://127.0.0.1:1)
  hide curl wget
  machine run
  refused "neither curl nor wget" 1 no "cannot be fetched without curl (or wget)"
  settings+=(ABSENT=curl)
  machine run
  grep -v ': installing curl$' "$work/out" >"$work/rest"
  mv "$work/rest" "$work/out"
  grep -q 'install --no-install-recommends curl' "$work/apt" || status=apt
  refused "neither, and apt installs curl" 1 no "without curl"
  show curl wget
  local tool
  for tool in gpgv flock; do
    fresh
    hide "$tool"
    machine run
    refused "no $tool" 1 no "cannot be fetched without $tool"
    show "$tool"
  done
  fresh
  settings+=(ABSENT=libstdc++-12-dev)
  machine run
  grep -q 'install --no-install-recommends libstdc++-12-dev' "$work/apt" || status=apt
  built "packages that Swift needs are installed"
  rm -r "$work/apt" "$work/calls"
  machine run
  grep -q 'install --no-install-recommends libstdc++-12-dev' "$work/apt" || status=apt
  built "and for a toolchain that was fetched elsewhere"
}

case_users() {
  fresh
  touch "$repository/.swift-toolchain"
  machine run
  refused "a file in the folder's place" 1 no "cannot be put into $repository/.swift-toolchain" "should be writable"
  if [ "$(id -u)" != 0 ] || ! command -v runuser >/dev/null; then
    skip "an ordinary user" "not root here"
    return 0
  fi
  as=(runuser -u nobody --)
  fresh
  settings+=(ABSENT=libpng-dev)
  machine run
  refused "a package that only root can install" 1 no "not root and no sudo here; as root: apt-get install libpng-dev"
  settings+=(ABSENT=tzdata CALLS="$work/tmp/calls")
  machine run
  refused "a repository that the user cannot write to" 1 no "(Permission denied)" "should be writable"
  chown nobody "$repository"
  machine run
  cp "$work/tmp/calls" "$work/calls"
  built "an ordinary user, with what packages there are"
  as=()
}

# The archive's first half has come, the server waits with the rest.
half_here() { [ "$(stat -c %s "$target.tar.gz")" -ge 40000 ]; }

# halfway: a start of COMMAND that waits for the archive's second half; sets job.
halfway() {
  fresh
  settings=(BYOL_DIST_SWIFT_URL="$url/gate" BYOL_DIST_SWIFT_TIMEOUT=30)
  machine_starts "$work/out" "$1"
  until_true half_here || true
}

case_interrupted() {
  have_server interrupted || return 0
  local command signal wanted
  while read -r command signal wanted; do
    halfway "$command"
    kill -s "$signal" "$job"
    ends "$job"
    if [ "$status" = "$wanted" ] && [ ! -e "$target" ] && half_here && flock -n "$repository/.swift-toolchain/lock" true; then
      good "launch/$command: $signal ends a download at once"
    else
      bad "launch/$command: $signal ends a download at once" "status $wanted was due"
    fi
    touch "$work/gate"
    machine "$command"
    [ "$(gets "bytes=[45]")" = 1 ] || status=whole
    built "and the next start goes on after the first half"
  done <<'ROWS'
run TERM 75
run INT 75
run USR1 75
test TERM 143
test INT 130
ROWS
  # curl outlives a start that is killed, and the lock is curl's too.
  halfway run
  kill -KILL "$job"
  ends "$job"
  machine_starts "$work/out" run
  until_true grep -q 'waiting for it' "$work/out" || true
  touch "$work/gate"
  ends "$job"
  [ "$(gets .)" = 1 ] || status=again
  built "KILL: the next start takes what came"
  fresh
  stub tar "$work/bin/tar"' "$@" --exclude rest; kill -KILL $PPID'
  machine run
  if [ "$status" = 137 ] && [ ! -e "$target" ] && [ -e "$repository/.swift-toolchain/work/new/usr/bin/swift" ]; then
    good "KILL while it unpacks leaves no toolchain"
  else
    bad "KILL while it unpacks leaves no toolchain" "status 137 was due"
  fi
  rm "$work/stubs/tar"
  machine run
  [ -e "$target/usr/rest" ] || status=half
  built "and the next start unpacks all of it"
}

case_waiting() {
  have_server waiting || return 0
  local first
  halfway run
  first=$job
  machine_starts "$work/out2" test
  until_true grep -q 'waiting for it' "$work/out2" || true
  touch "$work/gate"
  ends "$job"
  ends "$first"
  [ "$(gets .)" = 1 ] && [ "$(grep -c ^build "$work/calls")" = 2 ] || status=twice
  built "two starts at once fetch once, and both build"
  halfway run
  first=$job
  settings=(BYOL_DIST_SWIFT_URL="$url/right")
  machine_starts "$work/out2" run
  until_true grep -q 'waiting for it' "$work/out2" || true
  kill -TERM "$first"
  ends "$first"
  ends "$job"
  cp "$work/out2" "$work/out"
  built "a start that waited fetches itself where the first one was stopped"
}

case_broken() {
  local name script
  while IFS='|' read -r name script; do
    fresh
    mkdir -p "$target/usr/bin"
    touch "$target/usr/old"
    printf '%b' "$script" >"$target/usr/bin/swift"
    chmod +x "$target/usr/bin/swift"
    machine run
    [ ! -e "$target/usr/old" ] || status=old
    built "a fetched toolchain $name is fetched anew" "(found $target/usr/bin/swift (" "): fetching"
  done <<'ROWS'
that does not start|#!/bin/sh\nexit 1\n
that says nothing|#!/bin/sh\n
of version 5|#!/bin/sh\necho Swift version 5.10 '(x)'\n
without its interpreter|#!/nowhere/sh\n
ROWS
  fresh
  mkdir -p "$target/usr"
  machine run
  built "a fetched toolchain without swift is fetched anew" "(found $target/usr/bin/swift (no such file)): fetching"
}

case_space() {
  local size text
  fresh
  stub df 'echo; echo none 900 500 400'
  machine run
  refused "a full disk" 1 no "no room for Swift in $repository/.swift-toolchain: 0 MB free, should be 1 MB"
  while read -r size text; do
    fresh
    mkdir "$repository/.swift-toolchain"
    if ! mount -t tmpfs -o "size=$size" none "$repository/.swift-toolchain" 2>/dev/null; then
      skip "a disk that fills" "no right to mount"
      continue
    fi
    stub df 'echo; echo none 0 0 1000000'
    machine run
    refused "a disk that fills: $text" 1 yes "$text"
    umount "$repository/.swift-toolchain"
  done <<'ROWS'
64k could not be copied
160k could not unpack
ROWS
}

for name in "${matching[@]}"; do "case_$name"; done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
