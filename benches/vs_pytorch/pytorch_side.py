"""PyTorch's side of the comparison: times one piece of work and prints a line of JSON.

pytorch_side.py WORK BATCH THREADS SECONDS [--best] [--cuda PRECISION]

--best: channels-last, and torch.compile where it is faster (pass --compile to try it); preload tcmalloc from outside.
--cuda: the work of card.rs on the first card, channels-last, with cudnn.benchmark; tf32 or f32 as said, bf16 by
autocast. The architectures are those of tests/parity, which the parity tests hold against ours.
"""

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "parity"))
import architectures  # noqa: E402


def repeat(seconds, work):
    work()
    begun, times = time.perf_counter(), []
    while not times or time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return times


def one_layer_simulation(repeats=10, steps=10_000, rows=100, width=10, rate=0.001):
    """The one-layer training simulation in NumPy, both methods from the same draws, as one would write it."""
    generator = np.random.default_rng(0)
    for _ in range(repeats):
        teacher = 1 + 3 * generator.standard_normal(width)
        students = {"bp": generator.standard_normal(width)}
        students["linbp"] = students["bp"].copy()
        curves = {method: np.empty((steps, 2)) for method in students}
        for step in range(steps):
            x = generator.standard_normal((rows, width))
            wanted = np.maximum(x @ teacher, 0)
            for method, w in students.items():
                z = x @ w
                error = np.maximum(z, 0) - wanted
                curves[method][step] = np.abs(w - teacher).sum(), 0.5 * (error**2).sum() / rows
                back = error * (z > 0) if method == "bp" else error
                w -= rate * (x.T @ back) / rows


def on_card(kind, arch, batch, seconds, precision, compiled):
    """An adversarial training step with five attack steps, or a PGD attack of 20 steps on 10,000 images."""
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision != "f32"
    device, together = torch.device("cuda"), 10
    model = architectures.make(arch).to(device, memory_format=torch.channels_last)
    # What PyTorch calls so replays CUDA graphs.
    network = torch.compile(model, mode="reduce-overhead") if compiled else model
    count = 10_000 if kind == "pgd20" else batch
    images = torch.rand(count, 3, 32, 32, device=device).to(memory_format=torch.channels_last)
    labels = torch.arange(count, device=device) % 10
    optimizer = torch.optim.SGD(model.parameters(), lr=0.005, momentum=0.9, weight_decay=5e-4)
    half = torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16")

    def attack(originals, y, k):
        model.eval()
        x = originals
        for _ in range(k):
            x = x.detach().requires_grad_()
            with half:
                loss = nn.functional.cross_entropy(network(x), y, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, x)
            moved = x.detach() + 2 / 255 * gradient.sign()
            x = torch.clamp(torch.min(torch.max(moved, originals - 8 / 255), originals + 8 / 255), 0, 1)
        return x

    def adversarial():
        for _ in range(together):
            x = attack(images, labels, 5)
            model.train()
            optimizer.zero_grad(set_to_none=True)
            with half:
                loss = nn.functional.cross_entropy(network(x), labels)
            loss.backward()
            optimizer.step()
        torch.cuda.synchronize()

    def pgd20():
        for start in range(0, count, batch):
            attack(images[start : start + batch], labels[start : start + batch], 20)
        torch.cuda.synchronize()

    times = repeat(seconds, {"adversarial": adversarial, "pgd20": pgd20}[kind])
    return [t / together for t in times] if kind == "adversarial" else times


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("work")
    parser.add_argument("batch", type=int)
    parser.add_argument("threads", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--best", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--cuda", choices=["f32", "tf32", "bf16"])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    kind, arch = options.work.split(":")
    if options.cuda:
        return report(on_card(kind, arch, options.batch, options.seconds, options.cuda, options.compile))
    if kind == "simulation":
        return report(repeat(options.seconds, one_layer_simulation))
    model = architectures.make(arch)
    side, channels, count = (28, 1, 60_000) if kind == "epoch" else (32, 3, options.batch)
    images = torch.rand(count, channels, side, side)
    labels = torch.arange(count) % 10
    if options.best:
        model = model.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    network = torch.compile(model) if options.compile else model
    momentum = 0.0 if kind == "epoch" else 0.9
    decay = 0.0 if kind == "epoch" else 5e-4
    optimizer = torch.optim.SGD(model.parameters(), lr=0.005, momentum=momentum, weight_decay=decay)

    def step(x, y):
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()

    def train():
        step(images, labels)

    def ascend():
        """The images of TRADES: ten steps up the divergence from the answer to the clean images."""
        model.eval()
        with torch.no_grad():
            clean = nn.functional.softmax(network(images), dim=1)
        x = images + 0.001 * torch.randn_like(images)
        for _ in range(10):
            x.requires_grad_()
            loss = nn.functional.kl_div(nn.functional.log_softmax(network(x), dim=1), clean, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, x)
            moved = x.detach() + 2 / 255 * gradient.sign()
            x = torch.clamp(torch.min(torch.max(moved, images - 8 / 255), images + 8 / 255), 0, 1)
        model.train()
        return x

    def trades_loss(x):
        logits = network(images)
        answer = nn.functional.log_softmax(network(x), dim=1)
        robust = nn.functional.kl_div(answer, nn.functional.softmax(logits, dim=1), reduction="batchmean")
        return nn.functional.cross_entropy(logits, labels) + 6.0 * robust

    def trades(gamma=0.0):
        x, moved = ascend(), []
        if gamma:
            buffers = [buffer.clone() for buffer in model.buffers()]
            weights = [parameter for parameter in model.parameters() if parameter.dim() > 1]
            gradients = torch.autograd.grad(trades_loss(x), weights)
            with torch.no_grad():
                moved = [gamma * w.norm() / (g.norm() + 1e-20) * g for w, g in zip(weights, gradients)]
                torch._foreach_add_(weights, moved)
                for buffer, before in zip(model.buffers(), buffers):
                    buffer.copy_(before)
        optimizer.zero_grad(set_to_none=True)
        trades_loss(x).backward()
        optimizer.step()
        if moved:
            with torch.no_grad():
                torch._foreach_sub_(weights, moved)

    def fgsm_rs():
        delta = torch.empty_like(images).uniform_(-8 / 255, 8 / 255)
        delta = torch.max(torch.min(delta, 1 - images), -images).requires_grad_()
        (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(network(images + delta), labels), delta)
        delta = torch.clamp(delta.detach() + 10 / 255 * gradient.sign(), -8 / 255, 8 / 255)
        step(images + torch.max(torch.min(delta, 1 - images), -images), labels)

    def epoch():
        for start in range(0, count, options.batch):
            step(images[start : start + options.batch], labels[start : start + options.batch])

    def input_gradient():
        x = images.clone().requires_grad_()
        loss = nn.functional.cross_entropy(network(x), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, x)
        moved = images + 2 / 255 * gradient.sign()
        torch.clamp(torch.min(torch.max(moved, images - 8 / 255), images + 8 / 255), 0, 1)

    work = {
        "train": train,
        "fgsm-rs": fgsm_rs,
        "trades": trades,
        "trades-awp": lambda: trades(0.005),
        "epoch": epoch,
        "input-gradient": input_gradient,
    }[kind]
    if kind == "input-gradient":
        model.eval()
        model.requires_grad_(False)
    report(repeat(options.seconds, work))


def report(times):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"times": times, "peak_mib": peak}))


if __name__ == "__main__":
    main()
