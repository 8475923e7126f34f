#!/usr/bin/env bash
# Tests of byol-dist as a user meets it: the program itself under mpirun, with signals, mistakes and a full disk.
# Usage: Tests/EndToEnd/runs.sh [FILTER]; ends with "N passed, N failed, N skipped".
set -euo pipefail
suite=runs
names=(result mistakes collapse directory signals diverged disk widths study)
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case_result() {
  local run=$work/result
  ranks 2 train "${tiny[@]}" --steps 6 --out "$run"
  ends "a run ends well" 0
  result() {
    tail -n 3 "$work/out" | head -n 1 | grep -qE '^probe accuracy  [0-9.]+ %   random encoder  [0-9.]+ %$' &&
      tail -n 2 "$work/out" | grep -qE '^cosine of z and z.  -?[01]\.[0-9]+ between views of one image, -?[01]' &&
      tail -n 1 "$work/out" | grep -qE '^(not )?collapsed: '
  }
  holds "its last lines are the result" result
  tail -n 3 "$work/out" >"$work/result.lines"
  for key in probe_accuracy random_encoder_accuracy positive_cosine negative_cosine collapsed steps seconds \
    images_per_second ranks threads peak_rss_bytes; do
    grep -q "\"$key\": " "$run/summary.json" || { bad "the summary's keys" "$key is missing"; return 0; }
  done
  holds "the first lines name the recipe and every setting" grep -q -- 'quick' "$work/out"
  local before
  before=$(listing "$run")
  ranks none train "${tiny[@]}" --steps 6 --out "$run"
  ends "a finished run is not run again" 0
  tail -n 3 "$work/out" >"$work/again.lines"
  holds "it shows its result" cmp "$work/result.lines" "$work/again.lines"
  holds "and stays as it was" test "$(listing "$run")" = "$before"
  ranks none train --config "$run/config.json" --out "$work/repeated"
  holds "its config.json repeats it" test "$(losses "$work/repeated" | wc -l)" = 6
}

case_mistakes() {
  local new=(train "${tiny[@]}" --steps 6 --out "$work/none")
  on=2 mistake "an unknown flag, on two ranks" --weigth-decay "--weight-decay" -- train --weigth-decay 0.1
  mistake "an unknown flag, without mpirun" --bach "--batch" -- --bach 64
  mistake "an unknown command" trian "train" -- trian
  on=3 mistake "a value out of range, on three ranks" "--momentum 1.5" "below 1" -- "${new[@]}" --momentum 1.5
  mistake "a value that is no number" "--lr fast" -- train --lr fast
  mistake "a rate above the limit" "--lr 1e6" -- train --lr 1e6
  on=3 mistake "a batch that ranks cannot share" "--batch 16" "3 ranks" "15" "18" -- "${new[@]}"
  mistake "a batch above the data" "--batch 128" "96" -- train --data "$work/data" --batch 128 --steps 2 --out "$work/none"
  mistake "ghosts that do not divide" "ghost:3" "ghost:2" -- "${new[@]}" --bn-scope ghost:3
  mistake "two lengths" --steps --epochs -- train --steps 5 --epochs 5
  mistake "no such configuration" "$work/none.json" -- train --config "$work/none.json"
  on=2 mistake "no such starting weights, on two ranks" "$work/none.safetensors" -- "${new[@]}" --init "$work/none.safetensors"
  head -c 5000 "$program" >"$work/foreign"
  mistake "starting weights of another kind" "$work/foreign" -- "${new[@]}" --init "$work/foreign"
  holds "mistakes leave no run" test ! -e "$work/none/config.json"
}

