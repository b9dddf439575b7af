from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from helpers import tiny
from torch import nn

from ganzoo.types import Batch


def test_the_critic_has_no_batch_normalization() -> None:
    game: Any = tiny("wgan_gp")
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in game.critic.modules())
    assert any(isinstance(m, nn.BatchNorm2d) for m in game.generator.modules())


def test_equation_3_on_a_linear_critic(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient of a linear critic is its weight everywhere, so the penalty is lambda (|w| - 1)^2."""
    game: Any = tiny("wgan_gp", penalty=7.0).double()
    w = torch.randn(64, dtype=torch.float64)
    critic: Any = nn.Sequential(nn.Flatten(), nn.Linear(64, 1, bias=False, dtype=torch.float64), nn.Flatten(0))
    critic[1].weight.data.copy_(w[None])
    game.critic = critic
    z = torch.randn(6, game.latent, dtype=torch.float64)
    monkeypatch.setattr(game, "noise", lambda batch: z)
    monkeypatch.setattr(game, "record", lambda **values: None)
    batch = Batch(torch.rand(6, 1, 8, 8, dtype=torch.float64))
    fake = game.generator(z)
    expected = (fake.flatten(1) @ w).mean() - (batch.images.flatten(1) @ w).mean() + 7.0 * (w.norm() - 1) ** 2
    assert torch.allclose(game.critic_loss(batch), expected)


@pytest.mark.parametrize("name", ["wgan_gp", "dragan"])
def test_a_critic_without_normalization_begins_with_gradients_near_the_wanted_norm(name: str) -> None:
    """N(0, 0.02) begins at 0.004; the variance of each layer's weights is 4 / (fan in + fan out), the first's half."""
    game: Any = tiny(name, size=32, width=24)
    critic = game.critic if name == "wgan_gp" else game.discriminator
    layers = [m for m in critic.modules() if isinstance(m, nn.Conv2d)]
    for i, layer in enumerate(layers):
        # kernels of 4 x 4: the last one's stride is 1
        fans = 16 * layer.in_channels + (16 * layer.out_channels if i == len(layers) - 1 else 4 * layer.out_channels)
        wanted = (4 if i else 2) / fans
        assert layer.weight.square().mean().item() == pytest.approx(wanted, rel=0.15)
        assert layer.weight.abs().max().item() <= math.sqrt(3 * wanted) * 1.0001
    torch.manual_seed(0)
    x = (torch.rand(64, 1, 32, 32) * 2 - 1).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(x).sum(), x)
    assert 0.6 < gradient.flatten(1).norm(dim=1).mean().item() < 1.2


@pytest.mark.parametrize("variant", ["paper", "studiogan"])
def test_residual_networks_play_the_same_game(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    game: Any = tiny("wgan_gp", size=16, resnet_widths=(4, 4, 4), critic_widths=(4, 8, 8), variant=variant)
    monkeypatch.setattr(game, "record", lambda **values: None)
    norms = [m for m in game.critic.modules() if isinstance(m, nn.BatchNorm2d)]
    assert bool(norms) == (variant == "studiogan") and all(norm.eps == 1e-4 for norm in norms)
    batch = Batch(torch.rand(3, 1, 16, 16) * 2 - 1)
    game.critic_loss(batch).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for n, p in game.critic.named_parameters())
    assert game.generator(game.noise(batch)).shape == batch.images.shape
