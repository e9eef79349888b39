"""Time and memory of a ResNet-50 on a folder of photograph-sized JPEG files, by this program and by PyTorch.

    python benches/large_images/compare.py target/release/runner [--images 1000] [--folder DIR]

Both scale the shorter side to 256, cut out 224x224, normalise, and compute logits in batches of 32 on all processors: this
program in the task `evaluate`, PyTorch with torchvision's ImageFolder and a DataLoader with a worker for each processor.
Each is a process of its own; memory is its largest resident set, with PyTorch's workers beside it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy
import torch
import torchvision
from PIL import Image
from torchvision import transforms

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
CLASSES = 10
BATCH = 32


def make_images(folder, count):
    """JPEG files of 500x375 pixels with large and small structure, in ten classes."""
    random = numpy.random.default_rng(0)
    for index in range(count):
        path = folder / "test" / f"class{index % CLASSES}" / f"{index:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = random.integers(0, 256, (12, 16, 3), dtype=numpy.uint8)
        picture = Image.fromarray(coarse).resize((500, 375), Image.BICUBIC)
        noise = random.integers(-12, 13, (375, 500, 3))
        pixels = numpy.clip(numpy.asarray(picture).astype(int) + noise, 0, 255).astype(numpy.uint8)
        Image.fromarray(pixels).save(path, quality=90)


def pytorch(folder, weights):
    network = torchvision.models.resnet50(num_classes=CLASSES)
    network.load_state_dict(torch.load(weights))
    network.eval()
    steps = [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    images = torchvision.datasets.ImageFolder(folder / "test", transforms.Compose(steps))
    loader = torch.utils.data.DataLoader(images, batch_size=BATCH, num_workers=os.cpu_count())
    right = 0
    with torch.no_grad():
        for batch, labels in loader:
            right += (network(batch).argmax(1) == labels).sum().item()
    print(f"accuracy {right / len(images)}")


SPEC = f"""
task = "evaluate"
[data]
kind = "image-folder"
dir = "DIR"
resize = 256
image_size = [224, 224]
normalize = {{ mean = {MEAN}, std = {STD} }}
eval_batch_size = {BATCH}
[model]
arch = "resnet50"
stem = "7x7-maxpool"
weights = "WEIGHTS"
[evaluate]
attacks = ["none"]
"""


def measured(command, folder):
    """Seconds and the largest resident set in MiB of a process, and what it said."""
    begun = time.perf_counter()
    child = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    words = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(words)
    return time.perf_counter() - begun, usage.ru_maxrss / 1024, words.strip().splitlines()[-1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("runner", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--folder", type=Path, help="where images and weights are, or are made")
    parser.add_argument("--pytorch", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp())
    weights = folder / "weights.pt"
    if args.pytorch:
        return pytorch(folder, weights)
    if not weights.exists():
        make_images(folder, args.images)
        torch.manual_seed(0)
        torch.save(torchvision.models.resnet50(num_classes=CLASSES).state_dict(), weights)
    (folder / "large.toml").write_text(SPEC.replace("DIR", str(folder)).replace("WEIGHTS", str(weights)))
    theirs = [sys.executable, str(Path(__file__).resolve()), str(args.runner), "--pytorch", "--folder", str(folder)]
    ours = [str(args.runner.resolve()), "large.toml", "--fresh", "-q"]
    for name, command in (("this program", ours), ("PyTorch", theirs)):
        seconds, memory, words = measured(command, folder)
        print(f"{name}: {seconds:.1f} s, {memory:.0f} MiB ({words})")


if __name__ == "__main__":
    main()
