"""Where converted data are kept, and how files are written: whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def cache_folder() -> Path:
    """The folder of converted and downloaded data, which may not exist: `$GANZOO_CACHE/data`, else in `~/.cache`."""
    root = os.environ.get("GANZOO_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "ganzoo").expanduser() / "data"


@contextmanager
def atomic(path: str | Path) -> Iterator[BinaryIO]:
    """Opens a file for writing that appears at `path` whole when the block ends, and not at all if the block fails.

    It is written beside its target (a rename is atomic within one file system only), synchronised to the disk and
    renamed. Missing folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.parent / f".{path.name}.{secrets.token_hex(8)}"
    try:
        with open(draft, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
