"""`ganzoo paint`: on a seed's picture, on a photograph from its encoding, and what cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import tiny
from PIL import Image

import ganzoo
from ganzoo import cli
from ganzoo.folder import write_model


def strokes_of(tmp_path: Path) -> str:
    """A light stroke over the upper left quarter, on 16 pixels a side where the models have 8."""
    picture = Image.new("RGBA", (16, 16))
    picture.paste("white", (0, 0, 8, 8))
    picture.save(tmp_path / "strokes.png")
    return str(tmp_path / "strokes.png")


@pytest.fixture
def strokes(tmp_path: Path) -> str:
    return strokes_of(tmp_path)


def halves(path: Path, images: torch.Tensor) -> tuple[Any, Any, Any]:
    """The levels of a picture's left and right half, and of the left half of a grid of two images."""
    ganzoo.save_grid(images, path.parent / "wanted.png", columns=2)
    both, wanted = (np.asarray(Image.open(f).convert("L"), float) for f in (path, path.parent / "wanted.png"))
    assert both.shape == wanted.shape
    middle = both.shape[1] // 2
    return both[:, :middle], both[:, middle:], wanted[:, :middle]


def lively(name: str) -> Any:
    """A tiny model whose fresh weights are large enough to draw something."""
    game: Any = tiny(name)
    *_, last = (p for p in game.generator.parameters() if p.dim() > 1)
    with torch.no_grad():
        last.mul_(0.5 / game.sample(16).std())
    return game


def test_a_seeds_picture_is_painted_on(tmp_path: Path, strokes: str, capsys: pytest.CaptureFixture[str]) -> None:
    game, out = lively("dcgan"), tmp_path / "painted.png"
    write_model(game, tmp_path / "m", {})
    words = ["paint", str(tmp_path / "m"), "--strokes", strokes, "--steps", "60", "--seed", "3", "--out", str(out)]
    assert cli.main(words) == 0 and capsys.readouterr().out == f"before and after in {out}\n"
    before, after, wanted = halves(out, game.sample(1, seed=3).repeat(2, 1, 1, 1))
    assert np.abs(before - wanted).max() <= 1
    corner = before.shape[0] // 2, before.shape[1] // 2
    assert after[: corner[0], : corner[1]].mean() > before[: corner[0], : corner[1]].mean() + 0.3


def test_strokes_are_turned_as_their_camera_says(tmp_path: Path) -> None:
    write_model(tiny("dcgan"), tmp_path / "m", {})
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    with Image.open(strokes_of(tmp_path)) as picture:
        picture.save(tmp_path / "turned.png", exif=exif)
        picture.rotate(180).save(tmp_path / "rotated.png")
    made = []
    for name in ("turned", "rotated"):
        words = ["--strokes", str(tmp_path / f"{name}.png"), "--steps", "3", "--out", str(tmp_path / f"{name}-out.png")]
        assert cli.main(["paint", str(tmp_path / "m"), *words]) == 0
        made.append(np.asarray(Image.open(tmp_path / f"{name}-out.png")))
    assert np.array_equal(made[0], made[1])


def test_a_photograph_begins_at_its_encoding_and_keeps_the_rest(tmp_path: Path, strokes: str) -> None:
    write_model(lively("bigan"), tmp_path / "m", {})
    values = np.random.RandomState(0).randint(0, 256, (8, 8)).astype(np.uint8)
    Image.fromarray(values).save(tmp_path / "photo.png")
    photo = (torch.from_numpy(values).float() / 127.5 - 1).expand(2, 1, 8, 8)
    out = tmp_path / "painted.png"
    words = ["paint", str(tmp_path / "m"), "--strokes", strokes, "--photo", str(tmp_path / "photo.png")]
    assert cli.main([*words, "--steps", "5", "--out", str(out)]) == 0
    before, after, wanted = halves(out, photo)
    assert np.abs(before - wanted).max() <= 1, "the left one is the photograph itself"
    assert 0 < np.abs(after - wanted).mean() < 30, "not what the fresh model makes of it"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--strokes", "x.png"], "x.png: it is no file; a picture is expected"),
        (["--strokes", "m/config.json"], "m/config.json: it is no picture"),
        (["--strokes", "opaque.png"], "opaque.png is painted all over; strokes lie on a transparent ground"),
        (["--strokes", "empty.png"], "there is no stroke; lay out the picture and paint on it first"),
        (["--strokes", "strokes.png", "--steps", "0"], "--steps is 0; at least 1 is expected"),
        (["--strokes", "program.png"], "program.png: it is no picture"),
        (
            ["--strokes", "strokes.png", "--photo", "opaque.png", "--seed", "0"],
            "--seed does nothing beside --photo; leave one of them out",
        ),
        (["--strokes", "strokes.png", "--latents", "x"], "--latents are those of a photograph; give it with --photo"),
        (
            ["--strokes", "strokes.png", "--photo", "opaque.png"],
            "DCGAN has no encoder; find the picture's latents with `project`",
        ),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("strokes")
def test_what_cannot_be(words: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                        capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write_model(tiny("dcgan"), tmp_path / "m", {})
    Image.new("L", (8, 8)).save("opaque.png")
    Image.new("RGBA", (8, 8)).save("empty.png")
    Path("program.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n")
    assert cli.main(["paint", "./m", *words]) in (1, 2)
    assert capsys.readouterr().err == f"ganzoo: {line}\n"
