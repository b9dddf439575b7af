"""FastGAN: its losses by hand, what its critic restores, and networks of the authors' sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import fit, tiny
from torch import Tensor

import ganzoo
from ganzoo.families import fastgan
from ganzoo.nn.fastgan import Excitation
from ganzoo.nn.spectral import Normalized
from ganzoo.types import BadArgument, Batch


def test_the_losses_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    game: Any = tiny("fastgan", reconstruction=3.0).eval()
    monkeypatch.setattr(fastgan, "diff_augment", lambda images, policies: images)
    batch = Batch(torch.rand(4, 1, 32, 32) * 2 - 1)
    fake = game.fake(batch)
    image, small = game.apart(fake)
    assert image.shape == (4, 1, 32, 32) and small.shape == (4, 1, 16, 16)
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: torch.full(shape[0], 0.5))  # every margin is 0.9
    quarter = torch.tensor([0, 3, 1, 2])
    monkeypatch.setattr(torch, "randint", lambda *_, **__: quarter)
    real = batch.images
    scores, seen = game.discriminator(real, real[:, :, ::2, ::2])
    restored = game.decoders(seen, quarter)
    generated, _ = game.discriminator(image, small)
    loss = F.relu(0.9 - scores).mean() + F.relu(0.9 + generated).mean()
    halves = {0: (0, 0), 1: (0, 16), 2: (16, 0), 3: (16, 16)}
    cut = [real[i : i + 1, :, y : y + 16, x : x + 16] for i, (y, x) in enumerate(halves[int(q)] for q in quarter)]
    enlarged = torch.cat(cut).repeat_interleave(2, 2).repeat_interleave(2, 3)
    for one, other in zip(restored, (real, real, enlarged), strict=True):
        for x, y in zip(game.features(one), game.features(other), strict=True):
            unit = [z / z.square().sum(1, keepdim=True).sqrt().clamp(min=1e-12) for z in (x, y)]
            loss = loss + 3 * (unit[0] - unit[1]).square().sum(1).mean()
    assert game.discriminator_loss(batch, fake).item() == pytest.approx(loss.item(), rel=1e-5)
    assert game.generator_loss(batch, fake).item() == pytest.approx(-generated.mean().item(), rel=1e-5, abs=1e-7)


def test_the_margin_is_drawn_for_each_score() -> None:
    torch.manual_seed(0)
    scores = torch.zeros(2000, 3)
    assert fastgan.hinge(scores, 1).item() == pytest.approx(0.9, abs=5 * 0.2 / (12 * 6000) ** 0.5)
    assert fastgan.hinge(scores + 1, 1).item() == 0 and fastgan.hinge(scores - 0.8, -1).item() > 0


def test_a_quarter_is_a_quarter() -> None:
    x = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6).float()
    for number, (rows, columns) in enumerate(((0, 0), (0, 3), (2, 0), (2, 3))):
        part = fastgan.quarter_of(x, torch.full((2,), number))
        assert torch.equal(part, x[:, :, rows : rows + 2, columns : columns + 3])


@pytest.mark.parametrize(("size", "scores", "shown"), [(32, 50, 32), (64, 50, 64), (256, 50, 128), (1024, 50, 128)])
def test_the_authors_networks(size: int, scores: int, shown: int) -> None:
    """Two maps of 5 x 5 scores at any size, images restored at 128 pixels, and excitations of their sides."""
    game: Any = tiny("fastgan", size=size, channels=3, width=4)
    assert all(isinstance(m, Normalized) for m in game.modules() if isinstance(m, torch.nn.Conv2d))
    image, small = game.generator(torch.randn(2, 6))
    assert image.shape == (2, 3, size, size) and small.shape == (2, 3, min(128, size // 2), min(128, size // 2))
    found, seen = game.discriminator(image, small)
    restored = game.decoders(seen, torch.tensor([0, 3]))
    assert found.shape == (2, scores) and {x.shape for x in restored} == {(2, 3, shown, shown)}
    assert [*game.generator.excitations] == [s for s in ("64", "128", "256", "512") if int(s) <= size]
    assert [*game.discriminator.excitations] == [s for s in ("32", "16", "8") if 8 * int(s) <= min(size, 256)]


def test_the_authors_widths() -> None:
    with torch.device("meta"):
        game: Any = ganzoo.create("fastgan")
    widths = [up.conv1.weight.shape[0] // 2 for up in game.generator.ups]
    assert widths == [512, 256, 128, 128, 64, 32] and [up.large for up in game.generator.ups] == [True, False] * 3
    assert game.generator.first.weight.shape == (2048, 256, 4, 4)
    assert [down.main[0].weight.shape[0] for down in game.discriminator.downs] == [32, 64, 128, 256, 512]
    assert [d.main[0].conv1.weight.shape[1] for d in game.decoders.decoders] == [512, 256, 256]


def test_excitation_gates_each_feature_map() -> None:
    torch.manual_seed(0)
    gate = Excitation(3, 5).eval()
    small, large = torch.randn(2, 3, 8, 8), torch.randn(2, 5, 32, 32)
    made = gate(small, large)
    shares = made / large
    assert (
        torch.allclose(shares, shares[:, :, :1, :1].expand_as(shares), atol=1e-5)
        and 0 < shares.min() < shares.max() < 1
    )
    assert torch.equal(gate(small, 2 * large), 2 * made)


def test_noise_is_each_images_own() -> None:
    game: Any = tiny("fastgan").eval()
    with torch.no_grad():
        for up in game.generator.ups:
            if up.large:
                up.gated1.strength += 1.0
    images = game.sample(3, seed=5)
    assert torch.allclose(game.sample(1, seed=6)[0], images[1], atol=1e-5)
    z, _ = game.draw([5, 6, 7])
    assert not torch.allclose(game(z), images, atol=1e-3), "without noise they are others"
    assert game.generator.sizes == [8, 8, 32, 32]
    noise = game.generator.drawn([np.random.RandomState(0)], z)
    assert [x.shape for x in noise] == [(1, 1, 8, 8)] * 2 + [(1, 1, 32, 32)] * 2


def test_both_players_move_against_the_same_samples() -> None:
    game: Any = tiny("fastgan")
    drawn: list[Tensor] = []
    game.generator.register_forward_hook(lambda m, i, o: drawn.append(o[0]))
    fit(game, 2)
    assert len(drawn) == 2


def test_sizes_that_the_critic_does_not_have() -> None:
    for size in (16, 28, 96, 2048):
        with pytest.raises(BadArgument, match=f"image size is {size}; a power of two from 32 to 1024"):
            ganzoo.create("fastgan", size=size)
