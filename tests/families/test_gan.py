from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from helpers import fit, tiny

from ganzoo.types import Batch


@pytest.mark.parametrize("loss", ["nonsaturating", "minimax", "maximum-likelihood"])
def test_the_three_losses_of_the_generator(loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the formulas of the paper and of arXiv:1412.6515 in probabilities, in float64."""
    game: Any = tiny("gan", loss=loss, dropout=0.0)
    z = torch.randn(5, game.latent)
    monkeypatch.setattr(game, "noise", lambda batch: z)
    with torch.no_grad():
        p = torch.sigmoid(game.discriminator(game.generator(z)).double())
    expected = {
        "nonsaturating": -p.log().mean(),
        "minimax": (1 - p).log().mean(),
        "maximum-likelihood": -(p / (1 - p)).mean(),  # exp(sigmoid^-1(p))
    }[loss]
    batch = Batch(torch.zeros(5, *game.shape))
    assert torch.allclose(game.generator_loss(batch).double(), expected, rtol=1e-5)


def test_noise_has_variance_one() -> None:
    for noise, largest in (("uniform", math.sqrt(3)), ("normal", math.inf)):
        game: Any = tiny("gan", noise=noise, latent=100)
        batch = Batch(torch.zeros(400, *game.shape))
        for z in (game.noise(batch), game.draw(range(400))[0]):
            assert abs(z.var().item() - 1) < 0.02 and abs(z.mean().item()) < 0.02
            assert z.abs().max() <= largest
            assert noise == "uniform" or z.abs().max() > math.sqrt(3)


def test_the_generator_moves_every_k_batches() -> None:
    for updates, moved in ((1, 6), (3, 2)):
        game: Any = tiny("gan", updates=updates)
        counts: list[int] = []
        _counted(game, counts)
        fit(game, moved)
        assert (counts, game.batches_seen) == ([1] * moved, moved * updates)


def _counted(game: Any, counts: list[int]) -> None:
    loss = game.generator_loss

    def counting(batch: Batch) -> Any:
        counts.append(1)
        return loss(batch)

    game.generator_loss = counting


def test_points_are_not_limited() -> None:
    game: Any = tiny("gan", shape=[2], gain=5.0)
    assert game.sample(200).shape == (200, 2) and game.sample(200).abs().max() > 1


def test_dropout_and_maxout_only_in_the_discriminator() -> None:
    game: Any = tiny("gan")
    inner, outer = ({type(m).__name__ for m in network.modules()} for network in (game.discriminator, game.generator))
    assert {"Maxout", "Dropout"} <= inner and not {"Maxout", "Dropout"} & outer
    assert np.allclose([m.p for m in game.discriminator.modules() if isinstance(m, torch.nn.Dropout)], [0.2, 0.5])


def test_the_discriminator_descends_half_the_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the definition in probabilities, in float64: the authors have 0.5 (cost on data + cost on samples)."""
    game: Any = tiny("gan", dropout=0.0)
    with torch.no_grad():
        game.discriminator.layers[-1].weight.mul_(100)  # scores that differ
    z = torch.randn(5, game.latent)
    monkeypatch.setattr(game, "noise", lambda batch: z)
    batch = Batch(torch.rand(5, *game.shape) * 2 - 1)
    with torch.no_grad():
        real, fake = (torch.sigmoid(game.discriminator(x).double()) for x in (batch.images, game.generator(z)))
    expected = -0.5 * (real.log().mean() + (1 - fake).log().mean())
    assert torch.allclose(game.discriminator_loss(batch).double(), expected, rtol=1e-5)
    assert (expected - math.log(2)).abs() > 1e-4


def test_first_weights_are_uniform_and_the_discriminators_a_tenth_of_the_generators() -> None:
    game: Any = tiny("gan")
    for network, bound in ((game.generator, 0.05), (game.discriminator, 0.005)):
        weights = torch.cat([m.weight.flatten() for m in network.modules() if isinstance(m, torch.nn.Linear)])
        assert weights.abs().max() <= bound
        assert weights.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
        assert not any(m.bias.any() for m in network.modules() if isinstance(m, torch.nn.Linear))


def test_learning_rates_shrink_and_momentum_rises_as_in_the_authors_configuration() -> None:
    """After t batches of 100 images the rate is lr / 1.000004^t, and the momentum 0.5 + 0.2 t / 125,000, up to 0.7."""
    for batches in (1000, 125_000, 500_000, 10**8):
        game: Any = tiny("gan")
        game.images_seen = 100 * batches
        fit(game, 1)
        seen = game.images_seen / 100
        for player in ("discriminator", "generator"):
            (group,) = game.optimizer(player).param_groups
            assert group["lr"] == pytest.approx(0.1 * max(1.000004**-seen, 1e-5), rel=1e-6)
            assert group["momentum"] == pytest.approx(0.5 + 0.2 * min(1.0, seen / 125_000), rel=1e-6)
    game = tiny("gan", betas=[0.5, 0.999], decay=0.0)
    fit(game, 1)
    (group,) = game.optimizer("generator").param_groups
    assert group["lr"] == 0.1 and "momentum" not in group
