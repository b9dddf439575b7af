"""Games small enough for closed forms, callbacks that spoil or watch moves, and families in files of their own."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from helpers import tensors
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from ganzoo.game import registry
from ganzoo.game.abilities import Samples
from ganzoo.game.engine import Engine, Player
from ganzoo.game.game import Game
from ganzoo.game.priors import Normal
from ganzoo.types import Batch

SGD = partial(torch.optim.SGD, lr=1.0)


class Scale(nn.Module):
    """Multiplies by a vector."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class Toy(Samples):
    """Both players minimise `weight * mean(x)` on points: the gradient is the batch's mean, whatever the weight.

    Args:
        n_critic: critic's moves to one of the generator.
        lazy: batches between two moves of the critic that do not count; 0 for none.
        optimizer: of both players.
        schedule: of the generator's learning rate.
    """

    average_half_life = None

    def __init__(
        self,
        n_critic: int = 1,
        lazy: int = 0,
        optimizer: Callable[..., torch.optim.Optimizer] = SGD,
        schedule: Callable[[int], float] | None = None,
    ) -> None:
        super().__init__()
        self.shape, self.n_critic, self.lazy = (2,), n_critic, lazy
        self.prior = Normal(2)
        self.generator, self.critic = Scale(2), Scale(2)
        self.optimizer_of, self.schedule = optimizer, schedule
        self.pool = torch.zeros(3)
        self.engine = Engine(log_every=1, average=None)
        self.drawn: list[tuple[float, ...]] = []  # what each move drew
        self.means: list[Tensor] = []  # of each batch
        self.weights: list[Tensor] = []  # of the generator, after each of its moves

    def players(self) -> dict[str, Player]:
        return {
            "critic": Player(self.critic, self.optimizer_of),
            "generator": Player(self.generator, self.optimizer_of, self.schedule),
        }

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        self.means.append(batch.images.mean(0))
        self.drawn.append(tuple(torch.rand(2).tolist()))
        self.move("critic", self.critic_loss, batch)
        if self.lazy and self.turn(every=self.lazy):
            self.move("critic", self.penalty_loss, batch, counts=False)
            self.move("generator", self.generator_penalty_loss, batch, counts=False)
        if self.turn(every=self.n_critic):
            self.move("generator", self.generator_loss, batch)
            self.weights.append(self.generator.weight.detach().clone())
        self.pool = torch.rand(3)

    def critic_loss(self, batch: Batch) -> Tensor:
        self.drawn.append(tuple(torch.rand(2).tolist()))
        return self.critic(batch.images).sum(1).mean()

    def generator_loss(self, batch: Batch) -> Tensor:
        self.drawn.append(tuple(torch.rand(2).tolist()))
        return self.generator(batch.images).sum(1).mean()

    def penalty_loss(self, batch: Batch) -> Tensor:
        return self.critic.weight.square().sum() * 1e-3

    def generator_penalty_loss(self, batch: Batch) -> Tensor:
        return self.generator.weight.square().sum() * 1e-3

    def rank_state(self) -> dict[str, Tensor]:
        return {"pool": self.pool}

    def load_rank_state(self, state: dict[str, Tensor]) -> None:
        self.pool = state["pool"]


class Watch(Callback):
    """Keeps what each move changed.

    Attributes:
        changed: for each move its player and the names of what differs after it, moving averages aside.
        counted: whether each move is an update, or a lazy penalty's.
    """

    def __init__(self) -> None:
        self.changed: list[tuple[str, list[str]]] = []
        self.counted: list[bool] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, Game)
        move = pl_module.move

        def watched(player: str, loss: Any, *args: Any, counts: bool = True) -> None:
            before = tensors(pl_module)
            move(player, loss, *args, counts=counts)
            after = tensors(pl_module)
            names = [n for n in before.keys() | after.keys() if not n.startswith("_averages.")]
            self.counted.append(counts)
            self.changed.append((player, [n for n in names if n not in before or not torch.equal(before[n], after[n])]))

        pl_module.move = watched  # type: ignore[method-assign]


