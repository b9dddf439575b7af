"""ncnn's container: a network as a list of layers in a `.param` file of text, and its weights in a `.bin` beside it.

Both are read as data. The weights have no index: they lie one after the other in the order of the layers, so that a
file is understood only where every layer is known, and where the last weight ends at the last byte. They are of 32 or
of 16 bits (tags and padding as in ncnn's `ModelBinFromDataReader`); tables of 8 bits are refused.
"""

import re
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganzoo.layouts.recorder import MiB
from ganzoo.types import BadCheckpoint, quoted

Number = int | float

_MAGIC = "7767517"
_TEXT = 16 * MiB
_MOST = 10_000  # layers; the largest published networks that enlarge have some 1,000
_FLOAT32, _FLOAT16 = (0, 0x0002C056), 0x01306B47
_PLAIN = ("Input", "Split", "Concat", "Eltwise", "BinaryOp", "Interp", "PixelShuffle")  # layers without weights
_OUTPUTS, _WIDTH, _HEIGHT, _BIAS, _COUNT = 0, 1, 11, 5, 6  # settings of a convolution
_UNREAD = {7: "groups", 8: "8-bit weights", 19: "weights that are an input"}  # of which nothing is known here


@dataclass
class Layer:
    """One layer of a network.

    Args:
        name: as the file says.
        type: such as `Convolution`.
        inputs: names of what goes in.
        outputs: names of what comes out.
        settings: numbers, or lists of them, by ncnn's own.
        tensors: `weight` and `bias`.
    """

    name: str
    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: dict[int, Number | tuple[Number, ...]]
    tensors: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class Graph:
    """A network: its layers in the file's order, in which each comes after those that it takes from."""

    layers: list[Layer]

    def sources(self) -> list[tuple[int, ...]]:
        """For each layer, the numbers of those that it takes from; a `Split` stands for its own source."""
        made: dict[str, int] = {}
        found: list[tuple[int, ...]] = []
        for i, layer in enumerate(self.layers):
            found.append(tuple(made[name] for name in layer.inputs))
            made |= dict.fromkeys(layer.outputs, found[-1][0] if layer.type == "Split" else i)
        return found


def read(path: Path) -> Graph:
    """Reads a network.

    Args:
        path: the `.param` file; its weights are in the file of the same name that ends in `.bin`.

    Returns:
        Its layers with their weights, which do not depend on the file any more.

    Raises:
        BadCheckpoint: without the file's name, if either file is missing, damaged, or has layers that are not read.
    """
    binary = path.with_suffix(".bin")
    try:
        with path.open("rb") as file:
            text = file.read(_TEXT + 1)
        if len(text) > _TEXT:
            raise BadCheckpoint(f"has more than {_TEXT:,} bytes of text: refused")
        graph = _parsed(text)
        most = 16 * MiB + sum(4 * _int(layer, _COUNT) for layer in graph.layers if layer.type == "Convolution")
        with binary.open("rb") as file:
            if file.seek(0, 2) > most:
                raise BadCheckpoint(f"{binary.name} has more bytes than its network can have weights: refused")
            file.seek(0)
            content = file.read()
    except OSError as error:
        raise BadCheckpoint(f"{Path(str(error.filename)).name} cannot be read ({error.strerror or error})") from None
    end = _Weights(content).give(graph)
    if end != len(content):
        raise BadCheckpoint(f"{binary.name} goes on after the last weight, which ends at byte {end:,}: damaged")
    return graph


