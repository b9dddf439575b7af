"""`benchmarks/train_shipped.py`: what begins first, what is left out, and that a time limit lets runs save."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import benchmark

FILE = Path(__file__).resolve().parents[1] / "benchmarks" / "train_shipped.py"

# Stands in for `ganzoo train`: it saves step 3 and ends, or waits to be asked, and saves step 2
PROCESS = """
import json, pathlib, sys, time
folder, waits = pathlib.Path(sys.argv[1]), sys.argv[2] == "waits"
step = 3
if waits:
    (folder.parent / "ready").write_text("")
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        step = 2
(folder / "last").mkdir(parents=True, exist_ok=True)
(folder / "last" / "config.json").write_text(json.dumps({"steps": step, "images_seen": 10 * step}))
sys.exit(0 if step == 3 else 130)
"""


@pytest.fixture(name="script")
def fixture_script() -> Any:
    return benchmark("train_shipped")


def stand_in(script: Any, monkeypatch: pytest.MonkeyPatch, waits: bool, begun: list[str]) -> None:
    def begin(job: Any, words: Any) -> None:
        begun.append(job.name)
        how = "waits" if waits else "ends"
        job.process = subprocess.Popen([sys.executable, "-c", PROCESS, str(job.folder), how], start_new_session=True)

    monkeypatch.setattr(script.Job, "begin", begin)


def test_the_largest_budget_begins_first(script: Any, tmp_path: Path) -> None:
    jobs = script.shipped(tmp_path, ["dcgan-digits", "dcgan-fashion-mnist"])
    assert [job.name for job in jobs] == ["dcgan-fashion-mnist", "dcgan-digits"]
    assert jobs[0].budget > jobs[1].budget > 0 and jobs[0].recipe.is_file()
    assert {job.name for job in script.shipped(tmp_path, [])} >= {"sngan-fashion-mnist", "unrolled-ring"}
    with pytest.raises(SystemExit, match="dcgan-nothing: no shipped model"):
        script.shipped(tmp_path, ["dcgan-nothing"])


def test_what_is_finished_is_left_out_and_what_was_stopped_goes_on(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    jobs = [script.Job(name, FILE, tmp_path / name, 1) for name in ("a", "b")]
    stand_in(script, monkeypatch, False, begun)
    assert script.train(tmp_path, jobs[:1], 2, 0.0, []) == 0
    monkeypatch.setattr(
        script.time, "monotonic", lambda: 1e9 * (tmp_path / "ready").exists()
    )  # the limit, once it runs
    stand_in(script, monkeypatch, True, begun)
    assert script.train(tmp_path, jobs, 2, 1.0, []) == 1 and begun == ["a", "b"]
    ledger = json.loads((tmp_path / script.LEDGER).read_text())
    assert {name: (facts["finished"], facts["steps"], facts["images"]) for name, facts in ledger.items()} == {
        "a": (True, 3, 30),
        "b": (False, 2, 20),
    }
    monkeypatch.undo()
    stand_in(script, monkeypatch, False, begun)
    assert script.train(tmp_path, jobs, 2, 0.0, []) == 0 and begun == ["a", "b", "b"]
    again = json.loads((tmp_path / script.LEDGER).read_text())
    assert again["b"]["finished"] and again["b"]["cpu_minutes"] >= ledger["b"]["cpu_minutes"]
