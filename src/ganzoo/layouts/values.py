"""From what a pickle describes to data: tensors, arrays and dictionaries, built here from checked numbers."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganzoo.layouts.opcodes import (
    STANDARD,
    Budget,
    Call,
    Global,
    Machine,
    MiB,
    Source,
    Span,
    fill,
    hashable,
    kind_of,
    quoted,
)
from ganzoo.types import BadCheckpoint


class Storage:
    """A torch storage: a run of equal elements that is still in the file, or a part of another storage."""

    def __init__(self, dtype: torch.dtype, numel: int) -> None:
        self.dtype, self.numel = dtype, numel
        self.span: Span | None = None
        self.crc: int | None = None  # of the bytes, where the container has one
        self.root: tuple[Storage, int] | None = None  # the other storage, and where in it this one begins
        self.values: Tensor | None = None  # all elements, once read

    @property
    def size(self) -> int:
        """Bytes."""
        return self.numel * self.dtype.itemsize


class Resolver:
    """Turns the record into data, from the leaves up, without recursion.

    Args:
        budget: of the file; its limits bound depth, and nodes and tensor bytes as walked.
        nested: whether this is a file inside a file, which may not hold another.
    """

    def __init__(self, budget: Budget, nested: bool = False) -> None:
        self.budget, self.nested = budget, nested
        self.limits = budget.limits
        self.most_bytes = self.limits.expansion * budget.size + 16 * MiB
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
        if nodes > self.limits.nodes or size > self.most_bytes:
            raise BadCheckpoint(f"grows to {nodes:,} values and {size:,} bytes of tensors when written out: refused")
        self.done[identity] = (value, nodes, size)

    def leaf(self, node: Any) -> Any:
        """The value of a node without parts."""
        if isinstance(node, Storage):
            return self.elements(node)
        if isinstance(node, Span) and not node.raw:
            self.budget.spend(node.size)
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
        handler = KNOWN.get((call.function.module, call.function.name))
        if handler is None:
            handler = _dictionary if call.function.name in _DICTIONARIES else _record
        return handler(self, call)

    def elements(self, storage: Storage) -> Tensor:
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

    def vector(self, span: Span, dtype: torch.dtype, crc: int | None) -> Tensor:
        """Reads elements into memory of their own."""
        if not self.nested:  # the file inside is paid for as a whole
            self.budget.spend(span.size)
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
    """The same bytes, to be left in the file by the resolver."""
    return Span(value.file, value.start, value.size, raw=True) if isinstance(value, Span) else value


_Handler = Callable[[Resolver, Call], Any]


def _record(resolver: Resolver, call: Call) -> Call:
    return call


def _wrong(call: Call, why: str) -> BadCheckpoint:
    return BadCheckpoint(f"calls {call.function} with {why}: damaged")


def _dictionary(resolver: Resolver, call: Call) -> dict[Any, Any]:
    """A kind of dict: its items were set one by one, or (Python 2) given as pairs."""
    made = dict(call.entries)
    pairs = call.args[-1] if call.args and isinstance(call.args[-1], list) else []
    for pair in pairs:
        if not isinstance(pair, (list, tuple)):
            raise _wrong(call, "something other than pairs")
        fill(made, list(pair))
    return made


_DICTIONARIES = frozenset({"OrderedDict", "EasyDict", "AttrDict", "defaultdict", "dict"})


def _set(resolver: Resolver, call: Call) -> Any:
    items = call.args[0] if call.args else []
    if not isinstance(items, (list, tuple, set, frozenset)):
        raise _wrong(call, "something other than a list")
    return (set if call.function.name == "set" else frozenset)(map(hashable, items))


def _sequence(resolver: Resolver, call: Call) -> Any:
    items = call.args[0] if call.args else ()
    if not isinstance(items, (list, tuple)):
        raise _wrong(call, "something other than a sequence")
    return list(items) if call.function.name == "list" else tuple(items)


def _byte_string(resolver: Resolver, call: Call) -> bytes:
    """Bytes as protocols 0 to 2 write them: `encode(text, "latin1")`, `bytearray(text, "latin-1")`, `bytes()`."""
    data, encoding = (*call.args, b"", "")[:2] if len(call.args) < 2 else call.args[:2]
    if isinstance(data, bytes):
        return data
    if not isinstance(data, str) or not isinstance(encoding, str) or encoding not in ("latin1", "latin-1"):
        raise _wrong(call, "something other than text in latin-1")
    try:
        return data.encode("latin-1")
    except UnicodeEncodeError:
        raise _wrong(call, "text that is not latin-1") from None


def _object(resolver: Resolver, call: Call) -> Call | dict[Any, Any]:
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


def _tensor(resolver: Resolver, call: Call) -> Tensor:
    """`_rebuild_tensor*(storage, offset, size, stride, ...)`: a view of a storage, inside its bounds."""
    if len(call.args) < 4:
        raise _wrong(call, f"{len(call.args)} arguments")
    base, offset, size, stride = call.args[:4]
    if not isinstance(base, Tensor) or base.ndim != 1:
        raise _wrong(call, f"a storage of type {kind_of(base)}")
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


def _parameter(resolver: Resolver, call: Call) -> Tensor:
    if not call.args or not isinstance(call.args[0], Tensor):
        raise _wrong(call, "something other than a tensor")
    return call.args[0]


def _subclass(resolver: Resolver, call: Call) -> Tensor:
    """`_rebuild_from_type_v2(function, type, args, state)`: a tensor that carried attributes."""
    function = call.args[0] if len(call.args) == 4 else None
    if not isinstance(function, Global) or not isinstance(call.args[2], tuple):
        raise _wrong(call, "something other than a tensor")
    handler = KNOWN.get((function.module, function.name))
    if handler is not _tensor and handler is not _parameter:
        raise _wrong(call, f"the function {function}")
    made: Tensor = handler(resolver, Call(function, call.args[2]))
    return made


def _nested_file(resolver: Resolver, call: Call) -> Tensor:
    """`torch.storage._load_from_bytes(data)`: a storage as a torch file inside the pickle."""
    if resolver.nested or len(call.args) != 1:
        raise _wrong(call, "a file inside a file inside a file")
    data = call.args[0]
    if isinstance(data, bytes):
        source = Source(BytesIO(data), 0, len(data))
    elif isinstance(data, Span):
        source = Source(data.file, data.start, data.start + data.size)
    else:
        raise _wrong(call, f"a {kind_of(data)}")
    resolver.budget.spend(source.stop - source.at)  # before it is walked, which costs too
    if not is_legacy(source.peek(64)):
        raise _wrong(call, "something other than a torch storage")
    values = read_legacy(source, resolver.budget, nested=True)
    if not isinstance(values, Tensor) or values.ndim != 1:
        raise _wrong(call, "something other than a storage")
    return values


# numpy

_NUMPY_DTYPE = re.compile(r"f[248]|[iu][1248]|b1|c8|c16")
_NUMPY_ORDERS = {"<": "<", ">": ">", "|": "|", "=": "<"}


def _dtype(resolver: Resolver, call: Call) -> np.dtype[Any]:
    """`dtype("f4", align, copy)` with the state `(version, order, None, None, None, -1, -1, flags)`."""
    name = call.args[0] if call.args else None
    if not isinstance(name, str) or not _NUMPY_DTYPE.fullmatch(name):
        raise BadCheckpoint(f"a numpy array of elements {quoted(name)}: expected plain numbers")
    state = call.state if call.state is not None else (3, "<", None, None, None)
    if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
        raise _wrong(call, "fields")
    order = _NUMPY_ORDERS.get(state[1]) if isinstance(state[1], str) else None
    if order is None:
        raise _wrong(call, "an unknown byte order")
    return np.dtype(order + name)


def _numbers(resolver: Resolver, call: Call, data: Any, dtype: Any, shape: Any, fortran: Any) -> np.ndarray[Any, Any]:
    """An array from its bytes, in memory of its own."""
    if isinstance(data, str) and data.isascii():  # a byte string of Python 2 that happens to be text
        data = data.encode("ascii")
    if not isinstance(dtype, np.dtype) or not isinstance(data, (Span, bytes)) or not _sizes(shape):
        raise _wrong(call, "something other than an array")
    size = data.size if isinstance(data, Span) else len(data)
    if math.prod(shape) * dtype.itemsize != size:
        raise BadCheckpoint(f"a numpy array of shape {shape} and type {dtype} with {size:,} bytes: damaged")
    resolver.budget.spend(size)
    flat = np.empty(math.prod(shape), dtype)
    if size and isinstance(data, Span):
        data.read_into(flat.view(np.uint8).data)
    elif isinstance(data, bytes):
        flat[:] = np.frombuffer(data, dtype)
    if dtype == np.bool_ and size and flat.view(np.uint8).max() > 1:
        raise BadCheckpoint("a truth value is neither 0 nor 1: damaged")
    return flat.reshape(shape, order="F" if fortran is True else "C")


def _array(resolver: Resolver, call: Call) -> np.ndarray[Any, Any]:
    """`_reconstruct(ndarray, (0,), b"b")` with the state `(version, shape, dtype, fortran order, bytes)`."""
    kind = call.args[0] if call.args else None
    if not isinstance(kind, Global) or str(kind) != "numpy.ndarray":
        raise _wrong(call, "something other than an array")
    if not isinstance(call.state, tuple) or len(call.state) != 5:
        raise _wrong(call, "something other than an array")
    _, shape, dtype, fortran, data = call.state
    return _numbers(resolver, call, data, dtype, shape, fortran)


def _array_from_buffer(resolver: Resolver, call: Call) -> np.ndarray[Any, Any]:
    """`_frombuffer(bytes, dtype, shape, order)`, of protocol 5."""
    if len(call.args) != 4:
        raise _wrong(call, f"{len(call.args)} arguments")
    data, dtype, shape, order = call.args
    return _numbers(resolver, call, data, dtype, shape, isinstance(order, str) and order == "F")


def _scalar(resolver: Resolver, call: Call) -> Any:
    """`scalar(dtype, bytes)`."""
    if len(call.args) != 2:
        raise _wrong(call, f"{len(call.args)} arguments")
    return _numbers(resolver, call, call.args[1], call.args[0], (1,), False)[0]


KNOWN: dict[tuple[str, str], _Handler] = {
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
    **{("pathlib", name): _record for name in STANDARD["pathlib"]},
    **{("datetime", name): _record for name in STANDARD["datetime"]},
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


# torch's older files

_MAGIC = 0x1950A86A20F9469CFC6C  # the first value of torch's older files
_LEGACY_START = re.compile(rb"\x80[\x02-\x05](\x95.{8})?\x8a\x0a" + re.escape(_MAGIC.to_bytes(10, "little")), re.DOTALL)
_LEGACY_VERSION = 1001


def is_legacy(head: bytes) -> bool:
    """Whether a file that begins so is one of torch's older ones."""
    return _LEGACY_START.match(head) is not None


