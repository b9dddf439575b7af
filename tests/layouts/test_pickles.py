from __future__ import annotations

import argparse
import io
import os
import pickle
import random
import sys
import time
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import hostile_pickles
import numpy as np
import parity_files
import pytest
import torch
from hostile_pickles import legacy, new, persistent_id, pickled, short, whole, zipped

from ganzoo.layouts.containers import open_file
from ganzoo.layouts.pickles import Call, Global, Limits, read
from ganzoo.types import BadCheckpoint, GanzooError

# What may not happen while a file is read. Audit hooks cannot be taken away, so one stays and sleeps.
FORBIDDEN = ("import", "exec", "compile", "os.", "subprocess.", "socket.", "ctypes.", "pickle.", "marshal.", "shutil.")
_watching = False
_seen: list[str] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event == "open":
        if isinstance(args[1], str) and not set(args[1]) & set("wax+"):
            return
        if args[1] is None and isinstance(args[2], int) and not args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        _seen.append(f"open {args[0]!r} {args[1]}")
    elif event.startswith(FORBIDDEN):
        _seen.append(f"{event} {args!r}"[:200])


sys.addaudithook(_hook)


@contextmanager
def watched() -> Iterator[list[str]]:
    """Notes what is imported, executed, compiled, started, connected or written meanwhile."""
    global _watching
    _seen.clear()
    _watching = True
    try:
        yield _seen
    finally:
        _watching = False


def put(folder: Path, content: bytes) -> Path:
    path = folder / "file.pkl"
    path.write_bytes(content)
    return path


def dumped(value: Any, protocol: int) -> bytes:
    return pickle.dumps(value, protocol)


def bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def same(ours: Any, theirs: Any) -> bool:
    """Equal in type, bits and order."""
    if isinstance(theirs, torch.Tensor):
        return (
            isinstance(ours, torch.Tensor)
            and (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
            and torch.equal(bits(ours), bits(theirs))
        )
    if isinstance(theirs, (np.ndarray, np.generic)):
        return (
            type(ours) is type(theirs)
            and (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
            and ours.tobytes() == theirs.tobytes()
        )
    if isinstance(theirs, dict):
        return isinstance(ours, dict) and [*ours] == [*theirs] and all(same(ours[k], theirs[k]) for k in theirs)
    if isinstance(theirs, (list, tuple)):
        return type(ours) is type(theirs) and len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(theirs, bytearray):
        return bool(ours == bytes(theirs))
    return type(ours) is type(theirs) and (ours == theirs or repr(ours) == repr(theirs))


# What honest files hold


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "value",
    [
        None,
        [True, False, 0, 1, -1, 255, 256, 65535, 65536, 2**31, -(2**31), 2**63, -(2**100), 10**40],
        [0.0, -0.0, 1.5, float("inf"), float("-inf"), 1e-320, float("nan")],
        ["", "a", "é", "∂", "\U0001f600", "\ud800", "line\nline", "back\\slash", "'\"", "\\u0041", "x" * 70000],
        [b"", b"a", bytes(range(256)), b"x" * 70000, bytearray(b"ab\xff")],
        {"a": 1, "b": {"c": [1, (2, 3)], "d": ()}, 3: None, None: "none", True: 7},
        [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [[]], {}],
        [{1, 2, 3}, frozenset({"a"}), set()],
        {str(i): [i] for i in range(3000)},
        list(range(3000)),
        OrderedDict([("b", 1), ("a", OrderedDict(c=2))]),
        defaultdict(list, {"a": [1]}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_plain_values_are_what_pickle_gives(value: Any, protocol: int, tmp_path: Path) -> None:
    assert same(read(put(tmp_path, dumped(value, protocol))), value)


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_are_what_numpy_gives(protocol: int, tmp_path: Path) -> None:
    rng = np.random.RandomState(0)
    kinds = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "c8", "c16", "b1", ">f4", ">i8"]
    values = {kind: (rng.randn(2, 3, 4) * 50).astype(kind) for kind in kinds}
    values |= {"order": np.asfortranarray(rng.randn(5, 7)), "strided": rng.randn(6, 8)[::2, 1::3]}
    values |= {"empty": np.zeros((0, 3), np.float32), "none": np.array(2.5), "large": rng.randn(300, 40).astype("f4")}
    values |= {f"scalar {kind}": np.dtype(kind).type(3) for kind in ("f2", "f4", "f8", "i8", "u1", "b1", "c8")}
    ours = read(put(tmp_path, dumped(values, protocol)))
    for name, value in values.items():
        assert same(ours[name], value), name
        if isinstance(value, np.ndarray):
            assert ours[name].flags.owndata or ours[name].base is not None
            assert ours[name].flags.writeable and ours[name].flags.aligned, name


def tensors() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(6, 8, generator=generator)
    made: dict[str, Any] = {
        str(dtype): (base * 20).abs().to(dtype)
        for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8, torch.int8)
    }
    made |= {str(dtype): (base * 20).to(dtype) for dtype in (torch.int16, torch.int32, torch.int64, torch.complex64)}
    made |= {"bool": base > 0, "transposed": base.t(), "sliced": base[1:, ::2], "none": torch.tensor(3.5)}
    made |= {"empty": torch.zeros(0, 4), "expanded": torch.randn(3, 1).expand(3, 5), "row": base[2]}
    made |= {
        "parameter": torch.nn.Parameter(base.clone()),
        "last": base.view(1, 2, 3, 8).contiguous(memory_format=torch.channels_last),
    }
    made["state"] = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)).state_dict()
    return made


