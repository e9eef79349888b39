#!/usr/bin/env bash
# A day on a machine with an NVIDIA card, in parts, each with its own time limit and log:
#
#   benches/card_day/day.sh BINARIES LOGS [PART[:SECONDS] ...]
#
# BINARIES holds what `cargo build --release --features cuda,cudnn --bins --test cuda --test parity --bench vs_pytorch`
# made, named runner, cuda, parity, vs_pytorch: such a machine needs no cargo. Parts, in order of value:
#   devices    what the program sees
#   cuda       ops, models and runs in three precisions beside the CPU
#   parity     logits and signs of one attack step of every architecture beside float64 and PyTorch (needs RUNNER_PYTHON)
#   cifar      an adversarial training on the CIFAR-10 of DATA, killed and resumed (needs DATA)
#   speed      beside PyTorch, tf32 and bf16 (needs RUNNER_PYTHON)
#   aims       fast adversarial training and AutoAttack on 1,000 images: 15 epochs of a PreActResNet-18 in tf32, 4 epochs of
#              a WideResNet-28-10 in bf16 (needs DATA)
#   kernels    where the time of a step goes (needs ncu)
#   sanitizer  the op tests under compute-sanitizer, and what attacks step by under its search for races
# A part that fails or runs out of time is said so, and the next one begins.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
[[ $# -ge 2 ]] || { sed -n '2,17s/^# \{0,1\}//p' "$0"; exit 2; }
bin=$(cd "$1" && pwd); logs=$2; shift 2
mkdir -p "$logs"
python=${RUNNER_PYTHON:-python3}
export RUNNER_PYTHON=$python
works=(${WORKS:-adversarial:mobilenet_v2 adversarial:resnet18 adversarial:resnet50 pgd20:resnet18})

devices() { nvidia-smi -L; "$bin/runner" devices; }
cuda() { "$bin/cuda"; }
parity() { RUNNER_PARITY=${RUNNER_PARITY:-all} "$bin/parity" card --nocapture; }
speed() {
  "$python" "$here/../vs_pytorch/compare.py" --device cuda --ours "$bin/vs_pytorch" \
    --rounds "${ROUNDS:-3}" --seconds "${SECONDS_EACH:-2}" "${works[@]}"
}
# Kernels by the time that they take, over about one step.
kernels() {
  command -v ncu || { echo "ncu is not here"; return 127; }
  for work in "${works[@]}"; do
    for precision in ${PRECISIONS:-tf32 bf16}; do
      echo "== $work, batch 128, $precision"
      ncu --clock-control none --metrics gpu__time_duration.sum --csv --launch-skip 4000 --launch-count 2000 \
        "$bin/vs_pytorch" "$work" 128 2 0 cuda "$precision" > "$logs/ncu.csv" 2> "$logs/ncu.err" || tail -3 "$logs/ncu.err"
      "$python" "$here/kernels.py" "$logs/ncu.csv"
    done
  done
}
sanitizer() {
  command -v compute-sanitizer || { echo "compute-sanitizer is not here"; return 127; }
  compute-sanitizer --tool racecheck --error-exitcode 9 "$bin/cuda" perturbation --test-threads 1 2>&1 | tail -5
  compute-sanitizer --tool memcheck --error-exitcode 9 "$bin/cuda" ops exported searches_end --test-threads 1 2>&1 | tail -25
}
# Two epochs in one go, and again with a kill in the first: the same weights.
cifar() {
  local settings=("$root/experiments/adv_train_mnv2.toml" data.dir="${DATA:?the folder of CIFAR-10}" train.epochs=2)
  local run=("$bin/runner" "${settings[@]}" --device cuda --results)
  "${run[@]}" "$logs/whole" --fresh
  "${run[@]}" "$logs/killed" --fresh &
  sleep "${KILL_AFTER:-16}"; kill -9 $!; wait $! 2> /dev/null
  "${run[@]}" "$logs/killed"
  find "$logs/whole" "$logs/killed" -name metrics.csv -exec cat {} +
  cmp "$(find "$logs/whole" -name final.safetensors)" "$(find "$logs/killed" -name final.safetensors)"
}

aims() {
  local fast=("$root/experiments/fast_cifar10.toml" data.dir="${DATA:?the folder of CIFAR-10}" data.test_limit=1000 data.eval_batch_size=500
    stage.train.precision=bf16 --device cuda --fresh)
  time "$bin/runner" "${fast[@]}" stage.judge.precision=tf32 --results "$logs/aims"
  time "$bin/runner" "${fast[@]}" stage.judge.precision=bf16 --results "$logs/wide" model.arch=wide_resnet28_10 stage.train.train.epochs=4 \
    'stage.judge.evaluate.attacks=["none", "auto-attack"]'
  cat "$logs"/{aims,wide}/fast_cifar10/stages/judge-*/metrics.csv
}

parts=("$@")
[[ ${#parts[@]} -gt 0 ]] || parts=(devices:30 cuda:200 parity:200 cifar:300 speed:900 aims:400 kernels:300 sanitizer:300)
export -f devices cuda parity speed aims kernels sanitizer cifar
export bin logs root here python
for part in "${parts[@]}"; do
  name=${part%%:*} limit=${part#*:}
  [[ $limit != "$part" ]] || limit=600
  begun=$(date +%s)
  timeout "$limit" bash -c "set -o pipefail; $(declare -p works); $name" > "$logs/$name.log" 2>&1
  code=$?
  echo "##### $name: exit $code after $(($(date +%s) - begun)) s"
  tail -n "${TAIL:-40}" "$logs/$name.log"
done
