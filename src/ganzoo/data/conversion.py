"""Pictures converted once to a uint8 array on the disk, from which training gathers without decoding.

The array lies in `$GANZOO_CACHE/data` or `~/.cache/ganzoo/data`, under a key made of the files' names, the sha256 of
their bytes and the arguments that change pixels.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import shutil
import stat
import time
import warnings
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from ganzoo.data.decoding import Unreadable, decode, suffixes
from ganzoo.files import atomic, cache_folder
from ganzoo.types import BadArgument, BadData

_log = logging.getLogger(__name__)

_FORMAT: Final = 1  # of a converted folder; a number more when the pixels of the same arguments change
_AT_ONCE: Final = 256  # pictures that are decoded ahead of the writer
_PATIENCE: Final = 2.0  # seconds before a progress bar appears
_DRAFT: Final = ".converting-"
_STALE: Final = 7 * 24 * 3600.0
_SETTLED: Final = 2.0  # seconds after which a file's times tell one version from the next on every file system


@dataclass(frozen=True)
class Square:
    """How a picture becomes pixels: all that the conversion depends on beside the files.

    Args:
        size: the pixels of a side.
        channels: 3 for RGB, 1 for grey (ITU-R 601 luma).
        fit: how a picture becomes square: `crop` its middle, `pad` it, or `stretch` it; then it is resized by Lanczos'
            filter, unless it has the size already.
        background: the grey level 0..255 under transparency and around padded pictures.

    Raises:
        BadArgument: for a value out of range.
    """

    size: int
    channels: int
    fit: str
    background: int

    def __post_init__(self) -> None:
        if not 1 <= self.size <= 8192:
            raise BadArgument(f"size={self.size}: give the pixels of a side, from 1 to 8192.")
        if self.channels not in (1, 3):
            raise BadArgument(f"channels={self.channels}: give 3 for colour or 1 for grey.")
        if self.fit not in ("crop", "pad", "stretch"):
            raise BadArgument(f"fit={self.fit!r}: give crop, pad or stretch.")
        if not 0 <= self.background <= 255:
            raise BadArgument(f"background={self.background}: give a grey level from 0 to 255.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the pixels of a file."""
        return (self.channels, self.size, self.size)

    def pixels(self, picture: Image.Image) -> npt.NDArray[np.uint8]:
        """`shape` of a decoded picture.

        Raises:
            Unreadable: if it cannot be made into pixels.
        """
        return self._square(picture, self.channels)

    def _square(self, picture: Image.Image, channels: int) -> npt.NDArray[np.uint8]:
        picture = picture.convert("L" if channels == 1 else "RGB")
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
        """`shape` of a decoded picture.

        Raises:
            Unreadable: if its width is odd.
        """
        width, height = picture.size
        if width % 2:
            raise Unreadable(f"its width of {width} pixels is odd, where two pictures side by side are expected")
        half = width // 2
        left, right = picture.crop((0, 0, half, height)), picture.crop((half, 0, width, height))
        return np.concatenate([self._square(left, self.channels), self._square(right, self.right)])


class Converted(NamedTuple):
    """A folder's pictures, in the order of their positions.

    Args:
        values: uint8 `(N, *square.shape)`, mapped from a file.
        names: of the files, relative to the folder.
        skipped: why files gave no picture, by name.
    """

    values: npt.NDArray[np.uint8]
    names: list[str]
    skipped: dict[str, str]


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


def part_of(root: Path, names: list[str], split: str, test_share: float, key: Key = whole_name) -> slice:
    """The places of a split; pictures stand in the order of their positions, so each split is one piece.

    Args:
        root: of the pictures, for the error.
        names: of the pictures, in their order.
        split: `train`, `test` or `all`.
        test_share: the share of positions for testing.
        key: what decided the positions.

    Raises:
        BadData: if no picture falls into the split.
    """
    tests = sum(position(key(name)) >= 1 - test_share for name in names)
    whole = len(names)
    start, stop = {"train": (0, whole - tests), "test": (whole - tests, whole), "all": (0, whole)}[split]
    if start == stop:
        raise BadData(
            f"{root}: none of its {whole} pictures falls into the {split} split at test_share={test_share}; change the "
            "share or add pictures."
        )
    return slice(start, stop)


def check_options(bad: str, test_share: float) -> None:
    """Holds what sources of pictures have in common against its ranges.

    Raises:
        BadArgument: for a value out of range.
    """
    if bad not in ("skip", "error"):
        raise BadArgument(f"bad={bad!r}: give skip or error.")
    if not 0 <= test_share < 1:
        raise BadArgument(f"test_share={test_share}: give a share from 0 up to, but not including, 1.")


