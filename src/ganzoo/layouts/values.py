"""From what a pickle describes to data: tensors, arrays and dictionaries, built here from checked numbers."""

import math
import re
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganzoo.layouts.recorder import STANDARD, Budget, Call, Global, MiB, Source, Span, fill, hashable, quoted, record
from ganzoo.types import BadCheckpoint

_MAGIC = 0x1950A86A20F9469CFC6C  # the first value of torch's older files
_LEGACY = re.compile(rb"\x80[\x02-\x05](\x95.{8})?\x8a\x0a" + re.escape(_MAGIC.to_bytes(10, "little")), re.DOTALL)
_DTYPES = {
    "Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
    "Bool": torch.bool, "ComplexFloat": torch.complex64, "ComplexDouble": torch.complex128, "Untyped": torch.uint8,
}  # fmt: skip


class Storage:
    """A torch storage: a run of equal elements, still in the file, or a part of another storage."""

    def __init__(self, dtype: torch.dtype, numel: int) -> None:
        self.dtype, self.numel, self.size = dtype, numel, numel * dtype.itemsize
        self.read_into: Callable[[memoryview], object] | None = None
        self.root: tuple[Storage, int] | None = None  # the other storage, and where in it this one begins


class Storages(dict[str, Storage]):
    """What the persistent ids of a torch file refer to: `("storage", type, key, device, numel[, view])`."""

    def __call__(self, identity: Any) -> Any:
        """The storage of a persistent id; or a class, which stands beside its source text."""
        if not isinstance(identity, tuple) or not 4 <= len(identity) <= 6 or not isinstance(identity[1], Global):
            raise BadCheckpoint(f"refers to {quoted(identity)} outside its tree; expected a storage")
        if identity[0] == "module":
            return identity[1]
        _, kind, key, _, numel, view = (*identity, None, None)[:6]
        dtype = _DTYPES.get(kind.name.removesuffix("Storage")) if kind.module.partition(".")[0] == "torch" else None
        if dtype is None or not isinstance(key, str) or not _counts(numel):
            raise BadCheckpoint(f"a tensor's storage {quoted(key)} of type {quoted(str(kind))}: unknown or damaged")
        storage = self.setdefault(key, Storage(dtype, numel))
        if (storage.dtype, storage.numel) != (dtype, numel):
            raise BadCheckpoint(f"describes the storage {quoted(key)} in two ways: damaged")
        if view is None:
            return storage
        _, offset, length = view  # a key of its own, as torch before 0.4 wrote it
        if not _counts(offset, length) or offset + length > numel:
            raise BadCheckpoint("a part of a storage reaches beyond it: damaged")
        part = Storage(dtype, length)
        part.root = storage, offset
        return part


def read_legacy(source: Source, budget: Budget, nested: bool = False) -> Any:
    """torch's older file: magic, version, facts of the machine, the tree, the storages' keys, then their bytes."""
    magic, version, facts = (record(source, budget) for _ in range(3))
    if (magic, version) != (_MAGIC, 1001) or not isinstance(facts, dict) or facts.get("little_endian") is not True:
        raise BadCheckpoint(f"is a torch file of version {quoted(version)}, or big-endian; save it again on today's")
    storages = Storages()
    tree, keys = record(source, budget, KNOWN, storages), record(source, budget)
    if not isinstance(keys, list) or sorted(map(repr, keys)) != sorted(map(repr, storages)):
        raise BadCheckpoint("the list of its storages does not fit its tensors: damaged")
    for key in keys:
        if int.from_bytes(source.skip(8).read(), "little") != storages[key].numel:
            raise BadCheckpoint(f"the storage {quoted(key)} is of another size than its tensors say: damaged")
        storages[key].read_into = source.skip(storages[key].size).read_into
    source.end()
    return Resolver(budget, nested).walk(tree)


def is_legacy(head: bytes) -> bool:
    """Whether a file that begins so is one of torch's older ones."""
    return _LEGACY.match(head) is not None


