"""The model folder: what training writes and `load` reads.

    model.safetensors    what inference needs: the averaged generator, and what else the family names
    players.safetensors  every player with its live weights, for training on
    config.json          format, family, its resolved arguments, and facts about the run
    results.json         scores, each with its protocol
    samples.png          the first pictures
    golden.png           four pictures at their own size, against which `ganzoo verify` renders
    <name>.png           what else the family shows, such as reconstructions
    README.md            the card
    manifest.json        sha256 and size of the others, the README aside

Every file is checked against the manifest before it is parsed. Tensors are read by safetensors alone; nothing that a
folder holds is imported, resolved or executed.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.files import atomic, resource_folder, sha256, sync_folder, umask, write_json
from ganzoo.types import BadModelFolder

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
MODEL, PLAYERS, CONFIG, MANIFEST, RESULTS, SAMPLES, CARD, GOLDEN = (
    "model.safetensors",
    "players.safetensors",
    "config.json",
    "manifest.json",
    "results.json",
    "samples.png",
    "README.md",
    "golden.png",
)
LISTED = (MODEL, PLAYERS, CONFIG, RESULTS, SAMPLES, GOLDEN)
_PICTURE = re.compile(r"[a-z][a-z0-9-]{0,39}\.png")  # what a family may call a picture
_JSON_LIMIT = 8 * 2**20  # bytes; the largest configuration or table of results that is read
_HEADER_LIMIT = 32 * 2**20  # bytes of a safetensors header


def shipped_folders() -> dict[str, Path]:
    """The folders of the models that travel with the package, by model name."""
    root = resource_folder("checkpoints")
    if root is None:
        return {}
    return {folder.name: folder for folder in sorted(root.iterdir()) if (folder / CONFIG).is_file()}


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Writes a state dict as safetensors, whole or not at all; copies only tensors that share their memory."""
    from collections import Counter

    from safetensors.torch import save_file

    plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    shared = Counter(value.untyped_storage().data_ptr() for value in plain.values())
    owned = {k: v.clone() if shared[v.untyped_storage().data_ptr()] > 1 else v for k, v in plain.items()}
    with atomic(path) as part:
        save_file(owned, str(part), metadata={"format": "pt"})


def write_manifest(folder: Path) -> None:
    """Writes manifest.json for the files that are in the folder now."""
    names = [*(name for name in LISTED if (folder / name).is_file()), *further_pictures(folder)]
    files = {name: {"sha256": sha256(folder / name), "size": (folder / name).stat().st_size} for name in names}
    write_json(folder / MANIFEST, {"format": FORMAT, "files": files})


def belongs(name: str) -> bool:
    """Whether a manifest may list a file of this name: one that every folder has, or a family's own picture."""
    return name in LISTED or _PICTURE.fullmatch(name) is not None


def further_pictures(folder: Path) -> list[str]:
    """The names of the family's own pictures in a folder, sorted."""
    return sorted(path.name for path in folder.glob("*.png") if path.name not in LISTED and belongs(path.name))


