"""Writes tests/fixtures/onnx: small networks as PyTorch's exporters write them, and what PyTorch computes with them.

    python tests/parity/make_onnx_fixtures.py        needs torch, onnx, onnxscript, safetensors
"""

from pathlib import Path

import onnx
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

FOLDER = Path(__file__).parents[1] / "fixtures" / "onnx"


class Small(nn.Module):
    """A bit of everything that is read: 10 classes of 3x16x16 images."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.2, 0.25, 0.3]).view(1, 3, 1, 1))
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2)
        self.bn1 = nn.BatchNorm2d(8, eps=1e-3, momentum=0.3)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.bn2 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.conv3 = nn.Conv2d(8, 8, 1)
        self.bn3 = nn.BatchNorm2d(16)
        self.fc1 = nn.Linear(64, 12)
        self.norm = nn.BatchNorm1d(12)
        self.fc2 = nn.Linear(12, 10, bias=False)

    def forward(self, x):
        x = F.pad((x - self.mean) / self.std, (1, 1, 1, 1))
        x = F.silu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)) + x)
        x = torch.cat([x, F.relu6(self.conv3(x))], 1)
        x = F.max_pool2d(self.relu(self.bn3(x)), 3, stride=2, padding=1)
        x = F.avg_pool2d(x, 2)
        x = torch.flatten(x, 1)
        x = self.relu(self.norm(self.fc1(x)))
        return F.softmax(self.fc2(x), 1)


class General(nn.Module):
    """What newer classifiers have besides: gates, other activations and norms, uneven borders, moved dimensions."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2)
        self.norm1 = nn.GroupNorm(2, 8)
        self.squeeze = nn.Conv2d(8, 4, 1)
        self.excite = nn.Conv2d(4, 8, 1)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4)
        self.norm2 = nn.LayerNorm(8)
        self.wide = nn.Linear(8, 12)
        self.narrow = nn.Linear(12, 8)
        self.gamma = nn.Parameter(torch.rand(8) + 0.5)
        self.prelu = nn.PReLU(8, 0.3)
        self.conv3 = nn.Conv2d(8, 8, (1, 3), padding=(0, 1))
        self.line = nn.Conv1d(1, 1, 3, padding=1)
        self.mix = nn.Parameter(torch.rand(1, 8, 1, 1) + 0.5)
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        x = F.leaky_relu(self.norm1(self.conv1(F.pad(x, (0, 1, 0, 1)))), 0.1)
        gate = self.excite(F.hardswish(self.squeeze(x.mean((2, 3), keepdim=True))))
        x = x * torch.sigmoid(gate)
        y = self.norm2(self.conv2(x).permute(0, 2, 3, 1))
        y = self.narrow(F.gelu(self.wide(y))) * self.gamma
        x = x + y.permute(0, 3, 1, 2)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        a, b = x.chunk(2, 1)
        x = torch.cat([F.mish(a), F.gelu(b, approximate="tanh")], 1)
        x = F.max_pool2d(self.prelu(self.conv3(x)), 3, 2, ceil_mode=True)
        x = F.avg_pool2d(F.elu(x), 3, 1, 1, count_include_pad=False) * F.hardsigmoid(self.mix * x)
        x = x / (x * x).sum((2, 3), keepdim=True).sqrt() - x[:, 1:2]
        weights = torch.softmax(x.amax((2, 3)).view(n, 1, c), -1)
        x = x * self.line(weights).view(n, c, 1, 1)
        x = torch.cat([x.mean((2, 3)), F.interpolate(x, scale_factor=2).amax((2, 3))], 1)
        return self.fc(torch.clamp(x, -2, 2))


class Refused(nn.Module):
    """Three operators that are not computed."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4, 10)

    def forward(self, x):
        x = torch.sin(F.interpolate(self.conv(x), scale_factor=2, mode="bilinear"))
        x = F.interpolate(F.pad(x, (1, 1, 1, 1), mode="reflect"), scale_factor=2, mode="bilinear")
        return self.fc(x.mean((2, 3)))


class Digits(nn.Module):
    """A network for digits, with random weights, that standardises its images."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 5, stride=3)
        self.fc = nn.Linear(4 * 8 * 8, 10)

    def forward(self, x):
        return self.fc(F.relu(self.conv((x - 0.13) / 0.31)).flatten(1))


