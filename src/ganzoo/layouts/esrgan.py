"""ESRGAN's and Real-ESRGAN's networks in BasicSR's three dialects, and as ncnn's graphs.

The names of the first ESRGAN's layers are numbers in nested sequences; then they were called `RRDB_trunk`, `upconv1`,
`HRconv`; BasicSR calls them `body`, `conv_up1`, `conv_hr`. A graph has no names that mean something: it is held, layer
by layer, against the one that the network's sizes ask for, and its weights are taken in that order.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ganzoo.layouts.containers import Contents
from ganzoo.layouts.layout import Converted, Layout, Ledger, open_ledger
from ganzoo.layouts.ncnn import Graph
from ganzoo.types import BadCheckpoint

RRDB = "ESRGAN or Real-ESRGAN, a generator of residual-in-residual blocks (.pth)"
COMPACT = "Real-ESRGAN's compact generator (.pth)"
NCNN = "ESRGAN or Real-ESRGAN as a graph of ncnn (.param, .bin)"

_PARTS = {"conv_first": "first", "conv_body": "trunk", "conv_up1": "up1", "conv_up2": "up2"}
_PARTS |= {"conv_hr": "high", "conv_last": "last"}
_SECOND = {"conv_first": "first", "trunk_conv": "trunk", "upconv1": "up1", "upconv2": "up2", "HRconv": "high"}
_SECOND |= {"conv_last": "last"}
_FIRST = {r"model\.0": "first", r"model\.1\.sub\.\d+": "trunk", r"model\.3": "up1", r"model\.6": "up2"}
_FIRST |= {r"model\.8": "high", r"model\.10": "last"}
_BLOCK = r"blocks.\1.dense.\2.conv\3.\4"  # the numbers of dense blocks begin with 1 there
_RULES = {
    "body.0.rdb1.conv1.weight": (_PARTS, r"body\.(\d+)\.rdb(\d)\.conv(\d)\.(weight|bias)"),
    "RRDB_trunk.0.RDB1.conv1.weight": (_SECOND, r"RRDB_trunk\.(\d+)\.RDB(\d)\.conv(\d)\.(weight|bias)"),
    "model.1.sub.0.RDB1.conv1.0.weight": (_FIRST, r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.(weight|bias)"),
}


def _is_rrdb(contents: Contents) -> bool:
    return any(contents.having(mark) for mark in _RULES)


def _from_rrdb(contents: Contents) -> Converted:
    mark = next(mark for mark in _RULES if contents.having(mark))
    (parts, block), key = _RULES[mark], contents.having(mark)[0]
    with open_ledger(contents, key) as ledger:
        rules = {rf"{theirs}\.(weight|bias)": rf"{ours}.\1" for theirs, ours in parts.items()}
        made = ledger.rename({**rules, block: _BLOCK})
    numbered = re.compile(r"(blocks\.\d+\.dense\.)(\d)(.*)")
    made = {numbered.sub(lambda m: f"{m[1]}{int(m[2]) - 1}{m[3]}", name): value for name, value in made.items()}
    return _rrdb(contents, made)


def _rrdb(contents: Contents, made: dict[str, Tensor]) -> Converted:
    """The family's arguments by the shapes of its tensors, whose names are ganzoo's already."""
    sides = [tuple(made[name].shape) for name in ("first.weight", "last.weight") if name in made]
    growth = made.get("blocks.0.dense.0.conv1.weight")
    if growth is None or [len(shape) for shape in sides] != [4, 4]:
        raise BadCheckpoint(f"{contents.path}: lacks its first or last convolution; expected an ESRGAN's generator")
    (width, inputs, *_), (channels, *_) = sides
    scale = {1: 4, 4: 2, 16: 1}.get(inputs // max(channels, 1))
    if scale is None or inputs % channels:
        raise BadCheckpoint(
            f"{contents.path}: takes {inputs} maps for {channels} channels; 1, 4 or 16 a channel are known"
        )
    blocks = len({name.split(".")[1] for name in made if name.startswith("blocks.")})
    sizes = {"channels": channels, "scale": scale, "width": width, "blocks": blocks, "growth": len(growth)}
    return _converted({"network": "rrdb", **sizes}, made, RRDB)


def _converted(arguments: dict[str, Any], made: dict[str, Tensor], layout: str) -> Converted:
    # A generator does not say how it was trained; that Real-ESRGAN's was, is told by what joins it
    tensors = {f"generator.{name}": value.float() for name, value in made.items()}
    return Converted("esrgan", arguments, tensors, None, {"converted_from": layout})


def _is_compact(contents: Contents) -> bool:
    """Convolutions and slopes by turns."""
    return any(
        contents.modules[key].tensors["body.0.weight"].ndim == 4
        and contents.modules[key].tensors["body.1.weight"].ndim == 1
        for key in contents.having("body.0.weight", "body.1.weight", "body.2.weight", "body.2.bias")
    )


def _from_compact(contents: Contents) -> Converted:
    (key,) = contents.having("body.0.weight", "body.2.weight")
    with open_ledger(contents, key) as ledger:
        return _compact(contents, ledger.rename({r"body\.(\d+)\.(weight|bias)": r"layers.\1.\2"}))


def _compact(contents: Contents, made: dict[str, Tensor]) -> Converted:
    last = max(int(name.split(".")[1]) for name in made)
    sides = [tuple(made.get(f"layers.{i}.weight", torch.empty(0)).shape) for i in (0, last)]
    if last < 2 or last % 2 or [len(shape) for shape in sides] != [4, 4] or not sides[0][1]:
        raise BadCheckpoint(f"{contents.path}: ends with layer {last}; convolutions and slopes by turns are expected")
    (width, channels, *_), (outputs, *_) = sides
    scale = math.isqrt(outputs // channels)
    if outputs != channels * scale**2:
        raise BadCheckpoint(
            f"{contents.path}: makes {outputs} maps of {channels} channels; a square's worth is expected"
        )
    sizes = {"channels": channels, "scale": scale, "width": width, "blocks": last // 2 - 1}
    return _converted({"network": "compact", **sizes}, made, COMPACT)


# ---------------------------------------------------------------------------------------------------------- graphs


class _Expected:
    """The layers of a graph as they must be: type, where from, settings; and whose weights theirs are."""

    def __init__(self) -> None:
        self.layers: list[tuple[str, tuple[int, ...], dict[int, Any]]] = [("Input", (), {})]
        self.names: list[str] = [""]

    def add(self, kind: str, *sources: int, name: str = "", **settings: Any) -> int:
        """Adds a layer, and gives its number; settings are `_` and ncnn's number."""
        numbered = {int(key[1:]): value for key, value in settings.items()}
        self.layers.append((kind, sources, numbered))
        self.names.append(name)
        return len(self.layers) - 1

    def conv(self, name: str, source: int, leaky: bool = False) -> int:
        """A convolution of 3 x 3, with a leaky ReLU in it or without."""
        more = {"_9": 2, "_10": (0.2,)} if leaky else {}
        return self.add("Convolution", source, name=name, _1=3, _4=1, _5=1, **more)

    def doubled(self, name: str, source: int, factor: float = 2.0) -> int:
        """Nearest neighbours, and a convolution."""
        return self.conv(name, self.add("Interp", source, _0=1, _1=factor, _2=factor), leaky=True)


