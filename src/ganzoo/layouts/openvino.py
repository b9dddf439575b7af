"""OpenVINO's intermediate representation: a network as a graph in XML, and its constants in a `.bin` file beside it.

Both are read as data. The XML is walked once, tag by tag; a document type and entities, for which an honest file has
no use, are refused, and of its tags only layers, ports and edges are looked at. A constant is a range of bytes of the
other file; the ranges may lie at odd addresses and may be shared.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from xml.parsers import expat

import numpy as np
import torch
from torch import Tensor

from ganzoo.layouts.recorder import Limits, MiB
from ganzoo.types import BadCheckpoint, quoted

_VERSIONS = ("10", "11")
_DEEPEST = 32  # levels of tags; the format has six
_MOST = 1_000_000  # tags; the largest honest files have some 10,000
_TEXT = 64 * MiB  # of XML
_DTYPES = {"f16": "<f2", "f32": "<f4", "f64": "<f8", "i8": "<i1", "i32": "<i4", "i64": "<i8", "u8": "<u1"}
_LAYER, _DATA, _PORT = ("net layers layer", "net layers layer data", "net layers layer output port")


@dataclass
class Layer:
    """One operation of a graph.

    Args:
        name: as the file says.
        type: such as `Const` or `Convolution`.
        data: its attributes, as text.
        outputs: names of the tensors that come out of it; many have none.
        value: of a constant.
        inputs: the layers whose outputs go into it, in the order of its ports.
        users: the layers that its outputs go into.
    """

    name: str
    type: str
    data: dict[str, str] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)
    value: Tensor | None = None
    inputs: list[Layer] = field(default_factory=list, repr=False)
    users: list[Layer] = field(default_factory=list, repr=False)


@dataclass
class Graph:
    """A network.

    Args:
        name: as the file says.
        layers: in the file's order.
    """

    name: str
    layers: list[Layer]

    def of(self, kind: str) -> list[Layer]:
        """The layers of a type."""
        return [layer for layer in self.layers if layer.type == kind]


def read(path: Path, limits: Limits | None = None) -> Graph:
    """Reads a network.

    Args:
        path: the XML file; its constants are in the file of the same name that ends in `.bin`.
        limits: what an honest file stays below.

    Returns:
        The graph. Its constants do not depend on the file any more.

    Raises:
        BadCheckpoint: without the file's name, if either file is missing, damaged, of another format or beyond a limit.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_TEXT + 1)
    except OSError as error:
        raise BadCheckpoint(f"cannot be read ({error.strerror or error}); name an .xml file") from None
    if len(text) > _TEXT:
        raise BadCheckpoint(f"has more than {_TEXT:,} bytes of XML: refused")
    found = _Walk().run(text)
    binary = path.with_suffix(".bin")
    try:
        with binary.open("rb") as file:
            _read_constants(found, file, limits or Limits())
    except OSError as error:
        reason = error.strerror or error
        raise BadCheckpoint(f"its constants are in {binary.name}, which cannot be read ({reason})") from None
    return found


