"""Tables as data frames of pandas or polars, with the same columns of the same kinds."""

from __future__ import annotations

import importlib
import io
import json
from pathlib import Path
from typing import Any, TypeAlias

Frame: TypeAlias = Any
"""A DataFrame of either library, neither of which has to be installed for the other."""

LIBRARIES = ("pandas", "polars")

# What columns of the CSV files hold, so that an empty one is of the same kind in every run; others are guessed.
COLUMNS = {
    column: kind
    for kind, columns in {
        "text": "stage split attack method name label_name clean_prediction_name adversarial_prediction_name"
        " adversarial_prediction_8bit_name outcome broken_by from to",
        "whole": "epoch step steps examples repeat index label clean_prediction adversarial_prediction adversarial_prediction_8bit",
        "number": "loss accuracy best_accuracy lr seconds examples_per_second l1_distance linf l2 clean_confidence adversarial_confidence accuracy_8bit"
        " success_rate common_success_rate",
        "truth": "linbp",
    }.items()
    for column in columns.split()
}


def toml(value: Any) -> str:
    """A value as a spec writes it."""
    match value:
        case list():
            return f"[{', '.join(map(toml, value))}]"
        case dict():
            return f"{{ {', '.join(f'{key} = {toml(value[key])}' for key in sorted(value))} }}"
        case str() | bool():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return repr(value)


def kind(values: list[Any]) -> str:
    """What a column of these values holds."""
    types = {type(value) for value in values if value is not None}
    kinds: tuple[tuple[set[type], str], ...] = ((set(), "text"), ({bool}, "truth"), ({int}, "whole"), ({int, float}, "number"))
    return next((kind for known, kind in kinds if types <= known), "text")


class Library:
    """What is asked of a library of data frames."""

    def __init__(self, name: str) -> None:
        try:
            self.module = module = importlib.import_module(name)
        except ImportError as error:
            raise ImportError(f"frames={name!r} needs {name}: pip install {name}") from error
        self.is_pandas = name == "pandas"
        self.types: dict[str, Any] = (
            {"text": "str", "whole": "Int64", "number": "float64", "truth": "boolean"}
            if self.is_pandas
            else {"text": module.String, "whole": module.Int64, "number": module.Float64, "truth": module.Boolean}
        )

    def table(self, columns: dict[str, list[Any]]) -> Frame:
        """A table of these columns. Lists, and columns of several kinds, become text, as in the program's tables."""
        found = {}
        for name, values in columns.items():
            if (holds := kind(values)) == "text":
                values = [value if value is None or isinstance(value, str) else toml(value) for value in values]
            found[name] = self.module.Series(values, dtype=self.types[holds])
        return self.module.DataFrame(found)

    def read(self, path: Path) -> Frame | None:
        """The table at `path`, where there is one, without a last line that is not whole."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        data = data[: data.rfind(b"\n") + 1]
        columns = data.split(b"\n", 1)[0].decode().split(",")
        types = {column: self.types[COLUMNS[column]] for column in columns if column in COLUMNS}
        try:
            return self._parse(data, columns, types) if data else None
        except Exception as error:
            error.add_note(f"in {path}")
            raise

    def _parse(self, data: bytes, columns: list[str], types: dict[str, Any]) -> Frame:
        if not self.is_pandas:
            return self.module.read_csv(data, schema_overrides=types, infer_schema_length=None)
        # Text that stands for a missing value elsewhere, such as "NA", is text.
        missing = {column: [""] if COLUMNS.get(column) == "text" else ["", "NaN"] for column in columns}
        options: dict[str, Any] = {"dtype": types, "keep_default_na": False, "na_values": missing}
        if tuple(map(int, self.module.__version__.split(".")[:2])) < (3, 1):
            # Later versions read floats exactly by themselves.
            options["float_precision"] = "round_trip"
        return self.module.read_csv(io.BytesIO(data), **options)

    def of_stage(self, rows: Frame, stage: str) -> Frame:
        """The rows of one stage."""
        chosen = rows["stage"] == stage
        return rows[chosen] if self.is_pandas else rows.filter(chosen)

    def label(self, rows: Frame, labels: dict[str, str]) -> Frame:
        """The rows behind columns of one text each."""
        if self.is_pandas:
            return self.module.concat([self.module.DataFrame(labels, index=rows.index), rows], axis=1)
        return rows.select(*(self.module.lit(text).alias(name) for name, text in labels.items()), self.module.all())

    def join(self, runs: Frame, tables: list[Frame]) -> Frame:
        """The rows of all tables, behind what `runs` says of their runs."""
        if self.is_pandas:
            return runs.merge(self.module.concat(tables, ignore_index=True), on="run")
        return runs.join(self.module.concat(tables, how="diagonal_relaxed"), on="run", maintain_order="left_right")
