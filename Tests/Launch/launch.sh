#!/usr/bin/env bash
# Tests of launch/run against a program that only behaves like byol-dist (Tests/MultiRank/StandIn.swift).
# Usage: Tests/Launch/launch.sh [FILTER]; ends with "N passed, N failed".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. launch/setup.sh
setup_swift

filter=${1:-} passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
program=$(swift build -c release --show-bin-path)/multirank-tests
printf '#!/bin/sh\nexec "%s" --child product "$@"\n' "$program" >"$work/product"
chmod +x "$work/product"
export BYOL_DIST_PROGRAM=$work/product
# A job that crashes is not waited for longer than the test needs; the TERM test sets its own.
export OMPI_MCA_odls_base_sigkill_timeout=1
cores=$(physical_cores)

# check NAME STATUS TEXT: the last run ended with STATUS and printed TEXT.
check() {
  if [ "$status" = "$2" ] && grep -qF -- "$3" "$work/out"; then
    passed=$((passed + 1))
    echo "passed  launch: $1"
  else
    failed=$((failed + 1))
    echo "FAILED  launch: $1: status $status where $2 was due, or no '$3' in:"
    cat "$work/out"
  fi
}

launch() {
  status=0
  timeout -k 5 60 launch/run "$@" >"$work/out" 2>&1 </dev/null || status=$?
}

# until_printed TEXT: waits until the running job has printed it.
until_printed() {
  for _ in $(seq 300); do
    ! grep -qF -- "$1" "$work/out" || return 0
    sleep 0.1
  done
}

case_statuses() {
  local wanted
  for wanted in 0 2 75 1; do
    STAND_IN="status $wanted" launch -n 2
    check "status $wanted of the ranks is launch/run's" "$wanted" "ranks 2"
  done
}

case_ranks() {
  launch
  check "one rank a core" 0 "ranks $cores threads 1 "
  launch -n 1
  check "a rank alone has every core" 0 "ranks 1 threads $cores "
  launch -n $((cores + 3)) train --steps 5
  check "more ranks than cores" 0 "ranks $((cores + 3)) threads 1 "
  launch -n 1 export --out "a b"
  check "arguments pass untouched" 0 'arguments ["export", "--out", "a b"]'
  launch -n 1 train --threads 3
  check "the user's --threads stays" 0 'arguments ["train", "--threads", "3"]'
  launch -n 1 --steps 5
  check "--threads follows the plan" 0 "arguments [\"--steps\", \"5\", \"--threads\", \"$cores\"]"
  launch -n 1 study norms --quick
  check "--threads follows the plan of a study too" 0 "arguments [\"study\", \"norms\", \"--quick\", \"--threads\", \"$cores\"]"
  launch study --list
  check "a list of studies gets one rank, and no threads" 0 'ranks 1 threads '"$cores"' arguments ["study", "--list"]'
  launch data preview
  check "a command that computes nothing gets one rank" 0 "ranks 1 "
}

case_mistakes() {
  launch -n 0
  check "no ranks" 2 "-n 0"
  launch --steps 5 -n 2
  check "launch/run's options come first" 2 "comes before"
  launch --hosts "$work/none"
  check "no host file" 2 "$work/none"
  printf '# two\nlocalhost slots=1\nlocalhost slots=x\n' >"$work/hosts"
  launch --hosts "$work/hosts"
  check "a bad line of the host file" 2 "line 3"
}

case_product() {
  # The program itself. Were the status not told by the file, mpirun would sleep for longer than `launch` waits.
  OMPI_MCA_odls_base_sigkill_timeout=30 BYOL_DIST_PROGRAM=${program%/*}/byol-dist launch -n 3 train --batch x
  check "a mistake ends byol-dist at once, by one line" 2 "byol-dist: "
  [ "$(grep -c . "$work/out")" = 1 ] || status=lines
  check "nothing else is printed" 2 "--batch"
}

case_hosts() {
  printf 'localhost slots=3 # here\n' >"$work/hosts"
  launch --hosts "$work/hosts"
  check "the host file says how many ranks" 0 "ranks 3 "
}

case_restarts() {
  STAND_IN="crash $work/once" launch -n 2 --restarts 1 train
  check "a crash starts the job again in the same --out" 0 '"--out", "runs/run-'
  [ "$(grep -o 'runs/run-[0-9-]*' "$work/out" | sort -u | wc -l)" = 1 ] || status=different
  check "both starts have the same --out" 0 "start 2 of at most 2"
  STAND_IN="crash $work/study" launch -n 2 --restarts 1 study norms --threads 1
  check "a study is started again, in the place that it knows" 0 'arguments ["study", "norms", "--threads", "1"]'
  check "and once more than before" 0 "start 2 of at most 2"
  STAND_IN="crash $work/missing/file" launch -n 2 --restarts 1
  check "no more starts than allowed" 1 "start 2 of at most 2"
  STAND_IN="status 2" launch -n 2 --restarts 3
  check "a mistake is not tried again" 2 "ranks 2"
}

# signalled NAME SIGNAL WHO: a signal to launch/run or to mpirun itself ends the run after its checkpoint.
signalled() {
  rm -f "$work/state"
  STAND_IN="steps 400" STAND_IN_STATE=$work/state launch/run -n 3 >"$work/out" 2>&1 </dev/null &
  local pid=$! target
  until_printed "starts at 0"
  sleep 0.5
  target=$pid
  if [ "$3" = mpirun ]; then target=$(pgrep -P "$pid" mpirun); fi
  kill "-$2" "$target"
  status=0
  wait "$pid" || status=$?
  check "$1" 75 "checkpoint written"
  STAND_IN="steps 15" STAND_IN_STATE=$work/state launch -n 2
  check "$1, and goes on" 0 "starts at a later step"
}

case_signals() {
  signalled "TERM" TERM run
  signalled "USR1" USR1 run
  signalled "USR1 at mpirun" USR1 mpirun
  OMPI_MCA_odls_base_sigkill_timeout=4 signalled "TERM at mpirun" TERM mpirun
}

for name in statuses ranks mistakes product hosts restarts signals; do
  if [[ "launch: $name" == *"$filter"* ]]; then "case_$name"; fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
