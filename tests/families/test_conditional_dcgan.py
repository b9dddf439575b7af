from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers import fit, tiny

from ganzoo.types import BadData, Batch


@pytest.mark.parametrize(("prior", "variance"), [("uniform", 1 / 3), ("normal", 1.0)])
def test_the_priors(prior: str, variance: float) -> None:
    game: Any = tiny("conditional_dcgan", latent=50, prior=prior)
    for z in (game.draw(range(200))[0], game.noise(Batch(torch.zeros(200, 1, 8, 8)))):
        assert abs(z.var().item() - variance) < 0.05 * max(1, variance) and (z.abs().max() <= 1) == (prior == "uniform")


def test_classes_stand_beside_z_and_beside_the_image() -> None:
    game: Any = tiny("conditional_dcgan", classes=3)
    assert game.labelled
    images, labels = torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 2, 2])
    seen: list[torch.Tensor] = []
    game.discriminator.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    game.discriminator_loss(Batch(images, labels))
    for x in seen:
        assert x.shape == (4, 4, 8, 8)
        assert torch.equal(x[:, 1:], torch.eye(3)[labels][:, :, None, None].expand(-1, -1, 8, 8))
    assert torch.equal(seen[0][:, :1], images) and len(seen) == 2
    z = torch.rand(4, 6)
    assert torch.equal(game(z, labels), game.averaged(torch.cat([z, torch.eye(3)[labels]], 1)))
    fit(game, 2)
    with pytest.raises(BadData, match="labels"):
        game.generator_loss(Batch(images))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_losses(smoothing: float, monkeypatch: pytest.MonkeyPatch) -> None:
    game: Any = tiny("conditional_dcgan", classes=3, smoothing=smoothing)
    z, labels = torch.rand(5, 6), torch.tensor([0, 1, 2, 2, 0])
    batch = Batch(torch.rand(5, 1, 8, 8) * 2 - 1, labels)
    monkeypatch.setattr(game, "noise", lambda batch: z)
    maps = torch.eye(3)[labels][:, :, None, None].expand(-1, -1, 8, 8)
    fake = game.generator(torch.cat([z, torch.eye(3)[labels]], 1))
    real, fake = (game.discriminator(torch.cat([x, maps], 1)) for x in (batch.images, fake))
    expected = F.binary_cross_entropy_with_logits(real, torch.full_like(real, 1 - smoothing)) + F.softplus(fake).mean()
    assert torch.allclose(game.discriminator_loss(batch), expected)
    assert torch.allclose(game.generator_loss(batch), F.softplus(-fake).mean())