class _Walk:
    """Collects layers and edges from the tags of an XML file."""

    def __init__(self) -> None:
        self.path: list[str] = []
        self.tags = 0
        self.name = ""
        self.layers: dict[str, Layer] = {}  # by their numbers, which are text here
        self.layer = Layer("", "")
        self.edges: list[tuple[str, str, int]] = []  # from a layer, to a layer, at a port

    def run(self, text: bytes) -> Graph:
        """The graph of a file."""
        parser = expat.ParserCreate("utf-8")  # whatever the file says: its name for an encoding is not looked up
        parser.buffer_text = True
        for handler in ("StartDoctypeDeclHandler", "EntityDeclHandler", "ExternalEntityRefHandler"):
            setattr(parser, handler, _refuse_entities)
        parser.StartElementHandler, parser.EndElementHandler = self.start, self.end
        try:
            parser.Parse(text, True)
        except expat.ExpatError as error:
            raise BadCheckpoint(f"is no whole XML file ({quoted(str(error))}): truncated or damaged") from None
        if not self.layers:
            raise BadCheckpoint("is no network of OpenVINO: it has no layers")
        for source, target, _ in sorted(self.edges, key=lambda edge: edge[2]):
            if source not in self.layers or target not in self.layers:
                raise BadCheckpoint(f"has an edge from {quoted(source)} to {quoted(target)}, of which one is missing")
            self.layers[target].inputs.append(self.layers[source])
            self.layers[source].users.append(self.layers[target])
        return Graph(self.name, [*self.layers.values()])

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """A tag begins."""
        self.path.append(tag)
        self.tags += 1
        if self.tags > _MOST or len(self.path) > _DEEPEST:
            raise BadCheckpoint(f"has more than {_MOST:,} tags, or {_DEEPEST} levels of them: refused")
        place = " ".join(self.path)
        if len(self.path) == 1:
            if tag != "net" or attributes.get("version") not in _VERSIONS:
                known = " or ".join(_VERSIONS)
                found = f"<{tag[:40]}> of version {quoted(attributes.get('version'))}"
                raise BadCheckpoint(f"is {found}, no network of OpenVINO's IR of version {known}")
            self.name = attributes.get("name", "")
        elif place == _LAYER:
            number = attributes.get("id", "")
            if number in self.layers or not number:
                raise BadCheckpoint(f"has two layers of the number {quoted(number)}, or one without: damaged")
            self.layer = Layer(attributes.get("name", ""), attributes.get("type", ""))
            self.layers[number] = self.layer
        elif place == _DATA:
            self.layer.data = attributes
        elif place == _PORT:
            self.layer.outputs += [name for name in attributes.get("names", "").split(",") if name]
        elif place == "net edges edge":
            edge = attributes.get("from-layer", ""), attributes.get("to-layer", "")
            self.edges.append((*edge, _number(attributes.get("to-port"), "the port of an edge")))

    def end(self, tag: str) -> None:
        """A tag ends."""
        self.path.pop()


def _refuse_entities(*given: Any) -> None:
    raise BadCheckpoint("declares a document type or entities, which no honest file of OpenVINO does: refused")


def _number(text: str | None, what: str) -> int:
    if text is None or not re.fullmatch(r"[0-9]{1,15}", text):
        raise BadCheckpoint(f"has {quoted(text)} for {what}; a whole number from 0 on is expected: damaged")
    return int(text)


def _read_constants(graph: Graph, file: BinaryIO, limits: Limits) -> None:
    """Gives the constants their values, from the bytes of the `.bin` file."""
    size = file.seek(0, 2)
    left = limits.expansion * size + 16 * MiB  # of bytes, as constants may share some
    for layer in graph.of("Const"):
        name, data = quoted(layer.name), layer.data
        dtype = _DTYPES.get(data.get("element_type", ""))
        if dtype is None:
            raise BadCheckpoint(f"the constant {name} is of type {quoted(data.get('element_type'))}: unknown")
        shape = _shape(data.get("shape", ""), name)
        start, length = (_number(data.get(key), f"the {key} of the constant {name}") for key in ("offset", "size"))
        expected = math.prod(shape) * np.dtype(dtype).itemsize
        if length != expected:
            raise BadCheckpoint(f"the constant {name} of shape {quoted(shape)} has {length} bytes, not {expected}")
        if start + length > size:
            raise BadCheckpoint(
                f"the constant {name} reaches to byte {start + length:,} of the .bin file, which has {size:,}: damaged"
            )
        left -= length
        if left < 0:
            raise BadCheckpoint(f"its constants are of more bytes together than {size:,} can be meant for: refused")
        file.seek(start)
        array = np.frombuffer(file.read(length), dtype).reshape(shape)  # read, and so aligned
        layer.value = torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))


def _shape(text: str, name: str) -> Sequence[int]:
    parts = text.split(",", 16) if text else []
    sides = [_number(side.strip(), f"a side of the constant {name}") for side in parts]
    if math.prod(sides) >= 2**40:
        raise BadCheckpoint(f"the constant {name} is of an impossible shape, {quoted(text)}: damaged")
    return sides
