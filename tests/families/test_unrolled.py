"""The look-ahead, against an Adam of torch's own that really takes the steps."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers import fit, tiny
from torch import Tensor


def loss_of(discriminator: Any, real: Tensor, fake: Tensor) -> Tensor:
    return -F.logsigmoid(discriminator(real)).mean() - F.logsigmoid(-discriminator(fake)).mean()


def prepared(unroll: int, steps: int) -> tuple[Any, torch.optim.Adam, Tensor, Tensor]:
    """A game in float64 whose discriminator's Adam has already taken some steps; real points and z."""
    torch.manual_seed(1)
    game: Any = tiny("unrolled", unroll=unroll, activation="tanh", discriminator_lr=0.03, hidden=[5]).double()
    adam = torch.optim.Adam(game.discriminator.parameters(), lr=0.03, betas=(0.5, 0.999))
    real, z = torch.randn(6, 2).double(), torch.randn(6, game.latent).double()
    for _ in range(steps):
        adam.zero_grad()
        loss_of(game.discriminator, torch.randn(6, 2).double(), game.generator(z).detach()).backward()
        adam.step()
    adam.zero_grad()
    game.optimizer = lambda player: {"discriminator": adam}[player]
    return game, adam, real, z


def literally(game: Any, adam: torch.optim.Adam, real: Tensor, fake: Tensor, k: int) -> float:
    """The loss after k real steps of a copy of Adam on a copy of the discriminator."""
    twin = copy.deepcopy(game.discriminator)
    optimizer = torch.optim.Adam(twin.parameters(), lr=0.03, betas=(0.5, 0.999))
    optimizer.load_state_dict(copy.deepcopy(adam.state_dict()))
    for _ in range(k):
        optimizer.zero_grad()
        loss_of(twin, real, fake).backward()
        optimizer.step()
    with torch.no_grad():
        return loss_of(twin, real, fake).item()


@pytest.mark.parametrize("steps", [0, 4])
@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_the_value_is_that_of_k_real_steps(k: int, steps: int) -> None:
    game, adam, real, z = prepared(k, steps)
    fake = game.generator(z).detach()
    value = game.look_ahead(real, fake).item()
    assert value == pytest.approx(literally(game, adam, real, fake, k), rel=1e-6)
    plain = loss_of(game.discriminator, real, fake).item()
    assert value == pytest.approx(plain, rel=1e-12) if k == 0 else abs(value - plain) > 1e-3


@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_the_gradient_goes_through_the_steps(k: int) -> None:
    """Against finite differences of the real steps, along directions of the generator's parameters."""
    game, adam, real, z = prepared(k, 4)
    parameters = list(game.generator.parameters())
    gradient = torch.autograd.grad(game.look_ahead(real, game.generator(z)), parameters)
    for seed in range(3):
        torch.manual_seed(seed)
        direction = [torch.randn_like(p) for p in parameters]
        values = []
        for h in (1e-5, -1e-5):
            shifted = copy.deepcopy(game.generator)
            with torch.no_grad():
                for p, d in zip(shifted.parameters(), direction, strict=True):
                    p.add_(h * d)
                fake = shifted(z)
            values.append(literally(game, adam, real, fake, k))
        slope = sum((g * d).sum().item() for g, d in zip(gradient, direction, strict=True))
        assert slope == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-4, abs=1e-8)
    through = torch.autograd.grad(loss_of(game.discriminator, real, game.generator(z)), parameters)
    changed = max((a - b).abs().max().item() for a, b in zip(gradient, through, strict=True))
    assert (changed > 1e-3) == (k > 0), "the steps matter"


def test_looking_ahead_changes_nothing() -> None:
    game, adam, real, z = prepared(3, 2)
    weights = copy.deepcopy(game.discriminator.state_dict())
    state = copy.deepcopy(adam.state_dict())
    game.look_ahead(real, game.generator(z)).backward()
    assert all(torch.equal(v, weights[k]) for k, v in game.discriminator.state_dict().items())
    assert all(p.grad is None for p in game.discriminator.parameters())
    after = adam.state_dict()["state"]
    for number, entry in state["state"].items():
        assert all(torch.equal(value, after[number][key]) for key, value in entry.items())


def test_a_gradient_of_zero_has_a_derivative() -> None:
    """The root of Adam's second moment has none at 0: a dead unit must not make the generator's gradient NaN."""
    game, _, real, z = prepared(2, 0)
    with torch.no_grad():
        for p in game.discriminator.parameters():
            p.zero_()
    for g in torch.autograd.grad(game.look_ahead(real, game.generator(z)), list(game.generator.parameters())):
        assert g.isfinite().all()


def test_the_surrogate_trains_with_the_engines_own_optimizer() -> None:
    game: Any = tiny("unrolled", unroll=2)
    before = [p.clone() for p in game.generator.parameters()]
    fit(game, 3)
    assert game.optimizer("discriminator").state
    assert any(not torch.equal(a, b) for a, b in zip(before, game.generator.parameters(), strict=True))
