#!/usr/bin/env bash
# Tests of byol-dist's files as a user meets them: folders of others', odd files, closed and full outputs, directories
# that go during a run, names that are taken at the same time.
# Usage: Tests/EndToEnd/files.sh [FILTER]; ends with "N passed, N failed, N skipped".
set -euo pipefail
suite=files
names=(foreign streams outputs metrics memory lost lost_study odd limits names texts arguments)
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

new=(train "${tiny[@]}" --steps 3)
# The same without --data.
bare=(train "${tiny[@]:0:2}" "${tiny[@]:4}" --steps 3)

# Everything of a folder: kind, name, bytes, time of change.
whole() { find "$1" -printf '%y %P %s %T@\n' | sort; }

# untouched NAME FOLDER TEXT... -- ARGUMENTS...: refused as a mistake with the texts, and the folder is as it was.
untouched() {
  local name=$1 folder=$2 before
  shift 2
  before=$(whole "$folder")
  mistake "$name" "$folder" "$@"
  holds "$name: it is as it was" test "$(whole "$folder")" = "$before"
}

study_file() {
  cat >"$work/grid.json" <<'END_OF_STUDY'
{"title": "Two", "base": {"recipe": "quick", "width": 4, "hidden": 16, "dim": 8, "batch": 16, "steps": 3, "ema": 0.9,
 "threads": 1, "checkpoint_every": 0}, "variants": [{"name": "a"}, {"name": "b", "settings": {"lr": 0.1}}]}
END_OF_STUDY
}

case_foreign() {
  local folder=$work/foreign
  study_file
  mkdir -p "$folder/.a.partial-b" "$folder/.step-00000001.replaced" "$folder/docs"
  echo text >"$folder/.config.json.partial-1"
  on=2 untouched "a folder of others', on two ranks" "$folder" "it holds .a.partial-b and" "choose another --out" -- \
    "${new[@]}" --out "$folder"
  untouched "a study in it" "$folder" "is no study's directory" -- study "$work/grid.json" --data "$work/data" --out "$folder"
  echo '{"architectures": []}' >"$folder/config.json"
  cp "$folder/config.json" "$folder/study.json"
  untouched "a config.json of others'" "$folder/config.json" "not of a run of this program" -- "${new[@]}" --out "$folder"
  untouched "a study.json of others'" "$folder/study.json" "not of a study of this program" -- \
    study "$work/grid.json" --data "$work/data" --out "$folder"
  mkdir "$work/left"
  echo '{' >"$work/left/.config.json.partial-4711"
  echo 'pid 4711 on host elsewhere' >"$work/left/.lock"
  ranks 2 "${new[@]}" --out "$work/left"
  ends "a folder of leftovers alone is empty" 0
  holds "its leftovers go" test "$(ls -A "$work/left" | tr '\n' ' ')" = "checkpoints config.json metrics.jsonl summary.json "
  ranks none study "$work/grid.json" --data "$work/data" --out "$work/study"
  ends "a study in a new folder" 0
  untouched "a run in a study's folder" "$work/study" "is no run's directory" -- "${new[@]}" --out "$work/study"
  untouched "a study in a run's folder" "$work/left" "config.json" -- \
    study "$work/grid.json" --data "$work/data" --out "$work/left"
  rm -r "$work/study/b/seed-0"
  mkdir "$work/study/b/seed-0"
  echo mine >"$work/study/b/seed-0/notes"
  mistake "something else in the place of a study's run" "$work/study/b/seed-0: is no run's directory: it holds notes" -- \
    study "$work/grid.json" --data "$work/data" --out "$work/study"
  mkdir "$work/study/.a.partial-b"
  untouched "a study of another name" "$work/study" "another name" -- study norms --quick --data "$work/data" --out "$work/study"
}