def _parsed(text: bytes) -> Graph:
    """The layers, checked to be in order."""
    try:
        lines = [line.split() for line in text.decode("ascii").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise BadCheckpoint("is no text: a .param file of ncnn is") from None
    if len(lines) < 2 or lines[0] != [_MAGIC] or len(lines[1]) != 2:
        raise BadCheckpoint(
            f"is no .param file of ncnn, which begins with {_MAGIC} and the numbers of layers and blobs"
        )
    if _whole(lines[1][0]) != len(lines) - 2 or len(lines) - 2 > _MOST:
        raise BadCheckpoint(f"has {len(lines) - 2:,} layers, says {quoted(lines[1][0])}; at most {_MOST:,} are read")
    layers = [_layer(line) for line in lines[2:]]
    known: set[str] = set()
    for layer in layers:
        if layer.type not in (*_PLAIN, "Convolution", "PReLU"):
            raise BadCheckpoint(f"has a layer {quoted(layer.name)} of type {quoted(layer.type)}, which is not read")
        if missing := [name for name in layer.inputs if name not in known]:
            raise BadCheckpoint(f"{quoted(layer.name)} takes {quoted(missing[0])}, which no layer before it makes")
        if (layer.type == "Input") == bool(layer.inputs) or not known.isdisjoint(layer.outputs):
            raise BadCheckpoint(f"{quoted(layer.name)} has other inputs than it can, or makes what is there: damaged")
        known |= {*layer.outputs}
    return Graph(layers)


def _layer(words: list[str]) -> Layer:
    """A line: type, name, numbers of inputs and outputs, these, and settings."""
    if len(words) < 4:
        raise BadCheckpoint(f"has the line {quoted(' '.join(words))}, which is no layer: damaged")
    bounds = [4, 4 + _whole(words[2]), 4 + _whole(words[2]) + _whole(words[3])]
    if len(words) < bounds[-1]:
        raise BadCheckpoint(f"{quoted(words[1])} has fewer inputs and outputs than it says: damaged")
    inputs, outputs = (tuple(words[start:stop]) for start, stop in pairwise(bounds))
    settings: dict[int, Number | tuple[Number, ...]] = {}
    for word in words[bounds[-1] :]:
        key, _, value = word.partition("=")
        numbers = tuple(_number(part) for part in value.split(","))
        if not re.fullmatch(r"-?\d{1,6}", key):
            raise BadCheckpoint(f"{quoted(words[1])} has the setting {quoted(word)}: damaged")
        if int(key) > -23300:
            settings[int(key)] = numbers[0]
        elif numbers[0] == len(numbers) - 1:
            settings[-23300 - int(key)] = numbers[1:]
        else:
            raise BadCheckpoint(f"{quoted(words[1])} has a list {quoted(word)} of another length than it says: damaged")
    return Layer(words[1], words[0], inputs, outputs, settings)


def _whole(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text):
        raise BadCheckpoint(f"has {quoted(text)} where a whole number from 0 on is expected: damaged")
    return int(text)


def _number(text: str) -> Number:
    if re.fullmatch(r"-?\d{1,12}", text):
        return int(text)
    if not re.fullmatch(r"-?\d+(\.\d*)?(e[-+]?\d{1,2})?", text):
        raise BadCheckpoint(f"has {quoted(text)} where a number is expected: damaged")
    return float(text)


class _Weights:
    """Walks the bytes of a `.bin` file."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def give(self, graph: Graph) -> int:
        """Gives the layers their weights; where the last one ends."""
        for layer in graph.layers:
            settings = layer.settings
            if layer.type == "PReLU":
                layer.tensors["weight"] = self.take(layer, _int(layer, 0), "<f4")
            if layer.type != "Convolution":
                continue
            for key, what in _UNREAD.items():
                if settings.get(key, 1 if key == 7 else 0) != (1 if key == 7 else 0):
                    raise BadCheckpoint(f"{quoted(layer.name)} has {what}, which are not read")
            outputs, width = _int(layer, _OUTPUTS), _int(layer, _WIDTH)
            height, count = _int(layer, _HEIGHT, width), _int(layer, _COUNT)
            if not outputs or not width * height or count % (outputs * width * height):
                raise BadCheckpoint(f"{quoted(layer.name)} has {count} weights for {outputs} outputs: damaged")
            tag = int.from_bytes(self.bytes(layer, 4), "little")
            if tag not in (*_FLOAT32, _FLOAT16):
                raise BadCheckpoint(f"{quoted(layer.name)} has weights of 8 bits or less (tag {tag:#010x}): not read")
            weight = self.take(layer, count, "<f2" if tag == _FLOAT16 else "<f4")
            layer.tensors["weight"] = weight.reshape(outputs, -1, height, width)
            if _int(layer, _BIAS, 0):
                layer.tensors["bias"] = self.take(layer, outputs, "<f4")
        return self.at

    def take(self, layer: Layer, count: int, dtype: str) -> Tensor:
        """So many numbers, as float32; of 16 bits they fill whole 4 bytes."""
        size = count * np.dtype(dtype).itemsize
        content = self.bytes(layer, size + -size % 4)
        return torch.from_numpy(np.frombuffer(content, dtype, count).astype(np.float32))

    def bytes(self, layer: Layer, size: int) -> bytes:
        """So many bytes."""
        if self.at + size > len(self.content):
            raise BadCheckpoint(f"its .bin file ends within the weights of {quoted(layer.name)}: truncated or damaged")
        self.at += size
        return self.content[self.at - size : self.at]


def _int(layer: Layer, key: int, default: int | None = None) -> int:
    """A setting that is a whole number from 0 on."""
    value = layer.settings.get(key, default)
    if not isinstance(value, int) or value < 0:
        raise BadCheckpoint(f"{quoted(layer.name)} has {quoted(value)} as its setting {key}: damaged")
    return value
