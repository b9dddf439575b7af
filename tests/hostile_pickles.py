"""Hostile checkpoints, made without running any of them. A case is a name and a file's content."""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

Case = tuple[str, bytes]

# What attacks call: the standard library, what comes with torch and numpy, and ways to get at a function by another.
_NAMES = """
    os.system posix.system nt.system os.popen os.execv os.remove subprocess.Popen subprocess.check_output subprocess.run
    commands.getoutput builtins.eval builtins.exec builtins.compile builtins.__import__ builtins.getattr
    builtins.setattr builtins.open builtins.globals builtins.vars builtins.map builtins.type builtins.super
    builtins.input builtins.breakpoint __builtin__.eval __builtin__.apply __builtin__.file importlib.import_module
    importlib.reload importlib._bootstrap._load runpy.run_path runpy._run_code pty.spawn webbrowser.open shutil.rmtree
    shutil.copyfile socket.socket socket.create_connection ctypes.CDLL ctypes.util._get_soname code.interact
    codeop.compile_command timeit.timeit cProfile.run profile.run bdb.Bdb pdb.run trace.Trace doctest.debug_script
    pydoc.pipepager pydoc.locate pickle.loads pickle._loads _pickle.loads marshal.loads shelve.open operator.attrgetter
    operator.methodcaller operator.itemgetter functools.partial functools.reduce itertools.starmap types.FunctionType
    types.CodeType types.MethodType sys.modules sys.exit sys.settrace site.execsitecustomize io.open _io.FileIO _io.open
    codecs.open codecs.decode tempfile.mktemp threading.Thread multiprocessing.Process asyncio.run
    concurrent.futures.ProcessPoolExecutor signal.raise_signal gc.get_objects inspect.getattr_static
    logging.config.fileConfig urllib.request.urlopen http.client.HTTPSConnection smtplib.SMTP ensurepip.bootstrap
    venv.create zipimport.zipimporter copyreg.add_extension copyreg.__newobj__ copy_reg._reduce_ex weakref.ref
    ssl.get_server_certificate torch.load torch.hub.load torch.serialization.load torch.serialization.os.system
    torch.storage.torch.load torch.jit.load torch.utils.cpp_extension.load torch.utils.data.DataLoader
    torch.ops.load_library torch.classes.load_library torch.utils._config_module.load_config
    torch.fx._symbolic_trace.symbolic_trace torch._dynamo.utils.import_submodule torch._utils_internal.get_file_path
    torch._C._jit_pass_inline torch.tensor torch.empty torch._utils._rebuild_qtensor numpy.load
    numpy.f2py.crackfortran.param_eval numpy.testing._private.utils.runstring numpy.fromfile numpy.memmap
    numpy.core.multiarray.fromfile numpy._core.multiarray.empty numpy.distutils.exec_command.exec_command pip.main
    pip._internal.main setuptools.sandbox.run_setup pandas.read_pickle joblib.load dill.loads cloudpickle.loads
    yaml.unsafe_load jsonargparse.CLI lightning.LightningModule.load_from_checkpoint dnnlib.util.open_url
    torch_utils.persistence.exec torch_utils.persistence._src_to_module torch_utils.custom_ops.get_plugin ganzoo.load
    training.anything.__init__ __main__.run
"""
CALLABLES = _NAMES.split()


def split(dotted: str) -> tuple[str, str]:
    """A module and a name; `torch.serialization.os.system` is a name with a dot, which pickle follows by attributes."""
    for root in ("torch.serialization", "torch.storage"):
        if dotted.startswith(root + ".") and dotted.count(".") > 2:
            return root, dotted[len(root) + 1 :]
    module, _, name = dotted.rpartition(".")
    return module, name


# A small assembler


def short(text: str) -> bytes:
    """SHORT_BINUNICODE."""
    data = text.encode()
    return b"\x8c" + bytes([len(data)]) + data


def old(dotted: str) -> bytes:
    """GLOBAL."""
    module, name = split(dotted)
    return f"c{module}\n{name}\n".encode()


def new(dotted: str) -> bytes:
    """STACK_GLOBAL."""
    module, name = split(dotted)
    return short(module) + short(name) + b"\x93"


def call(dotted: str, args: bytes = short("echo hostile")) -> bytes:
    """A call by REDUCE with one argument."""
    return new(dotted) + args + b"\x85R"


def whole(body: bytes, protocol: int = 4) -> bytes:
    """A pickle with that body."""
    return b"\x80" + bytes([protocol]) + body + b"."


def _persistent(state: bytes, meta: bytes = b"") -> bytes:
    """NVIDIA's wrapping of a module with that state."""
    body = short("type") + short("class") + short("version") + b"K\x06" + short("module_src") + short("import os")
    body += short("class_name") + short("Generator") + short("state") + state + meta
    return new("torch_utils.persistence._reconstruct_persistent_obj") + b"}(" + body + b"u\x85R"