case_collapse() {
  local run=$work/collapse
  local new=(train "${tiny[@]}" --projector-norm none --predictor-norm none --lr 0.2 --warmup-steps 5 --steps 1000)
  ranks 2 "${new[@]}" --on-collapse stop --out "$run"
  ends "collapse: asked to stop, the run ends well" 0
  holds "collapse: it is said once" test "$(grep -cE '^collapsed at step [0-9]+: .*--on-collapse stop' "$work/out")" = 1
  holds "collapse: and at the end" grep -qE '^collapsed: .*\(collapsed at step [0-9]+ by cosine\)$' "$work/out"
  holds "collapse: before the last step" test "$(losses "$run" | wc -l)" -lt 1000
  ranks none "${new[@]}" --on-collapse stop --out "$run"
  ends "collapse: the run is finished" 0
}

case_directory() {
  local run=$work/directory
  # So long that it runs until it is told to stop, however fast the machine.
  local new=(train "${tiny[@]}" --steps 1000000 --checkpoint-every 50 --out "$run")
  echo text >"$work/file"
  mistake "the run directory is a file" "$work/file" -- train "${tiny[@]}" --steps 6 --out "$work/file"
  mistake "the run directory is below a file" "$work/file" -- train "${tiny[@]}" --steps 6 --out "$work/file/run"
  mistake "nothing to go on with" "$run" "--resume must" -- "${new[@]}" --resume must
  start 2 "${new[@]:1}"
  at_step "$run" 5
  on=2 mistake "a run directory in use" "$run" "in use by pid" -- "${new[@]}"
  kill -USR1 "$(pgrep -P "$job" mpirun)"
  ended
  holds "who was first is not disturbed" test "$status" = 75
  local before
  before=$(listing "$run")
  on=2 mistake "other settings" "$run" "seed is 0 there and 3 here" -- "${new[@]}" --seed 3
  mistake "not to go on" "$run" "--resume never" -- "${new[@]}" --resume never
  local checkpoint
  checkpoint=$(ls -d "$run"/checkpoints/step-* | tail -n 1)
  holds "what is refused leaves the run as it was" test "$(listing "$run")" = "$before"
  printf 'x' | dd of="$checkpoint/model.safetensors" bs=1 seek=9000 conv=notrunc status=none
  find "$run/checkpoints" -mindepth 1 -maxdepth 1 ! -path "$checkpoint" -exec rm -r {} +
  mistake "no good checkpoint" "$checkpoint/model.safetensors" "is damaged" -- "${new[@]}"
}

# signals SCOPE: a run that is asked to stop in some ways and killed once ends as one that is left alone.
signals() {
  local scope=$1 run=$work/signals-$1 whole=$work/whole-$1 mpirun ranks_there
  local new=("${tiny[@]}" --steps 2400 --checkpoint-every 500 --bn-scope "$scope")
  ranks 2 train "${new[@]}" --out "$whole"
  ends "$scope: left alone" 0

  start 2 "${new[@]}" --out "$run"
  at_step "$run" 50
  mpirun=$(pgrep -P "$job" mpirun)
  kill -USR1 "$(pgrep -P "$mpirun" | tail -n 1)"
  ended
  ends "$scope: USR1 at one rank" 75 "stopped after a complete checkpoint of step"

  if [ "$scope" = sync ]; then
    start 2 "${new[@]}" --out "$run"
    steps_after_resuming "$run" 100
    kill -TERM "$job"
    ended
    ends "$scope: TERM at launch/run" 75 "stopped after a complete checkpoint of step"
  fi

  start 2 "${new[@]}" --out "$run"
  steps_after_resuming "$run" 100
  ranks_there=$(pgrep -P "$(pgrep -P "$job" mpirun)")
  # shellcheck disable=SC2086
  kill -KILL $(head -n 1 <<<"$ranks_there")
  ended
  holds "$scope: a killed rank ends the job" test "$status" != 0

  if [ "$scope" = sync ]; then
    start 2 "${new[@]}" --out "$run" --resume must
    steps_after_resuming "$run" 100
    kill -USR1 "$(pgrep -P "$job" mpirun)"
    ended
    ends "$scope: USR1 at mpirun" 75 "stopped after a complete checkpoint of step"
  fi

  ranks 2 train "${new[@]}" --out "$run"
  ends "$scope: the rest" 0
  holds "$scope: the same bytes" same_bytes "$run" "$whole" step-00002400
  holds "$scope: the same losses" same_losses "$run" "$whole" 2400
  holds "$scope: each step once" each_step_once "$run" 2400
}

