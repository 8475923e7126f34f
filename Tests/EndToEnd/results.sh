#!/usr/bin/env bash
# Tests that a result is what was asked for: numbers that are not finite, ranks with other inputs, repeated runs.
# Usage: Tests/EndToEnd/results.sh [FILTER]; ends with "N passed, N failed, N skipped".
set -euo pipefail
suite=results
names=(diverged verdict inputs arguments repeated)
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# Every checkpoint of a run has finite numbers alone.
all_finite() {
  local file
  for file in "$1"/checkpoints/*/*.safetensors; do
    [ -e "$file" ] || return 0
    "$bin/multirank-tests" --child finite "$file" || return 1
  done
}

case_diverged() {
  local wild=(train "${tiny[@]}" --lr 1000 --warmup-steps 0 --weight-decay 1) run=$work/wild
  ranks 2 "${wild[@]}" --steps 5 --out "$run"
  ends "weights that are not finite at the end are a failure" 1 "not finite after step 5" "the weights have diverged"
  holds "they are not saved" test ! -e "$run/checkpoints"
  holds "and there is no summary" test ! -e "$run/summary.json"
  for attempt in first second; do
    ranks 2 "${wild[@]}" --steps 40 --checkpoint-every 1 --out "$run-40"
    ends "diverged, the $attempt time" 1 "the weights have diverged"
    holds "every checkpoint is finite, the $attempt time" all_finite "$run-40"
  done
  holds "there are some" test -e "$run-40/checkpoints"
  # launch/run does not start again what would end the same way.
  status=0
  BYOL_DIST_PROGRAM=$program launch/run -n 2 --restarts 3 "${wild[@]}" --steps 40 --checkpoint-every 1 --out "$run-again" \
    >"$work/out" 2>"$work/err" </dev/null || status=$?
  ends "a divergence is not restarted" 1 "the weights have diverged"
  cat >"$work/wild.json" <<'END'
{"base": {"recipe": "quick", "width": 4, "hidden": 16, "dim": 8, "batch": 16, "steps": 30, "threads": 1},
 "variants": [{"name": "wild", "settings": {"lr": 1000, "warmup_steps": 0, "weight_decay": 1}}, {"name": "tame"}]}
END
  ranks 2 study "$work/wild.json" --data "$work/data" --out "$work/wild-study"
  ends "a variant that diverges does not end a study" 0
  holds "it is a row without figures" grep -qE '^\| wild +\| 1 +\| - ' "$work/wild-study/table.md"
  holds "the next variant is trained" grep -qE '^\| tame +\| 1 +\| [0-9]' "$work/wild-study/table.md"
}

case_verdict() {
  ranks none train "${tiny[@]}" --projector-norm none --predictor-norm none --lr 100 --steps 300 --out "$work/flat"
  ends "a run that collapses ends" 0
  holds "the watch has seen it" grep -q '"collapsed_at":' "$work/flat/metrics.jsonl"
  holds "the last line says so" sh -c 'tail -n 1 "$1" | grep -qE "^collapsed: .*\(collapsed at step [0-9]+ by"' sh "$work/out"
  holds "the summary says so" grep -q '"collapsed": true' "$work/flat/summary.json"
}

# Rank 1 alone finds another folder at the path that both are given, as on hosts with disks of their own; needs root.
case_inputs() {
  if ! unshare -m true 2>/dev/null; then
    skip inputs "no mount namespaces here"
    return 0
  fi
  local here=$work/here command
  mkdir "$here" "$work/there"
  cat >"$work/node-local" <<END
#!/bin/sh
exec unshare -m sh -c '[ "\$OMPI_COMM_WORLD_RANK" != 1 ] || mount --bind "$work/there" "$here"; exec "\$@"' sh "\$@"
END
  chmod +x "$work/node-local"
  node_local() { # node_local ARGUMENTS...: byol-dist on two ranks, whose folders differ
    status=0
    timeout -k 5 60 "${MPIRUN[@]}" --oversubscribe --bind-to none -n 2 "$work/node-local" "$program" "$@" \
      >"$work/out" 2>"$work/err" </dev/null || status=$?
  }
  local run=$work/local-run settings
  settings=("${tiny[@]:0:2}" "${tiny[@]:4}" --steps 3 --out "$run")
  fill() { # fill FILE BYTES: rank 1's copy of a file of the data set has so many bytes
    rm -rf "$here"/* "$work/there"/*
    cp "$work/data"/*.bin "$here"
    cp "$work/data"/*.bin "$work/there"
    [ "$2" = 0 ] && rm "$work/there/$1" || truncate -s "$2" "$work/there/$1"
  }
  fill data_batch_1.bin $((3073 * 48))
  node_local train "${settings[@]}" --data "$here"
  ends "other training images on a rank" 2 "rank 1 on " "$here" "train 48" "train 96"
  fill test_batch.bin $((3073 * 30))
  node_local train "${settings[@]}" --data "$here"
  ends "other test images on a rank" 2 "rank 1 on " "$here" "test 30" "test 40"
  fill test_batch.bin $((3073 * 30 + 5))
  node_local train "${settings[@]}" --data "$here"
  ends "a broken file on a rank" 2 "rank 1 on " "$here/test_batch.bin" "cut short"
  fill test_batch.bin 0
  node_local train "${settings[@]}" --data "$here"
  ends "a missing file on a rank" 2 "rank 1 on " "test_batch.bin"
  holds "none of them made a run" test ! -e "$run"
  # Settings and starting weights are rank 0's.
  fill data_batch_1.bin $((3073 * 96))
  printf '{"recipe": "quick", "lr": 0.02}' >"$here/settings.json"
  for other in '{"recipe": "quick", "lr": 0.5}' 'not JSON' ''; do
    printf '%s' "$other" >"$work/there/settings.json"
    [ -n "$other" ] || rm "$work/there/settings.json"
    node_local train --config "$here/settings.json" "${tiny[@]:4}" --steps 3 --data "$here" --out "$run-${#other}"
    ends "rank 0 reads settings for all, rank 1 has '$other'" 0
    holds "with rank 0's rate" grep -q '"lr": 0.02' "$run-${#other}/config.json"
  done
  rm "$here/settings.json"
  printf '{}' >"$work/there/settings.json"
  node_local train --config "$here/settings.json" "${settings[@]:2}" --data "$here"
  ends "settings that rank 0 does not have" 2 "--config $here/settings.json" "No such file"
}

case_arguments() {
  two() { # two ARGUMENTS -- ARGUMENTS: rank 0 with the first, rank 1 with the others
    local first=() command=("${MPIRUN[@]}" --oversubscribe --bind-to none)
    while [ "$1" != -- ]; do
      first+=("$1")
      shift
    done
    shift
    status=0
    timeout -k 5 60 "${command[@]}" -n 1 "$program" "${first[@]}" : -n 1 "$program" "$@" \
      >"$work/out" 2>"$work/err" </dev/null || status=$?
  }
  local new=(train "${tiny[@]}" --steps 3 --out "$work/two")
  two "${new[@]}" -- "${new[@]}" --lr 0.3
  ends "another rate on a rank" 2 "rank 1 on " "--lr 0.3" "nothing"
  two "${new[@]}" -- train "${tiny[@]}" --steps 4 --out "$work/two"
  ends "another length on a rank" 2 "rank 1 on " "4 where rank 0 has 3"
  two "${new[@]}" -- "${new[@]}" --bach 3
  ends "a mistake on a rank" 2 "rank 1 on " "--bach 3"
  holds "none of them made a run" test ! -e "$work/two"
  two "${new[@]}" -- train "${tiny[@]:0:10}" --batch 16 --ema 0.9 --threads 2 --steps 3 --out "$work/two"
  ends "threads may be a host's own" 0
}

case_repeated() {
  local run=$work/recorded
  ranks 2 train "${tiny[@]:0:14}" --steps 3 --bn-scope local --out "$run"
  ends "a run on two ranks" 0
  mistake "a recorded run on another number of ranks" "--bn-scope local" "2 ranks" "--bn-scope ghost:8" -- \
    train --config "$run/config.json" --out "$work/repeated"
  ranks none train --config "$run/config.json" --bn-scope ghost:8 --out "$work/repeated"
  ends "the same experiment on one rank" 0
  ranks 2 train --config "$run/config.json" --out "$work/again"
  ends "the same on two ranks" 0
  holds "has the same losses" same_losses "$work/again" "$run" 3
  asked() { sed -nE '/"resolved"/q; s/^  "threads": (.*),$/\1/p' "$1/config.json"; }
  holds "threads that were not asked for are not in its settings" test "$(asked "$run")" = null
  holds "those of this machine are among the resolved ones" grep -qE '^    "threads": [0-9]+' "$run/config.json"
}

run_cases
