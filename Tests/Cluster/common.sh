# Sourced by the cluster tests. They need root: they make namespaces and run a Slurm of their own.
# shellcheck shell=bash
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. launch/setup.sh
setup_swift

filter=${1:-} passed=0 failed=0
work=$(mktemp -d)
if [[ "cluster: $cluster_test" != *"$filter"* ]]; then
  echo "0 passed, 0 failed"
  exit 0
fi
[ "$(id -u)" = 0 ] || fail 1 "$cluster_test needs root"

bin=$(swift build -c release --show-bin-path)
[ -x "$bin/multirank-tests" ] || fail 1 "the tests are not built; first: swift build -c release --build-tests"
printf '#!/bin/sh\nexec "%s/multirank-tests" --child product "$@"\n' "$bin" >"$work/product"
chmod +x "$work/product"
chmod 755 "$work"
export OMPI_MCA_odls_base_sigkill_timeout=1

# check NAME FILE TEXT...: the file has every text.
check() {
  local name=$1 file=$2 text
  shift 2
  for text in "$@"; do
    if ! grep -qF -- "$text" "$file"; then
      failed=$((failed + 1))
      echo "FAILED  cluster: $name: no '$text' in:"
      cat "$file"
      return 0
    fi
  done
  passed=$((passed + 1))
  echo "passed  cluster: $name"
}

# until_true SECONDS COMMAND...: waits until the command succeeds; fails after the time.
until_true() {
  local tries=$(($1 * 10))
  shift
  until "$@" >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || return 1
    sleep 0.1
  done
}

printed() { [ -f "$1" ] && grep -qF -- "$2" "$1"; }

closing_line() {
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ]
}
