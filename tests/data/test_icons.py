"""Emoji in five styles: domains, the split, packages made here, what goes wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing_programs import Programs
from PIL import Image

from ganzoo.data import icons
from ganzoo.data.icons import STYLES, Icons, prepare, read_package
from ganzoo.types import BadArgument, BadData

FILES = Path(__file__).parent / "icons"
ROWS = json.loads((FILES / "icons.json").read_text())


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("icons")
    with Image.open(FILES / "icons.png") as sheet:
        values = np.asarray(sheet.convert("RGB")).reshape(5, 64, 12, 64, 3).transpose(0, 2, 4, 1, 3)
    icons._files(str(folder)).write(values.reshape(60, 3, 64, 64), {"icons": ROWS})
    return str(folder)


def test_each_style_is_a_domain_of_the_same_emoji(root: str) -> None:
    whole = Icons(root=root).open("all")
    assert whole.classes == tuple(STYLES) and whole.labels is not None and whole.values.shape == (60, 3, 64, 64)
    assert whole.labels.tolist() == [k for k in range(5) for _ in ROWS]
    assert whole.license == "Apache-2.0 AND CC-BY-4.0 AND MIT"
    two = Icons(styles=["emojione", "noto"], root=root).open("all")
    assert two.classes == ("emojione", "noto") and two.license == "CC-BY-4.0 AND Apache-2.0"
    assert np.array_equal(two.values, np.concatenate([whole.values[48:], whole.values[:12]]))
    # the same emoji in two styles are nearer to each other than two emoji, in most cases
    means = whole.values.reshape(5, 12, 3, 8, 8, 8, 8).mean((4, 6)).reshape(5, 12, -1)
    distances = np.abs(means[0][:, None] - means[1][None]).mean(-1)
    assert (distances.argmin(1) == np.arange(12)).mean() > 0.5


def test_categories_are_classes_too(root: str) -> None:
    images = Icons(labels="category", root=root).open("all")
    assert images.classes is not None and images.labels is not None
    assert [images.classes[k] for k in images.labels] == 5 * [row["category"] for row in ROWS]


def test_an_emoji_is_on_one_side_in_every_style(root: str) -> None:
    data = Icons(root=root, validation=True)
    parts = {split: [row["name"] for row in data.table(split)] for split in ("train", "validation", "test")}
    assert sorted(name for part in parts.values() for name in part) == sorted(row["name"] for row in ROWS)
    assert len(data.open("train")) == 5 * len(parts["train"])
    names = [f"emoji-{k}" for k in range(5000)]
    assert 0.08 < np.mean([data._in({"name": name}, "test") for name in names]) < 0.12
    assert 0.07 < np.mean([data._in({"name": name}, "validation") for name in names]) < 0.11


@pytest.mark.parametrize("styles", [["apple"], ["noto", "noto"]])
def test_styles_that_are_not_there(styles: list[str]) -> None:
    with pytest.raises(BadArgument, match=r"^styles has '(apple|noto)'; .*noto") as caught:
        Icons(styles=styles)
    assert "\n" not in str(caught.value)


def test_without_preparation(tmp_path: Path) -> None:
    with pytest.raises(BadData) as caught:
        Icons(root=str(tmp_path)).open("all")
    assert str(caught.value) == f"{tmp_path}: holds no icons; run `ganzoo data icons --out {tmp_path}`."


# ---------------------------------------------------------------------------------------------------------- packages


def icon_set(names: list[str], **more: Any) -> dict[str, bytes]:
    listed = {"icons": {name: {"body": "<g/>"} for name in names}, "width": 36, "height": 36, **more}
    told = {"categories": {"Faces": names[:2], "Rest": names[2:]}}
    return {"package/icons.json": json.dumps(listed).encode(), "package/metadata.json": json.dumps(told).encode()}


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    return Programs(tmp_path, monkeypatch)


def hand_out(programs: Programs, sets: list[dict[str, bytes]]) -> None:
    for (name, style), contents in zip(STYLES.items(), sets, strict=True):
        found = programs.hand_out(style.package, dict(contents))
        programs.monkeypatch.setitem(icons.STYLES, name, replace(style, integrity=found))


def test_what_all_sets_have_is_drawn(programs: Programs) -> None:
    names = ["cat", "ant", "dog", "package"]  # the last is left out
    sets = [
        icon_set(names),
        *(icon_set([*names[1:], f"own-{k}"], aliases={"cat": {"parent": "dog"}}) for k in range(4)),
    ]
    hand_out(programs, sets)
    said: list[str] = []
    prepare(say=said.append)
    data = Icons()
    assert data.table("all") == [
        {"name": "ant", "category": "Faces"}, {"name": "cat", "category": "Faces"}, {"name": "dog", "category": "Rest"}
    ]  # fmt: skip
    assert data.open("all").values.mean((1, 2, 3)).tolist() == list(range(15))
    assert len(said) == 7 and "drawing 3 emoji in 5 styles" in said


def test_what_is_not_square_is_passed_over(tmp_path: Path, programs: Programs) -> None:
    contents = icon_set(["a", "b", "c"])
    listed = json.loads(contents["package/icons.json"])
    listed["icons"]["b"]["width"], listed["icons"]["c"]["left"] = 40, 3
    path, _ = programs.pack("x@1", {**contents, "package/icons.json": json.dumps(listed).encode()})
    found, categories = read_package(path)
    assert found == {"a": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 36 36"><g/></svg>'}
    assert categories == {"a": "Faces", "b": "Faces", "c": "Rest"}


def test_sets_that_are_damaged_or_share_nothing(programs: Programs) -> None:
    hand_out(programs, [icon_set([f"own-{k}"]) for k in range(5)])
    with pytest.raises(BadData, match="the five sets have no emoji in common"):
        prepare()
    hand_out(programs, [{"package/icons.json": b"[]"}] * 5)
    with pytest.raises(BadData, match="is no package of icons"):
        prepare()
