"""The lines of the log, and the bar."""

from __future__ import annotations

import errno
import json
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
from helpers import data_for, fit, tiny, trainer
from lightning.pytorch.loggers import Logger
from toys import Toy

from ganzoo.training.checkpoints import AtomicIO
from ganzoo.training.reports import Bar, JsonLines, Patient


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


class Server(Logger):
    """A logger of another machine, which answers as it likes."""

    name, version = "server", ""

    def __init__(self, answer: Exception | float | None) -> None:
        super().__init__()
        self.answer, self.got = answer, 0

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if isinstance(self.answer, Exception):
            raise self.answer
        time.sleep(self.answer or 0)
        self.got += 1

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Takes none."""


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (60.0, "were not taken in 0.2 s"),
        *((ConnectionError(f"{code} for https://host/?key=s3cret"), "ConnectionError") for code in (401, 429, 500)),
        (None, ""),
    ],
    ids=["hangs", "401", "429", "500", "works"],
)
def test_a_logger_that_hangs_or_refuses_costs_no_line(
    tmp_path: Path, answer: Exception | float | None, said: str
) -> None:
    server = Server(answer)
    lines, patient = JsonLines(tmp_path), Patient(server, patience=0.2 if answer is not None else 30)
    game = tiny("gan")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = trainer(20)
        made.loggers = [lines, patient]
        made.fit(game, data_for(game))
        warnings.simplefilter("always")
        patient.finalize("success")
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [*range(1, 21)], "not one line is lost"
    texts = [str(warning.message) for warning in caught if "Server" in str(warning.message)]
    assert server.got == 20 if answer is None else all(said in text for text in texts)
    assert not any("s3cret" in text for text in texts)
    assert patient._said == (answer is not None)
