"""Pictures as arrays: how a file becomes a square of pixels, which files a folder holds, and which split each is in."""

import errno
import hashlib
import itertools
import json
import logging
import math
import os
import stat
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le
from PIL import Image

from ganzoo.data.batch import VALIDATION, Data
from ganzoo.data.decoding import Unreadable, bounded, decoding, suffixes
from ganzoo.data.store import Item, Stored, at_rest, mark_of, progress, read_json, stored
from ganzoo.files import atomic, cache_folder
from ganzoo.schema import Positive, Probability
from ganzoo.types import BadData, NoSplit, reason

_log = logging.getLogger(__name__)

_AHEAD: Final = 2**26  # bytes of pixels that are decoded ahead of the writer
_FEW: Final = 50  # pictures, below which all are for training
_PHOTOGRAPHS: Final = {".cr2", ".dng", ".heic", ".heif", ".jxl", ".nef"}  # of phones and cameras; Pillow reads none
_SHARE: Final = 0.1  # of the pictures, kept for testing; and of the others, kept for validation

Pixels = npt.NDArray[np.uint8]
T = TypeVar("T")
R = TypeVar("R")


class Pictures(Data):
    """A source of decoded pictures; these options are the same of all such sources.

    Args:
        size: the pixels of a side.
        channels: 3 for RGB, 1 for grey (ITU-R 601 luma).
        fit: how a picture becomes square: `crop` its middle, `pad` it with `background`, or `stretch` it. Then it is
            resized by Lanczos' filter; a picture that already has the size is not touched.
        background: the grey level 0..255 under transparency and around padded pictures.
        bad: `error` stops at a file that cannot be read, or is so large that it may be a decompression bomb; `skip`
            leaves it out and reports it. Both name the file.
        max_pixels: that a picture may have, and all together that are decoded at a time, of some 12 bytes each; larger
            JPEGs are decoded at a half, a quarter or an eighth of their sides.
        test_share: the share 0 to 1 of the pictures kept for testing: a tenth where None, and none of fewer than 50.
            A hash of the name decides, so a picture stays on its side when others are added.
        license: of the pictures, for the cards.
        **options: of every source; see `Data`.
    """

    divides = True

    def __init__(
        self,
        size: Annotated[int, Ge(1), Le(8192)] = 64,
        channels: Literal[1, 3] = 3,
        fit: Literal["crop", "pad", "stretch"] = "crop",
        background: Annotated[int, Ge(0), Le(255)] = 255,
        bad: Literal["skip", "error"] = "error",
        max_pixels: Positive = 89_478_485,
        test_share: Probability | None = None,
        license: str = "unknown",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.square = Square(size, channels, fit, background, max_pixels)
        self.bad, self.test_share, self.license = bad, test_share, license
        self._told = False

    def share(self, *counts: int) -> float:
        """The share that is kept for testing of data sets of so many pictures."""
        if self.test_share is not None:
            return self.test_share
        if min(counts) >= _FEW:
            return _SHARE
        if not self._told:
            text = "all %s pictures are for training, as fewer than %d are not divided; set test_share to keep some"
            _log.warning(text, " and ".join(map(str, counts)), _FEW)
        self._told = True
        return 0.0

    def pieces(self, train: T, test: T | None, split: str) -> list[tuple[T, str, float | None]]:
        """What a split lies in, of data with or without a test split of their own.

        Returns:
            Of each of these the part that is meant, and the share of it for testing: see `part`.
        """
        if test is None:
            return [(train, split, None)]
        whole: list[tuple[T, str, float | None]] = [(train, "all", 0.0), (test, "all", 0.0)]
        return whole if split == "all" else whole[1:] if split == "test" else [(train, split, 0.0)]

    def bounds(self, split: str, share: float) -> tuple[float, float]:
        """Between which positions a split lies, the upper one not included."""
        test = 1 - share
        train = test * (1 - _SHARE) if self.validation else test
        return {"train": (0.0, train), VALIDATION: (train, test), "test": (test, 1.0), "all": (0.0, 1.0)}[split]

    def part(self, name: Path | str, keys: list[str], split: str, share: float) -> slice:
        """The places of a split; pictures stand in the order of their positions, so each split is one piece.

        Args:
            name: of the data, for the error.
            keys: what decides the positions, in their order.
            split: one of `splits`.
            share: the share of positions for testing.

        Raises:
            NoSplit: if no picture falls into the split.
        """
        whole, places = len(keys), [position(key) for key in keys]
        start, stop = (bisect_left(places, bound) for bound in self.bounds(split, share))
        if start == stop:
            few = f" (fewer than {_FEW} are all for training)" if self.test_share is None and whole < _FEW else ""
            raise NoSplit(
                f"{name}: none of its {whole} pictures falls into the {split} split at test_share={share}{few}; give "
                "another test_share, or more pictures."
            )
        return slice(start, stop)


@dataclass(frozen=True)
class Square:
    """How a picture becomes pixels: all that the conversion depends on beside the files.

    Args:
        size: the pixels of a side.
        channels: 3 for RGB, 1 for grey (ITU-R 601 luma).
        fit: how a picture becomes square: `crop` its middle, `pad` it, or `stretch` it; then it is resized by Lanczos'
            filter, unless it has the size already.
        background: the grey level 0..255 under transparency and around padded pictures.
        max_pixels: see `Pictures`.
    """

    size: int
    channels: int
    fit: str
    background: int
    max_pixels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the pixels of a file."""
        return (self.channels, self.size, self.size)

    def pixels(self, picture: Image.Image) -> npt.NDArray[np.uint8]:
        """`shape` of a decoded picture."""
        return self._square(picture, self.channels)

    def _square(self, picture: Image.Image, channels: int) -> npt.NDArray[np.uint8]:
        mode = "L" if channels == 1 else "RGB"
        picture = picture if picture.mode == mode else picture.convert(mode)
        side = (self.size, self.size)
        width, height = picture.size
        if self.fit == "crop":
            short = min(width, height)
            left, top = (width - short) // 2, (height - short) // 2
            picture = picture.crop((left, top, left + short, top + short))
        elif self.fit == "pad":
            scale = self.size / max(width, height)
            inner = (max(1, round(width * scale)), max(1, round(height * scale)))
            inside = picture.resize(inner, Image.Resampling.LANCZOS)
            picture = Image.new(picture.mode, side, (self.background,) * channels)
            picture.paste(inside, ((self.size - inner[0]) // 2, (self.size - inner[1]) // 2))
        if picture.size != side:
            picture = picture.resize(side, Image.Resampling.LANCZOS)
        array = np.asarray(picture)
        return array[None] if channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))


@dataclass(frozen=True)
class Halves(Square):
    """Two pictures side by side in one file: the left one's channels and then the right one's.

    Args:
        right: the channels of the right one; `channels` are the left one's.
    """

    right: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the pixels of a file."""
        return (self.channels + self.right, self.size, self.size)

    def pixels(self, picture: Image.Image) -> npt.NDArray[np.uint8]:
        """`shape` of a decoded picture."""
        width, height = picture.size
        if width % 2:
            raise Unreadable(f"its width of {width} pixels is odd, where two pictures side by side are expected")
        half = width // 2
        left, right = picture.crop((0, 0, half, height)), picture.crop((half, 0, width, height))
        return np.concatenate([self._square(left, self.channels), self._square(right, self.right)])


Key = Callable[[str], str]  # what of a file's name decides its position


def whole_name(name: str) -> str:
    """The name itself."""
    return name


def without_suffix(name: str) -> str:
    """`street/12` of `street/12.jpg`."""
    return name[: -len(Path(name).suffix)] if Path(name).suffix else name


def position(key: str) -> float:
    """A number in [0, 1) that only the key decides: the order of pictures, and the split."""
    return int.from_bytes(hashlib.sha256(os.fsencode(key)).digest()[:6]) / 2**48


def name_of(root: Path) -> str:
    """A folder's name as a data set's."""
    return root.resolve().name.lower().replace(" ", "-").replace("_", "-") or "folder"


def converted(
    root: Path, square: Square, bad: str, key: Key = whole_name, only: Collection[str] | None = None
) -> Stored:
    """The pixels of the pictures below a folder, in the order of their positions; their notes are the files' names.

    Args:
        root: the folder.
        square: how a picture becomes pixels.
        bad: `error` stops at a file that cannot be read, `skip` leaves it out and reports it.
        key: what of a file's name decides its place in the order.
        only: the files to take, where not all.

    Raises:
        BadData: if the folder is missing, holds no picture that can be read, or a bad one where `bad` is `error`.
    """
    names, unread = found(root, key)
    sums = _sums(root, names, unread)
    sums = sums if only is None else {name: sha for name, sha in sums.items() if name in only}

    def items() -> Iterator[Item]:
        with progress("converting", len(sums)) as advance:
            decoded = in_threads(lambda name: _decode(root / name, sums[name], square), sums, square)
            for name, pixels in zip(sums, decoded, strict=True):
                advance()
                if isinstance(pixels, str) and bad == "error":
                    raise _bad(root, name, pixels)
                yield name, pixels

    if unread and bad == "error":
        raise _bad(root, *next(iter(unread.items())))
    made = stored([astuple(square), list(sums.items())], square.shape, items)
    skipped = {**unread, **made.skipped}
    for name, why in skipped.items():
        if bad == "error":
            raise _bad(root, name, why)
        if not made.notes:
            raise BadData(f"{root}: none of its {len(skipped)} pictures can be read; {name}: {why}.")
        _log.warning("%s: skipped, %s", root / name, why)
    return made._replace(skipped=skipped)


def found(root: Path, key: Key = whole_name) -> tuple[dict[str, os.stat_result], dict[str, str]]:
    """The pictures below a folder by their names relative to it, in the order of their positions.

    Returns:
        The files' statuses, and of others the reason why there is none, by name.

    Raises:
        BadData: if there is no such folder, or no picture in it.
    """
    if not root.exists():
        raise BadData(f"{root}: there is no such folder; give the folder of your pictures as root.")
    if not root.is_dir():
        raise BadData(f"{root}: is a file; give the folder of your pictures as root.")
    pictures: dict[str, os.stat_result] = {}
    unread: dict[str, str] = {}
    names, others = walk(root)
    for name in sorted(names, key=lambda name: (position(key(name)), name)):
        try:
            status = (root / name).stat()
        except OSError as error:
            unread[name] = "it is a link to nothing" if (root / name).is_symlink() else error.strerror or str(error)
        else:
            if stat.S_ISREG(status.st_mode):
                pictures[name] = status
    if not pictures and not unread:
        what = f"none of its {others} files has the suffix of a picture" if others else "it is empty"
        raise BadData(f"{root}: holds no picture ({what}); give the folder of your pictures as root.")
    return pictures, unread


def walk(root: Path) -> tuple[list[str], int]:
    """The files below a folder that may hold pictures, hidden ones aside; links are followed, back up too but once.

    A warning counts the photographs among the others.

    Returns:
        Their names relative to the folder, sorted, and how many other files there are.
    """
    readable, names, others, entered = suffixes(), [], 0, set()
    photographs: list[str] = []
    for folder, inner, files in os.walk(root, followlinks=True, onerror=_refuse):
        here = os.stat(folder)
        if (here.st_dev, here.st_ino) in entered:  # a link back up
            inner.clear()
            continue
        entered.add((here.st_dev, here.st_ino))
        inner[:] = sorted(name for name in inner if not name.startswith((".", "__MACOSX")))
        for file in files:
            if file.startswith("."):
                continue
            path = Path(folder, file)
            if path.suffix.lower() in readable:
                names.append(path.relative_to(root).as_posix())
            else:
                others += 1
                if path.suffix.lower() in _PHOTOGRAPHS:
                    photographs.append(path.suffix.lower())
    if photographs:
        text = "%s: %d photographs are passed over, as no %s is read here; convert them to .jpg or .png"
        _log.warning(text, root, len(photographs), " nor ".join(sorted({*photographs})))
    return sorted(names), others


def _refuse(error: OSError) -> None:
    raise BadData(f"{error.filename}: cannot be read ({error.strerror}).") from error


def _sums(root: Path, found: dict[str, os.stat_result], unread: dict[str, str]) -> dict[str, str]:
    """The sha256 of every file, from the list that the last run left where a file has not changed since.

    What cannot be read is added to `unread`.
    """
    place = cache_folder("data") / "sums" / f"{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:32]}.json"
    known = read_json(place)
    known = known if isinstance(known, dict) else {}  # missing or damaged, the list is made anew
    sums, listed = {}, {}
    with progress("reading", len(found)) as advance:
        for name, status in found.items():
            advance()
            mark, entry = mark_of(status), known.get(name)
            if isinstance(entry, list) and len(entry) == 2 and entry[0] == mark and isinstance(entry[1], str):
                sums[name] = entry[1]
            else:
                try:
                    with open(root / name, "rb") as file:
                        sums[name] = hashlib.file_digest(file, "sha256").hexdigest()
                except OSError as error:
                    unread[name] = error.strerror or str(error)
                    continue
            if at_rest(status):
                listed[name] = [mark, sums[name]]
    if listed != known:
        with suppress(OSError), atomic(place) as part:  # without the list, files are read again
            part.write_text(json.dumps(listed))
    return sums


def _decode(path: Path, sha: str, square: Square) -> Pixels | str:
    """The pixels, or why the file holds none.

    Raises:
        BadData: as `attempt`, and if the file is not the one that was listed.
    """

    def pixels() -> Pixels:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha:
            raise BadData(f"{path}: cannot be read (it changed while the folder was read); start again when it rests.")
        with decoding(content, square.background, square.max_pixels) as picture:
            return square.pixels(picture)

    return attempt(pixels, path)


def attempt(make: Callable[[], R], what: Path | str) -> R | str:
    """What is made, or in a line why a sample holds nothing that it could be made of.

    A failure of the moment is no fault of the sample's, which would be left out of the stored array for ever.

    Args:
        make: reads and decodes.
        what: of what, for errors.

    Raises:
        BadData: as `make`, and if the system cannot read.
        MemoryError: if the memory does not suffice.
    """
    try:
        return make()
    except (BadData, MemoryError):
        raise
    except OSError as error:
        # Pillow's own have no number; a damaged picture may lead its decoders to a place where no file can be
        if error.errno in (None, errno.EINVAL):
            return reason(error)
        raise BadData(f"{what}: cannot be read ({error.strerror or error}); start again when it can.") from error
    except Exception as error:  # a hostile file makes decoders raise nearly anything
        return reason(error)


def _bad(root: Path, name: str, why: str) -> BadData:
    return BadData(f"{root / name}: cannot be read ({why}); repair or remove it, or set bad=skip.")


def in_threads(work: Callable[[T], R], items: Iterable[T], square: Square) -> Iterator[R]:
    """What becomes of each item, in their order, made by several threads; few are ahead of what was taken."""
    at_once = max(8, min(256, _AHEAD // math.prod(square.shape)))
    waiting = iter(items)
    while part := list(itertools.islice(waiting, at_once)):
        # No pool outlives its part: one that waits in a generator that nobody ends is joined by the garbage collector,
        # in whatever thread that runs, and a thread that is just starting then waits for itself
        with bounded(square.max_pixels), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            made = list(pool.map(work, part))
        yield from made
