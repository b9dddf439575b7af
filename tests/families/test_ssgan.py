from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from helpers import fit, tiny

from ganzoo.families.ssgan import rotation_loss, turns
from ganzoo.nn.spectral import Normalized
from ganzoo.types import Batch


def test_the_last_quarter_is_turned_in_the_three_other_directions() -> None:
    images = torch.rand(9, 2, 5, 5)
    found = turns(images).numpy()
    wanted = [np.rot90(images[i].numpy(), k, (1, 2)) for k in (1, 2, 3) for i in (7, 8)]
    assert np.array_equal(found, np.stack(wanted))
    assert np.array_equal(turns(images[:2]).numpy()[0], np.rot90(images[1].numpy(), 1, (1, 2))), "one at least"


def test_turns_are_told_apart_by_cross_entropy() -> None:
    """Of 9 upright images and 6 turned ones count the logits of the last two upright ones and of all turned ones."""
    logits = torch.randn(9 + 6, 4)
    total = 0.0
    for row, turn in zip(range(7, 15), (0, 0, 1, 1, 2, 2, 3, 3), strict=True):
        values = logits[row].tolist()
        total += math.log(sum(math.exp(v) for v in values)) - values[turn]
    assert rotation_loss(logits, 9).item() == pytest.approx(total / 8, rel=1e-5)


def test_the_losses_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equations 2 and 3 with the hinge: only upright images are scored, and each player turns its own kind."""
    game: Any = tiny("ssgan", generator_weight=0.3, discriminator_weight=0.7).eval()
    batch, z = Batch(torch.rand(8, 1, 8, 8) * 2 - 1), torch.randn(8, 6)
    monkeypatch.setattr(game, "noise", lambda batch: z)
    fake = game.generator(z)

    def entropy(images: torch.Tensor) -> torch.Tensor:
        rows = [
            (k, torch.from_numpy(np.rot90(images[i].detach().numpy(), k, (1, 2)).copy()))
            for k in range(4)
            for i in (6, 7)
        ]
        chances = game.discriminator(torch.stack([image for _, image in rows]))[1].softmax(1)
        return -torch.stack([chances[i, k].log() for i, (k, _) in enumerate(rows)]).mean()

    real_scores, fake_scores = game.discriminator(batch.images)[0], game.discriminator(fake)[0]
    hinge = torch.clamp(1 - real_scores, min=0).mean() + torch.clamp(1 + fake_scores, min=0).mean()
    assert torch.allclose(game.discriminator_loss(batch), hinge + 0.7 * entropy(batch.images), rtol=1e-5)
    assert torch.allclose(game.generator_loss(batch), -fake_scores.mean() + 0.3 * entropy(fake), rtol=1e-5)


def test_pictures_are_turned_after_they_are_augmented(monkeypatch: pytest.MonkeyPatch) -> None:
    """ADA turns pictures itself: a turn that came before would be no label any more."""
    game: Any = tiny("ssgan").eval()
    batch, z, shown = Batch(torch.rand(4, 1, 8, 8) * 2 - 1), torch.randn(4, 6), []
    monkeypatch.setattr(game, "noise", lambda batch: z)
    monkeypatch.setattr(game, "seen", lambda images: images.rot90(1, (2, 3)))
    game.discriminator.register_forward_pre_hook(lambda m, inputs: shown.append(inputs[0].detach()))
    real, fake = (x.detach().rot90(1, (2, 3)) for x in (batch.images, game.generator(z)))
    game.discriminator_loss(batch)
    game.generator_loss(batch)
    assert torch.equal(shown[0], torch.cat([fake, real, turns(real)]))
    assert torch.equal(shown[1], torch.cat([fake, turns(fake)]))


def test_the_second_head_is_normalized_learns_and_moves_the_generator() -> None:
    game: Any = tiny("ssgan")
    assert isinstance(game.discriminator.rotation, Normalized)
    before = game.discriminator.rotation.weight.detach().clone()
    fit(game, 2)
    assert not torch.equal(before, game.discriminator.rotation.weight)
    game.alpha = 0.0
    batch = Batch(torch.zeros(4, 1, 8, 8))
    gradients = []
    for weight in (0.0, 5.0):
        game.alpha = weight
        torch.manual_seed(0)
        gradients.append(torch.autograd.grad(game.generator_loss(batch), game.generator.linear.weight)[0])
    assert not torch.allclose(gradients[0], gradients[1])


def test_a_game_with_reuse_draws_once() -> None:
    game: Any = tiny("ssgan", n_critic=1, reuse=True)
    drawn: list[int] = []
    game.generator.register_forward_hook(lambda m, i, o: drawn.append(len(o)))
    fit(game, 2)
    assert drawn == [4, 4]
