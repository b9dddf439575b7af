"""OpenVINO's graphs as data: what is read, and what is refused in a line."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from graph_files import GraphWriter

from ganzoo.layouts import open_file, openvino, recognise
from ganzoo.layouts.recorder import Limits
from ganzoo.types import BadCheckpoint


def small() -> GraphWriter:
    """x W^T + b."""
    graph = GraphWriter("small")
    x = graph.add("Parameter", name="x")
    weight = graph.constant(torch.arange(6.0).reshape(2, 3), "weight")
    product = graph.add("MatMul", x, weight, transpose_b="true")
    graph.add("Add", product, graph.constant(np.array([7, 8]), "bias,offset"))
    return graph


def test_layers_edges_and_constants(tmp_path: Path) -> None:
    graph = openvino.read(small().write(tmp_path / "small.xml"))
    assert (graph.name, [layer.type for layer in graph.layers]) == (
        "small",
        ["Parameter", "Const", "MatMul", "Const", "Add"],
    )
    (product,), (added,) = graph.of("MatMul"), graph.of("Add")
    assert product.data == {"transpose_b": "true"} and [each.name for each in product.inputs] == ["x", "weight"]
    assert added.inputs == [product, graph.layers[3]] and product.users == [added]
    weight, bias = (layer.value for layer in graph.of("Const"))
    assert weight is not None and torch.equal(weight, torch.arange(6.0).reshape(2, 3))
    assert bias is not None and torch.equal(bias, torch.tensor([7, 8]))
    (tmp_path / "small.bin").write_bytes(b"")  # what was read does not depend on the file
    assert float(weight.sum()) == 15


def test_what_it_holds_is_said(tmp_path: Path) -> None:
    contents = open_file(small().write(tmp_path / "small.xml"))
    assert contents.kind == "openvino" and [*contents.modules[""].tensors] == ["weight", "bias", "offset"]
    with pytest.raises(BadCheckpoint, match="holds the OpenVINO graph 'small' of 5 layers; no layout fits"):
        recognise(contents)


def test_constants_may_share_bytes_and_be_scalars_or_half(tmp_path: Path) -> None:
    graph = GraphWriter("shared")
    graph.constant(torch.tensor(2.5), "a")
    graph.layers.append({**graph.layers[0], "id": 1, "names": "b"})
    graph.constant(torch.zeros(2), "c", element_type="f16", shape="2,2")
    one, two, half = openvino.read(graph.write(tmp_path / "g.xml")).of("Const")
    assert one.value is not None and two.value is not None and half.value is not None
    assert one.value.shape == () and float(two.value) == 2.5 and half.value.dtype == torch.float16
    assert one.value.data_ptr() != two.value.data_ptr()


def _replaced(pattern: str, text: str) -> GraphWriter:
    """The small graph, written with something else in its XML."""
    graph = small()
    written = graph.xml()
    changed = re.sub(pattern, lambda _: text, written, count=1, flags=re.DOTALL)
    assert changed != written
    graph.xml = lambda: changed  # type: ignore[method-assign]
    return graph


BOMB = '<!DOCTYPE net [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>\n<net name="&b;"'
EXTERNAL = '<!DOCTYPE net SYSTEM "file:///etc/passwd">\n<net name="x"'
PARAMETER = '<!DOCTYPE net [<!ENTITY % p SYSTEM "http://127.0.0.1/x"> %p;]>\n<net name="x"'

HOSTILE = {
    "entities": (r'<net name="small"', BOMB, "declares a document type or entities"),
    "a document type elsewhere": (r'<net name="small"', EXTERNAL, "declares a document type or entities"),
    "entities of its document type": (r'<net name="small"', PARAMETER, "declares a document type or entities"),
    "an unknown entity": (r'name="x"', 'name="&x;"', "is no whole XML file"),
    "a cut": (r"</edges>.*", "", "is no whole XML file"),
    "a page": (r"<net .*", "<html></html>", r"is <html> of version None, no network of OpenVINO's IR of version 10"),
    "another version": (r'version="10"', 'version="7"', r"is <net> of version '7', no network"),
    "no layers": (r"<layers>.*", "</net>", "has no layers"),
    "deep tags": (r"<layers>", "<a>" * 40 + "</a>" * 40 + "<layers>", "more than 1,000,000 tags, or 32 levels"),
    "a number twice": (r'id="1"', 'id="0"', "has two layers of the number '0'"),
    "no number": (r'id="1" ', "", "or one without"),
    "an edge to nowhere": (r'to-layer="2"', 'to-layer="99"', "an edge from '0' to '99', of which one is missing"),
    "a port that is no number": (r'to-port="0"', 'to-port="-1"', "has '-1' for the port of an edge"),
    "a negative offset": (r'offset="1"', 'offset="-8"', "has '-8' for the offset of the constant 'weight'"),
    "an offset outside": (r'offset="1"', 'offset="50"', r"reaches to byte 74 of the .bin file, which has 41"),
    "a vast offset": (r'offset="1"', 'offset="99999999999999999999"', "for the offset of the constant 'weight'"),
    "no offset": (r'offset="1" ', "", "has None for the offset of the constant 'weight'"),
    "a negative size": (r'size="24"', 'size="-24"', "has '-24' for the size of the constant"),
    "another size": (r'size="24"', 'size="20"', r"of shape \[2, 3\] has 20 bytes, not 24"),
    "a size of 0": (r'size="24"', 'size="0"', r"has 0 bytes, not 24"),
    "a negative side": (r'shape="2, 3"', 'shape="-2, -3"', "has '-2' for a side of the constant 'weight'"),
    "a vast shape": (r'shape="2, 3"', 'shape="1000000, 1000000, 1000000"', "is of an impossible shape"),
    "many sides": (r'shape="2, 3"', f'shape="{"1, " * 5000}6"', "for a side of the constant"),
    "a type without numbers": (r'element_type="f32"', 'element_type="string"', "is of type 'string': unknown"),
    "no type": (r' element_type="f32"', "", "is of type None: unknown"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_no_honest_file_has_is_refused(what: str, tmp_path: Path) -> None:
    pattern, text, said = HOSTILE[what]
    path = _replaced(pattern, text).write(tmp_path / "x.xml")
    with pytest.raises(BadCheckpoint, match=said) as error:
        open_file(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value) and len(str(error.value)) < 500


def test_the_name_of_an_encoding_is_not_looked_up(tmp_path: Path) -> None:
    graph = _replaced(r'version="1.0" \?', 'version="1.0" encoding="idna"?')
    assert open_file(graph.write(tmp_path / "x.xml")).tree.name == "small"


def test_bytes_that_are_claimed_again_and_again(tmp_path: Path) -> None:
    graph = GraphWriter("greedy")
    graph.constant(torch.zeros(2**20))
    graph.layers += [{**graph.layers[0], "id": i} for i in range(1, 10)]
    with pytest.raises(BadCheckpoint, match="more bytes together than 4,194,305 can be meant for"):
        open_file(graph.write(tmp_path / "x.xml"))
    assert len(openvino.read(tmp_path / "x.xml", Limits(expansion=10)).layers) == 10


def test_files_that_are_not_there_or_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadCheckpoint, match=r"x.xml: cannot be read \(No such file or directory\); name an .xml file"):
        open_file(tmp_path / "x.xml")
    path = small().write(tmp_path / "x.xml")
    path.with_suffix(".bin").unlink()
    with pytest.raises(BadCheckpoint, match=r"its constants are in x.bin, which cannot be read \(No such file"):
        open_file(path)
    monkeypatch.setattr(openvino, "_TEXT", 100)
    with pytest.raises(BadCheckpoint, match="has more than 100 bytes of XML"):
        open_file(path)
    monkeypatch.setattr(openvino, "_TEXT", 10_000)
    monkeypatch.setattr(openvino, "_MOST", 10)
    with pytest.raises(BadCheckpoint, match="has more than 10 tags"):
        open_file(path)
