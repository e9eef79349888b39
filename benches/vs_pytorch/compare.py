"""Runs our side and PyTorch's in turn, A B A B, and prints medians and their ratio, a row per piece of work.

compare.py [--rounds 5] [--threads 2] [--seconds 4] [--batch N] [--compile] [--tcmalloc PATH] [WORK ...]
compare.py --device cuda [--rounds 5] [--seconds 4] [--batch N] [WORK ...]

The interpreter that runs this script must have torch. Build our side first: `cargo bench --no-run --bench vs_pytorch`; on a
card with `--features cuda,cudnn`, and name what it made by `--ours` where PyTorch's machine has no cargo.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORKS = {
    "train:mobilenet_v2": 128,
    "trades:preact_resnet18": 128,
    "trades-awp:preact_resnet18": 128,
    "input-gradient:mobilenet_v2": 128,
    "fgsm-rs:preact_resnet18": 128,
    "train:resnet50": 128,
    "input-gradient:resnet50": 128,
    "train:resnet18": 128,
    "input-gradient:resnet18": 128,
    "train:preact_resnet18": 128,
    "input-gradient:preact_resnet18": 128,
    "train:vgg16_bn": 128,
    "train:wide_resnet28_10": 32,
    "epoch:lenet5": 64,
    "epoch:mlp": 64,
    "simulation:one-layer": 1,
}


ON_CARD = ["adversarial:mobilenet_v2", "adversarial:resnet18", "adversarial:resnet50", "pgd20:resnet18"]
CARD_BATCHES = [128, 512]


def our_binary(features=()):
    build = subprocess.run(
        ["cargo", "bench", "--no-run", "--bench", "vs_pytorch", "--message-format=json", *features],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )
    messages = [json.loads(line) for line in build.stdout.splitlines() if line.startswith("{")]
    return next(m["executable"] for m in messages if m.get("target", {}).get("name") == "vs_pytorch")


def measure(command, environment=None):
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}:\n{done.stderr}")
    result = json.loads(done.stdout.splitlines()[-1])
    return statistics.median(result["times"]), result["peak_mib"]


def compare_on_card(options):
    """Ours in tf32 and bf16 beside PyTorch's eager tf32 and its compiled bf16."""
    ours = options.ours or our_binary(["--features", "cuda,cudnn"])
    theirs = [sys.executable, Path(__file__).with_name("pytorch_side.py")]
    sides = {
        "tf32": lambda job: [ours, *job, "cuda", "tf32"],
        "eager tf32": lambda job: [*theirs, *job, "--cuda", "tf32"],
        "bf16": lambda job: [ours, *job, "cuda", "bf16"],
        "compiled bf16": lambda job: [*theirs, *job, "--cuda", "bf16", "--compile"],
    }
    print("| work | batch | ours tf32 s | PyTorch eager tf32 s | ratio | ours bf16 s | PyTorch compiled bf16 s | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for work in options.works or ON_CARD:
        for batch in [options.batch] if options.batch else CARD_BATCHES:
            job = [work, str(batch), str(options.threads), str(options.seconds)]
            times = {side: [] for side in sides}
            for _ in range(options.rounds):
                for side, command in sides.items():
                    times[side].append(measure(command(job))[0])
            median = {side: statistics.median(values) for side, values in times.items()}
            cells = [f"{median[side]:.4f}" for side in sides]
            cells.insert(2, f"{median['tf32'] / median['eager tf32']:.2f}")
            cells.append(f"{median['bf16'] / median['compiled bf16']:.2f}")
            print(f"| {work} | {batch} | {' | '.join(cells)} |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("works", nargs="*")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--ours", help="our side's binary, where it is built already")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--batch", type=int, help="another batch size than each work's own")
    parser.add_argument("--compile", action="store_true", help="let PyTorch at its best try torch.compile too")
    parser.add_argument("--tcmalloc", help="libtcmalloc_minimal.so.4, preloaded for PyTorch at its best")
    options = parser.parse_args()
    if options.device == "cuda":
        return compare_on_card(options)
    ours = options.ours or our_binary()
    theirs = [sys.executable, Path(__file__).with_name("pytorch_side.py")]
    best = dict(os.environ)
    if options.tcmalloc:
        best["LD_PRELOAD"] = options.tcmalloc
    print("| work | ours s | PyTorch s | ratio | at its best s | ratio | peak MiB ours / PyTorch |")
    print("|---|---|---|---|---|---|---|")
    for work in options.works or WORKS:
        batch = options.batch or WORKS[work]
        job = [work, str(batch), str(options.threads), str(options.seconds)]
        rows = {"ours": [], "plain": [], "best": []}
        for _ in range(options.rounds):
            rows["ours"].append(measure([ours, *job]))
            rows["plain"].append(measure([*theirs, *job]))
            rows["best"].append(measure([*theirs, *job, "--best"], best))
            if options.compile:
                # Whichever of the two is faster counts as PyTorch at its best.
                compiled = measure([*theirs, *job, "--best", "--compile"], best)
                rows["best"][-1] = min(rows["best"][-1], compiled)
        time = {side: statistics.median(t for t, _ in values) for side, values in rows.items()}
        peak = {side: max(p for _, p in values) for side, values in rows.items()}
        print(
            f"| {work}, batch {batch} | {time['ours']:.3f} | {time['plain']:.3f} "
            f"| {time['ours'] / time['plain']:.2f} | {time['best']:.3f} | {time['ours'] / time['best']:.2f} "
            f"| {peak['ours']} / {peak['plain']} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