# Whatever standard streams are closed, nothing that is printed gets into a file.
case_streams() {
  local closed run
  for closed in '<&-' '>&-' '2>&-' '<&- >&-' '<&- 2>&-' '>&- 2>&-' '<&- >&- 2>&-'; do
    run="$work/closed $closed"
    status=0
    : >"$work/out" >"$work/err"
    eval "timeout 60 \"\$program\" \"\${new[@]}\" --out \"\$run\" >\"\$work/out\" 2>\"\$work/err\" $closed" || status=$?
    holds "closed $closed: the run ends well" test "$status" = 0
    holds "closed $closed: metrics alone are in their file" test "$(grep -c '^{"step":[0-9]*,.*}$' "$run/metrics.jsonl")" = \
      "$(wc -l <"$run/metrics.jsonl")"
    holds "closed $closed: each step once" each_step_once "$run" 3
  done
}

case_outputs() {
  local command
  local run=$work/output
  ranks none "${new[@]}" --out "$run"
  for command in --help --version "train --help" "study --list" "study norms --print" "study norms --quick --dry-run" \
    "report $run" "data preview --data shapes --count 2 --out $work/sheet.png" \
    "bench kernels --data shapes --width 4 --batch 2 --image-size 8 --threads 1" \
    "bench step --data shapes --width 4 --batch 4 --image-size 8 --threads 1 --steps 1 --warmup 0 --json"; do
    : >"$work/out"
    status=0
    # shellcheck disable=SC2086
    timeout 60 "$program" $command >/dev/full 2>"$work/err" || status=$?
    ends "full: $command" 1 "byol-dist: cannot write to the standard output: No space left on device"
    status=0
    # shellcheck disable=SC2086
    timeout 60 "$program" $command >&- 2>"$work/err" || status=$?
    ends "closed: $command" 1 "byol-dist: cannot write to the standard output: Bad file descriptor"
    # A FIFO whose reader has gone by the time of the first write.
    mkfifo "$work/pipe"
    status=0
    # shellcheck disable=SC2086
    (exec 3<>"$work/pipe" 4>"$work/pipe" 3>&- && exec timeout 60 "$program" $command >&4 2>"$work/err") || status=$?
    rm "$work/pipe"
    ends "reader gone: $command" 1
  done
  status=0
  mkfifo "$work/pipe"
  (exec 3<>"$work/pipe" 4>"$work/pipe" 3>&- && exec timeout 60 "$program" "${new[@]}" --out "$work/silent" >&4 2>"$work/err") ||
    status=$?
  ends "a run whose reader has gone goes on" 0
  status=0
  timeout 60 "$program" "${new[@]}" --out "$work/unseen" >/dev/full 2>"$work/err" || status=$?
  ends "a run whose output is full goes on" 0
  status=0
  timeout 60 "$program" --no-such 2>/dev/full >"$work/out" || status=$?
  holds "a full standard error ends nothing otherwise" test "$status" = 2
}

case_metrics() {
  local run=$work/metrics
  local longer=(train "${tiny[@]}" --steps 6 --checkpoint-every 3 --keep 9 --out "$run")
  ranks 2 "${longer[@]}"
  back() { # as a run that was killed after its checkpoint of step 3
    rm -f "$run/summary.json"
    rm -rf "$run/checkpoints/step-00000006"
    sed -i '/^{"step":[456],/d' "$run/metrics.jsonl"
  }
  back
  printf 'damage\n\0\0\n{"step":5,"loss":1}\n{"step":' >>"$run/metrics.jsonl"
  ranks 2 "${longer[@]}"
  ends "damage after the checkpoint's step does not block" 0
  holds "damage after it: each step once" each_step_once "$run" 6
  holds "damage after it is told" grep -qF "$run/metrics.jsonl: line 4 is damaged; it is cut off" "$work/out"
  back
  sed -i '2d' "$run/metrics.jsonl"
  ranks 2 "${longer[@]}"
  ends "a line that is missing does not block" 0
  holds "a line that is missing is told" grep -qF "$run/metrics.jsonl: lacks the lines of steps 2" "$work/out"
  back
  sed -i '1s/.*/damage/' "$run/metrics.jsonl"
  local before
  before=$(whole "$run")
  on=2 mistake "damage before the checkpoint's step" "$run/metrics.jsonl: line 1 is damaged" "mended or deleted" -- "${longer[@]}"
  holds "damage before it: nothing is cut off" test "$(whole "$run" | grep metrics)" = "$(grep metrics <<<"$before")"
  sed -i '1d' "$run/metrics.jsonl"
  ranks 2 "${longer[@]}"
  ends "with the line deleted it goes on" 0
  for kind in folder fifo; do
    rm -f "$run/summary.json"
    rm -r "$run/metrics.jsonl"
    if [ $kind = folder ]; then mkdir "$run/metrics.jsonl"; else mkfifo "$run/metrics.jsonl"; fi
    mistake "metrics.jsonl is a $kind" "$run/metrics.jsonl: is a" "regular file" -- "${longer[@]}"
  done
}

