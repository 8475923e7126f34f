# Sourced by launch/run: one mpirun with all that it starts on this host, watched so that it ends soon after it has to.
# shellcheck shell=bash

# in_session SESSION: the processes of a session that are not yet dead.
in_session() {
  local file line fields
  for file in /proc/[0-9]*/stat; do
    read -r line <"$file" || continue
    # The second field, a name in parentheses, may hold anything.
    read -ra fields <<<"${line##*) }"
    if [ "${fields[3]:-}" = "$1" ] && [ "${fields[0]}" != Z ] && [ "${fields[0]}" != X ]; then echo "${line%% *}"; fi
  done 2>/dev/null
}

# end_session SESSION: leaves none of a session's processes behind, within 5 s.
end_session() {
  local tries left
  for ((tries = 0; tries < 100; tries++)); do
    left=$(in_session "$1")
    [ -n "$left" ] || return 0
    # shellcheck disable=SC2086
    kill -KILL $left 2>/dev/null || true
    sleep 0.05
  done
}

# children PROCESS: how many of its children are alive; fails where the system does not say. An mpirun that sleeps leaves
# the dead ones as they are.
children() {
  local list child line count=0
  read -ra list <"/proc/$1/task/$1/children" || [ -e "/proc/$1/task/$1/children" ] || return 1
  for child in ${list[@]+"${list[@]}"}; do
    read -r line <"/proc/$child/stat" || continue
    case ${line##*) } in [ZX]*) ;; *) count=$((count + 1)) ;; esac
  done
  echo "$count"
} 2>/dev/null

# watch_job MPIRUN STATUS_FILE ASKED_FILE LOCAL: looks after a job, five times a second, until its mpirun is gone.
# - A wish to stop, for which ASKED_FILE is there, is repeated every half second: mpirun passes on none before its ranks are
#   there, and ranks take note of the first alone.
# - A job that a rank has ended ("aborted" in STATUS_FILE) gets a second, and one that has said its status four; mpirun by
#   itself would wait for hosts that are gone, or twice the time that a checkpoint may take.
# - Where all ranks are of this host (LOCAL is 1) a rank that is gone without a word ends the job too.
watch_job() {
  local mpirun=$1 status_file=$2 asked_file=$3 local_job=$4 turn=0 most=0 now told over=0 allowed reason
  trap - EXIT
  # A signal at the whole group is for launch/run.
  trap '' TERM INT HUP USR1
  while kill -0 "$mpirun" 2>/dev/null; do
    turn=$((turn + 1))
    told=$(cat "$status_file" 2>/dev/null) || told=""
    if [ -e "$asked_file" ] && [ -z "$told" ] && [ $((turn % 3)) = 0 ]; then kill -USR1 "$mpirun" 2>/dev/null || true; fi
    now=$most
    [ "$local_job" = 0 ] || now=$(children "$mpirun") || now=$most
    [ "$now" -le "$most" ] || most=$now
    reason=""
    case $told in
      aborted*) reason="a rank has ended the job" ;;
      "") [ "$now" -ge "$most" ] || reason="a rank is gone" ;;
      *) reason="all ranks are at their end" ;;
    esac
    if [ -z "$reason" ]; then over=0; else over=$((over + 1)); fi
    # Ranks that have said their status leave MPI, for which hosts have to agree; an mpirun that is ending answers no more.
    allowed=6
    case $told in "" | aborted*) ;; *) [ "$local_job" = 1 ] && [ "$now" = 0 ] || allowed=20 ;; esac
    if [ "$over" -gt "$allowed" ]; then
      [ "$told" != "" ] || say "$reason: ending mpirun"
      end_session "$mpirun"
      return 0
    fi
    sleep 0.2
  done >/dev/null
}
