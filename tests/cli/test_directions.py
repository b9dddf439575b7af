"""`ganzoo directions` and `ganzoo edit`, one after the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import tiny
from PIL import Image

from ganzoo import cli
from ganzoo.folder import write_model


def test_found_and_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, file, out = str(tmp_path / "m"), str(tmp_path / "d.safetensors"), tmp_path / "sheet.png"
    write_model(tiny("stylegan2", size=8), tmp_path / "m", {})
    assert cli.main(["directions", model, "--count", "2", "--out", file]) == 0
    assert capsys.readouterr().out == f"2 directions in w of {model} by sefa: {file}\n"
    words = ["edit", model, "--directions", file, "--seeds", "0-2", "--pictures", "3", "--truncation", "0.7"]
    assert cli.main([*words, "--noise", "const", "--layers", "0-1", "--out", str(out)]) == 0
    with Image.open(out) as sheet:
        assert sheet.size == (3 * 66 + 2, 6 * 66 + 2)
    write_model(tiny("stylegan2", size=8, style=5), tmp_path / "other", {})
    assert cli.main(["edit", str(tmp_path / "other"), "--directions", file]) == 2
    assert "is of another model" in capsys.readouterr().err


def test_an_attribute(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_model(tiny("dcgan"), tmp_path / "m", {})
    words = ["directions", str(tmp_path / "m"), "--method", "attribute", "--out", str(tmp_path / "d.safetensors")]
    assert cli.main([*words, "--classifier", "digits_cnn", "--class", "3", "--n", "200"]) == 0
    assert "1 directions in z" in capsys.readouterr().out
    edit = ["edit", str(tmp_path / "m"), "--directions", words[-1], "--seeds", "0-1", "--pictures", "3"]
    assert cli.main([*edit, "--to", "1", "--out", str(tmp_path / "to.png")]) == 0
    assert capsys.readouterr().out == f"2 samples on the way to 1 in {tmp_path / 'to.png'}\n"
    with Image.open(tmp_path / "to.png") as sheet:
        assert sheet.size[0] > sheet.size[1], "a row a sample"
    for more, said in (
        ([], "--method attribute needs a --classifier"),
        (["--class", "3", "--method", "sefa"], "--class is one of a --classifier's"),
        (["--resume", "--classifier", "digits_cnn"], "--resume is for --method voynov"),
        (["--classifier", "points", "--class", "3"], "the network points tells no classes"),
        (["--classifier", "digits_cnn", "--class", "three"], "a number is expected"),
    ):
        assert cli.main([*words, *more]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["directions", "m", "--out", "d"], "d: is a folder; give the name of a file in it"),
        (
            ["edit", "m", "--directions", "z.safetensors", "--layers", "0"],
            "layers are those of w; a direction in z moves",
        ),
        (
            ["edit", "m", "--directions", "x", "--to", "a", "--index", "0"],
            "--index does nothing beside --to; leave one",
        ),
        (["edit", "m", "--directions", "x", "--to", "a", "--strength", "2"], "--strength does nothing beside --to"),
        (["edit", "m", "--directions", "x", "--latents", "y", "--seeds", "0"], "--seeds does nothing beside --latents"),
        (
            ["edit", "m", "--directions", "x", "--latents", "y", "--labels", "0"],
            "--labels does nothing beside --latents",
        ),
        (["edit", "m", "--directions", "none"], "none: no file of directions (No such file or directory)"),
        (["edit", "m", "--directions", "z.safetensors", "--out", "x.txt"], "x.txt: no picture is written as '.txt'"),
        (["edit", "m", "--directions", "z.safetensors", "--out", "d"], "d: is a folder; give the name of a file"),
        (["arithmetic", "nowhere", "--plus", "1", "--out", "x.txt"], "x.txt: no picture is written as '.txt'"),
        (["neighbours", "nowhere", "--out", "x.txt"], "x.txt: no picture is written as '.txt'"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_done(
    words: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()
    write_model(tiny("dcgan"), tmp_path / "m", {})
    if "z.safetensors" in words:
        assert cli.main(["directions", "m", "--out", "z.safetensors"]) == 0
        capsys.readouterr()
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert line in error and error.count("\n") == 1, error
