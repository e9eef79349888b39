"""An epoch of adversarial training by this program and by a good PyTorch loop: one after the other, several rounds.

    python benches/adversarial_epoch/compare.py target/release/runner --data data/cifar10 [--arch mobilenet_v2] [--images 10000]

PGD with K = 5 from a random start on a network in evaluation mode, then a step of SGD with momentum on the images that it made, in
batches of 128 with random crops and flips. The loop has its images in memory, channels-last, takes gradients of the images alone in
the attack, and has tcmalloc where `--tcmalloc` says where that lies.
"""

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SPEC = """task = "adversarial-train"
seed = 0
[data]
kind = "cifar10"
dir = "{data}"
augment = ["random-crop", "horizontal-flip"]
batch_size = {batch}
train_limit = {images}
test_limit = 1000
[model]
arch = "{arch}"
[optimizer]
kind = "sgd"
lr = 0.01
momentum = 0.9
weight_decay = 2e-4
[train]
epochs = 1
[attack]
kind = "pgd"
epsilon = "8/255"
step_size = "2/255"
k = 5
[evaluate]
attacks = ["none"]
"""


def ours(options, folder):
    """Seconds of the whole command, and of the epoch without the evaluation after it."""
    spec = folder / "epoch.toml"
    data = Path(options.data).resolve()
    spec.write_text(SPEC.format(data=data, images=options.images, batch=options.batch, arch=options.arch))
    environment = os.environ | {"RAYON_NUM_THREADS": str(options.threads)}
    begun = time.perf_counter()
    command = [options.runner, spec, "--results", folder, "--fresh", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(done.stderr)
    whole = time.perf_counter() - begun
    run = next(path for path in (folder / "epoch").iterdir() if (path / "run.json").exists())
    rows = csv.DictReader(open(next(run.rglob("metrics.csv")), newline=""))
    train = [float(row["seconds"]) for row in rows if row["split"] == "train"]
    return whole, train[-1]


def theirs(options):
    """Seconds of the epoch, by this very file in a process of its own."""
    environment = dict(os.environ)
    if options.tcmalloc:
        environment["LD_PRELOAD"] = options.tcmalloc
    command = [sys.executable, __file__, "--loop", *sys.argv[1:]]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return float(done.stdout.splitlines()[-1])


def loop(options):
    import torch
    from torch.nn.functional import cross_entropy, pad

    sys.path.insert(0, str(ROOT / "tests" / "parity"))
    from architectures import make

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    images = torch.randint(0, 256, (options.images, 3, 32, 32), dtype=torch.uint8)
    labels = torch.randint(0, 10, (options.images,))
    mean = torch.tensor([0.4914, 0.4822, 0.4465]).view(3, 1, 1)
    deviation = torch.tensor([0.2470, 0.2435, 0.2616]).view(3, 1, 1)
    network = make(options.arch).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=2e-4)
    epsilon, step_size = 8 / 255, 2 / 255

    def logits(x):
        return network((x - mean) / deviation)

    def augmented(x):
        n = len(x)
        wide, top, left = pad(x, (4, 4, 4, 4)), torch.randint(0, 9, (n,)), torch.randint(0, 9, (n,))
        rows = (top[:, None] + torch.arange(32))[:, None, :, None]
        columns = left[:, None] + torch.arange(32)
        columns = torch.where(torch.rand(n, 1) < 0.5, columns, columns.flip(1))[:, None, None, :]
        return wide[torch.arange(n)[:, None, None, None], torch.arange(3)[None, :, None, None], rows, columns]

    def epoch(count):
        order = torch.randperm(options.images)[: count * options.batch]
        for index in order.split(options.batch):
            x, y = augmented(images[index].float() / 255), labels[index]
            x = x.contiguous(memory_format=torch.channels_last)
            network.eval()
            adversarial = (x + torch.empty_like(x).uniform_(-epsilon, epsilon)).clamp(0, 1)
            for _ in range(5):
                adversarial.requires_grad_()
                gradient, = torch.autograd.grad(cross_entropy(logits(adversarial), y, reduction="sum"), adversarial)
                adversarial = adversarial.detach() + step_size * gradient.sign()
                adversarial = torch.min(torch.max(adversarial, x - epsilon), x + epsilon).clamp(0, 1)
            network.train()
            optimizer.zero_grad(set_to_none=True)
            cross_entropy(logits(adversarial), y).backward()
            optimizer.step()

    epoch(2)
    begun = time.perf_counter()
    epoch(-(-options.images // options.batch))
    print(time.perf_counter() - begun)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("runner")
    parser.add_argument("--data", required=True)
    parser.add_argument("--arch", default="mobilenet_v2")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tcmalloc", help="libtcmalloc_minimal.so.4, preloaded for PyTorch")
    parser.add_argument("--loop", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.loop:
        return loop(options)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            rows.append((*ours(options, Path(folder)), theirs(options)))
            print("whole command {:.1f} s, its epoch {:.1f} s, PyTorch's {:.1f} s".format(*rows[-1]), flush=True)
    whole, epoch, pytorch = (statistics.median(column) for column in zip(*rows))
    print(f"medians: {epoch:.1f} s, {pytorch:.1f} s, ratio {epoch / pytorch:.2f}; beside the epoch {whole - epoch:.1f} s of {whole:.1f} s")


if __name__ == "__main__":
    main()
