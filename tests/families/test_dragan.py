from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers import tiny
from torch import nn

from ganzoo.objectives import penalties
from ganzoo.types import Batch


def test_the_discriminator_has_no_batch_normalization() -> None:
    game: Any = tiny("dragan")
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in game.discriminator.modules())
    assert any(isinstance(m, nn.BatchNorm2d) for m in game.generator.modules())
    assert game.coupled, "the noise depends on the batch"


@pytest.mark.parametrize(("k", "c"), [(1.0, None), (0.3, 0.5)])
def test_the_loss_on_a_linear_discriminator(k: float, c: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient of a linear discriminator is its weight everywhere, so the penalty is lambda (|w| - k)^2."""
    game: Any = tiny("dragan", penalty=7.0, k=k, c=c).double()
    w = torch.randn(64, dtype=torch.float64) / 4
    linear: Any = nn.Sequential(nn.Flatten(), nn.Linear(64, 1, bias=False, dtype=torch.float64), nn.Flatten(0))
    linear[1].weight.data.copy_(w[None])
    game.discriminator = linear
    z = torch.rand(6, game.latent, dtype=torch.float64)
    monkeypatch.setattr(game, "noise", lambda batch: z)
    monkeypatch.setattr(game, "record", lambda **values: None)
    batch = Batch(torch.rand(6, 1, 8, 8, dtype=torch.float64))
    real, fake = batch.images.flatten(1) @ w, game.generator(z).flatten(1) @ w
    expected = F.softplus(-real).mean() + F.softplus(fake).mean() + 7.0 * (w.norm() - k) ** 2
    assert torch.allclose(game.discriminator_loss(batch), expected)
    assert torch.allclose(game.generator_loss(batch), F.softplus(-fake).mean())


def test_the_penalty_stands_around_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the discriminator is shown beside x and G(z) lies above x by up to half the batch's standard deviation."""
    torch.manual_seed(0)
    game: Any = tiny("dragan")
    shown: list[torch.Tensor] = []
    whole = game.discriminator.forward

    def spied(x: torch.Tensor) -> Any:
        shown.append(x.detach())
        return whole(x)

    monkeypatch.setattr(game.discriminator, "forward", spied)
    monkeypatch.setattr(game, "record", lambda **values: None)
    batch = Batch(torch.rand(64, 1, 8, 8) * 2 - 1)
    game.discriminator_loss(batch)
    real, _, noised = shown
    away = noised - batch.images
    most = 0.5 * batch.images.numpy().std()
    assert torch.equal(real, batch.images)
    assert away.min() >= 0 and 0.9 * most < away.max() <= most
    assert abs(away.mean().item() - most / 4) < 0.08 * most, "the mean of the product of two uniform numbers"


def test_the_papers_noise_is_normal_with_variance_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of D = 1/2 |v|^2 the gradient is v itself: so at 0 the penalty is E |delta|^2 = c d; five deviations."""
    torch.manual_seed(0)
    game: Any = tiny("dragan", penalty=1.0, k=0.0, c=0.3)
    found = penalties.dragan(lambda v: 0.5 * v.flatten(1).square().sum(1), torch.zeros(500, 1, 8, 8), game.k, game.c)
    assert abs(found.item() - 0.3 * 64) < 5 * 0.3 * math.sqrt(2 * 64 / 500)
