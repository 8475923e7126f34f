#!/usr/bin/env bash
# Tests of what launch/run plans: ranks, threads, binding, from masks, quotas, Slurm's variables and host files; and of how
# it is found. The program that it starts here prints what it was given.
# Usage: Tests/Launch/plan.sh [FILTER]; ends with "N passed, N failed, N skipped".
set -euo pipefail
suite=launch
names=(cores quotas slurm ranks mistakes links)
. "$(dirname "${BASH_SOURCE[0]}")/../EndToEnd/common.sh"
. launch/cores.sh
. launch/slurm-plan.sh
# Rank 0 alone speaks: how many ranks there are, what each was told, and the arguments.
cat >"$work/printer" <<'END'
#!/bin/sh
[ "${OMPI_COMM_WORLD_RANK:-0}" = 0 ] || exit 0
printf 'ranks %s threads %s arguments' "$OMPI_COMM_WORLD_SIZE" "$BYOL_DIST_THREADS"
for argument; do printf ' [%s]' "$argument"; done
echo
END
chmod +x "$work/printer"

# equal NAME FOUND WANTED
equal() {
  if [ "$2" = "$3" ]; then
    good "$1"
  else
    failed=$((failed + 1))
    echo "FAILED  launch: $1: '$2' where '$3' was due"
  fi
}

launch() { # launch COMMAND...: sets status and $work/out
  status=0
  BYOL_DIST_PROGRAM=$work/printer timeout -k 5 60 "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
}

case_cores() {
  local rows row mask table wanted
  # Mask, CPU,core,socket of each CPU, and the cores that may be used.
  rows=(
    "0-3|0,0,0 1,1,0 2,2,0 3,3,0|4" "0|0,0,0 1,1,0|1" "1,3|0,0,0 1,1,0 2,2,0 3,3,0|2"
    "0-7|0,0,0 1,1,0 2,2,0 3,3,0 4,0,0 5,1,0 6,2,0 7,3,0|4" "0,4|0,0,0 1,1,0 2,2,0 3,3,0 4,0,0 5,1,0|1"
    "0-3|0,0,0 1,0,0 2,0,1 3,0,1|2" "0-1,8-9|0,0,0 1,1,0 8,2,0 9,3,0|4" "0-2||3" "5|0,0,0|1"
  )
  for row in "${rows[@]}"; do
    IFS='|' read -r mask table wanted <<<"$row"
    mkdir -p "$work/proc"
    printf 'Name:\tx\nCpus_allowed_list:\t%s\n' "$mask" >"$work/proc/status"
    : >"$work/proc/cgroup"
    equal "cores of the mask $mask among ${table:-nothing known}" "$(
      cores_proc=$work/proc cores_cgroup=$work/none
      cores_table() { echo "# CPU,Core,Socket"; tr ' ' '\n' <<<"$table"; }
      physical_cores
    )" "$wanted"
  done
  equal "OMP_NUM_THREADS does not count" "$(OMP_NUM_THREADS=1 physical_cores)" "$(physical_cores)"
  equal "a mask of one CPU is one core" "$(taskset -c 0 bash -c '. launch/cores.sh; physical_cores')" 1
}

case_quotas() {
  local groups=$work/cgroup
  mkdir -p "$work/proc" "$groups/a/b" "$groups/cpu,cpuacct/job" "$groups/cpu/old"
  printf 'Cpus_allowed_list:\t0-7\n' >"$work/proc/status"
  quota() { # quota WANTED NAME: with the files as they are
    equal "a quota: $2" "$(
      cores_proc=$work/proc cores_cgroup=$groups
      cores_table() { seq 0 7 | sed 's/.*/&,&,0/'; }
      physical_cores
    )" "$1"
  }
  echo '0::/a/b' >"$work/proc/cgroup"
  quota 8 "none"
  echo 'max 100000' >"$groups/a/b/cpu.max"
  quota 8 "max"
  echo '250000 100000' >"$groups/a/b/cpu.max"
  quota 3 "two and a half cores"
  echo '150000 100000' >"$groups/a/cpu.max"
  quota 2 "of the group above"
  echo '10000 100000' >"$groups/a/cpu.max"
  quota 1 "less than a core"
  echo '1600000 100000' >"$groups/a/cpu.max"
  rm "$groups/a/b/cpu.max"
  quota 8 "more than the cores"
  printf '3:memory:/x\n4:cpu,cpuacct:/job\n' >"$work/proc/cgroup"
  echo 400000 >"$groups/cpu,cpuacct/job/cpu.cfs_quota_us"
  echo 100000 >"$groups/cpu,cpuacct/job/cpu.cfs_period_us"
  quota 4 "of the first version"
  echo -1 >"$groups/cpu,cpuacct/job/cpu.cfs_quota_us"
  quota 8 "of the first version, none"
}

