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

import codecs
import math
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from ganzoo.types import BadCheckpoint

MiB = 2**20


@dataclass(frozen=True)
class Limits:
    """What an honest checkpoint stays far below.

    Args:
        opcodes: operations of one pickle; the largest published checkpoints have some 50,000.
        depth: levels of nesting.
        nodes: values in the tree as it is walked, with what is shared counted each time it is met.
        text: bytes of one string.
        integer: bytes of one integer.
        expansion: bytes of all tensors as they are walked, over the bytes of the file (and 16 MiB).
        directory: bytes of the table of contents of a zip.
    """

    opcodes: int = 2_000_000
    depth: int = 256
    nodes: int = 2_000_000
    text: int = 16 * MiB
    integer: int = 128
    expansion: int = 4
    directory: int = 8 * MiB


@dataclass(frozen=True, slots=True)
class Global:
    """The name of a class or function, as a file gives it; it is never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False, slots=True)
class Call:
    """An object that a file describes and that was not made.

    Args:
        function: the class or function.
        args: positional arguments of the constructor.
        kwargs: its keyword arguments.
        state: what the object's `__setstate__` would be given, most often its `__dict__`; None without.
        entries: items set on the object, where it is a kind of dict.
        elements: items appended to the object, where it is a kind of list.
    """

    function: Global
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    state: Any = None
    entries: dict[Any, Any] = field(default_factory=dict)
    elements: list[Any] = field(default_factory=list)


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
            source = _Source(file, 0, size, limits)
            head = source.peek(512)
            if head.startswith(b"PK\x03\x04"):
                return "zip", _read_zip(file, size, limits)
            if _is_legacy(head):
                return "legacy", _read_legacy(source, limits, size, nested=False)
            _refuse_other_formats(head)
            machine = _Machine(source, limits)
            tree = machine.run()
            source.end()
            return "pickle", _Resolver(limits, size).resolve(tree)
    except OSError as error:
        raise BadCheckpoint(f"{path}: cannot be read ({error.strerror or error}); name a checkpoint file") from None
    except BadCheckpoint as error:
        raise BadCheckpoint(f"{path}: {error}") from None


def quoted(value: object, length: int = 60) -> str:
    """A value from a file as one short line of ASCII, for error messages."""
    text = ascii(value) if isinstance(value, (str, bytes, int, float, bool, type(None))) else type(value).__name__
    return text if len(text) <= length else f"{text[: length - 3]}..."


# The file


@dataclass(eq=False, slots=True)
class _Span:
    """Bytes that are still in the file; `raw` where the one who asks reads them himself."""

    file: BinaryIO
    start: int
    size: int
    raw: bool = False

    def read(self) -> bytearray:
        """The bytes, in fresh memory."""
        data = bytearray(self.size)
        self.read_into(memoryview(data))
        return data

    def read_into(self, buffer: memoryview) -> None:
        """Fills a buffer of the same size."""
        self.file.seek(self.start)
        if self.size and self.file.readinto(buffer) != self.size:  # type: ignore[attr-defined]
            raise BadCheckpoint("shrank while it was read")


class _Source:
    """A part of a file, read forwards; what is asked for beyond its end is refused before it is read."""

    def __init__(self, file: BinaryIO, start: int, stop: int, limits: Limits) -> None:
        self.file, self.at, self.stop, self.limits = file, start, stop, limits
        self._chunk, self._base = b"", start

    def peek(self, size: int) -> bytes:
        """Up to `size` bytes, without moving on."""
        size = min(size, self.stop - self.at)
        i = self.at - self._base
        if i + size > len(self._chunk):
            self.file.seek(self.at)
            self._chunk, self._base, i = self.file.read(min(max(size, 65536), self.stop - self.at)), self.at, 0
        return self._chunk[i : i + size]

    def take(self, size: int) -> bytes:
        """The next bytes, which must be there."""
        data = self.peek(size)
        if len(data) != size:
            raise BadCheckpoint(f"ends at byte {self.stop} where {size} more were announced: truncated or damaged")
        self.at += size
        return data

    def line(self) -> bytes:
        """Up to the next end of line, which is left out."""
        size = 256
        while True:
            data = self.peek(size)
            if (end := data.find(b"\n")) >= 0:
                self.at += end + 1
                return data[:end]
            if len(data) < size or size > self.limits.text:
                raise BadCheckpoint(f"a line that begins at byte {self.at} has no end: truncated or damaged")
            size *= 8

    def skip(self, size: int) -> _Span:
        """Passes over bytes, to be read later."""
        if size > self.stop - self.at:
            raise BadCheckpoint(f"ends at byte {self.stop} where {size} more were announced: truncated or damaged")
        span = _Span(self.file, self.at, size)
        self.at += size
        return span

    def end(self) -> None:
        """Checks that nothing is left."""
        if self.at != self.stop:
            raise BadCheckpoint(f"goes on for {self.stop - self.at} bytes after its end at byte {self.at}: damaged")


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


# What a name may be

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*", re.ASCII)
# Names of the standard library that honest checkpoints hold. All else of it is refused where it is named, whether
# called or not: no checkpoint needs it, and it is what attacks are made of.
_STANDARD = {
    "collections": {"OrderedDict", "defaultdict"},
    "builtins": {"set", "frozenset", "bytearray", "bytes", "list", "tuple", "dict", "object", "int", "float", "str",
                 "bool", "complex", "slice", "range"},
    "copyreg": {"_reconstructor"},
    "_codecs": {"encode"},
    "argparse": {"Namespace"},
    "types": {"SimpleNamespace"},
    "pathlib": {"PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"},
    "datetime": {"datetime", "date", "timedelta"},
}  # fmt: skip
_PYTHON2 = {"__builtin__": "builtins", "copy_reg": "copyreg", "commands": "subprocess", "__main__": "__main__"}
_STANDARD_LIBRARY = sys.stdlib_module_names | {"__builtin__", "copy_reg", "commands", "nt", "posix"}


def _canonical(module: str) -> str:
    """The module's name today."""
    module = _PYTHON2.get(module, module)
    return f"numpy._core{module[10:]}" if module == "numpy.core" or module.startswith("numpy.core.") else module


