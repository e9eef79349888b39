"""Writes tests/fixtures/svhn and tests/fixtures/resize, which tests of data read. Made with scipy, and torchvision 0.26.

    python tests/parity/make_data_fixtures.py
"""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat
from torchvision import transforms

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
FOLDER = FIXTURES / "svhn"


def resize():
    """A picture of noise over a gradient, scaled and cut as for ImageNet's networks."""
    folder = FIXTURES / "resize"
    folder.mkdir(exist_ok=True)
    row, column, channel = np.indices((47, 61, 3))
    noise = np.random.default_rng(0).integers(0, 90, row.shape)
    picture = Image.fromarray(((2 * row + 2 * column + 30 * channel + noise) % 256).astype(np.uint8))
    picture.save(folder / "picture.png")
    for shorter, size in ((20, (16, 20)), (47, (33, 40)), (90, (80, 81))):
        changed = transforms.CenterCrop(size)(transforms.Resize(shorter)(picture))
        changed.save(folder / f"{shorter}-{size[0]}x{size[1]}.png")


def main():
    resize()
    FOLDER.mkdir(exist_ok=True)
    row, column, channel, image = np.indices((32, 32, 3, 3))
    pixels = (row + 3 * column + 50 * channel + 40 * image) % 256
    arrays = {"X": pixels.astype(np.uint8), "y": np.array([[1], [10], [7]], dtype=np.uint8)}
    savemat(FOLDER / "test_32x32.mat", arrays, do_compression=True)


if __name__ == "__main__":
    main()
