"""Two ranks with uneven shards give the numbers of one process."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from metrics import metric_ranks


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    out = tmp_path_factory.mktemp("ranks")
    here = Path(__file__).parent
    started = [
        subprocess.Popen(
            [sys.executable, str(here / "metric_ranks.py"), str(out)],
            env={
                **os.environ,
                "RANK": str(rank),
                "OMP_NUM_THREADS": "1",
                "CUDA_VISIBLE_DEVICES": "",
                "GANZOO_CACHE": str(out / "cache"),
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in started:
        _, errors = process.communicate(timeout=550)
        assert process.returncode == 0, errors[-4000:]
    return [json.loads((out / f"rank{rank}.json").read_text()) for rank in range(2)]


def flat(values: Any, name: str = "") -> dict[str, Any]:
    if isinstance(values, dict):
        return {k: v for key, each in values.items() for k, v in flat(each, f"{name} {key}").items()}
    return {name: values}


def compare(one: Any, two: Any) -> None:
    one, two = flat(one), flat(two)
    assert one.keys() == two.keys() and len(one) > 10
    for name, value in one.items():
        assert value == (None if two[name] is None else pytest.approx(two[name], rel=1e-6)), name


def test_every_score_is_that_of_one_process(found: list[dict[str, Any]]) -> None:
    assert found[0]["scores"] == found[1]["scores"]
    compare(found[0]["scores"], metric_ranks.values())


def test_scores_from_stored_features_are_the_same(found: list[dict[str, Any]]) -> None:
    assert found[0]["again"] == found[0]["scores"] == found[1]["again"]


def test_every_state_is_that_of_one_process(found: list[dict[str, Any]]) -> None:
    assert found[0]["states"] == found[1]["states"]
    compare(found[0]["states"], metric_ranks.states(0, 1))


def test_the_path_length_is_that_of_one_process(found: list[dict[str, Any]]) -> None:
    assert found[0]["path"] == found[1]["path"]
    assert found[0]["path"] == pytest.approx(metric_ranks.path(), rel=1e-6)


def test_an_error_on_one_rank_is_raised_on_both(found: list[dict[str, Any]]) -> None:
    for each in found:
        assert "Image 7 holds NaN" in each["failure"]
