"""Reads other people's checkpoints symbolically: nothing in them is imported, resolved or executed.

A pickle is a program for a stack machine. `read` walks its opcodes and only *records* what the program asks for: a
global becomes `Global(module, name)`, an object becomes `Call(function, arguments, state)`. What is known to be data is
then built here, by this file's own code, from numbers whose bounds were checked: tensors from their storages, numpy
arrays from their bytes, the dictionaries of Python and of the authors. Functions that are not known are refused by
name, and so is what an honest file never holds: most of the standard library, a key set twice, a list that contains
itself, a tensor that reaches beyond its storage.

Four containers are known: a plain pickle (NVIDIA's), torch's zip, torch's older sequence of pickles, and that sequence
as bytes inside a pickle, which is how tensors travel in plain pickles.

A tensor's bytes are read from the file straight into its own memory. They are not mapped: tensors in a pickle lie at
odd addresses, which vectorised code may not be given, and a mapped file that is later truncated kills the process. So a
file costs about its own size in memory, and what is returned does not depend on the file any more.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from ganzoo.layouts.opcodes import Budget, Call, Global, Limits, Machine, MiB, Source, Span, quoted
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
    """`read`, with the container's kind before the tree: "zip" or "legacy" (both torch's), or "pickle"."""
    path, limits = Path(path), limits or Limits()
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            source, budget = Source(file, 0, size), Budget(limits, size)
            head = source.peek(512)
            if head.startswith(b"PK\x03\x04"):
                return "zip", _read_zip(file, size, budget)
            if is_legacy(head):
                return "legacy", read_legacy(source, budget)
            _refuse_other_formats(head)
            tree = Machine(source, budget, KNOWN).run()
            source.end()
            return "pickle", Resolver(budget).resolve(tree)
    except OSError as error:
        raise BadCheckpoint(f"{path}: cannot be read ({error.strerror or error}); name a checkpoint file") from None
    except BadCheckpoint as error:
        raise BadCheckpoint(f"{path}: {error}") from None


def _refuse_other_formats(head: bytes) -> None:
    text = head.lstrip().lower()
    if not head:
        raise BadCheckpoint("is empty: fetch it again")
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise BadCheckpoint("is a web page, not a checkpoint: fetch the file itself")
    if text.startswith(b"version https://git-lfs"):
        raise BadCheckpoint("is a Git LFS pointer, not the checkpoint: fetch the file itself")
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**32:
        raise BadCheckpoint("is a safetensors file; expected a pickle or a torch file")
    if head.startswith(b"\x1f\x8b"):
        raise BadCheckpoint("is compressed with gzip: unpack it first")
    if head[257:262] == b"ustar":
        raise BadCheckpoint("is a tar archive; expected a pickle or a torch file")


def _read_zip(file: BinaryIO, size: int, budget: Budget) -> Any:
    """torch's zip: `NAME/data.pkl`, and every storage as `NAME/data/KEY`, uncompressed."""
    _check_directory(file, size, budget.limits)
    try:
        with zipfile.ZipFile(file) as archive:
            listed, end = archive.infolist(), archive.start_dir
    except (
        zipfile.BadZipFile,
        ValueError,
        NotImplementedError,
        ArithmeticError,
        EOFError,
        OSError,
        struct.error,
    ) as error:
        raise BadCheckpoint(f"is no whole zip ({quoted(str(error))}): truncated or damaged") from None
    entries = {info.filename: info for info in listed}
    if len(entries) != len(listed):
        raise BadCheckpoint("is a zip with two entries of one name: refused")
    roots = [name[: -len("data.pkl")] for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(roots) != 1:
        raise BadCheckpoint("is a zip without the tree of a torch file (NAME/data.pkl)")
    root = roots[0]
    if f"{root}constants.pkl" in entries:
        raise BadCheckpoint("is a TorchScript program; expected a checkpoint of tensors")
    if f"{root}byteorder" in entries:
        order = _entry(file, entries[f"{root}byteorder"], end)
        if order.size > 16 or order.read() != b"little":
            raise BadCheckpoint("was written on a big-endian machine; save it again on a little-endian one")
    span = _entry(file, entries[f"{root}data.pkl"], end)
    if _crc(span) != entries[f"{root}data.pkl"].CRC:
        raise BadCheckpoint("the checksum of its tree is wrong: damaged, fetch it again")
    storages = Storages()
    source = Source(file, span.start, span.start + span.size)
    tree = Machine(source, budget, KNOWN, storages).run()
    source.end()
    for key, storage in storages.found.items():
        info = entries.get(f"{root}data/{key}")
        if info is None:
            raise BadCheckpoint(f"the bytes of the storage {quoted(key)} are missing: damaged")
        storage.span, storage.crc = _entry(file, info, end), info.CRC
        if storage.span.size != storage.size:
            raise BadCheckpoint(f"a storage of {storage.size:,} bytes has {storage.span.size:,}: damaged")
    return Resolver(budget).resolve(tree)


def _check_directory(file: BinaryIO, size: int, limits: Limits) -> None:
    """Refuses a table of contents that would fill the memory, before it is read."""
    file.seek(max(0, size - 65536 - 128))
    tail = file.read(65536 + 128)
    length = tail.rfind(b"PK\x05\x06")
    if length < 0 or len(tail) < length + 22:
        raise BadCheckpoint("is a zip without its end: truncated")
    listed = int.from_bytes(tail[length + 12 : length + 16], "little")
    if listed == 0xFFFFFFFF and (record := tail.rfind(b"PK\x06\x06", 0, length)) >= 0:
        listed = int.from_bytes(tail[record + 40 : record + 48], "little")
    if listed > limits.directory:
        raise BadCheckpoint(f"is a zip with a table of contents of {listed:,} bytes: refused")
    file.seek(0)


def _entry(file: BinaryIO, info: zipfile.ZipInfo, end: int) -> Span:
    """Where a stored entry's bytes lie."""
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.compress_size != info.file_size:
        raise BadCheckpoint(f"its entry {quoted(info.filename)} is compressed or encrypted, which torch never does")
    file.seek(max(0, info.header_offset))
    head = file.read(30)
    if info.header_offset < 0 or len(head) != 30 or head[:4] != b"PK\x03\x04":
        raise BadCheckpoint(f"its entry {quoted(info.filename)} is not where it should be: damaged")
    start = info.header_offset + 30 + sum(struct.unpack("<HH", head[26:30]))
    if start + info.file_size > end:
        raise BadCheckpoint(f"its entry {quoted(info.filename)} reaches beyond the file: truncated or damaged")
    return Span(file, start, info.file_size)


def _crc(span: Span) -> int:
    crc, at = 0, 0
    while at < span.size:
        part = Span(span.file, span.start + at, min(MiB, span.size - at))
        crc, at = zlib.crc32(part.read(), crc), at + part.size
    return crc
