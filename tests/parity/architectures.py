"""Plain PyTorch definitions of every architecture in its CIFAR variant, with activations that can be linear backwards.

`make(name)` builds a network; a name such as `resnet18:3x3` is the network without the max-pool of its stem, `resnet18:7x7` with torchvision's,
`resnet18:kuangliu` the same by the names of kuangliu/pytorch-cifar. `linear(name, network, use)` names the activations that the published choice of linear
backpropagation makes linear. Both are written down here independently of the Rust code, from the papers and from what
torchvision and published CIFAR weights call their tensors.
"""

import re
from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F


class Through(torch.autograd.Function):
    """Any function forwards, the identity backwards: linear backpropagation."""

    @staticmethod
    def forward(ctx, z, function):
        return function(z)

    @staticmethod
    def backward(ctx, dy):
        return dy, None


class Act(nn.Module):
    """An activation whose backward pass is the identity where `linear` is set."""

    def __init__(self, function=F.relu):
        super().__init__()
        self.function = function
        self.linear = False

    def forward(self, z):
        return Through.apply(z, self.function) if self.linear else self.function(z)


def activations(network):
    return [name for name, module in network.named_modules() if isinstance(module, Act)]


def set_linear(network, names):
    for name, module in network.named_modules():
        if isinstance(module, Act):
            module.linear = name in names


def set_rescaled(network, rescaled):
    """Whether branches are rescaled; returns whether there are any."""
    blocks = [module for module in network.modules() if isinstance(module, Block)]
    for block in blocks:
        block.rescaled = rescaled
    return len(blocks) > 0


def sequence(**parts):
    return nn.Sequential(OrderedDict((name.lstrip("_"), part) for name, part in parts.items()))


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        widths = [784, 400, 200, 100, 10]
        for i, (a, b) in enumerate(zip(widths, widths[1:]), 1):
            setattr(self, f"fc{i}", nn.Linear(a, b))
            if i < 4:
                setattr(self, f"relu{i}", Act())

    def forward(self, x):
        x = x.flatten(1)
        for i in (1, 2, 3):
            x = getattr(self, f"relu{i}")(getattr(self, f"fc{i}")(x))
        return self.fc4(x)


class LeNet5(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.relu1 = nn.Conv2d(1, 6, 5, padding=2), Act()
        self.conv2, self.relu2 = nn.Conv2d(6, 16, 5), Act()
        self.fc1, self.relu3 = nn.Linear(400, 120), Act()
        self.fc2, self.relu4 = nn.Linear(120, 84), Act()
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = self.relu1(F.max_pool2d(self.conv1(x), 2))
        x = self.relu2(F.max_pool2d(self.conv2(x), 2))
        x = self.relu4(self.fc2(self.relu3(self.fc1(x.flatten(1)))))
        return self.fc3(x)


class VGG(nn.Module):
    BLOCKS = {11: (1, 1, 2, 2, 2), 13: (2,) * 5, 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}

    def __init__(self, depth, norm):
        super().__init__()
        parts, c = [], 3
        for repeats, width in zip(self.BLOCKS[depth], (64, 128, 256, 512, 512)):
            for _ in range(repeats):
                parts += [nn.Conv2d(c, width, 3, padding=1)] + [nn.BatchNorm2d(width)] * norm + [Act()]
                c = width
            parts.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*parts)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096), Act(), nn.Dropout(0.5),
            nn.Linear(4096, 4096), Act(), nn.Dropout(0.5),
            nn.Linear(4096, 10),
        )

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


class Padding(nn.Module):
    """Every second pixel, and so many channels of zeros before and after its own."""

    def __init__(self, channels):
        super().__init__()
        self.channels = channels

    def forward(self, x):
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.channels, self.channels))


