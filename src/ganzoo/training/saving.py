"""Saving: a checkpoint to go on from, and the model folder that `load` reads; both whole or not at all."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from types import FrameType
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from ganzoo import files
from ganzoo import folder as folders
from ganzoo.data.batch import Data, Images
from ganzoo.game import translations
from ganzoo.game.game import Game
from ganzoo.game.registry import family_of
from ganzoo.media.pictures import grid, save_grid
from ganzoo.types import BadArgument, BadModelFolder, GanzooError, TrainingStopped

LAST = "last.ckpt"
FOLDER = "last"
GOLDEN_SEEDS = 4


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


def describe(game: Game, facts: dict[str, Any]) -> dict[str, Any]:
    """The table of `config.json`: the family, its resolved arguments, and facts about the run."""
    family = family_of(type(game))
    return {
        "format": folders.FORMAT,
        "family": family.name,
        "title": family.title,
        "task": family.task,
        "paper": {"title": family.paper, "year": family.year, "url": family.url},
        "arguments": game.arguments,
        "shape": list(game.shape),
        "value_range": [-1, 1] if len(game.shape) == 3 else None,
        "latent": game.latent,
        "classes": game.classes,
        "averaged": game.half_life is not None,
        "parameters": {n: sum(p.numel() for p in getattr(game, n).parameters()) for n in game.networks()},
        **({"images_per_second": round(median(game.speeds), 1)} if game.speeds else {}),  # while training
        **facts,
    }


def write_model(
    game: Game,
    folder: Path,
    facts: dict[str, Any],
    results: list[dict[str, Any]] | None = None,
    real: Images | None = None,
) -> None:
    """Writes a model folder; on several ranks all call it and rank 0 writes.

    Args:
        game: the model.
        folder: where to; what stands there is exchanged as a whole.
        facts: what `config.json` says beside what the family knows: `licence`, `data`, `images_seen`, `steps`; with
            `storage` being `float16`, what inference needs is stored in 16 bits, and the pictures are drawn with that.
        results: the table of `results.json`; none yet where None.
        real: the opened test split, for the pictures that need one.
    """
    game.settle()
    with game.synchronised():
        if game.global_rank != 0:
            return
        with folders.writing(folder) as fresh:
            kept = narrowed(game.inference_tensors(), facts)
            folders.write_tensors(fresh / folders.MODEL, kept)
            folders.write_tensors(fresh / folders.PLAYERS, game.player_tensors())
            files.write_json(fresh / folders.CONFIG, describe(game, facts))
            files.write_json(fresh / folders.RESULTS, results or [])
            with _holding(game, kept):
                draw_pictures(game, fresh, real)
                draw_further(game, fresh, real)


def narrowed(tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Tensors in the type that `facts` names as `storage`; as they are where it names none."""
    if facts.get("storage") != "float16":
        return tensors
    return {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}


@contextmanager
def _holding(game: Game, tensors: dict[str, torch.Tensor]) -> Iterator[None]:
    """Puts stored tensors in the place of those that inference uses, for a while."""
    own = {name: value.clone() for name, value in game.inference_tensors().items()}
    try:
        _put(game, tensors)
        yield
    finally:
        _put(game, own)


@torch.no_grad()
def _put(game: Game, tensors: dict[str, torch.Tensor]) -> None:
    for name, value in game.inference_tensors().items():
        value.copy_(tensors[name])


def draw_pictures(game: Game, folder: Path, real: Images | None = None, count: int = 64) -> None:
    """Draws `samples.png`, and `golden.png`: four pictures at their own size to render again and compare.

    Of a model that only translates they show inputs, from the test split where there is one, and what becomes of them.
    """
    if game.only_translates:
        shown = translations.table(game, real, translations.shown(game))
        save_grid(shown.flatten(0, 1), folder / folders.SAMPLES, columns=shown.shape[1] * (1 if len(shown) < 8 else 2))
        with files.atomic(folder / folders.GOLDEN) as part:
            translations.draw_golden(game, real).save(part, format="PNG")
        return
    images = game.sample(count if len(game.shape) == 3 else 4096, seed=0)
    save_grid(images, folder / folders.SAMPLES)
    if len(game.shape) == 3:
        with files.atomic(folder / folders.GOLDEN) as part:
            grid(images[:GOLDEN_SEEDS], columns=GOLDEN_SEEDS, padding=0).save(part, format="PNG")


def draw_further(game: Game, folder: Path, real: Images | None) -> None:
    """Draws what else the family shows (`Game.pictures`), each table as a file of its name.

    A picture that cannot be drawn is left out with a warning: a model is worth more than its pictures.
    """
    try:
        tables = game.pictures(real)
    except Exception as error:  # a family's own code, after hours of training
        _warn(game, "draws no further pictures", error)
        return
    for name, table in tables.items():
        try:
            if not folders.belongs(f"{name}.png") or f"{name}.png" in folders.LISTED:
                raise BadArgument(f"{name!r} is no name of a picture; give small letters, digits and hyphens")
            save_grid(table.flatten(0, 1), folder / f"{name}.png", columns=table.shape[1])
        except Exception as error:
            _warn(game, f"draws no picture {name}", error)


def _warn(game: Game, what: str, error: Exception) -> None:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    warnings.warn(f"{type(game).__name__} {what}: {reason}", stacklevel=3)


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
        facts: what `config.json` says of the run's data and licence.
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
        write_model(game, self.folder / FOLDER, facts, real=held_out(data))
        self._saved = trainer.global_step
