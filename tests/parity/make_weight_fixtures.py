"""Writes the files in tests/fixtures/weights, which tests/weights.rs reads. Made with PyTorch 2.11 and numpy 2.4.

    python tests/parity/make_weight_fixtures.py

All values are small whole numbers, exact in every type, so the test knows them without a second file.
"""

import os
import pickle
import types
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).resolve().parent.parent / "fixtures" / "weights"


def every_kind_of_tensor():
    count = torch.arange(24.0)
    shared = torch.arange(6.0)
    return OrderedDict(
        [
            ("f32", count.reshape(2, 3, 4).clone()),
            ("f64", count.double()[:4].clone()),
            ("f16", count.half()[:4].clone()),
            ("bf16", count.bfloat16()[:4].clone()),
            ("i64", torch.tensor(7)),  # a scalar, as batch norm's num_batches_tracked
            ("i32", torch.tensor([-1, 2], dtype=torch.int32)),
            ("i16", torch.tensor([-1, 2], dtype=torch.int16)),
            ("i8", torch.tensor([-128, 127], dtype=torch.int8)),
            ("u8", torch.tensor([0, 255], dtype=torch.uint8)),
            ("bool", torch.tensor([True, False])),
            ("transposed", torch.arange(6.0).reshape(2, 3).t()),
            ("strided", torch.arange(24.0).reshape(2, 3, 4)[:, 1:, ::2]),
            ("channels_last", torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last)),
            ("expanded", torch.tensor([[5.0]]).expand(2, 3)),
            ("empty", torch.zeros(0, 3)),
            ("shared.a", shared[:4]),
            ("shared.b", shared[2:]),
            ("parameter", torch.nn.Parameter(torch.tensor([1.0, 2.0]))),
        ]
    )


def network():
    """A state dict with metadata, as a module gives it."""
    net = torch.nn.Sequential(OrderedDict(conv=torch.nn.Conv2d(1, 2, 3), bn=torch.nn.BatchNorm2d(2)))
    state = net.state_dict()
    for position, value in enumerate(state.values()):
        value.copy_(torch.arange(value.numel()).reshape(value.shape) + position)
    return state


def cifar_batch(labels):
    data = np.arange(len(labels) * 3072, dtype=np.int64) % 251
    return {b"batch_label": b"a batch", b"labels": labels, b"data": data.astype(np.uint8).reshape(-1, 3072)}


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    kinds = every_kind_of_tensor()
    torch.save(kinds, FOLDER / "kinds.pt")
    torch.save(kinds, FOLDER / "kinds_legacy.pth", _use_new_zipfile_serialization=False)

    state = network()
    wrapped = OrderedDict(("module." + name, value) for name, value in state.items())
    training = {"net": wrapped, "acc": np.float64(91.5), "epoch": 3, "size": torch.Size([3, 32]), "lr": [0.1, None]}
    torch.save(training, FOLDER / "wrapped.pt")
    torch.save({"state_dict": state, "device": torch.device("cpu"), "dtype": torch.float32},
               FOLDER / "wrapped_legacy.pth", _use_new_zipfile_serialization=False)
    net = torch.nn.Conv2d(1, 1, 1)
    torch.save({"net": state, "optimizer": torch.optim.Adam(net.parameters()).state_dict()}, FOLDER / "optimizer.pt")

    # Behind a compiled and a parallel module, with an average beside it.
    average = OrderedDict(("_orig_mod.module." + name, value + 1) for name, value in state.items())
    compiled = OrderedDict(("_orig_mod.module." + name, value) for name, value in state.items())
    torch.save({"state_dict": compiled, "ema": average, "swa": average}, FOLDER / "averaged.pt")

    # What must be refused.
    torch.save({"net": state, "args": types.SimpleNamespace(lr=0.1)}, FOLDER / "namespace.pt")
    torch.save(net, FOLDER / "module.pt")
    torch.save({"epoch": 3, "loss": 0.5}, FOLDER / "no_tensors.pt")

    class Command:
        def __reduce__(self):
            return os.system, ("echo never run",)

    torch.save({"net": state, "x": Command()}, FOLDER / "command_legacy.pth", _use_new_zipfile_serialization=False)

    for protocol, name in [(2, "cifar_protocol2"), (4, "cifar_protocol4")]:
        with open(FOLDER / name, "wb") as file:
            pickle.dump(cifar_batch([6, 9]), file, protocol=protocol)


if __name__ == "__main__":
    main()