def _named(module: object, name: object) -> Global:
    for part in (module, name):
        if not isinstance(part, str) or len(part) > 200 or not _IDENTIFIER.fullmatch(part):
            raise BadCheckpoint(f"names a class or function {quoted(module)} {quoted(name)}, which is no name: damaged")
    assert isinstance(module, str) and isinstance(name, str)
    found = Global(_canonical(module), name)
    if found.module.partition(".")[0] in _STANDARD_LIBRARY and name not in _STANDARD.get(found.module, ()):
        raise BadCheckpoint(f"asks for {module}.{name}, which no checkpoint needs: refused, and nothing was executed")
    return found


# The stack machine


class _Machine:
    """Walks the opcodes of one pickle and records what it describes.

    Args:
        source: where the pickle begins; after `run` it stands behind the pickle's end.
        limits: of the opcodes and strings.
        persistent: makes a value of a persistent id; without it such ids are refused.
    """

    def __init__(self, source: _Source, limits: Limits, persistent: Callable[[Any], Any] | None = None) -> None:
        self.source, self.limits, self.persistent = source, limits, persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.frame: int | None = None  # where the current frame ends

    def run(self) -> Any:
        """Walks up to STOP and gives the one value that is left."""
        source, operations = self.source, _OPERATIONS
        start = source.at
        for _ in range(self.limits.opcodes):
            at = source.at
            code = source.take(1)[0]
            if code == _STOP:
                break
            if code == _PROTO and at != start:
                raise BadCheckpoint(f"opcode PROTO in the middle, at byte {at}: damaged")
            operation = operations[code]
            if operation is None:
                raise BadCheckpoint(f"{_describe(code)} at byte {at}: not a pickle that holds a checkpoint")
            operation(self)
            if self.frame is not None and source.at >= self.frame:
                if source.at > self.frame:
                    raise BadCheckpoint(f"a frame that ends at byte {self.frame} cuts an operation: damaged")
                self.frame = None
        else:
            raise BadCheckpoint(f"more than {self.limits.opcodes:,} operations: no checkpoint has so many")
        if self.marks or len(self.stack) != 1 or (self.frame is not None and self.frame != source.at):
            raise BadCheckpoint(f"ends at byte {source.at} with its work undone: damaged")
        return self.stack[0]

    # The stack

    def pop(self) -> Any:
        """The top, which must lie above the last mark."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise BadCheckpoint(f"takes a value that was never put, before byte {self.source.at}: damaged")
        return self.stack.pop()

    def top(self) -> Any:
        """The top, left in place."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise BadCheckpoint(f"takes a value that was never put, before byte {self.source.at}: damaged")
        return self.stack[-1]

    def marked(self) -> list[Any]:
        """All above the last mark, which goes too."""
        if not self.marks:
            raise BadCheckpoint(f"takes values from a mark that was never set, before byte {self.source.at}: damaged")
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def push(self, value: Any) -> None:
        """Puts a value on top."""
        self.stack.append(value)

    def drop(self) -> None:
        """Forgets the top, be it a value or a mark."""
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.pop()

    def drop_marked(self) -> None:
        """Forgets all from the last mark."""
        self.marked()

    def number(self, size: int) -> int:
        return int.from_bytes(self.source.take(size), "little")

    def decimal(self) -> int:
        line = self.source.line()
        if not re.fullmatch(rb"-?[0-9]{1,300}L?", line):
            raise BadCheckpoint(f"a number reads {quoted(line)}: damaged")
        return int(line.rstrip(b"L"))

    # Values

    def proto(self) -> None:
        version = self.number(1)
        if version > 5:
            raise BadCheckpoint(f"is a pickle of protocol {version}; expected 0 to 5")

    def begin_frame(self) -> None:
        size = self.number(8)
        if self.frame is not None or size > self.source.stop - self.source.at:
            raise BadCheckpoint(f"a frame of {size} bytes at byte {self.source.at} does not fit: truncated or damaged")
        self.frame = self.source.at + size

    def integer(self) -> None:
        line = self.source.peek(4)
        if line[:3] in (b"00\n", b"01\n"):  # how protocol 0 writes False and True
            self.push(self.source.line() == b"01")
        else:
            self.push(self.decimal())

    def long(self, width: int) -> None:
        size = self.number(width)
        if size > self.limits.integer:
            raise BadCheckpoint(f"an integer of {size:,} bytes: no checkpoint has such")
        self.push(int.from_bytes(self.source.take(size), "little", signed=True))

    def text_float(self) -> None:
        line = self.source.line()
        try:
            self.push(float(line))
        except ValueError:
            raise BadCheckpoint(f"a number reads {quoted(line)}: damaged") from None

    def text(self, width: int) -> None:
        size = self.number(width)
        if size > self.limits.text:
            raise BadCheckpoint(f"a string of {size:,} bytes: no checkpoint has such")
        self.push(_decode(self.source.take(size)))

    def text_line(self) -> None:
        try:
            self.push(self.source.line().decode("raw-unicode-escape"))
        except UnicodeDecodeError:
            raise BadCheckpoint("a string with a broken escape: damaged") from None

    def old_string(self, width: int) -> None:
        """A `str` of Python 2: text where it can be, else bytes."""
        size = self.number(width)
        if size > self.limits.text:
            span = self.source.skip(size)
            self.push(span)
            return
        self.push(_text_or_bytes(self.source.take(size)))

    def old_string_line(self) -> None:
        line = self.source.line().strip()
        if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] != line[:1]:
            raise BadCheckpoint(f"a string reads {quoted(line)}: damaged")
        try:
            self.push(_text_or_bytes(codecs.escape_decode(line[1:-1])[0]))
        except ValueError:
            raise BadCheckpoint("a string with a broken escape: damaged") from None

    def byte_string(self, width: int) -> None:
        """Bytes, left in the file until someone wants them."""
        self.push(self.source.skip(self.number(width)))

    # Containers

    def make_tuple(self, size: int) -> None:
        items = [self.pop() for _ in range(size)]
        self.push(tuple(reversed(items)))

    def extend(self, items: Iterable[Any]) -> None:
        target = self.top()
        if isinstance(target, Call):
            target.elements.extend(items)
        elif isinstance(target, list):
            target.extend(items)
        else:
            raise BadCheckpoint(f"appends to a value of type {_kind(target)}: damaged")

    def set_items(self, items: list[Any]) -> None:
        target = self.top()
        entries = target.entries if isinstance(target, Call) else target
        if not isinstance(entries, dict):
            raise BadCheckpoint(f"sets an item of a value of type {_kind(target)}: damaged")
        _fill(entries, items)

    def add_items(self, items: list[Any]) -> None:
        target = self.top()
        if not isinstance(target, set):
            raise BadCheckpoint(f"adds to a value of type {_kind(target)}: damaged")
        target.update(map(_key, items))

    def append(self) -> None:
        item = self.pop()
        self.extend((item,))

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def make_dict(self, items: list[Any]) -> None:
        made: dict[Any, Any] = {}
        _fill(made, items)
        self.push(made)

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise BadCheckpoint(f"refers to value {index}, which was never stored: damaged")
        self.push(self.memo[index])

    def put(self, index: int) -> None:
        if index < 0:
            raise BadCheckpoint(f"stores a value under {index}: damaged")
        self.memo[index] = self.top()

    # Objects: recorded, never made

    def find_global(self) -> None:
        module, name = self.source.line(), self.source.line()
        self.push(_named(_decode(module), _decode(name)))

    def find_global_on_stack(self) -> None:
        name, module = self.pop(), self.pop()
        self.push(_named(module, name))

    def reduce(self) -> None:
        args, function = self.pop(), self.pop()
        if not isinstance(function, Global) or not isinstance(args, tuple):
            raise BadCheckpoint(f"calls a value of type {_kind(function)} with {_kind(args)}: refused")
        if (function.module, function.name) not in _KNOWN:
            raise BadCheckpoint(f"calls {function}, which is not known to make data: refused, and nothing was executed")
        self.push(Call(function, args))

    def new_object(self, keywords: bool = False) -> None:
        kwargs = self.pop() if keywords else {}
        args, cls = self.pop(), self.pop()
        if not isinstance(cls, Global) or not isinstance(args, tuple) or not isinstance(kwargs, dict):
            raise BadCheckpoint(f"makes an object of a value of type {_kind(cls)}: refused")
        self.push(Call(cls, args, kwargs))

    def old_object(self) -> None:
        cls, *args = self.marked() or [None]
        self.instance(cls, args)

    def instance(self, cls: Any, args: list[Any]) -> None:
        """An object of protocol 0 or 1, whose class is called with the arguments."""
        if not isinstance(cls, Global):
            raise BadCheckpoint(f"makes an object of a value of type {_kind(cls)}: refused")
        if args and (cls.module, cls.name) not in _KNOWN:
            raise BadCheckpoint(f"calls {cls}, which is not known to make data: refused, and nothing was executed")
        self.push(Call(cls, tuple(args)))

    def build(self) -> None:
        state, target = self.pop(), self.top()
        if not isinstance(target, Call) or target.state is not None:
            raise BadCheckpoint(f"sets the state of a value of type {_kind(target)}, or sets it twice: refused")
        target.state = state

    def persistent_id(self) -> None:
        identity = self.pop()
        if self.persistent is None:
            raise BadCheckpoint("refers to a value outside the file: refused")
        self.push(self.persistent(identity))


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise BadCheckpoint(f"a string that is not UTF-8, {quoted(data, 30)}: damaged") from None


