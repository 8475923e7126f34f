#!/usr/bin/env bash
# launch/run --hosts and the multi-rank tests over two hosts: network namespaces joined by a virtual cable, each with
# a host name of its own, so that Open MPI talks TCP between them.
# Usage, as root: Tests/Cluster/two-hosts.sh [FILTER]. Ends with "N passed, N failed".
set -euo pipefail
cluster_test=hosts
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
setup_packages iproute2

one=byol-$$-a two=byol-$$-b
clean() {
  # Beyond a pulled cable Open MPI's daemon stays until TCP gives up.
  ip netns pids "$two" 2>/dev/null | xargs -r kill -KILL || true
  ip netns del "$one" 2>/dev/null || true
  ip netns del "$two" 2>/dev/null || true
  rm -rf "$work"
}
trap clean EXIT

ip netns add "$one"
ip netns add "$two"
ip -n "$one" link add eth0 type veth peer name eth0 netns "$two"
for side in "$one 1" "$two 2"; do
  read -r name number <<<"$side"
  ip -n "$name" addr add "10.77.0.$number/24" dev eth0
  ip -n "$name" link set eth0 up
  ip -n "$name" link set lo up
done

# Stands in for ssh: enters the namespace that has the address.
cat >"$work/agent" <<AGENT
#!/bin/bash
address=\$1
shift
case \$address in 10.77.0.1) name=$one ;; *) name=$two ;; esac
exec nsenter --net=/run/netns/\$name unshare --uts sh -c "hostname \$name; \$*"
AGENT
chmod +x "$work/agent"
printf '10.77.0.1 slots=2\n10.77.0.2 slots=2\n' >"$work/hosts"
export OMPI_MCA_plm_rsh_agent=$work/agent OMPI_MCA_btl=tcp,self,vader OMPI_MCA_btl_tcp_if_include=10.77.0.0/24 \
  OMPI_MCA_oob_tcp_if_include=10.77.0.0/24

on_one() { nsenter --net="/run/netns/$one" unshare --uts sh -c "hostname $one; exec \"\$@\"" sh "$@"; }

mpirun_basics
multirank() {
  on_one timeout -k 5 300 "${MPIRUN[@]}" --hostfile "$work/hosts" --bind-to none -n "$1" "$bin/multirank-tests" \
    --expect-ranks "$1" --filter "$2" >"$work/out" 2>&1 </dev/null || true
}
multirank 4 collectives
check "hosts: every collective over two hosts" "$work/out" "split by host" " passed, 0 failed"
for ranks in 4 3; do
  multirank "$ranks" update
  check "hosts: $ranks ranks on two update in common to the bits of replicas" "$work/out" "bits of replicas" \
    " passed, 0 failed"
done

export BYOL_DIST_PROGRAM=$work/product STAND_IN_STATE=$work/state
STAND_IN="steps 300" on_one timeout -k 5 60 launch/run --hosts "$work/hosts" train --out "$work/run" \
  >"$work/out" 2>&1 </dev/null &
pid=$!
until_true 30 printed "$work/out" "starts at 0" || true
sleep 1
kill -USR1 "$(pgrep -o -f "^bash launch/run --hosts $work/hosts")"
wait "$pid" || echo "status $?" >>"$work/out"
check "hosts: a signal reaches both hosts' ranks" "$work/out" "ranks 4 threads 1 " "checkpoint written" "status 75"
status=0
STAND_IN="steps 30" on_one timeout -k 5 60 launch/run --hosts "$work/hosts" train --out "$work/run" \
  >"$work/out" 2>&1 </dev/null || status=$?
echo "status $status" >>"$work/out"
check "hosts: the same command goes on" "$work/out" "starts at a later step" "finished" "status 0"

# A cable that is pulled leaves nothing to wait for: the watchdog ends the job.
STAND_IN="steps 3000" BYOL_DIST_COLLECTIVE_TIMEOUT=3 on_one timeout -k 5 60 launch/run --hosts "$work/hosts" \
  train --out "$work/run" >"$work/out" 2>&1 </dev/null &
pid=$!
rm -f "$work/state"
until_true 30 printed "$work/out" "starts at" || true
sleep 1
ip -n "$two" link set eth0 down
status=0
wait "$pid" || status=$?
echo "status $status" >>"$work/out"
check "hosts: a pulled cable ends the job with the reason" "$work/out" "for a rank of another host, all alive" "status 1"
closing_line