@contextmanager
def writing(folder: Path) -> Iterator[Path]:
    """Gives an empty folder beside `folder` to fill, and exchanges the two when all went well.

    A kill leaves the old folder or the new one under the name. Where the system cannot exchange two names in one step,
    the old folder stands hidden beside the name between two renames, from where `settle` restores it. The exchange is
    made under a lock, so that neither a reader that settles nor another writer comes between.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    old = _aside(folder)
    try:
        yield fresh
        write_manifest(fresh)
        fresh.chmod(0o777 & ~umask())
        with _exchanging(folder):
            if not folder.exists():
                fresh.rename(folder)
            elif not _swap(fresh, folder):
                _remove(old)  # what a kill left behind
                folder.rename(old)
                fresh.rename(folder)
            sync_folder(folder.parent)
            _remove(old)
    finally:
        _remove(fresh)


def settle(folder: Path) -> None:
    """Finishes an exchange of folders that a kill cut, and waits for one that is under way.

    Where `folder` stands nothing is touched, so that reading a model never changes what lies beside it.
    """
    if folder.exists() or not folder.name or not _aside(folder).exists():
        return
    with _exchanging(folder):
        if not folder.exists():
            _aside(folder).rename(folder)


def _swap(one: Path, other: Path) -> bool:
    """Exchanges two names in one step, so that a reader never finds nothing; False where the system cannot."""
    import ctypes

    rename = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return rename is not None and rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def sweep(*paths: Path) -> None:
    """Removes what killed writers of these files and folders left half-written beside them.

    Nobody else may be writing them now.
    """
    for path in paths:
        for part in path.parent.glob(f".{path.name}.*.part"):
            if part.is_dir():
                _remove(part)
            else:
                part.unlink(missing_ok=True)


def _aside(folder: Path) -> Path:
    """Where the old folder stands between the two renames."""
    return folder.with_name(f".{folder.name}.old")


@contextmanager
def _exchanging(folder: Path) -> Iterator[None]:
    """Holds a lock that the system gives back when its holder dies."""
    from filelock import FileLock

    with FileLock(folder.with_name(f".{folder.name}.lock")):
        yield


def _remove(folder: Path) -> None:
    import shutil

    if folder.exists():
        shutil.rmtree(folder)


class ModelFolder:
    """A model folder on disk, read with every check.

    Args:
        path: the folder.
        pinned: sha256 by file name from the catalogue; where given, it must agree with the manifest as well.

    Raises:
        BadModelFolder: on opening or reading, for a file that is missing, of the wrong size, altered or malformed.
    """

    def __init__(self, path: Path, pinned: dict[str, str] | None = None) -> None:
        self.path = path
        settle(path)
        if not path.is_dir():
            raise BadModelFolder(f"{path}: there is no such folder")
        manifest = self._parse(MANIFEST)
        if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
            raise BadModelFolder(f"{path / MANIFEST}: not a manifest; it has no table of files")
        if manifest.get("format") != FORMAT:
            raise BadModelFolder(
                f"{path / MANIFEST}: format {manifest.get('format')!r}; this ganzoo reads format {FORMAT}"
            )
        foreign = next((name for name in manifest["files"] if not belongs(name)), None)
        if foreign is not None:
            raise BadModelFolder(f"{path / MANIFEST}: lists {foreign[:80]!r}, which is no file of a model folder")
        self._listed: dict[str, dict[str, Any]] = manifest["files"]
        self._pinned = pinned or {}
        self._checked: set[str] = set()
        config = self.json(CONFIG)
        if not isinstance(config, dict) or not isinstance(config.get("family"), str):
            raise BadModelFolder(f"{path / CONFIG}: names no family")
        if config.get("format") != FORMAT:
            raise BadModelFolder(f"{path / CONFIG}: format {config.get('format')!r}; this ganzoo reads format {FORMAT}")
        if not isinstance(config.get("arguments"), dict):
            raise BadModelFolder(f"{path / CONFIG}: has no table of arguments")
        self.config: dict[str, Any] = config

    def has(self, name: str) -> bool:
        """Whether the manifest lists a file of this name."""
        return name in self._listed

    def hashes(self) -> dict[str, str]:
        """The sha256 of each listed file, as the manifest says."""
        return {name: str(entry.get("sha256")) for name, entry in self._listed.items() if isinstance(entry, dict)}

    def check(self, name: str) -> Path:
        """Checks a file's size and sha256 against the manifest and the catalogue's pin, and gives its path."""
        path = self.path / name
        entry = self._listed.get(name)
        if not isinstance(entry, dict):
            raise BadModelFolder(f"{path}: not listed in {MANIFEST}; the folder is incomplete")
        if not path.is_file():
            raise BadModelFolder(f"{path}: missing, though {MANIFEST} lists it")
        if name in self._checked:
            return path
        size = path.stat().st_size
        if size != entry.get("size"):
            raise BadModelFolder(
                f"{path}: {size} bytes where {MANIFEST} says {entry.get('size')}; truncated or replaced"
            )
        digest = self.digest(path)
        if digest != entry.get("sha256"):
            raise BadModelFolder(
                f"{path}: content differs from {MANIFEST} (sha256 {digest[:12]}...); damaged or replaced"
            )
        if self._pinned.get(name, digest) != digest:
            raise BadModelFolder(f"{path}: not the file that the catalogue names (sha256 {digest[:12]}...)")
        self._checked.add(name)
        return path

    def digest(self, path: Path) -> str:
        """The sha256 of a file's content; folders that remember what they hashed override this."""
        return sha256(path)

    def json(self, name: str) -> Any:
        """Checks and parses a JSON file of the folder."""
        self.check(name)
        return self._parse(name)

    def _parse(self, name: str) -> Any:
        path = self.path / name
        if not path.is_file():
            raise BadModelFolder(f"{path}: missing; this is not a model folder of ganzoo")
        if path.stat().st_size > _JSON_LIMIT:
            raise BadModelFolder(f"{path}: {path.stat().st_size} bytes; at most {_JSON_LIMIT} are read")
        try:
            return json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise BadModelFolder(f"{path}: not readable as JSON: {reason}") from None

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Checks a safetensors file and reads it onto the CPU.

        The header is held against the file before safetensors maps it.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = self.check(name)
        shapes(path)
        try:
            return load_file(str(path))
        except (SafetensorError, ValueError, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise BadModelFolder(f"{path}: not readable as safetensors: {reason}") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor of a safetensors file, from its header alone.

    Raises:
        BadModelFolder: if the header is no safetensors header or does not fit the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(_HEADER_LIMIT, size - 8):
            raise BadModelFolder(f"{path}: not a safetensors file; its header would be {length} of {size} bytes")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError):
            raise BadModelFolder(f"{path}: not a safetensors file; its header is not JSON") from None
    if not isinstance(header, dict):
        raise BadModelFolder(f"{path}: not a safetensors file; its header is no table")
    header.pop("__metadata__", None)
    table: dict[str, tuple[int, ...]] = {}
    for key, entry in header.items():
        shape = entry.get("shape") if isinstance(entry, dict) else None
        if (
            not isinstance(shape, list)
            or len(shape) > 16
            or not all(type(extent) is int and 0 <= extent < 2**48 for extent in shape)
        ):
            raise BadModelFolder(f"{path}: tensor {key[:80]!r} has no proper shape in the header")
        table[key] = tuple(shape)
    return table