class Spoil(Callback):
    """Makes the gradients of chosen moves not a number.

    Args:
        batches: in which every move, or only those of `player`, are spoiled.
        player: whose moves.
    """

    def __init__(self, batches: range | set[int], player: str | None = None) -> None:
        self.batches, self.player = batches, player

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, Game)
        move = pl_module.move

        def spoiled(player: str, loss: Any, *args: Any, counts: bool = True) -> None:
            def bad(*parts: Any) -> Tensor:
                return loss(*parts) * float("nan")

            bad.__name__ = loss.__name__
            chosen = pl_module.batches_seen in self.batches and self.player in (None, player)
            move(player, bad if chosen else loss, *args, counts=counts)

        pl_module.move = spoiled  # type: ignore[method-assign]


@contextmanager
def installed(folder: Path, name: str, text: str) -> Iterator[None]:
    """A family in a file `name`.py of a folder, found like ganzoo's own, for a while."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(text)
    families: Any = importlib.import_module("ganzoo.families")
    families.__path__.append(str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        families.__path__.remove(str(folder))
        registry._registered.pop(name, None)
        sys.modules.pop(f"ganzoo.families.{name}", None)
        vars(families).pop(name, None)


TRANSLATION = '''"""Toy translation: one convolution there and one back, in pairs or without.

Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks", arXiv:1611.07004.

    L_D = 1/2 E (D(y) - 1)^2 + 1/2 E D(G(x))^2        L_G = 1/2 E (D(G(x)) - 1)^2 + E |F(G(x)) - x|
"""

from functools import partial

import torch
from torch import nn
from torch.optim import Adam

from ganzoo.objectives import losses
from ganzoo.game.engine import Player
from ganzoo.game.abilities import Translates
from ganzoo.schema import Positive, NonNegative
from ganzoo.game.registry import register


class Halving(nn.Sequential):
    def __init__(self, inside, outside, width):
        super().__init__(
            nn.Conv2d(inside, width, 4, 4), nn.LeakyReLU(0.2), nn.ConvTranspose2d(width, outside, 4, 4), nn.Tanh()
        )


@register(
    paper="Isola et al., Image-to-Image Translation", year=2017, url="https://arxiv.org/abs/1611.07004",
    task="translation",
)
class ToyTranslation(Translates):
    """A translation and the way back, each of two convolutions.

    Args:
        size: side of an image.
        source_channels: of x.
        channels: of y.
        width: of the networks.
        lr: learning rate.
    """

    back = "a"
    two_domains = True
    inference = ("generator", "inverse")
    averages = ("generator", "inverse")
    stride = 4

    def __init__(
        self, size: Positive = 8, source_channels: Positive = 3, channels: Positive = 1, width: Positive = 4,
        lr: NonNegative = 1e-3,
    ) -> None:
        super().__init__()
        self.shape, self.source_shape = (channels, size, size), (source_channels, size, size)
        self.domains = ("b", "a")
        self.generator = Halving(source_channels, channels, width)
        self.inverse = Halving(channels, source_channels, width)
        self.discriminator = nn.Sequential(nn.Conv2d(channels, width, 4, 4), nn.LeakyReLU(0.2), nn.Conv2d(width, 1, 1))
        self.adam = partial(Adam, lr=lr)

    def players(self):
        return {
            "discriminator": Player(self.discriminator, self.adam),
            "generator": Player((self.generator, self.inverse), self.adam),
        }

    def transform(self, images, to):
        return self.average_module("generator" if to == "b" else "inverse")(images)

    def training_step(self, batch, batch_idx):
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch):
        fake = self.generator(batch.images)
        return losses.least_squares_discriminator(self.discriminator(self.targets_of(batch)), self.discriminator(fake))

    def generator_loss(self, batch):
        fake = self.generator(batch.images)
        cycle = (self.inverse(fake) - batch.images).abs().mean()
        return losses.least_squares_generator(self.discriminator(fake)) + cycle
'''