case_slurm() {
  local row text wanted
  for row in "8|8" "8(x2)|8 8" "1,15|1 15" "2(x3),1|2 2 2 1" "16|16" "4(x2),8(x1)|4 4 8" "|" "x|" "8(x)|" "0|" "8(2)|" ",8|"; do
    IFS='|' read -r text wanted <<<"$row"
    equal "the numbers of '$text'" "$(slurm_counts "$text" || true)" "$wanted"
  done
  # Ranks asked for, SLURM_NTASKS, _TASKS_PER_NODE, _JOB_NUM_NODES, _CPUS_PER_TASK, _JOB_CPUS_PER_NODE; then slots, those of
  # the fullest node, and threads, where a node has 64 cores.
  local rows=(
    ";16;8(x2);2;;|16 8 8" ";;8(x2);2;;|16 8 8" ";;1,15;2;;|16 15 4" ";16;1,15;2;;|16 15 4" ";7;2(x3),1;4;;|7 2 32"
    ";16;8(x2);2;4;|16 8 4" ";16;8(x2);2;0;|16 8 8" ";16;8(x2);2;x;|16 8 8" ";;;2;;|128 64 1" ";16;;2;;|16 8 8"
    ";;;;;8(x2),4|20 8 1" ";12;4(x3);3;;64(x2),8|12 4 2" "4;16;8(x2);2;;|16 8 16" "1;16;8(x2);2;;|16 8 64"
    "256;16;8(x2);2;;|16 8 1" ";nonsense;8(x2);2;;|16 8 8"
  )
  for row in "${rows[@]}"; do
    IFS='|' read -r text wanted <<<"$row"
    equal "a plan for '$text'" "$(
      IFS=';' read -r asked SLURM_NTASKS SLURM_TASKS_PER_NODE SLURM_JOB_NUM_NODES SLURM_CPUS_PER_TASK \
        SLURM_JOB_CPUS_PER_NODE <<<"$text"
      slurm_plan 64 "$asked"
      echo "$slots $slots_here $slurm_threads"
    )" "$wanted"
  done
}

case_ranks() {
  local cores
  cores=$(physical_cores)
  printed() { # printed NAME TEXT
    if [ "$status" = 0 ] && [ "$(cat "$work/out")" = "$2" ]; then good "$1"; else bad "$1" "'$2' was due"; fi
  }
  launch launch/run
  printed "one rank a core" "ranks $cores threads 1 arguments"
  launch launch/run -n 1 --steps 5
  printed "a rank alone has every core" "ranks 1 threads $cores arguments [--steps] [5]"
  launch env OMP_NUM_THREADS=1 launch/run
  printed "whatever OMP_NUM_THREADS says" "ranks $cores threads 1 arguments"
  launch taskset -c 0 launch/run
  printed "of the mask" "ranks 1 threads 1 arguments"
  launch taskset -c 0 launch/run -n 2
  printed "more ranks than the mask has cores" "ranks 2 threads 1 arguments"
  launch launch/run -n $((cores + 3)) train --steps 5
  printed "more ranks than cores" "ranks $((cores + 3)) threads 1 arguments [train] [--steps] [5]"
  launch launch/run -n 1 export --out "a b"
  printed "arguments pass untouched" "ranks 1 threads $cores arguments [export] [--out] [a b]"
  for command in "data preview" "report x" "study --list" "train --help"; do
    # shellcheck disable=SC2086
    launch launch/run $command
    holds "one rank for $command" grep -q '^ranks 1 ' "$work/out"
  done
  printf 'localhost slots=3 # here\n' >"$work/hosts"
  launch launch/run --hosts "$work/hosts"
  holds "the host file says how many ranks" grep -q '^ranks 3 ' "$work/out"
}

case_mistakes() {
  refused() { # refused NAME TEXT ARGUMENTS...
    launch launch/run "${@:3}"
    ends "$1" 2 "$2"
  }
  refused "no ranks" "-n 0" -n 0
  refused "launch/run's options come first" "comes before" --steps 5 -n 2
  refused "no host file" "$work/none" --hosts "$work/none"
  printf '# two\nlocalhost slots=1\nlocalhost slots=x\n' >"$work/bad-hosts"
  refused "a bad line of the host file" "line 3" --hosts "$work/bad-hosts"
}

case_links() {
  local here=$PWD
  mkdir -p "$work/a folder/bin"
  ln -s "$here/launch/run" "$work/a folder/bin/byol-run"
  ln -s byol-run "$work/a folder/bin/again"
  ln -s "$here" "$work/tree"
  cd "$work/a folder"
  launch bin/byol-run
  holds "by a link" grep -q '^ranks ' "$work/out"
  launch bin/again
  holds "by a link to a link" grep -q '^ranks ' "$work/out"
  launch env PATH="$work/a folder/bin:$PATH" byol-run
  holds "by PATH" grep -q '^ranks ' "$work/out"
  launch "$work/tree/launch/run"
  holds "in a linked folder" grep -q '^ranks ' "$work/out"
  cd "$here"
}

run_cases
