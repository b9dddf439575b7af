"""Two domains for translation, from folders of any pictures: in pairs, or without.

Pictures are read and kept as `Folder`'s are: converted once, mapped from the disk, any format and mode.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ganzoo.data.batch import Data, Images
from ganzoo.data.conversion import (
    Converted,
    Halves,
    Square,
    check_options,
    converted,
    found,
    name_of,
    part_of,
    whole_name,
    without_suffix,
)
from ganzoo.types import BadArgument, BadData

_Pixels = npt.NDArray[np.uint8]


class Pairs(Data):
    """Pictures and their counterparts, for translation that learns from pairs.

    Either two folders, in which counterparts have the same name, suffixes and sub-folders aside (`street/12.jpg` and
    `street/12.png`); or, without `targets`, one folder of pictures that hold both halves side by side, as the data sets
    of pix2pix do.

    Args:
        root: the folder of the images, or of the pictures of both halves.
        targets: the folder of the targets; None for pictures side by side.
        source: of pictures side by side, the half that is the image: `left` or `right`; the other is the target.
        test_root: a folder of its own for testing; None to keep a share of `root`.
        test_targets: its targets, where `targets` is a folder.
        size: the pixels of a side.
        channels: of the targets: 3 for RGB, 1 for grey.
        source_channels: of the images; as many as `channels` where None.
        fit: how a picture becomes square: `crop` its middle, `pad` it with `background`, or `stretch` it.
        background: the grey level 0..255 under transparency and around padded pictures.
        bad: `error` stops at a file that cannot be read; `skip` leaves it and its counterpart out and reports it.
        test_share: the share 0 to 1 of the pairs kept for testing, where there is no `test_root`. A hash of the name
            without suffix decides, so a pair stays on its side when others are added.
        batch_size: pairs per process and batch.
        flip: whether to mirror a random half of the pairs.
        jitter: by how many pixels a side pictures are enlarged before a random part of `size` is cut out, the same of
            both: 30 of 256 in pix2pix's paper.
        workers: processes that gather batches ahead of training.
        licence: of the pictures, for the cards.

    Raises:
        BadArgument: for a value out of range.
    """

    def __init__(
        self,
        root: str,
        targets: str | None = None,
        source: Literal["left", "right"] = "left",
        test_root: str | None = None,
        test_targets: str | None = None,
        size: int = 256,
        channels: Literal[1, 3] = 3,
        source_channels: Literal[1, 3] | None = None,
        fit: Literal["crop", "pad", "stretch"] = "crop",
        background: int = 255,
        bad: Literal["skip", "error"] = "error",
        test_share: float = 0.1,
        batch_size: int = 1,
        flip: bool = False,
        jitter: int = 0,
        workers: int = 0,
        licence: str = "unknown",
    ) -> None:
        super().__init__(batch_size, flip, workers, jitter)
        check_options(bad, test_share)
        if source not in ("left", "right"):
            raise BadArgument(f"source={source!r}: give left or right.")
        if (test_targets is None) != (test_root is None or targets is None):
            given = "test_root" if test_root is not None else "test_targets"
            raise BadArgument(f"{given} alone is no test split of pairs from two folders; give both or neither.")
        self.train, self.test = (root, targets), None if test_root is None else (test_root, test_targets)
        self.source = source
        self.images = Square(size, source_channels or channels, fit, background)
        self.targets = replace(self.images, channels=channels)
        self.bad, self.test_share, self.licence = bad, test_share, licence

    def read(self, split: str) -> Images:
        """Opens a split of the pairs, converting them first if nobody has.

        Raises:
            BadData: if a folder is missing or holds no picture, pictures have no counterpart, one cannot be read and
                `bad` is `error`, or no pair falls into the split.
        """
        parts = []
        for root, targets, share in _folders(self.train, self.test, split, self.test_share):
            pairs = self._beside(root) if targets is None else self._apart(root, targets)
            part = slice(None) if share is None else part_of(root, pairs.names, split, share, without_suffix)
            parts.append((pairs.images[part], pairs.targets[part]))
        images, counterparts = (_joined(each) for each in zip(*parts, strict=True))
        name = name_of(Path(self.train[0]).expanduser())
        return Images(name, images, None, None, split, self.licence, counterparts)

    def _beside(self, root: Path) -> _Paired:
        """Pairs of the halves of each picture."""
        left, right = (self.images, self.targets) if self.source == "left" else (self.targets, self.images)
        halves = Halves(left.size, left.channels, left.fit, left.background, right.channels)
        made = converted(root, halves, self.bad, without_suffix)
        first, second = made.values[:, : left.channels], made.values[:, left.channels :]
        return _Paired(made.names, *((first, second) if self.source == "left" else (second, first)))

    def _apart(self, root: Path, targets: Path) -> _Paired:
        """Pairs of the pictures of two folders."""
        ones, others = (found(folder, without_suffix) for folder in (root, targets))
        for folder, names in ((root, ones), (targets, others)):
            _check_once(folder, names)
        stems, counterparts = ({without_suffix(name) for name in names} for names in (ones, others))
        alone = [root / n for n in sorted(ones) if without_suffix(n) not in counterparts]
        alone += [targets / n for n in sorted(others) if without_suffix(n) not in stems]
        if alone:
            raise BadData(
                f"{root} and {targets}: {_few(alone)} without a picture of the same name in the other folder; add the "
                "missing ones, or remove these."
            )
        images = converted(root, self.images, self.bad, without_suffix)
        seconds = converted(targets, self.targets, self.bad, without_suffix)
        gone = {without_suffix(name) for name in (*images.skipped, *seconds.skipped)}
        if gone:  # the counterparts of what cannot be read are left out too
            images = self._without(gone, root, images, self.images)
            seconds = self._without(gone, targets, seconds, self.targets)
        return _Paired(images.names, images.values, seconds.values)

    def _without(self, gone: set[str], folder: Path, made: Converted, square: Square) -> Converted:
        kept = [name for name in made.names if without_suffix(name) not in gone]
        if not kept:
            raise BadData(f"{folder}: no pair is left of which both pictures can be read.")
        return made if len(kept) == len(made.names) else converted(folder, square, self.bad, without_suffix, kept)


class Unpaired(Data):
    """Two folders of pictures of which nobody knows which belongs to which, for translation without pairs.

    Each folder has an order, a length and, while training, random choices of its own.

    Args:
        root: the folder of the images.
        targets: the folder of the targets.
        test_root: a folder of its own for testing; None to keep a share of `root`.
        test_targets: the same of the targets.
        size: the pixels of a side.
        channels: of the targets: 3 for RGB, 1 for grey.
        source_channels: of the images; as many as `channels` where None.
        fit: how a picture becomes square: `crop` its middle, `pad` it with `background`, or `stretch` it.
        background: the grey level 0..255 under transparency and around padded pictures.
        bad: `error` stops at a file that cannot be read; `skip` leaves it out and reports it.
        test_share: the share 0 to 1 of each folder kept for testing, where there is no `test_root`.
        batch_size: images, and targets, per process and batch.
        flip: whether to mirror a random half of the images, and of the targets.
        jitter: by how many pixels a side pictures are enlarged before a random part of `size` is cut out: 30 of 256 in
            CycleGAN's code.
        workers: processes that gather batches ahead of training.
        licence: of the pictures, for the cards.

    Raises:
        BadArgument: for a value out of range.
    """

    def __init__(
        self,
        root: str,
        targets: str,
        test_root: str | None = None,
        test_targets: str | None = None,
        size: int = 256,
        channels: Literal[1, 3] = 3,
        source_channels: Literal[1, 3] | None = None,
        fit: Literal["crop", "pad", "stretch"] = "crop",
        background: int = 255,
        bad: Literal["skip", "error"] = "error",
        test_share: float = 0.1,
        batch_size: int = 1,
        flip: bool = False,
        jitter: int = 0,
        workers: int = 0,
        licence: str = "unknown",
    ) -> None:
        super().__init__(batch_size, flip, workers, jitter)
        check_options(bad, test_share)
        if (test_root is None) != (test_targets is None):
            raise BadArgument("test_root and test_targets are a test split together; give both or neither.")
        self.train, self.test = (root, targets), None if test_root is None else (test_root, test_targets)
        self.images = Square(size, source_channels or channels, fit, background)
        self.targets = replace(self.images, channels=channels)
        self.bad, self.test_share, self.licence = bad, test_share, licence

    def read(self, split: str) -> Images:
        """Opens a split of both folders, converting them first if nobody has.

        Raises:
            BadData: if a folder is missing or holds no picture, one cannot be read and `bad` is `error`, or no picture
                of a folder falls into the split.
        """
        parts = []
        for root, targets, share in _folders(self.train, self.test, split, self.test_share):
            assert targets is not None
            pieces = []
            for folder, square in ((root, self.images), (targets, self.targets)):
                made = converted(folder, square, self.bad, whole_name)
                part = slice(None) if share is None else part_of(folder, made.names, split, share)
                pieces.append(made.values[part])
            parts.append(pieces)
        images, others = (_joined(each) for each in zip(*parts, strict=True))
        first, second = (name_of(Path(folder or "").expanduser()) for folder in self.train)
        return Images(f"{first}-and-{second}", images, None, None, split, self.licence, others, paired=False)


class _Paired(NamedTuple):
    names: list[str]
    images: _Pixels
    targets: _Pixels


def _folders(
    train: tuple[str, str | None], test: tuple[str, str | None] | None, split: str, test_share: float
) -> list[tuple[Path, Path | None, float | None]]:
    """The folders that a split lies in, each with the share of it that is for testing; None where all of it counts."""
    chosen = [train] if test is None else {"train": [train], "test": [test], "all": [train, test]}[split]
    share = test_share if test is None else None
    return [(Path(a).expanduser(), None if b is None else Path(b).expanduser(), share) for a, b in chosen]


def _joined(parts: tuple[_Pixels, ...]) -> _Pixels:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _check_once(folder: Path, names: Iterable[str]) -> None:
    """Holds that no two pictures have one name but for the suffix."""
    seen: dict[str, str] = {}
    for name in sorted(names):
        other = seen.setdefault(without_suffix(name), name)
        if other != name:
            raise BadData(f"{folder / other} and {name}: have one name, suffixes aside; rename or remove one.")


def _few(paths: list[Path]) -> str:
    """The first three of many."""
    shown, rest = ", ".join(map(str, paths[:3])), len(paths) - 3
    verb = "is" if len(paths) == 1 else "are"
    return f"{shown} and {rest} more {verb}" if rest > 0 else f"{shown} {verb}"
