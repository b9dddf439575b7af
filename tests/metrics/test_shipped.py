"""The numbers that a shipped model carries are found again from its folder, to four digits."""

import json
from pathlib import Path

import pytest

from ganzoo.metrics import check_comparable
from ganzoo.zoo.evaluating import measure

FOLDERS = sorted((Path(__file__).parents[2] / "checkpoints").glob("*/results.json"))


def test_the_scores_of_a_shipped_model_are_found_again() -> None:
    carried = json.loads((Path(__file__).parents[2] / "checkpoints" / "gan-digits" / "results.json").read_text())
    found = measure("gan-digits", protocol=[score["protocol"]["key"] for score in carried], floors=False)
    assert [score.key for score in found] == [score["key"] for score in carried]
    for score, before in zip(found, carried, strict=True):
        check_comparable([score, before])
        assert score.value == pytest.approx(before["value"], rel=1e-4)
        assert score.spread == (None if before["spread"] is None else pytest.approx(before["spread"], rel=1e-4))


def test_shipped_models_are_compared_under_one_key_only_where_they_may_be() -> None:
    scores = [score for path in FOLDERS for score in json.loads(path.read_text())]
    assert len(scores) >= 10
    for data in {score["data"] for score in scores}:
        check_comparable([score for score in scores if score["data"] == data])
