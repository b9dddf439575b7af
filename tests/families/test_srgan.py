"""SRGAN: parity of BasicSR's networks, the paper's losses, its two stages, and its scales."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers import close, fit, pictures, tiny
from parity_files import answers, distance, fixture

import ganzoo
from ganzoo.types import BadArgument, BadCheckpoint, Batch
from ganzoo.zoo.converting import convert

SMALL: dict[str, Any] = {"size": 16, "halvings": 2, "channels": 3, "units": 5}


def test_parity_of_both_networks(tmp_path: Path) -> None:
    more = [fixture("basicsr_d.vgg128.pth")]
    convert(fixture("sr.msrresnet_x4.pth"), "srgan", to=tmp_path / "model", more=more, pictures=False)
    game: Any = ganzoo.load(tmp_path / "model", players=True)
    for name, network, answer in (
        ("sr.msrresnet_x4", game.generator, "y"),
        ("basicsr_d.vgg128", game.discriminator, "d_out"),
    ):
        arrays, _ = answers(name)
        with torch.no_grad():
            made = network(2 * torch.from_numpy(arrays["x"]) - 1)
        assert distance((made + 1) / 2 if answer == "y" else made, arrays[answer]) < 1e-4
    with pytest.raises(BadCheckpoint, match="BasicSR's discriminator is expected"):
        convert(fixture("sr.msrresnet_x4.pth"), to=tmp_path / "other", more=[fixture("basicsr_d.unet_sn.pth")])


@pytest.mark.parametrize("level", [-1, 0])
def test_the_losses_are_those_of_the_paper(level: int) -> None:
    game: Any = tiny("srgan", **SMALL, level=level)
    data = Batch(pictures(3, (3, 16, 16)))
    made = game.made(data)
    game.discriminator.eval()
    real, fake = game.discriminator(data.images), game.discriminator(made)
    assert close(game.discriminator_loss(data, made), F.softplus(-real).mean() + F.softplus(fake).mean())
    maps = [game.features(x, activated=False)[level].relu() for x in (made, data.images)]
    wanted = (maps[0] - maps[1]).square().mean() / 12.75**2 + 1e-3 * F.softplus(-fake).mean()
    assert close(game.generator_loss(data, made), wanted)


def test_a_level_that_the_network_has_not() -> None:
    game: Any = tiny("srgan", **SMALL, level=9)
    with pytest.raises(BadArgument, match=r"level is 9; vgg16_lpips has 0 to [0-9], or -1 for the coarsest"):
        fit(game, 1)


def test_the_first_stage_is_the_mean_square_of_pixels() -> None:
    game: Any = tiny("srgan", **SMALL, perceptual=None, adversarial=0.0)
    data = Batch(pictures(2, (3, 16, 16)))
    assert close(game.generator_loss(data, data.images + 0.5), torch.tensor(0.25))
    before = {key: value.clone() for key, value in game.discriminator.state_dict().items()}
    fit(game, 2)
    assert all(torch.equal(value, before[key]) for key, value in game.discriminator.state_dict().items())
    assert [game.rate(seen) for seen in (0, 1_599_999, 1_600_000)] == [1.0, 1.0, 0.1]


@pytest.mark.parametrize("network", ["srresnet", "msrresnet"])
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_scales_and_tiles(network: str, scale: int) -> None:
    game: Any = tiny("srgan", **SMALL | {"size": 48}, network=network, scale=scale)
    small = pictures(1, (3, 20, 13))
    made = game.upscale(small)
    assert made.shape == (1, 3, 20 * scale, 13 * scale)
    assert (game.upscale(small, tile=8) - made).abs().max() < 1e-5
    if network == "msrresnet":
        with torch.no_grad():
            game.generator.last.weight.zero_()
            game.generator.last.bias.zero_()
        wanted = F.interpolate(small, scale_factor=float(scale), mode="bilinear")
        assert close(game.upscale(small), wanted, 1e-5), "what is learned is added to bilinear interpolation"


def test_sizes_that_cannot_be() -> None:
    for given in ({"scale": 5}, {"size": 20, "halvings": 3}, {"size": 18, "scale": 4}):
        with pytest.raises(BadArgument, match="2, 3, 4 or 8, and a multiple of it"):
            tiny("srgan", **SMALL | given)
