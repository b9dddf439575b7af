"""The lines of the log, and the bar."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from helpers import data_for, fit, trainer
from toys import Toy

from ganzoo.training.checkpoints import AtomicIO
from ganzoo.training.reports import Bar, JsonLines


def steps(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]


def test_lines_that_a_full_disk_refuses_are_written_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = JsonLines(tmp_path)
    log.log_metrics({"a": 1.0}, step=1)

    class Half:
        """A file on a disk that becomes full in the middle of a line."""

        def __init__(self, path: Path, *args: object) -> None:
            self.file = open(path, "a")  # noqa: SIM115

        def __enter__(self) -> Half:
            return self

        def __exit__(self, *args: object) -> None:
            self.file.close()

        def write(self, text: str) -> None:
            self.file.write(text[:5])
            self.file.flush()
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full, pytest.warns(UserWarning, match="No space left on device"):
        full.setattr(Path, "open", lambda path, *args, **kwargs: Half(path))
        log.log_metrics({"a": 2.0}, step=2)
    assert steps(tmp_path) == [1], "no half line stays"
    log.log_metrics({"a": 3.0}, step=3)
    assert steps(tmp_path) == [1, 2, 3]


def test_numbers_that_are_not_finite_become_null(tmp_path: Path) -> None:
    log = JsonLines(tmp_path)
    log.log_metrics({"a": float("nan"), "b": float("inf"), "c": -float("inf"), "d": 0.5}, step=7)
    text = (tmp_path / "log.jsonl").read_text()
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name)) == {
        "step": 7,
        **{"a": None, "b": None, "c": None, "d": 0.5},
    }


def test_lines_are_written_at_multiples_and_once_a_step(tmp_path: Path) -> None:
    game = Toy(n_critic=2)
    game.engine.log_every = 3
    fit(game, 8, logger=JsonLines(tmp_path))
    game.write_log()  # as at the end of a run
    assert steps(tmp_path) == [3, 6, 8]
    game.write_log()
    assert steps(tmp_path) == [3, 6, 8]


def test_a_line_holds_the_means_since_the_last(tmp_path: Path) -> None:
    game = Toy()
    game.engine.log_every = 4
    losses: list[float] = []
    loss = game.critic_loss

    def kept(batch: object) -> object:
        value = loss(batch)  # type: ignore[arg-type]
        losses.append(float(value))
        return value

    kept.__name__ = "critic_loss"
    game.critic_loss = kept  # type: ignore[assignment,method-assign]
    fit(game, 8, logger=JsonLines(tmp_path))
    written = [json.loads(line)["critic_loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert written == pytest.approx([sum(losses[:4]) / 4, sum(losses[4:]) / 4], abs=1e-6)


def test_resuming_drops_what_will_be_written_again_and_what_a_kill_cut(tmp_path: Path) -> None:
    game = Toy()
    made = trainer(6, logger=JsonLines(tmp_path), plugins=[AtomicIO()])
    made.fit(game, data_for(game))
    made.save_checkpoint(tmp_path / "at6.ckpt")
    fit(Toy(), 9, ckpt=tmp_path / "at6.ckpt", logger=JsonLines(tmp_path))  # a run that was killed after step 9
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 10, "critic_l')
    fit(Toy(), 12, ckpt=tmp_path / "at6.ckpt", logger=JsonLines(tmp_path, after=6))
    assert steps(tmp_path) == list(range(1, 13))
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.endswith(".part")] == []


def test_a_new_run_begins_a_new_log(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 3}\n')
    fit(Toy(), 2, logger=JsonLines(tmp_path, after=-1))
    assert steps(tmp_path) == [1, 2]


def test_the_bar_says_losses_and_speed_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    game = Toy()
    game.engine.log_every = 2
    fit(game, 4, Bar())
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in lines] == ["step 2 of 4", "step 4 of 4"], "whole lines, and no bar"
    assert all("critic " in line and "generator " in line and line.endswith(" images/s") for line in lines)


def test_a_terminal_shows_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    fit(Toy(), 3, Bar("toy", "runs/toy"))
    out = capsys.readouterr().out
    assert "training: toy, " in out and "3/3" in out and "step 3" not in out


def test_the_bar_is_closed_when_training_fails() -> None:
    class Fails(Toy):
        def training_step(self, batch: object, batch_idx: int) -> None:
            raise RuntimeError("on purpose")

    bar = Bar()
    with pytest.raises(RuntimeError, match="on purpose"):
        fit(Fails(), 2, bar)
    assert bar._progress is None