class Untrained(nn.Module):
    """Norms as they are made: exporters store one tensor of ones and one of zeros for all of them. One norm is used twice."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2)
        self.bn1 = nn.BatchNorm2d(8)
        self.block = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.ReLU(), nn.BatchNorm2d(8))
        self.norm = nn.LayerNorm(8)
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        x = self.bn1(F.relu(self.conv1(x)))
        x = self.bn1(F.relu(self.block(x) + x))
        return self.fc(self.norm(x.mean((2, 3))))


SCOPES = "pkg.torch.onnx.name_scopes"


def strip(path):
    """Takes out what an exporter tells about the program that called it."""
    model = onnx.load(path, load_external_data=False)
    del model.metadata_props[:], model.graph.metadata_props[:]
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        scopes = [entry.value for entry in part.metadata_props if entry.key == SCOPES and path.stem == "untrained_dynamo"]
        del part.metadata_props[:]
        for value in scopes:
            part.metadata_props.add(key=SCOPES, value=value)
        part.doc_string = ""
    onnx.save(model, path)


def untrained():
    torch.manual_seed(2)
    network = Untrained().eval()
    images = torch.rand(4, 3, 16, 16)
    names = {"input_names": ["images"], "output_names": ["logits"]}
    torch.onnx.export(network, (images[:1],), FOLDER / "untrained.onnx", dynamo=False, opset_version=17,
                      training=torch.onnx.TrainingMode.PRESERVE, **names)
    torch.onnx.export(network, (images[:1],), FOLDER / "untrained_dynamo.onnx", dynamo=True, external_data=False, **names)
    for path in FOLDER.glob("untrained*.onnx"):
        strip(path)
    found = {"images": images, "logits": network(images).detach()}
    # A step of SGD moves each copy by itself.
    network.train()
    F.cross_entropy(network(images), torch.arange(4)).backward()
    found |= {f"gradient.{name}": parameter.grad for name, parameter in network.named_parameters()}
    found |= {f"after.{name}": buffer for name, buffer in network.named_buffers() if buffer.dim() > 0}
    save_file(found, FOLDER / "untrained.safetensors")


def main():
    torch.manual_seed(0)
    network = Small()
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    network.train()
    with torch.no_grad():
        for _ in range(10):
            network(torch.rand(16, 3, 16, 16))
    network.eval()
    images = torch.rand(4, 3, 16, 16)
    FOLDER.mkdir(exist_ok=True)
    untrained()
    example, apart = (images[:1],), torch.onnx.TrainingMode.PRESERVE
    names = {"input_names": ["images"], "output_names": ["logits"]}
    traced = {"dynamo": False, **names}
    torch.onnx.export(network, example, FOLDER / "traced.onnx", opset_version=13, **traced)
    torch.onnx.export(network, example, FOLDER / "apart.onnx", opset_version=17, training=apart, **traced)
    torch.onnx.export(network, example, FOLDER / "dynamo.onnx", dynamo=True, external_data=False, **names)
    torch.onnx.export(network, example, FOLDER / "external.onnx", dynamo=True, external_data=True, **names)
    torch.onnx.export(Refused().eval(), example, FOLDER / "refused.onnx", opset_version=17, **traced)

    digit = (torch.rand(1, 1, 28, 28),)
    torch.onnx.export(Digits().eval(), digit, FOLDER / "digits.onnx", opset_version=17, **traced)
    torch.manual_seed(1)
    general = General().eval()
    torch.onnx.export(general, example, FOLDER / "general.onnx", opset_version=17, training=apart, **traced)
    torch.onnx.export(general, example, FOLDER / "general_dynamo.onnx", dynamo=True, external_data=False, **names)
    for path in FOLDER.glob("*.onnx"):
        strip(path)
    x = images.double().requires_grad_()
    logits = general.double()(x)
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, torch.arange(4), reduction="sum"), x)
    save_file({"images": x.detach(), "logits": logits.detach(), "gradient": gradient}, FOLDER / "general.safetensors")

    x = images.clone().requires_grad_()
    # What comes before the softmax.
    logits = torch.log(network(x))
    logits = logits - logits.detach().mean(1, keepdim=True)
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, torch.arange(4), reduction="sum"), x)
    found = {"images": images, "logits": logits.detach(), "gradient": gradient}
    save_file({key: value.contiguous() for key, value in found.items()}, FOLDER / "small.safetensors")


if __name__ == "__main__":
    main()
