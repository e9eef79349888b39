"""The table of experiments/linbp_layers_cifar10.toml by PyTorch alone: success rates of PGD on ResNet-56, by BP and by LinBP.

    python benches/linbp_layers/pytorch.py --data data/cifar10 --weights weights [--images 1000] [--start none]

`--data` holds test/<class>/<place in the test batch>.png, `--weights` the published files. On a card where there is one,
without tf32. Needs torch, numpy and pillow.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "parity"))
from architectures import Act, make  # noqa: E402

EPSILON, STEP, K, SEEDS, BATCH = 4 / 255, 1 / 255, 20, 3, 250
FILES = {20: "12fca82f", 32: "d509ac18", 44: "014dd654", 56: "4bfd9763"}
# Blocks of the last stage whose activations are linear backwards.
CHOICES = {"BP": [], "LinBP in the last block": [8], "in the last three": [6, 7, 8], "in the whole last stage": range(9)}
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", type=Path, required=True)
parser.add_argument("--weights", type=Path, required=True)
parser.add_argument("--images", type=int, default=1000)
parser.add_argument("--start", choices=["uniform", "none"], default="uniform")
options = parser.parse_args()

torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
device = "cuda" if torch.cuda.is_available() else "cpu"
mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
networks = {}
for depth, name in FILES.items():
    state = torch.load(options.weights / f"resnet{depth}-{name}.th", map_location="cpu", weights_only=True)["state_dict"]
    network = make(f"resnet{depth}")
    network.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
    networks[depth] = network.eval().to(device).requires_grad_(False)


def logits(depth, x):
    return networks[depth]((x - mean) / std)


def wrong(depth, x, y):
    return torch.cat([logits(depth, batch).argmax(1) for batch in x.split(BATCH)]) != y


def gradient(x, y):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(F.cross_entropy(logits(56, x), y, reduction="sum"), x)[0]


classes = sorted(path.name for path in (options.data / "test").iterdir())
files = [(int(path.stem), c, path) for c, name in enumerate(classes) for path in (options.data / "test" / name).glob("*.png")]
files = sorted(files)[: options.images]
x = np.stack([np.asarray(Image.open(path)) for *_, path in files])
x = torch.from_numpy(x).permute(0, 3, 1, 2).float().div(255).to(device)
y = torch.tensor([c for _, c, _ in files], device=device)
right = ~torch.stack([wrong(depth, x, y) for depth in FILES]).any(0)
x, y = x[right], y[right]
print(f"{len(y)} of {len(files)} images are right for all")
acts = [module for module in networks[56].layer3.modules() if isinstance(module, Act)]
for choice, blocks in CHOICES.items():
    for number, act in enumerate(acts):
        act.linear = number // 2 in blocks
    rates = []
    for seed in range(SEEDS if options.start == "uniform" else 1):
        torch.manual_seed(seed)
        noise = torch.empty_like(x).uniform_(-EPSILON, EPSILON) if options.start == "uniform" else 0
        made = (x + noise).clamp(0, 1)
        for _ in range(K):
            up = torch.cat([gradient(*pair) for pair in zip(made.split(BATCH), y.split(BATCH))])
            made = (made + STEP * up.sign()).clamp(x - EPSILON, x + EPSILON).clamp(0, 1)
        rates.append([100 * wrong(depth, made, y).float().mean().item() for depth in FILES])
    rates = np.array(rates)
    spread = rates.std(0, ddof=1) if len(rates) > 1 else np.zeros(len(FILES))
    print(f"{choice:24s}", "  ".join(f"{rate:5.1f} +- {s:.1f}" for rate, s in zip(rates.mean(0), spread)), flush=True)
