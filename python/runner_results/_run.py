"""What the files of a run say."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ._frames import Frame, Library

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

FORMAT_VERSION = 1


@dataclass
class Run:
    """One run; of one whose files cannot be read, why."""

    folder: Path
    name: str
    """Its folder under that of all results: a run's name alone may look like a number."""
    state: str = "unreadable"
    error: str | None = None
    swept: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    stages: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> Run:
        """Reads run.json and spec.toml."""
        name = f"{folder.parent.name}/{folder.name}"
        try:
            record = json.loads((folder / "run.json").read_text("utf-8"))
            if record["format_version"] > FORMAT_VERSION:
                raise ValueError(f"run.json: written in format {record['format_version']}: use a newer runner_results")
            stages = record["stages"]
            run = cls(
                folder,
                name,
                record["state"],
                record["error"] and "; ".join(line.strip() for line in record["error"].splitlines()),
                [key for key, layer in record["settings"].items() if layer.startswith("sweep")],
                _flat(tomllib.loads((folder / "spec.toml").read_text("utf-8"))),
                {
                    f"{stage['id']}.{metric}" if len(stages) > 1 else metric: float(value)
                    for stage in stages
                    for metric, value in stage["metrics"].items()
                },
                stages,
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            # One damaged run hides no other.
            return cls(folder, name, error=f"{type(error).__name__}: {error}")
        if run.state == "running" and not _is_held(folder):
            # It has no owner: it was killed.
            run.state = "interrupted"
        return run

    def begun(self) -> Iterator[tuple[str, Path]]:
        """The stages that have begun, with their folders."""
        return ((stage["id"], self.folder / stage["folder"]) for stage in self.stages if stage["state"] != "pending")

    def metric_rows(self, library: Library) -> Iterator[Frame]:
        """The rows of metrics.csv, stage by stage."""
        collected = library.read(self.folder / "metrics.csv")
        begun = dict(self.begun())
        for stage in self.stages:
            tables = [collected]
            # The run takes over the rows of a shared stage when that ends: before, they are only in the stage's own table.
            if stage["folder"] != "." and stage["id"] in begun:
                tables.append(library.read(begun[stage["id"]] / "metrics.csv"))
            found = [library.of_stage(table, stage["id"]) for table in tables if table is not None]
            if found:
                yield max(found, key=len)


def _is_held(folder: Path) -> bool:
    """Whether a process owns the folder; where that cannot be asked, the record is taken at its word."""
    if fcntl is None:
        return True
    try:
        with open(folder / ".lock", "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


_DECIMAL = r"\d+(?:\.\d+)?(?:e[-+]?\d+)?"
_PIECE = re.compile(rf"((?:(?<==)-)?{_DECIMAL})(?:[/_]({_DECIMAL}))?|([^\d=]*=|[^\d=]+)")


def by_number(folder: Path) -> list[tuple[int, float, str]]:
    """An order in which `k=2` comes before `k=10`, as in the program's tables."""
    pieces = _PIECE.findall(folder.name)
    return [(0, float(n) / (float(below or 1) or 1), "") if n else (1, 0.0, text) for n, below, text in pieces]


def _flat(spec: dict[str, Any]) -> dict[str, Any]:
    """Every setting by its dotted key."""
    found: dict[str, Any] = {}

    def add(key: str, value: Any) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                add(f"{key}.{name}", inner)
        else:
            found[key] = value

    for key, value in spec.items():
        if key == "stage":
            for stage in value:
                add(f"stage.{stage.pop('id')}", stage)
        elif key != "name":
            add(key, value)
    return found


def lookup(settings: dict[str, Any], key: str) -> Any:
    """The value of a key; of one that a sweep sets for all stages, that of the first."""
    staged = (name for name in sorted(settings) if name.startswith("stage.") and name.split(".", 2)[2] == key)
    return settings[key] if key in settings else settings.get(next(staged, ""))


def distinguishing(runs: list[Run]) -> list[str]:
    """The settings that were swept, then others in which the runs that can be read differ."""
    read = [run for run in runs if run.state != "unreadable"]
    swept = sorted({key for run in read for key in run.swept})

    def tells(key: str) -> bool:
        covered = any(key == one or key.endswith(f".{one}") for one in swept)
        # By their text: 1, 1.0 and true are equal.
        return not covered and len({repr(run.settings.get(key)) for run in read}) > 1

    return swept + sorted(filter(tells, {key for run in read for key in run.settings}))
