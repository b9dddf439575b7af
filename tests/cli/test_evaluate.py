"""`ganzoo evaluate`: the table, and what is wrong usage."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from ganzoo import cli
from ganzoo.cli.evaluate import table
from ganzoo.data.batch import Images
from ganzoo.data.digits import Digits
from ganzoo.metrics import Subject, measure


def test_what_a_score_is_held_against_stands_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    own = Digits().open("test")
    pairs = Images("pairs", own.values, split="test", targets=255 - own.values)
    able = Subject(translate=lambda images, **_: -images, domains=("b",))
    table(measure(able, pairs, ["mae100_pixels_test"]))
    _, first, second = capsys.readouterr().out.rstrip().splitlines()
    assert first.split()[0] == "mae100_pixels_test" and "100" in first.split()
    assert second.strip().startswith("copy of the input") and float(second.split()[-1]) > 0.5


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "name a model, or a folder with --generated"),
        (["--generated", "pictures"], "--generated needs --data"),
        (["gan-digits", "--protocol", "top1k_mobilenet_v2_test"], "this model does not translate"),
        (["gan-digits", "--protocol", "knn1k_model_k1"], "knn classifies test images"),
        (["gan-digits", "--protocol", "fd500000000_digits_cnn"], "n=500000000: at least 2 images, and 10,000,000"),
        (["gan-digits", "--write", "--protocol", "fd20_digits_cnn"], "name that folder"),
    ],
)
def test_wrong_usage_is_one_line(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", *words, "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert says in error and error.strip().count("\n") == 0, error


def test_a_broken_picture_is_named_and_can_be_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    made, real = tmp_path / "made", tmp_path / "real"
    for folder in (made, real):
        folder.mkdir()
        for k, values in enumerate(Digits().open("train").values[:12]):
            Image.fromarray(values[0]).save(folder / f"{k}.png")
    (made / "broken.png").write_bytes(b"no picture")
    words = ["evaluate", "--generated", str(made), "--data", str(real), "--device", "cpu", "--size", "8"]
    words += ["--protocol", "fd12_mobilenet_v2_all"]
    assert cli.main(words) == 1
    error = capsys.readouterr().err
    assert "broken.png" in error and "bad=skip" in error
    assert cli.main([*words, "--bad", "skip"]) == 0
    out, err = capsys.readouterr()
    assert "fd12_mobilenet_v2_all" in out
    # no terminal: whole lines, one for each thing that was done
    assert "generated images: 12\n" in err and "images of noise: 12\n" in err and "\x1b" not in err
    # and warnings as lines of their own, without the code that they came from
    assert "\nganzoo: The Fréchet distance of 12 samples in 1280 dimensions" in err and "Warning" not in err
