"""What PyTorch makes of training steps on single-step images, for the Rust side to compare with.

    python tests/parity/single_step.py FOLDER

reads `FOLDER/question.safetensors`: `images`, `labels`, and `fgsm-rs.start`, `n-fgsm.start`, where the attacks begin. It writes
`FOLDER/weights.pt`, the state dict of a network, and `FOLDER/reference.safetensors`, computed in f64 as the authors' code does
(github.com/locuslab/fast_adversarial, train_fgsm.py; github.com/pdejorge/N-FGSM, train.py;
github.com/mahyarnajibi/FreeAdversarialTraining, main_free.py), with the network in training mode throughout. Each name begins
with the method and with what is linear backwards, `bp`, `linbp` (both gradients) or `inner` (those of the images alone), as in
`free.linbp.`:

- `loss`: the mean loss of the updates;
- `state.NAME`: weights and running statistics after them;
- `perturbation`: what free training has kept.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from architectures import linear, set_linear
from models import weights

NAME = "wide_resnet10_1"
EPSILON, REPLAYS, SMALLER = 8 / 255, 3, 2


class Linear:
    """Which activations are linear backwards in which gradient."""

    def __init__(self, network, variant):
        self.network = network
        self.inner = linear(NAME, network, "attack") if variant != "bp" else ()
        self.outer = linear(NAME, network, "train") if variant == "linbp" else ()

    def image_gradient(self, x, y):
        set_linear(self.network, self.inner)
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(self.network(x), y), x)
        return gradient

    def loss(self, x, y):
        set_linear(self.network, self.outer)
        return F.cross_entropy(self.network(x), y)


def update(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def fgsm_rs(rule, optimizer, x, y, start):
    delta = start - x
    delta = (delta + 1.25 * EPSILON * rule.image_gradient(x + delta, y).sign()).clamp(-EPSILON, EPSILON)
    delta = torch.max(torch.min(delta, 1 - x), 0 - x)
    return {"loss": update(optimizer, rule.loss(x + delta, y))}


def n_fgsm(rule, optimizer, x, y, start):
    delta = start - x
    delta = delta + EPSILON * rule.image_gradient(x + delta, y).sign()
    delta = torch.max(torch.min(delta, 1 - x), 0 - x)
    return {"loss": update(optimizer, rule.loss(x + delta, y))}


def clamped(values):
    """Values in [0, 1]. Those at the ends have a gradient, as in the authors' code, whatever torch's clamp does there: it gave them
    one in 2.11 and none in 2.15."""
    inside = (values >= 0) & (values <= 1)
    return values.detach().clamp(0, 1) + (values - values.detach()) * inside


def free(rule, optimizer, x, y, _):
    """Two batches of the same images, the second with fewer of them."""
    kept, losses, count = torch.zeros_like(x), 0.0, 0
    one_for_both = rule.inner == rule.outer
    for n in (len(x), SMALLER):
        for _ in range(REPLAYS):
            noise = kept[:n].clone().requires_grad_()
            images = clamped(x[:n] + noise)
            if not one_for_both:
                # A pass of its own for the images, whose statistics the network does not see.
                running = {key: value.clone() for key, value in rule.network.state_dict().items() if "running" in key}
                set_linear(rule.network, rule.inner)
                (gradient,) = torch.autograd.grad(F.cross_entropy(rule.network(images), y[:n]), noise)
                rule.network.load_state_dict(running, strict=False)
                images = images.detach()
            loss = rule.loss(images, y[:n])
            losses, count = losses + n * loss.detach(), count + n
            update(optimizer, loss)
            if one_for_both:
                gradient = noise.grad
            kept[:n] = (kept[:n] + EPSILON * gradient.sign()).clamp(-EPSILON, EPSILON)
    return {"loss": losses / count, "perturbation": kept}


def main():
    folder = Path(sys.argv[1])
    network = weights(NAME)
    torch.save(network.state_dict(), folder / "weights.pt")
    state = {name: value.clone() for name, value in network.state_dict().items()}
    network.double()
    question = load_file(folder / "question.safetensors")
    out = {}
    for name, step in (("fgsm-rs", fgsm_rs), ("n-fgsm", n_fgsm), ("free", free)):
        for variant in ("bp", "linbp", "inner"):
            network.load_state_dict(state)
            network.train()
            optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
            start = question.get(f"{name}.start")
            found = step(Linear(network, variant), optimizer, question["images"], question["labels"].long(), start)
            out |= {f"{name}.{variant}.{key}": value.detach().clone() for key, value in found.items()}
            for key, value in network.state_dict().items():
                if value.is_floating_point():
                    out[f"{name}.{variant}.state.{key}"] = value.clone()
    save_file({key: value.contiguous() for key, value in out.items()}, folder / "reference.safetensors")


if __name__ == "__main__":
    main()
