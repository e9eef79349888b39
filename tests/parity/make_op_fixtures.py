"""Writes tests/fixtures/ops.safetensors: what PyTorch computes with each op and layer, forwards and backwards, in f64.

    python tests/parity/make_op_fixtures.py

A case's tensors are named `KIND/CASE/PART` with the parts

- `settings`: whole numbers, in the order that tests/parity/ops.rs reads for that kind;
- `x` and `y`: input and output (N, C, H, W) or (N, features); `dy` and `dx`: their gradients;
- `state.NAME`: parameters and buffers, `grad.NAME`: gradients of parameters, `after.NAME`: buffers after the pass.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)

ACTIVATIONS = [lambda z: z, F.relu, F.relu6, F.silu]
out = {}


def record(kind, case, settings, x, layer, training=False):
    """Runs `layer` on `x` and keeps everything."""
    part = f"{kind}/{case}/"
    layer.train(training)
    for name, tensor in layer.state_dict().items():
        if "num_batches" not in name:
            out[f"{part}state.{name}"] = tensor.clone()
    x = x.clone().requires_grad_()
    y = layer(x)
    dy = torch.randn_like(y)
    y.backward(dy)
    out[part + "settings"] = torch.tensor(settings, dtype=torch.int64)
    out.update({part + "x": x.detach(), part + "y": y.detach(), part + "dy": dy, part + "dx": x.grad})
    for name, parameter in layer.named_parameters():
        out[f"{part}grad.{name}"] = parameter.grad
    for name, buffer in layer.named_buffers():
        if "num_batches" not in name:
            out[f"{part}after.{name}"] = buffer.clone()


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def convolutions():
    # in, out, kernel, stride, padding, groups, bias, height, width
    for row in [
        (5, 7, 1, 1, 0, 1, 1, 4, 3),
        (4, 6, 1, 2, 0, 1, 0, 5, 5),
        (3, 5, 3, 1, 1, 1, 1, 5, 4),
        (4, 3, 3, 2, 1, 1, 0, 5, 6),
        (2, 3, 5, 1, 2, 1, 1, 5, 5),
        (1, 4, 5, 1, 0, 1, 1, 7, 6),
        (4, 6, 3, 1, 1, 2, 0, 4, 4),
        (8, 8, 3, 2, 1, 4, 1, 5, 5),
        (5, 5, 3, 1, 1, 5, 0, 5, 4),
        (6, 6, 3, 2, 1, 6, 1, 5, 6),
        (3, 3, 5, 1, 2, 3, 0, 6, 5),
        (3, 6, 3, 1, 1, 3, 0, 4, 4),
    ]:
        c, o, kernel, stride, padding, groups, bias, h, w = row
        layer = nn.Conv2d(c, o, kernel, stride, padding, groups=groups, bias=bool(bias))
        settings = [c, o, kernel, stride, padding, groups, bias]
        record("conv", "-".join(map(str, row)), settings, torch.randn(2, c, h, w), layer)


class Norm(nn.Module):
    """`act(bn(x) + x)` or `act(bn(x))`."""

    def __init__(self, residual, activation):
        super().__init__()
        self.bn = nn.BatchNorm2d(3)
        self.residual, self.activation = residual, activation
        for tensor in (self.bn.weight, self.bn.bias, self.bn.running_mean):
            nn.init.normal_(tensor, 0.5)
        nn.init.uniform_(self.bn.running_var, 0.5, 1.5)

    def forward(self, x):
        y = self.bn(x)
        return ACTIVATIONS[self.activation](y + x if self.residual else y)


def norms():
    for training in (0, 1):
        for residual in (0, 1):
            for activation in range(4):
                settings = [3, residual, activation, training]
                x = 3 * torch.randn(2, 3, 3, 4) + 1
                layer = Norm(residual, activation)
                record("norm", "-".join(map(str, settings)), settings, x, layer, bool(training))


def activations():
    kinks = torch.tensor([-7.0, -1.0, -0.0, 0.0, 1e-3, 1.0, 5.999, 6.0, 6.001, 40.0, -40.0, 3.0])
    for activation in (1, 2, 3):
        record("activation", activation, [activation], kinks.view(1, 3, 2, 2), Function(ACTIVATIONS[activation]))


def pools():
    ties = torch.randint(0, 3, (2, 3, 6, 7)).double()
    for kernel, stride, padding in ((2, 2, 0), (3, 2, 1), (3, 2, 0), (3, 1, 1)):
        settings = [kernel, stride, padding]
        layer = nn.MaxPool2d(kernel, stride, padding)
        record("max_pool", "-".join(map(str, settings)), settings, ties, layer)
    for kernel, stride in ((2, 2), (3, 2)):
        layer = nn.AvgPool2d(kernel, stride)
        record("average_pool", f"{kernel}-{stride}", [kernel, stride], torch.randn(2, 2, 5, 6), layer)
    for side, size in ((2, 7), (7, 3), (4, 1), (1, 7), (5, 2)):
        layer = nn.AdaptiveAvgPool2d(size)
        record("adaptive_pool", f"{side}-{size}", [size], torch.randn(1, 2, side, side), layer)


def dense():
    for features, size in ((7, 5), (12, 10)):
        record("linear", f"{features}-{size}", [features, size], torch.randn(3, features, 1, 1),
               nn.Sequential(nn.Flatten(), nn.Linear(features, size)))
    logits, labels = 10 * torch.randn(4, 10), torch.tensor([3, 0, 9, 3])
    loss = Function(lambda x: F.cross_entropy(x, labels, reduction="none"))
    record("cross_entropy", "sum", labels.tolist(), logits, loss)
    normalize = Function(lambda x: (x - torch.tensor([0.4914, 0.4822, 0.4465]).view(3, 1, 1))
                         / torch.tensor([0.2023, 0.1994, 0.2010]).view(3, 1, 1))
    record("normalize", "cifar10", [], torch.rand(2, 3, 2, 3), normalize)


def optimizers():
    """Five updates of a linear layer with given output gradients `dy.STEP`; the parameters after each."""
    rates = [0.1, 0.1, 0.05, 0.05, 0.01]
    # kind, momentum, nesterov, weight decay, betas, eps
    rows = {
        "sgd": (0, 0.0, 0, 0.0, 0, 0, 0),
        "sgd-decay": (0, 0.0, 0, 0.1, 0, 0, 0),
        "sgd-momentum": (0, 0.9, 0, 0.1, 0, 0, 0),
        "sgd-nesterov": (0, 0.9, 1, 0.1, 0, 0, 0),
        "adam": (1, 0, 0, 0.0, 0.9, 0.999, 1e-8),
        "adam-decay": (1, 0, 0, 0.1, 0.8, 0.9, 1e-3),
        "adamw": (2, 0, 0, 0.1, 0.9, 0.999, 1e-8),
    }
    for case, (kind, momentum, nesterov, decay, beta1, beta2, eps) in rows.items():
        layer = nn.Linear(3, 4)
        x = torch.randn(2, 3)
        if kind == 0:
            optimizer = torch.optim.SGD(
                layer.parameters(), 1.0, momentum=momentum, nesterov=bool(nesterov), weight_decay=decay
            )
        else:
            rule = torch.optim.Adam if kind == 1 else torch.optim.AdamW
            optimizer = rule(layer.parameters(), 1.0, betas=(beta1, beta2), eps=eps, weight_decay=decay)
        part = f"optimizer/{case}/"
        out[part + "settings"] = torch.tensor([kind, nesterov], dtype=torch.int64)
        out[part + "numbers"] = torch.tensor([momentum, decay, beta1, beta2, eps])
        out[part + "rates"], out[part + "x"] = torch.tensor(rates), x.view(2, 3, 1, 1)
        for name, tensor in layer.state_dict().items():
            out[f"{part}state.{name}"] = tensor.clone()
        for step, rate in enumerate(rates):
            dy = torch.randn(2, 4)
            optimizer.zero_grad()
            layer(x).backward(dy)
            optimizer.param_groups[0]["lr"] = rate
            optimizer.step()
            out[f"{part}dy.{step}"] = dy
            for name, tensor in layer.state_dict().items():
                out[f"{part}after.{step}.{name}"] = tensor.clone()


for make in (convolutions, norms, activations, pools, dense, optimizers):
    make()
path = Path(__file__).parent.parent / "fixtures" / "ops.safetensors"
save_file({name: tensor.contiguous() for name, tensor in out.items()}, path)
print(f"{path}: {len(out)} tensors, {path.stat().st_size} bytes")
