"""A folder of any pictures, converted once to a uint8 array on the disk that training gathers from without decoding."""

import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ganzoo.data.attributes import beside, column, labels_of, read_rows
from ganzoo.data.batch import Images
from ganzoo.data.captions import embed
from ganzoo.data.conversion import Pictures, converted, name_of
from ganzoo.data.store import Stored
from ganzoo.types import BadArgument, BadData

_log = logging.getLogger(__name__)
_BESIDE = "txt"  # where captions may stand


class Folder(Pictures):
    """All the pictures below a folder, as squares of one size, in grey or colour.

    Any file that Pillow reads will do, whatever its mode, size and format (EPS aside, which is a program): of an
    animation the first picture is taken, a camera's rotation is applied, 16 bits become 8, transparency is laid on
    `background`. Hidden files and files without a picture's suffix are passed over.

    The sub-folders of the first level are the classes, if there are two or more and every picture lies in one; or a
    file says what each picture shows (`attributes`).

    The pictures are decoded once, into `$GANZOO_CACHE/data` or `~/.cache/ganzoo/data`, under a key made of their names,
    the sha256 of their bytes and the arguments that change pixels. So a copied folder is not converted again and an
    edited picture is noticed, even when it kept its size and date. To know the sums without reading every file at every
    start, a list of them is kept beside, and a file is read again when its size, inode or times have changed, its
    status-change time among them, which no program can set back.

    Args:
        root: the folder.
        attributes: a file in it (or elsewhere, by a whole path) that says what each picture shows: `.csv` with a line
            of names of columns, of which the first is the file's name; `.json`, an object of objects by the file's
            name; `.jsonl`, objects with a `file_name`. Names are relative to the folder, as in `woods/7.jpg`.
        labels: of that file the column whose values are the classes; or several columns of 1 and 0 (or -1), which make
            vectors of attributes. All columns of that kind where None, or the sub-folders beside `captions`.
        captions: where each picture's caption stands: `txt`, in a text file beside it (`woods/7.txt`); or the column of
            the file of attributes. `data.captions` makes embeddings of them.
        **options: of all pictures; see `Pictures`. With `bad: skip`, what the file says nothing of is left out.
    """

    def __init__(
        self,
        root: str,
        attributes: str | None = None,
        labels: str | list[str] | None = None,
        captions: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.root, self.attributes, self.labels, self.captions = root, attributes, labels, captions
        for option, value in (("labels", labels), ("captions", captions)):
            if attributes is None and value not in (None, _BESIDE):
                raise BadArgument(f"{option} is {value!r}, of a file of attributes; give that as attributes")

    def read(self, split: str) -> Images:
        """Opens a split of the converted pictures, converting them first if nobody has.

        Raises:
            BadArgument: if the attributes have no such column.
            BadData: if the folder is missing or holds no picture, or one cannot be read, or has no attributes or
                caption, and `bad` is `error`; if the file of attributes is missing or damaged.
            NoSplit: if no picture falls into the split.
        """
        root = Path(self.root).expanduser()
        rows = None if self.attributes is None else read_rows(root / self.attributes)
        made = converted(root, self.square, self.bad)
        if rows is not None:
            made = self._known(made, rows, f"{self.attributes}: says nothing of", "add lines of them")
        told = None
        if self.captions is not None:
            told = beside(root, made.notes) if self.captions == _BESIDE else column(rows or {}, self.captions)
            made = self._known(made, told, f"{root}: no caption is given of", "write them")
        share = self.share(len(made.notes))
        part = self.part(root, made.notes, split, share)
        if rows is None or (told is not None and self.labels is None):
            classes, labels = _classes(made.notes, made.skipped)
        else:
            labels, classes = labels_of(rows, made.notes, self.labels, root / str(self.attributes))
        kept = None if labels is None else labels[part]
        texts = None if told is None else embed([told[name] for name in made.notes[part]])
        return Images(name_of(root), made.values[part], kept, classes, split, self.license, texts=texts)

    def _known(self, made: Stored, told: Collection[str], what: str, advice: str) -> Stored:
        """The pictures of which something is told."""
        known = np.array([name in told for name in made.notes])
        if known.all():
            return made
        lacking = made.notes[int(np.argmin(known))]
        text = f"{what} {lacking}, and of {len(known) - known.sum()} pictures in all"
        if self.bad == "error" or not known.any():
            raise BadData(f"{text}; {advice}, or set bad=skip.")
        _log.warning("%s; they are left out", text)
        return made._replace(values=made.values[known], notes=[name for name in made.notes if name in told])


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
