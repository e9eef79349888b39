"""torchvision's networks for large images, for the Rust side to compare with.

    python tests/parity/large.py FOLDER

reads names of torchvision's models from standard input, one a line, and answers each with a line "done NAME" once these
files lie in FOLDER: `weights.pth`, the state dict with other numbers than the initial ones in its batch norms, and
`reference.safetensors`: `images` of 224x224, and in evaluation mode and f64 their `logits` and the `gradient` of the summed
cross-entropy with the labels 0, 1, .. with respect to them.
"""

import sys
from pathlib import Path

import torch
import torchvision
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

BATCH = 2


def reference(name, folder):
    torch.manual_seed(0)
    network = torchvision.models.get_model(name, weights=None)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    torch.save(network.state_dict(), folder / "weights.pth")
    network.double().eval()
    images = torch.rand(BATCH, 3, 224, 224, dtype=torch.float64, requires_grad=True)
    logits = network(images)
    loss = F.cross_entropy(logits, torch.arange(BATCH), reduction="sum")
    (gradient,) = torch.autograd.grad(loss, images)
    out = {"images": images, "logits": logits, "gradient": gradient}
    save_file({key: value.detach().contiguous() for key, value in out.items()}, folder / "reference.safetensors")


def main():
    folder = Path(sys.argv[1])
    for line in sys.stdin:
        reference(line.strip(), folder)
        print(f"done {line.strip()}", flush=True)


if __name__ == "__main__":
    main()
