"""Reports: every logged number as a line of JSON, and a progress bar for people."""

import json
import math
import os
import queue
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ganzoo.files import atomic
from ganzoo.game.game import Game

LOG = "log.jsonl"
_GIVEN_UP = 10  # failures of another logger in a row


class JsonLines(Logger):
    """Appends each line of the log to `log.jsonl`; numbers that are not finite become null, which JSON has.

    Lines that a full disk refused are kept and written with the next.

    Args:
        folder: of the run.
        after: on resuming, lines of later steps than this are dropped with the first line that is written, because they
            will be written again.
    """

    def __init__(self, folder: Path, after: int | None = None) -> None:
        super().__init__()
        self.path, self.after = folder / LOG, after
        self._waiting = ""

    @property
    def name(self) -> str:
        """Lightning wants one."""
        return "jsonl"

    @property
    def version(self) -> str:
        """Lightning wants one."""
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Appends a line."""
        finite = {k: v if math.isfinite(v) else None for k, v in metrics.items()}
        self._waiting += json.dumps({"step": step, **finite}) + "\n"
        try:
            self._append()
        except OSError as error:
            warnings.warn(f"{self.path}: {error.strerror}; its lines are kept for later", stacklevel=1)

    def _append(self) -> None:
        if self.after is not None and self.path.exists():
            cut_log(self.path, self.after)
        self.after = None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        size = self.path.stat().st_size if self.path.exists() else 0
        try:
            with self.path.open("a") as file:
                file.write(self._waiting)
        except OSError:
            if self.path.exists():
                os.truncate(self.path, size)  # no half line stays
            raise
        self._waiting = ""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """The run's `recipe.yaml` holds them."""


class Patient(Logger):
    """Another logger, which may hang or fail without holding training up: it is spoken to from a thread of its own.

    What it raises is said once, by its kind alone, since a text may hold an address with a key in it. After ten
    failures in a row, or while a thousand lines wait, no more are handed to it; `log.jsonl` has them all.

    Args:
        logger: the other one.
        patience: seconds for which the end of a run waits for it.
    """

    def __init__(self, logger: Logger, patience: float = 10.0) -> None:
        super().__init__()
        self.logger, self.patience = logger, patience
        self._waiting: queue.Queue[Callable[[], object]] = queue.Queue(maxsize=1000)
        self._failures, self._said = 0, False
        self._thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        """Of the other logger's class."""
        return type(self.logger).__name__

    @property
    def version(self) -> str:
        """Lightning wants one."""
        return ""

    @property
    def experiment(self) -> Any:
        """The other logger's own."""
        return getattr(self.logger, "experiment", None)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Hands a line on."""
        self.hand(partial(self.logger.log_metrics, dict(metrics), step=step))

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Hands them on."""
        self.hand(partial(self.logger.log_hyperparams, params, *args, **kwargs))

    @rank_zero_only
    def save(self) -> None:
        """Lets the other one write."""
        self.hand(self.logger.save)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Waits for the other one, but not long."""
        self.hand(partial(self.logger.finalize, status))
        until = time.monotonic() + self.patience
        while self._waiting.unfinished_tasks and time.monotonic() < until:
            time.sleep(0.02)
        if self._waiting.unfinished_tasks:
            self._say(f"{self._waiting.unfinished_tasks} lines were not taken in {self.patience:g} s")

    def hand(self, call: Callable[[], object]) -> None:
        """Lets the thread call something of the other logger's."""
        if self._failures >= _GIVEN_UP:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True, name=self.name)
            self._thread.start()
        try:
            self._waiting.put_nowait(call)
        except queue.Full:
            self._say("it does not answer")

    def _work(self) -> None:
        while True:
            call = self._waiting.get()
            try:
                if self._failures < _GIVEN_UP:
                    call()
                    self._failures = 0
            except Exception as error:  # whatever another library raises, and wherever its server is
                self._failures += 1
                self._say(type(error).__name__)
            finally:
                self._waiting.task_done()

    def _say(self, what: str) -> None:
        if not self._said:
            self._said = True
            warnings.warn(f"{self.name}: {what}; training goes on, and {LOG} has every line", stacklevel=1)


def cut_log(path: Path, step: int) -> None:
    """Drops the lines of steps after this one."""
    kept = [line for line in path.read_text().splitlines() if _step(line) <= step]
    with atomic(path) as part:
        part.write_text("".join(line + "\n" for line in kept))


def _step(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):  # a line that a kill cut short
        return 2**62


class Bar(L.Callback):
    """A progress bar with every player's loss and images a second; whole lines where there is no terminal.

    Args:
        name: of the run, which is said when training starts; nothing is said where it is empty.
        folder: of the run.
    """

    def __init__(self, name: str = "", folder: str = "") -> None:
        self.title, self.folder = name, folder
        self._main = False
        self._progress: Progress | None = None
        self._shown: dict[str, float] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Says what is trained, and opens the bar."""
        self._main = trainer.is_global_zero
        if not self._main:
            return
        assert isinstance(pl_module, Game)
        if self.title:
            how = "going on" if trainer.global_step else "training"
            count = sum(p.numel() for name in pl_module.networks() for p in getattr(pl_module, name).parameters())
            say(f"{how}: {self.title}, {count:,} parameters, in {self.folder}")
        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}"),
        )
        if progress.console.is_terminal:
            self._progress = progress
            progress.start()
            total = trainer.max_steps if trainer.max_steps > 0 else None
            self._task = progress.add_task("training", total=total, completed=trainer.global_step, numbers="")

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
        """Moves the bar."""
        assert isinstance(pl_module, Game)
        if self._progress is not None:
            self._progress.update(self._task, completed=trainer.global_step)
        self._show(pl_module, trainer.max_steps)

    def _show(self, game: Game, steps: int) -> None:
        """Shows the last line of the log, which the game writes after the callbacks' turn, once."""
        if not self._main or not game.latest or game.latest is self._shown:
            return
        self._shown = game.latest
        numbers = _numbers(self._shown)
        if self._progress is not None:
            self._progress.update(self._task, numbers=numbers)
        else:
            say(f"step {game.latest_step}{f' of {steps}' if steps > 0 else ''}: {numbers}")

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Closes the bar."""
        assert isinstance(pl_module, Game)
        self._show(pl_module, trainer.max_steps)
        self._main = False
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Closes the bar before the error is printed."""
        self.on_train_end(trainer, pl_module)


def say(text: str) -> None:
    """Prints a line; where it goes into a file on a full disk, training matters more."""
    with suppress(OSError):
        print(text, flush=True)


def _numbers(latest: dict[str, float]) -> str:
    losses = [f"{name.removesuffix('_loss')} {value:.3f}" for name, value in latest.items() if name.endswith("_loss")]
    return "  ".join([*losses, f"{latest.get('images_per_second', 0):.0f} images/s"])
