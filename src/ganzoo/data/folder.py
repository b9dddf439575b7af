"""A folder of any pictures, converted once to a uint8 array on the disk that training gathers from without decoding."""

from __future__ import annotations

import hashlib
import io
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
from typing import Any, BinaryIO, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from ganzoo.data.batch import Data, Images
from ganzoo.data.files import atomic, cache_folder
from ganzoo.types import BadArgument, BadData

_log = logging.getLogger(__name__)

# Pillow hands EPS to Ghostscript, which executes it; it cannot decode the others without a program of the user's
_NOT_READ: Final = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
_FORMAT: Final = 1  # of a converted folder; a number more when the pixels of the same arguments change
_AT_ONCE: Final = 256  # pictures that are decoded ahead of the writer
_PATIENCE: Final = 2.0  # seconds before a progress bar appears
_DRAFT: Final = ".converting-"
_STALE: Final = 7 * 24 * 3600.0
_SETTLED: Final = 2.0  # seconds after which a file's times tell one version from the next on every file system


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
        if not 1 <= size <= 8192:
            raise BadArgument(f"size={size}: give the pixels of a side, from 1 to 8192.")
        if channels not in (1, 3):
            raise BadArgument(f"channels={channels}: give 3 for colour or 1 for grey.")
        if fit not in ("crop", "pad", "stretch"):
            raise BadArgument(f"fit={fit!r}: give crop, pad or stretch.")
        if not 0 <= background <= 255:
            raise BadArgument(f"background={background}: give a grey level from 0 to 255.")
        if bad not in ("skip", "error"):
            raise BadArgument(f"bad={bad!r}: give skip or error.")
        if not 0 <= test_share < 1:
            raise BadArgument(f"test_share={test_share}: give a share from 0 up to, but not including, 1.")
        self.root = root
        self.square = _Square(size, channels, fit, background)
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
        converted = _converted(root, self.square, self.bad)
        # pictures stand in the order of their names' hashes, so that each split is a part in one piece
        tests = sum(_position(name) >= 1 - self.test_share for name in converted.names)
        whole = len(converted.names)
        start, stop = {"train": (0, whole - tests), "test": (whole - tests, whole), "all": (0, whole)}[split]
        if start == stop:
            raise BadData(
                f"{root}: none of its {whole} pictures falls into the {split} split at test_share={self.test_share}; "
                "change the share or add pictures."
            )
        classes, labels = _classes(converted.names, converted.skipped)
        name = root.resolve().name.lower().replace(" ", "-").replace("_", "-") or "folder"
        kept = None if labels is None else labels[start:stop]
        return Images(name, converted.values[start:stop], kept, classes, split, self.licence)


@dataclass(frozen=True)
class _Square:
    """How a picture becomes pixels: all that the conversion depends on beside the files."""

    size: int
    channels: int
    fit: str
    background: int

    def pixels(self, picture: Image.Image) -> npt.NDArray[np.uint8]:
        """`(C, size, size)`."""
        picture = _eight_bits(ImageOps.exif_transpose(picture), self.background)
        picture = picture.convert("L" if self.channels == 1 else "RGB")
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
            picture = Image.new(picture.mode, side, (self.background,) * self.channels)
            picture.paste(inside, ((self.size - inner[0]) // 2, (self.size - inner[1]) // 2))
        if picture.size != side:
            picture = picture.resize(side, Image.Resampling.LANCZOS)
        array = np.asarray(picture)
        return array[None] if self.channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))


class _Converted(NamedTuple):
    values: npt.NDArray[np.uint8]
    names: list[str]
    skipped: dict[str, str]  # file name: why


class _Unreadable(Exception):
    """Why a file gives no picture, without its name."""


def _eight_bits(picture: Image.Image, background: int) -> Image.Image:
    """Any of Pillow's modes as `L` or `RGB`."""
    mode = picture.mode
    if mode.startswith("I;16"):
        return Image.fromarray(_levels(np.asarray(picture), 65535))
    if mode in ("I", "F"):
        values = np.asarray(picture, np.float64)
        low, high = float(values.min()), float(values.max())
        limits = (65535,) if mode == "I" else (1, 255)
        limit = next((limit for limit in limits if low >= 0 and high <= limit), None)  # NaN is below none
        if limit is None:
            expected = "0..65535" if mode == "I" else "0..1 or 0..255"
            raise _Unreadable(f"its values run from {low:g} to {high:g}, not within {expected}")
        return Image.fromarray(_levels(values, limit))
    if mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(picture, lab, srgb, outputMode="RGB")
        assert converted is not None  # it is None only where the picture itself is changed
        return converted
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        under = Image.new("RGBA", picture.size, (background, background, background, 255))
        return Image.alpha_composite(under, picture).convert("RGB")
    return picture if mode == "L" else picture.convert("RGB")


