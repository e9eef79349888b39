#!/usr/bin/env bash
# A Slurm cluster of this machine alone, for tests: cluster.sh start DIR | stop DIR. Needs slurmctld, slurmd and munged
# (Debian: slurm-wlm and munge) and to be root. Two partitions: `low` is requeued where `high` needs the place.
set -euo pipefail
action=$1 dir=$2
host=$(hostname -s)
cores=$(nproc)

start() {
    mkdir -p "$dir"/{state,spool,log}
    chmod 755 "$dir"
    cat > "$dir/slurm.conf" <<EOF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0
JobRequeue=1
KillWait=10
MinJobAge=600
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cores State=UNKNOWN
PartitionName=low Nodes=$host PriorityTier=1 PreemptMode=REQUEUE Default=YES MaxTime=INFINITE State=UP
PartitionName=high Nodes=$host PriorityTier=10 PreemptMode=OFF MaxTime=INFINITE State=UP
EOF
    mkdir -p "$dir/munge"
    dd if=/dev/urandom of="$dir/munge/key" bs=128 count=1 status=none
    chmod 400 "$dir/munge/key"
    chown -R munge: "$dir/munge"
    chmod 711 "$dir/munge"
    su munge -s /bin/sh -c "munged --force --key-file=$dir/munge/key --socket=$dir/munge/socket \
        --pid-file=$dir/munge/pid --log-file=$dir/munge/log --seed-file=$dir/munge/seed"
    SLURM_CONF=$dir/slurm.conf slurmctld
    SLURM_CONF=$dir/slurm.conf slurmd
    for _ in $(seq 100); do
        SLURM_CONF=$dir/slurm.conf sinfo -h -o %t 2>/dev/null | grep -q idle && return
        sleep 0.2
    done
    echo "the cluster did not come up; see $dir/log" >&2
    return 1
}

stop() {
    for pid in "$dir/slurmd.pid" "$dir/slurmctld.pid" "$dir/munge/pid"; do
        [ -f "$pid" ] && kill "$(cat "$pid")" 2>/dev/null || true
    done
}

"$action"
