"""Two domains for translation, from folders of any pictures: in pairs, or without.

Pictures are read and kept as `Folder`'s are: converted once, mapped from the disk, any format and mode.
"""

from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from ganzoo.data.batch import Images
from ganzoo.data.conversion import Halves, Pictures, Pixels, converted, found, name_of
from ganzoo.data.conversion import without_suffix as stem
from ganzoo.types import BadArgument, BadData


class _Domain(NamedTuple):
    """A folder's pictures, or one half of them."""

    root: Path
    keys: list[str]
    values: Pixels


class _Domains(Pictures):
    """What pairs and unpaired domains share.

    Args:
        root: the folder of the images.
        targets: the folder of the targets.
        test_root: a folder of its own for testing; None to keep a share of `root`.
        test_targets: the same of the targets.
        source_channels: of the images; as many as `channels` where None, which are those of the targets.
        size: the pixels of a side.
        batch_size: images, and targets, per process and batch.
        **options: of all pictures; see `Pictures`.
    """

    def __init__(
        self,
        root: str,
        targets: str | None = None,
        test_root: str | None = None,
        test_targets: str | None = None,
        source_channels: Literal[1, 3] | None = None,
        size: int = 256,
        batch_size: int = 1,
        **options: Any,
    ) -> None:
        super().__init__(size=size, batch_size=batch_size, **options)
        self.train, self.test = (root, targets), None if test_root is None else (test_root, test_targets)
        self.images = replace(self.square, channels=source_channels or self.square.channels)

    def parts(self, domains: list[_Domain], split: str, share: float | None) -> list[Pixels]:
        """A split of each domain."""
        share = self.share(*(len(each.keys) for each in domains)) if share is None else share
        return [each.values[self.part(each.root, each.keys, split, share)] for each in domains]

    def joined(self, name: str, parts: list[list[Pixels]], split: str, paired: bool) -> Images:
        """Images and targets of folders put together."""
        images, targets = (ps[0] if len(ps) == 1 else np.concatenate(ps) for ps in zip(*parts, strict=True))
        return Images(name, images, None, None, split, self.license, targets, paired)


