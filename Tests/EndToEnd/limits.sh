#!/usr/bin/env bash
# Tests of byol-dist at the limits of what a user can ask for: numbers that are multiplied, memory that there is not, batch norms
# over a single image. Usage: Tests/EndToEnd/limits.sh [FILTER]; ends with "N passed, N failed, N skipped".
set -euo pipefail
suite=limits
names=(numbers least memory preview refused scopes terminal)
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# The tiny recipe without --batch, so that a case can give its own.
small=(--config quick --data "$work/data" --width 4 --hidden 16 --dim 8 --threads 1 --steps 1)

case_numbers() {
  local huge=9223372036854775807 flag file=$work/huge.json
  for flag in --bn-scope --encoder-bn-scope --head-bn-scope; do
    mistake "ghost beyond all batches" "$flag ghost:$huge" "should be one of" -- \
      train "${small[@]}" --batch 16 $flag ghost:$huge
    mistake "group beyond all ranks" "$flag group:$huge" "should be one of" -- \
      train "${small[@]}" --batch 16 $flag group:$huge
  done
  on=2 mistake "the greatest ghost" "ghost:1048576" "ghost:8" -- train "${small[@]}" --batch 16 --bn-scope ghost:1048576
  on=2 mistake "the greatest group" "group:1048576" "group:2" -- train "${small[@]}" --batch 16 --bn-scope group:1048576
  mistake "the greatest batch" "--batch 1048576" "96" -- train "${small[@]}" --batch 1048576
  mistake "the greatest queue" "--queue 16777216" "multiple of the batch of 48" -- \
    train "${small[@]}" --batch 48 --method moco --queue 16777216
  on=3 mistake "more ranks than images to time" "--batch 2" "3 ranks" -- bench kernels --batch 2
  echo '{"bn_scope": "ghost:9223372036854775807", "batch": 16}' >"$file"
  mistake "a scope in a file" "$file" "bn_scope" "should be one of" -- train --config "$file"
  echo '{"batch": 170141183460469231731687303715884105728}' >"$file"
  mistake "a number in a file" "$file" "batch" "whole number" -- train --config "$file"
  mistake "a seed of a study" "--seeds 18446744073709551616" "should be" -- study norms --quick --seeds 18446744073709551616
  mistake "images on a sheet" "--count 9223372036854775808" "1000" -- data preview --out "$work/a.png" --count 9223372036854775808
}

# Each setting at its least and greatest that a short run can have, alone and together.
case_least() {
  local run=$work/least
  ranks none train --config quick --data "$work/data" --threads 1 --batch 2 --width 1 --hidden 1 --dim 1 --image-size 8 \
    --steps 1 \
    --momentum 0 --weight-decay 0 --warmup-steps 0 --ema 0 --keep 1 --checkpoint-every 0 --measure-every 0 --lr 5e-324 --out "$run"
  ends "the least of all" 0
  ranks none train "${small[@]}" --batch 16 --seed 18446744073709551615 --warmup-steps 1 \
    --brn-warmup-steps 1 \
    --checkpoint-every 1000000000 --probe-every 1000000000 --measure-every 1000000000 --log-every 1000000000 --keep 1000000 \
    --weight-decay 1 --ema 1 --out "$work/greatest"
  ends "the greatest of what takes no memory" 0
}

case_memory() {
  local run=$work/memory size=(--batch 96 --image-size 4096 --width 4096 --encoder resnet50)
  on=2 mistake "activations on two ranks" "--batch 96 with --image-size 4096" "2 ranks of this host need about" \
    "are activations" "are available; should be a smaller --batch, --image-size or --width" -- \
    train "${small[@]:0:4}" --steps 1 "${size[@]}" --out "$run"
  mistake "parameters on one rank" "--width 4096 with --hidden 65536" "1 rank of this host needs about" "are parameters" -- \
    train --config quick --data "$work/data" --steps 1 --batch 8 --width 4096 --hidden 65536 --dim 65536 --out "$run"
  mistake "a queue" "--queue 16777216 with --dim 65536" "the loss's keys and logits" -- \
    train --config quick --data "$work/data" --steps 1 --batch 32 --method moco --queue 16777216 --dim 65536 --out "$run"
  on=2 mistake "a step to be timed" "--batch 1024 with --image-size 4096" "need about" -- \
    bench step --encoder resnet50 --batch 1024 --image-size 4096 --width 512
  on=2 mistake "convolutions to be timed" "--batch 1048576 with --image-size 4096" "a convolution's maps need about" -- \
    bench kernels --batch 1048576 --image-size 4096
  holds "no run directory is left" test ! -e "$run"
}

