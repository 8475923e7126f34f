#!/usr/bin/env bash
# Tests of waits between ranks as a user meets them: stopped, killed and suspended ranks, the limit of a wait,
# and the cores that ranks count on.
# Usage: Tests/EndToEnd/waits.sh [FILTER]; ends with "N passed, N failed, N skipped".
set -euo pipefail
suite=waits
names=(stopped killed suspended limit threads quota)
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# A batch that 2 and 3 ranks can share.
shared=("${tiny[@]:0:10}" --batch 12 --ema 0.9 --threads 1 --steps 100000)
# Without --threads.
own_threads=("${tiny[@]:0:${#tiny[@]}-2}" --steps 1)

# training RANKS LIMIT ARGUMENTS...: starts one in $work/run; sets pids, by rank, once it takes steps.
training() {
  rm -rf "$work/run"
  BYOL_DIST_COLLECTIVE_TIMEOUT=$2 start "$1" "${@:3}" --out "$work/run"
  at_step "$work/run" 5
  local pid rank
  pids=()
  for pid in $(pgrep -P "$(pgrep -P "$job" mpirun)"); do
    rank=$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^OMPI_COMM_WORLD_RANK=//p')
    pids[rank]=$pid
  done
  [ ${#pids[@]} = "$1" ] || { ended; bad "a training to disturb" "$1 ranks were due"; return 1; }
}

# said_within SECONDS: whether the job has said why it ends by then.
said_within() {
  for _ in $(seq $(($1 * 20))); do
    [ ! -s "$work/err" ] || return 0
    sleep 0.05
  done
  return 1
}

# gone: whether no rank is left, but for what init has not yet reaped.
gone() {
  local pid
  for pid in "${pids[@]}"; do
    if grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$pid/status" 2>/dev/null; then return 1; fi
  done
}

case_stopped() {
  if ! command -v pgrep >/dev/null; then
    skip stopped "no pgrep here"
    return 0
  fi
  local ranks victim others=("" "" "rank 1 waits" "ranks 1 and 2 wait") name
  for ranks in 2 3; do
    for ((victim = 0; victim < ranks; victim++)); do
      name="rank $victim of $ranks that is stopped"
      training "$ranks" 2 "${shared[@]}" || return 0
      kill -STOP "${pids[victim]}"
      holds "$name is noticed" said_within 6
      ended
      local texts=("byol-dist: rank $victim (pid ${pids[victim]} on $(hostname)) has been stopped for " " s in step "
        "; ending the job (limit 2 s: BYOL_DIST_COLLECTIVE_TIMEOUT)")
      if [ "$victim" = 0 ]; then texts+=("; ${others[ranks]} for it in "); fi
      ends "$name is named" 1 "${texts[@]}"
      holds "$name does not stay" gone
    done
  done
  training 2 4 "${tiny[@]}" --steps 40 || return 0
  kill -STOP "${pids[1]}"
  sleep 1
  kill -CONT "${pids[1]}"
  ended
  ends "a rank that is stopped for less than the limit is waited for" 0
  # Before the ranks see each other one of them tells the little that it knows.
  # shellcheck disable=SC2016
  printf '#!/bin/sh\n[ "$OMPI_COMM_WORLD_RANK" != 1 ] || kill -STOP $$\nexec "$@"\n' >"$work/late"
  chmod +x "$work/late"
  status=0
  BYOL_DIST_COLLECTIVE_TIMEOUT=1 timeout -k 5 60 "${MPIRUN[@]}" --oversubscribe --bind-to none -n 3 "$work/late" \
    "$program" train "${shared[@]}" --out "$work/run" >"$work/out" 2>"$work/err" </dev/null || status=$?
  ends "a rank that is stopped before it starts ends the job" 1 "byol-dist: rank 0 on $(hostname): " \
    "start of 0 elements has waited"
}

case_killed() {
  if ! command -v pgrep >/dev/null; then
    skip killed "no pgrep here"
    return 0
  fi
  local victim
  for victim in 0 2; do
    training 3 60 "${shared[@]}" || return 0
    kill -KILL "${pids[victim]}"
    holds "rank $victim that is killed is noticed" said_within 3
    ended
    ends "rank $victim that is killed is named once" 1 \
      "byol-dist: rank $victim (pid ${pids[victim]} on $(hostname)) died in step " "; ending the job"
  done
}

case_suspended() {
  if ! command -v pgrep >/dev/null; then
    skip suspended "no pgrep here"
    return 0
  fi
  local rounds=0 steps=(--steps 1500 --probe-every 3)
  start 2 "${tiny[@]}" "${steps[@]}" --out "$work/undisturbed"
  ended
  ends "the undisturbed run" 0
  training 2 1 "${tiny[@]}" "${steps[@]}" || return 0
  while [ "$rounds" -lt 4 ] && kill -STOP "${pids[@]}" 2>/dev/null; do
    rounds=$((rounds + 1))
    sleep 1.4
    kill -CONT "${pids[@]}"
    sleep "0.$((RANDOM % 4 + 1))"
  done
  ended
  ends "a suspension of all ranks for longer than the limit ends nothing" 0
  holds "it came four times" test "$rounds" = 4
  holds "nor changes a byte" same_bytes "$work/undisturbed" "$work/run" step-00001500
}

case_limit() {
  local value
  for value in 4s "" 0 -1 nan inf 1e400 " 5" 0x10 0.01 1e7 $'5\n'; do
    BYOL_DIST_COLLECTIVE_TIMEOUT=$value mistake "a limit of ${value@Q}" BYOL_DIST_COLLECTIVE_TIMEOUT= \
      "should be a number of seconds from 0.1 to 1000000" -- train "${tiny[@]}" --steps 2 --out "$work/none"
  done
  BYOL_DIST_COLLECTIVE_TIMEOUT=4s on=2 mistake "a limit of 4s, on two ranks" 'BYOL_DIST_COLLECTIVE_TIMEOUT="4s"' \
    -- train "${tiny[@]}" --steps 2 --out "$work/none"
  BYOL_DIST_COLLECTIVE_TIMEOUT=4s on=2 mistake "a limit of 4s, of bench" 'BYOL_DIST_COLLECTIVE_TIMEOUT="4s"' \
    -- bench collectives
  holds "mistakes leave no run" test ! -e "$work/none"
}

# threads_are NAME WANTED COMMAND...: what a run says that the command starts.
threads_are() {
  local name=$1 wanted=$2
  shift 2
  rm -rf "$work/run"
  status=0
  "$@" "$program" train "${own_threads[@]}" --out "$work/run" >"$work/out" 2>"$work/err" </dev/null ||
    status=$?
  ends "$name: the run" 0
  holds "$name: $wanted threads" grep -q "\"threads\": $wanted," "$work/run/summary.json"
}

# Two CPUs of different cores that this process may use, in one and two; fails where there are none.
two_cores() {
  local cpu core
  one="" two=""
  local first=""
  while IFS=, read -r cpu core; do
    taskset -c "$cpu" true 2>/dev/null || continue
    if [ -z "$one" ]; then
      one=$cpu first=$core
    elif [ "$core" != "$first" ]; then
      two=$cpu
      return 0
    fi
  done < <(lscpu -p=CPU,CORE | grep -v '^#')
  return 1
}

case_threads() {
  local plain=("${MPIRUN[@]}" --oversubscribe) one two
  if ! two_cores; then
    skip "threads" "needs two cores"
    return 0
  fi
  threads_are "taskset to a core" 1 taskset -c "$one"
  threads_are "taskset to two cores" 2 taskset -c "$one,$two"
  OMP_NUM_THREADS=7 threads_are "taskset to two cores, OMP_NUM_THREADS=7" 2 taskset -c "$one,$two"
  threads_are "a bound rank" 1 "${plain[@]}" --bind-to core -n 1
  threads_are "two bound ranks" 1 "${plain[@]}" --bind-to core -n 2
  threads_are "two ranks that share two cores" 1 taskset -c "$one,$two" "${plain[@]}" --bind-to none -n 2
  threads_are "a rank unbound on two cores" 2 taskset -c "$one,$two" "${plain[@]}" --bind-to none -n 1
  threads_are "two ranks on one core" 1 taskset -c "$one" "${plain[@]}" --bind-to none -n 2
  threads_are "four ranks on two cores" 1 taskset -c "$one,$two" "${plain[@]}" --bind-to none -n 4
}

case_quota() {
  local group cpu=/sys/fs/cgroup/cpu all=/sys/fs/cgroup one two
  two_cores || { skip "a quota" "needs two cores"; return 0; }
  if [ -e "$cpu/cpu.cfs_quota_us" ] || [ -e "$cpu/tasks" ]; then all=$cpu; fi
  group=$all/byol-dist-$$
  # With a group inside: the limit of the one around it counts too.
  limited() {
    mkdir "$group" && { [ ! -e "$all/cgroup.subtree_control" ] || echo +cpu >"$all/cgroup.subtree_control"; } &&
      if [ -e "$group/cpu.cfs_quota_us" ]; then
        echo 100000 >"$group/cpu.cfs_period_us" && echo 100000 >"$group/cpu.cfs_quota_us"
      else
        echo "100000 100000" >"$group/cpu.max"
      fi && mkdir "$group/inner"
  }
  if limited 2>/dev/null; then
    # shellcheck disable=SC2016
    threads_are "a quota of one core" 1 sh -c 'echo $$ >"$0/inner/cgroup.procs" && exec "$@"' "$group" \
      taskset -c "$one,$two"
  else
    skip "a quota of one core" "this machine lets nobody make a control group with a quota"
  fi
  rmdir "$group/inner" "$group" 2>/dev/null || true
}

run_cases
