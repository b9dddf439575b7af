"""Saving: a checkpoint to go on from, and the model folder that `load` reads; both whole or not at all."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

import lightning as L
import torch
from safetensors import SafetensorError

from ganzoo import folder as folders
from ganzoo.data.batch import Data, Images
from ganzoo.game.game import Game
from ganzoo.training import record
from ganzoo.training.checkpoints import GOOD, LAST, PREVIOUS, WAITING, Found, keep
from ganzoo.training.doctor import NEIGHBOURS
from ganzoo.training.reports import LOG
from ganzoo.types import BadArgument, Diverged, GanzooError, TrainingStopped

FOLDER = "last"
_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)
)
_ONE = 1.0  # seconds within which two signals under torchrun are one: it passes on what the terminal sent to all


def held_out(data: Any) -> Images | None:
    """The test split of a data source, for pictures; None where there is none at hand."""
    try:
        found = data.open("test") if isinstance(data, Data) else None
    except (GanzooError, OSError):
        return None
    return found if found is not None and len(found) else None


@contextmanager
def unless_full(path: Path, advice: str) -> Iterator[list[bool]]:
    """Writes what a full disk may refuse: that costs a warning then. What it gives holds True once it is written.

    Args:
        path: what is written.
        advice: what becomes of it.
    """
    done: list[bool] = []
    try:
        yield done
        done.append(True)
    except (OSError, SafetensorError, BadArgument) as error:
        warnings.warn(f"{path} was not written ({_refusal(error)}); {advice}", stacklevel=1)  # of this file


def _refusal(error: Exception) -> str:
    """Why the system refused to write, in a few words; an error of another kind is raised again."""
    cause = error.__cause__ if isinstance(error, BadArgument) else error  # as pictures tell it
    if not isinstance(cause, (OSError, SafetensorError)) or isinstance(cause, (FileNotFoundError, PermissionError)):
        raise error  # what making room would not change
    text = " ".join(str(getattr(cause, "strerror", None) or cause).split())[:160]
    return re.sub(r".*I/O error: (.*) \(os error.*", r"\1", text)  # as safetensors wraps it


def begin(
    folder: Path, recipe: Mapping[str, Any] | None, changes: Mapping[str, Any] | None, found: Found | None
) -> None:
    """Makes a run's folder ready, when nothing can refuse the run any more; on one rank.

    Args:
        folder: of the run.
        recipe: to be written where the run begins; None for a run without one.
        changes: to be noted where it goes on.
        found: the checkpoint from which it goes on; None where it begins.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = (LAST, PREVIOUS, FOLDER, "best", LOG, record.RECIPE, record.CHANGES, "reals.png", "scores.png", NEIGHBOURS)
    folders.sweep(*(folder / name for name in names))
    if found is None:
        for name in (record.CHANGES, GOOD, WAITING):  # of an earlier run
            (folder / name).unlink(missing_ok=True)
        if recipe is not None:
            record.write_recipe(folder, recipe)
        return
    if found.path.name == PREVIOUS:
        keep(found.path, folder / LAST)  # in the place of the damaged one
    if changes:
        record.append_changes(folder, found.step, changes)


def saved_step(folder: Path) -> int | None:
    """The generator updates of the model in a folder; None where there is no sound model."""
    try:
        steps = folders.ModelFolder(folder).config.get("steps")
    except GanzooError:
        return None
    return steps if isinstance(steps, int) else None


def write_last(game: Game, data: Any, folder: Path, facts: Mapping[str, Any], step: int) -> None:
    """Writes a run's model folder `last`; on several ranks all call it."""
    facts = {**facts, "images_seen": game.images_seen, "steps": step}
    folders.write_model(game, folder / FOLDER, facts, real=held_out(data))


