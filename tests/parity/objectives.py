"""What PyTorch makes of one training step by each objective, for the Rust side to compare with.

    python tests/parity/objectives.py FOLDER

reads `FOLDER/question.safetensors`: `images`, `labels`, and `normal` and `uniform`, where ascents begin. It writes `FOLDER/weights.pt`, the state dict
of a network, and `FOLDER/reference.safetensors`, computed in f64 by the authors' formulas (github.com/yaodongyu/TRADES, trades.py;
github.com/YisenWang/MART, mart.py; github.com/csdongxian/AWP, utils_awp.py), but for the second forward pass of the clean images in TRADES, which gives
the same answer and moves running statistics once more. Each name is `OBJECTIVE.RECIPE.VARIANT.` (see `RECIPES`; the variant is `bp` or `linbp`) and

- `loss`, and the means of its parts: `natural`, `robust` of TRADES, `boosted`, `robust` of MART, `clean`, `adversarial` of their mix;
- `change.NAME`: what a step of SGD adds to a parameter;
- `running.NAME`: running statistics after the step;
- `ema.NAME`: what its first step adds to an exponential average that began with the weights before.

`swa.NAME` is torch's own average of the weights before and after the plain step on clean images, with statistics of two batches.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, update_bn

from architectures import linear, set_linear
from models import weights

ARCH = "wide_resnet10_1"
EPSILON, STEP, STEPS, BETA, MIX = 8 / 255, 2 / 255, 5, 6.0, 0.25
RATE, MOMENTUM, DECAY = 0.1, 0.9, 5e-3
GAMMA, SMOOTHING, CLIP, EMA = 0.02, 0.1, 0.5, 0.999
RECIPES = {
    "plain": (),
    "awp": ("awp",),
    "smooth": ("smooth",),
    "clip": ("clip", "no_decay"),
    "all": ("awp", "smooth", "clip", "no_decay"),
}


def ascend(network, x, adversarial, loss):
    network.eval()
    for _ in range(STEPS):
        adversarial.requires_grad_()
        (gradient,) = torch.autograd.grad(loss(network(adversarial)), adversarial)
        adversarial = adversarial.detach() + STEP * gradient.sign()
        adversarial = torch.min(torch.max(adversarial, x - EPSILON), x + EPSILON).clamp(0, 1)
    network.train()
    return adversarial


def up_the_cross_entropy(network, x, y, start):
    return ascend(network, x, start["uniform"].clone(), lambda z: F.cross_entropy(z, y, reduction="sum"))


def up_the_divergence(network, x, y, start):
    def loss(z):
        return F.kl_div(F.log_softmax(z, dim=1), F.softmax(network(x), dim=1), reduction="sum")

    return ascend(network, x, start["normal"].clone(), loss)


def clean(network, x, images, y, smoothing):
    return F.cross_entropy(network(x), y, label_smoothing=smoothing), {}


def adversarial(network, x, images, y, smoothing):
    return F.cross_entropy(network(images), y, label_smoothing=smoothing), {}


def mix(network, x, images, y, smoothing):
    natural, _ = clean(network, x, images, y, smoothing)
    robust, _ = adversarial(network, x, images, y, smoothing)
    return MIX * natural + (1 - MIX) * robust, {"clean": natural, "adversarial": robust}


def trades(network, x, images, y, smoothing):
    logits = network(x)
    natural = F.cross_entropy(logits, y, label_smoothing=smoothing)
    answer = F.log_softmax(network(images), dim=1)
    robust = F.kl_div(answer, F.softmax(logits, dim=1), reduction="sum") / len(x)
    return natural + BETA * robust, {"natural": natural, "robust": robust}


def mart(network, x, images, y, smoothing):
    logits, attacked = network(x), network(images)
    q, p = F.softmax(attacked, dim=1), F.softmax(logits, dim=1)
    best, second = q.argsort(dim=1, descending=True)[:, :2].T
    rival = torch.where(best == y, second, best)
    boosted = F.cross_entropy(attacked, y, label_smoothing=smoothing) + F.nll_loss(torch.log(1.0001 - q + 1e-12), rival)
    divergence = F.kl_div(F.log_softmax(attacked, dim=1), p, reduction="none").sum(1)
    robust = (divergence * (1 - p.gather(1, y[:, None])[:, 0])).mean()
    return boosted + BETA * robust, {"boosted": boosted, "robust": robust}


OBJECTIVES = {
    "clean": (clean, lambda network, x, y, start: x),
    "adversarial": (adversarial, up_the_cross_entropy),
    "mix": (mix, up_the_cross_entropy),
    "trades": (trades, up_the_divergence),
    "mart": (mart, up_the_cross_entropy),
}


def worst(network, loss):
    """The perturbation of the weights; the running statistics stay as they are."""
    buffers = {name: value.clone() for name, value in network.named_buffers()}
    gradients = torch.autograd.grad(loss()[0], list(network.parameters()))
    perturbation = {}
    with torch.no_grad():
        for name, value in network.named_buffers():
            value.copy_(buffers[name])
        for (name, parameter), gradient in zip(network.named_parameters(), gradients):
            if parameter.dim() > 1:
                perturbation[name] = GAMMA * parameter.norm() / (gradient.norm() + 1e-20) * gradient
    return perturbation


def step(network, objective, recipe, x, y, start):
    loss_of, craft = OBJECTIVES[objective]
    images = craft(network, x, y, start)
    smoothing = SMOOTHING if "smooth" in recipe else 0.0

    def loss():
        return loss_of(network, x, images, y, smoothing)

    network.train()
    parameters = dict(network.named_parameters())
    perturbation = worst(network, loss) if "awp" in recipe else {}
    with torch.no_grad():
        for name, by in perturbation.items():
            parameters[name].add_(by)
    bare = [p for p in parameters.values() if p.dim() <= 1 and "no_decay" in recipe]
    others = [p for p in parameters.values() if not any(p is b for b in bare)]
    groups = [{"params": others, "weight_decay": DECAY}, {"params": bare, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD([group for group in groups if group["params"]], lr=RATE, momentum=MOMENTUM, nesterov=True)
    network.zero_grad()
    total, parts = loss()
    total.backward()
    if "clip" in recipe:
        torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
    optimizer.step()
    with torch.no_grad():
        for name, by in perturbation.items():
            parameters[name].sub_(by)
    return {"loss": total} | parts


def main():
    folder = Path(sys.argv[1])
    network = weights(ARCH)
    torch.save(network.state_dict(), folder / "weights.pt")
    state = {name: value.clone() for name, value in network.state_dict().items()}
    network.double()
    before = {name: value.double() for name, value in state.items()}
    question = load_file(folder / "question.safetensors")
    x, y = question["images"], question["labels"].long()
    out = {}
    for variant in ("bp", "linbp"):
        set_linear(network, linear(ARCH, network, "train") if variant == "linbp" else ())
        for objective in OBJECTIVES:
            for recipe, parts in RECIPES.items():
                network.load_state_dict(state)
                found = {name: value.detach() for name, value in step(network, objective, parts, x, y, question).items()}
                for name, value in network.named_parameters():
                    found[f"change.{name}"] = value.detach() - before[name]
                for name, value in network.named_buffers():
                    if value.is_floating_point():
                        found[f"running.{name}"] = value.clone()
                for name, value in network.state_dict().items():
                    if value.is_floating_point():
                        found[f"ema.{name}"] = (1 - min(EMA, 2 / 11)) * (value - before[name])
                out |= {f"{objective}.{recipe}.{variant}.{name}": value for name, value in found.items()}
                if (objective, recipe, variant) == ("clean", "plain", "bp"):
                    network.load_state_dict(state)
                    average = AveragedModel(network)
                    average.update_parameters(network)
                    step(network, objective, parts, x, y, question)
                    average.update_parameters(network)
                    update_bn([x[:1], x[1:]], average)
                    tensors = average.module.state_dict().items()
                    out |= {f"swa.{name}": value.clone() for name, value in tensors if value.is_floating_point()}
    save_file({key: value.detach().contiguous() for key, value in out.items()}, folder / "reference.safetensors")


if __name__ == "__main__":
    main()
