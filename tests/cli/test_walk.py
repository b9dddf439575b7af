"""`ganzoo walk`: of a model, and of a run's previews."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import tiny
from PIL import Image

from ganzoo import cli
from ganzoo.folder import write_model


def test_a_walk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_model(tiny("acgan"), tmp_path / "m", {})
    out = tmp_path / "walk.gif"
    words = ["walk", str(tmp_path / "m"), "--seeds", "3,7", "--steps", "3", "--no-loop", "--labels", "1", "--out"]
    assert cli.main([*words, str(out)]) == 0
    assert capsys.readouterr().out == f"4 pictures of {tmp_path / 'm'} in {out}\n"
    with Image.open(out) as film:
        assert film.n_frames == 4  # type: ignore[attr-defined]


def test_a_runs_previews(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run" / "previews").mkdir(parents=True)
    for step, side in ((0, 64), (100, 64), (200, 128)):  # a network may have grown between two
        Image.new("L", (side, side), step).save(tmp_path / "run" / "previews" / f"{step:08d}.png")
    out = tmp_path / "run.webp"
    assert cli.main(["walk", "--run", str(tmp_path / "run"), "--rate", "2", "--out", str(out)]) == 0
    assert "3 previews of " in capsys.readouterr().out
    with Image.open(out) as film:
        assert film.size == (64, 64) and film.n_frames == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "name a model, or a run's folder with --run"),
        (["x", "--run", "y"], "name a model, or a run's folder with --run"),
        (["--run", ".", "--seeds", "0"], "--seeds does nothing beside --run; leave one of them out"),
        (["--run", ".", "--no-loop"], "--loop does nothing beside --run; leave one of them out"),
        (["--run", ".", "--truncation-cutoff", "2"], "--truncation-cutoff does nothing beside --run"),
        (["--run", "."], ".: holds no previews/*.png; the folder of a run is expected"),
    ],
)
def test_wrong_usage(words: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                     capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert cli.main(["walk", *words]) == 2
    assert capsys.readouterr().err.startswith(f"ganzoo: {line}")


def test_a_damaged_preview(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "previews").mkdir()
    (tmp_path / "previews" / "00000000.png").write_bytes(b"no picture")
    assert cli.main(["walk", "--run", str(tmp_path), "--out", str(tmp_path / "x.gif")]) == 2
    assert "00000000.png: no readable picture" in capsys.readouterr().err
