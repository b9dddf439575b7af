from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers import fit, tiny

from ganzoo.types import Batch


def test_the_critic_is_clipped_after_each_of_its_moves() -> None:
    game: Any = tiny("wgan", clip=0.01, lr=0.02, n_critic=3)
    assert max(p.abs().max() for p in game.critic.parameters()) > 0.5, "clipping will have something to do"
    seen: list[float] = []

    def spied(loss: Callable[[Batch], torch.Tensor]) -> Callable[[Batch], torch.Tensor]:
        def spy(batch: Batch) -> torch.Tensor:
            seen.append(max(p.abs().max().item() for p in game.critic.parameters()))
            return loss(batch)

        return spy

    game.critic_loss, game.generator_loss = spied(game.critic_loss), spied(game.generator_loss)
    fit(game, 3)
    assert len(seen) == 9 + 3, "three moves of the critic to one of the generator"
    assert seen[0] > 0.5 and seen[1:] == pytest.approx([0.01] * 11), "a step of 0.02 would leave the bound otherwise"


def test_wgan_uses_rmsprop_and_a_critic_without_a_bound_on_its_score() -> None:
    game: Any = tiny("wgan")
    assert all(player.optimizer([torch.nn.Parameter(torch.zeros(1))]).__class__.__name__ == "RMSprop"
               for player in game.players().values())  # fmt: skip
    assert not any(isinstance(m, (torch.nn.Sigmoid, torch.nn.Tanh)) for m in game.critic.modules())


def test_the_losses_are_differences_of_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    game: Any = tiny("wgan").eval()
    z = torch.randn(4, game.latent)
    monkeypatch.setattr(game, "noise", lambda batch: z)
    batch = Batch(torch.rand(4, *game.shape) * 2 - 1)
    fake, real = game.critic(game.generator(z)).mean(), game.critic(batch.images).mean()
    assert torch.allclose(game.critic_loss(batch), fake - real) and torch.allclose(game.generator_loss(batch), -fake)
