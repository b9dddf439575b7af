"""Runs a pickle without making what it asks for: everything but plain data becomes a `Global` or a `Call`.

A pickle is a program for a stack machine. `record` walks it once by `pickletools.genops`, holds it to limits, and
writes it anew for Python's own `pickle.Unpickler` in operations that only move numbers, text, lists and tuples about.
All others become persistent ids, which `_Recorder` answers with records: nothing on the machine's stack can be called,
set or hashed by the machine. Long byte strings stay in the file.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
import struct
import sys
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeVar

from ganzoo.types import BadCheckpoint

MiB = 2**20
_T = TypeVar("_T")


@dataclass(frozen=True)
class Limits:
    """What an honest checkpoint stays far below.

    Args:
        opcodes: operations, of all pickles in a file together; the largest published networks need some 100,000.
        depth: levels of nesting.
        nodes: values in the tree as it is walked, with what is shared counted each time it is met.
        text: bytes of one string; all of a pickle but its long byte strings may have four times as many.
        integer: bytes of one integer.
        expansion: bytes of all tensors as they are walked, over the bytes of the file (and 16 MiB).
        directory: bytes of the table of contents of a zip.
    """

    opcodes: int = 1_000_000
    depth: int = 128
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
        elements: items appended to the object, where it is a kind of list or set.
    """

    function: Global
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    state: Any = None
    entries: dict[Any, Any] = field(default_factory=dict)
    elements: list[Any] = field(default_factory=list)


class Budget:
    """What reading a file, with all files inside it, may still cost: operations, and bytes of data."""

    def __init__(self, limits: Limits, size: int) -> None:
        self.limits, self.size, self.operations = limits, size, limits.opcodes
        self.bytes = size + 16 * MiB  # an honest file has no byte that is read twice

    def spend(self, size: int) -> None:
        """Accounts for bytes about to be read."""
        self.bytes -= size
        if self.bytes < 0:
            raise BadCheckpoint(f"refers to more bytes of data than it has ({self.size:,}): refused")


@dataclass(eq=False, slots=True)
class Span:
    """Bytes that are still in the file; for pickletools a byte string of that length."""

    file: BinaryIO
    start: int
    size: int

    def __len__(self) -> int:
        return self.size

    def decode(self, encoding: str) -> Span:
        """A `str` of Python 2, which may be text or bytes."""
        return self

    def read_into(self, buffer: memoryview) -> None:
        """Fills a buffer of the same size."""
        self.file.seek(self.start)
        if self.size and self.file.readinto(buffer) != self.size:  # type: ignore[attr-defined]
            raise BadCheckpoint("shrank while it was read")

    def read(self) -> bytes:
        """The bytes, in fresh memory."""
        data = bytearray(self.size)
        self.read_into(memoryview(data))
        return bytes(data)


class Source:
    """A part of a file, read forwards as pickletools does it; sizes are checked before anything is read."""

    def __init__(self, file: BinaryIO, start: int, stop: int, limits: Limits) -> None:
        self.file, self.at, self.stop, self.limits = file, start, stop, limits
        self.code: bytes | None = None  # of the operation whose argument is read; None before one
        file.seek(start)

    def tell(self) -> int:
        """Where an operation begins."""
        self.code = None
        return self.at

    def skip(self, size: int) -> Span:
        """Passes over bytes, to be read later."""
        span = Span(self.file, self.at, size)
        self.at += size
        if not self.at <= self.stop:
            raise BadCheckpoint(f"ends at byte {self.stop} where {size} more were announced: truncated or damaged")
        self.file.seek(self.at)
        return span

    def read(self, size: int) -> Any:
        """The next bytes, which must be there; long byte strings are passed over."""
        if size > self.stop - self.at or (size > _SHORT and self.code in _BYTES):
            return self.skip(size)
        if size > self.limits.text:
            raise BadCheckpoint(f"a string of {size:,} bytes: no checkpoint has such")
        data = self.file.read(size)
        self.at += size
        self.code = self.code or data
        return data

    def readline(self) -> bytes:
        """Up to the next end of line."""
        line = self.file.readline(min(self.limits.text, self.stop - self.at))
        if not line.endswith(b"\n") or (b"_" in line and self.code in (b"I", b"L", b"F")):
            raise BadCheckpoint(f"a line that begins at byte {self.at} reads {quoted(line)}: truncated or damaged")
        self.at += len(line)
        return line

    def end(self) -> None:
        """Checks that nothing is left."""
        if self.at != self.stop:
            raise BadCheckpoint(f"goes on for {self.stop - self.at} bytes after its end at byte {self.at}: damaged")


def quoted(value: object, length: int = 60) -> str:
    """A value from a file as one short line of ASCII, for error messages."""
    text = ascii(value) if isinstance(value, (str, bytes, int, float, bool, type(None))) else type(value).__name__
    return text if len(text) <= length else f"{text[: length - 3]}..."


def kind_of(value: Any) -> str:
    """What a value is, in a word for error messages."""
    return str(value.function) if isinstance(value, Call) else type(value).__name__.lower()


