#!/usr/bin/env bash
# Tests of data sets as people hand them over: damaged, incomplete, of another kind, cut short during a run.
# Usage: Tests/EndToEnd/datasets.sh [FILTER]; ends with "N passed, N failed, N skipped".
set -euo pipefail
suite=datasets
names=(data stl10 formats sorted truncated)
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case_data() {
  local bad=$work/bad record=3073
  local new=(--data "$bad" --out "$work/no-data")
  wrong() { # wrong NAME TEXT...: with the data set as it is now
    local name=$1
    shift
    mistake "$name" "$@" -- train "${tiny[@]:0:2}" "${tiny[@]:4}" --steps 6 "${new[@]}"
  }
  wrong "no data" "$bad"
  cp -r "$work/data" "$bad"
  rm "$bad/test_batch.bin"
  wrong "no test images" "$bad" test_batch.bin
  cp "$work/data/test_batch.bin" "$bad"
  head -c $((record * 50 + 700)) "$work/data/data_batch_1.bin" >"$bad/data_batch_1.bin"
  on=4 wrong "a file that is cut short, on four ranks" "$bad/data_batch_1.bin" "record 50" "700 of 3073"
  cp "$work/data/data_batch_1.bin" "$bad/data_batch_1.bin"
  printf '\013' | dd of="$bad/data_batch_1.bin" bs=1 seek=$((record * 7)) conv=notrunc status=none
  wrong "a label that is none" "$bad/data_batch_1.bin" "record 7" "label 11"
  : >"$bad/data_batch_1.bin"
  wrong "an empty file" "$bad/data_batch_1.bin"
  rm "$bad"/*.bin
  wrong "a directory of something else" "$bad" "data_batch_1.bin"
  holds "mistakes in data make no run directory" test ! -e "$work/no-data"
}

# A data set in STL-10's format: its unlabelled images are as many as the published ones', in a file without blocks.
case_stl10() {
  local set=$work/stl10 image=27648 run=$work/stl10-run
  local new=(train "${tiny[@]:0:2}" "${tiny[@]:4}" --data "$set" --image-size 32 --steps 3 --out "$run")
  mkdir "$set"
  head -c $((image * 20)) /dev/urandom >"$set/train_X.bin"
  head -c $((image * 20)) /dev/urandom >"$set/test_X.bin"
  truncate -s $((image * 100000)) "$set/unlabeled_X.bin"
  printf '\001\002\003\004\005\006\007\010\011\012%.0s' 1 2 | tee "$set/train_y.bin" >"$set/test_y.bin"
  truncate -s $((image * 19 + 5)) "$set/train_X.bin"
  on=2 mistake "a cut image file" "$set/train_X.bin" "has 525317 bytes" "multiple of 27648" -- "${new[@]}"
  truncate -s $((image * 19)) "$set/train_X.bin"
  mistake "fewer images than labels" "$set/train_y.bin" "has 20 bytes" "expected 19" -- "${new[@]}"
  truncate -s $((image * 20)) "$set/train_X.bin"
  rm "$set/test_y.bin"
  mistake "no labels" "$set" "has no test_y.bin" -- "${new[@]}"
  cp "$set/train_y.bin" "$set/test_y.bin"
  holds "mistakes in data make no run directory" test ! -e "$run"
  ranks 2 "${new[@]}"
  ends "stl10: a run" 0
  holds "stl10: labelled and unlabelled images" grep -qF "100020 training and 20 test images of 96 x 96 pixels" "$work/out"
  holds "stl10: they are not in memory" test "$(sed -nE 's/.*"peak_rss_bytes": ([0-9]+).*/\1/p' "$run/summary.json")" -lt 600000000
}

# The format's own names alone; what is missing or left over is said in a run's first lines.
case_formats() {
  local set=$work/formats
  cp -r "$work/data" "$set"
  cp "$set/data_batch_1.bin" "$set/data_batch_1 (1).bin"
  cp "$set/data_batch_1.bin" "$set/data_batch_10.bin"
  ranks 2 train "${tiny[@]:0:2}" "${tiny[@]:4}" --data "$set" --steps 3 --out "$work/formats-run"
  ends "names that only look like the format's are not used" 0
  holds "the run has the format's own images" grep -qF "96 training and 40 test images" "$work/out"
  holds "what is not used is said" grep -qF "data_batch_1 (1).bin, data_batch_10.bin" "$work/out"
  holds "how many files are missing is said" grep -qF "1 of CIFAR-10's 5 training files" "$work/out"
  cp "$set/data_batch_1.bin" "$set/data_batch_3.bin"
  on=2 mistake "a missing batch" "has data_batch_3.bin and no data_batch_2.bin" -- train --data "$set" --steps 3 --batch 16
  : >"$set/train_X.bin"
  mistake "two data sets in one folder" "CIFAR-10 and STL-10" -- train --data "$set" --steps 3 --batch 16
  mistake "the folder above" "--data $work/data" -- train --data "$work" --steps 3 --batch 16
}

# A test split that is sorted by class gives the probe the figure of the same images in another order.
case_sorted() {
  local image=3073 index order label key
  for order in plain sorted; do
    mkdir "$work/$order"
    cp "$work/data/data_batch_1.bin" "$work/$order"
  done
  cp "$work/data/test_batch.bin" "$work/plain"
  # The tiny data's labels go round from 0 to 9: every tenth image is of one class.
  for label in 0 1 2 3 4 5 6 7 8 9; do
    for index in "$label" $((label + 10)) $((label + 20)) $((label + 30)); do
      dd if="$work/data/test_batch.bin" bs="$image" skip="$index" count=1 status=none
    done
  done >"$work/sorted/test_batch.bin"
  for order in plain sorted; do
    ranks none train "${tiny[@]:0:2}" "${tiny[@]:4}" --data "$work/$order" --steps 60 --out "$work/$order-run"
    ends "the probe of a $order test split" 0
  done
  figure() { sed -nE "s/^  \"$1\": ([0-9.]+),$/\1/p" "$2/summary.json"; }
  for key in probe_accuracy knn_accuracy random_encoder_accuracy; do
    holds "the order of the test images changes no $key" \
      test "$(figure "$key" "$work/plain-run")" = "$(figure "$key" "$work/sorted-run")"
  done
}

# A data file that somebody cuts short while a run reads it: one line, and no backtrace.
case_truncated() {
  local set count
  for count in 1 2; do
    set=$work/truncated-$count
    cp -r "$work/data" "$set"
    start "$count" "${tiny[@]:0:2}" "${tiny[@]:4}" --data "$set" --steps 1000000 --out "$set-run"
    at_step "$set-run" 3
    truncate -s 1000 "$set/data_batch_1.bin"
    ended
    ends "a data file cut short during a run, $count ranks" 2 "$set/data_batch_1.bin" "ends before byte"
  done
}

run_cases