@pytest.mark.parametrize("container", ["zip", "older", "zip, protocol 4"])
def test_torch_files_are_what_torch_gives(container: str, tmp_path: Path) -> None:
    path, values = tmp_path / "file.pth", tensors()
    torch.save(
        values,
        path,
        _use_new_zipfile_serialization=container != "older",
        pickle_protocol=4 if container.endswith("4") else 2,
    )
    ours, theirs = read(path), torch.load(path, weights_only=not container.endswith("4"))  # which it cannot do
    assert same(ours, theirs)
    assert not any(value.requires_grad for value in ours.values() if isinstance(value, torch.Tensor))
    for name in ("transposed", "sliced", "expanded", "last"):
        assert ours[name].stride() == theirs[name].stride()
    assert ours["row"].untyped_storage().data_ptr() == ours["transposed"].untyped_storage().data_ptr()


@pytest.mark.parametrize("protocol", range(2, 6))
def test_tensors_inside_plain_pickles(protocol: int, tmp_path: Path) -> None:
    values = tensors()
    path = put(tmp_path, dumped(values, protocol))
    assert same(read(path), pickle.loads(path.read_bytes()))


def names(suffixes: tuple[str, ...]) -> list[str]:
    found = {path.name for folder in parity_files._FOLDERS if folder.is_dir() for path in folder.iterdir()}
    return sorted(
        name for name in found if name.endswith(suffixes) and not name.startswith(("ncnn", "random_face"))
    ) or ["stylegan3.r.pkl"]


@pytest.mark.parametrize("name", names((".pth", ".pt", ".bin", ".ckpt")))
def test_fixtures_are_what_torch_gives(name: str) -> None:
    path = parity_files.fixture(name)
    ours = read(path)
    try:
        theirs = torch.load(path, weights_only=True)
    except pickle.UnpicklingError:  # pytorch_GAN_zoo's hold a configuration object, which torch refuses
        assert ours["config"].function == Global("models.utils.config", "BaseConfig")
        return
    assert same(ours, theirs)


def test_a_file_of_python_2(tmp_path: Path) -> None:
    # As cPickle of Python 2 wrote a dict with a str key, an array and an OrderedDict of pairs, protocol 2.
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    dtype = b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    data = np.array([1, 2], "<f4").tobytes()
    array += b"(K\x01K\x02\x85" + dtype + b"\x89U\x08" + data + b"tb"
    ordered = b"ccollections\nOrderedDict\n](](U\x01aK\x01e](U\x01bK\x02ee\x85R"
    tree = read(put(tmp_path, b"\x80\x02}(U\x01w" + array + b"U\x01o" + ordered + b"U\x01n" + b"U\x02\xc3\xa9u."))
    assert same(tree, {"w": np.array([1, 2], "f4"), "o": {"a": 1, "b": 2}, "n": b"\xc3\xa9"})


