"""`ganzoo project`: pictures of any size, what is written, and what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import tiny
from PIL import Image

import ganzoo
from ganzoo import cli
from ganzoo.folder import write_model


def test_pictures_are_projected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, out, photo = str(tmp_path / "m"), tmp_path / "out", str(tmp_path / "photo.png")
    write_model(tiny("stylegan2"), tmp_path / "m", {})
    Image.new("RGB", (20, 12), "red").save(photo)
    words = ["project", model, photo, "--steps", "3", "--network", "digits_cnn", "--out", str(out)]
    assert cli.main([*words, "--space", "w+", "--tune", "1", "--film", "way.gif"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{photo}: 20x12 pixels, cropped to a square and resized to 8"
    assert said[1].startswith(f"{photo}: squared distance in digits_cnn ") and "LPIPS" not in said[1]
    assert said[2] == f"1 latents of {model} in {out}"
    names = ["latents.safetensors", "model", "projection.png", "state.safetensors", "way.gif"]
    assert sorted(path.name for path in out.iterdir() if path.suffix != ".lock") == names
    tuned = ganzoo.load(out / "model")
    assert ganzoo.latent.load_latents(out / "latents.safetensors", tuned).values.shape == (1, 4, 6)
    assert cli.main([*words, "--resume"]) == 2
    assert "is of another search: its space is w+, not None" in capsys.readouterr().err


def test_points_are_no_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_model(tiny("gan", shape=[2]), tmp_path / "m", {})
    assert cli.main(["project", str(tmp_path / "m"), "x.png"]) == 2
    assert "the model makes samples of shape (2,), and no pictures to be projected" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["x.png"], "x.png: there is no such file, nor folder; a picture, a folder or a pattern is expected"),
        (["m/config.json"], "m/config.json: it is no picture"),
        (["x.png", "--space", "w"], "space is 'w'; z is expected of DCGAN"),
        (["t.png", "--pixels", "nan"], "pixels=nan, lr=0.1: a weight from 0 and a rate above 0 are expected"),
        (["t.png", "--noise", "loud"], "noise is 'loud'; learn or const is expected"),
        (["x.png", "--film", "way.txt"], "projected/way.txt: no film is written as '.txt'; try .gif or .mp4"),
        (["x.png", "--steps", "0"], "--steps is 0; at least 1 is expected"),
        (["x.png", "--out", "m/config.json"], "--out is m/config.json, which is a file; give a folder"),
    ],
)
def test_what_cannot_be(words: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                        capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write_model(tiny("dcgan"), tmp_path / "m", {})
    Image.new("L", (8, 8)).save("t.png")
    assert cli.main(["project", "./m", *words]) in (1, 2)
    assert capsys.readouterr().err == f"ganzoo: {line}\n"
