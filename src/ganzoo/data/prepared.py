"""Pictures that `ganzoo data` made, as two files: `NAME.safetensors`, and `NAME.json`: its sum and what is known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ganzoo.files import atomic, cache_folder
from ganzoo.types import BadData, reason


@dataclass(frozen=True)
class Prepared:
    """The two files of a data set's style.

    Args:
        root: the folder that `ganzoo data --out` was given; None for that in the cache.
        data: the data set's name, such as `emoji`.
        name: of the files: a style, or else the data set's own.
        format: the number of their form.
        size: of the pictures.
    """

    root: str | None
    data: str
    name: str
    format: int
    size: int

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return folder_of(self.data, self.root)

    @property
    def again(self) -> str:
        """What to do about a missing or damaged file."""
        style = "" if self.name == self.data else f" --style {self.name}"
        out = "" if self.root is None else f" --out {self.root}"
        return f"run `ganzoo data {self.data}{style}{out}`"

    def facts(self, check: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """What stands beside the pictures.

        Args:
            check: raises any of ValueError, LookupError and TypeError at what does not fit.

        Raises:
            BadData: if the file is missing or damaged.
        """
        path = self.folder / f"{self.name}.json"
        if not path.is_file():
            style = "" if self.name == self.data else f" in the style of {self.name}"
            raise BadData(f"{path.parent}: holds no {self.data}{style}; {self.again}.")
        try:
            facts: dict[str, Any] = json.loads(path.read_text("utf-8"))
            if facts["format"] != self.format:
                raise ValueError(f"its format is {facts['format']}, not {self.format}")
            check(facts)
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise BadData(f"{path}: is damaged ({reason(error)}); {self.again}.") from error
        return facts

    def values(self, facts: dict[str, Any], count: int) -> npt.NDArray[np.uint8]:
        """The pictures `(count, 3, size, size)`, hashed before they are parsed.

        Raises:
            BadData: if they are missing, damaged or others than the facts say.
        """
        path = self.folder / f"{self.name}.safetensors"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BadData(f"{path}: cannot be read ({error.strerror}); {self.again}.") from error
        if hashlib.sha256(content).hexdigest() != facts.get("sha256"):
            raise BadData(f"{path}: is not the file that {self.name}.json describes; {self.again}.")
        try:
            values: npt.NDArray[np.uint8] = load(content)["images"]
        except (SafetensorError, KeyError) as error:
            raise BadData(f"{path}: holds no pictures ({error}); {self.again}.") from error
        if values.shape != (count, 3, self.size, self.size) or values.dtype != np.uint8:
            found = f"{values.dtype} {values.shape}"
            raise BadData(f"{path}: holds {found}, not a picture for each of the {self.data}; {self.again}.")
        return values

    def write(self, values: npt.NDArray[np.uint8], facts: dict[str, Any]) -> None:
        """Writes both, each whole or not at all.

        Raises:
            BadData: if the folder cannot be written to.
        """
        content = save({"images": np.ascontiguousarray(values)})  # safetensors writes the memory as it lies
        facts = {"format": self.format, "style": self.name, "sha256": hashlib.sha256(content).hexdigest(), **facts}
        try:
            with atomic(self.folder / f"{self.name}.safetensors") as part:
                part.write_bytes(content)
            with atomic(self.folder / f"{self.name}.json") as part:
                part.write_text(json.dumps(facts, ensure_ascii=False, indent=0), encoding="utf-8")
        except OSError as error:
            raise BadData(f"{self.folder}: cannot be written to ({error.strerror}).") from error


def folder_of(data: str, root: str | Path | None) -> Path:
    """The folder that `--out` was given, or that of a data set in the cache."""
    return cache_folder("data") / data if root is None else Path(root).expanduser()


def made_folder(data: str, root: str | Path | None) -> Path:
    """The same, made where it is missing.

    Raises:
        BadData: if it cannot be made.
    """
    folder = folder_of(data, root)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadData(f"{folder}: cannot be made ({error.strerror}).") from error
    return folder


def resized(
    values: npt.NDArray[np.uint8], size: int, how: Image.Resampling = Image.Resampling.LANCZOS
) -> npt.NDArray[np.uint8]:
    """Pictures `(N, 3, S, S)` in another size."""
    if size == values.shape[-1]:
        return values
    made = np.empty((len(values), 3, size, size), np.uint8)
    for k, picture in enumerate(values):
        image = Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0)))
        made[k] = np.asarray(image.resize((size, size), how)).transpose(2, 0, 1)
    return made
