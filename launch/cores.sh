# Sourced by setup.sh: the cores that this process may use. Nothing here asks OMP_NUM_THREADS, as nproc does.
# shellcheck shell=bash

# Where the system says it; tests put other folders and another table here.
cores_proc=/proc/self cores_cgroup=/sys/fs/cgroup
cores_table() { lscpu -p=CPU,Core,Socket 2>/dev/null; }

# Physical cores that this process may use: those of its affinity mask, at most its control groups' CPU quota.
physical_cores() {
  local cores quota
  cores=$(allowed_cores)
  quota=$(quota_cores)
  if [ -n "$quota" ] && [ "$quota" -lt "$cores" ]; then cores=$quota; fi
  echo $((cores >= 1 ? cores : 1))
}

# Cores of which the affinity mask has a CPU; the mask's CPUs where no table says which core each is of.
allowed_cores() {
  local mask
  mask=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "$cores_proc/status" 2>/dev/null) || true
  cores_table | awk -F, -v mask="$mask" '
    BEGIN {
      parts = split(mask, ranges, ",")
      for (i = 1; i <= parts; i++) {
        last = split(ranges[i], ends, "-")
        for (cpu = ends[1] + 0; cpu <= ends[last] + 0; cpu++) allowed[cpu] = 1
      }
    }
    /^#/ { next }
    parts == 0 || ($1 in allowed) { cores[$2 "," $3] = 1 }
    END {
      for (core in cores) count++
      if (count == 0) for (cpu in allowed) count++
      print count + 0
    }'
}

# CPUs of the smallest quota of this process's control groups and those above them, rounded up; nothing without one.
quota_cores() {
  local line controllers path folder least="" limit period cores
  while IFS= read -r line; do
    controllers=${line#*:}
    path=${controllers#*:} controllers=${controllers%%:*}
    case ,$controllers, in
      ,,) folder=$cores_cgroup ;;
      *,cpu,*)
        folder=$cores_cgroup/$controllers
        [ -d "$folder" ] || folder=$cores_cgroup/cpu
        ;;
      *) continue ;;
    esac
    path=${path%/}
    while :; do
      limit="" period=""
      if [ -z "$controllers" ]; then
        read -r limit period <"$folder$path/cpu.max" || true
      else
        read -r limit <"$folder$path/cpu.cfs_quota_us" || true
        read -r period <"$folder$path/cpu.cfs_period_us" || true
      fi 2>/dev/null
      if [[ $limit =~ ^[1-9][0-9]*$ && $period =~ ^[1-9][0-9]*$ ]]; then
        cores=$(((limit + period - 1) / period))
        if [ -z "$least" ] || [ "$cores" -lt "$least" ]; then least=$cores; fi
      fi
      [ -n "$path" ] || break
      path=${path%/*}
    done
  done <"$cores_proc/cgroup" 2>/dev/null
  echo "$least"
}

# Physical cores of the whole host.
machine_cores() { cores_table | awk -F, '!/^#/ { cores[$2 "," $3] = 1 } END { for (core in cores) count++; print count + 0 }'; }