def test_parts_of_storages_of_old_torch(tmp_path: Path) -> None:
    part = persistent_id(numel=6, last=b"(" + short("1") + b"K\x02K\x03t")
    tree = b"}" + short("w") + hostile_pickles.tensor(part, 1, (2,), (1,)) + b"s"
    content = legacy(
        whole(tree, 2), pickle.dumps(["0"], 2), (6).to_bytes(8, "little") + np.arange(6, dtype="f4").tobytes()
    )
    assert read(put(tmp_path, content))["w"].tolist() == [3, 4]


def test_classes_of_old_torch_come_with_their_source_which_is_not_looked_at(tmp_path: Path) -> None:
    module = b"(" + short("module") + new("a.Net") + short("net.py") + short("import os; os.abort()") + b"tQ"
    tree = b"}" + short("net") + module + b")\x81" + pickled({"size": 3}) + b"bs"
    made = read(put(tmp_path, legacy(whole(tree, 2))))["net"]
    assert (made.function, made.state) == (Global("a", "Net"), {"size": 3})


def test_objects_are_recorded(tmp_path: Path) -> None:
    value = argparse.Namespace(size=64, path=[1, 2])
    for protocol in range(6):
        tree = read(put(tmp_path, dumped({"args": value, "type": argparse.Namespace}, protocol)))
        assert tree["type"] == Global("argparse", "Namespace")
        assert isinstance(tree["args"], Call) and tree["args"].function == Global("argparse", "Namespace")
        assert tree["args"].state == {"size": 64, "path": [1, 2]}
    with_keywords = new("a.B") + pickled((1,)) + pickled({"k": 2}) + b"\x92" + pickled({"s": 3}) + b"b"
    made = read(put(tmp_path, whole(with_keywords)))
    assert (made.function, made.args, made.kwargs, made.state) == (Global("a", "B"), (1,), {"k": 2}, {"s": 3})
    listed = read(put(tmp_path, whole(new("a.L") + b")\x81(K\x01K\x02e" + short("k") + b"K\x03s")))
    assert (listed.elements, listed.entries) == ([1, 2], {"k": 3})
    old_style = read(put(tmp_path, b"(ia\nB\n(dS'k'\nI7\nsb."))
    assert (old_style.function, old_style.state) == (Global("a", "B"), {"k": 7})


def test_equal_references_stay_one_object(tmp_path: Path) -> None:
    shared: list[int] = [1]
    tree = read(put(tmp_path, dumped({"a": shared, "b": [shared, shared]}, 4)))
    assert tree["a"] is tree["b"][0] is tree["b"][1]


def test_what_is_read_does_not_depend_on_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    torch.save({"w": torch.arange(100_000.0)}, path)
    tree = read(path)
    path.write_bytes(b"")
    path.unlink()
    assert torch.equal(tree["w"], torch.arange(100_000.0))
    tree["w"].zero_()
    assert tree["w"].data_ptr() % 16 == 0


# What it costs


def peak_resident() -> int | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), None)


def reset_peak() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


@pytest.mark.parametrize("container", ["nvidia", "zip"])
def test_a_large_file_costs_its_size(container: str, tmp_path: Path) -> None:
    table = {f"b{i}.weight": ((512, 512, 3, 3), "float32") for i in range(6)}  # 57 MB
    made, path = parity_files.from_table(table), tmp_path / "file"
    if container == "zip":
        torch.save(made, path)
    else:
        parity_files.write_nvidia(path, {"G_ema": ("Generator", {}, made)})
    del made
    size = path.stat().st_size
    reset_peak()
    before, start = peak_resident(), time.process_time()
    contents = open_file(path)
    assert time.process_time() - start < 3 * size / 300e6 + 0.5  # 3 s for 300 MB; the rest is this machine's other work
    after = peak_resident()
    assert before is None or after is None or after - before < 1.5 * size
    assert contents.tree


