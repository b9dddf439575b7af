"""The checkpoints of a run: the last one and, in case it is damaged, the one before; each holds its content's hash.

A checkpoint is a zip archive that torch wrote. The hash of everything before it stands in the archive's comment, so
that `torch.load` and any zip program read the file as they would without.
"""

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from ganzoo import files
from ganzoo.types import BadModelFolder

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
GOOD, WAITING = "good.ckpt", "waiting.ckpt"  # to go back to, and what is not known to be good yet
_MARK = b"sha256:"
_COMMENT = len(_MARK) + 64
_END, _END_LENGTH = b"PK\5\6", 22  # a zip archive's last record, when its comment is empty


class AtomicIO(TorchCheckpointIO):
    """Lightning's checkpoint files, written beside their place, flushed to the disk and renamed.

    Lightning stages them in the folder for temporary files, from where a rename is no longer atomic when that lies on
    another filesystem.

    Attributes:
        failure: why the last checkpoint could not be written, such as a full disk; None where it was.
    """

    def __init__(self) -> None:
        self.failure: OSError | None = None

    def save_checkpoint(self, checkpoint: Mapping[str, Any], path: Any, storage_options: Any = None) -> None:
        """Writes the checkpoint whole or not at all; a full disk is no end of training, and is noted in `failure`."""
        self.failure = None
        try:
            write(checkpoint, Path(path))
        except OSError as error:
            self.failure = error

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        """Reads tensors and plain values, and nothing that could run."""
        return read(Path(path), map_location)


def write(checkpoint: Mapping[str, Any], path: Path) -> None:
    """Writes a checkpoint with its hash; what stood there as `last.ckpt` becomes `previous.ckpt`.

    Raises:
        OSError: if it cannot be written; what stood there stays.
    """
    with files.atomic(path) as part:
        with part.open("w+b") as file:
            _save(checkpoint, file)
            _seal(file)
            os.fsync(file.fileno())
        if path.name == LAST and path.exists():
            keep(path, path.with_name(PREVIOUS))


def _save(checkpoint: Mapping[str, Any], file: Any) -> None:
    try:
        torch.save(checkpoint, file)
    except RuntimeError as error:  # torch's writer stumbles over what the system had refused
        raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None


def _seal(file: Any) -> None:
    """Writes the hash of an archive into its comment."""
    file.flush()
    file.seek(-2, os.SEEK_END)
    file.write(_COMMENT.to_bytes(2, "little"))
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0, os.SEEK_END)
    file.write(_MARK + digest.encode())
    file.flush()


def keep(path: Path, other: Path) -> None:
    """Gives a file a second name, in the place of what had it; neither name ever stands empty."""
    fresh = other.with_name(f".{other.name}.link.part")
    fresh.unlink(missing_ok=True)
    try:
        fresh.hardlink_to(path)
    except OSError:  # a filesystem without links
        shutil.copyfile(path, fresh)
    fresh.replace(other)


def read(path: Path, map_location: Any = "cpu", mmap: bool = False) -> dict[str, Any]:
    """Reads a checkpoint: tensors and plain values, after its hash was checked.

    Raises:
        BadModelFolder: for a file that is missing, damaged, or no checkpoint of a game.
    """
    try:
        sound = _sound(path)
    except OSError as error:
        raise BadModelFolder(f"{path}: {error.strerror or 'missing'}") from None
    if not sound:
        raise BadModelFolder(f"{path}: damaged; its content is not what was written")
    try:
        checkpoint = torch.load(path, map_location=map_location, weights_only=True, mmap=mmap)
    except Exception:  # torch.load raises whatever the bytes lead it to, with advice that is none for such a file
        raise BadModelFolder(f"{path}: damaged, or no checkpoint that ganzoo wrote") from None
    if not isinstance(checkpoint, dict) or not {"ganzoo", "state_dict", "global_step"} <= checkpoint.keys():
        raise BadModelFolder(f"{path}: not a checkpoint that ganzoo wrote")
    return checkpoint


def _sound(path: Path) -> bool:
    """Whether a checkpoint is as it was written; of one without a hash, by ganzoo 0.1, whether it ends properly."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _COMMENT - _END_LENGTH))
        tail = file.read()
        if len(tail) < _COMMENT + _END_LENGTH or not tail.startswith(_END):
            return tail[-_END_LENGTH:].startswith(_END)
        sha, left = hashlib.sha256(), size - _COMMENT
        file.seek(0)
        while left:
            block = file.read(min(left, 2**20))
            if not block:
                return False
            sha.update(block)
            left -= len(block)
        return tail[-_COMMENT:] == _MARK + sha.hexdigest().encode()


@dataclass(frozen=True)
class Found:
    """The checkpoint from which a run goes on.

    Args:
        path: of the file.
        table: what it holds.
        complaint: what is wrong with a later one, which was passed over; None where there is none.
    """

    path: Path
    table: dict[str, Any]
    complaint: str | None = None

    @property
    def step(self) -> int:
        """Generator updates until then."""
        return int(self.table["global_step"])

    @property
    def facts(self) -> dict[str, Any]:
        """What the run said of its data and recipe; empty in a checkpoint of an older ganzoo."""
        facts = self.table.get("facts")
        return facts if isinstance(facts, dict) else {}


def restarted(folder: Path) -> bool:
    """Whether torchrun (`--max-restarts`) began again after a rank was lost, and there is something to go on from."""
    again = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") not in ("", "0")
    return again and any((folder / name).exists() for name in (LAST, PREVIOUS))


def newest(folder: Path) -> Found | None:
    """The newest sound checkpoint of a run; None where there is none at all."""
    complaint: str | None = None
    for name in (LAST, PREVIOUS):
        if not (folder / name).exists():
            continue
        try:
            return Found(folder / name, read(folder / name, mmap=True), complaint)
        except BadModelFolder as error:
            complaint = complaint or str(error)
    if complaint is not None:
        raise BadModelFolder(f"{complaint}; there is no sound {PREVIOUS} to go on from either")
    return None