# A log of 100 MB is read in the memory of a small one.
case_memory() {
  local run=$work/memory line peak=0
  if [ ! -x /usr/bin/time ]; then
    skip memory "no /usr/bin/time here"
    return 0
  fi
  ranks none train "${tiny[@]}" --steps 6 --checkpoint-every 3 --out "$run"
  line=$(sed -n '1s/^{"step":1,//p' "$run/metrics.jsonl")
  awk -v l="$line" 'BEGIN { for (i = 1; i <= 100000000 / (length(l) + 16); i++) printf "{\"step\":%d,%s\n", i, l }' \
    >"$run/metrics.jsonl"
  status=0
  /usr/bin/time -f %M -o "$work/peak" "$program" report "$run" >"$work/out" 2>"$work/err" || status=$?
  ends "report of a long log" 0
  peak=$(tail -n 1 "$work/peak")
  holds "report of a long log: in $peak kB" test "$peak" -lt 100000
  rm "$run/summary.json"
  rm -r "$run/checkpoints/step-00000006"
  ranks none train "${tiny[@]}" --steps 6 --checkpoint-every 3 --out "$run"
  ends "resume with a long log" 0
  holds "resume with a long log: each step once" each_step_once "$run" 6
}

# alone RUN ARGUMENTS...: a training without mpirun in the background, past its fifth step; sets job.
alone() {
  "$program" "${@:2}" --out "$1" >"$work/out" 2>"$work/err" </dev/null &
  job=$!
  at_step "$1" 5
}

case_lost() {
  local run=$work/lost before again
  local long=(train "${tiny[@]}" --steps 100000 --checkpoint-every 400)
  left() { if [ -e "$run" ]; then find "$run" -mindepth 1 ! -name .lock ! -name metrics.jsonl -printf '%y %P %s %T@\n'; fi; }
  # What happens to the directory, in a shell with its path as $1, and what the run says of it.
  lost() { # lost NAME COMMANDS TEXT
    alone "$run" "${long[@]}"
    bash -c "$2" bash "$run"
    before=$(left)
    ended
    ends "lost: $1" 1 "byol-dist: $run: $3 during the run, seen at step 400; "
    holds "lost: $1: nothing is left half-made" test "$(left)" = "$before"
    rm -rf "$run" "$run.gone"
  }
  lost "removed" 'mv "$1" "$1.gone"; rm -r "$1.gone"' "was removed"
  lost "moved" 'mv "$1" "$1.gone"' "was removed"
  lost "replaced" 'mv "$1" "$1.gone"; mkdir "$1"; echo mine >"$1/mine"' "was replaced by another directory"
  lost "another run in its place" 'mv "$1" "$1.gone"; mkdir "$1"; cp "$1.gone/config.json" "$1.gone/.lock" "$1"' \
    "was replaced by another directory"
  lost "config.json" 'rm "$1/config.json"' "its config.json was removed"

  alone "$run" "${long[@]}"
  rm "$run/metrics.jsonl"
  ended
  ends "lost: metrics.jsonl" 1 "$run: its metrics.jsonl was removed during the run, seen at step 400; the run ends after a" \
    "same command goes on"
  holds "lost: metrics.jsonl: the checkpoint is there" test -e "$run/checkpoints/step-00000400/state.json"
  alone "$run" "${long[@]}"
  rm -r "$run/checkpoints"
  again=$run/checkpoints/step-00000800/state.json
  for _ in $(seq 1200); do [ -e "$again" ] && break || sleep 0.05; done
  kill -TERM "$job"
  ended
  holds "lost: checkpoints alone are made anew" test "$status" = 75
  holds "lost: steps without lines are told" grep -qF "lacks the lines of steps 1 to 400" "$work/out"
  rm -r "$run"

  # Not started again, by launch/run as well.
  BYOL_DIST_PROGRAM=$program launch/run -n 2 --restarts 2 "${long[@]}" --out "$run" >"$work/out" 2>"$work/err" </dev/null &
  job=$!
  at_step "$run" 5
  mv "$run" "$run.gone"
  ended
  ends "lost: on two ranks, with restarts" 1 "was removed during the run"
  holds "lost: no directory is made in its place" test ! -e "$run"
}

