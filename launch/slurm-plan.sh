# Sourced by launch/run: what a Slurm allocation's variables say of ranks and threads.
# shellcheck shell=bash

# slurm_counts TEXT: the numbers of Slurm's short form, a word a node: "2(x3),1" gives "2 2 2 1". Fails for anything else.
slurm_counts() {
  local part counts=() times
  [[ $1 =~ ^[1-9][0-9]{0,6}(\(x[1-9][0-9]{0,5}\))?(,[1-9][0-9]{0,6}(\(x[1-9][0-9]{0,5}\))?)*$ ]] || return 1
  for part in ${1//,/ }; do
    times=1
    if [[ $part =~ x([0-9]+) ]]; then times=${BASH_REMATCH[1]}; fi
    while [ "$times" -gt 0 ]; do
      counts+=("${part%%(*}")
      times=$((times - 1))
    done
  done
  echo "${counts[*]}"
}

# positive TEXT: whether it is a whole number above 0.
positive() { [[ ${1:-} =~ ^[1-9][0-9]{0,6}$ ]]; }

# slurm_plan CORES [RANKS]: for nodes of so many cores, unless Slurm says otherwise, and as many ranks as asked for. Sets
# slots (ranks of the allocation), slots_here (of its fullest node) and slurm_threads (a rank, for which every node has cores).
slurm_plan() {
  local cores=$1 asked=${2:-} nodes=1 tasks=() cpus=() index node_cpus share
  if positive "${SLURM_JOB_NUM_NODES:-}"; then nodes=$SLURM_JOB_NUM_NODES; fi
  read -ra cpus <<<"$(slurm_counts "${SLURM_JOB_CPUS_PER_NODE:-}" || true)"
  [ ${#cpus[@]} = 0 ] || nodes=${#cpus[@]}
  read -ra tasks <<<"$(slurm_counts "${SLURM_TASKS_PER_NODE:-}" || true)"
  if [ ${#tasks[@]} = 0 ]; then
    for ((index = 0; index < nodes; index++)); do
      if positive "${SLURM_NTASKS:-}"; then
        tasks+=($(((SLURM_NTASKS + nodes - 1) / nodes)))
      else
        node_cpus=${cpus[index]:-$cores}
        tasks+=($((node_cpus < cores ? node_cpus : cores)))
      fi
    done
  fi
  slots=0 slots_here=0
  for share in "${tasks[@]}"; do
    slots=$((slots + share))
    [ "$share" -le "$slots_here" ] || slots_here=$share
  done
  if positive "${SLURM_NTASKS:-}"; then slots=$SLURM_NTASKS; fi
  # Ranks beyond the allocation's are dealt out over all of its nodes.
  if positive "$asked" && [ "$asked" -gt "$slots" ]; then
    share=$(((asked + ${#tasks[@]} - 1) / ${#tasks[@]}))
    tasks=("${tasks[@]/*/$share}")
  fi
  slurm_threads=""
  if positive "${SLURM_CPUS_PER_TASK:-}"; then
    slurm_threads=$SLURM_CPUS_PER_TASK
    return 0
  fi
  for index in "${!tasks[@]}"; do
    node_cpus=${cpus[index]:-$cores}
    node_cpus=$((node_cpus < cores ? node_cpus : cores))
    share=${tasks[index]}
    if positive "$asked" && [ "$asked" -lt "$share" ]; then share=$asked; fi
    share=$((node_cpus / share))
    if [ -z "$slurm_threads" ] || [ "$share" -lt "$slurm_threads" ]; then slurm_threads=$share; fi
  done
  [ "$slurm_threads" -ge 1 ] || slurm_threads=1
}
