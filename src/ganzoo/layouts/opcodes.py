"""The stack machine of pickles, which records what a file describes and makes none of it."""

from __future__ import annotations

import codecs
import re
import struct
import sys
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from ganzoo.types import BadCheckpoint

MiB = 2**20


@dataclass(frozen=True)
class Limits:
    """What an honest checkpoint stays far below.

    Args:
        opcodes: operations, of all pickles in a file together; the largest published networks need some 100,000.
        depth: levels of nesting.
        nodes: values in the tree as it is walked, with what is shared counted each time it is met.
        text: bytes of one string.
        integer: bytes of one integer.
        expansion: bytes of all tensors as they are walked, over the bytes of the file (and 16 MiB).
        directory: bytes of the table of contents of a zip.
    """

    opcodes: int = 1_000_000
    depth: int = 256
    nodes: int = 1_000_000
    text: int = 16 * MiB
    integer: int = 128
    expansion: int = 4
    directory: int = 4 * MiB


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


def quoted(value: object, length: int = 60) -> str:
    """A value from a file as one short line of ASCII, for error messages."""
    text = ascii(value) if isinstance(value, (str, bytes, int, float, bool, type(None))) else type(value).__name__
    return text if len(text) <= length else f"{text[: length - 3]}..."


class Budget:
    """What reading one file may still cost, with all the files inside it.

    Args:
        limits: what an honest file stays below.
        size: of the file in bytes.
    """

    def __init__(self, limits: Limits, size: int) -> None:
        self.limits, self.size = limits, size
        self.operations = limits.opcodes
        self.bytes = size + 16 * MiB  # an honest file has no byte that is read twice

    def spend(self, size: int) -> None:
        """Accounts for bytes about to be read.

        Raises:
            BadCheckpoint: more were read by now than the file has.
        """
        self.bytes -= size
        if self.bytes < 0:
            raise BadCheckpoint(f"refers to more bytes of data than it has ({self.size:,}): refused")


# The file


@dataclass(eq=False, slots=True)
class Span:
    """Bytes that are still in the file; `raw` where whoever uses them reads them to where they belong."""

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


class Source:
    """A part of a file, read forwards; what is asked for beyond its end is refused before it is read."""

    def __init__(self, file: BinaryIO, start: int, stop: int) -> None:
        self.file, self.at, self.stop = file, start, stop
        self._chunk, self._base = b"", start

    def peek(self, size: int) -> bytes:
        """Up to `size` bytes, without moving on."""
        size = min(size, self.stop - self.at)
        i = self.at - self._base
        if i + size > len(self._chunk):
            self.file.seek(self.at)
            self._chunk, self._base, i = self.file.read(min(max(size, 65536), self.stop - self.at)), self.at, 0
        return self._chunk[i : i + size]

    def byte(self) -> int:
        """The next byte, which must be there."""
        i = self.at - self._base
        if i >= len(self._chunk):
            return self.take(1)[0]
        self.at += 1
        return self._chunk[i]

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
            if len(data) < size or size > 16 * MiB:
                raise BadCheckpoint(f"a line that begins at byte {self.at} has no end: truncated or damaged")
            size *= 8

    def skip(self, size: int) -> Span:
        """Passes over bytes, to be read later."""
        if size > self.stop - self.at:
            raise BadCheckpoint(f"ends at byte {self.stop} where {size} more were announced: truncated or damaged")
        span = Span(self.file, self.at, size)
        self.at += size
        return span

    def end(self) -> None:
        """Checks that nothing is left."""
        if self.at != self.stop:
            raise BadCheckpoint(f"goes on for {self.stop - self.at} bytes after its end at byte {self.at}: damaged")