def _text_or_bytes(data: bytes) -> str | bytes:
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        return data


def _kind(value: Any) -> str:
    return str(value.function) if isinstance(value, Call) else type(value).__name__.lstrip("_").lower()


def _key(key: Any) -> Any:
    """A key that hashes in constant time and whose hash cannot be made to collide at will."""
    if isinstance(key, int):
        if -(2**60) < key < 2**60:
            return key
    elif key is None or isinstance(key, (str, bytes, Global)):
        return key
    raise BadCheckpoint(f"a key or set member of type {_kind(key)}, {quoted(key)}: no checkpoint has such")


def _fill(target: dict[Any, Any], items: list[Any]) -> None:
    if len(items) % 2:
        raise BadCheckpoint("a key without a value: damaged")
    for key, value in zip(items[::2], items[1::2], strict=True):
        key = _key(key)
        if key in target:
            raise BadCheckpoint(f"sets the key {quoted(key)} twice: damaged")
        target[key] = value


_PROTO, _STOP = 0x80, ord(".")
_Operation = Callable[[_Machine], None]
_NAMED: dict[bytes, _Operation] = {
    b"\x80": _Machine.proto,
    b"\x95": _Machine.begin_frame,
    # values
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"I": _Machine.integer,
    b"J": lambda m: m.push(struct.unpack("<i", m.source.take(4))[0]),
    b"K": lambda m: m.push(m.number(1)),
    b"M": lambda m: m.push(m.number(2)),
    b"L": lambda m: m.push(m.decimal()),
    b"\x8a": lambda m: m.long(1),
    b"\x8b": lambda m: m.long(4),
    b"F": _Machine.text_float,
    b"G": lambda m: m.push(struct.unpack(">d", m.source.take(8))[0]),
    b"S": _Machine.old_string_line,
    b"T": lambda m: m.old_string(4),
    b"U": lambda m: m.old_string(1),
    b"V": _Machine.text_line,
    b"X": lambda m: m.text(4),
    b"\x8c": lambda m: m.text(1),
    b"\x8d": lambda m: m.text(8),
    b"B": lambda m: m.byte_string(4),
    b"C": lambda m: m.byte_string(1),
    b"\x8e": lambda m: m.byte_string(8),
    b"\x96": lambda m: m.byte_string(8),  # a bytearray
    # containers
    b")": lambda m: m.push(()),
    b"]": lambda m: m.push([]),
    b"}": lambda m: m.push({}),
    b"\x8f": lambda m: m.push(set()),
    b"t": lambda m: m.push(tuple(m.marked())),
    b"\x85": lambda m: m.make_tuple(1),
    b"\x86": lambda m: m.make_tuple(2),
    b"\x87": lambda m: m.make_tuple(3),
    b"l": lambda m: m.push(m.marked()),
    b"d": lambda m: m.make_dict(m.marked()),
    b"\x91": lambda m: m.push(frozenset(map(_key, m.marked()))),
    b"a": _Machine.append,
    b"e": lambda m: m.extend(m.marked()),
    b"s": _Machine.set_item,
    b"u": lambda m: m.set_items(m.marked()),
    b"\x90": lambda m: m.add_items(m.marked()),
    # the stack and the memo
    b"(": lambda m: m.marks.append(len(m.stack)),
    b"0": _Machine.drop,
    b"1": _Machine.drop_marked,
    b"2": lambda m: m.push(m.top()),
    b"g": lambda m: m.get(m.decimal()),
    b"h": lambda m: m.get(m.number(1)),
    b"j": lambda m: m.get(m.number(4)),
    b"p": lambda m: m.put(m.decimal()),
    b"q": lambda m: m.put(m.number(1)),
    b"r": lambda m: m.put(m.number(4)),
    b"\x94": lambda m: m.put(len(m.memo)),
    # objects
    b"c": _Machine.find_global,
    b"\x93": _Machine.find_global_on_stack,
    b"i": lambda m: m.instance(_named(_decode(m.source.line()), _decode(m.source.line())), m.marked()),
    b"o": _Machine.old_object,
    b"R": _Machine.reduce,
    b"\x81": _Machine.new_object,
    b"\x92": lambda m: m.new_object(keywords=True),
    b"b": _Machine.build,
    b"Q": _Machine.persistent_id,
}
_OPERATIONS: list[_Operation | None] = [_NAMED.get(bytes([code])) for code in range(256)]
_REFUSED = {
    ord("P"): "PERSID, a reference out of the file",
    0x82: "EXT1, a reference to another program's registry",
    0x83: "EXT2, a reference to another program's registry",
    0x84: "EXT4, a reference to another program's registry",
    0x97: "NEXT_BUFFER, a reference out of the file",
    0x98: "READONLY_BUFFER, a reference out of the file",
}


