"""The results of `runner` as data frames: `load("results/NAME").metrics`.

Only files of runs are read: run.json, spec.toml and the CSV tables. What they mean is in docs/results.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from ._frames import LIBRARIES, Frame, Library
from ._run import Run, by_number, distinguishing, lookup

__all__ = ["Results", "load"]


def load(path: str | os.PathLike[str], frames: Literal["pandas", "polars"] = "pandas") -> Results:
    """Reads the runs of a name, `results/NAME`, or one of them, `results/NAME/RUN`.

    Raises FileNotFoundError where there is no such folder, ValueError where it has no runs, ImportError where the
    library of the frames is not installed.
    """
    if frames not in LIBRARIES:
        raise ValueError(f"frames={frames!r}: expected {' or '.join(LIBRARIES)}")
    # Names come from the path, so "." has to become one.
    folder = Path(os.path.abspath(path))
    if not folder.is_dir():
        raise FileNotFoundError(f"{path}: no such folder")
    folders = [folder, *sorted(folder.iterdir(), key=by_number)]
    runs = [Run.read(folder) for folder in folders if (folder / "run.json").is_file()]
    if not runs:
        names = sorted({file.parent.parent.name for file in folder.glob("*/*/run.json")})
        below = f"; there are runs of {', '.join(names)} below it" if names else ""
        raise ValueError(f"{path}: no folder of a run, which has a run.json{below}")
    return Results(runs, Library(frames))


class Results:
    """The runs of a name.

    Every table but `settings` begins with the columns `run` and `state` and has the settings that tell the runs apart, as
    summary.csv and results.csv do. A table that no run has is None. Tables are read when they are first asked for.
    """

    keys: list[str]
    """The settings that tell the runs apart: those that were swept, then others that differ."""

    def __init__(self, runs: list[Run], library: Library) -> None:
        self.keys = distinguishing(runs)
        self._runs, self._library = runs, library
        self._names: dict[str, list[Any]] = {"run": [r.name for r in runs], "state": [r.state for r in runs]}
        self._told = {key: [lookup(run.settings, key) for run in runs] for key in self.keys}

    def __repr__(self) -> str:
        return f"<Results: {len(self._runs)} runs, told apart by {', '.join(self.keys) or 'nothing'}>"

    @cached_property
    def runs(self) -> Frame:
        """One row per run: `run`, `state`, `error`, the settings that tell runs apart, the last metrics."""
        names = sorted({name for run in self._runs for name in run.metrics})
        metrics = {name: [run.metrics.get(name) for run in self._runs] for name in names}
        errors = {"error": [run.error for run in self._runs]}
        return self._library.table({**self._names, **errors, **self._told, **metrics})

    @cached_property
    def settings(self) -> Frame:
        """One row per run: `run` and every setting of its spec.toml, those of stages as `stage.ID.KEY`."""
        names = sorted({name for run in self._runs for name in run.settings})
        settings = {name: [run.settings.get(name) for run in self._runs] for name in names}
        return self._library.table({"run": self._names["run"], **settings})

    @cached_property
    def metrics(self) -> Frame | None:
        """The rows of metrics.csv."""
        return self._joined((run.name, {}, rows) for run in self._runs for rows in run.metric_rows(self._library))

    @cached_property
    def examples(self) -> Frame | None:
        """The rows of examples.csv, behind their `stage`."""
        return self._of_stages("examples.csv")

    @cached_property
    def simulation(self) -> Frame | None:
        """The rows of simulation.csv, behind their `stage`."""
        return self._of_stages("simulation.csv")

    @cached_property
    def transfer(self) -> Frame | None:
        """The rows of transfer.csv, behind their `stage`."""
        return self._of_stages("transfer.csv")

    @cached_property
    def transfer_examples(self) -> Frame | None:
        """The rows of transfer_examples.csv, behind their `stage`."""
        return self._of_stages("transfer_examples.csv")

    def _of_stages(self, file: str) -> Frame | None:
        begun = ((run, stage, folder) for run in self._runs for stage, folder in run.begun())
        return self._joined((run.name, {"stage": id}, self._library.read(folder / file)) for run, id, folder in begun)

    def _joined(self, tables: Iterable[tuple[str, dict[str, str], Frame | None]]) -> Frame | None:
        found = [self._library.label(rows, {"run": run, **more}) for run, more, rows in tables if rows is not None]
        return self._library.join(self._library.table({**self._names, **self._told}), found) if found else None