# What a name may be

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*", re.ASCII)
# Names of the standard library that honest checkpoints hold. All else of it is refused where it is named, whether
# called or not: no checkpoint needs it, and it is what attacks are made of.
STANDARD = {
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
_PYTHON2 = {"__builtin__": "builtins", "copy_reg": "copyreg", "commands": "subprocess"}
_STANDARD_LIBRARY = sys.stdlib_module_names | {"__builtin__", "copy_reg", "commands", "nt", "posix"}


def _canonical(module: str) -> str:
    """The module's name today."""
    module = _PYTHON2.get(module, module)
    return f"numpy._core{module[10:]}" if module == "numpy.core" or module.startswith("numpy.core.") else module


def named(module: object, name: object) -> Global:
    """A global whose name is a name and which is not of the standard library, few parts of it aside."""
    for part in (module, name):
        if not isinstance(part, str) or len(part) > 200 or not _IDENTIFIER.fullmatch(part):
            raise BadCheckpoint(f"names a class or function {quoted(module)} {quoted(name)}, which is no name: damaged")
    assert isinstance(module, str) and isinstance(name, str)
    found = Global(_canonical(module), name)
    if found.module.partition(".")[0] in _STANDARD_LIBRARY and name not in STANDARD.get(found.module, ()):
        raise BadCheckpoint(f"asks for {module}.{name}, which no checkpoint needs: refused, and nothing was executed")
    return found


# The stack machine


class Machine:
    """Walks the opcodes of one pickle and records what it describes.

    Args:
        source: where the pickle begins; after `run` it stands behind the pickle's end.
        budget: of operations and bytes, shared by all pickles of a file.
        known: the functions that may be called, by module and name; a call is recorded all the same.
        persistent: makes a value of a persistent id; without it such ids are refused.
    """

    def __init__(
        self,
        source: Source,
        budget: Budget,
        known: Container[tuple[str, str]] = (),
        persistent: Callable[[Any], Any] | None = None,
    ) -> None:
        self.source, self.budget, self.known, self.persistent = source, budget, known, persistent
        self.limits = budget.limits
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.frame: int | None = None  # where the current frame ends

    def run(self) -> Any:
        """Walks up to STOP and gives the one value that is left."""
        source, operations = self.source, _OPERATIONS
        start = source.at
        while True:
            self.budget.operations -= 1
            if self.budget.operations < 0:
                raise BadCheckpoint(f"has more than {self.limits.opcodes:,} operations: no checkpoint has so many")
            at = source.at
            code = source.byte()
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
        """An unsigned little-endian number."""
        return int.from_bytes(self.source.take(size), "little")

    def decimal(self) -> int:
        """A line with a decimal number."""
        line = self.source.line()
        if not re.fullmatch(rb"-?[0-9]{1,300}L?", line):
            raise BadCheckpoint(f"a number reads {quoted(line)}: damaged")
        return int(line.rstrip(b"L"))

    # Values

    def proto(self) -> None:
        """PROTO."""
        version = self.number(1)
        if version > 5:
            raise BadCheckpoint(f"is a pickle of protocol {version}; expected 0 to 5")

    def begin_frame(self) -> None:
        """FRAME: a promise of how many bytes belong together, which is held to."""
        size = self.number(8)
        if self.frame is not None or size > self.source.stop - self.source.at:
            raise BadCheckpoint(f"a frame of {size} bytes at byte {self.source.at} does not fit: truncated or damaged")
        self.frame = self.source.at + size

    def integer(self) -> None:
        """INT."""
        line = self.source.peek(4)
        if line[:3] in (b"00\n", b"01\n"):  # how protocol 0 writes False and True
            self.push(self.source.line() == b"01")
        else:
            self.push(self.decimal())

    def long(self, width: int) -> None:
        """LONG1, LONG4."""
        size = self.number(width)
        if size > self.limits.integer:
            raise BadCheckpoint(f"an integer of {size:,} bytes: no checkpoint has such")
        self.push(int.from_bytes(self.source.take(size), "little", signed=True))

    def text_float(self) -> None:
        """FLOAT."""
        line = self.source.line()
        try:
            self.push(float(line))
        except ValueError:
            raise BadCheckpoint(f"a number reads {quoted(line)}: damaged") from None

    def text(self, width: int) -> None:
        """BINUNICODE and its kin."""
        size = self.number(width)
        if size > self.limits.text:
            raise BadCheckpoint(f"a string of {size:,} bytes: no checkpoint has such")
        self.push(_decode(self.source.take(size)))

    def text_line(self) -> None:
        """UNICODE."""
        try:
            self.push(self.source.line().decode("raw-unicode-escape"))
        except UnicodeDecodeError:
            raise BadCheckpoint("a string with a broken escape: damaged") from None

    def old_string(self, width: int) -> None:
        """BINSTRING, SHORT_BINSTRING: a `str` of Python 2, text where it can be, else bytes."""
        size = self.number(width)
        if size > _SHORT:
            self.push(self.source.skip(size))
        else:
            self.push(_text_or_bytes(self.source.take(size)))

    def old_string_line(self) -> None:
        """STRING: a `str` of Python 2 in quotes."""
        line = self.source.line().strip()
        if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] != line[:1]:
            raise BadCheckpoint(f"a string reads {quoted(line)}: damaged")
        try:
            self.push(_text_or_bytes(codecs.escape_decode(line[1:-1])[0]))
        except ValueError:
            raise BadCheckpoint("a string with a broken escape: damaged") from None

    def byte_string(self, width: int) -> None:
        """BINBYTES and its kin, BYTEARRAY8; long ones are left in the file until someone wants them."""
        size = self.number(width)
        self.push(self.source.skip(size) if size > _SHORT else self.source.take(size))

    # Containers

    def make_tuple(self, size: int) -> None:
        """TUPLE1 to TUPLE3."""
        items = [self.pop() for _ in range(size)]
        self.push(tuple(reversed(items)))

    def extend(self, items: Iterable[Any]) -> None:
        """APPENDS."""
        target = self.top()
        if isinstance(target, Call):
            target.elements.extend(items)
        elif isinstance(target, list):
            target.extend(items)
        else:
            raise BadCheckpoint(f"appends to a value of type {kind_of(target)}: damaged")

    def set_items(self, items: list[Any]) -> None:
        """SETITEMS."""
        target = self.top()
        entries = target.entries if isinstance(target, Call) else target
        if not isinstance(entries, dict):
            raise BadCheckpoint(f"sets an item of a value of type {kind_of(target)}: damaged")
        fill(entries, items)

    def add_items(self, items: list[Any]) -> None:
        """ADDITEMS."""
        target = self.top()
        if not isinstance(target, set):
            raise BadCheckpoint(f"adds to a value of type {kind_of(target)}: damaged")
        target.update(map(hashable, items))

    def append(self) -> None:
        """APPEND."""
        item = self.pop()
        self.extend((item,))

    def set_item(self) -> None:
        """SETITEM."""
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def make_dict(self, items: list[Any]) -> None:
        """DICT."""
        made: dict[Any, Any] = {}
        fill(made, items)
        self.push(made)

    def get(self, index: int) -> None:
        """GET and its kin."""
        if index not in self.memo:
            raise BadCheckpoint(f"refers to value {index}, which was never stored: damaged")
        self.push(self.memo[index])

    def put(self, index: int) -> None:
        """PUT and its kin, MEMOIZE."""
        if index < 0:
            raise BadCheckpoint(f"stores a value under {index}: damaged")
        self.memo[index] = self.top()

    # Objects: recorded, never made

    def find_global(self) -> None:
        """GLOBAL."""
        module, name = self.source.line(), self.source.line()
        self.push(named(_decode(module), _decode(name)))

    def find_global_on_stack(self) -> None:
        """STACK_GLOBAL."""
        name, module = self.pop(), self.pop()
        self.push(named(module, name))

    def reduce(self) -> None:
        """REDUCE: a call, which must be of a function that is known."""
        args, function = self.pop(), self.pop()
        if not isinstance(function, Global) or not isinstance(args, tuple):
            raise BadCheckpoint(f"calls a value of type {kind_of(function)} with {kind_of(args)}: refused")
        if (function.module, function.name) not in self.known:
            raise BadCheckpoint(f"calls {function}, which is not known to make data: refused, and nothing was executed")
        self.push(Call(function, args))

    def new_object(self, keywords: bool = False) -> None:
        """NEWOBJ, NEWOBJ_EX: an object of any class, which is only recorded."""
        kwargs = self.pop() if keywords else {}
        args, cls = self.pop(), self.pop()
        if not isinstance(cls, Global) or not isinstance(args, tuple) or not isinstance(kwargs, dict):
            raise BadCheckpoint(f"makes an object of a value of type {kind_of(cls)}: refused")
        self.push(Call(cls, args, kwargs))

    def old_object(self) -> None:
        """OBJ."""
        cls, *args = self.marked() or [None]
        self.instance(cls, args)

    def instance(self, cls: Any, args: list[Any]) -> None:
        """INST, OBJ: an object of protocol 0 or 1, whose class is called with the arguments."""
        if not isinstance(cls, Global):
            raise BadCheckpoint(f"makes an object of a value of type {kind_of(cls)}: refused")
        if args and (cls.module, cls.name) not in self.known:
            raise BadCheckpoint(f"calls {cls}, which is not known to make data: refused, and nothing was executed")
        self.push(Call(cls, tuple(args)))

    def build(self) -> None:
        """BUILD: the state of an object, which is only recorded."""
        state, target = self.pop(), self.top()
        if not isinstance(target, Call) or target.state is not None:
            raise BadCheckpoint(f"sets the state of a value of type {kind_of(target)}, or sets it twice: refused")
        target.state = state

    def persistent_id(self) -> None:
        """BINPERSID."""
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


