"""Floor 0: files written whole or not at all, their hashes, and where ganzoo's own files lie."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

_LONGEST: Final = 200  # bytes of a name that a temporary file's holds; file systems have 255


def cache_folder(room: str) -> Path:
    """Where one room keeps what it made, which may not exist yet: `$GANZOO_CACHE/<room>`, else in `~/.cache/ganzoo`."""
    root = os.environ.get("GANZOO_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "ganzoo").expanduser() / room


def resource_folder(name: str) -> Path | None:
    """`checkpoints` or `recipes`: inside the installed package, or beside `src` in a checkout; else None."""
    package = Path(__file__).resolve().parent
    for folder in (package / name, package.parents[1] / name):
        if folder.is_dir():
            return folder
    return None


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path beside `path` to write to, and puts it in place whole, or not at all.

    The temporary file lies in the target's own folder (a rename across filesystems is a copy, which a kill can cut) and
    is flushed to the disk before the rename. Missing folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=part_prefix(path.name), suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.chmod(0o666 & ~umask())
        part.replace(path)
        sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def part_prefix(name: str) -> str:
    """How the names of a file's temporary files begin; a long name is cut, for it to leave room for their ends."""
    encoded = os.fsencode(name)
    if len(encoded) <= _LONGEST:
        return f".{name}."
    return f".{encoded[:_LONGEST].decode(errors='ignore')}-{hashlib.sha256(encoded).hexdigest()[:8]}."


def umask() -> int:
    """The permissions that new files are not given."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sync_folder(folder: Path) -> None:
    """Flushes a folder's list of names to the disk."""
    if os.name != "posix":  # a folder cannot be opened elsewhere
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file whole or not at all; NaN and infinity are refused because JSON has none."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")


def sha256(path: Path) -> str:
    """The sha256 of a file's content in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def memory() -> float:
    """The gigabytes that this machine has; infinite where the system does not tell."""
    try:
        return 1e-9 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not of every system
        return float("inf")
