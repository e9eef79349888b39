"""What PyTorch makes of attacks with other backward passes than the true one, and of attacks on features.

    python tests/parity/backward_rules.py FOLDER NAME [WEIGHTS]

reads `FOLDER/NAME.question.safetensors` (`images`, and `masks` of shape (copies, N, 3, 32, 32)) and `FOLDER/rules.json`, a list of
rules. The network has random weights, which it writes to `FOLDER/NAME.pt`, or those of the published file WEIGHTS. It writes
`FOLDER/NAME.safetensors`, computed in f64 from the papers' formulas:

- `labels`: the network's own answers;
- the name of each rule: the images of five steps of I-FGSM by that rule;
- `ila`, `fia`: the images of these attacks at the activation LAYER, five steps each, by the true gradient.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from architectures import Act, Block, activations, make
from models import weights
from predictions import MEAN, STD

EPSILON, STEP, STEPS = 8 / 255, 2 / 255, 5
LAYER = "layer2.1.relu2"


class Smooth(torch.autograd.Function):
    """ReLU forwards, another derivative backwards."""

    @staticmethod
    def forward(ctx, z, derivative):
        ctx.save_for_backward(z)
        ctx.derivative = derivative
        return z.clamp(min=0)

    @staticmethod
    def backward(ctx, dy):
        (z,) = ctx.saved_tensors
        return dy * ctx.derivative(z), None


def silu(z):
    s = torch.sigmoid(z)
    return s * (1 + z * (1 - s))


class SoftPool(torch.autograd.Function):
    """The 3x3 max-pool of a stem, whose gradient is shared by a softmax over each window."""

    @staticmethod
    def forward(ctx, x, temperature):
        ctx.save_for_backward(x)
        ctx.temperature = temperature
        return F.max_pool2d(x, 3, 2, 1)

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        n, c, h, w = x.shape
        windows = F.unfold(F.pad(x, (1, 1, 1, 1), value=float("-inf")), 3, stride=2).view(n, c, 9, -1)
        shares = torch.softmax(ctx.temperature * windows, dim=2) * dy.flatten(2)[:, :, None]
        return F.fold(shares.flatten(1, 2), (h + 2, w + 2), 3, stride=2)[:, :, 1:-1, 1:-1], None


class Pool(nn.Module):
    def __init__(self, temperature):
        super().__init__()
        self.temperature = temperature

    def forward(self, x):
        return SoftPool.apply(x, self.temperature)


class Standardised(nn.Module):
    def __init__(self, network, mean, std):
        super().__init__()
        self.network = network
        self.mean, self.std = (torch.tensor(values, dtype=torch.float64).view(1, 3, 1, 1) for values in (mean, std))

    def forward(self, x):
        return self.network((x - self.mean) / self.std)


def apply(network, rule):
    """Changes the network's backward pass."""
    names = activations(network)
    chosen = names[names.index(rule["from"]) :] if rule["from"] else []
    derivative = {
        "plain": torch.ones_like,
        "silu": silu,
        "softplus": lambda z: torch.sigmoid(rule["beta"] * z),
    }[rule["variant"]]
    for name, module in network.named_modules():
        if isinstance(module, Act) and name in chosen:
            module.function = lambda z: Smooth.apply(z, derivative)
        if isinstance(module, Block) and rule["decay"] != 1:
            decay, branch = rule["decay"], module.branch
            # The value of x, and a share of its gradient.
            module.branch = lambda x, branch=branch: branch(decay * x + (1 - decay) * x.detach())
    if rule["temperature"]:
        network.maxpool = Pool(rule["temperature"])


def project(x, images):
    return (images + (x - images).clamp(-EPSILON, EPSILON)).clamp(0, 1)


def walk(objective, images, scales=1, accumulates=False):
    """Steps up an objective of images, over the means of so many halved copies (SI), along a sum of gradients (MI) or each."""
    x, momentum = images.clone(), 0
    for _ in range(STEPS):
        x.requires_grad_()
        mean = sum(objective(x / 2**i) for i in range(scales)) / scales
        (gradient,) = torch.autograd.grad(mean, x)
        if accumulates:
            momentum = momentum + gradient / gradient.abs().flatten(1).sum(1).view(-1, 1, 1, 1)
        x = project(x.detach() + STEP * (momentum if accumulates else gradient).sign(), images)
    return x


def i_fgsm(model, images, labels, **how):
    return walk(lambda x: F.cross_entropy(model(x), labels, reduction="sum"), images, **how)


class Features:
    """The output of an activation in the last pass."""

    def __init__(self, network, layer):
        dict(network.named_modules())[layer].register_forward_hook(self.keep)

    def keep(self, module, inputs, output):
        self.last = output

    def of(self, model, x):
        model(x)
        return self.last


def ila(model, features, images, labels, **how):
    with torch.no_grad():
        original = features.of(model, images)
    reference = i_fgsm(model, images, labels, **how)
    with torch.no_grad():
        direction = features.of(model, reference) - original
    return walk(lambda x: ((features.of(model, x) - original) * direction).sum(), images, **how)


def fia(model, features, images, labels, masks, **how):
    importance = 0
    for mask in masks:
        x = (images * mask).requires_grad_()
        logit = model(x).gather(1, labels[:, None]).sum()
        importance = importance + torch.autograd.grad(logit, features.last)[0]
    importance = importance / importance.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    return walk(lambda x: -(features.of(model, x) * importance).sum(), images, accumulates=True, **how)


def network_of(folder, name, file):
    if file is None:
        network = weights(name).eval()
        torch.save(network.state_dict(), folder / f"{name}.pt")
        return network
    state = torch.load(file, map_location="cpu", weights_only=True)["state_dict"]
    network = make(name)
    network.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
    return network.eval()


def main():
    folder, name = Path(sys.argv[1]), sys.argv[2]
    file = sys.argv[3] if len(sys.argv) > 3 else None
    question = load_file(folder / f"{name}.question.safetensors")
    images, masks = question["images"].double(), question["masks"].double()
    state = network_of(folder, name, file).state_dict()

    def fresh():
        network = make(name)
        network.load_state_dict(state)
        network = network.double().eval().requires_grad_(False)
        return network, network if file is None else Standardised(network, MEAN, STD)

    network, model = fresh()
    with torch.no_grad():
        labels = model(images).argmax(1)
    features = Features(network, LAYER)
    out = {
        "labels": labels.to(torch.uint8),
        "ila": ila(model, features, images, labels),
        "fia": fia(model, features, images, labels, masks),
        "ila by mi-si-fgsm": ila(model, features, images, labels, scales=3, accumulates=True),
        "fia at three scales": fia(model, features, images, labels, masks, scales=3),
    }
    for rule in json.loads((folder / "rules.json").read_text()):
        if rule["temperature"] and not hasattr(network, "maxpool"):
            continue
        network, model = fresh()
        apply(network, rule)
        out[rule["name"]] = i_fgsm(model, images, labels)
    save_file({key: value.contiguous() for key, value in out.items()}, folder / f"{name}.safetensors")


if __name__ == "__main__":
    main()