def _describe(code: int) -> str:
    return f"opcode {_REFUSED[code]}" if code in _REFUSED else f"unknown opcode 0x{code:02x}"


# From what was recorded to data


class _Storage:
    """A torch storage: a run of equal elements that is still in the file, or a part of another storage."""

    def __init__(self, dtype: torch.dtype, numel: int) -> None:
        self.dtype, self.numel = dtype, numel
        self.span: _Span | None = None
        self.crc: int | None = None  # of the bytes, where the container has one
        self.root: tuple[_Storage, int] | None = None  # the other storage, and where in it this one begins
        self.values: Tensor | None = None  # all elements, once read

    @property
    def size(self) -> int:
        """Bytes."""
        return self.numel * self.dtype.itemsize


class _Resolver:
    """Turns the record into data, from the leaves up, without recursion.

    Args:
        limits: of depth, of nodes as walked and of tensor bytes as walked.
        size: of the file in bytes.
        nested: whether this is a file inside a file, which may not hold another.
    """

    def __init__(self, limits: Limits, size: int, nested: bool = False) -> None:
        self.limits, self.size, self.nested = limits, size, nested
        self.allowance = size + 16 * MiB  # bytes that may be read: no honest file has one byte read twice
        self.done: dict[int, tuple[Any, int, int]] = {}  # by identity: the value, its nodes and tensor bytes as walked

    def resolve(self, root: Any) -> Any:
        """The tree with every known call replaced by its value."""
        done, kept = self.done, []  # what is made on the way is kept, so that its identity stays its own
        on_path: set[int] = set()
        todo: list[tuple[Any, list[Any] | None]] = [(root, None)]
        while todo:
            node, children = todo.pop()
            identity = id(node)
            if identity in done:
                continue
            if children is None:
                if identity in on_path:
                    raise BadCheckpoint("holds a value that contains itself: refused")
                children = _children(node)
                if not children:
                    self.keep(identity, self.leaf(node), 1, 0)
                    continue
                on_path.add(identity)
                if len(on_path) > self.limits.depth:
                    raise BadCheckpoint(f"is nested more than {self.limits.depth} levels deep: refused")
                kept.append(children)
                todo.append((node, children))
                todo.extend((child, None) for child in reversed(children) if type(child) not in _ATOMS)
                continue
            on_path.discard(identity)
            parts = [(child, 1, 0) if type(child) in _ATOMS else done[id(child)] for child in children]
            value = self.rebuild(node, [part[0] for part in parts])
            self.keep(identity, value, 1 + sum(part[1] for part in parts), sum(part[2] for part in parts))
        return done.get(id(root), (root, 1, 0))[0]

    def keep(self, identity: int, value: Any, nodes: int, size: int) -> None:
        """Remembers a node's value, unless it has grown beyond all measure."""
        if isinstance(value, (Tensor, np.ndarray)):
            nodes, size = 1, value.nbytes
        if nodes > self.limits.nodes or size > self.limits.expansion * self.size + 16 * MiB:
            raise BadCheckpoint(f"grows to {nodes:,} values and {size:,} bytes of tensors when written out: refused")
        self.done[identity] = (value, nodes, size)

    def leaf(self, node: Any) -> Any:
        """The value of a node without parts."""
        if isinstance(node, _Storage):
            return self.elements(node)
        if isinstance(node, _Span) and not node.raw:
            self.spend(node.size)
            return bytes(node.read())
        return self.rebuild(node, [])

    def rebuild(self, node: Any, parts: list[Any]) -> Any:
        """The value of a node whose parts are resolved."""
        if isinstance(node, (list, tuple)):
            return type(node)(parts)
        if isinstance(node, dict):
            return dict(zip(node, parts, strict=True))
        if not isinstance(node, Call):
            return node
        args, kwargs, state, entries, elements = parts
        call = Call(node.function, args, kwargs, state, entries, elements)
        handler = _KNOWN.get((call.function.module, call.function.name))
        if handler is None:
            handler = _dictionary if call.function.name in _DICTIONARIES else _record
        return handler(self, call)

    def spend(self, size: int) -> None:
        """Takes what is about to be read from the allowance."""
        self.allowance -= size
        if self.allowance < 0:
            raise BadCheckpoint(f"holds more bytes of data than the file has ({self.size:,}): refused")

    def elements(self, storage: _Storage) -> Tensor:
        """All elements of a storage as a vector, read once."""
        if storage.values is None:
            if storage.root is not None:
                root, start = storage.root
                storage.values = self.elements(root)[start : start + storage.numel]
            elif storage.span is None:
                raise BadCheckpoint("a tensor's storage is missing: truncated or damaged")
            else:
                storage.values = self.vector(storage.span, storage.dtype, storage.crc)
        return storage.values

    def vector(self, span: _Span, dtype: torch.dtype, crc: int | None) -> Tensor:
        """Reads elements into memory of their own."""
        self.spend(span.size)
        raw = torch.empty(span.size, dtype=torch.uint8)
        buffer: memoryview[Any] = raw.numpy().data
        span.read_into(buffer)
        if crc is not None and zlib.crc32(buffer) != crc:
            raise BadCheckpoint("a tensor's checksum is wrong: damaged, fetch it again")
        if dtype is torch.bool and span.size and int(raw.max()) > 1:
            raise BadCheckpoint("a truth value is neither 0 nor 1: damaged")
        return raw.view(dtype)


