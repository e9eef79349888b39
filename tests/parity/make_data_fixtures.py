"""Writes tests/fixtures/svhn, which the tests of SVHN's files read. Made with scipy.

    python tests/parity/make_data_fixtures.py
"""

from pathlib import Path

import numpy as np
from scipy.io import savemat

FOLDER = Path(__file__).resolve().parent.parent / "fixtures" / "svhn"


def main():
    FOLDER.mkdir(exist_ok=True)
    row, column, channel, image = np.indices((32, 32, 3, 3))
    pixels = (row + 3 * column + 50 * channel + 40 * image) % 256
    arrays = {"X": pixels.astype(np.uint8), "y": np.array([[1], [10], [7]], dtype=np.uint8)}
    savemat(FOLDER / "test_32x32.mat", arrays, do_compression=True)


if __name__ == "__main__":
    main()