case_lost_study() {
  local study=$work/lost-study
  study_file
  sed -i 's/"steps": 3/"steps": 400/' "$work/grid.json"
  "$program" study "$work/grid.json" --data "$work/data" --out "$study" >"$work/out" 2>"$work/err" </dev/null &
  job=$!
  at_step "$study/a/seed-0" 5
  mv "$study/study.json" "$work/gone.json"
  ended
  ends "lost: a study's record between its runs" 1 "byol-dist: $study: its study.json was removed during the study"
  holds "lost: the second run is not begun" test ! -e "$study/b"
  mv "$work/gone.json" "$study/study.json"
  "$program" study "$work/grid.json" --data "$work/data" --out "$study" >"$work/out" 2>"$work/err" </dev/null &
  job=$!
  at_step "$study/b/seed-0" 5
  mv "$study" "$work/gone"
  ended
  ends "lost: a study's directory during a run" 1 "byol-dist: $study/b/seed-0: was removed during the run"
  holds "lost: no study directory is made in its place" test ! -e "$study"
}

# Files of other kinds are refused, by name and kind, and never waited for.
case_odd() {
  local path=$work/odd kind
  local rest=("${tiny[@]:2}" --steps 3 --out "$work/no-odd")
  refused() { # refused NAME ARGUMENTS...: with $path as it is, of $kind
    mistake "$1 is $kind" "$path: is $kind; should be a regular file" -- "${@:2}"
  }
  refused_in_message() { mistake "$1 is $kind" "$path" "is $kind; should be a regular file" -- "${@:2}"; }
  make() { # make KIND
    rm -rf "$path"
    kind=$1
    case $1 in
      "a FIFO") mkfifo "$path" ;;
      "a directory") mkdir "$path" ;;
      "a device") ln -s /dev/zero "$path" ;;
    esac
  }
  for kind in "a FIFO" "a directory" "a device"; do
    path=$work/odd
    make "$kind"
    refused_in_message --config --config "$path" "${rest[@]}"
    refused --init "${new[@]}" --out "$work/no-odd" --init "$path"
    refused "a study" study "$path" --data "$work/data"
    path=$work/odd.png
    make "$kind"
    refused_in_message "data preview's sheet" data preview --data shapes --count 2 --out "$path"
    rm -rf "$work/odd-data"
    cp -r "$work/data" "$work/odd-data"
    path=$work/odd-data/data_batch_1.bin
    make "$kind"
    refused_in_message "a data file" "${bare[@]}" --data "$work/odd-data" --out "$work/no-odd"
    rm -rf "$work/odd-run"
    mkdir "$work/odd-run"
    path=$work/odd-run/config.json
    make "$kind"
    refused "config.json" "${new[@]}" --out "$work/odd-run"
    refused "config.json of a report" report "$work/odd-run"
  done
  mistake "process substitution" "is a FIFO; should be a regular file" -- --config <(echo '{}') "${rest[@]}"
  holds "odd files: no run is made" test ! -e "$work/no-odd"
}

case_limits() {
  local run=$work/limits name
  for name in 1 8; do
    rm -rf "$run"
    status=0
    (
      ulimit -f "$name"
      exec timeout -k 5 60 "$program" train "${tiny[@]}" --steps 60 --checkpoint-every 50 --out "$run" >/dev/null 2>"$work/limits.err"
    ) 2>/dev/null || status=$?
    cp "$work/limits.err" "$work/err"
    ends "a limit of file sizes of $name blocks" 1 "$run/" "File too large"
  done
}

