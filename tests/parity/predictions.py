"""The classes that a published CIFAR ResNet gives to images, by plain PyTorch.

    python tests/parity/predictions.py NAME WEIGHTS IMAGES PREDICTIONS

IMAGES and PREDICTIONS are safetensors: `images` of shape (N, 3, 32, 32) in [0, 1] there, `classes` of shape (N,) here.
"""

import sys

import torch
from safetensors.torch import load_file, save_file

from architectures import make

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def main():
    name, weights, images, predictions = sys.argv[1:]
    state = torch.load(weights, map_location="cpu", weights_only=True)["state_dict"]
    network = make(name)
    network.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
    network.eval()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    with torch.no_grad():
        batches = load_file(images)["images"].split(100)
        classes = torch.cat([network((batch - mean) / std).argmax(1) for batch in batches])
    save_file({"classes": classes}, predictions)


if __name__ == "__main__":
    main()
