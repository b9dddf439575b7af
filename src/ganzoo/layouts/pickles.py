"""Reads other people's checkpoints symbolically: nothing in them is imported, resolved or executed.

What a file asks for is only recorded (recorder.py): a global becomes `Global(module, name)`, an object becomes
`Call(function, arguments, state)`. What is known to be data is then built by values.py, from numbers whose bounds were
checked: tensors from their storages, numpy arrays from their bytes, the dictionaries of Python and of the authors.
Functions that are not known are refused by name, and so is what an honest file never holds: most of the standard
library, a key set twice, a list that contains itself, a tensor that reaches beyond its storage.

The containers are a plain pickle (NVIDIA's), torch's zip, torch's older sequence of pickles, that sequence as bytes
inside a pickle, which is how tensors travel in plain pickles, and safetensors, which hold no program.

A tensor's bytes are read from the file straight into its own memory. They are not mapped: tensors in a pickle lie at
odd addresses, which vectorised code may not be given, and a mapped file that is later truncated kills the process. So a
file costs about its own size in memory, and what is returned does not depend on the file any more.
"""

import struct
import zipfile
import zlib
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ganzoo.layouts.recorder import Budget, Call, Global, Limits, Source, Span, quoted, record
from ganzoo.layouts.values import KNOWN, Resolver, Storages, is_legacy, read_legacy
from ganzoo.types import BadCheckpoint

__all__ = ["Call", "Global", "Limits", "quoted", "read", "read_container"]


def read(path: str | Path, limits: Limits | None = None) -> Any:
    """Reads a pickle or a torch file into a plain tree.

    Args:
        path: the file.
        limits: what an honest file stays below.

    Returns:
        dicts, lists, tuples, sets, strings, bytes and numbers; `torch.Tensor` on the CPU without gradient (parameters
        too); numpy arrays and scalars; `Global` and `Call` for what is left. Equal references give one object. The tree
        holds no circle, and its size as walked is bounded by the limits, so that a recursive walk is safe.

    Raises:
        BadCheckpoint: the file is missing, damaged, of another format, beyond a limit, or asks for more than data.
    """
    return read_container(path, limits)[1]


def read_container(path: str | Path, limits: Limits | None = None) -> tuple[str, Any]:
    """`read`, after the container's kind: "zip" or "legacy" (both torch's), "pickle" or "safetensors"."""
    path, limits = Path(path), limits or Limits()
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            head, source, budget = file.read(512), Source(file, 0, size, limits), Budget(limits, size)
            if head.startswith(b"PK\x03\x04"):
                return "zip", _read_zip(file, size, budget)
            if head[8:9] == b"{":
                return "safetensors", _read_safetensors(path, int.from_bytes(head[:8], "little"), limits)
            if is_legacy(head):
                return "legacy", read_legacy(source, budget)
            _refuse_other_formats(head)
            tree = record(source, budget, KNOWN)
            source.end()
            return "pickle", Resolver(budget).walk(tree)
    except OSError as error:
        raise BadCheckpoint(f"{path}: cannot be read ({error.strerror or error}); name a checkpoint file") from None
    except BadCheckpoint as error:
        raise BadCheckpoint(f"{path}: {error}") from None


def _read_safetensors(path: Path, header: int, limits: Limits) -> dict[str, Tensor]:
    """A state dict without any program."""
    if header > limits.directory:
        raise BadCheckpoint(f"is a safetensors file with a header of {header:,} bytes: refused")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except SafetensorError as error:
        raise BadCheckpoint(f"is no whole safetensors file ({quoted(str(error))}): damaged, fetch it again") from None


def _refuse_other_formats(head: bytes) -> None:
    text = head.lstrip().lower()
    if not head:
        raise BadCheckpoint("is empty: fetch it again")
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise BadCheckpoint("is a web page, not a checkpoint: fetch the file itself")
    if text.startswith(b"version https://git-lfs"):
        raise BadCheckpoint("is a Git LFS pointer, not the checkpoint: fetch the file itself")
    if head.startswith(b"\x1f\x8b") or head[257:262] == b"ustar":
        raise BadCheckpoint("is an archive (gzip, tar): unpack it first")


def _read_zip(file: BinaryIO, size: int, budget: Budget) -> Any:
    """torch's zip: `NAME/data.pkl`, and every storage as `NAME/data/KEY`, uncompressed."""
    _check_directory(file, size, budget.limits)
    try:
        with zipfile.ZipFile(file) as archive:
            entries = {info.filename: info for info in archive.infolist()}
            roots = [name[:-8] for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
            if len(roots) != 1 or len(entries) != len(archive.infolist()):
                raise BadCheckpoint("is a zip without the tree of a torch file (NAME/data.pkl), or with two of a name")
            if any(info.compress_type or info.flag_bits & 1 or info.file_size > size for info in entries.values()):
                raise BadCheckpoint("has entries that are compressed, encrypted or larger than it: torch makes no such")
            root = roots[0]
            if f"{root}constants.pkl" in entries:
                raise BadCheckpoint("is a TorchScript program; expected a checkpoint of tensors")
            if f"{root}byteorder" in entries and archive.read(f"{root}byteorder") != b"little":
                raise BadCheckpoint("was written on a big-endian machine; save it again on a little-endian one")
            storages, program = Storages(), archive.read(f"{root}data.pkl")
            source = Source(BytesIO(program), 0, len(program), budget.limits)
            tree = record(source, budget, KNOWN, storages)
            source.end()
            for key, storage in storages.items():
                info = entries.get(f"{root}data/{key}")
                if info is None or info.file_size != storage.size:
                    raise BadCheckpoint(f"the storage {quoted(key)} is missing or of another size: damaged")
                storage.read_into = partial(_read_entry, file, info)
            return Resolver(budget).walk(tree)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, ArithmeticError, EOFError, struct.error) as error:
        raise BadCheckpoint(f"is no whole zip ({quoted(str(error))}): truncated or damaged") from None


def _read_entry(file: BinaryIO, info: zipfile.ZipInfo, buffer: memoryview) -> None:
    """Fills a buffer of the size of a stored entry."""
    head = Span(file, info.header_offset, 30).read()
    start = info.header_offset + 30 + sum(struct.unpack("<HH", head[26:]))
    Span(file, start, info.file_size).read_into(buffer)
    if head[:4] != b"PK\x03\x04" or zlib.crc32(buffer) != info.CRC:
        raise BadCheckpoint(f"the checksum of {quoted(info.filename)} is wrong: damaged, fetch it again")


def _check_directory(file: BinaryIO, size: int, limits: Limits) -> None:
    """Refuses a table of contents that would fill the memory, before it is read."""
    tail = Span(file, max(0, size - 65664), min(size, 65664)).read()
    end = tail.rfind(b"PK\x05\x06")
    listed = int.from_bytes(tail[end + 12 : end + 16], "little") if end >= 0 else 0
    if listed == 0xFFFFFFFF and (other := tail.rfind(b"PK\x06\x06", 0, end)) >= 0:
        listed = int.from_bytes(tail[other + 40 : other + 48], "little")
    if listed > limits.directory:
        raise BadCheckpoint(f"is a zip with a table of contents of {listed:,} bytes: refused")
