"""Training within a lecture: nothing is written, and a bar shows how far it is. How far samples are from digits."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from ganzoo.data.batch import Data
from ganzoo.data.digits import Digits
from ganzoo.game.game import Game
from ganzoo.media.levels import to_float
from ganzoo.metrics.features.network import FeatureNetwork, feature_network
from ganzoo.metrics.functional.frechet import frechet_distance
from ganzoo.training.run import quiet


class _Watch(Callback):
    """Moves a bar on, and calls after every step of the generator."""

    def __init__(self, steps: int, doing: str, after: Callable[[int], None]) -> None:
        console = Console(stderr=True)
        self.bar = Progress(console=console, transient=True, disable=not console.is_terminal)
        self.task, self.after, self.seen = self.bar.add_task(doing, total=steps), after, 0

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
        if trainer.global_step > self.seen:
            self.seen = trainer.global_step
            self.bar.update(self.task, completed=self.seen)
            self.after(self.seen)


@quiet()
def play(
    game: Game, data: Data, steps: int, doing: str = "playing", after: Callable[[int], None] = lambda step: None
) -> Game:
    """Trains a game on the CPU for so many steps of its generator.

    Args:
        game: to train, as its `engine` says.
        data: to train on.
        steps: of the generator.
        doing: what the bar says.
        after: called with the number of steps after each.
    """
    watch = _Watch(steps, doing, after)
    trainer = L.Trainer(
        max_steps=steps,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[watch],
    )
    with watch.bar:
        trainer.fit(game, data)
    return game


@cache
def digits(split: str = "train") -> Tensor:
    """All digits of a split, `(n, 1, 8, 8)` in [-1, 1]."""
    data = Digits().open(split)
    return to_float(data.batch(range(len(data))).images)


@cache
def _judge() -> FeatureNetwork:
    return feature_network("digits_cnn")


def digits_distance(samples: Tensor) -> float:
    """The Fréchet distance of samples `(n, 1, 8, 8)` to the training digits, in features of the digits' own network."""
    network = _judge()
    return frechet_distance(network(digits()), network(samples.clamp(-1, 1)))
