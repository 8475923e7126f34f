# Sourced by launch/swift-toolchain.sh: downloads that go on where they ended, are given up without progress and end at
# once by a signal. $swift_work is a folder for what is left of each.
# shellcheck shell=bash

# interruptible COMMAND...: a signal ends the command at once and then has its usual effect here. (bash by itself would
# wait for the command's end first.)
interruptible() {
  local usual signal="" name status=0 child
  usual=$(trap -p TERM INT HUP USR1)
  for name in TERM INT HUP USR1; do
    # shellcheck disable=SC2064
    trap "signal=$name" "$name"
  done
  "$@" &
  child=$!
  [ -n "$signal" ] || wait "$child" || status=$?
  if [ -n "$signal" ]; then
    kill "$child" 2>/dev/null || true
    wait "$child" || true
  fi
  for name in TERM INT HUP USR1; do
    [[ $usual == *" SIG$name"* ]] || trap - "$name"
  done
  eval "$usual"
  if [ -n "$signal" ]; then
    kill -s "$signal" $$
    exit 75
  fi
  return "$status"
}

bytes_of() { if [ -f "$1" ]; then stat -c %s "$1"; else echo 0; fi; }
megabytes() { echo $((($1 + 999999) / 1000000)); }

# Prints the path of a file:// URL.
url_path() {
  local path=${1#file://}
  path=${path//\\/\\\\}
  printf '%b' "${path//%/\\x}"
}

# --- one transfer: status 0 done, 1 another try may do, 2 it would fail again; transfer_error says why -------------------

transfer() { # transfer URL FILE, going on at FILE's end
  transfer_error=""
  case $1 in
    file://*) transfer_file "$@" ;;
    *) if command -v curl >/dev/null; then transfer_curl "$@"; else transfer_wget "$@"; fi ;;
  esac
}

transfer_file() {
  local path
  path=$(url_path "$1")
  transfer_error="no such file"
  [ -f "$path" ] && [ -r "$path" ] || return 2
  transfer_error="could not be copied"
  interruptible cp -- "$path" "$2" 2>/dev/null || return 2
}

http_error() { # http_error CODE FILE
  transfer_error="HTTP status ${1:-unknown}"
  case $1 in
    # Nothing is left of the file after what is here already.
    416) [ ! -s "$2" ] || return 0 ;;
    408 | 429 | 5??) return 1 ;;
  esac
  return 2
}

transfer_curl() {
  local seconds=${BYOL_DIST_SWIFT_TIMEOUT:-60} status=0 meter=--silent
  local options=(--location --fail --connect-timeout $((seconds < 20 ? seconds : 20)) --speed-limit 1000 --speed-time "$seconds")
  [ -n "${BYOL_DIST_SWIFT_URL:-}" ] || options+=(--proto "=https")
  [ ! -s "$2" ] || options+=(--continue-at -)
  case $1 in *.tar.gz) [ ! -t 2 ] || meter=--progress-bar ;; esac
  interruptible curl "$meter" "${options[@]}" --output "$2" --write-out '%{http_code}' "$1" >"$swift_work/code" || status=$?
  case $status in
    0) return 0 ;;
    6) transfer_error="no such host" ;;
    7) transfer_error="no connection" ;;
    18 | 52 | 56 | 92) transfer_error="the connection was lost" ;;
    22)
      http_error "$(cat "$swift_work/code")" "$2"
      return
      ;;
    23)
      transfer_error="could not be written"
      return 2
      ;;
    28) transfer_error="no answer or progress for $seconds s" ;;
    33)
      transfer_error="the connection was lost, and the server cannot go on in the middle"
      rm -f "$2"
      ;;
    35 | 51 | 58 | 60 | 77) transfer_error="TLS failed (curl status $status)" ;;
    *) transfer_error="curl status $status" ;;
  esac
  return 1
}

transfer_wget() {
  local seconds=${BYOL_DIST_SWIFT_TIMEOUT:-60} status=0 code
  interruptible wget -nv --continue --tries=1 --timeout="$seconds" -O "$2" "$1" 2>"$swift_work/code" || status=$?
  case $status in
    0) return 0 ;;
    3)
      transfer_error="could not be written"
      return 2
      ;;
    4) transfer_error="the connection was lost, or no answer or progress for $seconds s" ;;
    5) transfer_error="TLS failed" ;;
    8)
      code=$(grep -oE 'ERROR [0-9]{3}' "$swift_work/code" | tail -n 1)
      http_error "${code#ERROR }" "$2"
      return
      ;;
    *) transfer_error="wget status $status" ;;
  esac
  return 1
}

# download URL FILE: tries again, from where the last try ended; three times where the file grows by less than 64 KiB.
download() {
  local idle=0 most status now seconds=${BYOL_DIST_SWIFT_TIMEOUT:-60}
  most=$(bytes_of "$2")
  while :; do
    status=0
    transfer "$1" "$2" || status=$?
    case $status in 0) return 0 ;; 2) return 1 ;; esac
    now=$(bytes_of "$2")
    idle=$((idle + 1))
    if [ "$now" -ge $((most + 65536)) ]; then most=$now idle=0; fi
    [ "$idle" -lt 3 ] || return 1
    interruptible sleep $((idle + 1 < seconds ? idle + 1 : seconds))
  done
}

# Sets remote_bytes, empty where the server does not say.
measure() { # measure URL
  local seconds=${BYOL_DIST_SWIFT_TIMEOUT:-60} headers=$swift_work/headers
  case $1 in
    file://*)
      remote_bytes=$(bytes_of "$(url_path "$1")")
      return 0
      ;;
  esac
  if command -v curl >/dev/null; then
    interruptible curl --silent --location --fail --head --max-time "$seconds" "$1" >"$headers" 2>/dev/null || true
  else
    interruptible wget --spider --server-response --tries=1 --timeout="$seconds" "$1" >"$headers" 2>&1 || true
  fi
  remote_bytes=$(tr -d '\r' <"$headers" |
    awk '/^ *HTTP\// { bytes = ""; ok = $2 == 200 }
      ok && tolower($1) == "content-length:" { bytes = $2 } END { if (bytes ~ /^[1-9][0-9]*$/) print bytes }')
}
