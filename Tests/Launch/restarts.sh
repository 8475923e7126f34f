#!/usr/bin/env bash
# Tests of launch/run --restarts with the program itself: killed ranks, a killed mpirun, and what is not started again.
# Usage: Tests/Launch/restarts.sh [FILTER]; ends with "N passed, N failed, N skipped".
set -euo pipefail
suite=restarts
names=(killed permanent bound study)
. "$(dirname "${BASH_SOURCE[0]}")/../EndToEnd/common.sh"
unset OMPI_MCA_odls_base_sigkill_timeout

# begin_again RESTARTS RANKS ARGUMENTS...: a training that may be started again; sets job.
begin_again() {
  BYOL_DIST_PROGRAM=$program launch/run -n "$2" --restarts "$1" "${@:3}" >"$work/out" 2>"$work/err" </dev/null &
  job=$!
}

# said TEXT SECONDS: waits until the job's standard error has it.
said() {
  for _ in $(seq $(($2 * 20))); do
    ! grep -qF -- "$1" "$work/err" || return 0
    sleep 0.05
  done
  return 1
}

# kill_of WHAT: the processes of the job to kill.
kill_of() {
  local mpirun ranks_there
  mpirun=$(pgrep -P "$job" mpirun)
  ranks_there=$(pgrep -P "$mpirun")
  case $1 in
    "the last rank") tail -n 1 <<<"$ranks_there" ;;
    "rank 0") head -n 1 <<<"$ranks_there" ;;
    mpirun) echo "$mpirun" ;;
    all) echo "$mpirun $ranks_there" ;;
  esac
}

case_killed() {
  local settings=("${tiny[@]}" --steps 2000 --checkpoint-every 100) whole=$work/whole what run pids_there
  ranks 2 train "${settings[@]}" --out "$whole"
  ends "left alone" 0
  for what in "the last rank" "rank 0" mpirun all; do
    run=$work/killed-${what// /-}
    begin_again 1 2 train "${settings[@]}" --out "$run"
    at_step "$run" 250
    # shellcheck disable=SC2046
    pids_there=$(kill_of "$what")
    # shellcheck disable=SC2086
    kill -KILL $pids_there
    # The aim is 3 s; the bound leaves room for a machine that is busy.
    holds "$what killed: started again soon" said "start 2 of at most 2" 8
    ended
    holds "$what killed: it ends well" test "$status" = 0
    holds "$what killed: from its checkpoint" grep -q '^resumed from step [1-9]00 of 2000$' "$work/out"
    holds "$what killed: the same bytes" same_bytes "$run" "$whole" step-00002000
    holds "$what killed: each step once" each_step_once "$run" 2000
  done
  # A rank alone.
  run=$work/killed-alone
  begin_again 1 1 train "${settings[@]}" --out "$run"
  at_step "$run" 150
  # shellcheck disable=SC2046
  kill -KILL $(kill_of "rank 0")
  holds "a rank alone killed: started again soon" said "start 2 of at most 2" 8
  ended
  holds "a rank alone killed: it ends well" test "$status" = 0
}

case_permanent() {
  local small=$work/small
  begin_again 3 2 train "${tiny[@]}" --lr 1000 --warmup-steps 0 --weight-decay 1 --steps 40 --out "$work/wild"
  ended
  ends "a divergence is not started again" 1 "the weights have diverged"
  begin_again 3 2 train "${tiny[@]}" --bn-scope ghost:3 --out "$work/mistake"
  ended
  ends "a mistake is not started again" 2 "ghost:3"
  mkdir "$small"
  if ! mount -t tmpfs -o size=1m none "$small" 2>/dev/null; then
    skip permanent "no file system can be mounted here"
    return 0
  fi
  head -c 1m /dev/zero >"$small/filler" 2>/dev/null || true
  truncate -s -64K "$small/filler"
  begin_again 3 2 train "${tiny[@]}" --steps 40 --out "$small/run"
  ended
  ends "a full disk is not started again" 1 "No space left on device"
  umount "$small"
}

case_bound() {
  local turn run=$work/bound
  begin_again 1 2 train "${tiny[@]}" --steps 1000000 --checkpoint-every 50 --out "$run"
  for turn in 1 2; do
    at_step "$run" $((turn * 200))
    # shellcheck disable=SC2046
    kill -KILL $(kill_of all)
    [ "$turn" = 2 ] || holds "the first kill is followed by a start" said "start 2 of at most 2" 8
  done
  ended
  holds "no more starts than allowed" test "$status" != 0
  holds "and one line of each" test "$(grep -c 'start [0-9] of' "$work/err")" = 1
}

# A restart of a training without --out finds its own run; a study knows its place.
case_study() {
  local settings=("${tiny[@]}" --steps 600 --checkpoint-every 100)
  local here=$PWD
  cd "$work"
  BYOL_DIST_PROGRAM=$program "$here/launch/run" -n 2 --restarts 1 "${settings[@]}" >"$work/out" 2>"$work/err" </dev/null &
  job=$!
  for _ in $(seq 200); do [ -z "$(find runs -name metrics.jsonl 2>/dev/null)" ] || break; sleep 0.05; done
  at_step "$(dirname "$(find runs -name metrics.jsonl)")" 120
  # shellcheck disable=SC2046
  kill -KILL $(kill_of all)
  ended
  cd "$here"
  holds "without --out it finds its own run" test "$status" = 0
  holds "there is one run" test "$(find "$work/runs" -name config.json | wc -l)" = 1
  holds "that went on" grep -q '^resumed from step [1-9]00 of 600$' "$work/out"
}

if command -v pgrep >/dev/null; then
  run_cases
else
  echo "skipped restarts: no pgrep here"
  echo "0 passed, 0 failed, ${#matching[@]} skipped"
fi