class Storages:
    """What the persistent ids of a torch file refer to: `("storage", type, key, device, numel[, view])`."""

    def __init__(self) -> None:
        self.found: dict[str, Storage] = {}

    def __call__(self, identity: Any) -> Any:
        """The storage of a persistent id."""
        if isinstance(identity, tuple) and identity[:1] == ("module",) and len(identity) == 4:
            if not isinstance(identity[1], Global):
                raise BadCheckpoint("a module's class is none: damaged")
            return identity[1]  # a class, beside its source text, which is not looked at
        if not isinstance(identity, tuple) or identity[:1] != ("storage",) or len(identity) not in (5, 6):
            raise BadCheckpoint(f"refers to {quoted(identity)} outside its tree; expected a storage")
        _, kind, key, _, numel = identity[:5]
        known = isinstance(kind, Global) and kind.module in ("torch", "torch.cuda", "torch.storage")
        dtype = _STORAGES.get(kind.name) if known else None
        if dtype is None or not isinstance(key, str) or type(numel) is not int or not 0 <= numel < 2**48:
            raise BadCheckpoint(f"a tensor's storage {quoted(key)} of type {quoted(str(kind))}: unknown or damaged")
        storage = self.found.setdefault(key, Storage(dtype, numel))
        if (storage.dtype, storage.numel) != (dtype, numel):
            raise BadCheckpoint(f"describes the storage {quoted(key)} in two ways: damaged")
        view = identity[5] if len(identity) == 6 else None
        return storage if view is None else self.view(storage, view)

    def view(self, root: Storage, view: Any) -> Storage:
        """A part of a storage under a key of its own, as torch before 0.4 wrote it: `(key, offset, numel)`."""
        if not isinstance(view, tuple) or len(view) != 3 or any(type(n) is not int or n < 0 for n in view[1:]):
            raise BadCheckpoint("a part of a storage that is none: damaged")
        _, offset, numel = view
        if offset + numel > root.numel:
            raise BadCheckpoint(f"a part of a storage reaches to {offset + numel:,} of {root.numel:,}: damaged")
        part = Storage(root.dtype, numel)
        part.root = (root, offset)
        return part


def read_legacy(source: Source, budget: Budget, nested: bool = False) -> Any:
    """torch's older file: magic, version, facts of the machine, the tree, the storages' keys, then their bytes."""
    magic, version, facts = (Machine(source, budget).run() for _ in range(3))
    if (magic, version) != (_MAGIC, _LEGACY_VERSION) or not isinstance(facts, dict):
        raise BadCheckpoint(f"is a torch file of version {quoted(version)}; expected {_LEGACY_VERSION}")
    if facts.get("little_endian") is not True:
        raise BadCheckpoint("was written on a big-endian machine; save it again on a little-endian one")
    storages = Storages()
    tree = Machine(source, budget, KNOWN, storages).run()
    keys = Machine(source, budget).run()
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
    return Resolver(budget, nested).resolve(tree)