class Saver(L.Callback):
    """Writes `last.ckpt` and the model folder `last` every so many generator updates, at the end, and on ctrl-C.

    The first ctrl-C lets the batch finish, so that the run that goes on is the run that was not interrupted; a second
    one ends it at once. SIGTERM, SIGHUP and SIGUSR1, with which schedulers and terminals announce the end, do the same.
    Where the disk is full, a warning is given and the next save tries again; only the last one must succeed.

    Args:
        folder: of the run.
        every: generator updates between two saves.
        facts: what `config.json` says of the run's data and license.
        recipe: the run's, written where it begins.
        changes: of the run, noted where it goes on.
        found: the checkpoint from which it goes on.
    """

    def __init__(
        self,
        folder: Path,
        every: int,
        facts: Mapping[str, Any],
        recipe: Mapping[str, Any] | None = None,
        changes: Mapping[str, Any] | None = None,
        found: Found | None = None,
    ) -> None:
        self.folder, self.every, self.facts = folder, every, facts
        self.recipe, self.changes, self.found = recipe, changes, found
        self.interrupted = False
        self._saved = 0
        self._failure: str | None = None
        self._signalled = 0.0
        self._handlers: dict[int, Any] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begins the folder, and takes over the signals, where this is the main thread: Lightning has taken some."""
        assert isinstance(pl_module, Game)
        self._saved = trainer.global_step
        if trainer.is_global_zero:
            begin(self.folder, self.recipe, self.changes, self.found)
        behind = trainer.global_step > 0 and saved_step(self.folder / FOLDER) != trainer.global_step
        if trainer.strategy.broadcast(behind):
            self._write_folder(trainer, pl_module)
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup's run goes on
                    self._handlers[number] = signal.signal(number, self._interrupt)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.interrupted and not ("TORCHELASTIC_RUN_ID" in os.environ and now - self._signalled < _ONE):
            raise KeyboardInterrupt
        self.interrupted, self._signalled = True, now

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
        """Saves when it is time, and stops where a signal came on any rank."""
        assert isinstance(pl_module, Game)
        if trainer.global_step // self.every > self._saved // self.every:
            self._save(trainer, pl_module)
        # Ranks must stop at the same batch. Agreeing takes a message, so several ranks agree only now and then.
        agree = trainer.world_size == 1 or pl_module.batches_seen % 10 == 0
        if agree and trainer.strategy.reduce_boolean_decision(self.interrupted, all=False):
            self.interrupted = True
            trainer.should_stop = True

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Saves what the last cadence missed, and gives the signals back."""
        assert isinstance(pl_module, Game)
        pl_module.write_log()
        missing = self._failure is not None or not (self.folder / LAST).exists()
        if trainer.strategy.broadcast(trainer.global_step != self._saved or missing):
            self._save(trainer, pl_module)
        self._release()
        if trainer.strategy.broadcast(self._failure) is not None:
            raise TrainingStopped(f"the last save failed ({self._failure}); make room, and go on from the one before")

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Adds what the run was trained on and how, which is held against what it goes on with."""
        checkpoint["facts"] = record.plain(self.facts)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Gives the signals back."""
        self._release()

    def _release(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()

    def _save(self, trainer: L.Trainer, game: Game) -> None:
        if not all(bool(torch.isfinite(parameter).all()) for parameter in game.parameters()):
            raise Diverged(
                f"the weights are no longer finite at step {trainer.global_step}, so they were not saved; lower the "
                "learning rate or set engine.clip, and go on from the last checkpoint"
            )
        game.finalize()
        trainer.save_checkpoint(self.folder / LAST)
        self._saved = trainer.global_step
        self._failure = None
        failure = getattr(trainer.strategy.checkpoint_io, "failure", None)
        if failure is not None:
            self._warn(trainer, failure)
        if not trainer.strategy.broadcast(failure is not None):  # the folder is never ahead of the checkpoint
            self._write_folder(trainer, game)

    def _write_folder(self, trainer: L.Trainer, game: Game) -> None:
        try:
            write_last(game, trainer.datamodule, self.folder, self.facts, trainer.global_step)  # type: ignore[attr-defined]
        except (OSError, SafetensorError, BadArgument) as error:
            self._warn(trainer, error)

    def _warn(self, trainer: L.Trainer, error: Exception) -> None:
        self._failure = _refusal(error)
        warnings.warn(
            f"step {trainer.global_step} was not saved in {self.folder} ({self._failure}); training goes on, and the "
            "next save tries again",
            stacklevel=1,  # whose file this is, not Lightning's
        )
