from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from helpers import close, tiny
from torch import Tensor, nn

from ganzoo.types import Batch


class Linear(nn.Module):
    """D of a pack: another weight for each place."""

    def forward(self, packs: Tensor) -> Tensor:
        places = torch.arange(1, packs.shape[1] + 1, dtype=packs.dtype)
        return (packs * places.view(1, -1, *[1] * (packs.dim() - 2))).flatten(1).sum(1)


def points(packing: int) -> Any:
    game: Any = tiny("pacgan", shape=[2], packing=packing, hidden=[5], discriminator_hidden=[4])
    game.discriminator = Linear()
    return game


def test_packs_are_neighbours_and_the_last_is_filled_from_the_first() -> None:
    x = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    assert points(1).judged(x).tolist() == [21, 42, 63]  # 1 a + 2 b
    assert points(2).judged(x).tolist() == [21 + 3 * 2 + 4 * 20, 63 + 3 * 1 + 4 * 10]
    assert points(4).judged(x[:1]).tolist() == [(1 + 3 + 5 + 7) * 1 + (2 + 4 + 6 + 8) * 10]


def test_images_of_a_pack_are_stacked_as_channels() -> None:
    game: Any = tiny("pacgan", packing=3)
    assert game.discriminator.features[0].in_channels == 3 and game.generator(torch.randn(2, 6)).shape == (2, 1, 8, 8)
    game.discriminator = Linear()
    images = torch.randn(6, 1, 8, 8)
    sums = images.sum((1, 2, 3)).view(2, 3)
    assert close(game.judged(images), sums @ torch.tensor([1.0, 2.0, 3.0]))
    assert close(game.realness(images, None), 6 * images.sum((1, 2, 3)))


@pytest.mark.parametrize("packing", [1, 2])
def test_the_losses_written_out(packing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    game = points(packing)
    z, x = torch.randn(4, 6), torch.randn(4, 2)
    monkeypatch.setattr(game, "noise", lambda batch: z)
    packs = [game.generator.eval()(z).reshape(-1, 2 * packing).tolist(), x.reshape(-1, 2 * packing).tolist()]
    fake, real = ([sum((i + 1) * v for i, v in enumerate(row)) for row in rows] for rows in packs)
    n = 4 // packing
    on_fake = sum(math.log(1 + math.exp(v)) for v in fake) / n
    on_real = sum(math.log(1 + math.exp(-v)) for v in real) / n
    assert game.discriminator_loss(Batch(x)).item() == pytest.approx(on_fake + on_real, rel=1e-5)
    wanted = sum(math.log(1 + math.exp(-v)) for v in fake) / n
    assert game.generator_loss(Batch(x)).item() == pytest.approx(wanted, rel=1e-5)


def test_two_samples_tell_a_collapsed_generator_from_data() -> None:
    """Section 3: Q on half of P's modes is at 1/2 in total variation of one sample, at 3/4 of two."""
    p, q = torch.full((4,), 0.25), torch.tensor([0.5, 0.5, 0.0, 0.0])
    distances = []
    for packing in (1, 2):
        modes = torch.cartesian_prod(*[torch.arange(4)] * packing).reshape(-1, packing)
        distances.append(0.5 * (p[modes].prod(1) - q[modes].prod(1)).abs().sum().item())
    assert distances == pytest.approx([0.5, 0.75])