class Resolver:
    """Turns the record into data, from the leaves up.

    Args:
        budget: of the file; its limits bound depth, and values and tensor bytes as they are when written out.
        nested: whether this is a file inside a file, which may not hold another, and is paid for as a whole.
    """

    def __init__(self, budget: Budget, nested: bool = False) -> None:
        self.budget, self.nested, self.limits = budget, nested, budget.limits
        self.count = self.size = 0  # of values, and of bytes of tensors, so far
        self.done: dict[int, tuple[Any, int, int]] = {}  # by identity: the value, and what it adds to the two

    def grow(self, count: int, size: int = 0) -> None:
        """Accounts for values that the tree has once more."""
        self.count, self.size = self.count + count, self.size + size
        if self.count > self.limits.nodes or self.size > self.limits.expansion * self.budget.size + 16 * MiB:
            raise BadCheckpoint(f"grows to {self.count:,} values and {self.size:,} bytes of tensors: refused")

    def walk(self, node: Any, depth: int = 0, raw: bool = False) -> Any:
        """The value of a node; with `raw`, bytes stay in the file for whom reads them to where they belong."""
        if isinstance(node, Span) and not raw:
            self.budget.spend(node.size)
            return node.read()
        if type(node) not in _WALKED:
            self.grow(1)
            return node
        if id(node) in self.done:
            value, count, size = self.done[id(node)]
            self.grow(count, size)
            return value
        if depth > self.limits.depth:
            raise BadCheckpoint(f"is nested more than {self.limits.depth} levels deep, or in itself: refused")
        count, size = self.count, self.size
        value = self.value(node, depth + 1)
        if isinstance(value, (Tensor, np.ndarray)):
            self.count, self.size = count, size  # what it was made of does not count
        self.grow(1, value.nbytes if isinstance(value, (Tensor, np.ndarray)) else 0)
        self.done[id(node)] = value, self.count - count, self.size - size
        return value

    def value(self, node: Any, depth: int) -> Any:
        """The value of a node that has parts."""
        if isinstance(node, (list, tuple)):
            return type(node)([self.walk(part, depth) for part in node])
        if isinstance(node, dict):
            return {key: self.walk(part, depth) for key, part in node.items()}
        if isinstance(node, Storage):
            return self.elements(node)
        raw, state = str(node.function) in _RAW, node.state
        many = raw and isinstance(state, tuple)
        call = Call(node.function, tuple([self.walk(part, depth, raw) for part in node.args]))
        call.state = tuple([self.walk(part, depth, raw) for part in state]) if many else self.walk(state, depth)
        call.kwargs, call.entries = self.walk(node.kwargs, depth), self.walk(node.entries, depth)
        call.elements = self.walk(node.elements, depth)
        return self.made(call)

    def made(self, call: Call) -> Any:
        """What a call makes, where it is known; else the call."""
        name = "builtins.dict" if call.function.name in _DICTIONARIES else str(call.function)
        try:
            return KNOWN[name](self, call) if name in KNOWN else call
        except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError):
            raise BadCheckpoint(f"calls {call.function} with what it cannot be given: damaged") from None

    def elements(self, storage: Storage) -> Tensor:
        """All elements of a storage as a vector, in memory of their own."""
        if storage.root is not None:
            root, start = storage.root
            return self.walk(root)[start : start + storage.numel]
        if storage.read_into is None:
            raise BadCheckpoint("a tensor's storage is missing: truncated or damaged")
        if not self.nested:
            self.budget.spend(storage.size)
        raw = torch.empty(storage.size, dtype=torch.uint8)
        storage.read_into(raw.numpy().data)
        if storage.dtype is torch.bool and storage.size and int(raw.max()) > 1:
            raise BadCheckpoint("a truth value is neither 0 nor 1: damaged")
        return raw.view(storage.dtype)


# What the known functions make of their arguments; whatever does not fit may raise as Python does


def _dictionary(resolver: Resolver, call: Call) -> dict[Any, Any]:
    """A kind of dict: its items were set one by one, or (Python 2) given as pairs."""
    made = dict(call.entries)
    for key, value in call.args[-1] if call.args and isinstance(call.args[-1], list) else []:
        fill(made, (key, value))
    return made


def _items(resolver: Resolver, call: Call) -> list[Any]:
    """What a list, a tuple or a set is made of."""
    (items,) = call.args or ((),)
    if not isinstance(items, (list, tuple, set, frozenset)):
        raise TypeError
    return [*items, *call.elements]


