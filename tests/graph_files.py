"""Writes networks as OpenVINO's converter does: layers and edges in XML, constants at odd addresses in a `.bin`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
from torch import Tensor

_TYPES = {"f": "f32", "i": "i64"}


@dataclass
class GraphWriter:
    """A network that is being written.

    Args:
        name: of the network.
    """

    name: str
    layers: list[dict[str, Any]] = field(default_factory=list)
    edges: list[tuple[int, int, int]] = field(default_factory=list)
    data: bytearray = field(default_factory=lambda: bytearray(b"\x00"))

    def add(self, kind: str, *inputs: int, name: str = "", names: str = "", **data: str) -> int:
        """Adds a layer that takes the outputs of others, and gives its number."""
        number = len(self.layers)
        layer = {"id": number, "name": name or f"{kind}_{number}", "type": kind, "names": names, "data": data}
        self.layers.append(layer)
        self.edges += [(source, number, port) for port, source in enumerate(inputs)]
        return number

    def constant(self, value: Tensor | np.ndarray[Any, Any] | float, names: str = "", **named: str) -> int:
        """Adds a constant."""
        array = np.asarray(value.detach() if isinstance(value, Tensor) else value)
        array = array.astype("<f4" if array.dtype.kind == "f" else "<i8")
        raw, start = array.tobytes(), len(self.data)
        self.data += raw
        place = {"offset": str(start), "size": str(len(raw)), "shape": ", ".join(map(str, array.shape))}
        place["element_type"] = _TYPES[array.dtype.kind]
        return self.add("Const", name=names, names=names, **{**place, **named})

    def xml(self) -> str:
        """The text of the XML file."""
        lines = [f'<?xml version="1.0" ?>\n<net name={quoteattr(self.name)} version="10">', "<layers>"]
        for layer in self.layers:
            said = " ".join(f"{key}={quoteattr(str(layer[key]))}" for key in ("id", "name", "type"))
            data = " ".join(f"{key}={quoteattr(value)}" for key, value in layer["data"].items())
            names = f" names={quoteattr(layer['names'])}" if layer["names"] else ""
            lines.append(f'<layer {said} version="opset1"><data {data}/><output><port id="9"{names}/></output></layer>')
        lines.append("</layers><edges>")
        for source, target, port in self.edges:
            lines.append(f'<edge from-layer="{source}" from-port="9" to-layer="{target}" to-port="{port}"/>')
        return "\n".join([*lines, "</edges></net>"])

    def write(self, path: Path) -> Path:
        """Writes both files, of which the path is the XML's."""
        path.write_text(self.xml())
        path.with_suffix(".bin").write_bytes(self.data)
        return path
