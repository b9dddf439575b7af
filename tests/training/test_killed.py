"""Killed at forty random moments and resumed each time, a run ends with the undisturbed one's bits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def report(out: Path, *words: str) -> dict[str, object]:
    script = Path(__file__).with_name("killed.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, str(script), str(out), *words], env=environment, capture_output=True, text=True, timeout=7200
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.nightly
@pytest.mark.parametrize("ranks", [1, 2])
def test_killed_at_forty_moments_it_ends_with_the_same_bits(tmp_path: Path, ranks: int) -> None:
    found = report(tmp_path, "--ranks", str(ranks))
    assert found["differences"] == [] and found["log in order"] and found["left over"] == []
    assert found["kills"] == 40 and isinstance(found["in a save"], int) and found["in a save"] >= 5
