"""Saving: a checkpoint to go on from, and the model folder that `load` reads; both whole or not at all."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from ganzoo import files
from ganzoo import folder as folders
from ganzoo.data.batch import Data, Images
from ganzoo.game.game import Game
from ganzoo.types import BadModelFolder, GanzooError, TrainingStopped

LAST = "last.ckpt"
FOLDER = "last"


class AtomicIO(TorchCheckpointIO):
    """Lightning's checkpoint files, written beside their place, flushed to the disk and renamed.

    Lightning stages them in the folder for temporary files, from where a rename is no longer atomic when that lies on
    another filesystem.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Writes the checkpoint whole or not at all."""
        with files.atomic(Path(path)) as part:
            torch.save(checkpoint, part)

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        """Reads tensors and plain values, and nothing that could run.

        Raises:
            BadModelFolder: for a file that is missing, cut, or no checkpoint of a game.
        """
        try:
            checkpoint = super().load_checkpoint(path, map_location, weights_only=True)
        except OSError as error:
            raise BadModelFolder(f"{path}: {error.strerror or 'missing'}") from None
        except Exception as error:  # torch.load raises whatever the bytes lead it to
            reason = str(error).strip().split("\n")[0][:160]
            raise BadModelFolder(f"{path}: not readable as a checkpoint, cut or damaged: {reason}") from None
        if not isinstance(checkpoint, dict) or "ganzoo" not in checkpoint or "state_dict" not in checkpoint:
            raise BadModelFolder(f"{path}: not a checkpoint that ganzoo wrote")
        return checkpoint


def held_out(data: Any) -> Images | None:
    """The test split of a data source, for pictures; None where there is none at hand."""
    try:
        found = data.open("test") if isinstance(data, Data) else None
    except (GanzooError, OSError):
        return None
    return found if found is not None and len(found) else None


class Saver(L.Callback):
    """Writes `last.ckpt` and the model folder `last` every so many generator updates, at the end, and on ctrl-C.

    The first ctrl-C lets the batch finish, so that the run that goes on is the run that was not interrupted; a second
    one ends it at once. SIGTERM, with which schedulers announce the end, does the same.

    Args:
        folder: of the run.
        every: generator updates between two saves.
        facts: what `config.json` says of the run's data and license.
    """

    def __init__(self, folder: Path, every: int, facts: dict[str, Any]) -> None:
        self.folder, self.every, self.facts = folder, every, facts
        self.interrupted = False
        self._saved = 0
        self._handlers: dict[int, Any] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Takes over ctrl-C and SIGTERM, where this is the main thread; Lightning has taken SIGTERM by now."""
        self._saved = trainer.global_step
        if trainer.is_global_zero:
            folders.sweep(self.folder / LAST, self.folder / FOLDER)
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._interrupt)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True

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
        if trainer.global_step != self._saved or not (self.folder / LAST).exists():
            self._save(trainer, pl_module)
        self._release()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Gives the signals back."""
        self._release()

    def _release(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()

    def _save(self, trainer: L.Trainer, game: Game) -> None:
        if not all(bool(torch.isfinite(parameter).all()) for parameter in game.parameters()):
            raise TrainingStopped(
                f"the weights are no longer finite at step {trainer.global_step}, so they were not saved; lower the "
                "learning rate or set engine.clip, and go on from the last checkpoint"
            )
        game.settle()
        trainer.save_checkpoint(self.folder / LAST)
        facts = {**self.facts, "images_seen": game.images_seen, "steps": trainer.global_step}
        data = trainer.datamodule  # type: ignore[attr-defined]
        folders.write_model(game, self.folder / FOLDER, facts, real=held_out(data))
        self._saved = trainer.global_step
