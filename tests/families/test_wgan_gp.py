from __future__ import annotations

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
