#!/usr/bin/env bash
# What a transfer costs beside its gradient steps: 4 x 4 networks, six methods of one gradient a step, K = 10.
#   run.sh RUNNER DIR [IMAGES]
# DIR holds data/cifar10 (1,000 or more test images) and weights/resnet{20,32,44,56}-*.th. The steps' own seconds are those that the
# attack task of each network reports for i-fgsm (its last answers included), times six; the transfer is timed whole, start included.
# Measured 2026-11-27 on two cores of an Intel Xeon (Sapphire Rapids), 1,000 images: 815.6 s, the steps 794.0 s, ratio 1.03.
set -euo pipefail
runner=$(realpath "$1") dir=$2 images=${3:-1000}
cd "$dir"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

common() {
    cat <<SPEC
task = "$1"
seed = 0
[data]
kind = "cifar10"
dir = "data/cifar10"
normalize = { mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225] }
test_limit = $images
eval_batch_size = 100
SPEC
}

steps=0
for weights in weights/resnet{20,32,44,56}-*.th; do
    arch=$(basename "$weights"); arch=${arch%%-*}
    { common attack; cat <<SPEC
[model]
arch = "$arch"
weights = "$weights"
[attack]
kind = "i-fgsm"
epsilon = "4/255"
step_size = "1/255"
k = 10
SPEC
    } > "$out/$arch.toml"
    "$runner" "$out/$arch.toml" --results "$out/results" --quiet > /dev/null
    seconds=$(awk -F, '$5 == "i-fgsm" { print $11 }' "$out/results/$arch"/*/metrics.csv)
    echo "$arch: $seconds s"
    steps=$(python3 -c "print($steps + 6 * $seconds)")
done

{ common transfer; cat <<SPEC
[attack]
epsilon = "4/255"
[transfer]
eight_bit = false
linbp = [false]
surrogates = ["resnet20", "resnet32", "resnet44", "resnet56"]
attacks = [
$(printf '    { kind = "%s", step_size = "1/255", k = 10 },\n' i-fgsm pgd mi-fgsm ni-fgsm di-fgsm ti-fgsm)
]
SPEC
for weights in weights/resnet{20,32,44,56}-*.th; do
    arch=$(basename "$weights"); arch=${arch%%-*}
    printf '[transfer.models.%s]\narch = "%s"\nweights = "%s"\n' "$arch" "$arch" "$weights"
done
} > "$out/transfer.toml"
begin=$(date +%s.%N)
"$runner" "$out/transfer.toml" --results "$out/results" --quiet > /dev/null
python3 - "$begin" "$(date +%s.%N)" "$steps" <<'PY'
import sys
begin, end, steps = map(float, sys.argv[1:])
print(f"transfer {end - begin:.1f} s, steps {steps:.1f} s, ratio {(end - begin) / steps:.2f}")
PY