def name_of(root: Path) -> str:
    """A folder's name as a data set's."""
    return root.resolve().name.lower().replace(" ", "-").replace("_", "-") or "folder"


def converted(
    root: Path, square: Square, bad: str, key: Key = whole_name, only: Collection[str] | None = None
) -> Converted:
    """The pixels of the pictures below a folder, from the cache or converted into it.

    Args:
        root: the folder.
        square: how a picture becomes pixels.
        bad: `error` stops at a file that cannot be read, `skip` leaves it out and reports it.
        key: what of a file's name decides its place in the order.
        only: the files to take, where not all.

    Raises:
        BadData: if the folder is missing, holds no picture that can be read, or a bad one where `bad` is `error`.
    """
    listed = found(root, key)
    cache = cache_folder("data")
    try:
        sums = _sums(root, listed, cache)
        sums = sums if only is None else {name: sha for name, sha in sums.items() if name in only}
        content = hashlib.sha256(json.dumps([_FORMAT, astuple(square), list(sums.items())]).encode()).hexdigest()
        place = cache / f"folder-{content[:32]}"
        made = _opened(place)
        if made is None:
            _convert(root, sums, square, bad, place)
            made = _opened(place)
    except OSError as error:
        reason = error.strerror or error
        raise BadData(
            f"{cache}: cannot hold the converted pictures ({reason}); set GANZOO_CACHE to another folder."
        ) from error
    if made is None:
        raise BadData(f"{place}: cannot be opened though it was just written; set GANZOO_CACHE to another folder.")
    if made.skipped:
        name, reason = next(iter(made.skipped.items()))
        if bad == "error":
            raise _bad(root, name, reason)
        if not made.names:
            raise BadData(f"{root}: none of its {len(listed)} pictures can be read; {name}: {reason}.")
        for name, reason in made.skipped.items():
            _log.warning("%s: skipped, %s", root / name, reason)
    return made


def found(root: Path, key: Key = whole_name) -> dict[str, os.stat_result]:
    """The pictures below a folder by their names relative to it, in the order of their positions.

    Raises:
        BadData: if there is no such folder, or no picture in it.
    """
    if not root.exists():
        raise BadData(f"{root}: there is no such folder; give the folder of your pictures as root.")
    if not root.is_dir():
        raise BadData(f"{root}: is a file; give the folder of your pictures as root.")
    pictures: dict[str, os.stat_result] = {}
    names, others = walk(root)
    for name in names:
        try:
            status = (root / name).stat()
        except OSError as error:
            raise BadData(f"{root / name}: cannot be read ({error.strerror}); remove it.") from error
        if stat.S_ISREG(status.st_mode):
            pictures[name] = status
    if not pictures:
        what = f"none of its {others} files has the suffix of a picture" if others else "it is empty"
        raise BadData(f"{root}: holds no picture ({what}); give the folder of your pictures as root.")
    order = sorted(pictures, key=lambda name: (position(key(name)), name))
    return {name: pictures[name] for name in order}


def walk(root: Path) -> tuple[list[str], int]:
    """The files below a folder that may hold pictures, hidden ones aside; links are followed, back up too but once.

    Returns:
        Their names relative to the folder, sorted, and how many other files there are.

    Raises:
        BadData: for a folder that cannot be listed.
    """
    readable, names, others, entered = suffixes(), [], 0, set()
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
    return sorted(names), others


def _refuse(error: OSError) -> None:
    raise BadData(f"{error.filename}: cannot be read ({error.strerror}).") from error


def _sums(root: Path, found: dict[str, os.stat_result], cache: Path) -> dict[str, str]:
    """The sha256 of every file, from the list that the last run left where a file has not changed since."""
    place = cache / "sums" / f"{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:32]}.json"
    known: dict[str, Any] = {}
    with suppress(OSError, ValueError):  # missing or damaged, the list is made anew
        read = json.loads(place.read_text("utf-8"))
        known = read if isinstance(read, dict) else {}
    now = time.time()
    sums, listed = {}, {}
    with _progress("reading", len(found)) as advance:
        for name, status in found.items():
            mark = [status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]
            entry = known.get(name)
            if isinstance(entry, list) and len(entry) == 2 and entry[0] == mark and isinstance(entry[1], str):
                sums[name] = entry[1]
            else:
                try:
                    with open(root / name, "rb") as file:
                        sums[name] = hashlib.file_digest(file, "sha256").hexdigest()
                except OSError as error:
                    raise BadData(f"{root / name}: cannot be read ({error.strerror}).") from error
            # what was changed a moment ago may change again within the same tick of the clock: it is not listed yet
            if now - max(status.st_mtime, status.st_ctime) > _SETTLED:
                listed[name] = [mark, sums[name]]
            advance()
    if listed != known:
        with atomic(place) as part:
            part.write_text(json.dumps(listed))
    return sums