def kind_of(value: Any) -> str:
    """What a value is, in a word for error messages."""
    if value is None:
        return "None"
    return str(value.function) if isinstance(value, Call) else type(value).__name__.lower()


def hashable(key: Any) -> Any:
    """A key or a member of a set, when it hashes in constant time and to a hash that cannot be made to collide."""
    if isinstance(key, str):
        if len(key) <= 1000 and key.isprintable():
            return key
    elif isinstance(key, int):
        if -(2**60) < key < 2**60:
            return key
    elif key is None or isinstance(key, (bytes, Global)):
        return key
    raise BadCheckpoint(f"a key of type {kind_of(key)}, {quoted(key)}: no checkpoint has such")


def fill(target: dict[Any, Any], items: list[Any]) -> None:
    """Sets items, key and value in turn, none of them twice."""
    if len(items) % 2:
        raise BadCheckpoint("a key without a value: damaged")
    for key, value in zip(items[::2], items[1::2], strict=True):
        key = hashable(key)
        if key in target:
            raise BadCheckpoint(f"sets the key {quoted(key)} twice: damaged")
        target[key] = value


_PROTO, _STOP = 0x80, ord(".")
_SHORT = 1024  # bytes
_Operation = Callable[[Machine], None]
_NAMED: dict[bytes, _Operation] = {
    b"\x80": Machine.proto,
    b"\x95": Machine.begin_frame,
    # values
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"I": Machine.integer,
    b"J": lambda m: m.push(struct.unpack("<i", m.source.take(4))[0]),
    b"K": lambda m: m.push(m.number(1)),
    b"M": lambda m: m.push(m.number(2)),
    b"L": lambda m: m.push(m.decimal()),
    b"\x8a": lambda m: m.long(1),
    b"\x8b": lambda m: m.long(4),
    b"F": Machine.text_float,
    b"G": lambda m: m.push(struct.unpack(">d", m.source.take(8))[0]),
    b"S": Machine.old_string_line,
    b"T": lambda m: m.old_string(4),
    b"U": lambda m: m.old_string(1),
    b"V": Machine.text_line,
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
    b"\x91": lambda m: m.push(frozenset(map(hashable, m.marked()))),
    b"a": Machine.append,
    b"e": lambda m: m.extend(m.marked()),
    b"s": Machine.set_item,
    b"u": lambda m: m.set_items(m.marked()),
    b"\x90": lambda m: m.add_items(m.marked()),
    # the stack and the memo
    b"(": lambda m: m.marks.append(len(m.stack)),
    b"0": Machine.drop,
    b"1": Machine.drop_marked,
    b"2": lambda m: m.push(m.top()),
    b"g": lambda m: m.get(m.decimal()),
    b"h": lambda m: m.get(m.number(1)),
    b"j": lambda m: m.get(m.number(4)),
    b"p": lambda m: m.put(m.decimal()),
    b"q": lambda m: m.put(m.number(1)),
    b"r": lambda m: m.put(m.number(4)),
    b"\x94": lambda m: m.put(len(m.memo)),
    # objects
    b"c": Machine.find_global,
    b"\x93": Machine.find_global_on_stack,
    b"i": lambda m: m.instance(named(_decode(m.source.line()), _decode(m.source.line())), m.marked()),
    b"o": Machine.old_object,
    b"R": Machine.reduce,
    b"\x81": Machine.new_object,
    b"\x92": lambda m: m.new_object(keywords=True),
    b"b": Machine.build,
    b"Q": Machine.persistent_id,
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