_ATOMS = frozenset({str, int, float, bool, bytes, type(None), Global})


def _children(node: Any) -> list[Any]:
    """The parts of a value; none of a leaf."""
    if isinstance(node, (list, tuple)):
        return list(node)
    if isinstance(node, dict):
        return list(node.values())
    if not isinstance(node, Call):
        return []
    args, state = node.args, node.state
    if (node.function.module, node.function.name) in _RAW:  # these read their bytes themselves, into the right place
        args = tuple(map(_raw, args))
        state = tuple(map(_raw, state)) if isinstance(state, tuple) else state
    return [args, node.kwargs, state, node.entries, node.elements]


def _raw(value: Any) -> Any:
    return _Span(value.file, value.start, value.size, raw=True) if isinstance(value, _Span) else value


_Handler = Callable[[_Resolver, Call], Any]


def _record(resolver: _Resolver, call: Call) -> Call:
    return call


def _wrong(call: Call, why: str) -> BadCheckpoint:
    return BadCheckpoint(f"calls {call.function} with {why}: damaged")


def _dictionary(resolver: _Resolver, call: Call) -> dict[Any, Any]:
    """A kind of dict: its items were set one by one, or (Python 2) given as pairs."""
    made = dict(call.entries)
    pairs = call.args[-1] if call.args and isinstance(call.args[-1], list) else []
    for pair in pairs:
        if not isinstance(pair, (list, tuple)):
            raise _wrong(call, "something other than pairs")
        _fill(made, list(pair))
    return made