# Of the standard library, honest checkpoints hold these names. All others are refused where they are named, whether
# called or not: no checkpoint needs them, and they are what attacks are made of.
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
_STANDARD_LIBRARY = sys.stdlib_module_names | {*_PYTHON2, "nt", "posix"}
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*", re.ASCII)


def named(module: str, name: str) -> Global:
    """A global whose name is a name and which is not of the standard library, few parts of it aside."""
    if any(len(part) > 200 or not _IDENTIFIER.fullmatch(part) for part in (module, name)):
        raise BadCheckpoint(f"names a class or function {quoted(module)} {quoted(name)}, which is no name: damaged")
    today = re.sub(r"^numpy\.core(?=\.|$)", "numpy._core", _PYTHON2.get(module, module))
    if today.partition(".")[0] in _STANDARD_LIBRARY and name not in STANDARD.get(today, ()):
        raise BadCheckpoint(f"asks for {module}.{name}, which no checkpoint needs: refused, and nothing was executed")
    return Global(today, name)


def hashable(key: Any, bound: int = 2**32) -> Any:
    """A key or a member of a set, when it hashes in constant time and to a hash that cannot be made to collide."""
    if isinstance(key, (bytes, Global, type(None))) or (isinstance(key, int) and abs(key) < bound):
        return key
    if isinstance(key, str) and len(key) <= 1000 and key.isprintable():
        return key
    raise BadCheckpoint(f"a key of type {kind_of(key)}, {quoted(key)}: no checkpoint has such")


def fill(target: dict[Any, Any], items: Sequence[Any]) -> dict[Any, Any]:
    """Sets items, key and value in turn, none of them twice."""
    for key, value in zip(items[::2], items[1::2], strict=True):
        # The addresses of parameters, by which old optimizers kept their state; so few that collisions cost nothing
        if hashable(key, 2**60 if len(target) < 4096 else 2**32) in target:
            raise BadCheckpoint(f"sets the key {quoted(key)} twice: damaged")
        target[key] = value
    return target


class _Recorder(pickle.Unpickler):
    """Runs what `record` wrote: a name stays a name, and what is done to objects is noted down."""

    spans: list[Span]
    known: Container[str]
    persistent: Callable[[Any], Any] | None

    def find_class(self, module: str, name: str) -> Global:
        """A name, which is not looked up."""
        return named(module, name)

    def persistent_load(self, identity: tuple[tuple[Any, ...], int]) -> Any:
        """What `record`, which writes all persistent ids, asks for: arguments, and an operation's code."""
        arguments, code = identity
        return _ACTIONS[chr(code)][1](self, *arguments)

    def set_items(self, target: Any, items: tuple[Any, ...]) -> Any:
        """Items of a dict, or of an object that may be one."""
        fill(_checked(target.entries if isinstance(target, Call) else target, dict), items)
        return target

    def extend(self, target: Any, items: tuple[Any, ...]) -> Any:
        """Elements of a list, or of an object that may be one."""
        _checked(target.elements if isinstance(target, Call) else target, list).extend(items)
        return target

    def new(self, cls: Any, args: Any, kwargs: Any = None) -> Call:
        """An object of any class."""
        return Call(_checked(cls, Global), _checked(args, tuple), _checked({} if kwargs is None else kwargs, dict))

    def call(self, function: Any, args: Any) -> Call:
        """A call, which must be of a function that is known."""
        if str(_checked(function, Global)) not in self.known:
            raise BadCheckpoint(f"calls {function}, which is not known to make data: refused, and nothing was executed")
        return Call(function, _checked(args, tuple))

    def instance(self, cls: Any, *args: Any) -> Call:
        """An object of protocol 0, whose class is called where there are arguments."""
        return self.call(cls, args) if args else self.new(cls, args)

    def build(self, target: Any, state: Any) -> Any:
        """The state of an object, set once."""
        if _checked(target, Call).state is not None:
            raise BadCheckpoint("sets the state of an object twice: refused")
        target.state = state
        return target


def _checked(value: Any, kind: type[_T]) -> _T:
    if not isinstance(value, kind):
        raise BadCheckpoint(f"has a value of type {kind_of(value)} where a {kind.__name__.lower()} belongs: damaged")
    return value


