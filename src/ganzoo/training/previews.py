"""Previews: the same latents, or the same held-out inputs, every so many steps, beside real samples."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from PIL import Image

from ganzoo.data.batch import Data, Images
from ganzoo.game.abilities import Samples
from ganzoo.game.game import Game
from ganzoo.game.inference import side_by_side, spread
from ganzoo.media.levels import to_float
from ganzoo.media.medium import save_grid
from ganzoo.media.provenance import made_by, real
from ganzoo.training.doctor import (
    DIVERSITY,
    EACH,
    NEAREST,
    NEIGHBOURS,
    NOVELTY,
    WITHIN,
    Nearest,
    Novelty,
    Within,
    diversity,
)
from ganzoo.training.reports import Patient
from ganzoo.training.saving import held_out, unless_full
from ganzoo.types import BadArgument, Batch, GanzooError

QUANTILES = (5, 25, 50, 75, 95)  # of the critic's scores, in percent
SEED = 2**31  # far from the seeds of samples and scores


class Previews(L.Callback):
    """Writes `previews/<step>.png` every so many generator updates and, once, `reals.png`; shows both to loggers.

    Of a model that only translates, a preview's rows are inputs of the test split (or, without one, of the training
    split), what becomes of them, and their counterparts where they are pairs.
    """

    def __init__(self, folder: Path, every: int, count: int = 64) -> None:
        self.folder, self.every, self.count = folder, every, count
        self._shown = -1
        self._reals: torch.Tensor | None = None
        self._novelty: Novelty | None = None
        self._within: tuple[Within, Nearest] | None = None
        self._labels: torch.Tensor | None = None  # of the reals, where each has one class

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draws the reals and the untrained model's samples."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if trainer.is_global_zero and isinstance(data, Data):
            path = self.folder / "reals.png"
            batch, columns = _some(data.open("train"), self.count)
            reals = self._reals = batch.images
            self._labels = batch.labels if batch.labels is not None and batch.labels.ndim == 1 else None
            with real():
                _write(trainer, "reals", reals, path, columns)
            if reals.ndim == 4 and isinstance(pl_module, Game) and "samples" in pl_module.abilities:
                train, held = data.open("train"), held_out(data)
                self._novelty = (
                    Novelty(train, held) if len(train) > 1 and tuple(train.shape) == pl_module.shape else None
                )
                one = train.labels is not None and train.labels.ndim == 1  # a class each
                if one and pl_module.taught is not None and tuple(train.shape) == pl_module.shape:
                    self._within = Within(train), Nearest(train)
        self._preview(trainer, pl_module)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
        """Draws when it is time."""
        if trainer.global_step // self.every > self._shown // self.every:
            samples, found = self._preview(trainer, pl_module)
            if samples is not None and self._reals is not None and samples.shape[1:] == self._reals.shape[1:]:
                found[DIVERSITY] = diversity(samples, to_float(self._reals))
                if self._novelty is not None and samples.isfinite().all():
                    found[NOVELTY] = self._novelty(samples)
                    with unless_full(self.folder / NEIGHBOURS, "it is left out"), made_by(pl_module, family=True):
                        save_grid(self._novelty.beside(samples[:8]), self.folder / NEIGHBOURS, 8)
                found |= self._criticised(pl_module, samples)
                for logger in trainer.loggers:
                    logger.log_metrics(found, step=trainer.global_step)

    def _criticised(self, game: L.LightningModule, samples: torch.Tensor) -> dict[str, float]:
        """How the critic's scores of real pictures and of samples lie: quantiles of each; none of one that has none."""
        if not isinstance(game, Samples) or type(game).preview is not Samples.preview or self._reals is None:
            return {}
        labels = game.draw(range(SEED, SEED + len(samples)))[1]
        if game.classes is not None and (self._labels is None or labels is None or labels.ndim != 1):
            return {}
        kinds = {"real": (to_float(self._reals), self._labels), "fake": (samples, labels)}
        found: dict[str, float] = {}
        for kind, (images, told) in kinds.items():
            try:
                scores = game.criticise(images, None if game.classes is None else told)
            except GanzooError:  # of a critic that wants more than a picture
                return {}
            at = torch.quantile(scores, torch.tensor(QUANTILES) / 100)
            found |= {f"score_{kind}_{q:02}": float(value) for q, value in zip(QUANTILES, at, strict=True)}
        return found

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draws the last one."""
        if trainer.global_step != self._shown:
            self._preview(trainer, pl_module)

    def _preview(self, trainer: L.Trainer, game: L.LightningModule) -> tuple[torch.Tensor | None, dict[str, float]]:
        """Draws, and gives the pictures that are samples, and how they differ within classes, on the first rank."""
        assert isinstance(game, Game)
        self._shown, found = trainer.global_step, dict[str, float | None]()
        with game.synchronized():
            if not trainer.is_global_zero:
                return None, {}
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            held = held_out(data) or (data.open("train") if isinstance(data, Data) else None)
            shown = game.preview(held, self.count, SEED)
            if self._within is not None and isinstance(game, Samples):
                within, nearest = self._within
                found[WITHIN] = differences(game, shown.images, within)
                found[NEAREST] = None if game.classes is None else nearest(*eight_each(game))
        path = self.folder / "previews" / f"{trainer.global_step:08d}.png"
        with made_by(game, family=True):
            _write(trainer, "samples", shown.images, path, shown.columns)
        known = {name: value for name, value in found.items() if value is not None}
        return (shown.images if "samples" in game.abilities else None), known


def differences(game: Samples, samples: torch.Tensor, within: Within) -> float | None:
    """How previews differ within classes; where too few are of one class, eight samples each of eight classes do."""
    labels = game.draw(range(SEED, SEED + len(samples)))[1] if type(game).preview is Samples.preview else None
    found = None if labels is None or labels.ndim != 1 else within(samples, labels)
    if found is not None or game.classes is None:
        return found
    samples, labels = eight_each(game)
    return within(samples, labels)


def eight_each(game: Samples, seed: int = SEED) -> tuple[torch.Tensor, torch.Tensor]:
    """Eight samples `(n, C, H, W)` of each of eight classes, or of fewer where there are no more, and their labels."""
    assert game.classes is not None
    labels = torch.tensor(spread(game.classes, 8)).repeat_interleave(EACH)
    return game.sample(len(labels), seed=seed, labels=labels), labels


def previews_of(folder: Path) -> list[Path]:
    """The previews of a run, in the order in which they were drawn.

    Raises:
        BadArgument: if the folder has none.
    """
    found = sorted((folder / "previews").glob("*.png"))
    if not found:
        raise BadArgument(f"{folder}: holds no previews/*.png; the folder of a run is expected")
    return found


def frames(paths: list[Path]) -> Iterator[Image.Image]:
    """The pictures in files of previews.

    Raises:
        BadArgument: for a file that holds no picture.
    """
    for path in paths:
        try:
            with Image.open(path, formats=["PNG"]) as picture:
                yield picture.convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # Pillow's, for a bad file
            raise BadArgument(f"{path}: no readable picture: {error}") from None


def _some(images: Images, count: int) -> tuple[Batch, int | None]:
    """As many real samples, spread over the data set, and the columns to lay them out in."""
    points = images.values.ndim == 2
    wanted = min(len(images), 2048 if points else count if images.targets is None else count // 2)
    batch = images.batch([i * len(images) // wanted for i in range(wanted)])
    if batch.targets is None:
        return batch, None
    return Batch(side_by_side([batch.images, batch.targets]).flatten(0, 1)), 8


def _write(trainer: L.Trainer, key: str, images: torch.Tensor, path: Path, columns: int | None) -> None:
    """Writes a picture and shows it; one that a full disk refuses is left out."""
    with unless_full(path, "it is left out") as done:
        save_grid(images, path, columns)
    if done:
        _show(trainer, key, path, trainer.global_step)


def _show(trainer: L.Trainer, key: str, path: Path, step: int) -> None:
    """Hands a picture to the loggers."""
    for logger in trainer.loggers:
        if isinstance(logger, Patient):
            logger.hand(partial(_log_picture, logger.logger, key, path, step))
        else:
            _log_picture(logger, key, path, step)


def _log_picture(logger: Any, key: str, path: Path, step: int) -> None:
    """Hands it to one that takes some: wandb's has `log_image`, TensorBoard's an `add_image`."""
    if hasattr(logger, "log_image"):
        logger.log_image(key=key, images=[str(path)], step=step)
    elif hasattr(getattr(logger, "experiment", None), "add_image"):
        import numpy as np

        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        logger.experiment.add_image(key, pixels, step, dataformats="HWC")