def _decode(path: Path, sha: str, square: Square) -> npt.NDArray[np.uint8] | str:
    """The pixels, or why there are none."""
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha:
            return "it changed while the folder was read"
        return square.pixels(decode(content, square.background))
    except Unreadable as error:
        return str(error)
    except Exception as error:
        return " ".join(str(error).replace(f"{path}", path.name).split())[:200] or type(error).__name__


def _bad(root: Path, name: str, reason: str) -> BadData:
    return BadData(f"{root / name}: cannot be read ({reason}); repair or remove it, or set bad=skip.")


def _opened(place: Path) -> Converted | None:
    """What an earlier conversion left, or None if there is none or it is damaged."""
    try:
        listed = json.loads((place / "names.json").read_text("utf-8"))
        names, skipped, shape = list(listed["names"]), dict(listed["skipped"]), tuple(listed["shape"])
        # nothing can be mapped from an empty file
        values = np.lib.format.open_memmap(place / "values.npy", "r") if names else np.zeros(shape, np.uint8)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if values.dtype != np.uint8 or values.shape != shape or len(names) != len(values):
        return None
    return Converted(values, names, skipped)


def _convert(root: Path, sums: dict[str, str], square: Square, bad: str, place: Path) -> None:
    """Writes a folder of its own and renames it to `place`, so several processes may do the same at the same time."""
    place.parent.mkdir(parents=True, exist_ok=True)
    _sweep(place.parent)
    draft = place.parent / f"{_DRAFT}{secrets.token_hex(8)}"
    draft.mkdir()
    try:
        names, skipped = [], {}
        shape = square.shape
        with open(draft / "values.npy", "wb") as file, _progress("converting", len(sums)) as advance:
            _head(file, (len(sums), *shape))
            for name, pixels in _decoded(root, sums, square):
                advance()
                if not isinstance(pixels, str):
                    names.append(name)
                    file.write(pixels.tobytes())  # and not through a mapping, where a full disk kills the process
                elif bad == "error":
                    raise _bad(root, name, pixels)
                else:
                    skipped[name] = pixels
            file.seek(0)
            _head(file, (len(names), *shape))  # numpy leaves room for a first axis of any length
            file.flush()
            os.fsync(file.fileno())
        with atomic(draft / "names.json") as part:
            part.write_text(json.dumps({"names": names, "skipped": skipped, "shape": (len(names), *shape)}))
        _install(draft, place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _head(file: BinaryIO, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _decoded(root: Path, sums: dict[str, str], square: Square) -> Iterator[tuple[str, npt.NDArray[np.uint8] | str]]:
    """Pixels, or why there are none, in the order of the names."""
    items = list(sums.items())
    with warnings.catch_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        warnings.simplefilter("error", Image.DecompressionBombWarning)  # here, as filters are shared by all threads
        for start in range(0, len(items), _AT_ONCE):
            part = items[start : start + _AT_ONCE]
            results = pool.map(lambda item: _decode(root / item[0], item[1], square), part)
            yield from zip((name for name, _ in part), results, strict=True)


def _install(draft: Path, place: Path) -> None:
    for _ in range(5):
        try:
            os.rename(draft, place)
            return
        except OSError:
            if not place.exists():
                raise
        if _opened(place) is not None:  # another process was faster
            return
        aside = place.parent / f"{_DRAFT}{secrets.token_hex(8)}"
        with suppress(OSError):  # what stands there is damaged; or another process is replacing it at this moment
            os.rename(place, aside)
            shutil.rmtree(aside, ignore_errors=True)


def _sweep(cache: Path) -> None:
    """Removes what killed conversions left, once nothing was written to it for a week."""
    for draft in cache.glob(f"{_DRAFT}*"):
        with suppress(OSError):
            if time.time() - max(path.stat().st_mtime for path in (draft, *draft.iterdir())) > _STALE:
                shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar on the terminal, for what takes long."""
    began, done, bar = time.monotonic(), 0, None

    def advance() -> None:
        nonlocal done, bar
        done += 1
        if bar is None and time.monotonic() - began > _PATIENCE:
            from rich.console import Console
            from rich.progress import Progress

            console = Console(stderr=True)
            bar = Progress(console=console, transient=True, disable=not console.is_terminal)
            bar.add_task(f"{what} {total} pictures", total=total)
            bar.start()
        if bar is not None:
            bar.update(bar.task_ids[0], completed=done)

    try:
        yield advance
    finally:
        if bar is not None:
            bar.stop()