def _expected_rrdb(blocks: int) -> _Expected:
    plan = _Expected()
    first = x = plan.conv("first", 0)
    for i in range(blocks):
        start = x
        for j in range(3):
            found = [x]
            for k in range(1, 5):
                source = x if k == 1 else plan.add("Concat", *found)
                found.append(plan.conv(f"blocks.{i}.dense.{j}.conv{k}", source, leaky=True))
            last = plan.conv(f"blocks.{i}.dense.{j}.conv5", plan.add("Concat", *found))
            x = plan.add("Eltwise", last, x, _0=1, _1=(0.2, 1.0))
        x = plan.add("Eltwise", x, start, _0=1, _1=(0.2, 1.0))
    x = plan.add("BinaryOp", first, plan.conv("trunk", x))
    x = plan.doubled("up2", plan.doubled("up1", x))
    plan.conv("last", plan.conv("high", x, leaky=True))
    return plan


def _expected_compact(blocks: int, scale: int) -> _Expected:
    plan, x = _Expected(), 0
    for i in range(blocks + 1):
        x = plan.add("PReLU", plan.conv(f"layers.{2 * i}", x), name=f"layers.{2 * i + 1}")
    x = plan.add("PixelShuffle", plan.conv(f"layers.{2 * blocks + 2}", x), _0=scale)
    plan.add("BinaryOp", x, plan.add("Interp", 0, _0=1, _1=float(scale), _2=float(scale)))
    return plan


