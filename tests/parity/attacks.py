"""What PyTorch, and torchattacks 3.5.1 where it is installed, make of attacks, for the Rust side to compare with.

    python tests/parity/attacks.py FOLDER ARCH ...

writes for each architecture `FOLDER/ARCH.pt`, a state dict, and `FOLDER/ARCH.safetensors`:

- `images` in [0, 1], `labels`: the network's own answers, so that every example stands at first;
- `pgd`, `pgd.f32`: five PGD steps of 2/255 in an 8/255 ball without random start, written out in PyTorch, in f64 and f32;
- `fmn`, `fmn-l2`, for small networks: the distances of the nearest misclassified points that FMN finds, in f64;
- `dlr`, `dlr.gradient`, `dlr_t`, `dlr_t.gradient`, `targets`: the DLR losses and their gradients with respect to the images;
- `torchattacks.NAME`, for small networks: the images of its attacks of that name: fgsm, i-fgsm, mi-fgsm, ni-fgsm, pgd, pgd-l2, fab, fab-l2 (all without
  random numbers; the steps of fixed size are computed in f64);
- `many.images`, `many.labels`, for small networks: more of them, to count by, and as `torchattacks.NAME` the images that apgd-ce, apgd-l2 and square
  make of these, which draw random numbers.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from models import shape, weights

EPSILON, STEP = 8 / 255, 2 / 255
EPSILON_L2, STEP_L2 = 0.5, 0.2
COUNT, MANY = 8, 64
# FAB differentiates every class at every step, so that a network of any size takes minutes.
SMALL = ("wide_resnet10_1",)


def pgd(network, images, labels):
    x = images.clone()
    for _ in range(5):
        x.requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(network(x), labels, reduction="sum"), x)
        x = x.detach() + STEP * gradient.sign()
        x = (images + (x - images).clamp(-EPSILON, EPSILON)).clamp(0, 1)
    return x


def dlr(z, y):
    top, order = z.sort(dim=1, descending=True)
    own = z.gather(1, y[:, None])[:, 0]
    other = torch.where(order[:, 0] == y, top[:, 1], top[:, 0])
    return -(own - other) / (top[:, 0] - top[:, 2])


def dlr_t(z, y, t):
    top = z.sort(dim=1, descending=True)[0]
    own, aim = z.gather(1, y[:, None])[:, 0], z.gather(1, t[:, None])[:, 0]
    return -(own - aim) / (top[:, 0] - 0.5 * (top[:, 2] + top[:, 3]))


def fmn(network, images, labels, norm, steps=100, alpha=1.0, gamma=0.05):
    """The distances of the nearest misclassified points that algorithm 1 of arXiv 2102.12827 finds, images in f64."""
    def length(x, p):
        return x.flatten(1).norm(p=p, dim=1)

    def wide(values):
        return values[:, None, None, None]

    dual = {2: 2, float("inf"): 1}[norm]
    delta = torch.zeros_like(images)
    radius = torch.full((len(images),), float("inf"), dtype=images.dtype)
    nearest = radius.clone()
    for step in range(steps):
        cosine = (1 + torch.cos(torch.tensor(torch.pi * step / steps)).item()) / 2
        x = (images + delta).requires_grad_()
        logits = network(x)
        own = logits.gather(1, labels[:, None])[:, 0]
        others = logits.scatter(1, labels[:, None], float("-inf")).max(1)[0]
        margin = others - own
        (gradient,) = torch.autograd.grad(margin.sum(), x)
        far = length(delta, norm)
        wrong = logits.argmax(1) != labels
        nearest = torch.where(wrong, torch.minimum(nearest, far), nearest)
        change = gamma * (0.02 + 0.98 * cosine)
        estimate = far + margin.detach().abs() / length(gradient, dual)
        grown = torch.where(nearest.isfinite(), radius * (1 + change), estimate)
        radius = torch.where(wrong, torch.minimum(radius * (1 - change), nearest), grown)
        delta = delta + alpha * (0.01 + 0.99 * cosine) * gradient / wide(length(gradient, 2))
        if norm == 2:
            delta = delta * wide((radius / length(delta, 2)).clamp(max=1))
        else:
            delta = torch.minimum(torch.maximum(delta, -wide(radius)), wide(radius))
        delta = (images + delta).clamp(0, 1) - images
    return nearest


def of_torchattacks(network, images, labels, many, many_labels):
    try:
        import torchattacks as ta
    except ImportError:
        return {}
    linf = {"eps": EPSILON, "alpha": STEP}
    free = {"eps": 10.0, "steps": 10}
    fixed = {
        "fgsm": ta.FGSM(network, eps=EPSILON),
        "i-fgsm": ta.BIM(network, **linf, steps=5),
        "mi-fgsm": ta.MIFGSM(network, **linf, steps=5, decay=1.0),
        "ni-fgsm": ta.NIFGSM(network, **linf, steps=5, decay=1.0),
        "pgd": ta.PGD(network, **linf, steps=5, random_start=False),
        "pgd-l2": ta.PGDL2(network, eps=EPSILON_L2, alpha=STEP_L2, steps=5, random_start=False),
    }
    chosen = {
        "fab": ta.FAB(network, norm="Linf", **free),
        "fab-l2": ta.FAB(network, norm="L2", **free),
    }
    random = {
        "apgd-ce": ta.APGD(network, norm="Linf", eps=EPSILON, steps=25),
        "apgd-l2": ta.APGD(network, norm="L2", eps=EPSILON_L2, steps=25),
        "square": ta.Square(network, norm="Linf", eps=EPSILON, n_queries=200),
    }
    network.double()
    found = {name: attack(images.double(), labels).float() for name, attack in fixed.items()}
    network.float()
    for name, attack in chosen.items():
        found[name] = attack(images, labels)
    for name, attack in random.items():
        if name == "square":
            attack.init_hyperparam(many)
            torch.manual_seed(0)
            found[name] = attack.attack_single_run(many, many_labels)[1]
        else:
            # The images of the highest loss, also of examples that withstand.
            found[name] = attack.perturb(many, many_labels, best_loss=True)[1]
    return {f"torchattacks.{name}": images.detach() for name, images in found.items()}


def main():
    folder = Path(sys.argv[1])
    for name in sys.argv[2:]:
        network = weights(name).eval()
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        torch.save(network.state_dict(), folder / f"{name}.pt")
        torch.manual_seed(2)
        images = torch.rand(COUNT, *shape(name))
        with torch.no_grad():
            labels = network(images).argmax(1)
        out = {"images": images, "labels": labels.to(torch.uint8), "pgd.f32": pgd(network, images, labels)}
        network.double()
        out["pgd"] = pgd(network, images.double(), labels)
        if name in SMALL:
            out["fmn"] = fmn(network, images.double(), labels, float("inf"))
            out["fmn-l2"] = fmn(network, images.double(), labels, 2)
        with torch.no_grad():
            targets = network(images.double()).topk(3, dim=1)[1][:, 2]
        out["targets"] = targets.to(torch.uint8)
        for key, loss in (("dlr", lambda z: dlr(z, labels)), ("dlr_t", lambda z: dlr_t(z, labels, targets))):
            x = images.double().requires_grad_()
            value = loss(network(x))
            out[key] = value.detach()
            (out[f"{key}.gradient"],) = torch.autograd.grad(value.sum(), x)
        network.float()
        if name in SMALL:
            many = torch.rand(MANY, *shape(name))
            with torch.no_grad():
                many_labels = network(many).argmax(1)
            out |= {"many.images": many, "many.labels": many_labels.to(torch.uint8)}
            out.update(of_torchattacks(network, images, labels, many, many_labels))
        save_file({key: (value.float() if value.is_floating_point() else value).contiguous() for key, value in out.items()}, folder / f"{name}.safetensors")


if __name__ == "__main__":
    main()
