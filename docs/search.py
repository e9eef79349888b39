"""A hyper-parameter search with Optuna that drives `runner`: Optuna proposes points, `runner` carries them out.

    pip install optuna
    python docs/search.py experiments/quickstart.toml

Each round asks for some points, writes them as a table, runs them by `--sweep-from` and tells Optuna the metric that
`--json` reports. Runs that are finished already are not run again, so that a search that was stopped goes on quickly.
"""

import csv
import json
import subprocess
import sys

import optuna

ROUNDS, POINTS, JOBS = 5, 4, 2
METRIC = "train.test_accuracy"


def main(spec):
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    for _ in range(ROUNDS):
        trials = [study.ask() for _ in range(POINTS)]
        points = [
            {
                "stage.train.scheduler.max_lr": trial.suggest_float("max_lr", 1e-3, 0.3, log=True),
                "stage.train.optimizer.momentum": trial.suggest_categorical("momentum", [0.0, 0.5, 0.9]),
            }
            for trial in trials
        ]
        with open("points.csv", "w", newline="") as file:
            table = csv.DictWriter(file, points[0])
            table.writeheader()
            table.writerows(points)
        command = ["runner", spec, "--sweep-from", "points.csv", "--jobs", str(JOBS), "--json", "--quiet"]
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if said.returncode == 2 or not said.stdout:
            sys.exit("the spec or the points are faulty, or the search was stopped")
        for trial, run in zip(trials, json.loads(said.stdout)["runs"]):
            value = run.get("metrics", {}).get(METRIC)
            study.tell(trial, value, state=None if value is not None else optuna.trial.TrialState.FAIL)
    print(f"best: {study.best_value} with {study.best_params}")


if __name__ == "__main__":
    main(sys.argv[1])
