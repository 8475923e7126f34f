# Sourced by the end-to-end tests: byol-dist itself as a user meets it, under mpirun and launch/run.
# A test file sets suite and names, sources this, defines case_NAME for each name, and ends with run_cases.
# shellcheck shell=bash
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. launch/setup.sh
setup_swift
mpirun_basics

filter=${1:-} passed=0 failed=0 skipped=0 status=0 job=""
matching=()
for name in "${names[@]}"; do
  if [[ "$suite: $name" == *"$filter"* ]]; then matching+=("$name"); fi
done
if [ ${#matching[@]} = 0 ]; then
  echo "0 passed, 0 failed, 0 skipped"
  exit 0
fi

work=$(mktemp -d)
finish() {
  [ -z "$job" ] || kill -KILL "$job" 2>/dev/null || true
  if mountpoint -q "$work/small" 2>/dev/null; then umount "$work/small"; fi
  rm -rf "$work"
}
trap finish EXIT
bin=$(swift build -c release --show-bin-path)
program=$bin/byol-dist
"$bin/multirank-tests" --child tiny-data "$work/data"
export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
# mpirun waits twice as long for the other ranks of one that was killed.
export OMPI_MCA_odls_base_sigkill_timeout=1
tiny=(--config quick --data "$work/data" --width 4 --hidden 16 --dim 8 --batch 16 --ema 0.9 --threads 1)

# --- running and judging -----------------------------------------------------------------------------------------------

# ranks N ARGUMENTS...: byol-dist on N ranks, on none: without mpirun; sets status, $work/out and $work/err.
ranks() {
  local command=()
  if [ "$1" != none ]; then command=("${MPIRUN[@]}" --oversubscribe --bind-to none -n "$1"); fi
  shift
  status=0
  timeout -k 5 120 ${command[@]+"${command[@]}"} "$program" "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
}

good() {
  passed=$((passed + 1))
  echo "passed  $suite: $1"
}

# skip NAME REASON: a case that cannot be run here; counted in the closing line.
skip() {
  skipped=$((skipped + 1))
  echo "skipped $suite: $1: $2"
}

bad() { # bad NAME REASON
  failed=$((failed + 1))
  echo "FAILED  $suite: $1: $2; status $status, standard error and the end of standard output:"
  cat "$work/err"
  tail -n 5 "$work/out"
}

# ends NAME STATUS TEXT...: the last run ended so; its standard error is one line with the texts, or empty for none.
ends() {
  local name=$1 wanted=$2 text
  shift 2
  [ "$status" = "$wanted" ] || { bad "$name" "status $wanted was due"; return 0; }
  if [ $# = 0 ]; then
    [ ! -s "$work/err" ] || { bad "$name" "no error was due"; return 0; }
  else
    [ "$(wc -l <"$work/err")" = 1 ] || { bad "$name" "one line was due"; return 0; }
  fi
  for text in "$@"; do
    grep -qF -- "$text" "$work/err" || { bad "$name" "no '$text'"; return 0; }
  done
  good "$name"
}

# holds NAME COMMAND...: the command succeeds.
holds() {
  local name=$1
  shift
  if "$@" >"$work/why" 2>&1; then good "$name"; else bad "$name" "$* failed: $(head -n 3 "$work/why")"; fi
}

# Every file of a directory and its checksum; the lock's file is only a message.
listing() { find "$1" -type f ! -name .lock -exec cksum {} + | sort; }

# losses RUN: step and loss of every line of a step.
losses() { sed -nE 's/^\{"step":([0-9]+),.*"loss":([^,]+),.*/\1 \2/p' "$1/metrics.jsonl"; }

same_losses() { [ "$(losses "$1")" = "$(losses "$2")" ] && [ "$(losses "$1" | wc -l)" = "$3" ]; }

# each_step_once RUN N
each_step_once() { [ "$(losses "$1" | cut -d' ' -f1 | tr '\n' ' ')" = "$(seq "$2" | tr '\n' ' ')" ]; }

# same_bytes RUN OTHER STEP: all files of a checkpoint.
same_bytes() {
  local file
  for file in model.safetensors optimizer.safetensors state.json; do
    cmp "$1/checkpoints/$3/$file" "$2/checkpoints/$3/$file" || return 1
  done
}

# start RANKS ARGUMENTS...: a training by launch/run in the background; sets job.
start() { begin "$1" train "${@:2}"; }

begin() { # begin RANKS COMMAND ARGUMENTS...
  BYOL_DIST_PROGRAM=$program launch/run -n "$1" "${@:2}" >"$work/out" 2>"$work/err" </dev/null &
  job=$!
}

# at_step RUN STEP: waits until the job has finished the step.
at_step() {
  for _ in $(seq 1200); do
    if [ -s "$1/metrics.jsonl" ] && [ "$(tail -n 1 "$1/metrics.jsonl" | grep -oE '^\{"step":[0-9]+' | tr -dc 0-9)" -ge "$2" ] \
      2>/dev/null; then return 0; fi
    sleep 0.05
  done
}

# steps_after_resuming RUN N: waits until the job has gone on from its checkpoint and finished so many steps since.
steps_after_resuming() {
  local from
  for _ in $(seq 1200); do
    from=$(sed -nE 's/^resumed from step ([0-9]+) of .*/\1/p' "$work/out")
    [ -z "$from" ] || break
    sleep 0.05
  done
  at_step "$1" $((${from:-0} + $2))
}

ended() { # waits for the job; sets status
  status=0
  wait "$job" || status=$?
  job=""
}

# mistake NAME TEXT... -- ARGUMENTS...: refused with one line that has the texts, on $on ranks or without mpirun.
mistake() {
  local name=$1 texts=()
  shift
  while [ "$1" != -- ]; do
    texts+=("$1")
    shift
  done
  shift
  ranks "${on:-none}" "$@"
  ends "mistake: $name" 2 "byol-dist: " "${texts[@]}"
}

# Runs the cases that match the filter and prints the closing line.
run_cases() {
  local began
  for name in "${matching[@]}"; do
    began=$SECONDS
    "case_$name"
    echo "$name took $((SECONDS - began)) s"
  done
  echo "$passed passed, $failed failed, $skipped skipped"
  [ "$failed" = 0 ]
}
