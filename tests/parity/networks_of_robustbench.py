"""State dicts, logits and gradients of RobustBench's own networks, for the Rust side to load and compare with.

    python tests/parity/networks_of_robustbench.py FOLDER

writes for each name in NETWORKS its state dict, FOLDER/NAME.pt, as torch.save does, and FOLDER/NAME.safetensors with `images`, `labels`
and, in float64 and evaluation mode, `logits` and `gradient`, that of the summed cross-entropy with respect to the images. Needs
the package `robustbench`; exits with 3 where it cannot be imported.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

try:
    from robustbench.model_zoo.architectures.dm_wide_resnet import DMPreActResNet, DMWideResNet, Swish
    from robustbench.model_zoo.architectures.resnet import PreActBlock, PreActBlockV2, PreActResNet
    from robustbench.model_zoo.architectures.wide_resnet import WideResNet
except ImportError as why:
    print(why)
    sys.exit(3)

NETWORKS = {
    "dm_wide_resnet28_10": lambda: DMWideResNet(10, 28, 10, Swish),
    "dm_wide_resnet34_10": lambda: DMWideResNet(10, 34, 10, Swish),
    "dm_preact_resnet18": lambda: DMPreActResNet(10, 18, 0, Swish),
    "wide_resnet28_10": lambda: WideResNet(28, 10, 10),
    "wide_resnet34_10": lambda: WideResNet(34, 10, 10, sub_block1=True),
    "preact_resnet18": lambda: PreActResNet(PreActBlockV2, [2, 2, 2, 2], bn_before_fc=True),
    "preact_resnet18_raw_shortcut": lambda: PreActResNet(PreActBlock, [2, 2, 2, 2]),
}


def main():
    folder = Path(sys.argv[1])
    for name, make in NETWORKS.items():
        torch.manual_seed(0)
        network = make()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.0)
                nn.init.uniform_(module.bias, -0.3, 0.3)
                nn.init.uniform_(module.running_mean, -0.3, 0.3)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
        torch.save(network.state_dict(), folder / f"{name}.pt")
        # Some keep their mean and deviation as buffers of their own type.
        network.double().eval()
        for key, values in (("mean", (0.4914, 0.4822, 0.4465)), ("std", (0.2471, 0.2435, 0.2616))):
            if hasattr(network, key):
                setattr(network, key, torch.tensor(values, dtype=torch.float64).view(3, 1, 1))
        images, labels = torch.rand(2, 3, 32, 32), torch.tensor([3, 8])
        x = images.double().requires_grad_()
        logits = network(x)
        (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), x)
        out = {"images": images, "labels": labels, "logits": logits.detach(), "gradient": gradient}
        save_file({key: value.contiguous() for key, value in out.items()}, folder / f"{name}.safetensors")


if __name__ == "__main__":
    main()
