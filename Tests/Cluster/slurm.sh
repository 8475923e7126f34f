#!/usr/bin/env bash
# launch/slurm.sbatch under a real Slurm with two virtual nodes on this machine: checkpoint, requeue, finish.
# Usage, as root: Tests/Cluster/slurm.sh [FILTER]. Installs slurm-wlm and munge. Ends with "N passed, N failed".
set -euo pipefail
cluster_test=slurm
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
setup_packages slurm-wlm munge

host=$(hostname -s)
base=$work/slurm
export SLURM_CONF=$base/slurm.conf

stop_slurm() {
  local file
  [ -z "${job:-}" ] || scancel "$job" 2>/dev/null || true
  for file in "$base"/run/slurmd.*.pid "$base"/run/slurmctld.pid "$base"/munge/pid; do
    [ ! -s "$file" ] || kill "$(cat "$file")" 2>/dev/null || true
  done
  sleep 0.5
  rm -rf "$work"
}
trap stop_slurm EXIT

start_slurm() {
  mkdir -p "$base"/{munge,state,log,run,spool.node1,spool.node2,tmp.node1,tmp.node2}
  chmod 755 "$base"
  chmod 711 "$base/munge"
  (umask 077 && dd if=/dev/urandom of="$base/munge/key" bs=128 count=1 2>/dev/null)
  # Each node has its own UTS name and temporary folder: Open MPI and PMIx take nodes of one name for one host.
  cat >"$SLURM_CONF" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$base/munge/sock,cred_expire=5
SlurmctldPort=16817
StateSaveLocation=$base/state
SlurmdSpoolDir=$base/spool.%n
SlurmctldPidFile=$base/run/slurmctld.pid
SlurmdPidFile=$base/run/slurmd.%n.pid
SlurmctldLogFile=$base/log/slurmctld.log
SlurmdLogFile=$base/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
TmpFS=$base/tmp.%n
MpiDefault=none
KillWait=5
MinJobAge=3600
NodeName=node[1-2] NodeHostname=$host NodeAddr=127.0.0.1 Port=[17001-17002] CPUs=2 RealMemory=1000 State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
CONF
  munged --key-file="$base/munge/key" --socket="$base/munge/sock" --pid-file="$base/munge/pid" \
    --log-file="$base/munge/log" --seed-file="$base/munge/seed" --num-threads=2
  slurmctld -f "$SLURM_CONF"
  local node
  for node in node1 node2; do unshare --uts sh -c "hostname $node; exec slurmd -f $SLURM_CONF -N $node"; done
  until_true 30 both_idle || { cat "$base"/log/*.log; fail 1 "Slurm's two nodes did not come up"; }
}
both_idle() { [ "$(sinfo -h -t idle -o %D)" = 2 ]; }
job_is() { scontrol show job "$job" | grep -q "$1"; }

start_slurm
log=$work/job.log

# submit NAME: sets job; the arguments after the name go to byol-dist.
submit() {
  : >"$log"
  job=$(sbatch --parsable --output="$log" --nodes=2 --ntasks-per-node=2 --cpus-per-task=1 --time=10 \
    --export="ALL,$1" launch/slurm.sbatch "${@:2}")
}

settings="BYOL_DIST_PROGRAM=$work/product,STAND_IN_STATE=$work/state"
submit "$settings,STAND_IN=steps 300" train --out "$work/run"
until_true 60 printed "$log" "starts at 0" || true
sleep 1
scancel --signal=USR1 --batch "$job"
until_true 60 printed "$log" "finished" || true
until_true 20 job_is JobState=COMPLETED || true
scontrol show job "$job" >>"$log"
check "slurm: checkpoint at the warning, requeue, finish on two nodes" "$log" "ranks 4 threads 1 " \
  "checkpoint written" "queueing the rest" "starts at a later step" "finished" "JobState=COMPLETED" "Restarts=1"

submit "$settings,STAND_IN=status 2" train --out "$work/run"
until_true 60 job_is JobState=FAILED || true
scontrol show job "$job" >>"$log"
check "slurm: a mistake is not queued again" "$log" "ExitCode=2:0" "Restarts=0"

submit "$settings" train
until_true 60 job_is JobState=FAILED || true
check "slurm: without --out nothing starts" "$log" "no --out"
job=""
closing_line
