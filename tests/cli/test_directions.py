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
    assert cli.main([*words, "--classifier", "digits_cnn", "--class", "3", "--n", "60"]) == 0
    assert "1 directions in z" in capsys.readouterr().out
    for more, said in (
        ([], "--method attribute needs a --classifier and a --class"),
        (["--classifier", "points", "--class", "3"], "the network points tells no classes"),
        (["--classifier", "digits_cnn", "--class", "three"], "a number is expected"),
    ):
        assert cli.main([*words, *more]) == 2
        assert said in capsys.readouterr().err
