"""What other programs make of networks that this program wrote, for the Rust side to compare with.

    python tests/parity/exported.py FOLDER

reads names of architectures from standard input, one a line, and answers each with a line "done NAME" once
`answers.safetensors` lies in FOLDER. It takes `net.onnx`, `weights.safetensors` and `images.safetensors` from there:

- `onnxruntime`: the logits of `images` by `net.onnx`, which onnx.checker has passed; one image at a time and all at once;
- `pytorch`: those of the definition in architectures.py, where it has one of that name, into which `weights.safetensors` was
  loaded strictly.
"""

import sys
from pathlib import Path

import numpy
import onnx
import onnxruntime
import torch
from safetensors.torch import load_file, save_file

from architectures import make


def by_onnxruntime(path, images):
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert (given.name, made.name) == ("images", "logits"), (given.name, made.name)
    together = session.run(None, {"images": images})[0]
    apart = numpy.concatenate([session.run(None, {"images": image[None]})[0] for image in images])
    assert numpy.allclose(together, apart, rtol=1e-4, atol=1e-5 * abs(together).max()), "the batch is not free"
    return torch.from_numpy(together)


def by_pytorch(name, folder, images):
    network = make(name)
    network.load_state_dict(load_file(folder / "weights.safetensors"), strict=True)
    with torch.no_grad():
        return network.eval()(images)


def main():
    folder = Path(sys.argv[1])
    for line in sys.stdin:
        name = line.strip()
        images = load_file(folder / "images.safetensors")["images"]
        answers = {"onnxruntime": by_onnxruntime(str(folder / "net.onnx"), images.numpy())}
        if not name.startswith("other"):
            answers["pytorch"] = by_pytorch(name, folder, images)
        save_file({key: value.contiguous() for key, value in answers.items()}, folder / "answers.safetensors")
        print(f"done {name}", flush=True)


if __name__ == "__main__":
    main()
