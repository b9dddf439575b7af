"""Files of attributes beside pictures: their forms, classes and vectors, what lacks, what is damaged."""

from __future__ import annotations

import csv
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganzoo.data.attributes import read_rows
from ganzoo.data.captions import embed
from ganzoo.data.folder import Folder
from ganzoo.types import BadArgument, BadData

TABLE = {"a.png": ("1", "-1", "red"), "b/c.png": ("0", "1", "blue"), "d, e.png": ("1", "1", "red")}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "pictures"
    (folder / "b").mkdir(parents=True)
    for k, name in enumerate(TABLE):
        Image.new("RGB", (8, 8), (k, 0, 0)).save(folder / name)
    return folder


def write(root: Path, suffix: str, table: dict[str, tuple[str, str, str]]) -> str:
    keys = ("smile", "hat", "colour")
    rows = {name: dict(zip(keys, values, strict=True)) for name, values in table.items()}
    numbers = {name: {k: v if k == "colour" else int(v) for k, v in row.items()} for name, row in rows.items()}
    if suffix == "csv":
        text = "file,smile,hat,colour\r\n" + "".join(
            ",".join([f'"{name}"', *values]) + "\r\n" for name, values in table.items()
        )
    elif suffix == "json":
        text = json.dumps(numbers)
    else:
        text = "".join(json.dumps({"file_name": name, **row}) + "\n" for name, row in numbers.items())
    (root / f"table.{suffix}").write_text(text, encoding="utf-8-sig")
    return f"table.{suffix}"


def read(root: Path, **options: Any) -> dict[str, list[Any]]:
    """The labels by the red of each picture, and the classes."""
    images = Folder(str(root), size=8, test_share=0.0, **options).open("train")
    assert images.labels is not None and images.classes is not None
    found = dict(zip(images.values[:, 0, 0, 0].tolist(), images.labels.tolist(), strict=True))
    return {"classes": list(images.classes), "labels": [found[k] for k in sorted(found)]}


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl"])
def test_each_form_gives_the_same(root: Path, suffix: str) -> None:
    file = write(root, suffix, TABLE)
    assert read(root, attributes=file) == {"classes": ["smile", "hat"], "labels": [[1, 0], [0, 1], [1, 1]]}
    assert read(root, attributes=file, labels=["hat"]) == {"classes": ["hat"], "labels": [[0], [1], [1]]}
    assert read(root, attributes=file, labels="colour") == {"classes": ["blue", "red"], "labels": [1, 0, 1]}


@pytest.mark.parametrize("between", ["\u2028", "\x85", "\x0c", "\n", '"'])
def test_a_value_may_hold_what_ends_lines_elsewhere(tmp_path: Path, between: str) -> None:
    value = f"red{between}blue"
    lines = [{"file_name": name, "colour": value} for name in ("a.png", "b.png")]
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps(each, ensure_ascii=False) for each in lines), "utf-8")
    with open(tmp_path / "t.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["file", "colour"], ["a.png", value], ["b.png", value]])
    for name in ("t.jsonl", "t.csv"):
        assert read_rows(tmp_path / name) == {"a.png": {"colour": value}, "b.png": {"colour": value}}, name


def test_attributes_are_floats_of_a_batch(root: Path) -> None:
    images = Folder(str(root), attributes=write(root, "csv", TABLE), size=8, test_share=0.0).open("train")
    labels = images.batch(np.arange(3)).labels
    assert labels is not None and labels.shape == (3, 2) and labels.is_floating_point()


def test_pictures_of_which_nothing_is_said(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = write(root, "csv", {name: TABLE[name] for name in ("a.png", "d, e.png")})
    with pytest.raises(BadData) as caught:
        read(root, attributes=file)
    assert str(caught.value) == (
        "table.csv: says nothing of b/c.png, and of 1 pictures in all; add lines of them, or set bad=skip."
    )
    with caplog.at_level(logging.WARNING):
        assert read(root, attributes=file, bad="skip")["labels"] == [[1, 0], [1, 1]]
    assert "says nothing of b/c.png" in caplog.text


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ("color", "has no column 'color'; did you mean colour?"),
        (["smile", "colour"], "vectors are made of columns of 1 and 0, and {} has the column colour more than that"),
    ],
)
def test_columns_that_do_not_suit(root: Path, labels: Any, text: str) -> None:
    file = write(root, "csv", TABLE)
    with pytest.raises(BadArgument) as caught:
        read(root, attributes=file, labels=labels)
    assert text.format(root / file) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("x.csv", "file,smile\na.png,1,2\n", "'a.png' has 3 values, and there are 2 columns"),
        ("x.csv", "", "not enough values"),
        ("x.csv", "file,smile\na.png,1\na.png,0\n", "'a.png' stands there twice"),
        ("x.json", '{"a.png": {"smile": 1}, "a.png": {"smile": 0}}', "a name stands there twice"),
        ("x.json", '{"a.png": {"smile": [1]}}', "[1] is neither a number nor a text"),
        ("x.json", "[" * 100_000, "says nothing of pictures"),
        ("x.jsonl", '{"file": "a.png"}', "says nothing of pictures ('file_name')"),
        ("x.jsonl", "no", "says nothing of pictures"),
        ("x.xml", "<a/>", "attributes stand in a .csv, .json or .jsonl file"),
    ],
)
def test_damaged_files(root: Path, name: str, content: str, text: str) -> None:
    (root / name).write_text(content)
    with pytest.raises(BadData) as caught:
        read(root, attributes=name)
    assert text in str(caught.value) and str(root / name) in str(caught.value) and "\n" not in str(caught.value)


