from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers import fit, tiny

from ganzoo.types import BadData, Batch


def test_the_prior_is_uniform() -> None:
    game: Any = tiny("dcgan", latent=50)
    for z in (game.draw(range(200))[0], game.noise(Batch(torch.zeros(200, 1, 8, 8)))):
        assert z.abs().max() <= 1 and abs(z.var().item() - 1 / 3) < 0.01 and abs(z.mean().item()) < 0.02


def test_the_normal_prior() -> None:
    game: Any = tiny("dcgan", latent=50, prior="normal")
    for z in (game.draw(range(200))[0], game.noise(Batch(torch.zeros(200, 1, 8, 8)))):
        assert z.abs().max() > 2 and abs(z.var().item() - 1) < 0.05


def test_classes_stand_beside_z_and_beside_the_image() -> None:
    game: Any = tiny("dcgan", classes=3)
    assert game.labelled and not tiny("dcgan").labelled
    images, labels = torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 2, 2])
    seen: list[torch.Tensor] = []
    game.discriminator.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    game.discriminator_loss(Batch(images, labels))
    for x in seen:
        assert x.shape == (4, 4, 8, 8)
        assert torch.equal(x[:, 1:], torch.eye(3)[labels][:, :, None, None].expand(-1, -1, 8, 8))
    assert torch.equal(seen[0][:, :1], images) and len(seen) == 2
    z = torch.rand(4, 6)
    same = game.generate(z, labels)
    assert torch.equal(same, game.averaged(torch.cat([z, torch.eye(3)[labels]], 1)))
    fit(game, 2)
    with pytest.raises(BadData, match="labels"):
        game.generator_loss(Batch(images))


def test_the_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    z = torch.rand(5, 6) * 2 - 1
    batch = Batch(torch.rand(5, 1, 8, 8) * 2 - 1)
    for smoothing in (0.0, 0.1):
        game: Any = tiny("dcgan", smoothing=smoothing)
        monkeypatch.setattr(game, "noise", lambda batch: z)
        real, fake = game.discriminator(batch.images), game.discriminator(game.generator(z))
        target = torch.full_like(real, 1 - smoothing)
        expected = F.binary_cross_entropy_with_logits(real, target) + F.softplus(fake).mean()
        assert torch.allclose(game.discriminator_loss(batch), expected)
        assert torch.allclose(game.generator_loss(batch), F.softplus(-fake).mean())


def test_the_papers_optimizer() -> None:
    player = tiny("dcgan", size=8).players()["generator"]
    (group,) = player.optimizer([torch.nn.Parameter(torch.zeros(1))]).param_groups
    assert (group["lr"], group["betas"]) == (2e-4, (0.5, 0.999))


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (32, 3), (64, 3), (96, 1), (128, 3)])
def test_one_class_serves_all_sizes(size: int, channels: int) -> None:
    game: Any = tiny("dcgan", size=size, channels=channels, width=2)
    images = game.sample(2)
    assert images.shape == (2, channels, size, size)
    assert game.discriminator(images).shape == (2,)