class Block(nn.Module):
    """A residual block of any number of convolutions `(out, kernel, stride, groups)`."""

    def __init__(self, c, layers, projection=True):
        super().__init__()
        start, stride = c, 1
        for i, (out, kernel, step, groups) in enumerate(layers, 1):
            conv = nn.Conv2d(c, out, kernel, step, kernel // 2, groups=groups, bias=False)
            setattr(self, f"conv{i}", conv)
            setattr(self, f"bn{i}", nn.BatchNorm2d(out))
            setattr(self, f"relu{i}", Act())
            c, stride = out, stride * step
        self.depth = len(layers)
        self.rescaled = False
        self.downsample = None
        if not projection and start != c:
            self.downsample = Padding((c - start) // 2)
        elif stride != 1 or start != c:
            self.downsample = nn.Sequential(nn.Conv2d(start, c, 1, stride, bias=False), nn.BatchNorm2d(c))

    def inner(self):
        """The activations inside the branch."""
        return [getattr(self, f"relu{i}") for i in range(1, self.depth)]

    def last_norm(self):
        return getattr(self, f"bn{self.depth}")

    def branch(self, x):
        """Up to the last convolution."""
        for i in range(1, self.depth):
            x = getattr(self, f"relu{i}")(getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x)))
        return getattr(self, f"conv{self.depth}")(x)

    def forward(self, x):
        rescaled = self.rescaled and any(act.linear for act in self.inner())
        y = self.last_norm()(Rescaled.apply(x, self) if rescaled else self.branch(x))
        return getattr(self, f"relu{self.depth}")(y + (x if self.downsample is None else self.downsample(x)))


class Rescaled(torch.autograd.Function):
    """A block's branch whose gradient at the block's input is LinBP's direction with BP's norm, for each example."""

    @staticmethod
    def forward(ctx, x, block):
        ctx.block = block
        ctx.save_for_backward(x)
        with torch.no_grad():
            return block.branch(x)

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        inner = [act for act in ctx.block.inner() if act.linear]

        def gradient(linear):
            for act in inner:
                act.linear = linear
            with torch.enable_grad():
                start = x.detach().requires_grad_()
                return torch.autograd.grad(ctx.block.branch(start), start, dy)[0]

        truth, linear = gradient(False), gradient(True)
        factor = truth.flatten(1).norm(dim=1) / linear.flatten(1).norm(dim=1)
        return linear * factor.view(-1, 1, 1, 1), None


class ResNet(nn.Module):
    def __init__(self, blocks, groups=None, width=None):
        """Basic blocks without `groups`, else bottlenecks of `groups` groups of `width` channels."""
        super().__init__()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(64), Act()
        c = 64
        for stage, repeats in enumerate(blocks):
            planes, parts = 64 * 2**stage, []
            for i in range(repeats):
                stride = 2 if stage and not i else 1
                if groups is None:
                    layers = [(planes, 3, stride, 1), (planes, 3, 1, 1)]
                else:
                    inner = int(planes * (width / 64.0)) * groups
                    layers = [(inner, 1, 1, 1), (inner, 3, stride, groups), (4 * planes, 1, 1, 1)]
                parts.append(Block(c, layers))
                c = layers[-1][0]
            setattr(self, f"layer{stage + 1}", nn.Sequential(*parts))
        self.fc = nn.Linear(c, 10)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