# Runs that begin in the same second have directories of their own.
case_names() {
  local here=$work/names pids=() pid
  mkdir "$here"
  : >"$work/err"
  for _ in 1 2 3 4 5 6 7 8; do
    (cd "$here" && exec timeout 100 "$program" train "${tiny[@]}" --steps 1 >/dev/null 2>>"$work/err") &
    pids+=($!)
  done
  status=0
  for pid in "${pids[@]}"; do wait "$pid" || status=$?; done
  ends "eight runs at once" 0
  holds "eight runs at once: a directory each" test "$(ls "$here"/runs/*/summary.json | wc -l)" = 8
  rm -r "$here/runs"
  head -c 5000 "$program" >"$work/foreign-weights"
  status=0
  (cd "$here" && exec "$program" "${new[@]}" --init "$work/foreign-weights" >/dev/null 2>"$work/err") || status=$?
  ends "a refused run without --out" 2 "$work/foreign-weights"
  holds "a refused run leaves no directory" test -z "$(find "$here" -mindepth 2)"
  rm -rf "$here/runs"
  echo text >"$here/runs"
  status=0
  (cd "$here" && exec "$program" "${new[@]}" >/dev/null 2>"$work/err") || status=$?
  ends "runs is a file" 2 "runs: cannot make this directory: File exists"
}

case_texts() {
  local file=$work/text.json code
  local rest=("${tiny[@]:2}" --out "$work/bom")
  printf '\357\273\277{"recipe": "quick", "steps": 3}' >"$file"
  ranks none --config "$file" "${rest[@]}"
  ends "a byte order mark" 0
  holds "a byte order mark: the settings count" each_step_once "$work/bom" 3
  for code in UTF-16 UTF-16LE UTF-16BE UTF-32 UTF-32LE UTF-32BE; do
    printf '{"steps": 3}' | iconv -t "$code" >"$file"
    mistake "settings in $code" "$file" "is ${code:0:6}; should be UTF-8" -- --config "$file" "${rest[@]}"
    mistake "a study in $code" "$file" "is ${code:0:6}; should be UTF-8" -- study "$file"
  done
  : >"$file"
  mistake "empty settings" "$file" "is empty; should be JSON" -- --config "$file" "${rest[@]}"
  mistake "an empty study" "$file" "is empty; should be JSON" -- study "$file"
  head -c 2000 "$program" >"$file"
  mistake "binary settings" "$file" "is binary; should be JSON" -- --config "$file" "${rest[@]}"
  truncate -s 2M "$file"
  mistake "a study too large" "$file" "has 2097152 bytes; should be at most" -- study "$file"
  mistake "a study that is not there" "no such study or file" -- study "$work/none.json"
}

case_arguments() {
  local name=$'caf\351' flag
  for flag in --out --data --config --init; do
    mistake "bytes that are no UTF-8 in $flag" "$flag \"" "caf\\xe9\"" "should be UTF-8" -- "${new[@]}" "$flag" "$work/$name"
    mistake "bytes that are no UTF-8 in $flag=" "\"$flag=" "caf\\xe9\"" "should be UTF-8" -- "${new[@]}" "$flag=$work/$name"
  done
  on=2 mistake "bytes that are no UTF-8, on two ranks" "--out" "caf\\xe9" -- "${new[@]}" --out "$work/$name"
  holds "no directory of another name is made" test -z "$(find "$work" -maxdepth 1 -name 'caf*')"
  # Names in a folder that a run looks at.
  cp -r "$work/data" "$work/data-$$"
  touch "$work/data-$$/$name" "$work/data-$$/"$'caf\350'
  ranks none "${bare[@]}" --data "$work/data-$$" --out "$work/names-inside"
  ends "such names in a data set" 0
  touch "$work/names-inside/$name"
  ranks none "${bare[@]}" --data "$work/data-$$" --out "$work/names-inside"
  ends "such names in a run's directory" 0
  mkdir "$work/only"
  touch "$work/only/$name"
  mistake "such a name alone" "$work/only" "it holds" -- "${new[@]}" --out "$work/only"
}

run_cases
