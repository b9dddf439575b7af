"""Two checkpoints that know their own content, whatever happened to the files."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import fit
from toys import Toy

from ganzoo.training import checkpoints
from ganzoo.training.checkpoints import LAST, PREVIOUS, AtomicIO, newest
from ganzoo.types import BadModelFolder


def table(step: int) -> dict[str, Any]:
    return {"global_step": step, "state_dict": {"a": torch.full((100,), float(step))}, "ganzoo": {}}


def written(folder: Path, *steps: int) -> Path:
    for step in steps:
        checkpoints.write(table(step), folder / LAST)
    return folder / LAST


def test_torch_and_zip_programs_read_it_as_any_other(tmp_path: Path) -> None:
    path = written(tmp_path, 3)
    assert torch.load(path, weights_only=True)["global_step"] == 3
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert re.fullmatch(rb"sha256:[0-9a-f]{64}", archive.comment)


def test_the_one_before_is_kept(tmp_path: Path) -> None:
    written(tmp_path, 1)
    assert not (tmp_path / PREVIOUS).exists()
    written(tmp_path, 2, 3)
    assert [torch.load(tmp_path / name, weights_only=True)["global_step"] for name in (LAST, PREVIOUS)] == [3, 2]
    assert {path.name for path in tmp_path.iterdir()} == {LAST, PREVIOUS}


def test_the_one_before_is_kept_where_there_are_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    written(tmp_path, 1, 2)
    assert [torch.load(tmp_path / name, weights_only=True)["global_step"] for name in (LAST, PREVIOUS)] == [2, 1]


def test_any_flipped_byte_is_noticed(tmp_path: Path) -> None:
    path = written(tmp_path, 3)
    whole = path.read_bytes()
    for at in (*range(0, len(whole), max(1, len(whole) // 150)), *range(len(whole) - 100, len(whole))):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(BadModelFolder, match=r"last\.ckpt: damaged"):
            checkpoints.read(path)
    path.write_bytes(whole)
    assert checkpoints.read(path)["global_step"] == 3


def test_a_checkpoint_of_an_older_ganzoo_is_read(tmp_path: Path) -> None:
    torch.save(table(4), tmp_path / LAST)
    assert checkpoints.read(tmp_path / LAST)["global_step"] == 4
    content = (tmp_path / LAST).read_bytes()
    (tmp_path / LAST).write_bytes(content[:-30])
    with pytest.raises(BadModelFolder, match="damaged"):
        checkpoints.read(tmp_path / LAST)


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "half": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "junk": lambda content: b"no checkpoint " * 100,
    "pickle": lambda content: b"\x80\x04cposix\nsystem\n(X\x05\x00\x00\x00falsetR.",
    "flipped": lambda content: content[:300] + bytes([content[300] ^ 255]) + content[301:],
}


@pytest.mark.parametrize("kind", [*DAMAGED, "keys"])
def test_the_older_sound_one_is_found(kind: str, tmp_path: Path) -> None:
    path = written(tmp_path, 1, 2)
    if kind == "keys":
        torch.save({"state_dict": {}}, path)
    else:
        path.write_bytes(DAMAGED[kind](path.read_bytes()))
    found = newest(tmp_path)
    assert found is not None and (found.path.name, found.step) == (PREVIOUS, 1)
    assert found.complaint is not None and found.complaint.startswith(str(path)) and "\n" not in found.complaint
    assert "weights_only" not in found.complaint
    found.path.write_bytes(b"")
    with pytest.raises(BadModelFolder, match="no sound previous"):
        newest(tmp_path)


def test_the_last_is_found_when_both_are_sound_and_none_when_there_is_none(tmp_path: Path) -> None:
    assert newest(tmp_path) is None
    written(tmp_path, 1, 2)
    found = newest(tmp_path)
    assert found is not None and (found.step, found.complaint, found.facts) == (2, None, {})
    (tmp_path / LAST).unlink()
    found = newest(tmp_path)
    assert found is not None and found.step == 1


class Limit:
    """Files of this process may not be longer, for a while: the system then refuses to write, as a full disk does."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __enter__(self) -> None:
        resource = pytest.importorskip("resource")
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *_: object) -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


@pytest.mark.skipif(os.name != "posix", reason="limits of files are the system's")
def test_what_cannot_be_written_leaves_both_and_says_why(tmp_path: Path) -> None:
    written(tmp_path, 1, 2)
    io = AtomicIO()
    with Limit(200):
        io.save_checkpoint(table(3), tmp_path / LAST)
    assert isinstance(io.failure, OSError) and io.failure.strerror == "File too large"
    assert [torch.load(tmp_path / name, weights_only=True)["global_step"] for name in (LAST, PREVIOUS)] == [2, 1]
    assert {path.name for path in tmp_path.iterdir()} == {LAST, PREVIOUS}
    io.save_checkpoint(table(3), tmp_path / LAST)
    assert io.failure is None
    assert checkpoints.read(tmp_path / LAST)["global_step"] == 3


def test_lightning_reads_it_with_its_hash_checked(tmp_path: Path) -> None:
    made = fit(Toy(), 2, plugins=[AtomicIO()])
    made.save_checkpoint(tmp_path / LAST)
    content = (tmp_path / LAST).read_bytes()
    at = len(content) // 2
    (tmp_path / LAST).write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    with pytest.raises(BadModelFolder, match="damaged"):
        fit(Toy(), 4, ckpt=tmp_path / LAST, plugins=[AtomicIO()])
