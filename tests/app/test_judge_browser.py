"""HYPE in Debian's Chromium: a scripted judge, with and without limits of time, and no request that leaves the machine.

GANZOO_SCREENSHOTS names a folder for pictures of the page.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsers import chromium, explored, outside, requested, wait

from ganzoo import cli
from ganzoo.metrics import hype

pytestmark = [pytest.mark.nightly]


def test_a_scripted_judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "judged.jsonl"
    shots = Path(os.environ.get("GANZOO_SCREENSHOTS", tmp_path))
    words = ["--judge", "fashion-mnist", "dcgan-fashion-mnist", "--judged", str(log), "--pictures", "12"]
    with explored(tmp_path / "said", *words) as address, chromium() as browser:
        browser.get(address)
        for mode in ("infinity", "time"):
            wait(lambda mode=mode: browser.find_element("id", mode).is_displayed(), mode)
            browser.find_element("id", mode).click()
            for i in range(12):
                count = f"picture {i + 1} of 12"
                wait(lambda count=count: browser.find_element("id", "count").text == count, count)
                wait(lambda: browser.find_element("id", "question").is_displayed(), "the question")
                if i == 2:
                    browser.save_screenshot(str(shots / f"judge-{mode}.png"))
                # Says by turns, which is no better than chance
                browser.find_element("id", "real" if i % 2 else "generated").click()
            wait(lambda: browser.find_element("id", "end").is_displayed(), "the result")
            text = browser.find_element("id", "result").text
            assert ("your threshold is" if mode == "time" else "of your answers were wrong") in text, text
            browser.save_screenshot(str(shots / f"judge-{mode}-end.png"))
            browser.find_element("id", "again").click()
        urls: list[str] = requested(browser)
        errors: list[Any] = [each for each in browser.get_log("browser") if each["level"] == "SEVERE"]
    assert len(urls) > 20 and not outside(urls), outside(urls)
    assert not errors, errors

    told = hype.read_judgements(log)
    assert len(told) == 24 and [each.said for each in told] == [bool(i % 2) for i in range(12)] * 2
    timed = [each for each in told if each.mode == "time"]
    late = [each.shown - each.exposure for each in timed if each.shown is not None and each.exposure is not None]
    assert len(late) == 12 and min(late) > -20 and np.median(late) < 200, f"for as long as was asked: {late}"
    for i, each in enumerate(timed):
        asked = hype.FIRST if i % 4 == 0 else hype.next_exposure(timed[i - 1].exposure or 0, timed[i - 1].right)
        assert each.exposure == asked
    assert cli.main(["evaluate", "dcgan-fashion-mnist", "--judged", str(log), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["key"] for row in rows} == {
        *(f"hype_infinity12{p}" for p in ("", "/real", "/generated")),
        "hype_time12",
    }