class CifarResNet(nn.Module):
    """Three stages of so many blocks, without projections."""

    def __init__(self, repeats):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(16), Act()
        c = 16
        for stage in range(3):
            planes, parts = 16 * 2**stage, []
            for _ in range(repeats):
                parts.append(Block(c, [(planes, 3, planes // c, 1), (planes, 3, 1, 1)], projection=False))
                c = planes
            setattr(self, f"layer{stage + 1}", nn.Sequential(*parts))
        self.linear = nn.Linear(c, 10)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        return self.linear(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


class PreActBlock(nn.Module):
    """`raw`: the shortcut starts from the input before its activation."""

    def __init__(self, c, out, stride, raw):
        super().__init__()
        self.raw = raw
        self.bn1, self.relu1 = nn.BatchNorm2d(c), Act()
        self.conv1 = nn.Conv2d(c, out, 3, stride, 1, bias=False)
        self.bn2, self.relu2 = nn.BatchNorm2d(out), Act()
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.shortcut = None if c == out else nn.Sequential(nn.Conv2d(c, out, 1, stride, bias=False))

    def forward(self, x):
        y = self.relu1(self.bn1(x))
        x = x if self.shortcut is None else self.shortcut(x if self.raw else y)
        return x + self.conv2(self.relu2(self.bn2(self.conv1(y))))


class PreActResNet(nn.Module):
    """`normed`: with a batch norm and a ReLU at the end."""

    def __init__(self, blocks, normed, raw=False):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        c = 64
        for stage, repeats in enumerate(blocks):
            parts = []
            for _ in range(repeats):
                parts.append(PreActBlock(c, 64 * 2**stage, 64 * 2**stage // c, raw))
                c = 64 * 2**stage
            setattr(self, f"layer{stage + 1}", nn.Sequential(*parts))
        self.normed = normed
        if normed:
            self.bn, self.relu = nn.BatchNorm2d(c), Act()
        self.linear = nn.Linear(c, 10)

    def forward(self, x):
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.conv1(x)))))
        return self.linear((self.relu(self.bn(x)) if self.normed else x).mean((2, 3)))


class DenseLayer(nn.Module):
    def __init__(self, c, growth):
        super().__init__()
        self.norm1, self.relu1 = nn.BatchNorm2d(c), Act()
        self.conv1 = nn.Conv2d(c, 4 * growth, 1, bias=False)
        self.norm2, self.relu2 = nn.BatchNorm2d(4 * growth), Act()
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x):
        y = self.conv1(self.relu1(self.norm1(x)))
        return torch.cat([x, self.conv2(self.relu2(self.norm2(y)))], 1)


class DenseNet(nn.Module):
    def __init__(self, blocks, growth, c):
        super().__init__()
        parts = OrderedDict(
            conv0=nn.Conv2d(3, c, 3, padding=1, bias=False), norm0=nn.BatchNorm2d(c), relu0=Act(),
            pool0=nn.MaxPool2d(3, 2, 1),
        )
        for i, layers in enumerate(blocks, 1):
            block = OrderedDict()
            for j in range(1, layers + 1):
                block[f"denselayer{j}"] = DenseLayer(c, growth)
                c += growth
            parts[f"denseblock{i}"] = nn.Sequential(block)
            if i < len(blocks):
                parts[f"transition{i}"] = sequence(
                    norm=nn.BatchNorm2d(c), relu=Act(), conv=nn.Conv2d(c, c // 2, 1, bias=False), pool=nn.AvgPool2d(2)
                )
                c //= 2
        parts["norm5"], parts["relu5"] = nn.BatchNorm2d(c), Act()
        self.features = nn.Sequential(parts)
        self.classifier = nn.Linear(c, 10)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def conv_norm_relu6(c, out, kernel, stride=1, groups=1):
    conv = nn.Conv2d(c, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out), Act(F.relu6))


class InvertedResidual(nn.Module):
    def __init__(self, c, out, stride, expansion):
        super().__init__()
        hidden = c * expansion
        expand = [conv_norm_relu6(c, hidden, 1)] if expansion != 1 else []
        self.conv = nn.Sequential(
            *expand,
            conv_norm_relu6(hidden, hidden, 3, stride, hidden),
            nn.Conv2d(hidden, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.shortcut = stride == 1 and c == out

    def forward(self, x):
        return x + self.conv(x) if self.shortcut else self.conv(x)


class MobileNetV2(nn.Module):
    STAGES = [(1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]

    def __init__(self):
        super().__init__()
        parts, c = [conv_norm_relu6(3, 32, 3)], 32
        for expansion, out, repeats, stride in self.STAGES:
            for i in range(repeats):
                parts.append(InvertedResidual(c, out, stride if i == 0 else 1, expansion))
                c = out
        self.features = nn.Sequential(*parts, conv_norm_relu6(c, 1280, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 10))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


class Fire(nn.Module):
    def __init__(self, c, squeeze, expand):
        super().__init__()
        self.squeeze = nn.Sequential(nn.Conv2d(c, squeeze, 1), nn.BatchNorm2d(squeeze), Act())
        self.expand1x1 = nn.Sequential(nn.Conv2d(squeeze, expand, 1), nn.BatchNorm2d(expand))
        self.expand3x3 = nn.Sequential(nn.Conv2d(squeeze, expand, 3, padding=1), nn.BatchNorm2d(expand))
        self.relu = Act()

    def forward(self, x):
        x = self.squeeze(x)
        return self.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], 1))


class SqueezeNet(nn.Module):
    """Ends with logits; published code appends a log-softmax, which moves a row's logits by a constant."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 96, 3, padding=1), nn.BatchNorm2d(96), Act(), nn.MaxPool2d(2))
        c = 96
        for i, squeeze in enumerate((16, 16, 32, 32, 48, 48, 64, 64), 2):
            setattr(self, f"Fire{i}", Fire(c, squeeze, 4 * squeeze))
            c = 8 * squeeze
        self.dropout = nn.Dropout(0.5)
        self.conv2 = nn.Conv2d(c, 10, 1)

    def forward(self, x):
        x = self.conv(x)
        for i in range(2, 10):
            x = getattr(self, f"Fire{i}")(x)
            x = F.max_pool2d(x, 2) if i in (4, 8) else x
        return self.conv2(self.dropout(x)).mean((2, 3))


class WideBlock(nn.Module):
    def __init__(self, c, out, stride):
        super().__init__()
        self.bn1, self.relu1 = nn.BatchNorm2d(c), Act()
        self.conv1 = nn.Conv2d(c, out, 3, stride, 1, bias=False)
        self.bn2, self.relu2 = nn.BatchNorm2d(out), Act()
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.convShortcut = None if c == out else nn.Conv2d(c, out, 1, stride, bias=False)

    def forward(self, x):
        y = self.relu1(self.bn1(x))
        x = x if self.convShortcut is None else self.convShortcut(y)
        return x + self.conv2(self.relu2(self.bn2(self.conv1(y))))


class WideResNet(nn.Module):
    def __init__(self, depth, width):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        c = 16
        for group in range(3):
            parts = []
            for i in range((depth - 4) // 6):
                out = 16 * 2**group * width
                parts.append(WideBlock(c, out, 2 if group and not i else 1))
                c = out
            setattr(self, f"block{group + 1}", sequence(layer=nn.Sequential(*parts)))
        self.bn1, self.relu = nn.BatchNorm2d(c), Act()
        self.fc = nn.Linear(c, 10)

    def forward(self, x):
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(self.relu(self.bn1(x)).mean((2, 3)))


class SameConv(nn.Conv2d):
    """A 3x3 convolution without bias that pads as TensorFlow does: below and to the right alone where the stride is 2."""

    def __init__(self, c, out, stride=1):
        super().__init__(c, out, 3, stride, bias=False)

    def forward(self, x):
        before = 2 - self.stride[0]
        return super().forward(F.pad(x, (before, 1, before, 1)))


class DmBlock(nn.Module):
    """`wide`: the shortcut is 1x1 and starts from the activated input; otherwise it is 3x3 and starts from the input itself."""

    def __init__(self, c, out, stride, wide):
        super().__init__()
        self.wide = wide
        first, second = ("conv_0", "conv_1") if wide else ("conv_2d_1", "conv_2d_2")
        self.names = first, second
        self.batchnorm_0, self.relu_0 = nn.BatchNorm2d(c), Act(F.silu)
        setattr(self, first, SameConv(c, out, stride))
        self.batchnorm_1, self.relu_1 = nn.BatchNorm2d(out), Act(F.silu)
        setattr(self, second, SameConv(out, out))
        if c != out or stride > 1:
            self.shortcut = nn.Conv2d(c, out, 1, stride, bias=False) if wide else SameConv(c, out, stride)

    def forward(self, x):
        first, second = (getattr(self, name) for name in self.names)
        y = self.relu_0(self.batchnorm_0(x))
        if hasattr(self, "shortcut"):
            x = self.shortcut(y if self.wide else x)
        return x + second(self.relu_1(self.batchnorm_1(first(y))))


class DmResNet(nn.Module):
    def __init__(self, stem, c, groups, wide):
        super().__init__()
        self.stem = stem
        setattr(self, stem, SameConv(3, c))
        self.groups = []
        for group, (out, repeats) in enumerate(groups):
            parts = []
            for i in range(repeats):
                parts.append(DmBlock(c, out, 2 if group and not i else 1, wide))
                c = out
            self.groups.append(nn.Sequential(*parts))
        self.batchnorm, self.relu = nn.BatchNorm2d(c), Act(F.silu)
        self.logits = nn.Linear(c, 10)

    def forward(self, x):
        mean, std = (x.new_tensor(values).view(3, 1, 1) for values in ((0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)))
        x = getattr(self, self.stem)((x - mean) / std)
        for group in self.groups:
            x = group(x)
        return self.logits(self.relu(self.batchnorm(x)).mean((2, 3)))


class DmWideResNet(DmResNet):
    def __init__(self, depth, width):
        groups = [(16 * 2**group * width, (depth - 4) // 6) for group in range(3)]
        super().__init__("init_conv", 16, groups, True)
        self.layer = nn.Sequential(*(sequence(block=group) for group in self.groups))


class DmPreActResNet(DmResNet):
    def __init__(self, blocks):
        super().__init__("conv_2d", 64, [(64 * 2**group, repeats) for group, repeats in enumerate(blocks)], False)
        for group, parts in enumerate(self.groups):
            setattr(self, f"layer_{group}", parts)


NAMED = {
    "mlp": MLP,
    "lenet5": LeNet5,
    "mobilenet_v2": MobileNetV2,
    "squeezenet": SqueezeNet,
    "resnet20": lambda: CifarResNet(3),
    "resnet32": lambda: CifarResNet(5),
    "resnet44": lambda: CifarResNet(7),
    "resnet56": lambda: CifarResNet(9),
    "resnet110": lambda: CifarResNet(18),
    "preact_resnet18": lambda: PreActResNet((2, 2, 2, 2), True),
    "preact_resnet18_kuangliu": lambda: PreActResNet((2, 2, 2, 2), False),
    "preact_resnet18_raw_shortcut": lambda: PreActResNet((2, 2, 2, 2), False, True),
    "dm_preact_resnet18": lambda: DmPreActResNet((2, 2, 2, 2)),
    "resnet18": lambda: ResNet((2, 2, 2, 2)),
    "resnet34": lambda: ResNet((3, 4, 6, 3)),
    "resnet50": lambda: ResNet((3, 4, 6, 3), 1, 64),
    "resnet101": lambda: ResNet((3, 4, 23, 3), 1, 64),
    "resnet152": lambda: ResNet((3, 8, 36, 3), 1, 64),
    "resnext50_32x4d": lambda: ResNet((3, 4, 6, 3), 32, 4),
    "resnext101_32x8d": lambda: ResNet((3, 4, 23, 3), 32, 8),
    "densenet121": lambda: DenseNet((6, 12, 24, 16), 32, 64),
    "densenet161": lambda: DenseNet((6, 12, 36, 24), 48, 96),
    "densenet169": lambda: DenseNet((6, 12, 32, 32), 32, 64),
    "densenet201": lambda: DenseNet((6, 12, 48, 32), 32, 64),
}


def published(name, state):
    """The state dict as the publishers whom the name stands for save it."""
    if not name.endswith(":kuangliu"):
        return state
    renamed = {re.sub(r"^fc\.", "linear.", key.replace(".downsample.", ".shortcut.")): state[key] for key in state}
    return {"net": {f"module.{key}": value for key, value in renamed.items()}, "acc": 95.0, "epoch": 199}


def make(name):
    name, _, stem = name.partition(":")
    if stem == "7x7":
        network = make(name)
        parent, part = (network.features, "conv0") if name.startswith("densenet") else (network, "conv1")
        setattr(parent, part, nn.Conv2d(3, getattr(parent, part).out_channels, 7, 2, 3, bias=False))
        return network
    if stem:
        network = make(name)
        if name.startswith("densenet"):
            network.features.pool0 = nn.Identity()
        else:
            network.maxpool = nn.Identity()
        return network
    if name in NAMED:
        return NAMED[name]()
    if match := re.fullmatch(r"vgg(\d+)(_bn)?", name):
        return VGG(int(match[1]), match[2] is not None)
    dm, depth, width = re.fullmatch(r"(dm_)?wide_resnet(\d+)_(\d+)", name).groups()
    return (DmWideResNet if dm else WideResNet)(int(depth), int(width))


def linear(name, network, use):
    """The published choice; `use` is "train" or "attack"."""
    names = activations(network)

    def within(*parts):
        return {n for n in names if any(n == part or n.startswith(part + ".") for part in parts)}

    if name == "mlp":
        return {"relu2", "relu3"}
    if name == "lenet5":
        return {"relu3", "relu4"}
    if name == "mobilenet_v2":
        return within("features.17", "features.18")
    if name == "squeezenet":
        return within("Fire8", "Fire9")
    if name.startswith("vgg"):
        return set([n for n in names if n.startswith("features")][-3:]) | within("classifier")
    if name.startswith("res"):
        return within("layer3" if isinstance(network, CifarResNet) else "layer4")
    if name.startswith("preact"):
        return within("layer4", "relu")
    if name.startswith("densenet"):
        last = within("features.denseblock4", "features.relu5")
        return last | within("features.transition3") if use == "attack" else last
    return {"relu"}
