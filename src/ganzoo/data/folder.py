"""A folder of any pictures, converted once to a uint8 array on the disk that training gathers from without decoding."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ganzoo.data.batch import Images
from ganzoo.data.conversion import Pictures, converted, name_of


class Folder(Pictures):
    """All the pictures below a folder, as squares of one size, in grey or colour.

    Any file that Pillow reads will do, whatever its mode, size and format (EPS aside, which is a program): of an
    animation the first picture is taken, a camera's rotation is applied, 16 bits become 8, transparency is laid on
    `background`. Hidden files and files without a picture's suffix are passed over.

    The sub-folders of the first level are the classes, if there are two or more and every picture lies in one.

    The pictures are decoded once, into `$GANZOO_CACHE/data` or `~/.cache/ganzoo/data`, under a key made of their names,
    the sha256 of their bytes and the arguments that change pixels. So a copied folder is not converted again and an
    edited picture is noticed, even when it kept its size and date. To know the sums without reading every file at every
    start, a list of them is kept beside, and a file is read again when its size, inode or times have changed, its
    status-change time among them, which no program can set back.

    Args:
        root: the folder.
        **options: of all pictures; see `Pictures`.
    """

    def __init__(self, root: str, **options: Any) -> None:
        super().__init__(**options)
        self.root = root

    def read(self, split: str) -> Images:
        """Opens a split of the converted pictures, converting them first if nobody has.

        Raises:
            BadData: if the folder is missing or holds no picture, or one cannot be read and `bad` is `error`.
            NoSplit: if no picture falls into the split.
        """
        root = Path(self.root).expanduser()
        made = converted(root, self.square, self.bad)
        share = self.share(len(made.notes))
        part = self.part(root, made.notes, split, share)
        classes, labels = _classes(made.notes, made.skipped)
        kept = None if labels is None else labels[part]
        return Images(name_of(root), made.values[part], kept, classes, split, self.license)


def _classes(
    names: Collection[str], skipped: Collection[str]
) -> tuple[tuple[str, ...] | None, npt.NDArray[np.int64] | None]:
    """The sub-folders, those included whose files were all skipped, and the labels of `names`."""
    parts = [name.split("/") for name in (*names, *skipped)]
    classes = sorted({part[0] for part in parts})
    if len(classes) < 2 or any(len(part) < 2 for part in parts):
        return None, None
    index = {name: k for k, name in enumerate(classes)}
    return tuple(classes), np.array([index[part[0]] for part in parts[: len(names)]], np.int64)
