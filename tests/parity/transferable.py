"""What attacks that carry over to other models make of images, for the Rust side to compare with.

    python tests/parity/transferable.py FOLDER

reads `FOLDER/weights.safetensors`, the weights of a ResNet-20 whose images are normalised, and `FOLDER/given.safetensors`:

- `images` in [0, 1], float64, and `labels`;
- `variance.noise`, (N, steps x samples, C, H, W): the way to the neighbours;
- `diverse.draws` and, for the list of smoothing and diverse inputs, `smooth.diverse.draws`, (N, steps, 4): whether an image is changed, its
  new side, and the pixels above it and left of it;
- `admix.others`, (N, steps, copies): which image of all is added;
- `spectrum.noise` and `spectrum.factors`, (N, steps x copies, C, H, W).

It writes `FOLDER/made.safetensors`, the images of each attack by its name: by torchattacks 3.5.1 where it has the attack, otherwise as
the paper, or the code that its authors published, has it. All are computed image by image in float64.
"""

import sys
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import torch
import torchattacks
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from architectures import make

EPSILON, STEP, STEPS, SAMPLES, COPIES = 8 / 255, 2 / 255, 5, 3, 3
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Normalized(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network
        for name, values in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float64).view(1, 3, 1, 1))

    def forward(self, x):
        return self.network((x - self.mean) / self.std)


def given_numbers(numbers):
    """Functions that take the place of torch's random ones and give these numbers one after another."""
    numbers = iter(numbers)

    def next_number(*_, **__):
        return torch.tensor([next(numbers)])

    return next_number


def mean_size(x):
    return x.abs().mean(dim=(1, 2, 3), keepdim=True)


def gradient(network, images, labels, loss=F.cross_entropy):
    """The gradient of the mean loss over images, which are copies of one."""
    x = images.detach().requires_grad_()
    (found,) = torch.autograd.grad(loss(network(x), labels.repeat(len(x))), x)
    return found


def step(x, image, direction):
    x = x + STEP * direction.sign()
    return (image + (x - image).clamp(-EPSILON, EPSILON)).clamp(0, 1)


def enhanced(network, image, label):
    """EMI-FGSM, arXiv 2103.10609, with 3 points up to 2 steps away."""
    x, sum_, before = image, 0, torch.zeros_like(image)
    for _ in range(STEPS):
        places = torch.linspace(-2, 2, SAMPLES, dtype=x.dtype).view(-1, 1, 1, 1)
        found = gradient(network, x + places * STEP * before, label).sum(0, keepdim=True)
        before = found / mean_size(found)
        sum_ = sum_ + before
        x = step(x, image, sum_)
    return x


def admix(network, image, label, others):
    """Admix, arXiv 2102.00436: three copies of each of five scales. `others`: the images that are added, (steps, 3, C, H, W)."""
    x, sum_ = image, 0
    for added in others:
        mixed = x + 0.2 * added
        found = sum(gradient(network, mixed / 2**i, label).sum(0, keepdim=True) / 2**i for i in range(5))
        sum_ = sum_ + found / mean_size(found)
        x = step(x, image, sum_)
    return x


def cosines(side):
    """DCT-II, orthonormal."""
    place = torch.arange(side, dtype=torch.float64)
    matrix = torch.cos(torch.pi * (place[None] + 0.5) * place[:, None] / side) * (2 / side) ** 0.5
    matrix[0] /= 2**0.5
    return matrix


def spectrum(network, image, label, noise, factors):
    """SSA with momentum, arXiv 2207.05382, its gradient taken as the authors' code has it."""
    x, sum_ = image, 0
    c = cosines(image.shape[-1])
    for noise, factors in zip(noise.split(COPIES), factors.split(COPIES)):
        disturbed = c.T @ (factors * (c @ (x + noise) @ c.T)) @ c
        found = gradient(network, disturbed, label).sum(0, keepdim=True)
        sum_ = sum_ + found / mean_size(found)
        x = step(x, image, sum_)
    return x


def climbing(network, image, label, loss):
    """I-FGSM up a loss."""
    x = image
    for _ in range(STEPS):
        x = step(x, image, gradient(network, x, label, loss))
    return x


def raw_logit(logits, labels):
    return -logits.gather(1, labels[:, None]).sum()


def margin(logits, labels):
    others = logits.scatter(1, labels[:, None], float("-inf")).max(1)[0]
    return (others - logits.gather(1, labels[:, None])[:, 0]).sum()


def main():
    folder = Path(sys.argv[1])
    network = make("resnet20")
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    network = Normalized(network).double().eval()
    given = load_file(folder / "given.safetensors")
    images, labels = given["images"], given["labels"].long()
    settings = {"eps": EPSILON, "alpha": STEP, "steps": STEPS}
    made = {}
    for i in range(len(images)):
        image, label = images[i : i + 1], labels[i : i + 1]
        found = {}

        def theirs(name, attack, **patches):
            if hasattr(attack, "stacked_kernel"):
                attack.stacked_kernel = attack.stacked_kernel.double()
            with mock.patch.multiple(torch, **patches) if patches else nullcontext():
                found[name] = attack(image, label).detach()

        for name, kind in (("vmi-fgsm", torchattacks.VMIFGSM), ("vni-fgsm", torchattacks.VNIFGSM)):
            noise = iter(given["variance.noise"][i])
            with mock.patch.object(torch.Tensor, "uniform_", lambda *_: next(noise)[None]):
                theirs(name, kind(network, **settings, N=SAMPLES, decay=1.0))
        theirs("si-ni-fgsm", torchattacks.SINIFGSM(network, **settings, decay=1.0, m=5))
        def diverse(name):
            # torchattacks asks for the side and both places in each step, whether it uses them or not.
            draws = given[name][i]
            whole = [int(n) for row in draws for n in row[1:]]
            return {"randint": given_numbers(whole), "rand": given_numbers([0.0 if row[0] else 1.0 for row in draws])}

        theirs("di-fgsm", torchattacks.DIFGSM(network, **settings, decay=0.0), **diverse("diverse.draws"))
        both = torchattacks.TIFGSM(network, **settings, decay=0.0)
        theirs("ti-di-fgsm", both, **diverse("smooth.diverse.draws"))
        theirs("ti-fgsm", torchattacks.TIFGSM(network, **settings, diversity_prob=0.0, decay=0.0))
        found["emi-fgsm"] = enhanced(network, image, label)
        found["admix"] = admix(network, image, label, images[given["admix.others"][i].long()])
        found["ssa"] = spectrum(network, image, label, given["spectrum.noise"][i], given["spectrum.factors"][i])
        found["logit"] = climbing(network, image, label, raw_logit)
        found["margin"] = climbing(network, image, label, margin)
        for name, image in found.items():
            made.setdefault(name, []).append(image)
    save_file({name: torch.cat(images).contiguous() for name, images in made.items()}, folder / "made.safetensors")


if __name__ == "__main__":
    main()
