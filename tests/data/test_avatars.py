"""Avatars: options against what the pictures show, labels, splits, captions; stand-ins for npm and Node.js."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from avatar_files import COUNT, pictures, prepared
from drawing_programs import Programs
from PIL import Image

from ganzoo.cli.data import parser, run
from ganzoo.data import avatars, drawing
from ganzoo.data.avatars import STYLES, AvatarOutlines, Avatars, caption, drawn, prepare
from ganzoo.data.captions import embed
from ganzoo.types import BadArgument, BadData, UnknownName


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(prepared(tmp_path_factory.mktemp("avatars")))


def refused(call: Callable[[], object], kind: type[Exception] = BadData) -> str:
    with pytest.raises(kind) as caught:
        call()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    return str(caught.value)


def colour(word: str, classes: avatars.Classes) -> np.ndarray:
    (values,) = classes[word].values()
    return np.array([int(values[0][k : k + 2], 16) for k in (0, 2, 4)])


# --------------------------------------------------------------------------------------------------- what is drawn


@pytest.mark.parametrize("style", STYLES)
def test_classes_are_even_independent_and_tell_the_options(style: str) -> None:
    options, columns = drawn(style, 3000)
    source = STYLES[style]
    assert len({json.dumps(each, sort_keys=True) for each in options}) == len(options), "two are alike"
    for name, classes in source.attributes.items():
        shares = np.bincount(columns[name], minlength=len(classes)) / len(options)
        assert np.abs(shares * len(classes) - 1).max() < 0.15, name
        for each, at in zip(options, columns[name], strict=True):
            for option, values in list(classes.values())[at].items():
                assert each[option][0] in values if values else each[f"{option}Probability"] == 0
    names = list(source.attributes)
    table = np.corrcoef([columns[name] for name in names])
    assert np.abs(table - np.eye(len(names))).max() < 0.07


def test_captions_come_as_embeddings(root: str) -> None:
    data = Avatars("pixel-art", captions=True, root=root)
    images = data.open("test")
    assert images.texts is not None and np.array_equal(images.texts, embed([r["caption"] for r in data.table("test")]))
    batch = data.open("train").batch([3, 1])
    assert batch.condition.text is not None and len(batch.condition.text) == 2
    assert Avatars("pixel-art", root=root).open("test").digest != images.digest


def test_the_first_are_always_the_same() -> None:
    assert drawn("lorelei", 5)[0] == drawn("lorelei", 50)[0][:5] != drawn("lorelei", 5, seed=1)[0]


def test_age_is_told_by_hair() -> None:
    _, columns = drawn("pixel-art", 200)
    classes = STYLES["pixel-art"].classes
    for age, hair in zip(columns["age"], columns["hair-colour"], strict=True):
        grey = {"grey-hair": "middle-aged", "white-hair": "old"}
        assert classes["age"][age] == grey.get(classes["hair-colour"][hair], "young")


def test_pictures_show_what_their_classes_say(root: str) -> None:
    """Pixels of pixel-art, without the packages: colours of hair and clothes, dark glasses, a beard on the chin."""
    source, values = STYLES["pixel-art"], pictures("pixel-art").transpose(0, 2, 3, 1).astype(int)
    for row, picture in zip(Avatars("pixel-art", root=root).table("all"), values, strict=True):
        hair, clothes = (source.attributes[name] for name in ("hair-colour", "clothes"))
        counts = {word: (np.abs(picture[:28] - colour(word, hair)).max(-1) < 3).sum() for word in hair}
        counts["black-hair"] = (np.abs(picture[:16] - colour("black-hair", hair)).max(-1) < 3).sum()
        assert max(counts, key=lambda word: counts[word]) == row["hair-colour"]
        near = {word: np.abs(picture[61, 24:40] - colour(word, clothes)).sum() for word in clothes}
        assert min(near, key=lambda word: near[word]) == row["clothes"]
        dark = (picture[20:32, 12:52].max(-1) < 0x30).sum()
        assert (dark >= 64) == (row["eyewear"] != "no-glasses") or row["hair-colour"] == "black-hair"
        skin = 0.9 * colour(row["skin"], source.attributes["skin"]) + 25.5  # a tenth of white lies on the face
        chin = np.abs(picture[44:47, 20:44] - skin).max(-1)
        assert ((chin > 12).mean() > 0.5) == (row["beard"] == "beard")


# ---------------------------------------------------------------------------------------------- splits and labels


def test_every_tenth_is_for_testing(root: str) -> None:
    data = Avatars("lorelei", root=root)
    test, train, whole = (data.open(split) for split in ("test", "train", "all"))
    assert (len(test), len(train), len(whole)) == (4, 36, COUNT) and whole.labels is None
    assert np.array_equal(test.values, whole.values[9::10]) and np.array_equal(whole.values, pictures("lorelei"))
    assert (test.license, test.name) == ("CC0-1.0", "avatars-lorelei")


def test_labels_are_classes_or_vectors(root: str) -> None:
    table = Avatars(root=root).table("test")
    by_class = Avatars(labels="age", root=root).open("test")
    assert by_class.name == "avatars-pixel-art-age"  # by which a classifier is found
    assert by_class.classes == ("young", "middle-aged", "old") and by_class.labels is not None
    assert [by_class.classes[k] for k in by_class.labels] == [row["age"] for row in table]
    vectors = Avatars(labels=["glasses", "beard", "age"], root=root).open("test")
    assert vectors.classes == ("glasses", "beard", "young", "middle-aged", "old") and vectors.labels is not None
    expected = [[word in row.values() for word in vectors.classes] for row in table]
    assert np.array_equal(vectors.labels, np.array(expected, np.int64))
    assert vectors.batch([0, 1]).labels.dtype.is_floating_point  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [16, 32, 128])
def test_other_sizes_are_means_of_pixels_or_repeat_them(root: str, size: int) -> None:
    made, whole = Avatars(size=size, root=root).open("all").values, pictures("pixel-art")
    if size == 128:
        assert np.array_equal(made, whole.repeat(2, 2).repeat(2, 3))
    else:  # the style's own pixels are squares of four of these
        assert np.array_equal(made, whole[..., :: 64 // size, :: 64 // size])


def test_captions_say_each_class(root: str) -> None:
    row = {"mouth": "smiling", "age": "old", "hair": "long-hair", "hair-colour": "white-hair", "eyewear": "no-glasses"}
    assert caption(row) == "a smiling old person with long white hair"
    assert caption(row | {"beard": "beard", "mouth": "serious", "eyewear": "sunglasses"}) == (
        "a serious old person with long white hair, sunglasses and a beard"
    )
    assert caption({"age": "old", "hair": "bald", "beard": "no-beard"}) == "an old bald person"
    assert caption({"eyewear": "no-glasses"}) == "a person"
    for style in STYLES:
        rows = Avatars(style, root=root).table("all")  # type: ignore[arg-type]
        told = {tuple(row[name] for name in STYLES[style].classes): row["caption"] for row in rows}
        assert len(set(told.values())) == len(told), f"{style}: two captions of other classes are alike"


# ------------------------------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ("hat", "labels is 'hat'; pixel-art has no such attribute"),
        ("hair-color", "; did you mean hair-colour"),
        (["glasses", "grey"], "labels has 'grey'; pixel-art has no such class or attribute; did you mean grey-hair"),
        (["age", "old"], "labels are ['age', 'old']; some classes are expected, each once"),
        ([], "labels are []"),
    ],
)
def test_unknown_labels(labels: Any, text: str) -> None:
    assert text in refused(lambda: Avatars(labels=labels), BadArgument)


def test_files_that_are_missing_or_damaged(tmp_path: Path) -> None:
    data = Avatars("lorelei", root=str(tmp_path))
    again = f"run `ganzoo data avatars --style lorelei --out {tmp_path}`."
    assert refused(lambda: data.open("all")) == f"{tmp_path}: holds no avatars in the style of lorelei; {again}"
    prepared(tmp_path)
    pixels, facts = tmp_path / "lorelei.safetensors", tmp_path / "lorelei.json"
    pixels.write_bytes(pixels.read_bytes()[:-1] + b"x")
    assert refused(lambda: data.open("all")) == f"{pixels}: is not the file that lorelei.json describes; {again}"
    content = json.loads(facts.read_text())
    facts.write_text(json.dumps(content | {"avatars": content["avatars"] | {"beard": [2] * COUNT}}))
    text = refused(lambda: Avatars("lorelei", root=str(tmp_path)).open("all"))
    assert text == f"{facts}: is damaged (its column beard does not fit); {again}"


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        (
            ["avatar"],
            UnknownName,
            "there is no data set 'avatar' to prepare; there are avatars, emoji, icons and mnist",
        ),
        (["avatars", "--style", "personas"], BadArgument, "--style is personas; avatars has the styles pixel-art, lor"),
        (["mnist", "--style", "lorelei"], BadArgument, "--style is lorelei; mnist has no styles, only avatars and em"),
    ],
)
def test_the_command_refuses(arguments: list[str], kind: type[Exception], text: str) -> None:
    assert refused(lambda: run(parser().parse_args(arguments)), kind).startswith(text)
    assert "style is x; pixel-art" in refused(lambda: prepare("x"), BadArgument)


# ------------------------------------------------------------------------------------------- packages and programs


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    return Programs(tmp_path, monkeypatch)


def test_pictures_are_read_in_their_order(programs: Programs, tmp_path: Path) -> None:
    drawn_here = drawing.draw(["<svg/>"] * 3, 8, tmp_path)
    assert drawn_here.shape == (3, 3, 8, 8) and [each.mean() for each in drawn_here] == [0, 1, 2]
    assert not list(tmp_path.glob(".drawing*"))


def test_programs_that_are_missing_or_fail(programs: Programs, tmp_path: Path) -> None:
    programs.node("sys.stderr.write('at x\\nError: hair is undefined, not short01\\n  at y')\nsys.exit(1)")
    text = refused(lambda: drawing.draw(["<svg/>"], 8, tmp_path))
    assert text.startswith("node could not draw the pictures (Error: hair is undefined, not short01)")
    programs.node("open('pixels', 'wb').write(b'123')")
    assert refused(lambda: drawing.draw(["<svg/>"], 8, tmp_path)) == "node drew 3 bytes, not 1 pictures of 8x8 pixels."
    (programs.folder / "bin" / "npm").unlink()
    assert refused(lambda: drawing.draw([], 8, tmp_path)).startswith("npm is not on this machine, and fetches @resvg/")
    (programs.folder / "bin" / "node").unlink()
    assert refused(lambda: drawing.draw([], 8, tmp_path)).startswith("node is not on this machine, and draws the pict")


def test_another_package_does_not_run(programs: Programs, tmp_path: Path) -> None:
    programs.hand_out("@a/b@1.0")
    text = refused(lambda: drawing.draw([], 8, tmp_path, {"@a/b@1.0": "sha512-" + "A" * 86}, "@a/b"))
    assert text.startswith("@a/b@1.0: npm brought sha512-") and text.endswith("nothing was read.")


def test_avatars_are_prepared(programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = STYLES["lorelei"]
    monkeypatch.setitem(
        avatars.STYLES,
        "lorelei",
        avatars.Style(source.package, programs.hand_out(source.package), "x", source.attributes),
    )
    folder = prepare("lorelei", tmp_path / "made", count=20)
    images = Avatars("lorelei", "beard", root=str(folder)).open("all")
    assert images.values.mean((1, 2, 3)).tolist() == list(range(20)) and images.labels is not None


REAL = Path.home() / ".cache" / "ganzoo" / "data" / "avatars"


@pytest.mark.skipif(not (REAL / "pixel-art.json").is_file(), reason="needs `ganzoo data avatars --style pixel-art`")
def test_what_was_prepared_here_begins_with_the_tests_own() -> None:
    whole = Avatars("pixel-art", root=str(REAL)).open("all")
    assert np.array_equal(whole.values[:COUNT], pictures("pixel-art"))
    assert (len(whole), len(np.unique(whole.values.reshape(len(whole), -1), axis=0))) == (20_000, 20_000)


def test_the_sheets_are_small() -> None:
    for style in STYLES:
        with Image.open(Path(__file__).parent / "avatars" / f"{style}.png") as sheet:
            assert sheet.size == (640, 256)


def test_outlines_are_drawn_from_the_avatars(root: str) -> None:
    avatars = Avatars("lorelei", root=root, size=32)
    drawn = AvatarOutlines("lorelei", root=root, size=32).open("test")
    assert (drawn.name, drawn.shape, drawn.paired) == ("avatars-lorelei-outlines-to-colours", (1, 32, 32), True)
    assert drawn.targets is not None and np.array_equal(drawn.targets, avatars.open("test").values)
    inner = drawn.targets[:, :, 1:-1, 1:-1].astype(int)
    shifts = [drawn.targets[:, :, 1 + i : 31 + i, 1 + j : 31 + j] for i in (-1, 0, 1) for j in (-1, 0, 1)]
    lighter = (np.max(shifts, axis=0) - inner).max(1)
    assert np.array_equal(drawn.values[:, 0, 1:-1, 1:-1] == 0, lighter > 40)
    assert 0.02 < (lighter > 40).mean() < 0.5
