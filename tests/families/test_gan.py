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
