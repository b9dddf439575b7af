from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ganzoo import folder as checkpoint
from ganzoo.training.pushing import PushBest, best_of
from ganzoo.types import HubError


def finished(run: Path, *names: str) -> Path:
    for name in names:
        (run / name).mkdir(parents=True)
        (run / name / checkpoint.MANIFEST).write_text("{}")
    return run


def end(callback: PushBest, rank: int = 0) -> None:
    trainer: Any = SimpleNamespace(is_global_zero=rank == 0)
    callback.on_fit_end(trainer, SimpleNamespace())  # type: ignore[arg-type]


def test_the_best_model_is_pushed_once_and_by_the_first_rank(tmp_path: Path) -> None:
    pushed: list[Path] = []
    callback = PushBest(finished(tmp_path / "run", "last", "best"), pushed.append)
    for rank in range(2):
        end(callback, rank)
    assert pushed == [tmp_path / "run" / "best"]
    assert best_of(finished(tmp_path / "other", "last")) == tmp_path / "other" / "last"


def test_a_push_that_fails_says_where_the_model_is(tmp_path: Path) -> None:
    def refuse(model: Path) -> None:
        raise HubError("me/my-gan: the token may not do this")

    with pytest.raises(HubError, match=r"may not do this; the model is safe in .*last, and `ganzoo push"):
        end(PushBest(finished(tmp_path / "run", "last"), refuse))