def _byte_string(resolver: Resolver, call: Call) -> bytes:
    """Bytes as protocols 0 to 2 write them: `encode(text, "latin1")`, `bytearray(text, "latin-1")`, `bytes()`."""
    data, encoding = (*call.args, "latin1")[:2] if call.args else (b"", "latin1")
    if not isinstance(encoding, str) or encoding not in ("latin1", "latin-1"):
        raise TypeError
    return data if isinstance(data, bytes) else str.encode(data, "latin-1")


def _object(resolver: Resolver, call: Call) -> Any:
    """An object of protocol 0 or 1: `_reconstructor(cls, base, value)`."""
    cls, _, value = call.args
    if not isinstance(cls, Global):
        raise TypeError
    entries = (value if isinstance(value, dict) else {}) | call.entries
    made = Call(cls, (), {}, call.state, entries, call.elements)
    return made.entries if cls.name in _DICTIONARIES else made


def _name(value: Any) -> str:
    return str(value) if isinstance(value, Global) else ""


def _counts(*values: object) -> bool:
    """Whether all are whole numbers that an offset, a size or a stride can be."""
    return all(type(n) is int and 0 <= n < 2**48 for n in values)


def _shape(size: Any) -> int:
    """The number of elements of a shape."""
    if not isinstance(size, tuple) or len(size) > 16 or not _counts(*size) or math.prod(size) >= 2**48:
        raise BadCheckpoint("a tensor of an impossible shape: damaged")
    return math.prod(size)


def _tensor(resolver: Resolver, call: Call) -> Tensor:
    """`_rebuild_tensor*(storage, offset, size, stride, ...)`: a view of a storage, inside its bounds."""
    base, offset, size, stride, *rest = call.args
    if not isinstance(base, Tensor) or base.ndim != 1 or not isinstance(stride, tuple) or not _counts(offset, *stride):
        raise TypeError
    if call.function.name == "_rebuild_tensor_v3":  # over a storage of bytes
        chosen = _NAMES[_name(rest[2])]
        if base.dtype != chosen and (
            base.dtype is not torch.uint8 or chosen is torch.bool or len(base) % chosen.itemsize
        ):
            raise TypeError
        base = base.view(chosen)
    reach = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) + 1 if _shape(size) else 0
    if reach > len(base):
        raise BadCheckpoint(f"a tensor of shape {size} reaches to element {reach:,} of {len(base):,}: damaged")
    return torch.as_strided(base, size, stride, base.storage_offset() + offset if reach else 0)


def _parameter(resolver: Resolver, call: Call) -> Tensor:
    """`_rebuild_parameter(tensor, ...)`."""
    if not isinstance(call.args[0], Tensor):
        raise TypeError
    return call.args[0]


def _subclass(resolver: Resolver, call: Call) -> Tensor:
    """`_rebuild_from_type_v2(function, type, args, state)`: a tensor that carried attributes."""
    function, _, args, _ = call.args
    if KNOWN.get(_name(function)) not in (_tensor, _parameter):
        raise BadCheckpoint(f"calls {_name(function)} for a tensor: refused, and nothing was executed")
    made: Tensor = resolver.made(Call(function, tuple(args)))
    return made


def _nested_file(resolver: Resolver, call: Call) -> Tensor:
    """`torch.storage._load_from_bytes(data)`: a storage as a torch file inside the pickle."""
    (data,) = call.args
    if resolver.nested or not isinstance(data, (bytes, Span)):
        raise TypeError
    span = data if isinstance(data, Span) else Span(BytesIO(data), 0, len(data))
    resolver.budget.spend(span.size)  # before it is walked, which costs too
    source = Source(span.file, span.start, span.start + span.size, resolver.limits)
    made = read_legacy(source, resolver.budget, nested=True)
    if not isinstance(made, Tensor) or made.ndim != 1:
        raise TypeError
    return made


def _dtype(resolver: Resolver, call: Call) -> np.dtype[Any]:
    """`dtype("f4", align, copy)` with the state `(version, order, None, None, None, -1, -1, flags)`."""
    name, state = call.args[0], call.state or (3, "<", None, None, None)
    if not re.fullmatch(r"f[248]|[iu][1248]|b1|c8|c16", name) or any(part is not None for part in state[2:5]):
        raise TypeError
    return np.dtype(str({"<": "<", ">": ">", "|": "|", "=": "<"}[state[1]] + name))


