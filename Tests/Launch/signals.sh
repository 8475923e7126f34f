#!/usr/bin/env bash
# Tests of signals at launch/run, mpirun and the program itself, at any moment, with the program itself.
# Usage: Tests/Launch/signals.sh [FILTER]; ends with "N passed, N failed, N skipped".
set -euo pipefail
suite=signals
names=(statuses early running mpirun program killed)
. "$(dirname "${BASH_SOURCE[0]}")/../EndToEnd/common.sh"
# The scripts are tried as they are.
unset OMPI_MCA_odls_base_sigkill_timeout
long=("${tiny[@]}" --steps 1000000)

# alone: waits until no rank of the run in $1 is left, for 5 s at most.
no_rank_of() {
  local tries
  for ((tries = 0; tries < 100; tries++)); do
    if ! pgrep -f -- "--out $1( |\$)" >/dev/null; then return 0; fi
    sleep 0.05
  done
  return 1
}

# stopped NAME RUN: the job ended with 75, left nobody behind, and the same command can go on or start.
stopped() {
  if [ "$status" = 75 ]; then good "$1"; else bad "$1" "status 75 was due"; fi
  holds "$1: no rank is left" no_rank_of "$2"
  [ ! -e "$2" ] || holds "$1: what is there can be gone on with" test -e "$2/config.json" -o -z "$(ls "$2")"
}

case_statuses() {
  BYOL_DIST_PROGRAM=$program
  export BYOL_DIST_PROGRAM
  local began=$SECONDS
  status=0
  launch/run -n 3 train --batch x >"$work/out" 2>"$work/err" </dev/null || status=$?
  ends "a mistake is one line" 2 "--batch"
  # mpirun alone would sleep 20 s over a status.
  holds "and ends at once" test $((SECONDS - began)) -lt 8
}

case_early() {
  local delay signal run number=0
  for delay in 0.05 0.1 0.2 0.3 0.4 0.5 0.6 0.8 1.0 1.3; do
    for signal in TERM HUP; do
      number=$((number + 1))
      run=$work/early-$number
      start 2 "${long[@]}" --out "$run"
      sleep "$delay"
      kill "-$signal" "$job"
      ended
      stopped "$signal after $delay s" "$run"
    done
  done
}

case_running() {
  local signal run=$work/running
  for signal in TERM INT HUP USR1; do
    # A job in the background of a script ignores INT, which launch/run then cannot ask for.
    [ "$signal" != INT ] || continue
    rm -rf "$run"
    start 2 "${long[@]}" --out "$run"
    at_step "$run" 5
    kill "-$signal" "$job"
    ended
    ends "$signal at launch/run" 75 "stopped after a complete checkpoint of step"
    holds "$signal at launch/run: no rank is left" no_rank_of "$run"
  done
  start 2 "${long[@]}" --out "$run"
  at_step "$run" 30
  kill -TERM "$job"
  kill -TERM "$job"
  kill -TERM "$job"
  ended
  holds "signals in a row end it one way or another" test "$status" != 0
  holds "and nobody is left" no_rank_of "$run"
}

case_mpirun() {
  local signal run
  for signal in USR1 TERM HUP; do
    run=$work/mpirun-$signal
    start 2 "${long[@]}" --out "$run"
    at_step "$run" 5
    kill "-$signal" "$(pgrep -P "$job" mpirun)"
    ended
    stopped "$signal at mpirun" "$run"
    holds "$signal at mpirun: a checkpoint is there" test -e "$run/checkpoints"
  done
}

case_program() {
  local signal run pid
  for signal in TERM HUP USR1 USR2 XCPU; do
    run=$work/program-$signal
    "$program" train "${long[@]}" --out "$run" >"$work/out" 2>"$work/err" </dev/null &
    pid=$!
    job=$pid
    at_step "$run" 5
    kill "-$signal" "$pid"
    ended
    ends "$signal at the program" 75 "stopped after a complete checkpoint of step"
  done
  run=$work/nohup
  (trap '' HUP && exec "$program" train "${long[@]}" --out "$run") >"$work/out" 2>"$work/err" </dev/null &
  job=$!
  at_step "$run" 5
  kill -HUP "$job"
  at_step "$run" 60
  kill -TERM "$job"
  ended
  ends "a hang-up that is ignored stays ignored" 75 "stopped after a complete checkpoint of step"
}

case_killed() {
  local run=$work/killed
  start 2 "${long[@]}" --out "$run"
  at_step "$run" 5
  kill -KILL "$job"
  ended
  local tries
  for ((tries = 0; tries < 60; tries++)); do
    ! no_rank_of "$run" || break
  done
  holds "ranks do not outlive launch/run" no_rank_of "$run"
  holds "and leave a checkpoint" test -e "$run/checkpoints"
}

if command -v pgrep >/dev/null; then
  run_cases
else
  echo "skipped signals: no pgrep here"
  echo "0 passed, 0 failed, ${#matching[@]} skipped"
fi
