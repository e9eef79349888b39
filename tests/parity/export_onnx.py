"""Networks of every architecture as PyTorch's exporters write them, for the Rust side to read.

    python tests/parity/export_onnx.py FOLDER

reads names of architectures from standard input, one a line, and answers each with a line "done NAME WAY,WAY,.." once
`weights.pt` and a file `WAY.onnx` for each way of exporting that works lie in FOLDER:

- `traced`, `traced_apart`: torch.onnx.export(dynamo=False), batch norms folded into convolutions and left as they are;
- `dynamo`: torch.onnx.export(dynamo=True), which folds them too.
"""

import contextlib
import logging
import os
import sys
import warnings
from pathlib import Path

import torch

from architectures import published
from models import shape, weights

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)


class Spread(torch.nn.Module):
    """What adaptive pooling makes of one pixel, in words that the tracing exporter knows."""

    def forward(self, x):
        return x.expand(-1, -1, 7, 7)


def export(network, images, path, way):
    options = {
        "traced": {"dynamo": False, "opset_version": 13},
        "traced_apart": {"dynamo": False, "opset_version": 17, "training": torch.onnx.TrainingMode.PRESERVE},
        # With the batch left free and the numbers in a file beside it.
        "dynamo": {"dynamo": True, "verbose": False, "dynamic_shapes": ({0: torch.export.Dim("batch")},)},
    }[way]
    torch.onnx.export(network, (images,), path, input_names=["images"], output_names=["logits"], **options)


def main():
    folder = Path(sys.argv[1])
    for line in sys.stdin:
        name = line.strip()
        network = weights(name).eval()
        torch.save(published(name, network.state_dict()), folder / "weights.pt")
        if name.startswith("vgg"):
            network.avgpool = Spread()
        # Batch norms that are folded in float32 move activations over their kinks: gradients could not be compared.
        network = network.double()
        done = []
        for way in ("traced", "traced_apart", "dynamo"):
            # What the exporters say is not for the one who asked.
            with open(os.devnull, "w") as null, contextlib.redirect_stdout(null):
                export(network, torch.rand(2, *shape(name)).double(), str(folder / f"{way}.onnx"), way)
            done.append(way)
        print(f"done {name} {','.join(done)}", flush=True)


if __name__ == "__main__":
    main()