def _module(extra: bytes = b"", parameters: bytes = b"}", modules: bytes = b"}") -> bytes:
    state = b"}(" + short("_parameters") + parameters + short("_buffers") + b"}" + short("_modules") + modules
    return state + extra + b"u"


def nvidia(value: bytes, key: str = "training_set_kwargs") -> bytes:
    """NVIDIA's dictionary of networks with a value beside them."""
    return whole(b"}(" + short("G_ema") + _persistent(_module()) + short(key) + value + b"u")


def storage_bytes(values: torch.Tensor) -> bytes:
    """A storage as torch puts it inside pickles."""
    out = io.BytesIO()
    typed: Any = values
    torch.save(typed._typed_storage(), out, _use_new_zipfile_serialization=False)
    return out.getvalue()


def zipped(tree: bytes, entries: dict[str, bytes] | None = None, method: int = zipfile.ZIP_STORED) -> bytes:
    """A torch zip with that tree."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("archive/data.pkl", tree)
        archive.writestr("archive/byteorder", b"little")
        for name, data in (entries or {}).items():
            archive.writestr(f"archive/{name}", data)
    return out.getvalue()


MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def legacy(
    tree: bytes, keys: bytes = b"\x80\x02].", data: bytes = b"", version: bytes = b"\x80\x02M\xe9\x03."
) -> bytes:
    """A torch file of the older kind with that tree."""
    return MAGIC + version + pickle.dumps({"little_endian": True, "protocol_version": 1001}, 2) + tree + keys + data


def persistent_id(key: str = "0", numel: int = 4, kind: str = "torch.FloatStorage", last: bytes = b"") -> bytes:
    """A reference to a torch storage."""
    return b"(" + short("storage") + new(kind) + short(key) + short("cpu") + pickled(numel) + last + b"tQ"


def pickled(value: Any) -> bytes:
    """The opcodes of a plain value."""
    return pickled_bytes(value) if isinstance(value, bytes) else pickle.dumps(value, 2)[2:-1]


def pickled_bytes(data: bytes) -> bytes:
    """BINBYTES."""
    return b"B" + struct.pack("<I", len(data)) + data


def tensor(base: bytes, offset: Any = 0, size: Any = (4,), stride: Any = (1,)) -> bytes:
    """A tensor over a storage."""
    args = base + pickled(offset) + pickled(size) + pickled(stride) + b"\x89" + new("collections.OrderedDict") + b")R"
    return new("torch._utils._rebuild_tensor_v2") + b"(" + args + b"tR"


# The families


def calls() -> Iterator[Case]:
    """Every callable, in turn by each way of calling, and in each place; all of them must be refused."""
    argument = short("echo hostile")
    ways: dict[str, Callable[[str], bytes]] = {
        "REDUCE, protocol 0": lambda f: old(f) + b"(S'echo hostile'\ntR.",
        "REDUCE, protocol 2": lambda f: whole(old(f) + b"X\x04\x00\x00\x00echo\x85R", 2),
        "REDUCE, protocol 4": lambda f: whole(call(f)),
        "REDUCE, protocol 5, in a frame": lambda f: (
            b"\x80\x05\x95" + struct.pack("<Q", len(call(f)) + 1) + call(f) + b"."
        ),
        "INST": lambda f: b"(S'echo hostile'\ni" + "\n".join(split(f)).encode() + b"\n.",
        "OBJ": lambda f: b"(" + old(f) + b"S'echo hostile'\no.",
        "REDUCE from the memo": lambda f: whole(new(f) + b"\x940h\x00" + argument + b"\x85R"),
        "REDUCE, then thrown away": lambda f: whole(call(f) + b"0}"),
        "inside NVIDIA's dictionary": lambda f: nvidia(call(f)),
        "inside a module's state": lambda f: whole(
            b"}(" + short("G_ema") + _persistent(_module(short("z_dim") + call(f))) + b"u"
        ),
        "as a parameter": lambda f: whole(
            b"}(" + short("G_ema") + _persistent(_module(parameters=b"}" + short("weight") + call(f) + b"s")) + b"u"
        ),
        "inside a torch zip": lambda f: zipped(whole(b"}" + short("weight") + call(f) + b"s", 2)),
        "inside an older torch file": lambda f: legacy(whole(b"}" + short("weight") + call(f) + b"s", 2)),
        "as a persistent id": lambda f: zipped(whole(call(f) + b"Q", 2)),
        "in a storage inside a pickle": lambda f: whole(
            new("torch.storage._load_from_bytes") + pickled(legacy(whole(call(f), 2))) + b"\x85R"
        ),
        "as the items of an OrderedDict": lambda f: whole(new("collections.OrderedDict") + call(f) + b"\x85R"),
        "as a tensor's storage": lambda f: whole(b"}" + short("w") + tensor(call(f)) + b"s"),
        "as an array's data": lambda f: whole(
            new("numpy._core.multiarray.scalar") + new("numpy.dtype") + short("f4") + b"\x85R" + call(f) + b"\x86R"
        ),
        "in TensorFlow's state": lambda f: whole(
            new("dnnlib.tflib.network.Network")
            + b")\x81}("
            + short("version")
            + b"K\x04"
            + short("variables")
            + call(f)
            + b"ub"
        ),
        "by a rebuilt type": lambda f: whole(
            new("torch._tensor._rebuild_from_type_v2") + b"(" + new(f) + new("torch.Tensor") + argument + b"\x85}tR"
        ),
        "in BUILD": lambda f: whole(new("training.x.Y") + b")\x81" + call(f) + b"b"),
        "by another call": lambda f: whole(call(f) + argument + b"\x85R"),
        "as a key": lambda f: whole(b"}" + call(f) + b"Ns"),
        "by getattr": lambda f: whole(new("builtins.getattr") + new(f) + short("__globals__") + b"\x86R"),
    }
    for i, function in enumerate(CALLABLES):
        for j, (way, make) in enumerate(ways.items()):
            if (i + j) % 6 == 0 or function == "os.system":
                yield f"{function}: {way}", make(function)


def opcodes() -> Iterator[Case]:
    """Opcodes that no pickle has, or that reach out of the file; alone and after honest ones."""
    known = {opcode.code.encode("latin-1")[0] for opcode in pickletools.opcodes}
    for code in range(256):
        if code not in known:
            yield f"unknown opcode {code:#x}", whole(b"}" + bytes([code]) + b"0")
    for name, body in {
        "PERSID": b"Pos.system\n",
        "EXT1": b"\x82\x01",
        "EXT2": b"\x83\x01\x00",
        "EXT4": b"\x84\x01\x00\x00\x00",
        "NEXT_BUFFER": b"\x97",
        "READONLY_BUFFER": b"N\x98",
        "BINPERSID": b"NQ",
        "PROTO twice": b"\x80\x04N",
    }.items():
        yield name, whole(body)
    for protocol in (6, 7, 127, 255):
        yield f"protocol {protocol}", whole(b"}", protocol)


def lies() -> Iterator[Case]:
    """Sizes that are not there, work that is not done, text that is none."""
    huge = struct.pack("<Q", 2**63 - 1)
    bodies = {
        "LONG4 of 2 GB": b"\x8b\xff\xff\xff\x7f",
        "LONG4 of -1": b"\x8b\xff\xff\xff\xff",
        "LONG1 of 255 bytes": b"\x8a\xff" + b"\x01" * 255,
        "BINUNICODE of 4 GB": b"X\xff\xff\xff\xffabc",
        "BINUNICODE8": b"\x8d" + huge + b"abc",
        "BINBYTES": b"B\xff\xff\xff\xffabc",
        "BINBYTES8": b"\x8e" + huge + b"abc",
        "BYTEARRAY8": b"\x96" + huge + b"abc",
        "BINSTRING": b"T\xff\xff\xff\x7fabc",
        "FRAME too long": b"\x95" + huge + b"N",
        "FRAME too short": b"\x95" + struct.pack("<Q", 2) + short("abcdef"),
        "FRAME of nothing": b"\x95" + struct.pack("<Q", 0) + b"\x95" + struct.pack("<Q", 99) + b"N",
        "FRAME in a frame": b"\x95" + struct.pack("<Q", 12) + b"\x95" + struct.pack("<Q", 2) + b"NN0",
        "an empty stack": b"",
        "two values": b"NN",
        "a mark left": b"(N",
        "POP of nothing": b"0N",
        "DUP of nothing": b"2",
        "a tuple of too few": b"N\x87",
        "TUPLE without a mark": b"Nt",
        "values below a mark": b"N(\x85",
        "GET of nothing": b"h\x05",
        "GET -1": b"g-1\n",
        "PUT -1": b"Np-1\n",
        "PUT of nothing": b"q\x00N",
        "PUT x": b"Npx\n",
        "APPEND to a dict": b"}Na",
        "APPEND to a tuple": b")Na",
        "SETITEM on a list": b"]NNs",
        "SETITEMS, odd": b"}(Nu",
        "DICT, odd": b"(Nd",
        "ADDITEMS to a list": b"](N\x90",
        "BUILD on a list": b"]}b",
        "BUILD on None": b"N}b",
        "BUILD on a class": new("a.B") + b"}b",
        "BUILD on a class of the standard library": new("collections.OrderedDict") + b"}" + short("__init__") + b"Nsb",
        "BUILD on a tuple": b")}b",
        "BUILD on a tensor's function": new("torch._utils._rebuild_tensor_v2") + b"}b",
        "BUILD twice": new("a.B") + b")\x81}b}b",
        "a list as a key": b"}]Ns",
        "a dict as a member": b"\x8f(}\x90",
        "a tuple as a key": b"})Ns",
        "a float as a key": b"}G" + bytes(8) + b"Ns",
        "an integer of 2^61 as a key": b"}\x8a\x08" + struct.pack("<q", 2**61) + b"Ns",
        "a long key": b"}X" + struct.pack("<I", 5000) + b"a" * 5000 + b"Ns",
        "a key with a new line": b"}" + short("a\nb") + b"Ns",
        "an object as a key": b"}" + new("a.B") + b")\x81Ns",
        "a key twice": b"}(" + short("a") + b"N" + short("a") + b"Nu",
        "a key twice, apart": b"}" + short("a") + b"Ns" + short("a") + b"Ns",
        "True and 1": b"}(\x88NK\x01Nu",
        "REDUCE of text": short("os") + b")R",
        "REDUCE of None": b"N)R",
        "REDUCE with a list": new("collections.OrderedDict") + b"]R",
        "REDUCE of a call": new("collections.OrderedDict") + b")R)R",
        "NEWOBJ of text": short("os") + b")\x81",
        "NEWOBJ without a tuple": new("a.B") + b"]\x81",
        "NEWOBJ_EX without a dict": new("a.B") + b")N\x92",
        "NEWOBJ of the standard library": new("subprocess.Popen") + short("ls") + b"\x85\x81",
        "NEWOBJ_EX of the standard library": new("subprocess.Popen") + b")}" + short("args") + short("ls") + b"s\x92",
        "OBJ of nothing": b"(o",
        "OBJ of text": b"(" + short("os") + b"o",
        "STACK_GLOBAL of numbers": b"K\x01K\x02\x93",
        "STACK_GLOBAL of nothing": b"\x93",
        "a module with a space": short("os ") + short("system") + b"\x93",
        "a name with brackets": short("builtins") + short("__import__('os').system('ls')") + b"\x93",
        "a name with dots only": short("torch") + short("..") + b"\x93",
        "an empty name": short("") + short("") + b"\x93",
        "a name in other letters": short("оs") + short("system") + b"\x93",
        "a name of 5000 letters": short("os") + b"X" + struct.pack("<I", 5000) + b"a" * 5000 + b"\x93",
        "INT of text": b"Iabc\n",
        "INT of 5000 digits": b"I" + b"9" * 5000 + b"\n",
        "LONG of 5000 digits": b"L" + b"9" * 5000 + b"L\n",
        "LONG with an underscore": b"L1_000L\n",
        "FLOAT of text": b"Fabc\n",
        "STRING without quotes": b"Sabc\n",
        "STRING half quoted": b"S'abc\n",
        "STRING with a broken escape": b"S'\\x4'\n",
        "UNICODE with a broken escape": b"V\\u12\n",
        "text that is not UTF-8": b"X\x02\x00\x00\x00\xff\xfe",
        "a line without an end": b"I1",
    }
    for name, body in bodies.items():
        yield name, whole(body)
    yield "nothing at all", b""
    yield "no STOP", b"\x80\x04}"
    yield "more after STOP", whole(b"}") + b"cos\nsystem\n"
    yield "a second pickle after the first", whole(b"}") + whole(call("os.system"))
    yield "only a frame", b"\x80\x04\x95"
    yield "zeros", bytes(4096)
    yield "a web page", b"<!DOCTYPE html><html><body>Sign in</body></html>"
    yield "an LFS pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    yield "a safetensors file", struct.pack("<Q", 2) + b"{}"
    yield "a gzip", b"\x1f\x8b" + bytes(64)
    yield "a numpy file", b"\x93NUMPY\x01\x00" + bytes(64)
    yield "a tar", bytes(257) + b"ustar" + bytes(250)


def growth() -> Iterator[Case]:
    """Small files that would be large: deep, shared without end, or inside themselves."""
    n = 50_000
    yield "lists in lists", whole(b"]" * n + b"a" * (n - 1))
    yield "tuples in tuples", whole(b")" + b"\x85" * n)
    yield "dicts in dicts", whole((b"}" + short("a")) * n + b"N" + b"s" * n)
    yield "objects in objects", whole((new("a.B") + b")\x81") * 20_000 + b"b" * 19_999)
    yield "objects in arguments", whole(new("a.B") * 20_000 + b")\x81" + b"\x85\x81" * 19_999)
    yield "marks", whole(b"(" * n)
    yield "a memo of millions", whole(b"N" + b"\x94" * 1_200_000)
    yield "a memo far away", whole(b"Nr\xff\xff\xff\xff0Np99999999999999999999\n")
    yield "operations without end", whole(b"N0" * 600_000 + b"}")
    laugh = b"]\x94" + b"".join(b"](" + b"h" + bytes([i]) + b"h" + bytes([i]) + b"e\x94" for i in range(60))
    yield "billion laughs, lists", whole(b"](" + laugh + b"t0" + b"h\x3ca")
    laugh = b"N\x94" + b"".join(b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86\x94" for i in range(60))
    yield "billion laughs, tuples", whole(b"(" + laugh + b"t\x85")
    laugh = b"}\x94" + b"".join(
        b"}(" + short("a") + b"h" + bytes([i]) + short("b") + b"h" + bytes([i]) + b"u\x94" for i in range(60)
    )
    yield "billion laughs, dicts", whole(b"(" + laugh + b"t")
    laugh = b"N\x94" + b"".join(new("a.B") + b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86\x81\x94" for i in range(60))
    yield "billion laughs, objects", whole(b"(" + laugh + b"t")
    weights = new("torch.storage._load_from_bytes") + pickled_bytes(storage_bytes(torch.zeros(4096))) + b"\x85R\x94"
    yield (
        "one storage in a million tensors",
        whole(weights + b"0" + tensor(b"h\x00", size=(4096,)) + b"\x940(" + b"h\x01" * 5000 + b"t"),
    )
    many = b"(" + b"N" * n + b"t\x94"
    yield "one tuple in many calls", whole(many + b"0(" + (new("a.B") + b"h\x00\x81") * 20_000 + b"t")
    forged = many + b"K" + b"d" + b"\x86\x940"
    yield "one tuple in many persistent ids", zipped(whole(forged + b"(" + b"h\x01Q" * 50_000 + b"t", 2))
    addresses = b"".join(b"\x8a\x08" + struct.pack("<q", i << 40) + b"N" for i in range(1, n))
    yield "keys that collide", whole(b"}(" + addresses + b"u")
    yield "members that collide", whole(b"\x8f(" + addresses.replace(b"N", b"") + b"\x90")
    deep = b")" + b"\x85" * 200_000
    yield "a deep key", whole(b"}" + deep + b"Ns")
    yield "a deep key of a dict of protocol 0", whole(b"(" + deep + b"Nd")
    yield "a deep member", whole(b"\x8f(" + deep + b"\x90")
    yield "a deep member of a frozenset", whole(b"(" + deep + b"\x91")
    yield "a list in itself", whole(b"]\x94h\x00a")
    yield "a dict in itself", whole(b"}\x94" + short("a") + b"h\x00s")
    yield "a tuple in itself", whole(b"]\x94\x85\x94h\x00h\x01a0")
    yield "an object in its state", whole(new("a.B") + b")\x81\x94}" + short("a") + b"h\x00sb")
    yield (
        "a module in itself",
        whole(b"}" + short("G") + new("a.B") + b")\x81\x94" + _module(modules=b"}" + short("a") + b"h\x00s") + b"bs"),
    )
    yield "an OrderedDict in itself", whole(new("collections.OrderedDict") + b")R\x94" + short("a") + b"h\x00s")
    walk = whole(b"N0" * 200_000 + persistent_id(), 2)
    small = pickled_bytes(legacy(walk, pickle.dumps(["0"], 2), struct.pack("<q", 4) + bytes(16)))
    yield (
        "a file inside, walked a thousand times",
        whole(small + b"\x940(" + (new("torch.storage._load_from_bytes") + b"h\x00\x85R") * 1000 + b"t"),
    )
    inner = new("torch.storage._load_from_bytes") + pickled_bytes(storage_bytes(torch.zeros(4))) + b"\x85R"
    for depth in (1, 2, 5):
        inner = new("torch.storage._load_from_bytes") + pickled_bytes(legacy(whole(inner, 2))) + b"\x85R"
        yield f"files inside files, {depth}", whole(inner)


def tensors() -> Iterator[Case]:
    """Tensors and arrays that reach beyond their bytes, or are made of something else."""
    values = np.arange(4, dtype=np.float32).tobytes()
    shapes: list[tuple[Any, Any, Any]] = [
        (1, (4,), (1,)),
        (-1, (4,), (1,)),
        (2**62, (1,), (1,)),
        (0, (5,), (1,)),
        (0, (4,), (2,)),
        (0, (4,), (-1,)),
        (3, (4,), (-1,)),
        (0, (-4,), (1,)),
        (0, (-1, -4), (1, 1)),
        (0, (2**40, 2**40), (0, 0)),
        (0, (2**47,), (0,)),
        (0, (10**9,), (0,)),
        (0, (2**63,), (1,)),
        (0, (4,), (2**63,)),
        (0, (4,), ()),
        (0, (2, 2), (1,)),
        (0, [4], [1]),
        (0, 4, 1),
        (0, ("4",), (1,)),
        (0, (4.0,), (1,)),
        (True, (1,), (1,)),
        (None, (4,), (1,)),
        (0, (1,) * 100, (1,) * 100),
    ]
    inside = new("torch.storage._load_from_bytes") + pickled_bytes(storage_bytes(torch.zeros(4))) + b"\x85R"
    for offset, size, stride in shapes:
        what = f"offset {offset}, size {str(size)[:30]}, stride {str(stride)[:30]}"
        made = b"}" + short("w") + tensor(persistent_id(), offset, size, stride) + b"s"
        yield f"zip: {what}", zipped(whole(made, 2), {"data/0": values})
        keys = pickle.dumps(["0"], 2)
        yield f"older: {what}", legacy(whole(made, 2), keys, struct.pack("<q", 4) + values)
        yield f"inside: {what}", whole(b"}" + short("w") + tensor(inside, offset, size, stride) + b"s")
    good = b"}" + short("w") + tensor(persistent_id()) + b"s"
    keys = pickle.dumps(["0"], 2)
    yield "zip: no bytes", zipped(whole(good, 2))
    yield "zip: too few bytes", zipped(whole(good, 2), {"data/0": values[:-1]})
    yield "zip: too many bytes", zipped(whole(good, 2), {"data/0": values + b"\0"})
    yield "zip: compressed", zipped(whole(good, 2), {"data/0": values}, zipfile.ZIP_DEFLATED)
    yield "zip: a bomb", zipped(whole(good, 2), {"data/0": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    yield "zip: a changed byte", zipped(whole(good, 2), {"data/0": values}).replace(values, values[::-1])
    yield "zip: a changed tree", zipped(whole(good, 2), {"data/0": values}).replace(b"\x8c\x01w", b"\x8c\x01v")
    yield "zip: big-endian", zipped(whole(good, 2), {"data/0": values}).replace(b"little", b"biggig")
    yield "zip: a program", zipped(whole(good, 2), {"data/0": values, "constants.pkl": b"", "code/a.py": b"import os"})
    yield "zip: two trees", zipped(whole(good, 2), {"data/0": values, "data.pkl": whole(b"}")})
    yield "zip: no tree", zipped(whole(good, 2), {"data/0": values}).replace(b"data.pkl", b"data.txt")
    yield (
        "zip: beyond the folder",
        zipped(whole(b"}" + short("w") + tensor(persistent_id("../../../etc/passwd")) + b"s", 2)),
    )
    whole_zip = zipped(whole(good, 2), {"data/0": values})
    yield "zip: truncated", whole_zip[:-30]
    yield "zip: no end", whole_zip[: len(whole_zip) // 2]
    directory = whole_zip.rindex(b"PK\x05\x06")
    yield "zip: a directory of 4 GB", whole_zip[: directory + 12] + b"\xfe\xff\xff\xff" + whole_zip[directory + 16 :]
    yield "zip: a directory elsewhere", whole_zip[: directory + 16] + b"\xff\xff\xff\x7f" + whole_zip[directory + 20 :]
    first = whole_zip.index(b"PK\x01\x02")
    yield "zip: an entry elsewhere", whole_zip[: first + 42] + b"\xff\xff\xff\x7f" + whole_zip[first + 46 :]
    yield "zip: encrypted", whole_zip[: first + 8] + b"\x01\x00" + whole_zip[first + 10 :]
    yield "older: no bytes", legacy(whole(good, 2), keys)
    yield "older: no keys", legacy(whole(good, 2))
    yield "older: other keys", legacy(whole(good, 2), pickle.dumps(["1"], 2), struct.pack("<q", 4) + values)
    yield "older: a key twice", legacy(whole(good, 2), pickle.dumps(["0", "0"], 2), struct.pack("<q", 4) + values)
    yield "older: keys are numbers", legacy(whole(good, 2), pickle.dumps([0], 2), struct.pack("<q", 4) + values)
    yield "older: another size", legacy(whole(good, 2), keys, struct.pack("<q", 5) + values + bytes(4))
    yield "older: a size of -1", legacy(whole(good, 2), keys, struct.pack("<q", -1) + values)
    yield "older: more at the end", legacy(whole(good, 2), keys, struct.pack("<q", 4) + values + b"x")
    yield "older: another version", legacy(whole(good, 2), keys, struct.pack("<q", 4) + values, b"\x80\x02K\x07.")
    yield "older: only the magic number", MAGIC
    yield "older: big-endian", legacy(whole(good, 2), keys, struct.pack("<q", 4) + values).replace(b"\x88", b"\x89", 1)
    identities = {
        "a list": b"]Q",
        "text": short("storage") + b"Q",
        "too short": b"(" + short("storage") + b"tQ",
        "a module without a class": b"(" + short("module") + short("X") + short("x.py") + short("import os") + b"tQ",
        "an unknown type": persistent_id(kind="torch.StringStorage"),
        "a type of another module": persistent_id(kind="evil.FloatStorage"),
        "a negative size": persistent_id(numel=-4),
        "a huge size": persistent_id(numel=2**60),
        "a type in text": b"(" + short("storage") + short("FloatStorage") + short("0") + short("cpu") + b"K\x04tQ",
        "a part that reaches beyond": persistent_id(last=b"(" + short("1") + b"K\x02K\x03t"),
        "a part of -1": persistent_id(last=b"(" + short("1") + b"K\x00J\xff\xff\xff\xfft"),
        "one key in two sizes": persistent_id() + b"0" + persistent_id(numel=3),
    }
    for what, identity in identities.items():
        made = b"}" + short("w") + tensor(identity) + b"s"
        yield f"zip: a persistent id that is {what}", zipped(whole(made, 2), {"data/0": values})
    bool_tensor = b"}" + short("w") + tensor(persistent_id(kind="torch.BoolStorage")) + b"s"
    yield "zip: truth values of 7", zipped(whole(bool_tensor, 2), {"data/0": b"\x00\x01\x07\x01"})
    dtype = new("numpy.dtype")
    for name in ("O", "O8", "V8", "U4", "S4", "M8", "m8", "f3", "i16", "f4,i4", "object", "x" * 300, ""):
        data = b"U\x04\x00\x00\x00\x00"
        yield (
            f"numpy: elements {name[:9]!r}",
            whole(
                new("numpy._core.multiarray.scalar")
                + dtype
                + (b"X" + struct.pack("<I", len(name)) + name.encode())
                + b"\x85R"
                + data
                + b"\x86R"
            ),
        )
    f4 = dtype + short("f4") + b"\x85R"
    array = new("numpy._core.multiarray._reconstruct") + new("numpy.ndarray") + b"K\x00\x85" + short("b") + b"\x87R"
    for what, state in {
        "too few bytes": (1, (5,), None, False, values),
        "a negative side": (1, (-4,), None, False, values),
        "two negative sides": (1, (-2, -2), None, False, values),
        "a huge side": (1, (2**62, 4), None, False, values),
        "no data": (1, (4,), None, False, None),
        "a list as data": (1, (4,), None, False, [1, 2, 3, 4]),
        "a shape of text": (1, "4", None, False, values),
        "a state of two": (1, (4,)),
        "the type of text": (1, (4,), "f4", False, values),
    }.items():
        parts = [f4 if i == 2 and part is None else pickled(part) for i, part in enumerate(state)]
        yield f"numpy: {what}", whole(b"}" + short("w") + array + b"(" + b"".join(parts) + b"tbs")
    fields = b"(K\x03" + short("<") + b"N" + short("a") + b"\x85}K\x04K\x01K\x00tb"
    yield "numpy: fields", whole(b"}" + short("w") + dtype + short("V4") + b"\x85R" + fields + b"s")
    yield "numpy: another class of array", whole(b"}" + short("w") + array.replace(b"ndarray", b"matrixx") + b"s")
    yield "numpy: no state", whole(b"}" + short("w") + array + b"s")


def confusions() -> Iterator[Case]:
    """Every function that is known, with one argument or part of its state exchanged; some do no harm and are read."""
    storage = new("torch.storage._load_from_bytes") + pickled_bytes(storage_bytes(torch.zeros(4))) + b"\x85R"
    f4, floats = pickled(np.dtype("f4")), pickled_bytes(bytes(16))
    plain: list[Any] = [None, True, 0, -1, 2**40, 2**70, 1.5, "f4", "class", (), [], {}, (4,), (2, 2), [1, 2]]
    plain += [[("a", 1)], [["a"]], {"a": 1}, b"ab", bytes(5000), np.arange(3), np.float32(2), {1, 2}]
    strange = [pickled(value) for value in plain]
    strange += [pickled(np.array(True)), pickled(np.zeros((0, 2))), f4, storage, tensor(storage), b"\x8f"]
    strange += [
        new(name) for name in ("numpy.ndarray", "torch.float32", "torch.FloatStorage", "builtins.object", "a.B")
    ]
    strange += [
        new("a.B") + b")\x81",
        new("collections.OrderedDict") + b")R",
        new("numpy.dtype") + short("i8") + b"\x85R",
    ]
    shape, stride, off, hooks = pickled((2, 2)), pickled((2, 1)), b"K\x00", b"}"
    state = pickled({"_parameters": {}, "_buffers": {}, "_modules": {}})
    calls: dict[str, list[bytes]] = {
        "torch._utils._rebuild_tensor": [storage, off, shape, stride],
        "torch._utils._rebuild_tensor_v2": [storage, off, shape, stride, b"\x89", hooks],
        "torch._utils._rebuild_tensor_v3": [storage, off, shape, stride, b"\x89", hooks, new("torch.float32")],
        "torch._utils._rebuild_parameter": [tensor(storage), b"\x88", hooks],
        "torch._utils._rebuild_parameter_with_state": [tensor(storage), b"\x88", hooks, b"}"],
        "torch._tensor._rebuild_from_type_v2": [
            new("torch._utils._rebuild_tensor"),
            new("torch.Tensor"),
            b"(" + storage + off + shape + stride + b"t",
            b"}",
        ],
        "torch.storage._load_from_bytes": [pickled_bytes(storage_bytes(torch.zeros(4)))],
        "torch.Size": [pickled((2, 2))],
        "numpy.dtype": [short("f4"), b"\x89", b"\x88"],
        "numpy.core.multiarray.scalar": [f4, pickled(b"abcd")],
        "numpy._core.numeric._frombuffer": [floats, f4, pickled((4,)), short("C")],
        "numpy._core.multiarray._reconstruct": [new("numpy.ndarray"), pickled((0,)), pickled(b"b")],
        "torch_utils.persistence._reconstruct_persistent_obj": [b"}"],
        "collections.OrderedDict": [pickled([("a", 1)])],
        "collections.defaultdict": [new("builtins.list"), pickled({"a": 1})],
        "copyreg._reconstructor": [new("a.B"), new("builtins.object"), b"N"],
        "_codecs.encode": [short("abc"), short("latin1")],
        **{
            f"builtins.{name}": [pickled([1, 2])]
            for name in ("set", "frozenset", "list", "tuple", "bytes", "bytearray")
        },
    }
    states: dict[str, list[bytes]] = {
        "numpy._core.multiarray._reconstruct": [b"K\x01", pickled((4,)), f4, b"\x89", floats],
        "numpy.dtype": [b"K\x03", short("<"), b"N", b"N", b"N", b"J\xff\xff\xff\xff", b"K\x08", b"K\x00"],
    }
    fields: dict[str, dict[str, bytes]] = {
        "a.Module": {"_parameters": b"}", "_buffers": b"}", "_modules": b"}", "_init_args": b")", "_init_kwargs": b"}",
                     "_non_persistent_buffers_set": b"\x8f", "size": b"K\x04"},
        "dnnlib.tflib.network.Network": {"version": b"K\x04", "name": short("Gs"), "static_kwargs": b"}",
                                         "components": b"}", "variables": b"]", "build_func_name": short("G")},
        "torch_utils.persistence": {"type": short("class"), "version": b"K\x06", "class_name": short("G"),
                                    "state": state},
    }  # fmt: skip

    def variants(parts: list[bytes]) -> Iterator[tuple[str, bytes]]:
        for i in range(len(parts)):
            for j, other in enumerate(strange):
                yield f"{i} is {j}", b"".join([*parts[:i], other, *parts[i + 1 :]])
            yield f"{i} is left out", b"".join(parts[:i] + parts[i + 1 :])

    def inside(made: bytes) -> bytes:
        return whole(b"}" + short("G_ema") + made + b"s")

    for name, parts in calls.items():
        for what, body in variants(parts):
            yield f"{name}: {what}", inside(new(name) + b"(" + body + b"tR")
    for name, parts in states.items():
        for what, body in variants(parts):
            args = b"".join(calls[name])
            yield f"{name}, state: {what}", inside(new(name) + b"(" + args + b"tR(" + body + b"tb")
    for name, entries in fields.items():
        for what, body in variants([short(key) + value for key, value in entries.items()]):
            yield f"{name}, a key: {what}", inside(_described(name, b"}(" + body + b"u"))
        for key in entries:
            for j, other in enumerate(strange):
                changed = {**entries, key: other}
                body = b"".join(short(name) + value for name, value in changed.items())
                yield f"{name}, {key} is {j}", inside(_described(name, b"}(" + body + b"u"))


def _described(name: str, state: bytes) -> bytes:
    if name == "torch_utils.persistence":
        return new("torch_utils.persistence._reconstruct_persistent_obj") + state + b"\x85R"
    return new(name) + b")\x81" + state + b"b"


def cases() -> list[Case]:
    """All of them."""
    return [*calls(), *opcodes(), *lies(), *growth(), *tensors()]
