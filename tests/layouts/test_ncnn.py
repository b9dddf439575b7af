"""ncnn's networks as data: what is read, and what is refused in a line."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from parity_files import fixture

from ganzoo.layouts import ncnn, open_file, recognise
from ganzoo.types import BadCheckpoint

PARAM = """7767517
5 6
Input in 0 1 data
Split fork 1 2 data a b
Convolution conv 1 1 a c 0=2 1=3 4=1 5=1 6=18 9=2 -23310=1,2.000000e-01
PReLU slope 1 1 c d 0=2
BinaryOp sum 2 1 d b e
"""


def weights(tag: int = 0x01306B47, dtype: str = "<f2", padding: int = 0) -> bytes:
    values = np.arange(18).astype(dtype).tobytes()
    return struct.pack("<I", tag) + values + bytes(padding) + np.array([1, 2, 0.25, 0.5], "<f4").tobytes()


def put(folder: Path, param: str = PARAM, content: bytes | None = None) -> Path:
    (folder / "net.param").write_text(param)
    (folder / "net.bin").write_bytes(weights() if content is None else content)
    return folder / "net.param"


@pytest.mark.parametrize(("tag", "dtype"), [(0x01306B47, "<f2"), (0, "<f4"), (0x0002C056, "<f4")])
def test_layers_and_weights(tmp_path: Path, tag: int, dtype: str) -> None:
    graph = ncnn.read(put(tmp_path, content=weights(tag, dtype)))
    assert [layer.type for layer in graph.layers] == ["Input", "Split", "Convolution", "PReLU", "BinaryOp"]
    conv, slope = graph.layers[2:4]
    assert conv.settings == {0: 2, 1: 3, 4: 1, 5: 1, 6: 18, 9: 2, 10: (0.2,)}
    assert torch.equal(conv.tensors["weight"], torch.arange(18.0).reshape(2, 1, 3, 3))
    assert conv.tensors["bias"].tolist() == [1, 2] and slope.tensors["weight"].tolist() == [0.25, 0.5]
    assert graph.sources() == [(), (0,), (0,), (2,), (3, 0)], "a split stands for its source"


def test_half_precision_fills_whole_words(tmp_path: Path) -> None:
    param = PARAM.replace("0=2 1=3 4=1 5=1 6=18", "0=1 1=3 4=1 5=0 6=9").replace("c d 0=2", "c d 0=1")
    content = struct.pack("<I", 0x01306B47) + np.arange(9).astype("<f2").tobytes() + b"\0\0" + struct.pack("<f", 3.0)
    graph = ncnn.read(put(tmp_path, param, content))
    assert graph.layers[3].tensors["weight"].item() == 3.0


def test_what_it_holds_is_said(tmp_path: Path) -> None:
    contents = open_file(put(tmp_path))
    assert contents.kind == "ncnn" and [*contents.modules[""].tensors] == ["conv.weight", "conv.bias", "slope.weight"]
    with pytest.raises(BadCheckpoint, match=r"conv is Convolution of \[0\] with"):
        recognise(contents).convert(contents)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("7767517", "7767516", "is no .param file of ncnn"),
        ("5 6", "6 6", "has 5 layers, says '6'"),
        ("5 6", "5 6 7", "is no .param file"),
        ("Convolution conv", "Deconvolution conv", "of type 'Deconvolution', which is not read"),
        ("2 1 d b e", "2 1 d z e", "takes 'z', which no layer before it makes"),
        ("2 1 d b e", "2 1 d b c", "or makes what is there"),
        ("2 1 d b e", "9 1 d b e", "fewer inputs and outputs than it says"),
        ("2 1 d b e", "x 1 d b e", "'x' where a whole number"),
        ("0 1 data", "0 0", "'fork' takes 'data'"),
        ("6=18", "6=1e2", "as its setting 6: damaged"),
        ("6=18", "6=17", "has 17 weights for 2 outputs"),
        ("6=18", "6=-18", "as its setting 6: damaged"),
        ("6=18", "6=999999999999", "ends within the weights|has 999999999999 weights"),
        ("0=2 1=3", "0=0 1=3", "has 18 weights for 0 outputs"),
        ("9=2", "7=2", "has groups, which are not read"),
        ("9=2", "8=1", "8-bit weights, which are not read"),
        ("-23310=1", "-23310=2", "of another length than it says"),
        ("9=2", "nine=2", "has the setting 'nine=2'"),
        ("9=2", "9=two", "'two' where a number is expected"),
        ("Input in 0 1 data", "Input", "has the line 'Input'"),
    ],
)
def test_damaged_text_is_refused_in_a_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(BadCheckpoint, match=said) as caught:
        open_file(put(tmp_path, PARAM.replace(old, new, 1)))
    assert "net.param" in str(caught.value) and "\n" not in str(caught.value)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    for content, said in (
        (weights()[:-1], "ends within the weights of 'slope'"),
        (weights() + b"\0", "goes on after the last weight, which ends at byte 56"),
        (weights(0x000D4B38), "8 bits or less"),
        (weights(7), "8 bits or less"),
        (b"", "ends within the weights of 'conv'"),
        (bytes(2**25), "more bytes than its network can have"),
    ):
        with pytest.raises(BadCheckpoint, match=said):
            open_file(put(tmp_path, content=content))
    (tmp_path / "net.bin").unlink()
    with pytest.raises(BadCheckpoint, match=r"net\.bin cannot be read \(No such file"):
        open_file(tmp_path / "net.param")
    (tmp_path / "net.param").write_bytes(b"\xff\xfe7767517")
    with pytest.raises(BadCheckpoint, match="is no text"):
        open_file(tmp_path / "net.param")


def test_changed_bytes_are_read_or_refused(tmp_path: Path) -> None:
    """Nothing else happens, whatever stands in the file."""
    text, rng = fixture("ncnn.srvgg_fp16.param").read_bytes(), np.random.RandomState(0)
    shutil.copy(fixture("ncnn.srvgg_fp16.bin"), tmp_path / "net.bin")
    refused = 0
    for _ in range(300):
        changed = bytearray(text)
        for place in rng.randint(0, len(text), 2):
            changed[place] = rng.randint(10, 127)
        (tmp_path / "net.param").write_bytes(bytes(changed))
        try:
            contents = open_file(tmp_path / "net.param")
            recognise(contents).convert(contents)
        except BadCheckpoint:
            refused += 1
    assert refused > 200
