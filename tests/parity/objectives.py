"""What PyTorch makes of one training step by TRADES and by MART, for the Rust side to compare with.

    python tests/parity/objectives.py FOLDER

reads `FOLDER/question.safetensors`: `images`, `labels`, and `trades.start` and `mart.start`, where the ascents begin. It writes `FOLDER/weights.pt`, the
state dict of a network, and `FOLDER/reference.safetensors`, computed in f64 by the authors' formulas (github.com/yaodongyu/TRADES, trades.py;
github.com/YisenWang/MART, mart.py), but for the second forward pass of the clean images in TRADES, which gives the same answer and moves running
statistics once more. Each name begins with the objective's:

- `natural`, `robust` of TRADES, `boosted`, `robust` of MART: the means of the loss's parts;
- `gradient.NAME`: the gradient of the first part and BETA times the second with respect to each parameter;
- `running.NAME`: running statistics after the step.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from models import weights

EPSILON, STEP, STEPS, BETA = 8 / 255, 2 / 255, 5, 6.0


def ascend(network, x, adversarial, loss):
    network.eval()
    for _ in range(STEPS):
        adversarial.requires_grad_()
        (gradient,) = torch.autograd.grad(loss(network(adversarial)), adversarial)
        adversarial = adversarial.detach() + STEP * gradient.sign()
        adversarial = torch.min(torch.max(adversarial, x - EPSILON), x + EPSILON).clamp(0, 1)
    network.train()
    return adversarial


def trades(network, x, y, start):
    def loss(logits):
        return F.kl_div(F.log_softmax(logits, dim=1), F.softmax(network(x), dim=1), reduction="sum")

    adversarial = ascend(network, x, start, loss)
    logits = network(x)
    natural = F.cross_entropy(logits, y)
    answer = F.log_softmax(network(adversarial), dim=1)
    return {"natural": natural, "robust": F.kl_div(answer, F.softmax(logits, dim=1), reduction="sum") / len(x)}


def mart(network, x, y, start):
    adversarial = ascend(network, x, start, lambda logits: F.cross_entropy(logits, y, reduction="sum"))
    logits, attacked = network(x), network(adversarial)
    q, p = F.softmax(attacked, dim=1), F.softmax(logits, dim=1)
    best, second = q.argsort(dim=1, descending=True)[:, :2].T
    rival = torch.where(best == y, second, best)
    boosted = F.cross_entropy(attacked, y) + F.nll_loss(torch.log(1.0001 - q + 1e-12), rival)
    divergence = F.kl_div(F.log_softmax(attacked, dim=1), p, reduction="none").sum(1)
    return {"boosted": boosted, "robust": (divergence * (1 - p.gather(1, y[:, None])[:, 0])).mean()}


def main():
    folder = Path(sys.argv[1])
    network = weights("wide_resnet10_1")
    torch.save(network.state_dict(), folder / "weights.pt")
    state = {name: value.clone() for name, value in network.state_dict().items()}
    network.double()
    question = load_file(folder / "question.safetensors")
    out = {}
    for name, objective in (("trades", trades), ("mart", mart)):
        network.load_state_dict(state)
        network.zero_grad()
        parts = objective(network, question["images"], question["labels"].long(), question[f"{name}.start"])
        first, second = parts.values()
        (first + BETA * second).backward()
        out |= {f"{name}.{part}": value.detach() for part, value in parts.items()}
        out |= {f"{name}.gradient.{key}": parameter.grad.clone() for key, parameter in network.named_parameters()}
        buffers = network.named_buffers()
        out |= {f"{name}.running.{key}": value.clone() for key, value in buffers if value.is_floating_point()}
    save_file({key: value.contiguous() for key, value in out.items()}, folder / "reference.safetensors")


if __name__ == "__main__":
    main()