def test_files_and_values_that_are_missing(root: Path) -> None:
    with pytest.raises(BadData, match=r"none\.csv: says nothing of pictures"):
        read(root, attributes="none.csv")
    file = write(root, "csv", TABLE | {"a.png": ("1", "1", "")})
    with pytest.raises(BadData, match=r"table\.csv: says nothing of a\.png in the column colour"):
        read(root, attributes=file, labels="colour")
    with pytest.raises(BadArgument, match="labels is 'colour', of a file of attributes; give that as attributes"):
        Folder(str(root), labels="colour")


# --------------------------------------------------------------------------------------------------------- captions

CAPTIONS = {"a.png": "a red hat", "b/c.png": "two\n blue  cats", "d, e.png": "nothing"}


def texts(root: Path, **options: Any) -> dict[int, np.ndarray]:
    images = Folder(str(root), size=8, test_share=0.0, **options).open("train")
    assert images.texts is not None
    return dict(zip(images.values[:, 0, 0, 0].tolist(), images.texts, strict=True))


def test_captions_beside_pictures_and_in_lines_of_json(root: Path) -> None:
    for name, caption in CAPTIONS.items():
        (root / name).with_suffix(".txt").write_text(caption)
    lines = [json.dumps({"file_name": name, "text": " ".join(text.split())}) for name, text in CAPTIONS.items()]
    (root / "metadata.jsonl").write_text("\n".join(lines))
    found = texts(root, captions="txt")
    other = texts(root, attributes="metadata.jsonl", captions="text")
    for k, caption in enumerate(["a red hat", "two blue cats", "nothing"]):
        assert np.array_equal(found[k], embed([caption])[0]) and np.array_equal(other[k], found[k])


def test_captions_beside_attributes(root: Path) -> None:
    file = write(root, "csv", TABLE)
    images = Folder(str(root), attributes=file, labels=["hat"], captions="colour", size=8, test_share=0.0).open("train")
    assert images.texts is not None and images.classes == ("hat",) and images.labels is not None
    batch = images.batch(np.arange(3))
    assert batch.condition.text is not None and len(batch.condition.text) == 3


def test_captions_that_are_missing(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "a.txt").write_text("a red hat")
    (root / "d, e.txt").write_text(" ")
    with pytest.raises(BadData, match=r"no caption is given of .*, and of 2 pictures in all; write them, or set bad=s"):
        texts(root, captions="txt")
    with caplog.at_level(logging.WARNING):
        assert list(texts(root, captions="txt", bad="skip")) == [0]
    assert "of 2 pictures in all; they are left out" in caplog.text
    (root / "b" / "c.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadData, match=r"c\.txt: is no caption"):
        texts(root, captions="txt")
    with pytest.raises(BadArgument, match="captions is 'text', of a file of attributes"):
        Folder(str(root), captions="text")
    file = write(root, "csv", TABLE)
    with pytest.raises(BadArgument, match="captions: the attributes have no column 'color'; did you mean colour"):
        texts(root, attributes=file, captions="color")
