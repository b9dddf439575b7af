"""HYPE: staircases by hand, intervals against the binomial's, and files that people's programs may have written."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganzoo.metrics import hype
from ganzoo.types import BadArgument


def judgement(**changes: Any) -> hype.Judgement:
    facts: dict[str, Any] = dict(session="s", number=0, of=6, mode="infinity", model="m", generator="g", data="d")
    facts |= dict(data_digest="x", split="train", seed=None, index=3, exposure=None, shown=None, took=800.0)
    return hype.Judgement(**(facts | dict(real=True, said=True) | changes))


def session(name: str, rights: list[bool], mode: str = "infinity") -> list[hype.Judgement]:
    """Every other picture is real; `rights` says which answers are right."""
    found, exposure = [], hype.FIRST
    for i, right in enumerate(rights):
        real = i % 2 == 0
        kind: dict[str, Any] = {"seed": None, "index": i} if real else {"seed": i, "index": None}
        if mode == "time":
            exposure = hype.FIRST if i % (len(rights) // 3) == 0 else exposure
            kind |= {"exposure": exposure, "shown": exposure + 3.0, "mode": mode}
            exposure = hype.next_exposure(exposure, right)
        found.append(judgement(session=name, number=i, of=len(rights), real=real, said=real == right, **kind))
    return found


def test_a_staircase_by_hand() -> None:
    # The paper's figure: 30 ms down for a right answer, 10 up for a wrong one
    exposures = [500]
    for right in (True, True, False, False, False, True):
        exposures.append(hype.next_exposure(exposures[-1], right))
    assert exposures == [500, 470, 440, 450, 460, 470, 440]
    assert hype.threshold(exposures) == 455, "470 and 440 twice each"
    assert hype.threshold([500, 470, 440, 450, 440]) == 440
    low, high = 500, 500
    for _ in range(100):
        low, high = hype.next_exposure(low, True), hype.next_exposure(high, False)
    assert (low, high) == (100, 1000)


def test_the_interval_of_a_share_is_the_binomials() -> None:
    values = [1.0] * 30 + [0.0] * 70
    low, high, spread = hype.interval(values)
    exact = (0.3 * 0.7 / 100) ** 0.5
    assert abs(spread - exact) < 0.02 * exact and abs(low - (0.3 - 1.96 * exact)) < 0.01
    assert abs(high - (0.3 + 1.96 * exact)) < 0.01 and hype.interval(values) == (low, high, spread)


def test_error_rates_of_people() -> None:
    wrong = [session(str(i), [j >= i for j in range(10)]) for i in (2, 4, 6)]
    unfinished = session("cut", [False] * 10)[:9]
    every, real, generated = hype.score([*(each for person in wrong for each in person), *unfinished])
    assert [each.key for each in (every, real, generated)] == [
        "hype_infinity10",
        "hype_infinity10/real",
        "hype_infinity10/generated",
    ]
    assert every.value == pytest.approx(0.4) and (every.n, every.n_real) == (15, 15)
    assert real.value == pytest.approx((1 + 2 + 3) / 15) and generated.value == pytest.approx((1 + 2 + 3) / 15)
    assert every.details["resampled"] == "people" and every.details["people"] == 3
    low, high = every.details["interval"]
    assert 0.2 <= low < 0.4 < high <= 0.6
    alone = hype.score(wrong[0])[0]
    assert alone.details["resampled"] == "answers of one person" and alone.value == pytest.approx(0.2)


def test_thresholds_of_people() -> None:
    # Who is always right goes down for ever: every exposure once, so the mean of them
    (always,) = hype.score(session("a", [True] * 12, "time"))
    assert always.key == "hype_time12" and always.value == np.mean([500, 470, 440, 410])
    (never,) = hype.score(session("b", [False] * 12, "time"))
    assert never.value == np.mean([500, 510, 520, 530])
    both = hype.score([*session("a", [True] * 12, "time"), *session("b", [False] * 12, "time")])[0]
    assert both.value == np.mean([always.value, never.value])
    assert both.details["interval"] == [always.value, never.value], "two people: each drawn alone in a quarter"


def test_what_cannot_be_scored_is_said() -> None:
    with pytest.raises(BadArgument, match="no session was finished; 1 were begun"):
        hype.score(session("a", [True] * 6)[:3])
    other = [replace(each, data_digest="y") for each in session("b", [True] * 6)]
    with pytest.raises(BadArgument, match="real pictures are not the same"):
        hype.score([*session("a", [True] * 6), *other])


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    told = session("a", [True, False] * 6, "time")
    for each in told:
        hype.write_judgement(tmp_path / "new" / "judged.jsonl", each)
    assert hype.read_judgements(tmp_path / "new" / "judged.jsonl") == told


@pytest.mark.parametrize(
    "line",
    [
        "no JSON",
        "[]",
        "{}",
        "[" * 100_000,
        json.dumps(asdict(judgement(took=-1.0))),
        json.dumps(asdict(judgement(took=float("nan")))),
        json.dumps(asdict(judgement(real="yes"))),
        json.dumps(asdict(judgement(number=6))),
        json.dumps(asdict(judgement(number=True))),
        json.dumps(asdict(judgement(mode="quick"))),
        json.dumps(asdict(judgement(of=7))),
        json.dumps(asdict(judgement(seed=3))),
        json.dumps(asdict(judgement(exposure=500))),
        json.dumps({**asdict(judgement()), "more": 1}),
    ],
)
def test_a_line_that_is_none_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "judged.jsonl"
    path.write_text(json.dumps(asdict(judgement())) + "\n" + line + "\n")
    with pytest.raises(BadArgument, match="line 2 is no judgement") as caught:
        hype.read_judgements(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name, text in (("none", "No such file"), (".", "Is a directory"), ("binary", "no text")):
        with pytest.raises(BadArgument, match=text):
            hype.read_judgements(tmp_path / name)
