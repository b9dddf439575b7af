"""Fashion-MNIST, from the Debian package's files, a folder, or the net."""

import gzip
import math
import os
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
from annotated_types import Ge

from ganzoo.data.batch import Images, pad_to
from ganzoo.data.partly_labelled import Labelled
from ganzoo.files import cache_folder
from ganzoo.types import BadData, reason

CLASSES: Final = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
DEBIAN: Final = Path("/usr/share/datasets/fashion-mnist")  # where the package dataset-fashion-mnist puts its files

_PREFIX = {"train": "train", "test": "t10k"}
_FILES = [f"{prefix}-{kind}-ubyte.gz" for prefix in _PREFIX.values() for kind in ("images-idx3", "labels-idx1")]
_EXPANSION = 1100  # deflate cannot make more than 1032 bytes of one


class FashionMNIST(Labelled):
    """60000 + 10000 grey pictures of clothes in 10 classes (Xiao et al., 2017, arXiv 1708.07747), 1x32x32 by default.

    The files are taken from `root`, else from the Debian package `dataset-fashion-mnist`, else from what torchvision
    downloads (once, into the cache folder).

    Args:
        size: 28, as published; above, such as 32, zero-padded in the background's black, never resized.
        root: a folder with the four published `*-ubyte.gz` files.
        **options: of sources with labels, and of every source; see `Labelled` and `Data`.
    """

    def __init__(self, size: Annotated[int, Ge(28)] = 32, root: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.size, self.root = size, root

    def read(self, split: str) -> Images:
        """Reads a split; under a second for the training images.

        Raises:
            BadData: if a file is missing, truncated or not what its name says, or the download fails.
        """
        folder = _folder(self.root)
        parts = list(_PREFIX) if split == "all" else [split]
        values = np.concatenate([read_idx(folder / f"{_PREFIX[p]}-images-idx3-ubyte.gz", (28, 28)) for p in parts])
        labels = np.concatenate([read_idx(folder / f"{_PREFIX[p]}-labels-idx1-ubyte.gz", ()) for p in parts])
        if len(values) != len(labels):
            raise BadData(f"{folder}: {len(values)} images but {len(labels)} labels; fetch the files again.")
        padded = pad_to(values[:, None], self.size, 0)
        return Images("fashion-mnist", padded, labels.astype(np.int64), CLASSES, split, "MIT")


def read_idx(path: Path, sample: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Reads a gzipped idx file of unsigned bytes: two zeros, 8 for the type, the rank, big-endian uint32 sizes, data.

    Args:
        path: of the file.
        sample: the expected shape of one sample: `(28, 28)` for images, `()` for labels.

    Returns:
        `(N, *sample)` uint8.

    Raises:
        BadData: if the file is missing, not gzip, of another type or shape, truncated or too long.
    """
    rank = 1 + len(sample)
    try:
        with gzip.open(path) as file:
            head = file.read(4 + 4 * rank)
            if head[:4] != bytes([0, 0, 8, rank]) or len(head) < 4 + 4 * rank:
                raise BadData(
                    f"{path}: is no idx file of bytes (it begins with {head[:4].hex()}, not 000008{rank:02x})."
                )
            count, *shape = (int(size) for size in np.frombuffer(head, ">u4", rank, 4))
            if tuple(shape) != sample:
                raise BadData(f"{path}: its samples are of shape {tuple(shape)}, not {sample}.")
            length = count * math.prod(sample)
            if length > _EXPANSION * path.stat().st_size:  # a lying header must not reserve memory
                raise BadData(f"{path}: announces {count} samples, more than a file of its size can hold.")
            data = file.read(length + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise BadData(f"{path}: cannot be read ({error}); fetch the file again.") from error
    if len(data) != length:
        found = "more" if len(data) > length else f"only {len(data)} bytes"
        raise BadData(f"{path}: announces {count} samples ({length} bytes) but holds {found}; fetch the file again.")
    return np.frombuffer(data, np.uint8).reshape(count, *sample)


def _folder(root: str | None) -> Path:
    """The folder to read from; the download happens here."""
    if root is not None:
        folder = Path(root).expanduser()
        missing = [name for name in _FILES if not (folder / name).is_file()]
        if missing:
            raise BadData(f"{folder}: holds no {missing[0]}; give the folder of Fashion-MNIST's four files as root.")
        return folder
    if all((DEBIAN / name).is_file() for name in _FILES):
        return DEBIAN
    folder = cache_folder("data") / "fashion-mnist"
    if not all((folder / name).is_file() for name in _FILES):
        _download(folder)
    return folder


def _download(folder: Path) -> None:
    """Fetches the files through torchvision, which checks their MD5, and puts them in place at once."""
    from torchvision.datasets import FashionMNIST as Published  # type: ignore[import-untyped]  # here, because it takes a second

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
            Published(draft, download=True)
            raw = Path(draft) / "FashionMNIST" / "raw"
            ready = Path(draft) / "ready"
            ready.mkdir()
            for name in _FILES:
                shutil.move(raw / name, ready / name)
            folder.mkdir(exist_ok=True)
            for name in _FILES:  # file by file: another process may be doing the same
                os.replace(ready / name, folder / name)
    except (OSError, RuntimeError) as error:
        raise BadData(
            f"Fashion-MNIST is not on this machine and could not be downloaded ({reason(error)}); "
            "install the Debian package dataset-fashion-mnist, or give the folder of its four files as root."
        ) from error
