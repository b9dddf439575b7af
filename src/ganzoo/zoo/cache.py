"""What was fetched and converted: where it lies, and how it is known to be whole.

A fetched folder's hashes are kept beside it, and a file is hashed again only when its size or time changed.
"""

import contextlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ganzoo import files
from ganzoo.folder import LISTED, MANIFEST, ModelFolder
from ganzoo.types import BadModelFolder


class Damaged(BadModelFolder):
    """A fetched folder whose files changed since, or never fitted; `remove` clears it away."""

    def __init__(self, text: str, folder: Path) -> None:
        super().__init__(text)
        self.folder = folder

    def remove(self) -> None:
        """Removes the folder's files, and what they link to in the Hub's cache, so that they are fetched again."""
        Hashes(self.folder).path.unlink(missing_ok=True)
        for name in (MANIFEST, *LISTED):
            path = self.folder / name
            target = path.resolve()
            path.unlink(missing_ok=True)
            if target.parent == self.folder.parent.parent.resolve() / "blobs":
                target.unlink(missing_ok=True)


class Hashes:
    """The hashes of a fetched folder's files, kept beside the cache.

    A file is hashed again when its size or time is not what it was.
    """

    def __init__(self, folder: Path) -> None:
        self.path = files.cache_folder("models") / "hashes" / folder.parent.parent.name / f"{folder.name}.json"
        self.manifest = ""  # as it was when it was fetched; what all others must agree with
        self._known: dict[str, list[Any]] = {}
        with contextlib.suppress(OSError, ValueError, RecursionError, TypeError, KeyError):  # none, or a broken one
            read = json.loads(self.path.read_text(encoding="utf-8"))
            self._known = {name: stamp for name, stamp in read["files"].items() if len(stamp) == 3}
            self.manifest = str(read["manifest"])

    def __call__(self, path: Path) -> str:
        """The sha256 of a file, as remembered where the file is the one that was read."""
        status = path.stat()
        stamp = [status.st_size, status.st_mtime_ns]
        known = self._known.get(path.name)
        if known is not None and known[:2] == stamp:
            return str(known[2])
        self._known[path.name] = [*stamp, files.sha256(path)]
        self._write()
        return str(self._known[path.name][2])

    def trust(self, folder: ModelFolder) -> None:
        """Takes the folder as it is now for the one that was fetched; its files must have been checked."""
        self.manifest = files.sha256(folder.path / MANIFEST)
        for name, digest in {**folder.hashes(), MANIFEST: self.manifest}.items():
            if (folder.path / name).is_file():
                status = (folder.path / name).stat()
                self._known[name] = [status.st_size, status.st_mtime_ns, digest]
        self._write()

    def forget(self) -> None:
        """Hashes everything anew from now on."""
        self._known = {}
        self._write()

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # beside a cache that cannot be written, files are hashed every time
            files.write_json(self.path, {"manifest": self.manifest, "files": self._known})


class Fetched(ModelFolder):
    """A model folder in a cache: it remembers hashes, and its errors say how to fetch it again."""

    def __init__(self, path: Path, label: str, pinned: dict[str, str]) -> None:
        self.path, self._label, self._hashes = path, label, Hashes(path)
        wanted = pinned.get(MANIFEST) or self._hashes.manifest
        try:
            if wanted and (path / MANIFEST).is_file() and self._hashes(path / MANIFEST) != wanted:
                raise BadModelFolder(f"{path / MANIFEST}: damaged or replaced since it was fetched")
            super().__init__(path, pinned)
        except BadModelFolder as error:
            raise self._advised(error) from None
        if not wanted:  # another program fetched it
            for name in self.hashes():
                if (path / name).is_file():
                    self.check(name)
            self._hashes.trust(self)

    def digest(self, path: Path) -> str:
        """As `ModelFolder.digest`, by the hashes that are kept."""
        return self._hashes(path)

    def check(self, name: str) -> Path:
        """As `ModelFolder.check`; the error says how to fetch the model again."""
        try:
            return super().check(name)
        except BadModelFolder as error:
            if not self.has(name):
                raise
            raise self._advised(error) from None

    def check_anew(self) -> None:
        """Hashes every file that is there, whatever is remembered of it."""
        self._hashes.forget()
        self._checked.clear()
        if self._hashes(self.path / MANIFEST) != self._hashes.manifest:
            raise self._advised(BadModelFolder(f"{self.path / MANIFEST}: damaged or replaced since it was fetched"))
        for name in self.hashes():
            if (self.path / name).exists():
                self.check(name)

    def _advised(self, error: BadModelFolder) -> Damaged:
        if isinstance(error, Damaged):
            return error
        return Damaged(f"{error}; `ganzoo pull {self._label}` fetches it again", self.path)


def offline_wanted() -> bool:
    """Whether `HF_HUB_OFFLINE` says so."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Holds a lock that the system gives back when its holder dies."""
    from filelock import FileLock

    path = files.cache_folder("models") / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path):
        yield