def _numbers(resolver: Resolver, data: Any, dtype: Any, shape: Any, fortran: Any) -> np.ndarray[Any, Any]:
    """An array from its bytes, in memory of its own."""
    if isinstance(data, str):  # a byte string of Python 2 that happens to be text
        data = data.encode("ascii")
    if not isinstance(dtype, np.dtype) or not isinstance(data, (Span, bytes)):
        raise TypeError
    flat = np.empty(_shape(shape) if _shape(shape) * dtype.itemsize == len(data) else -1, dtype)
    resolver.budget.spend(len(data))
    if isinstance(data, Span):
        data.read_into(flat.view(np.uint8).data)
    else:
        flat[:] = np.frombuffer(data, dtype)
    if dtype == np.bool_ and len(data) and flat.view(np.uint8).max() > 1:
        raise BadCheckpoint("a truth value is neither 0 nor 1: damaged")
    return flat.reshape(shape, order="F" if fortran is True else "C")


def _array(resolver: Resolver, call: Call) -> np.ndarray[Any, Any]:
    """`_reconstruct(ndarray, (0,), b"b")` with the state `(version, shape, dtype, fortran order, bytes)`."""
    if _name(call.args[0]) != "numpy.ndarray":
        raise TypeError
    _, shape, dtype, fortran, data = call.state
    return _numbers(resolver, data, dtype, shape, fortran)


def _array_from_buffer(resolver: Resolver, call: Call) -> np.ndarray[Any, Any]:
    """`_frombuffer(bytes, dtype, shape, order)`, of protocol 5."""
    data, dtype, shape, order = call.args
    return _numbers(resolver, data, dtype, shape, isinstance(order, str) and order == "F")


def _scalar(resolver: Resolver, call: Call) -> Any:
    """`scalar(dtype, bytes)`."""
    dtype, data = call.args
    return _numbers(resolver, data, dtype, (1,), False)[0]


_WALKED = frozenset({list, tuple, dict, Call, Storage})
_DICTIONARIES = frozenset({"OrderedDict", "EasyDict", "AttrDict", "defaultdict", "dict"})
_NAMES = {str(dtype): dtype for dtype in _DTYPES.values()}
_RECORDED = [f"{module}.{name}" for module in ("pathlib", "datetime") for name in STANDARD[module]]
_RECORDED += ["torch.device", "torch_utils.persistence._reconstruct_persistent_obj", "types.SimpleNamespace"]
_RECORDED += ["builtins.complex", "builtins.slice", "builtins.range"]
KNOWN: dict[str, Callable[[Resolver, Call], Any]] = {
    **dict.fromkeys(_RECORDED, lambda resolver, call: call),
    **dict.fromkeys(("collections.OrderedDict", "collections.defaultdict", "builtins.dict"), _dictionary),
    **dict.fromkeys(("builtins.bytes", "builtins.bytearray", "_codecs.encode"), _byte_string),
    **dict.fromkeys((f"torch._utils._rebuild_tensor{version}" for version in ("", "_v2", "_v3")), _tensor),
    **dict.fromkeys((f"torch._utils._rebuild_parameter{kind}" for kind in ("", "_with_state")), _parameter),
    **dict.fromkeys(("builtins.tuple", "torch.Size"), lambda resolver, call: tuple(_items(resolver, call))),
    "builtins.list": _items,
    "builtins.set": lambda resolver, call: set(map(hashable, _items(resolver, call))),
    "builtins.frozenset": lambda resolver, call: frozenset(map(hashable, _items(resolver, call))),
    "copyreg._reconstructor": _object,
    "torch._tensor._rebuild_from_type_v2": _subclass,
    "torch.storage._load_from_bytes": _nested_file,
    "numpy.dtype": _dtype,
    "numpy._core.multiarray._reconstruct": _array,
    "numpy._core.multiarray.scalar": _scalar,
    "numpy._core.numeric._frombuffer": _array_from_buffer,
}
_RAW = {name for name, make in KNOWN.items() if make in (_nested_file, _array, _scalar, _array_from_buffer)}