class Pairs(_Domains):
    """Pictures and their counterparts, for translation that learns from pairs.

    Either two folders, in which counterparts have the same name, suffixes and sub-folders aside (`street/12.jpg` and
    `street/12.png`); or, without `targets`, one folder of pictures that hold both halves side by side, as the data sets
    of pix2pix do. Where a picture cannot be read and `bad` is `skip`, its counterpart is left out too.

    Args:
        root: the folder of the images, or of the pictures of both halves.
        targets: the folder of the targets; None for pictures side by side.
        source: of pictures side by side, the half that is the image: `left` or `right`; the other is the target.
        **options: `test_root`, `test_targets`, `source_channels`, and those of all pictures; see `Pictures`.
    """

    def __init__(
        self, root: str, targets: str | None = None, source: Literal["left", "right"] = "left", **options: Any
    ) -> None:
        super().__init__(root, targets, **options)
        if (options.get("test_targets") is None) != (self.test is None or targets is None):
            given = "test_targets" if self.test is None else "test_root"
            raise BadArgument(f"{given} alone is no test split of pairs from two folders; give both or neither.")
        self.source = source

    def read(self, split: str) -> Images:
        """Opens a split of the pairs, converting them first if nobody has.

        Raises:
            BadData: if a folder is missing or holds no picture, pictures have no counterpart, or one cannot be read and
                `bad` is `error`.
            NoSplit: if no pair falls into the split.
        """
        parts = []
        for (root, targets), piece, share in self.pieces(self.train, self.test, split):
            folder = Path(root).expanduser()
            pairs = self._beside(folder) if targets is None else self._apart(folder, Path(targets).expanduser())
            parts.append(self.parts(pairs, piece, share))
        return self.joined(name_of(Path(self.train[0]).expanduser()), parts, split, paired=True)

    def _beside(self, root: Path) -> list[_Domain]:
        """The halves of each picture."""
        left, right = (self.images, self.square) if self.source == "left" else (self.square, self.images)
        made = converted(root, Halves(**asdict(left), right=right.channels), self.bad, stem)
        keys = [stem(name) for name in made.notes]
        halves = [
            _Domain(root, keys, made.values[:, : left.channels]),
            _Domain(root, keys, made.values[:, left.channels :]),
        ]
        return halves if self.source == "left" else halves[::-1]

    def _apart(self, *folders: Path) -> list[_Domain]:
        """The pictures of two folders."""
        listed = [[*pictures, *unread] for pictures, unread in (found(folder, stem) for folder in folders)]
        stems = [_stems(folder, names) for folder, names in zip(folders, listed, strict=True)]
        both = stems[0].keys() & stems[1].keys()
        alone = [f / each[key] for f, each in zip(folders, stems, strict=True) for key in sorted(each.keys() - both)]
        if alone:
            raise BadData(
                f"{folders[0]} and {folders[1]}: {_few(alone)} without a picture of the same name in the other folder; "
                "add the missing ones, or remove these."
            )
        made = [converted(f, s, self.bad, stem) for f, s in zip(folders, (self.images, self.square), strict=True)]
        gone = {stem(name) for each in made for name in each.skipped}
        if gone:  # the counterparts of what cannot be read are left out too
            kept = [{name for name in each.notes if stem(name) not in gone} for each in made]
            if not kept[0]:
                raise BadData(f"{folders[0]}: no pair is left of which both pictures can be read.")
            squares = (self.images, self.square)
            made = [converted(f, s, self.bad, stem, k) for f, s, k in zip(folders, squares, kept, strict=True)]
        return [_Domain(f, [stem(n) for n in each.notes], each.values) for f, each in zip(folders, made, strict=True)]


class Unpaired(_Domains):
    """Two folders of pictures of which nobody knows which belongs to which, for translation without pairs.

    Each folder has an order, a length and, while training, random choices of its own.

    Args:
        root: the folder of the images.
        targets: the folder of the targets.
        **options: `test_root`, `test_targets`, `source_channels`, and those of all pictures; see `Pictures`.
    """

    def __init__(self, root: str, targets: str, **options: Any) -> None:
        super().__init__(root, targets, **options)
        if (self.test is None) != (options.get("test_targets") is None):
            raise BadArgument("test_root and test_targets are a test split together; give both or neither.")

    def read(self, split: str) -> Images:
        """Opens a split of both folders, converting them first if nobody has.

        Raises:
            BadData: if a folder is missing or holds no picture, or one cannot be read and `bad` is `error`.
            NoSplit: if no picture of a folder falls into the split.
        """
        parts = []
        for folders, piece, share in self.pieces(self.train, self.test, split):
            paths = [Path(folder or "").expanduser() for folder in folders]
            made = [converted(f, s, self.bad) for f, s in zip(paths, (self.images, self.square), strict=True)]
            domains = [_Domain(f, each.notes, each.values) for f, each in zip(paths, made, strict=True)]
            parts.append(self.parts(domains, piece, share))
        first, second = (name_of(Path(folder or "").expanduser()) for folder in self.train)
        return self.joined(f"{first}-and-{second}", parts, split, paired=False)


def _stems(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Names by what they are without suffix, no two of which may be the same."""
    seen: dict[str, str] = {}
    for name in sorted(names):
        other = seen.setdefault(stem(name), name)
        if other != name:
            raise BadData(f"{folder / other} and {name}: have one name, suffixes aside; rename or remove one.")
    return seen


def _few(paths: list[Path]) -> str:
    """The first three of many."""
    shown, rest = ", ".join(map(str, paths[:3])), len(paths) - 3
    verb = "is" if len(paths) == 1 else "are"
    return f"{shown} and {rest} more {verb}" if rest > 0 else f"{shown} {verb}"
