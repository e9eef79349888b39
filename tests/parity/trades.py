"""What PyTorch makes of one TRADES step, for the Rust side to compare with.

    python tests/parity/trades.py FOLDER

reads `FOLDER/question.safetensors`: `images`, `labels` and `start`, where the ascent begins. It writes `FOLDER/weights.pt`, the state dict of a
network, and `FOLDER/reference.safetensors`, computed in f64 as the authors' code does (github.com/yaodongyu/TRADES, trades.py), but for their second
forward pass of the clean images, which gives the same answer and moves running statistics once more:

- `natural`, `robust`: the mean cross-entropy and the mean divergence;
- `gradient.NAME`: the gradient of `natural + BETA robust` with respect to each parameter;
- `running.NAME`: running statistics after the step.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from models import weights

EPSILON, STEP, STEPS, BETA = 8 / 255, 2 / 255, 5, 6.0


def main():
    folder = Path(sys.argv[1])
    network = weights("wide_resnet10_1")
    torch.save(network.state_dict(), folder / "weights.pt")
    network.double()
    question = load_file(folder / "question.safetensors")
    x, y, adversarial = question["images"], question["labels"].long(), question["start"]

    network.eval()
    for _ in range(STEPS):
        adversarial.requires_grad_()
        divergence = F.kl_div(F.log_softmax(network(adversarial), dim=1), F.softmax(network(x), dim=1), reduction="sum")
        (gradient,) = torch.autograd.grad(divergence, adversarial)
        adversarial = adversarial.detach() + STEP * gradient.sign()
        adversarial = torch.min(torch.max(adversarial, x - EPSILON), x + EPSILON).clamp(0, 1)

    network.train()
    logits = network(x)
    natural = F.cross_entropy(logits, y)
    answer = F.log_softmax(network(adversarial), dim=1)
    robust = F.kl_div(answer, F.softmax(logits, dim=1), reduction="sum") / len(x)
    (natural + BETA * robust).backward()
    out = {"natural": natural.detach(), "robust": robust.detach()}
    out |= {f"gradient.{name}": parameter.grad for name, parameter in network.named_parameters()}
    out |= {f"running.{name}": value for name, value in network.named_buffers() if value.is_floating_point()}
    save_file({key: value.contiguous() for key, value in out.items()}, folder / "reference.safetensors")


if __name__ == "__main__":
    main()
