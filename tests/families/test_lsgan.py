from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import tiny
from torch import nn

from ganzoo.types import Batch


def test_equation_2_with_any_a_b_and_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """The losses against squares written out, on a network in evaluation mode."""
    batch, z = Batch(torch.rand(5, 1, 8, 8) * 2 - 1), torch.rand(5, 6) * 2 - 1
    for a, b, c in ((0.0, 1.0, 1.0), (-1.0, 1.0, 0.0), (0.2, 0.7, -0.4)):
        game: Any = tiny("lsgan", a=a, b=b, c=c).eval()
        monkeypatch.setattr(game, "noise", lambda batch: z)
        real, fake = game.discriminator(batch.images).tolist(), game.discriminator(game.generator(z)).tolist()
        expected = sum((x - b) ** 2 for x in real) / 10 + sum((x - a) ** 2 for x in fake) / 10
        assert game.discriminator_loss(batch).item() == pytest.approx(expected)
        assert game.generator_loss(batch).item() == pytest.approx(sum((x - c) ** 2 for x in fake) / 10)


def test_the_pearson_case_on_two_distributions() -> None:
    """The optimal D = (b p + a q) / (p + q) in the generator's loss: half chi^2(p + q || 2 q) (section 3.2.2)."""
    p, q = torch.tensor([0.5, 0.3, 0.2, 0.0]), torch.tensor([0.1, 0.3, 0.2, 0.4])
    game: Any = tiny("lsgan", a=-1.0, b=1.0, c=0.0)
    best = (game.b * p + game.a * q) / (p + q)
    # Eq. 5 adds to E_q (D - c)^2 the same on data, which the generator cannot change
    loss = 0.5 * (p * (best - game.c) ** 2).sum() + 0.5 * (q * (best - game.c) ** 2).sum()
    pearson = ((2 * q - (p + q)) ** 2 / (p + q)).sum()
    assert torch.allclose(loss, pearson / 2)


def test_the_generator_of_figure_2() -> None:
    """At 112 pixels, layer by layer: maps, side and stride; 9 convolutions, none of them wider than four times 64."""
    with torch.device("meta"):
        game: Any = tiny("lsgan", size=112, channels=3, latent=1024, width=64)
    convolutions = [m for m in game.generator.main if isinstance(m, nn.ConvTranspose2d)]
    found = [(m.out_channels, m.stride[0]) for m in convolutions]
    assert found == [(256, 2), (256, 1), (256, 2), (256, 1), (128, 2), (64, 2), (3, 1)]
    assert game.generator.project.out_features == 7 * 7 * 256
    assert game.generator(torch.empty(2, 1024, device="meta")).shape == (2, 3, 112, 112)
    group = game.players()["generator"].optimizer([nn.Parameter(torch.zeros(1))]).param_groups[0]
    assert (group["lr"], group["betas"][0]) == (1e-3, 0.5)


@pytest.mark.parametrize("size", [8, 28, 32])
def test_any_size(size: int) -> None:
    assert tiny("lsgan", size=size).sample(2).shape == (2, 1, size, size)