def _from_ncnn(contents: Contents) -> Converted:
    graph: Graph = contents.tree
    kinds = [layer.type for layer in graph.layers]
    convolutions, shuffles = kinds.count("Convolution"), [n for n in graph.layers if n.type == "PixelShuffle"]
    if shuffles:
        scale = shuffles[0].settings.get(0)
        plan = _expected_compact(max(convolutions - 2, 0), scale if isinstance(scale, int) else 0)
    else:
        plan = _expected_rrdb(max(convolutions - 6, 0) // 15)
    _hold(contents, graph, plan)
    made: dict[str, Tensor] = {}
    names = iter([name for name in plan.names if name])
    for layer in graph.layers:
        if layer.tensors:
            name = next(names)
            made |= {f"{name}.{part}": value for part, value in layer.tensors.items()}
    return _compact(contents, made) if shuffles else _rrdb(contents, made)


def _hold(contents: Contents, graph: Graph, plan: _Expected) -> None:
    """Holds a graph against what it must be.

    Raises:
        BadCheckpoint: naming the first layer that is another.
    """
    number = {i: 0 for i in range(len(graph.layers))}  # without the splits
    kept = [i for i, layer in enumerate(graph.layers) if layer.type != "Split"]
    number |= {i: n for n, i in enumerate(kept)}
    sources = graph.sources()
    for n, i in enumerate(kept):
        layer = graph.layers[i]
        of = [number[source] for source in sources[i]]
        weights = {0, 6} if layer.type == "Convolution" else {0} if layer.type == "PReLU" else set()
        settings = {key: value for key, value in layer.settings.items() if key not in weights}
        found = layer.type, tuple(sorted(of) if layer.type == "BinaryOp" else of), settings
        kind, wanted, rest = plan.layers[n] if n < len(plan.layers) else ("nothing", (), {})
        if found != (kind, tuple(sorted(wanted)) if kind == "BinaryOp" else wanted, rest):
            raise BadCheckpoint(
                f"{contents.path}: {layer.name} is {found[0]} of {of} with {settings}; an ESRGAN of its size has "
                f"{kind} of {[*wanted]} with {rest} there"
            )
    if len(kept) != len(plan.layers):
        raise BadCheckpoint(f"{contents.path}: has {len(kept)} layers; an ESRGAN of its size has {len(plan.layers)}")


# -------------------------------------------------------------------------------------------------- discriminators


def take_vgg(ledger: Ledger) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The size and width that BasicSR's discriminator of one score tells, and its tensors under ganzoo's names."""
    halvings = len(ledger.names(r"conv\d+_1\.weight"))
    made: dict[str, Tensor] = {}
    at = 0
    for i in range(halvings):
        for j in range(2):
            made |= _renamed(ledger, f"conv{i}_{j}", f"main.{at}")
            if i or j:
                made |= _renamed(ledger, f"bn{i}_{j}", f"main.{at + 1}")
            at += 3 if i or j else 2
    made |= {**_renamed(ledger, "linear1", "head.0"), **_renamed(ledger, "linear2", "head.2")}
    return {"size": 4 << halvings, "discriminator_width": len(made["main.0.weight"])}, made


def _renamed(ledger: Ledger, theirs: str, ours: str) -> dict[str, Tensor]:
    return ledger.rename({rf"{theirs}\.(\w+)": rf"{ours}.\1"})


def _take_unet(ledger: Ledger) -> tuple[dict[str, Any], dict[str, Tensor]]:
    places = [*(f"down.{i}" for i in range(3)), *(f"up.{i}" for i in range(3)), "same.0", "same.1"]
    made = {**_renamed(ledger, "conv0", "first"), **_renamed(ledger, "conv9", "last")}
    for number, ours in enumerate(places, 1):
        for theirs, part in (("weight_orig", "weight"), ("weight_u", "u"), ("weight_v", "v")):
            made[f"{ours}.{part}"] = ledger.take(f"conv{number}.{theirs}")
    return {"discriminator": "unet", "discriminator_width": len(made["first.weight"])}, made


def _join(contents: Contents, made: Converted) -> Converted:
    """Adds the discriminator from a file of its own, which says whose game it was."""
    vgg = bool(contents.having("conv0_0.weight", "linear1.weight"))
    key = next(iter(contents.having("conv0_0.weight" if vgg else "conv9.weight")), None)
    if key is None:
        raise BadCheckpoint(f"{contents.path}: holds {contents.describe()}; a discriminator of BasicSR is expected")
    with open_ledger(contents, key) as ledger:
        arguments, tensors = (take_vgg if vgg else _take_unet)(ledger)
    return made.joined("discriminator", {name: value.clone() for name, value in tensors.items()}, **arguments)


def _is_ncnn(contents: Contents) -> bool:
    return contents.kind == "ncnn"


LAYOUTS: Sequence[Layout] = (
    Layout(RRDB, "esrgan", _is_rrdb, _from_rrdb, _join),
    Layout(COMPACT, "esrgan", _is_compact, _from_compact, _join),
    Layout(NCNN, "esrgan", _is_ncnn, _from_ncnn, _join),
)
