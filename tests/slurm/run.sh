#!/usr/bin/env bash
# A sweep of twelve trainings as an array of Slurm jobs, four or more of them pre-empted and one killed, against the same sweep by one
# process: run.sh RUNNER DIR. Ends with 0 where both leave the same summary.
set -euo pipefail
runner=$1 dir=$2
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$dir/work"
"$here/cluster.sh" start "$dir/cluster"
trap '"$here/cluster.sh" stop "$dir/cluster"' EXIT
export SLURM_CONF=$dir/cluster/slurm.conf
cd "$dir/work"
cat > study.toml <<'EOF'
task = "train"
[data]
kind = "digits"
train_limit = 2000
test_limit = 200
batch_size = 20
[model]
arch = "mlp"
[optimizer]
lr = 0.05
[train]
epochs = 12
[checkpoint]
every = "20 steps"
[sweep]
seeds = 12
[launcher]
partition = "low"
cpus = 1
setup = ["export STUDY=1"]
EOF

"$runner" study.toml --launcher slurm --device cpu
# What is edited after the submission changes nothing.
sed -i 's/^lr = .*/lr = 0.5/' study.toml
told=$("$runner" list study 2>&1 > /dev/null)
[[ $told =~ "tasks in Slurm's queue: " ]] || { echo "list says of the queue: $told" >&2; exit 1; }
running() { squeue -h -t R -p low -r -o %i; }
queued() { squeue -h -p low -r -o %i; }
# Slurm lets a job that was requeued wait for two minutes.
start_requeued() {
    squeue -h -t PD -p low -r -o '%i %r' | grep BeginTime | cut -d' ' -f1 | xargs -r -I{} scontrol update JobId={} StartTime=now || true
}
some_run() { start_requeued; [ -n "$(running)" ]; }
none_queued() { start_requeued; [ -z "$(queued)" ]; }
wait_for() {
    for _ in $(seq 900); do "$@" && return; sleep 0.1; done
    echo "waited in vain: $*" >&2; squeue >&2; return 1
}

# Both places are taken from the runs that have them, until Slurm has requeued four tasks: a run may end by itself just before.
requeued() { scontrol show job | awk 'match($0, / Restarts=[0-9]+/) { n += substr($0, RSTART + 10, RLENGTH - 10) } END { print n + 0 }'; }
while [ "$(requeued)" -lt 4 ]; do
    wait_for some_run
    sleep 0.3
    sbatch -p high --exclusive --wait --output=/dev/null --wrap 'sleep 0.2' > /dev/null
done
# One run is killed: its task ends, and the others go on.
kill_one() {
    # Between two runs there is none, and one that is found may end by itself.
    local found
    found=$(pgrep -n -f 'point --results') && kill -9 "$found" 2> /dev/null
}
kill_first() { some_run && sleep 0.3 && kill_one; }
wait_for kill_first
wait_for none_queued
unfinished=$("$runner" list study --where 'state!=finished' | tail -n +2 | wc -l)
echo "4 or more tasks pre-empted, 1 killed, $unfinished not finished"

# The same command submits what is left; the spec is that of the first submission again.
sed -i 's/^lr = .*/lr = 0.05/' study.toml
"$runner" study.toml --launcher slurm --device cpu
wait_for none_queued
[ -s results/study/summary.csv ] || { echo "no report" >&2; exit 1; }

# Of two trainings and three attacks on each, each training is a job of its own, for which its attacks wait in the queue.
cat > chain.toml <<'EOF'
[data]
kind = "digits"
train_limit = 500
test_limit = 100
[model]
arch = "mlp"
[optimizer]
lr = 0.05
[train]
epochs = 1
[[stage]]
id = "train"
task = "train"
[[stage]]
id = "craft"
task = "attack"
model = { weights = "@train" }
attack = { kind = "fgsm" }
[launcher]
partition = "low"
cpus = 1
[sweep]
seeds = 2
"stage.craft.attack.epsilon" = [0.1, 0.2, 0.3]
EOF
"$runner" chain.toml --launcher slurm --device cpu
waiting=$(squeue -h -t PD -p low -o %E | grep -c afterany)
[ "$waiting" -ge 2 ] || { echo "$waiting arrays wait for a training" >&2; squeue -o '%i %T %E' >&2; exit 1; }
wait_for none_queued
finished=$("$runner" list chain --where 'state=finished' | tail -n +2 | wc -l)
[ "$finished" = 6 ] || { echo "$finished runs of the chain finished" >&2; "$runner" list chain >&2; exit 1; }
trained=$(grep -l 'train: epoch' results/chain/slurm/1/*/*.log | xargs -n1 basename | sort | uniq -c | xargs)
[ "$trained" = "2 shared.log" ] || { echo "trained by: $trained" >&2; exit 1; }
echo "6 attacks after 2 trainings, each a job of its own"

RAYON_NUM_THREADS=1 "$runner" study.toml --results alone --device cpu --quiet > /dev/null
diff results/study/summary.csv alone/study/summary.csv
for run in alone/study/*/; do
    name=$(basename "$run")
    [ -f "$run/run.json" ] || continue
    cmp "$run/checkpoints/final.safetensors" "results/study/$name/checkpoints/final.safetensors"
done
echo "the same summary and weights as by one process: $(($(wc -l < alone/study/summary.csv) - 1)) runs"