case_preview() {
  mistake "a sheet of large views" "--count 64 with views of 4096 pixels" "should be a smaller --count" -- \
    data preview --image-size 4096 --count 64 --out "$work/large.png"
  mistake "a sheet of many" "--count 1000 with views of 2048 pixels" "should be a smaller" -- \
    data preview --image-size 2048 --count 1000 --out "$work/large.png"
  holds "no file is left" test ! -e "$work/large.png"
  ranks none data preview --count 1 --image-size 8 --out "$work/small.png"
  ends "the smallest sheet" 0
}

# bounded KILOBYTES ARGUMENTS...: byol-dist in an address space of so many; sets status.
bounded() {
  status=0
  (ulimit -v "$1" && exec timeout -k 5 60 "$program" "${@:2}") >"$work/out" 2>"$work/err" </dev/null || status=$?
}

# The system refuses memory in the middle of a run. Between a space in which the run ends and one that the estimate says is
# too small lies one in which the program has to find out; it is searched for by halving.
case_refused() {
  local run=$work/refused low high middle found="" line
  local new=(train "${small[@]}" --batch 96 --image-size 128 --stem cifar --resume never)
  high=8000000
  bounded $high "${new[@]}" --out "$run-0"
  [ "$status" = 0 ] || { bad "refused: in a large space" "it should end well"; return 0; }
  bounded 600000 "${new[@]}" --out "$run-1"
  ends "refused: too small a space is a mistake" 2 "are available to a process (ulimit -v, ulimit -d)" "should be a smaller --batch"
  low=600000
  for _ in $(seq 16); do
    middle=$(((low + high) / 2))
    bounded $middle "${new[@]}" --out "$run-$middle"
    case $status in
      0) high=$middle ;;
      2) low=$middle ;;
      *)
        found=$status
        line=$(grep -c . "$work/err")
        break
        ;;
    esac
  done
  [ -n "$found" ] || { bad "refused: in the middle of a run" "no space was found in which it is"; return 0; }
  ends "refused: the line says what for" 1 "out of memory: cannot get" "bytes for" "see --batch"
  holds "refused: no backtrace" test "$line" = 1
}

case_scopes() {
  local reason="batch norm over a single image has no variance" n
  for n in 2 4; do
    on=$n mistake "group:1 with an image a rank, $n ranks" "--bn-scope group:1: $reason" "--batch $((2 * n)) or more" -- \
      train "${small[@]}" --batch $n --bn-scope group:1
    on=$n mistake "local, $n ranks" "--bn-scope local: $reason" -- train "${small[@]}" --batch $n --bn-scope local
    on=$n mistake "ghost:1, $n ranks" "ghost:1: $reason" -- train "${small[@]}" --batch $n --bn-scope ghost:1
    on=$n mistake "of the heads alone, $n ranks" "--head-bn-scope group:1: $reason" -- \
      train "${small[@]}" --batch $n --head-bn-scope group:1
    on=$n mistake "batch renormalisation, $n ranks" "--bn-scope group:1: $reason" -- \
      train "${small[@]}" --batch $n --bn-scope group:1 --encoder-norm gn --projector-norm brn --predictor-norm none
  done
  run() { # run NAME RANKS BATCH ARGUMENTS...
    ranks "$2" train "${small[@]}" --batch "$3" "${@:4}" --out "$work/scope-${1// /-}"
    ends "$1 trains" 0
  }
  run "groups of one with two images" 2 4 --bn-scope group:1
  run "groups of two" 4 4 --bn-scope group:2
  run "the ranks of a node" 2 2 --bn-scope node
  run "no norm that uses the batch" 2 2 --bn-scope group:1 --encoder-norm gn --projector-norm ln --predictor-norm none
  run "the encoder alone in groups of one without a batch norm" 2 2 --encoder-bn-scope group:1 --encoder-norm gn
}

case_terminal() {
  local columns
  if ! command -v script >/dev/null; then
    skip terminal "script(1) is not installed"
    return 0
  fi
  for columns in 60 80 120; do
    script -qec "stty cols $columns; '$program' train --help" /dev/null 2>"$work/err" </dev/null | tr -d '\r' >"$work/out"
    # A flag with its choices is one word.
    fits() { ! grep -v '|' "$work/out" | grep -qE "^.{$((columns + 1))}" && [ "$(wc -l <"$work/out")" -gt 50 ]; }
    status=0
    holds "help on a terminal of $columns columns" fits
  done
  ranks none train --help
  holds "help without a terminal" test "$(awk 'length($0) > 80' "$work/out" | wc -l)" = 0
  ranks 2 train "${small[@]}" --batch 16 --out "$work/banner"
  banner() { sed '/training and/,$d' "$work/out" | grep -vF "$work" | awk 'length($0) > 80 { exit 1 }'; }
  holds "a run's first lines in a log" banner
}

run_cases
