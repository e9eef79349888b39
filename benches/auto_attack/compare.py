"""AutoAttack by this program and by torchattacks on the same model and images: robust accuracy and time of both.

    python benches/auto_attack/compare.py --weights FILE --arch NAME --epsilon 8/255 --images 1000 --data data/cifar10

The interpreter that runs this script must have torch, safetensors and torchattacks 3.5.1; `cargo build --release` makes
our side. `--k N` gives both sides N steps for APGD and FAB: the standard version has 100, torchattacks' class of that
name has 10, so that without `--k` ours does ten times as many. Every other budget is the same. With `--device cuda` both
compute on the card in tf32, torchattacks with channels-last weights and cuDNN's search for algorithms.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "parity"))
from architectures import make  # noqa: E402


def normalisation(options):
    """The line of a spec about it."""
    if not options.mean:
        return ""
    return f"normalize = {{ mean = [{options.mean}], std = [{options.std}] }}"


def run(options, folder, name, *settings):
    """One attack by our side; its folder."""
    spec = folder / f"{name}.toml"
    spec.write_text(
        f"""task = "attack"
[data]
kind = "cifar10"
dir = "{Path(options.data).resolve()}"
test_limit = {options.images}
eval_batch_size = {options.batch_size}
{normalisation(options)}
[model]
arch = "{options.arch}"
weights = "{Path(options.weights).resolve()}"
[attack]
epsilon = "{options.epsilon}"
norm = "{options.norm}"
save_images = false
"""
    )
    command = [options.runner, spec, *settings, "--device", options.device, "--results", folder, "--fresh", "-q"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}:\n{done.stderr}")
    return next(path for path in (folder / name).iterdir() if (path / "run.json").exists())


def ours(options, folder):
    settings = ["attack.kind=auto-attack"] + ([f"attack.k={options.k}"] if options.k else [])
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = run(options, folder, "ours", *settings)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    metrics = json.loads((done / "run.json").read_text())["stages"][0]["metrics"]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    steps = ["apgd-ce", "apgd-t", "fab-t", "square"]
    print("ours:", ", ".join(f"{100 * metrics[f'test_{step}_accuracy']:.1f} % after {step}" for step in steps))
    return metrics["test_auto-attack_accuracy"], wall, cpu


def originals(options, folder):
    """The images as our side reads them: an attack in a ball too small for a pixel to change."""
    done = run(options, folder, "originals", "attack.kind=fgsm", "attack.epsilon=1e-12", "attack.norm=linf")
    tensors = load_file(done / "adversarial.safetensors")
    return tensors["images"], tensors["labels"].long()


class Normalised(torch.nn.Module):
    def __init__(self, network, mean, std):
        super().__init__()
        self.network = network
        numbers = [torch.tensor([float(v) for v in text.split(",")]).view(1, -1, 1, 1) for text in (mean, std)]
        self.mean, self.std = (torch.nn.Parameter(values) for values in numbers)

    def forward(self, x):
        return self.network((x - self.mean) / self.std)


def theirs(options, images, labels):
    import torchattacks

    network = make(options.arch)
    network.load_state_dict(load_file(options.weights), strict=False)
    if options.mean:
        network = Normalised(network, options.mean, options.std)
    network.eval().requires_grad_(False)
    if options.device == "cuda":
        torch.backends.cudnn.benchmark = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cuda.matmul.allow_tf32 = True
        network = network.cuda().to(memory_format=torch.channels_last)
        # Its FAB takes no channels-last images.
        images, labels = images.cuda(), labels.cuda()
    torch.set_num_threads(options.threads)
    above, _, below = options.epsilon.partition("/")
    epsilon = float(above) / float(below or 1)
    norm = {"linf": "Linf", "l2": "L2"}[options.norm]
    attack = torchattacks.AutoAttack(network, norm=norm, eps=epsilon, version="standard", n_classes=10, seed=0)
    if options.k:
        for member in attack._autoattack.attacks[:3]:
            member.steps = options.k
    # As the authors' own standard version has it; torchattacks would fit the schedule to the number of queries.
    attack._autoattack.attacks[3].rescale_schedule = False
    # Its members fail on a batch of which nothing stands, so only images that are right before are handed over.
    with torch.no_grad():
        right = torch.cat([network(x).argmax(1) for x in images.split(options.batch_size)]) == labels
    standing = 0
    cpu, begun = time.process_time(), time.perf_counter()
    for x, y in zip(images[right].split(options.batch_size), labels[right].split(options.batch_size)):
        adversarial = attack(x, y)
        far = (adversarial - x).flatten(1)
        far = far.abs().amax(1) if options.norm == "linf" else far.norm(dim=1)
        assert far.max() <= epsilon + 1e-5, far.max()
        with torch.no_grad():
            standing += int((network(adversarial).argmax(1) == y).sum())
        print(f"theirs: {time.perf_counter() - begun:.0f} s, {standing} stand", file=sys.stderr, flush=True)
    wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
    return standing / len(labels), wall, cpu


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True, help="a .safetensors file")
    parser.add_argument("--arch", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--epsilon", default="8/255")
    parser.add_argument("--norm", choices=["linf", "l2"], default="linf")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--k", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--mean", help="of the network's normalisation, such as 0.49,0.48,0.45")
    parser.add_argument("--std")
    parser.add_argument("--side", choices=["both", "ours", "theirs"], default="both")
    parser.add_argument("--runner", default=ROOT / "target" / "release" / "runner")
    options = parser.parse_args()
    sides = {}
    with tempfile.TemporaryDirectory() as folder:
        if options.side != "theirs":
            sides["ours"] = ours(options, Path(folder))
        if options.side != "ours":
            sides["theirs"] = theirs(options, *originals(options, Path(folder)))
    for name, (accuracy, wall, cpu) in sides.items():
        print(f"{name}: robust accuracy {100 * accuracy:.1f} %, {wall:.0f} s, {cpu:.0f} s of CPU time")
    if len(sides) == 2:
        (a, wall_a, cpu_a), (b, wall_b, cpu_b) = sides["ours"], sides["theirs"]
        print(f"difference {100 * (a - b):+.2f} points; ours / theirs: time {wall_a / wall_b:.2f}, CPU {cpu_a / cpu_b:.2f}")


if __name__ == "__main__":
    main()