_DICTIONARIES = frozenset({"OrderedDict", "EasyDict", "AttrDict", "defaultdict", "dict"})


def _set(resolver: _Resolver, call: Call) -> Any:
    items = call.args[0] if call.args else []
    if not isinstance(items, (list, tuple, set, frozenset)):
        raise _wrong(call, "something other than a list")
    return (set if call.function.name == "set" else frozenset)(map(_key, items))


def _sequence(resolver: _Resolver, call: Call) -> Any:
    items = call.args[0] if call.args else ()
    if not isinstance(items, (list, tuple)):
        raise _wrong(call, "something other than a sequence")
    return list(items) if call.function.name == "list" else tuple(items)


def _byte_string(resolver: _Resolver, call: Call) -> bytes:
    """Bytes as protocols 0 to 2 write them: `encode(text, "latin1")`, `bytearray(text, "latin-1")`, `bytes()`."""
    data, encoding = (*call.args, b"", "")[:2] if len(call.args) < 2 else call.args[:2]
    if isinstance(data, bytes):
        return data
    if not isinstance(data, str) or encoding not in ("latin1", "latin-1"):
        raise _wrong(call, "something other than text in latin-1")
    try:
        return data.encode("latin-1")
    except UnicodeEncodeError:
        raise _wrong(call, "text that is not latin-1") from None


def _object(resolver: _Resolver, call: Call) -> Call | dict[Any, Any]:
    """An object of protocol 0 or 1: `_reconstructor(cls, base, value)`."""
    if len(call.args) != 3 or not isinstance(call.args[0], Global):
        raise _wrong(call, "something other than a class")
    cls, _, value = call.args
    entries = value if isinstance(value, dict) else {}
    made = Call(cls, (), {}, call.state, entries | call.entries, call.elements)
    return _dictionary(resolver, made) if cls.name in _DICTIONARIES else made


# torch

_TORCH_DTYPES = {
    "float64": torch.float64, "float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16,
    "int64": torch.int64, "int32": torch.int32, "int16": torch.int16, "int8": torch.int8, "uint8": torch.uint8,
    "bool": torch.bool, "complex64": torch.complex64, "complex128": torch.complex128,
}  # fmt: skip
_STORAGES = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64, "ComplexDoubleStorage": torch.complex128, "UntypedStorage": torch.uint8,
}  # fmt: skip


def _sizes(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) <= 16
        and all(type(n) is int and 0 <= n < 2**48 for n in value)
        and math.prod(value) < 2**48
    )


def _strides(value: Any) -> bool:
    return isinstance(value, tuple) and all(type(n) is int and 0 <= n < 2**48 for n in value)


def _tensor(resolver: _Resolver, call: Call) -> Tensor:
    """`_rebuild_tensor*(storage, offset, size, stride, ...)`: a view of a storage, inside its bounds."""
    if len(call.args) < 4:
        raise _wrong(call, f"{len(call.args)} arguments")
    base, offset, size, stride = call.args[:4]
    if not isinstance(base, Tensor) or base.ndim != 1:
        raise _wrong(call, f"a storage of type {_kind(base)}")
    if call.function.name == "_rebuild_tensor_v3":
        dtype = call.args[6] if len(call.args) > 6 else None
        if not isinstance(dtype, Global) or dtype.module != "torch" or dtype.name not in _TORCH_DTYPES:
            raise _wrong(call, "an unknown element type")
        chosen = _TORCH_DTYPES[dtype.name]
        if base.dtype != chosen:
            if base.dtype is not torch.uint8 or len(base) % chosen.itemsize or chosen is torch.bool:
                raise _wrong(call, f"a storage that does not hold {dtype}")
            base = base.view(chosen)
    if type(offset) is not int or offset < 0 or not _sizes(size) or not _strides(stride) or len(size) != len(stride):
        raise _wrong(call, "an impossible shape")
    reach = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) + 1 if math.prod(size) else 0
    if reach > len(base):
        raise BadCheckpoint(f"a tensor of shape {size} reaches to element {reach:,} of {len(base):,}: damaged")
    return torch.as_strided(base, size, stride, base.storage_offset() + offset if math.prod(size) else 0)


def _parameter(resolver: _Resolver, call: Call) -> Tensor:
    if not call.args or not isinstance(call.args[0], Tensor):
        raise _wrong(call, "something other than a tensor")
    return call.args[0]


def _subclass(resolver: _Resolver, call: Call) -> Tensor:
    """`_rebuild_from_type_v2(function, type, args, state)`: a tensor that carried attributes."""
    function = call.args[0] if len(call.args) == 4 else None
    if not isinstance(function, Global) or not isinstance(call.args[2], tuple):
        raise _wrong(call, "something other than a tensor")
    handler = _KNOWN.get((function.module, function.name))
    if handler is not _tensor and handler is not _parameter:
        raise _wrong(call, f"the function {function}")
    made: Tensor = handler(resolver, Call(function, call.args[2]))
    return made


def _nested_file(resolver: _Resolver, call: Call) -> Tensor:
    """`torch.storage._load_from_bytes(data)`: a storage as a torch file inside the pickle."""
    if resolver.nested or len(call.args) != 1:
        raise _wrong(call, "a file inside a file inside a file")
    data = call.args[0]
    if isinstance(data, bytes):
        source = _Source(BytesIO(data), 0, len(data), resolver.limits)
    elif isinstance(data, _Span):
        source = _Source(data.file, data.start, data.start + data.size, resolver.limits)
    else:
        raise _wrong(call, f"a {_kind(data)}")
    if not _is_legacy(source.peek(64)):
        raise _wrong(call, "something other than a torch storage")
    values = _read_legacy(source, resolver.limits, resolver.size, nested=True)
    if not isinstance(values, Tensor) or values.ndim != 1:
        raise _wrong(call, "something other than a storage")
    resolver.spend(values.nbytes)
    return values