def test_limits_are_the_callers(tmp_path: Path) -> None:
    nested: list[Any] = []
    for _ in range(20):
        nested = [nested]
    path = put(tmp_path, dumped(nested, 4))
    assert read(path, Limits(depth=30)) == nested
    for limits, word in (
        (Limits(depth=10), "levels deep"),
        (Limits(opcodes=10), "operations"),
        (Limits(nodes=10), "values"),
    ):
        with pytest.raises(BadCheckpoint, match=word):
            read(path, limits)
    with pytest.raises(BadCheckpoint, match="a string of 100"):
        read(put(tmp_path, dumped("x" * 100, 4)), Limits(text=50))
    with pytest.raises(BadCheckpoint, match="larger ones"):
        read(put(tmp_path, dumped([f"{i}" + "x" * 45 for i in range(10)], 4)), Limits(text=50))
    with pytest.raises(BadCheckpoint, match="an integer of 100"):
        read(put(tmp_path, dumped(2**795, 4)), Limits(integer=50))


# What hostile and damaged files do: nothing


def refusal(path: Path) -> str | None:
    """The error's line, or None where the file was read."""
    try:
        open_file(path)
    except BadCheckpoint as error:
        line = str(error)
        assert line.startswith(f"{path}: ") and "\n" not in line and line.isascii() and len(line) < len(str(path)) + 400
        return line
    return None


def warm_up(folder: Path) -> None:
    """Whatever Python loads when it is first needed is loaded."""
    for protocol in (0, 2, 5):
        read(put(folder, dumped({"a": np.float32(1), "b": "é\n", "c": b"\xff", "d": torch.zeros(1)}, protocol)))
    for content in (b"V\\u12\n.", b"S'\\x4'\n.", b"\x80\x02X\x01\x00\x00\x00\xff.", zipped(whole(b"}")), b"PK\x03\x04"):
        with pytest.raises(BadCheckpoint):
            open_file(put(folder, content))


def test_the_watch_sees_what_pickle_does(tmp_path: Path) -> None:
    with watched() as seen:
        pickle.loads(b"cos\ngetcwd\n(tR.")
        compile("1", "x", "eval")
        (tmp_path / "written").write_text("x")
    assert {event.split()[0] for event in seen} >= {"pickle.find_class", "compile", "open"}