def _levels(values: npt.NDArray[Any], top: int) -> npt.NDArray[np.uint8]:
    return np.rint(values.astype(np.float64) * (255 / top)).astype(np.uint8)


def _decode(path: Path, sha: str, square: _Square) -> npt.NDArray[np.uint8] | str:
    """The pixels, or why there are none."""
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha:
            return "it changed while the folder was read"
        with Image.open(io.BytesIO(content), formats=_formats()) as picture:
            # the header's word, before any pixel is decoded; Pillow itself only warns between this limit and its double
            limit = Image.MAX_IMAGE_PIXELS
            if limit is not None and picture.width * picture.height > limit:
                return (
                    f"its {picture.width}x{picture.height} pixels are above the limit of {limit} (decompression bomb?)"
                )
            return square.pixels(picture)
    except Exception as error:  # a hostile file makes Pillow's many decoders raise nearly anything
        reason = " ".join(str(error).replace(f"{path}", path.name).split())
        if isinstance(error, UnidentifiedImageError):
            reason = "it is no picture"
        return reason[:200] or type(error).__name__


def _formats() -> list[str]:
    Image.init()
    return [name for name in Image.ID if name not in _NOT_READ]


def _suffixes() -> frozenset[str]:
    readable = set(_formats())
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in readable)


def _position(name: str) -> float:
    """A number in [0, 1) that only the file's name decides."""
    return int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:6]) / 2**48


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


def _found(root: Path) -> dict[str, os.stat_result]:
    """The pictures below a folder by their names relative to it, in the order of the names' hashes."""
    if not root.exists():
        raise BadData(f"{root}: there is no such folder; give the folder of your pictures as root.")
    if not root.is_dir():
        raise BadData(f"{root}: is a file; give the folder of your pictures as root.")
    suffixes = _suffixes()
    found: dict[str, os.stat_result] = {}
    others = 0
    entered = set()
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
            if path.suffix.lower() not in suffixes:
                others += 1
                continue
            try:
                status = path.stat()
            except OSError as error:
                raise BadData(f"{path}: cannot be read ({error.strerror}); remove it.") from error
            if stat.S_ISREG(status.st_mode):
                found[path.relative_to(root).as_posix()] = status
    if not found:
        what = f"none of its {others} files has the suffix of a picture" if others else "it is empty"
        raise BadData(f"{root}: holds no picture ({what}); give the folder of your pictures as root.")
    return {name: found[name] for name in sorted(found, key=lambda name: (_position(name), name))}


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
        with atomic(place) as draft:
            draft.write(json.dumps(listed).encode())
    return sums


def _converted(root: Path, square: _Square, bad: str) -> _Converted:
    """The pixels of a folder's pictures, from the cache or converted into it."""
    found = _found(root)
    cache = cache_folder()
    try:
        sums = _sums(root, found, cache)
        key = hashlib.sha256(json.dumps([_FORMAT, astuple(square), list(sums.items())]).encode()).hexdigest()
        place = cache / f"folder-{key[:32]}"
        converted = _opened(place)
        if converted is None:
            _convert(root, sums, square, bad, place)
            converted = _opened(place)
    except OSError as error:
        reason = error.strerror or error
        raise BadData(
            f"{cache}: cannot hold the converted pictures ({reason}); set GANZOO_CACHE to another folder."
        ) from error
    if converted is None:
        raise BadData(f"{place}: cannot be opened though it was just written; set GANZOO_CACHE to another folder.")
    if converted.skipped:
        name, reason = next(iter(converted.skipped.items()))
        if bad == "error":
            raise _bad(root, name, reason)
        if not converted.names:
            raise BadData(f"{root}: none of its {len(found)} pictures can be read; {name}: {reason}.")
        for name, reason in converted.skipped.items():
            _log.warning("%s: skipped, %s", root / name, reason)
    return converted


def _bad(root: Path, name: str, reason: str) -> BadData:
    return BadData(f"{root / name}: cannot be read ({reason}); repair or remove it, or set bad=skip.")


def _opened(place: Path) -> _Converted | None:
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
    return _Converted(values, names, skipped)


def _convert(root: Path, sums: dict[str, str], square: _Square, bad: str, place: Path) -> None:
    """Writes a folder of its own and renames it to `place`, so several processes may do the same at the same time."""
    place.parent.mkdir(parents=True, exist_ok=True)
    _sweep(place.parent)
    draft = place.parent / f"{_DRAFT}{secrets.token_hex(8)}"
    draft.mkdir()
    try:
        names, skipped = [], {}
        shape = (square.channels, square.size, square.size)
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
        with atomic(draft / "names.json") as file:
            file.write(json.dumps({"names": names, "skipped": skipped, "shape": (len(names), *shape)}).encode())
        _install(draft, place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _head(file: BinaryIO, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _decoded(root: Path, sums: dict[str, str], square: _Square) -> Iterator[tuple[str, npt.NDArray[np.uint8] | str]]:
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
