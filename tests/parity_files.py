"""Finds the parity fixtures: authors' checkpoints with random weights, and what the authors' code made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

_TESTS = Path(__file__).resolve().parent
_FOLDERS = (_TESTS / "parity", _TESTS.parents[1] / "shared" / "parity")


def present(name: str) -> Path | None:
    """Where a fixture lies: in the project's own tests, or in `shared/parity` beside the project; else None."""
    return next((folder / name for folder in _FOLDERS if (folder / name).is_file()), None)


def fixture(name: str) -> Path:
    """A fixture's path; the test is skipped where it is absent."""
    found = present(name)
    if found is None:
        pytest.skip(f"parity fixture {name} is neither in tests/parity nor in ../shared/parity")
    return found


def answers(name: str) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
    """Inputs and outputs of the authors' code, and the facts about them.

    Args:
        name: of the fixture, with or without `.npz`: "stylegan3.r".
    """
    with np.load(fixture(f"{name.removesuffix('.npz')}.npz"), allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in stored.files if key != "meta"}
        return arrays, json.loads(str(stored["meta"]))


def keys(name: str) -> dict[str, dict[str, tuple[tuple[int, ...], str]]]:
    """Every tensor of a fixture: network, to name, to shape and element type."""
    table = json.loads(fixture(f"{name}.keys.json").read_text())
    return {
        network: {key: (tuple(shape), dtype) for key, (shape, dtype) in tensors.items()}
        for network, tensors in table.items()
    }


def distance(ours: torch.Tensor | np.ndarray[Any, Any], theirs: torch.Tensor | np.ndarray[Any, Any]) -> float:
    """How far apart: `max|ours - theirs| / max(std(theirs), max|theirs| / 100)`; infinite where shapes differ."""
    a, b = (np.asarray(x.detach().cpu() if isinstance(x, torch.Tensor) else x, np.float64) for x in (ours, theirs))
    if a.shape != b.shape or not np.isfinite(a).all():
        return float("inf")
    scale = max(float(b.std()), float(np.abs(b).max()) / 100)
    return float(np.abs(a - b).max() / scale) if scale else float(np.abs(a).max() > 0)
