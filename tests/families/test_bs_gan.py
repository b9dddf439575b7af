from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from helpers import close, tiny
from torch import Tensor, nn

from ganzoo.families.bs_gan import log_likelihood
from ganzoo.types import Batch


class Leaning(nn.Module):
    """F(x) = sum a_i x_i, for pixels that lean to the side of a."""

    def __init__(self) -> None:
        super().__init__()
        self.a = torch.linspace(-0.4, 0.4, 64).view(1, 8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return (self.a * x).flatten(1).sum(1)


class Made(nn.Module):
    """Logits, whatever z is."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, z: Tensor) -> Tensor:
        return self.logits


def binary(draws: int, logits: Tensor, monkeypatch: pytest.MonkeyPatch) -> Any:
    game: Any = tiny("bs_gan", outputs="binary", draws=draws)
    game.discriminator = Leaning()
    game.generator = Made(logits)
    monkeypatch.setattr(game, "record", lambda **values: None)
    return game


def test_log_likelihood() -> None:
    logits, pixels = torch.randn(3, 1, 8, 8), torch.rand(5, 3, 1, 8, 8) < 0.5
    bernoulli = torch.distributions.Bernoulli(logits=logits)
    assert close(log_likelihood(2.0 * pixels - 1, logits), bernoulli.log_prob(pixels.float()).flatten(2).sum(2))


def test_the_weights_draw_g_to_what_d_says_the_data_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of F = a . x the reweighted pixels are Bernoulli with logits l + 2a, to which -dL/dl points; five deviations.

    F looks at few pixels, so that the weights of many draws are good estimates.
    """
    torch.manual_seed(0)
    n, draws = 40, 4000
    logits = torch.zeros(n, 1, 8, 8, requires_grad=True)
    game = binary(draws, logits, monkeypatch)
    game.discriminator.a[:, 1:] = 0
    game.discriminator.a[:, 0] = torch.linspace(-0.6, 0.6, 8)
    (gradient,) = torch.autograd.grad(game.generator_loss(Batch(torch.zeros(n, 1, 8, 8))), logits)
    wanted = (logits.detach() + 2 * game.discriminator.a).sigmoid() - logits.detach().sigmoid()
    away = -n * gradient - wanted
    assert away.std() < 0.05, "each z alone"
    assert away.mean(0).abs().max() < 5 * away.std().item() / math.sqrt(n)


def test_equal_weights_are_plain_likelihood_and_sum_to_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where D is undecided the mean gradient is that of E log g, which is 0 on average."""
    torch.manual_seed(0)
    logits = torch.full((8, 1, 8, 8), 0.7, requires_grad=True)
    game = binary(2000, logits, monkeypatch)
    game.discriminator.a.zero_()
    (gradient,) = torch.autograd.grad(game.generator_loss(Batch(torch.zeros(8, 1, 8, 8))), logits)
    p = 1 / (1 + math.exp(-0.7))
    assert (8 * gradient).abs().max() < 6 * math.sqrt(p * (1 - p) / 2000)


def test_binary_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    game: Any = tiny("bs_gan", outputs="binary").eval()
    with torch.no_grad():
        game.generator.main[-2].weight.mul_(30_000)
    images = game.sample(400, seed=0)
    assert set(images.unique().tolist()) == {-1.0, 1.0}
    expected = game(game.draw(range(400))[0]).detach()
    assert expected.abs().max() > 0.3
    assert abs((images - expected).mean().item()) < 5 / math.sqrt(images.numel()), "drawn by their expectation"
    assert ((images > 0) == (expected > 0)).float().mean() > 0.55
    real = game.binarized(torch.tensor([-0.3, 0.0, 0.2]))
    assert real.tolist() == [-1, -1, 1]


def test_continuous_samples_seek_the_boundary(monkeypatch: pytest.MonkeyPatch) -> None:
    game: Any = tiny("bs_gan").eval()
    batch, z = Batch(torch.rand(5, 1, 8, 8) * 2 - 1), torch.rand(5, 6)
    monkeypatch.setattr(game, "noise", lambda batch: z)
    real, fake = (game.discriminator(v).detach().numpy().astype(float) for v in (batch.images, game.generator(z)))
    d = 1 / (1 + np.exp(-fake))
    wanted = 0.5 * ((np.log(d) - np.log(1 - d)) ** 2).mean()
    assert game.generator_loss(batch).item() == pytest.approx(wanted, rel=1e-4)
    wanted = np.log1p(np.exp(-real)).mean() + np.log1p(np.exp(fake)).mean()
    assert game.discriminator_loss(batch).item() == pytest.approx(wanted, rel=1e-5)
