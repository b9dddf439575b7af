"""`ganzoo evaluate`: the table, and what is wrong usage."""

from __future__ import annotations

import pytest

from ganzoo import cli
from ganzoo.cli.evaluate import table
from ganzoo.data.batch import Images
from ganzoo.data.digits import Digits
from ganzoo.metrics import Abilities, Protocol, measure_tasks


def test_what_a_score_is_held_against_stands_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    own = Digits().open("test")
    pairs = Images("pairs", own.values, split="test", targets=255 - own.values)
    able = Abilities(translate=lambda images, **_: -images, directions=("a2b",))
    table(measure_tasks(able, pairs, [Protocol("mae", 100, "pixels", split="test")]))
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
    ],
)
def test_wrong_usage_is_one_line(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", *words, "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert says in error and error.strip().count("\n") == 0, error
