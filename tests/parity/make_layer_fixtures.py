"""Writes the files in tests/fixtures/layers, which tests/parity/layers.rs compares with. Made with PyTorch 2.11.

    python tests/parity/make_layer_fixtures.py

`state.pt` is the state dict of a network that is put together as docs/data.md says that a spec's layers are, in f32;
`reference.safetensors` holds what it computes in f64:

- `images`, `labels`, `logits`: a batch in evaluation mode;
- `input.bp`, `input.linbp`, `input.rescaled`: the gradient of the summed cross-entropy with respect to the images, true,
  with the activations of LINEAR linear, and with residual branches rescaled besides;
- `train.NAME`, `running.NAME`: the gradient of a training step's mean cross-entropy, and the running statistics after it.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from architectures import Act, set_linear

FOLDER = Path(__file__).resolve().parent.parent / "fixtures" / "layers"
LINEAR = ("3.body.2", "4", "11")


class Residual(nn.Module):
    def __init__(self, body, shortcut=()):
        super().__init__()
        self.body, self.shortcut = nn.Sequential(*body), nn.Sequential(*shortcut)
        self.rescaled = False

    def forward(self, x):
        acts = [act for act in self.body if isinstance(act, Act) and act.linear]
        rescaled = self.rescaled and acts
        y = Rescaled.apply(x, self.body, acts) if rescaled else self.body(x)
        return y + self.shortcut(x)


class Rescaled(torch.autograd.Function):
    """A branch whose gradient has LinBP's direction and the norm of the true one, for each example."""

    @staticmethod
    def forward(ctx, x, body, acts):
        ctx.body, ctx.acts = body, acts
        ctx.save_for_backward(x)
        with torch.no_grad():
            return body(x)

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        found = []
        for linear in (False, True):
            for act in ctx.acts:
                act.linear = linear
            with torch.enable_grad():
                start = x.detach().requires_grad_()
                found += torch.autograd.grad(ctx.body(start), start, dy)
        truth, linear = found
        factor = truth.flatten(1).norm(dim=1) / linear.flatten(1).norm(dim=1)
        return linear * factor.view(-1, 1, 1, 1), None, None


def network():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        Act(),
        Residual(
            [
                nn.Conv2d(8, 12, 3, stride=2, padding=1, groups=2),
                nn.BatchNorm2d(12),
                Act(F.relu6),
                nn.Conv2d(12, 12, 3, padding=1, bias=False),
                nn.BatchNorm2d(12),
            ],
            [nn.Conv2d(8, 12, 1, stride=2, bias=False), nn.BatchNorm2d(12)],
        ),
        Act(),
        Residual([nn.Conv2d(12, 12, 3, padding=1), Act(F.silu)]),
        nn.MaxPool2d(3, stride=1, padding=1),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(48, 16, bias=False),
        nn.BatchNorm1d(16),
        Act(),
        nn.Dropout(0.0),
        nn.Linear(16, 10),
    )


def main():
    torch.manual_seed(0)
    net = network()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.3, 0.3)
        net.train()
        for _ in range(30):
            net(torch.rand(16, 3, 8, 8))
    FOLDER.mkdir(exist_ok=True)
    torch.save(net.state_dict(), FOLDER / "state.pt")

    net.double().eval()
    images, labels = torch.rand(4, 3, 8, 8).double(), torch.tensor([3, 1, 4, 9])
    out = {"images": images, "labels": labels.to(torch.uint8)}
    for variant in ("bp", "linbp", "rescaled"):
        set_linear(net, () if variant == "bp" else LINEAR)
        for module in net:
            if isinstance(module, Residual):
                module.rescaled = variant == "rescaled"
        x = images.clone().requires_grad_()
        logits = net(x)
        (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), x)
        out["logits"], out[f"input.{variant}"] = logits.detach(), gradient

    set_linear(net, ())
    net.train()
    names, parameters = zip(*net.named_parameters())
    gradients = torch.autograd.grad(F.cross_entropy(net(images), labels), parameters)
    out |= {f"train.{name}": gradient for name, gradient in zip(names, gradients)}
    out |= {f"running.{name}": buffer for name, buffer in net.named_buffers() if "running" in name}
    save_file({name: value.contiguous() for name, value in out.items()}, FOLDER / "reference.safetensors")


if __name__ == "__main__":
    main()