# numpy

_NUMPY_DTYPE = re.compile(r"f[248]|[iu][1248]|b1|c8|c16")
_NUMPY_ORDERS = {"<": "<", ">": ">", "|": "|", "=": "<"}


def _dtype(resolver: _Resolver, call: Call) -> np.dtype[Any]:
    """`dtype("f4", align, copy)` with the state `(version, order, None, None, None, -1, -1, flags)`."""
    name = call.args[0] if call.args else None
    if not isinstance(name, str) or not _NUMPY_DTYPE.fullmatch(name):
        raise BadCheckpoint(f"a numpy array of elements {quoted(name)}: expected plain numbers")
    state = call.state if call.state is not None else (3, "<", None, None, None)
    if not isinstance(state, tuple) or len(state) < 5 or state[2:5] != (None, None, None):
        raise _wrong(call, "fields")
    if state[1] not in _NUMPY_ORDERS:
        raise _wrong(call, "an unknown byte order")
    return np.dtype(_NUMPY_ORDERS[state[1]] + name)


def _numbers(resolver: _Resolver, call: Call, data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray[Any, Any]:
    """An array from its bytes, in memory of its own."""
    if isinstance(data, str):  # a byte string of Python 2 that happens to be text
        data = data.encode("latin-1", "replace")
    if not isinstance(dtype, np.dtype) or not isinstance(data, (_Span, bytes)) or not _sizes(shape):
        raise _wrong(call, "something other than an array")
    size = data.size if isinstance(data, _Span) else len(data)
    if math.prod(shape) * dtype.itemsize != size:
        raise BadCheckpoint(f"a numpy array of shape {shape} and type {dtype} with {size:,} bytes: damaged")
    resolver.spend(size)
    flat = np.empty(math.prod(shape), dtype)
    if size and isinstance(data, _Span):
        data.read_into(flat.view(np.uint8).data)
    elif isinstance(data, bytes):
        flat[:] = np.frombuffer(data, dtype)
    if dtype == np.bool_ and size and flat.view(np.uint8).max() > 1:
        raise BadCheckpoint("a truth value is neither 0 nor 1: damaged")
    return flat.reshape(shape, order="F" if order else "C")


def _array(resolver: _Resolver, call: Call) -> np.ndarray[Any, Any]:
    """`_reconstruct(ndarray, (0,), b"b")` with the state `(version, shape, dtype, fortran order, bytes)`."""
    if call.args[:1] != (Global("numpy", "ndarray"),) or not isinstance(call.state, tuple) or len(call.state) != 5:
        raise _wrong(call, "something other than an array")
    _, shape, dtype, fortran, data = call.state
    return _numbers(resolver, call, data, dtype, shape, fortran)


def _array_from_buffer(resolver: _Resolver, call: Call) -> np.ndarray[Any, Any]:
    """`_frombuffer(bytes, dtype, shape, order)`, of protocol 5."""
    if len(call.args) != 4:
        raise _wrong(call, f"{len(call.args)} arguments")
    data, dtype, shape, order = call.args
    return _numbers(resolver, call, data, dtype, shape, order == "F")


def _scalar(resolver: _Resolver, call: Call) -> Any:
    """`scalar(dtype, bytes)`."""
    if len(call.args) != 2:
        raise _wrong(call, f"{len(call.args)} arguments")
    return _numbers(resolver, call, call.args[1], call.args[0], (1,), False)[0]


_KNOWN: dict[tuple[str, str], _Handler] = {
    ("collections", "OrderedDict"): _dictionary,
    ("collections", "defaultdict"): _dictionary,
    ("builtins", "dict"): _dictionary,
    ("builtins", "set"): _set,
    ("builtins", "frozenset"): _set,
    ("builtins", "list"): _sequence,
    ("builtins", "tuple"): _sequence,
    ("builtins", "bytes"): _byte_string,
    ("builtins", "bytearray"): _byte_string,
    ("_codecs", "encode"): _byte_string,
    ("copyreg", "_reconstructor"): _object,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): _subclass,
    ("torch.storage", "_load_from_bytes"): _nested_file,
    ("torch", "Size"): _sequence,
    ("numpy", "dtype"): _dtype,
    ("numpy._core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy._core.numeric", "_frombuffer"): _array_from_buffer,
    # recorded as they are
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _record,
    ("torch", "device"): _record,
    **{("pathlib", name): _record for name in _STANDARD["pathlib"]},
    **{("datetime", name): _record for name in _STANDARD["datetime"]},
    ("builtins", "complex"): _record,
    ("builtins", "slice"): _record,
    ("builtins", "range"): _record,
    ("types", "SimpleNamespace"): _record,
}
_RAW = frozenset(
    {
        ("torch.storage", "_load_from_bytes"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy._core.numeric", "_frombuffer"),
    }
)


# torch's containers

_MAGIC = 0x1950A86A20F9469CFC6C  # the first value of torch's older files
_MAGIC_BYTES = _MAGIC.to_bytes(10, "little")
_LEGACY_VERSION = 1001


def _is_legacy(head: bytes) -> bool:
    return head[:1] == b"\x80" and _MAGIC_BYTES in head[:32]


class _Storages:
    """What the persistent ids of a torch file refer to: `("storage", type, key, device, numel[, view])`."""

    def __init__(self) -> None:
        self.found: dict[str, _Storage] = {}

    def __call__(self, identity: Any) -> Any:
        if isinstance(identity, tuple) and identity[:1] == ("module",) and len(identity) == 4:
            return identity[1]  # a class, beside its source text, which is not looked at
        if not isinstance(identity, tuple) or identity[:1] != ("storage",) or len(identity) not in (5, 6):
            raise BadCheckpoint(f"refers to {quoted(identity)} outside its tree; expected a storage")
        _, kind, key, _, numel = identity[:5]
        dtype = _STORAGES.get(kind.name) if isinstance(kind, Global) and kind.module.startswith("torch") else None
        if dtype is None or not isinstance(key, str) or type(numel) is not int or not 0 <= numel < 2**48:
            raise BadCheckpoint(f"a tensor's storage {quoted(key)} of type {quoted(str(kind))}: unknown or damaged")
        storage = self.found.setdefault(key, _Storage(dtype, numel))
        if (storage.dtype, storage.numel) != (dtype, numel):
            raise BadCheckpoint(f"describes the storage {quoted(key)} in two ways: damaged")
        view = identity[5] if len(identity) == 6 else None
        return storage if view is None else self.view(storage, view)

    def view(self, root: _Storage, view: Any) -> _Storage:
        """A part of a storage under a key of its own, as torch before 0.4 wrote it: `(key, offset, numel)`."""
        if not isinstance(view, tuple) or len(view) != 3 or any(type(n) is not int or n < 0 for n in view[1:]):
            raise BadCheckpoint("a part of a storage that is none: damaged")
        _, offset, numel = view
        if offset + numel > root.numel:
            raise BadCheckpoint(f"a part of a storage reaches to {offset + numel:,} of {root.numel:,}: damaged")
        part = _Storage(root.dtype, numel)
        part.root = (root, offset)
        return part


def _read_legacy(source: _Source, limits: Limits, size: int, nested: bool) -> Any:
    """torch's older file: magic, version, facts of the machine, the tree, the storages' keys, then their bytes."""
    magic, version = _Machine(source, limits).run(), _Machine(source, limits).run()
    facts = _Machine(source, limits).run()
    if (magic, version) != (_MAGIC, _LEGACY_VERSION) or not isinstance(facts, dict):
        raise BadCheckpoint(f"is a torch file of version {quoted(version)}; expected {_LEGACY_VERSION}")
    if facts.get("little_endian") is not True:
        raise BadCheckpoint("was written on a big-endian machine; save it again on a little-endian one")
    storages = _Storages()
    tree = _Machine(source, limits, storages).run()
    keys = _Machine(source, limits).run()
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or len(set(keys)) != len(keys):
        raise BadCheckpoint("the list of its storages is none: damaged")
    if set(keys) != set(storages.found):
        raise BadCheckpoint("the list of its storages does not fit its tensors: damaged")
    for key in keys:
        storage = storages.found[key]
        numel = int.from_bytes(source.take(8), "little")
        if numel != storage.numel:
            raise BadCheckpoint(f"a storage of {storage.numel:,} elements has {numel:,}: damaged")
        storage.span = source.skip(storage.size)
    source.end()
    return _Resolver(limits, size, nested).resolve(tree)


def _read_zip(file: BinaryIO, size: int, limits: Limits) -> Any:
    """torch's zip: `NAME/data.pkl`, and every storage as `NAME/data/KEY`, uncompressed."""
    _check_directory(file, size, limits)
    try:
        with zipfile.ZipFile(file) as archive:
            listed, end = archive.infolist(), archive.start_dir
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError, EOFError, struct.error) as error:
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
    storages = _Storages()
    source = _Source(file, span.start, span.start + span.size, limits)
    tree = _Machine(source, limits, storages).run()
    source.end()
    for key, storage in storages.found.items():
        info = entries.get(f"{root}data/{key}")
        if info is None:
            raise BadCheckpoint(f"the bytes of the storage {quoted(key)} are missing: damaged")
        storage.span, storage.crc = _entry(file, info, end), info.CRC
        if storage.span.size != storage.size:
            raise BadCheckpoint(f"a storage of {storage.size:,} bytes has {storage.span.size:,}: damaged")
    return _Resolver(limits, size).resolve(tree)


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


def _entry(file: BinaryIO, info: zipfile.ZipInfo, end: int) -> _Span:
    """Where a stored entry's bytes lie."""
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.compress_size != info.file_size:
        raise BadCheckpoint(f"its entry {quoted(info.filename)} is compressed or encrypted, which torch never does")
    file.seek(info.header_offset)
    head = file.read(30)
    if len(head) != 30 or head[:4] != b"PK\x03\x04":
        raise BadCheckpoint(f"its entry {quoted(info.filename)} is not where it should be: damaged")
    start = info.header_offset + 30 + sum(struct.unpack("<HH", head[26:30]))
    if start + info.file_size > end:
        raise BadCheckpoint(f"its entry {quoted(info.filename)} reaches beyond the file: truncated or damaged")
    return _Span(file, start, info.file_size)


def _crc(span: _Span) -> int:
    crc, at = 0, 0
    while at < span.size:
        part = _Span(span.file, span.start + at, min(MiB, span.size - at))
        crc, at = zlib.crc32(part.read(), crc), at + part.size
    return crc
