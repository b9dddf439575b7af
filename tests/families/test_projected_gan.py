"""Projected GANs: the mixing by hand, four critics of the authors' sizes, and what learns and what does not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers import fit, tensors, tiny

import ganzoo
from ganzoo.families import projected_gan
from ganzoo.families.projected_gan import Critics, Projection
from ganzoo.types import BadArgument, Batch


def test_mixing_across_channels_and_then_scales_from_coarse_to_fine() -> None:
    torch.manual_seed(0)
    mix: Any = Projection([3, 4, 5], 2).double()
    maps = [torch.randn(2, c, side, side).double() for c, side in ((3, 8), (4, 4), (5, 2))]
    found = mix(maps)
    below = None
    for level in (2, 1, 0):
        y = torch.einsum("oi,nihw->nohw", mix.channels[level].weight[:, :, 0, 0], maps[level])
        y = y + mix.channels[level].bias[:, None, None]
        y = y if below is None else y + below
        side = torch.linspace(
            0, y.shape[-1] - 1, 2 * y.shape[-1], dtype=torch.float64
        )  # the corners stay in their places
        left = side.floor().clamp(max=y.shape[-1] - 2).long()
        share = side - left
        y = y[..., left] * (1 - share) + y[..., left + 1] * share
        y = y[..., left, :] * (1 - share)[:, None] + y[..., left + 1, :] * share[:, None]
        below = torch.einsum("oi,nihw->nohw", mix.scales[level].weight[:, :, 0, 0], y)
        below = below + mix.scales[level].bias[:, None, None]
        assert torch.allclose(found[level], below)
    assert mix.outputs == [2, 2, 4] and [x.shape[1] for x in found] == [2, 2, 4]


def test_the_authors_critics() -> None:
    """Of the maps of EfficientNet-lite0 at 224 pixels: 4 x 4 scores of each of four."""
    with torch.device("meta"):
        game: Any = ganzoo.create("projected_gan", maps=(24, 40, 112, 320))
        mixed = game.projection(
            [torch.empty(1, c, 7 << i, 7 << i) for i, c in zip((3, 2, 1, 0), game.maps, strict=True)]
        )
    assert [tuple(x.shape[1:]) for x in mixed] == [(64, 112, 112), (64, 56, 56), (128, 28, 28), (256, 14, 14)]
    widths = [
        [m.out_channels for m in critic if isinstance(m, torch.nn.Conv2d)] for critic in game.discriminator.critics
    ]
    assert widths == [[64, 128, 256, 512, 1], [128, 256, 512, 1], [256, 512, 1], [512, 1]]
    small = Critics([3, 3, 5, 6], width=4)
    with torch.no_grad():
        assert small(
            [x for x in (torch.zeros(1, c, s, s) for c, s in ((3, 112), (3, 56), (5, 28), (6, 14)))]
        ).shape == (1, 64)


def test_the_losses_are_the_hinge_over_all_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    game: Any = tiny("projected_gan").eval()
    holes: list[float] = []

    def noted(images: torch.Tensor, hole: float) -> torch.Tensor:
        holes.append(hole)
        return images

    monkeypatch.setattr(projected_gan, "diff_augment", noted)
    batch, z = Batch(torch.rand(3, 1, 8, 8)), torch.randn(3, 6)
    game.noise = lambda batch: z
    with torch.no_grad():
        for critic in game.discriminator.critics:
            critic[-1].weight.mul_(50)  # scores on both sides of the hinges

    def score(images: torch.Tensor) -> torch.Tensor:
        maps = game.features(F.interpolate(images, 32, mode="bilinear"))
        parts = zip(game.discriminator.critics, game.projection(maps), strict=True)
        return torch.cat([critic(x).flatten() for critic, x in parts])

    real, fake = score(batch.images), score(game.generator(z))
    wanted = (1 - real).clamp(min=0).mean() + (1 + fake).clamp(min=0).mean()
    assert game.discriminator_loss(batch).item() == pytest.approx(wanted.item(), rel=1e-5)
    assert game.generator_loss(batch).item() == pytest.approx(-fake.mean().item(), rel=1e-4, abs=1e-6)
    assert holes == [0.2] * 3


def test_the_projection_does_not_learn_and_is_saved() -> None:
    game: Any = tiny("projected_gan")
    before = tensors(game)
    fit(game, 2)
    after = tensors(game)
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"generator", "discriminator"}
    assert any(name.startswith("projection.") for name in game.player_tensors())
    assert "projection" not in game.inference


def test_a_network_with_other_maps_is_named() -> None:
    game: Any = tiny("projected_gan", maps=[3, 4])
    with pytest.raises(BadArgument, match=r"maps are \[3, 4\], and mobilenet_v2 has \[3, 3\]; give the last few"):
        fit(game, 1)
    with pytest.raises(BadArgument, match="images seen at 96 pixels by critics on 4 scales"):
        ganzoo.create("projected_gan", seen=96)
