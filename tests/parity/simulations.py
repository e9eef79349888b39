"""The two simulations in NumPy, float64, with settings small enough for a golden file.

Writes simulations.json beside itself: for each case its settings, the normal numbers in the order in which the
program draws them, and what both methods recorded at each step. The unit test of the simulations replays them.

    python tests/parity/simulations.py
"""

import json
import pathlib

import numpy as np

LANES = 4  # rows of a block in the program's order of draws


def relu(x):
    return np.maximum(x, 0.0)


def two_layer_attack(rng, rule, steps=12, inputs=8, hidden=6, outputs=4, epsilon=0.25):
    size = {"l2": 0.05, "sign": 0.005, "raw": 0.02}[rule]
    w = rng.standard_normal((hidden, inputs))
    v = rng.standard_normal((outputs, hidden))
    z_target = rng.standard_normal(inputs)
    z_start = rng.standard_normal(inputs)
    target, start = 1 + 2 * z_target, z_start
    f = lambda x: v @ relu(w @ x)
    records = {}
    for method in ("bp", "linbp"):
        x, record = start.copy(), []
        for _ in range(steps):
            residual = f(x) - f(target)
            at_hidden = v.T @ residual
            if method == "bp":
                at_hidden = at_hidden * (w @ x > 0)
            g = w.T @ at_hidden / inputs
            step = {"l2": lambda: g / np.linalg.norm(g), "sign": lambda: np.sign(g), "raw": lambda: g}[rule]()
            x = start + np.clip(x - size * step - start, -epsilon, epsilon)
            loss = 0.5 * residual @ residual / inputs
            record.append([np.abs(x - target).sum(), loss])
        records[method] = record
    draws = np.concatenate([w.ravel(), v.ravel(), z_target, z_start])
    spec = dict(kind="two-layer-attack", step_rule=rule, step_size=size, steps=steps, inputs=inputs, hidden=hidden,
                outputs=outputs, epsilon=epsilon, batch=100)
    return dict(spec=spec, draws=draws.tolist(), **records)


def one_layer_training(rng, steps=15, inputs=3, batch=10, rate=0.05):
    z_teacher = rng.standard_normal(inputs)
    z_student = rng.standard_normal(inputs)
    teacher = 1 + 3 * z_teacher
    padded = -(-batch // LANES) * LANES
    xs = rng.standard_normal((steps, padded, inputs))
    records = {}
    for method in ("bp", "linbp"):
        w, record = z_student.copy(), []
        for x in xs[:, :batch]:
            difference = relu(x @ w) - relu(x @ teacher)
            error = difference * (x @ w > 0) if method == "bp" else difference
            loss = 0.5 * difference @ difference / batch
            w = w - rate * x.T @ error / batch
            record.append([np.abs(w - teacher).sum(), loss])
        records[method] = record
    blocks = xs.reshape(steps, padded // LANES, LANES, inputs).swapaxes(2, 3)
    draws = np.concatenate([z_teacher, z_student, blocks.ravel()])
    spec = dict(kind="one-layer-training", step_rule="l2", step_size=rate, steps=steps, inputs=inputs, hidden=20,
                outputs=10, epsilon=0.25, batch=batch)
    return dict(spec=spec, draws=draws.tolist(), **records)


def main():
    rng = np.random.default_rng(7)
    cases = [two_layer_attack(rng, rule) for rule in ("l2", "sign", "raw")] + [one_layer_training(rng)]
    lines = ",\n".join(json.dumps(case) for case in cases)
    pathlib.Path(__file__).with_suffix(".json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
