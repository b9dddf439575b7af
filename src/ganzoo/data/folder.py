"""A folder of any pictures, converted once to a uint8 array on the disk that training gathers from without decoding."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from ganzoo.data.batch import Data, Images
from ganzoo.data.conversion import Square, check_options, converted, name_of, part_of


class Folder(Data):
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
        size: the pixels of a side.
        channels: 3 for RGB, 1 for grey (ITU-R 601 luma).
        fit: how a picture becomes square: `crop` its middle, `pad` it with `background`, or `stretch` it. Then it is
            resized by Lanczos' filter; a picture that already has the size is not touched.
        background: the grey level 0..255 under transparency and around padded pictures.
        bad: `error` stops at a file that cannot be read, or is so large that it may be a decompression bomb; `skip`
            leaves it out and reports it. Both name the file.
        test_share: the share 0 to 1 of the pictures kept for testing. A hash of the file's name decides, so a
            picture stays on its side when others are added.
        batch_size: samples per process and batch.
        flip: whether to mirror a random half of the samples.
        workers: processes that gather batches ahead of training.
        licence: of the pictures, for the cards.

    Raises:
        BadArgument: for a value out of range.
    """

    def __init__(
        self,
        root: str,
        size: int = 64,
        channels: Literal[1, 3] = 3,
        fit: Literal["crop", "pad", "stretch"] = "crop",
        background: int = 255,
        bad: Literal["skip", "error"] = "error",
        test_share: float = 0.1,
        batch_size: int = 64,
        flip: bool = False,
        workers: int = 0,
        licence: str = "unknown",
    ) -> None:
        super().__init__(batch_size, flip, workers)
        check_options(bad, test_share)
        self.root = root
        self.square = Square(size, channels, fit, background)
        self.bad = bad
        self.test_share = test_share
        self.licence = licence

    def read(self, split: str) -> Images:
        """Opens a split of the converted pictures, converting them first if nobody has.

        Raises:
            BadData: if the folder is missing or holds no picture, a picture cannot be read and `bad` is `error`, or no
                picture falls into the split.
        """
        root = Path(self.root).expanduser()
        made = converted(root, self.square, self.bad)
        part = part_of(root, made.names, split, self.test_share)
        classes, labels = _classes(made.names, made.skipped)
        kept = None if labels is None else labels[part]
        return Images(name_of(root), made.values[part], kept, classes, split, self.licence)


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
