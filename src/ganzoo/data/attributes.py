"""What a file beside pictures says of each: attributes, classes, captions; CSV, JSON or lines of JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ganzoo.types import BadArgument, BadData, nearest, quoted, reason

Rows = dict[str, dict[str, str]]  # of a picture's name, what each column says

NAME: Final = "file_name"  # the column of the names in lines of JSON, as the library `datasets` has it
_YES: Final = {"1": 1, "true": 1, "yes": 1, "0": 0, "-1": 0, "false": 0, "no": 0}


def read_rows(path: Path) -> Rows:
    """What a file says of pictures, all values as texts.

    Args:
        path: `.csv`, whose first line names the columns and whose first column has the pictures' names; `.json`, an
            object of an object a picture; or `.jsonl`, an object a line, with the name as `file_name`.

    Raises:
        BadData: if the file is missing, damaged, names a picture twice, or is of another kind.
    """
    read = {".csv": _csv, ".json": _json, ".jsonl": _jsonl}.get(path.suffix.lower())
    if read is None:
        raise BadData(f"{path}: attributes stand in a .csv, .json or .jsonl file.")
    try:
        pairs = read(path.read_text("utf-8-sig"))
        rows: Rows = {}
        for name, row in pairs:
            if name in rows:
                raise ValueError(f"{quoted(name)} stands there twice")
            rows[name] = {str(key): _text(value) for key, value in row.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, csv.Error) as error:
        raise BadData(f"{path}: says nothing of pictures ({reason(error)}); see docs/data.md.") from error
    return rows


def labels_of(
    rows: Rows, names: Sequence[str], wanted: str | Sequence[str] | None, where: Path
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """The labels of pictures, and their classes.

    Args:
        rows: what is known; of each of `names`.
        names: of the pictures, in their order.
        wanted: a column, whose different values are the classes; or columns of yes and no (1 and 0, 1 and -1, true and
            false), which make vectors; None for all of these.
        where: the file, for errors.

    Returns:
        Class indices `(N,)`, or attributes `(N, K)` of 0 and 1; and the names of the classes or attributes.

    Raises:
        BadArgument: for a column that is not there, or not of yes and no.
        BadData: if a picture has no value in a column.
    """
    columns = list(dict.fromkeys(key for name in names for key in rows[name]))
    told = {key: {rows[name].get(key, "") for name in names} for key in columns}
    plain = [key for key in columns if {value.lower() for value in told[key]} <= _YES.keys()]
    asked = [wanted] if isinstance(wanted, str) else plain if wanted is None else list(wanted)
    for key in asked:
        if key not in columns:
            there = f"there are {', '.join(columns)}"
            raise BadArgument(f"labels: {where} has no column {quoted(key)}{nearest(key, columns, there)}")
        lacking = next((name for name in names if not rows[name].get(key)), None)
        if lacking is not None:
            raise BadData(f"{where}: says nothing of {lacking} in the column {key}; give each picture a value.")
    if isinstance(wanted, str):
        classes = tuple(sorted(told[wanted]))
        index = {value: k for k, value in enumerate(classes)}
        return np.array([index[rows[name][wanted]] for name in names], np.int64), classes
    other = next((key for key in asked if key not in plain), None)
    if other is not None or not asked:
        what = "no column" if other is None else f"the column {other} more than that"
        raise BadArgument(f"labels: vectors are made of columns of 1 and 0, and {where} has {what}; name one column")
    return np.array([[_YES[rows[name][key].lower()] for key in asked] for name in names], np.int64), tuple(asked)


def column(rows: Rows, name: str) -> dict[str, str]:
    """What a column says of each picture of which it says something, such as a caption.

    Raises:
        BadArgument: for a column that is not there.
    """
    found = {picture: row[name] for picture, row in rows.items() if row.get(name)}
    if not found:
        columns = list(dict.fromkeys(key for row in rows.values() for key in row))
        there = f"there are {', '.join(columns)}"
        raise BadArgument(f"captions: the attributes have no column {quoted(name)}{nearest(name, columns, there)}")
    return found


def beside(root: Path, names: Sequence[str]) -> dict[str, str]:
    """The captions that stand in files of text beside pictures, of those that have one.

    Args:
        root: the folder.
        names: of the pictures, relative to it: that of `woods/7.jpg` stands in `woods/7.txt`.

    Raises:
        BadData: if a file cannot be read.
    """
    found: dict[str, str] = {}
    for name in names:
        path = (root / name).with_suffix(".txt")
        try:
            text = " ".join(path.read_text("utf-8-sig").split())
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise BadData(f"{path}: is no caption ({reason(error)}); repair or remove it.") from error
        if text:
            found[name] = text
    return found


def _csv(text: str) -> list[tuple[str, dict[str, Any]]]:
    header, *lines = [line for line in csv.reader(io.StringIO(text, newline="")) if line]
    for line in lines:
        if len(line) != len(header):
            raise ValueError(f"{quoted(line[0])} has {len(line)} values, and there are {len(header)} columns")
    return [(line[0], dict(zip(header[1:], line[1:], strict=True))) for line in lines]


def _json(text: str) -> list[tuple[str, dict[str, Any]]]:
    return list(json.loads(text, object_pairs_hook=_once).items())


def _jsonl(text: str) -> list[tuple[str, dict[str, Any]]]:
    rows = [json.loads(line) for line in text.split("\n") if line.strip()]
    return [(row.pop(NAME), row) for row in rows]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object in which nothing stands twice."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a name stands there twice")
    return made


def _text(value: object) -> str:
    if not isinstance(value, str | int | float):
        raise TypeError(f"{quoted(value)} is neither a number nor a text")
    return str(value).strip()
