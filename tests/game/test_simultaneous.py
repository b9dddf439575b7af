"""Moving simultaneously, and several steps of the generator to a batch: closed forms, then every family."""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import Any

import lightning as L
import pytest
import torch
from helpers import Noise, close, fit, lend, tiny, trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from toys import Scale, Toy

from ganzoo.game import registry
from ganzoo.game.engine import Engine, MovingAverage, Player
from ganzoo.game.game import Game
from ganzoo.types import BadArgument, Batch

RATE = 0.1


class Saddle(Toy):
    """min over the generator's weight, max over the critic's, of their product, the tutorial's V = xy."""

    def __init__(self, **engine: Any) -> None:
        super().__init__(optimizer=partial(torch.optim.SGD, lr=RATE))
        self.generator, self.critic = Scale(1).double(), Scale(1).double()
        self.engine = Engine(average=None, **engine)
        self.path: list[tuple[float, float]] = [self.at]

    @property
    def at(self) -> tuple[float, float]:
        return self.generator.weight.item(), self.critic.weight.item()

    def players(self) -> dict[str, Player]:
        return {name: Player(getattr(self, name), self.optimizer_of) for name in ("critic", "generator")}

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        self.move("critic", lambda: -self.value())
        self.move("generator", self.value)
        self.path.append(self.at)

    def value(self) -> Tensor:
        return (self.generator.weight * self.critic.weight).sum()


def played(steps: int, **engine: Any) -> list[tuple[float, float]]:
    game = Saddle(**engine)
    trainer(steps).fit(game, Noise((2,), 2))
    return game.path


def test_simultaneous_steps_spiral_outwards_by_the_closed_form() -> None:
    radii = [math.hypot(*at) for at in played(20, simultaneous=True)]
    for before, after in itertools.pairwise(radii):
        assert after / before == pytest.approx(math.sqrt(1 + RATE**2), rel=1e-12)


def test_alternating_steps_stay_on_their_ellipse() -> None:
    kept = [x * x + y * y + RATE * x * y for x, y in played(20)]  # the critic first: what symplectic steps conserve
    assert kept == pytest.approx([kept[0]] * len(kept), rel=1e-12)


def test_several_steps_of_the_generator() -> None:
    x, y = 1.0, 1.0
    game = Saddle(generator_steps=3)
    trainer(6).fit(game, Noise((2,), 2))  # counted in the generator's updates: two batches
    for _ in range(2):
        y += RATE * x
        x -= 3 * RATE * y
    assert game.at == pytest.approx((x, y), rel=1e-12) and game.batches_seen == 2 and game.global_step == 6


def test_steps_of_the_generator_have_noise_of_their_own() -> None:
    game = Toy()
    game.engine = Engine(average=None, generator_steps=3)
    fit(game, 3)
    own = game.drawn[2:]  # after the batch's own and the critic's
    assert len(own) == 3 and len(set(own)) == 3


def test_the_average_follows_the_last_of_several_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    game, betas = Toy(), list[float]()
    game.engine = Engine(average=8, rampup=None, generator_steps=3)
    update = MovingAverage.update

    def watched(self: MovingAverage, live: Any, beta: float) -> None:
        betas.append(beta)
        update(self, live, beta)

    monkeypatch.setattr(MovingAverage, "update", watched)
    fit(game, 6)
    assert len(betas) == 2 and all(0 < beta < 1 for beta in betas), "once a batch, after its last step"


def test_fakes_that_two_moves_share_are_not_stepped_on_twice() -> None:
    game = tiny("pix2pix")
    game.engine = Engine(generator_steps=2)
    with pytest.raises(BadArgument, match=r"engine.generator_steps is 2, and Pix2Pix makes its fakes once for both"):
        fit(game, 2)


class Stay(Callback):
    """Lets every player but one stand still after its steps."""

    def __init__(self, alone: str) -> None:
        self.alone = alone

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, Game)
        move = pl_module.move

        def held(player: str, *args: Any, **options: Any) -> None:
            mine = pl_module._state_of(player).parameters
            before = [value.detach().clone() for value in mine]
            move(player, *args, **options)
            for value, old in zip(mine, before, strict=True):
                if player != self.alone:
                    value.data.copy_(old)

        pl_module.move = held  # type: ignore[method-assign]


def once(name: str, *callbacks: Callback, **engine: Any) -> tuple[Game, dict[str, Tensor]]:
    """A family after one step of the player that leads, and the parameters of all."""
    game = lend(tiny(name))
    for module in game.modules():  # noise of dropout would be the same, statistics would not
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 0.0
    game.engine = Engine(average=None, **engine)
    fit(game, 1, *callbacks)
    return game, {key: value.detach().clone() for key, value in game.named_parameters()}


@pytest.mark.parametrize("name", registry.list_families())
def test_simultaneous_players_do_not_see_one_another_move(name: str) -> None:
    """In one batch each moves as if the others had stood still, and the first as ever."""
    game, found = once(name, simultaneous=True)
    if game.batches_seen > 1:  # several moves of a critic to one of the generator: only the last batch's is shared
        pytest.skip("its generator does not move in the first batch")
    names = {id(value): key for key, value in game.named_parameters()}
    for player, state in game._states.items():
        _, alone = once(name, Stay(player))
        for value in state.parameters:
            key = names[id(value)]
            assert close(found[key], alone[key], 1e-6), (player, key)
