"""What PyTorch computes with each architecture, for the Rust side to compare with.

    python tests/parity/models.py FOLDER [cpu | cuda]

reads names of architectures from standard input, one a line, and answers each with a line "done NAME" once these files
lie in FOLDER: `weights.pt`, a state dict as torch.save writes it, and `reference.safetensors`:

- `images`, `labels`: the batch;
- `f32.*` and `f64.*`, computed in that type: `logits`, and the gradient of the summed cross-entropy with respect to the
  images by true and by linear backpropagation, `input.bp` and `input.linbp`, all in evaluation mode;
- `f32.input.rescaled` and `f64.input.rescaled`: with rescaled residual branches, where the architecture has some;
- `f32.bp.NAME`, `f64.linbp.NAME`, ..: one training step's gradient of the mean cross-entropy with respect to the
  parameter NAME, in training mode without dropout;
- `running.NAME`: running statistics after that step, in f64.

Gradients are stored in f32 whatever they were computed in.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from architectures import Block, linear, make, published, set_linear, set_rescaled

BATCH = 3


# attacks.py takes the networks from here, and has other arguments.
DEVICE = torch.device(sys.argv[2] if __name__ == "__main__" and len(sys.argv) > 2 else "cpu")
# What is called f32 here is that, on a card too.
torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def weights(name):
    """A network whose activations are neither dead nor saturated: random scales, statistics of random images.

    Residual branches are damped, as training does: a hundred undamped ones amplify rounding errors a thousandfold.
    """
    torch.manual_seed(0)
    network = make(name).to(DEVICE)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.Dropout):
            module.p = 0.0
    for module in network.modules():
        if isinstance(module, Block):
            nn.init.uniform_(module.last_norm().weight, 0.1, 0.4)
    network.train()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.5
        for _ in range(6):
            network(torch.rand(8, *shape(name)).to(DEVICE))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.1
    return network


def shape(name):
    return (1, 28, 28) if name in ("mlp", "lenet5") else (3, 32, 32)


def reference(name, folder):
    network = weights(name)
    state = {key: value.clone().cpu() for key, value in network.state_dict().items()}
    torch.save(published(name, state), folder / "weights.pt")
    torch.manual_seed(1)
    images, labels = torch.rand(BATCH, *shape(name)), torch.arange(BATCH) * 3 % 10
    out = {"images": images, "labels": labels.to(torch.uint8)}
    images, labels = images.to(DEVICE), labels.to(DEVICE)
    for dtype, kind in ((torch.float32, "f32"), (torch.float64, "f64")):
        network.to(dtype)
        for variant in ("bp", "linbp"):
            network.load_state_dict(state)
            network.eval()
            set_linear(network, linear(name, network, "attack") if variant == "linbp" else ())
            x = images.to(dtype).requires_grad_()
            logits = network(x)
            out[f"{kind}.logits"] = logits.detach().float()
            (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), x)
            out[f"{kind}.input.{variant}"] = gradient.float()
            if variant == "linbp" and set_rescaled(network, True):
                (gradient,) = torch.autograd.grad(F.cross_entropy(network(x), labels, reduction="sum"), x)
                out[f"{kind}.input.rescaled"] = gradient.float()
                set_rescaled(network, False)

            network.train()
            set_linear(network, linear(name, network, "train") if variant == "linbp" else ())
            loss = F.cross_entropy(network(images.to(dtype)), labels)
            names, parameters = zip(*network.named_parameters())
            for key, gradient in zip(names, torch.autograd.grad(loss, parameters)):
                out[f"{kind}.{variant}.{key}"] = gradient.float().clone()
    for key, buffer in network.named_buffers():
        if "running" in key:
            out[f"running.{key}"] = buffer.float().clone()
    save_file({key: value.cpu().contiguous() for key, value in out.items()}, folder / "reference.safetensors")


def main():
    folder = Path(sys.argv[1])
    for line in sys.stdin:
        reference(line.strip(), folder)
        print(f"done {line.strip()}", flush=True)


if __name__ == "__main__":
    main()