case_signals() {
  if ! command -v pgrep >/dev/null; then
    skip signals "no pgrep here"
    return 0
  fi
  signals sync
  signals local
}

case_diverged() {
  ranks 2 train "${tiny[@]}" --encoder-norm none --projector-norm none --predictor-norm none --lr 1000 \
    --warmup-steps 0 --steps 60 --out "$work/diverged"
  ends "a diverged run says so" 1 "the loss of step" "is not finite" "--lr"
}

# A disk that is full while the run writes metrics, and while it writes a checkpoint.
case_disk() {
  local small=$work/small run=$work/small/run free
  mkdir "$small"
  if ! mount -t tmpfs -o size=4m none "$small" 2>/dev/null; then
    skip disk "no file system can be mounted here"
    return 0
  fi
  local new=(train "${tiny[@]}" --steps 60 --out "$run")
  ranks 2 train "${tiny[@]}" --steps 60 --checkpoint-every 10 --out "$work/roomy"
  ends "disk: with room" 0
  # Room for one checkpoint and not for two.
  free=$(du -sk "$work/roomy/checkpoints/step-00000060" | cut -f1)
  head -c $(((4096 - free * 3 / 2) * 1024)) /dev/zero >"$small/filler"
  ranks 2 "${new[@]}" --checkpoint-every 10
  ends "disk: full at a checkpoint, the job ends" 1 "$run/checkpoints" "No space left on device"
  holds "disk: no half-written checkpoint is left" test "$(ls "$run/checkpoints" | wc -l)" = 1
  rm "$small/filler"
  # Pages for the lock and a few lines.
  head -c 8m /dev/zero >"$small/filler" 2>/dev/null || true
  truncate -s -8K "$small/filler"
  ranks 2 "${new[@]}" --checkpoint-every 0
  ends "disk: full at a step, the job ends" 1 "rank 0" "$run/metrics.jsonl" "No space left on device"
  rm "$small/filler"
  ranks 2 "${new[@]}"
  ends "disk: with space made it goes on" 0
  holds "disk: to the same bytes" same_bytes "$run" "$work/roomy" step-00000060
  holds "disk: with the same losses" same_losses "$run" "$work/roomy" 60
}