_START = object()  # the first value on the stack: it must be there at the end, below one other
# By an operation's code (" " and "#" are made up): what makes a tuple of its arguments, and what is done with them
_ACTIONS: dict[str, tuple[bytes, Callable[..., Any]]] = {
    " ": (b")", lambda recorder: _START),
    "#": (b"\x85", lambda recorder, i: recorder.spans[i]),
    "}": (b")", lambda recorder: {}),
    "d": (b"t", lambda recorder, *items: fill({}, items)),
    "s": (b"\x86\x86", _Recorder.set_items),
    "u": (b"t\x86", _Recorder.set_items),
    "a": (b"\x85\x86", _Recorder.extend),
    "e": (b"t\x86", _Recorder.extend),
    "\x8f": (b")", lambda recorder: Call(Global("builtins", "set"))),
    "\x90": (b"t\x86", lambda recorder, target, items: recorder.extend(_checked(target, Call), items)),
    "\x91": (b"t", lambda recorder, *items: frozenset(map(hashable, items))),
    "\x81": (b"\x86", _Recorder.new),
    "\x92": (b"\x87", _Recorder.new),
    "R": (b"\x86", _Recorder.call),
    "o": (b"t", _Recorder.instance),
    "i": (b"\x86", lambda recorder, args, cls: recorder.instance(cls, *args)),
    "b": (b"\x86", _Recorder.build),
    "Q": (b"\x85", lambda recorder, identity: recorder.persistent(identity)),
}
_WRITTEN = {code: arguments + b"K" + code.encode("latin-1") + b"\x86Q" for code, (arguments, _) in _ACTIONS.items()}
_MOVES = "(012N\x88\x89)t\x85\x86\x87]l\x93\x94"  # marks, tuples, lists, the memo: as they are
_VALUES = "IJKMLFGSTUVXBC\x8a\x8b\x8c\x8d\x8e\x96"  # numbers, text, bytes
_SHORT, _BYTES = 255, (b"B", b"T", b"\x8e")  # longer byte strings, by these operations, stay in the file


def record(
    source: Source, budget: Budget, known: Container[str] = (), persistent: Callable[[Any], Any] | None = None
) -> Any:
    """What one pickle describes.

    Args:
        source: where the pickle begins; afterwards it stands behind the pickle's end.
        budget: of operations and bytes, shared by all pickles of a file.
        known: the functions that may be called; a call is recorded all the same.
        persistent: makes a value of a persistent id; without it such ids are refused.

    Raises:
        BadCheckpoint: the pickle is damaged, beyond a limit, or asks for more than data.
    """
    limits, start, frame, spans = budget.limits, source.at, 0, list[Span]()
    program = bytearray(b"(" + _WRITTEN[" "])
    argument: Any
    try:
        for opcode, argument, at in pickletools.genops(source):  # type: ignore[arg-type]
            budget.operations -= 1
            if budget.operations < 0 or len(program) > 4 * limits.text:
                raise BadCheckpoint(
                    f"has more than {limits.opcodes:,} operations, or larger ones than a checkpoint has"
                )
            code, name = opcode.code, opcode.name
            if code in _MOVES:
                program += code.encode("latin-1")
            elif name in ("GLOBAL", "INST"):
                found = b"c" + argument.replace(" ", "\n", 1).encode() + b"\n"
                program += found if name == "GLOBAL" else b"t" + found + _WRITTEN["i"]
            elif code in _WRITTEN and (code != "Q" or persistent is not None):
                program += _WRITTEN[code]
            elif isinstance(argument, Span):
                program += _written(len(spans)) + _WRITTEN["#"]
                spans.append(argument)
            elif name.endswith(("GET", "PUT")) and 0 <= argument <= limits.opcodes:  # the memo is as long as its index
                program += (b"j" if name.endswith("GET") else b"r") + struct.pack("<I", argument)
            elif name == "FRAME" and not frame and 0 < argument <= source.stop - source.at:
                frame = source.at + argument  # a promise of how many bytes belong together, which is held to
            elif code in _VALUES:
                program += _written(argument, "STRING" in name)
                if isinstance(argument, int) and argument.bit_length() >= 8 * limits.integer:
                    raise BadCheckpoint(f"an integer of {argument.bit_length() // 8 + 1} bytes: no checkpoint has such")
            elif name != "STOP" and not (name == "PROTO" and argument <= 5 and at == start):
                raise BadCheckpoint(f"opcode {name} {quoted(argument)} at byte {at}: no checkpoint has such")
            if frame and source.at >= frame:
                if source.at > frame:
                    raise BadCheckpoint(f"a frame that ends at byte {frame} cuts an operation: damaged")
                frame = 0
        recorder = _Recorder(io.BytesIO(program + b"t."))
        recorder.spans, recorder.known, recorder.persistent = spans, known, persistent
        made = recorder.load()
    except (
        pickle.UnpicklingError,
        ArithmeticError,
        AttributeError,
        EOFError,
        LookupError,
        TypeError,
        ValueError,
    ) as wrong:
        raise BadCheckpoint(f"is no sound pickle ({quoted(str(wrong))}): truncated or damaged") from None
    if frame or type(made) is not tuple or len(made) != 2 or made[0] is not _START:
        raise BadCheckpoint(f"ends at byte {source.at} with its work undone: damaged")
    return made[1]


def _written(value: Any, python2: bool = False) -> bytes:
    """The operation that makes a number, text or bytes; a `str` of Python 2 is bytes where it cannot be text."""
    if isinstance(value, (bool, float)):
        return b"G" + struct.pack(">d", value) if isinstance(value, float) else b"\x88" if value else b"\x89"
    if isinstance(value, int):
        data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        return b"\x8b" + struct.pack("<I", len(data)) + data
    text = isinstance(value, str) and (value.isascii() or not python2)
    data = value if not isinstance(value, str) else value.encode(*("utf-8", "surrogatepass") if text else ("latin-1",))
    return (b"X" if text else b"B") + struct.pack("<I", len(data)) + bytes(data)