def test_hostile_files_are_refused_and_nothing_is_executed(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        cases = hostile_pickles.cases()
    assert len(cases) >= 500 and len({name for name, _ in cases}) == len(cases)
    warm_up(tmp_path)
    accepted = []
    reset_peak()
    before = peak_resident()
    for name, content in cases:
        path = put(tmp_path, content)
        start = time.process_time()
        with watched() as seen:
            line = refusal(path)
        assert not seen, (name, seen)
        assert time.process_time() - start < 10, name
        if line is None:
            accepted.append(name)
    assert not accepted
    after = peak_resident()
    assert before is None or after is None or after - before < 500e6


def test_calls_are_refused_by_name(tmp_path: Path) -> None:
    for name, content in [*hostile_pickles.calls()][::7]:
        function = name.partition(":")[0].rpartition(".")[2]
        line = refusal(put(tmp_path, content))
        assert line is not None and (function in line or "getattr" in line), (name, line)


def test_exchanged_arguments_raise_only_typed_errors(tmp_path: Path) -> None:
    warm_up(tmp_path)
    read_all, refused = 0, 0
    for name, content in hostile_pickles.confusions():
        path = put(tmp_path, content)
        with watched() as seen:
            refused += refusal(path) is not None
        assert not seen, (name, seen)
        read_all += 1
    assert read_all > 2000 and refused > 1500


def bases(folder: Path) -> list[bytes]:
    """Small honest files of every container."""
    generator = torch.Generator().manual_seed(0)
    weights = {
        "mapping.fc0.weight": torch.randn(3, 4, generator=generator),
        "mapping.w_avg": torch.randn(4, generator=generator),
        "synthesis.b4.const": torch.randn(2, 4, 4, generator=generator),
        "synthesis.b4.bias": torch.randn(3, generator=generator).half(),
    }
    parity_files.write_nvidia(
        folder / "n.pkl", {"G_ema": ("Generator", {"z_dim": 4, "scale": np.float64(2)}, weights)}, augment_pipe=None
    )
    zip_file, older = io.BytesIO(), io.BytesIO()
    torch.save({"g_ema": weights, "args": argparse.Namespace(size=4)}, zip_file)
    torch.save({"g_ema": weights}, older, _use_new_zipfile_serialization=False)
    arrays = {"G_ema": {"w": np.arange(6, dtype="f4").reshape(2, 3), "s": np.float32(3), "o": OrderedDict(a=1)}}
    state = {"version": 4, "name": "Gs", "static_kwargs": {"resolution": 4}, "components": {}}
    network = new("dnnlib.tflib.network.Network") + b")\x81" + pickled(state | {"variables": [("w", 1.0)]}) + b"b"
    made = [(folder / "n.pkl").read_bytes(), zip_file.getvalue(), older.getvalue()]
    made += [dumped(arrays, protocol) for protocol in range(6)]
    return [*made, whole(pickled(("G", "D")) + b"0" + network + b"\x85")]


def mutated(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Bits flipped, bytes changed, parts cut, doubled, exchanged with another file's, sizes made huge."""
    data = bytearray(content)
    kind = rng.randrange(8)
    at = rng.randrange(len(data))
    if kind == 0:
        for _ in range(rng.choice((1, 1, 2, 8))):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 1:
        for _ in range(rng.choice((1, 4, 32))):
            data[rng.randrange(len(data))] = rng.randrange(256)
    elif kind == 2:
        del data[at:]
    elif kind == 3:
        del data[at : at + rng.choice((1, 2, 9, 100))]
    elif kind == 4:
        stop = at + rng.choice((1, 9, 100, 1000))
        data[at:at] = data[at:stop] * rng.choice((1, 2, 20))
    elif kind == 5:
        other = rng.choice(others)
        data[at:] = other[rng.randrange(len(other)) :]
    elif kind == 6:
        data[at : at + 8] = rng.choice((b"\xff" * 8, bytes(8), b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80"))
    else:  # an opcode for an opcode
        data[at] = rng.choice(b"RbcoiQP\x81\x92\x93\x94\x95(.0123tule}])\x85\x8a\x8b\x8c\x8d\x8e\x96\x97")
    return bytes(data)


def test_damaged_files_raise_only_typed_errors(tmp_path: Path) -> None:
    honest = bases(tmp_path)
    for content in honest:
        assert refusal(put(tmp_path, content)) is None or len(content) < 200
    warm_up(tmp_path)
    rng, refused = random.Random(0), 0
    longest = 0.0
    for i in range(5000):
        path = put(tmp_path, mutated(honest[i % len(honest)], honest, rng))
        start = time.process_time()
        with watched() as seen:
            refused += refusal(path) is not None
        assert not seen, (i, seen)
        longest = max(longest, time.process_time() - start)
    assert refused > 3000  # the rest changed a number, or a byte that nothing depends on
    assert longest < 10


@pytest.mark.parametrize("name", ["stylegan3.r.pkl", "pgan_zoo.pgan.pth"])
def test_damaged_fixtures_raise_only_typed_errors(name: str, tmp_path: Path) -> None:
    content = parity_files.fixture(name).read_bytes()
    rng = random.Random(1)
    warm_up(tmp_path)
    for _ in range(25):
        path = put(tmp_path, mutated(content, [content], rng))
        with watched() as seen:
            refusal(path)
        assert not seen


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(20))
def test_many_damaged_files(seed: int, tmp_path: Path) -> None:
    honest = [*bases(tmp_path), *(content for _, content in hostile_pickles.tensors())]
    warm_up(tmp_path)
    rng = random.Random(1000 + seed)
    for i in range(10_000):
        content = rng.choice(honest)
        for _ in range(rng.randrange(1, 4)):
            content = mutated(content, honest, rng) or content
        path = put(tmp_path, content)
        with watched() as seen:
            refusal(path)
        assert not seen, (i, seen)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match="cannot be read"):
        read(tmp_path / "absent.pkl")
    with pytest.raises(BadCheckpoint, match="cannot be read"):
        read(tmp_path)
    assert issubclass(BadCheckpoint, GanzooError)


def test_old_optimizers_keys_are_addresses(tmp_path: Path) -> None:
    state = {140_000_000_000_000 + 64 * i: {"step": i} for i in range(3000)}
    assert same(read(put(tmp_path, dumped({"state": state}, 2))), {"state": state})


def test_nothing_is_imported_for_a_global(tmp_path: Path) -> None:
    tree = read(put(tmp_path, whole(b"}" + short("f") + new("antigravity_of_mine.fly") + b"s")))
    assert tree == {"f": Global("antigravity_of_mine", "fly")} and "antigravity_of_mine" not in sys.modules
