"""Arrays of pictures on the disk, made once and then mapped, in `$GANZOO_CACHE/data` or `~/.cache/ganzoo/data`.

An array is a folder: `values.npy`, and `facts.json` with what is known of each picture and the sha256 of the pixels.
The sum is computed when the array is opened for the first time, and again when the file's size, inode or times changed.
"""

import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ganzoo.files import atomic, cache_folder
from ganzoo.types import BadData

_FORMAT: Final = 2  # of a stored array; a number more when it, or the pixels that an unchanged key stands for, change
_PATIENCE: Final = 2.0  # seconds before a progress bar appears
_DRAFT: Final = ".converting-"
_STALE: Final = 7 * 24 * 3600.0
_SETTLED: Final = 2.0  # seconds after which a file's times tell one version from the next on every file system

Item = tuple[Any, npt.NDArray[np.uint8] | str]


class Stored(NamedTuple):
    """An opened array.

    Args:
        values: uint8 `(N, C, H, W)`, mapped from a file.
        notes: what is known of each picture, as plain JSON, such as its file's name.
        skipped: why others gave no picture, by name.
    """

    values: npt.NDArray[np.uint8]
    notes: list[Any]
    skipped: dict[str, str]


def stored(key: Any, shape: tuple[int, ...], items: Callable[[], Iterable[Item]]) -> Stored:
    """The array of a key: opened, or made where there is none yet or it is damaged.

    Args:
        key: all that the pixels depend on, as plain JSON.
        shape: of one picture.
        items: gives each picture's note and pixels; or a name, and in words why there is no picture.

    Raises:
        BadData: if the folder of arrays cannot be written to, and what `items` raises.
    """
    cache = cache_folder("data")
    place = cache / f"folder-{hashlib.sha256(json.dumps([_FORMAT, key]).encode()).hexdigest()[:32]}"
    try:
        made = _opened(place)
        if made is None:
            _make(place, shape, items)
            made = _opened(place)
    except OSError as error:
        reason = error.strerror or error
        raise BadData(
            f"{cache}: cannot hold the converted pictures ({reason}); set GANZOO_CACHE to another folder."
        ) from error
    if made is None:
        raise BadData(f"{place}: cannot be opened though it was just written; set GANZOO_CACHE to another folder.")
    return made


def mark_of(status: os.stat_result) -> list[int]:
    """What changes when a file does: the time of its status is among it, which no program can set back."""
    return [status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]


def at_rest(status: os.stat_result) -> bool:
    """Whether a file's times tell its next version from this one: what just changed may do so within a tick."""
    return time.time() - max(status.st_mtime, status.st_ctime) > _SETTLED


def read_json(path: Path) -> Any:
    """A file's JSON, or None where it is missing, damaged or nested beyond all bounds."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _opened(place: Path) -> Stored | None:
    """What stands there, or None if there is nothing, or it is damaged."""
    facts = read_json(place / "facts.json")
    try:
        notes, skipped, shape = list(facts["notes"]), dict(facts["skipped"]), tuple(facts["shape"])
        # nothing can be mapped from an empty file
        values = np.lib.format.open_memmap(place / "values.npy", "r") if notes else np.zeros(shape, np.uint8)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    sound = values.dtype == np.uint8 and values.shape == shape and len(notes) == len(values)
    sound = sound and values.flags.c_contiguous and (not notes or _unchanged(place, values, facts.get("sha256")))
    return Stored(values, notes, skipped) if sound else None


def _unchanged(place: Path, values: npt.NDArray[np.uint8], expected: object) -> bool:
    """Whether the pixels are those that were written; their sum is computed only where the file is not known."""
    status = (place / "values.npy").stat()
    if read_json(place / "checked.json") == [mark_of(status), expected]:
        return True
    sha = hashlib.sha256()
    for start in range(0, len(values), 256):
        sha.update(values[start : start + 256].data)
    if sha.hexdigest() != expected:
        return False
    if at_rest(status):
        with suppress(OSError), atomic(place / "checked.json") as part:  # a cache may be read-only
            part.write_text(json.dumps([mark_of(status), expected]))
    return True


def _make(place: Path, shape: tuple[int, ...], items: Callable[[], Iterable[Item]]) -> None:
    """Writes a folder of its own and renames it to `place`, so several processes may do the same at the same time."""
    place.parent.mkdir(parents=True, exist_ok=True)
    _sweep(place.parent)
    draft = place.parent / f"{_DRAFT}{secrets.token_hex(8)}"
    draft.mkdir()
    try:
        notes: list[Any] = []
        skipped: dict[str, str] = {}
        sha = hashlib.sha256()
        with open(draft / "values.npy", "wb") as file:
            _head(file, (0, *shape))
            for note, pixels in items():
                if isinstance(pixels, str):
                    skipped[note] = pixels
                    continue
                notes.append(note)
                content = pixels.tobytes()
                sha.update(content)
                file.write(content)  # and not through a mapping, where a full disk kills the process
            file.seek(0)
            _head(file, (len(notes), *shape))  # numpy leaves room for a first axis of any length
            file.flush()
            os.fsync(file.fileno())
        facts = {"shape": (len(notes), *shape), "sha256": sha.hexdigest(), "skipped": skipped, "notes": notes}
        with atomic(draft / "facts.json") as part:
            part.write_text(json.dumps(facts))
        _install(draft, place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _head(file: BinaryIO, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


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
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
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
