"""The reader of results against the program's own tables, read by Python's csv alone.

The folder that it works in has the results that tests/python/main.rs makes.
"""

import csv
import importlib.util
import json
import math
import shutil
import sys
from pathlib import Path

import runner_results

NAMES = ("digits", "simulation", "chain")


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def records(frame):
    """The rows of a frame of either library; a missing cell is None."""
    rows = frame.to_dicts() if hasattr(frame, "to_dicts") else frame.astype(object).to_dict("records")
    empty = lambda value: value is None or value != value or type(value).__name__ == "NAType"
    return [{name: None if empty(value) else value for name, value in row.items()} for row in rows]


def same(found, expected, without=()):
    """Rows of a frame are those of a CSV file: columns in their order, floats to the last digit."""
    assert len(found) == len(expected) > 0, (len(found), len(expected))
    for row, cells in zip(found, expected):
        assert list(row) == [name for name in cells if name not in without], (list(row), list(cells))
        for name, value in row.items():
            cell = cells[name]
            if value is None or cell == "":
                assert value is None and cell == "", (name, value, cell)
            elif isinstance(value, str):
                assert value == cell, (name, value, cell)
            elif isinstance(value, bool):
                assert str(value).lower() == cell, (name, value, cell)
            else:
                assert isinstance(value, (int, float)) and float(value) == float(cell), (name, value, cell)


def refused(kind, text, action):
    try:
        action()
    except kind as error:
        assert text in str(error), error
    else:
        raise AssertionError(f"no {kind.__name__}: {text}")


def tables(load):
    for name in NAMES:
        results = load(f"results/{name}")
        runs = records(results.runs)
        same(runs, rows_of(f"results/{name}/summary.csv"), without={"epoch"})
        told = {run["run"]: {key: run[key] for key in ("run", "state", *results.keys)} for run in runs}
        for table in ("metrics", "examples", "simulation", "transfer"):
            expected = []
            for run, head in told.items():
                folder = Path("results", run)
                stages = json.loads((folder / "run.json").read_text())["stages"]
                if table == "metrics":
                    paths = [(folder / "metrics.csv", {})]
                else:
                    paths = [(folder / stage["folder"] / f"{table}.csv", {"stage": stage["id"]}) for stage in stages]
                for path, stage in paths:
                    rows = rows_of(path) if path.exists() else []
                    cells = {key: str(value) for key, value in head.items()}
                    expected += [{**cells, **stage, **row} for row in rows]
            found = getattr(results, table)
            if expected:
                same(records(found), expected)
            else:
                assert found is None, (name, table)
        (one,) = records(load(f"results/{runs[0]['run']}").runs)
        assert one == {name: runs[0][name] for name in one} and one["state"] == "finished"
        (settings,) = [row for row in records(results.settings) if row["run"] == one["run"]]
        assert all(settings[key] == one[key] for key in results.keys), settings
    assert settings["stage.hit.task"] == "attack" and settings["stage.learn.model.widths"] == "[16]"


def measurements(load):
    """What results.csv, which is made from the same files by the program, says of trainings and simulations."""
    found = {(r["run"], r["epoch"], r["split"]): r["accuracy"] for r in records(load("results/digits").metrics)}
    expected = rows_of("results/digits/results.csv")
    assert len(found) == len(expected) == 4 * 2 * 2
    for row in expected:
        assert found[row["run"], int(row["epoch"]), row["split"]] == float(row["accuracy"]), row
    simulated = records(load("results/simulation").simulation)
    for row in rows_of("results/simulation/results.csv"):
        ends = [r["l1_distance"] for r in simulated if (r["run"], r["method"], r["step"]) == (row["run"], row["gradient"], 10)]
        assert len(ends) == 3 and math.isclose(sum(ends) / 3, float(row["l1_distance"])), row


def faults(load):
    """Runs that are under way, killed or damaged."""
    shutil.rmtree("broken", ignore_errors=True)
    shutil.copytree("results", "broken")
    whole = records(load("broken/digits").metrics)
    first, second, *_ = sorted(Path("broken/digits").glob("*/run.json"))
    table = first.with_name("metrics.csv")
    table.write_bytes(table.read_bytes()[:-5])
    first.write_text(first.read_text().replace('"state": "finished"', '"state": "running"'))
    second.write_text("{")
    results = load("broken/digits")
    states = {row["run"]: row["state"] for row in records(results.runs)}
    killed, damaged = (f"digits/{file.parent.name}" for file in (first, second))
    assert states.pop(killed) == "interrupted" and states.pop(damaged) == "unreadable", states
    assert set(states.values()) == {"finished"} and results.keys == ["optimizer.lr", "seed"]
    # Four rows of the damaged one and the torn one.
    assert len(results.metrics) == len(whole) - 5
    # The tables of shared stages stand in for one that the run has not gathered yet.
    chain = records(load("broken/chain").metrics)
    for table in Path("broken/chain").glob("stage.*/metrics.csv"):
        table.unlink()
    assert records(load("broken/chain").metrics) == chain
    Path("empty").mkdir(exist_ok=True)
    refused(FileNotFoundError, "nowhere: no such folder", lambda: load("nowhere"))
    refused(ValueError, "empty: no folder of a run", lambda: load("empty"))
    refused(ValueError, "there are runs of chain, digits, simulation below it", lambda: load("results"))


for frames in ("pandas", "polars"):
    if not importlib.util.find_spec(frames):
        print(f"SKIPPED the reader of results with {frames}: this Python has none", flush=True)
        continue
    load = lambda path: runner_results.load(path, frames=frames)
    tables(load)
    measurements(load)
    faults(load)
    sys.modules[frames] = None
    refused(ImportError, f"pip install {frames}", lambda: load("results/digits"))
    del sys.modules[frames]