# A study that is asked to stop and then killed with all its ranks ends with the tables of one that is left alone.
case_study() {
  local file=$work/grid.json study=$work/study whole=$work/study-whole run
  cat >"$file" <<'END'
{"title": "Two norms", "base": {"recipe": "quick", "width": 4, "hidden": 16, "dim": 8, "batch": 16, "steps": 800,
 "ema": 0.9, "threads": 1, "checkpoint_every": 100}, "seeds": 2, "random_encoder": {"published": 28.8},
 "variants": [{"name": "bn", "published": 57.7}, {"name": "none", "settings": {"projector_norm": "none"}}]}
END
  local new=(study "$file" --data "$work/data")
  ranks none "${new[@]}" --dry-run
  ends "study: its plan" 0
  holds "study: the plan lists what differs" grep -q '^none/seed-1  --projector-norm none$' "$work/out"
  mistake "a study's unknown flag" "--seds" "--seeds" -- "${new[@]}" --seds 3
  sed 's/projector_norm/projektor_norm/' "$file" >"$work/wrong.json"
  on=2 mistake "a study's unknown key, on two ranks" "wrong.json" projektor_norm projector_norm -- study "$work/wrong.json"
  ranks 2 "${new[@]}" --out "$whole"
  ends "study: left alone" 0
  holds "study: it ends with its table" grep -qE '^bn +2 +[0-9.]+ ± [0-9.]+ .* 57\.7$' "$work/out"
  if ! command -v pgrep >/dev/null; then
    skip study "no pgrep here"
    return 0
  fi
  begin 2 "${new[@]}" --out "$study"
  at_step "$study/bn/seed-0" 50
  kill -TERM "$job"
  ended
  ends "study: TERM" 75 "stopped after a complete checkpoint of bn/seed-0" "--out $study"
  begin 2 "${new[@]}" --out "$study"
  at_step "$study/none/seed-0" 250
  # shellcheck disable=SC2046
  kill -KILL $(pgrep -P "$(pgrep -P "$job" mpirun)")
  ended
  holds "study: killed ranks end it" test "$status" != 0
  holds "study: a part of the table is there" grep -q '2 of 4 runs are not finished' "$study/table.md"
  ranks 2 "${new[@]}" --out "$study"
  ends "study: the rest" 0
  tables() { # the columns of speed are the last two, and in table.md the two before the last
    cut -d, -f1-14 "$1/table.csv"
    awk -F'|' '/^\|/ { $9 = $10 = "" } { print }' "$1/table.md"
  }
  holds "study: the same tables" test "$(tables "$study")" = "$(tables "$whole")"
  holds "study: the same record" cmp "$study/study.json" "$whole/study.json"
  for run in bn/seed-0 bn/seed-1 none/seed-0 none/seed-1; do
    holds "study: the same bytes of $run" same_bytes "$study/$run" "$whole/$run" step-00000800
    holds "study: the same losses of $run" same_losses "$study/$run" "$whole/$run" 800
  done
  local before
  before=$(listing "$study")
  ranks 2 "${new[@]}" --out "$study"
  ends "study: when all is done" 0
  holds "study: nothing is done again" test "$(listing "$study")" = "$before"
  on=2 mistake "a study of other settings in the way" "$study/bn/seed-0" "lr is" -- "${new[@]}" --out "$study" --lr 0.03
  ranks none report "$study"
  ends "report: of a study" 0
  holds "report: the same rows" grep -qE '^random encoder +[0-9.]+ ± .* 28\.8$' "$work/out"
  ranks none report "$study/bn/seed-0"
  ends "report: of a run" 0
  mistake "a report of something else" "$work/data" study.json -- report "$work/data"
}

# A program built for processors without AVX-512 takes the same steps, to the bit.
case_widths() {
  if ! grep -q '^flags.* avx512vl' /proc/cpuinfo || [ -n "${BYOL_DIST_MARCH:-}" ]; then
    skip widths "this processor has one width of vectors only, or the build was chosen"
    return 0
  fi
  local wide=$program narrow=.build/x86-64-v3/release/byol-dist stem size
  status=0
  BYOL_DIST_MARCH=x86-64-v3 swift build -c release --scratch-path .build/x86-64-v3 --product byol-dist \
    >"$work/out" 2>"$work/err" </dev/null || status=$?
  [ "$status" = 0 ] || { bad "widths: the build" "it failed"; return 0; }
  for stem in cifar imagenet; do
    size=$([ "$stem" = cifar ] && echo 32 || echo 96)
    for program in "$wide" "$narrow"; do
      ranks 2 train --data shapes --encoder resnet18 --width 24 --stem "$stem" --image-size "$size" --batch 16 --steps 4 \
        --threads 1 --out "$work/$stem-$([ "$program" = "$wide" ] && echo wide || echo narrow)"
      [ "$status" = 0 ] || { bad "widths: $stem" "it failed"; program=$wide; return 0; }
    done
    program=$wide
    holds "widths: the same bytes, $stem" same_bytes "$work/$stem-wide" "$work/$stem-narrow" step-00000004
    holds "widths: the same losses, $stem" same_losses "$work/$stem-wide" "$work/$stem-narrow" 4
  done
}

run_cases
