"""ESRGAN: its losses against closed forms, its game, what lies between two models, and how its defaults came about."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers import close, fit, pictures, tiny

from ganzoo.families.esrgan.networks import RRDBNet
from ganzoo.types import BadArgument, Batch


def batch(game: Any, n: int = 3) -> Batch:
    return Batch(pictures(n, game.shape))


def test_the_losses_are_those_of_the_paper() -> None:
    game: Any = tiny("esrgan", channels=3, size=16)
    data = batch(game)
    made = game.made(data)
    small = game.reduced(data.images)
    assert small.shape == (3, 3, 4, 4) and close(made, game.generator(small))
    game.discriminator.eval()  # its batch statistics move with each call
    real, fake = game.discriminator(data.images), game.discriminator(made)
    one, other = torch.sigmoid(real - fake.mean()), torch.sigmoid(fake - real.mean())
    assert close(game.discriminator_loss(data, made), -one.log().mean() - (1 - other).log().mean(), 1e-4)
    adversarial = -(1 - one).log().mean() - other.log().mean()
    maps = [game.features(x, activated=False)[-1] for x in (made, data.images)]
    pixels = ((made - data.images) / 2).abs().mean()  # of values in [0, 1]
    wanted = (maps[0] - maps[1]).abs().mean() + 5e-3 * adversarial + 1e-2 * pixels
    assert close(game.generator_loss(data, made), wanted, 1e-4)


def test_the_first_stage_is_the_distance_in_pixels_alone() -> None:
    game: Any = tiny("esrgan", perceptual=None, pixel=2.0, adversarial=0.0)
    data = batch(game)
    assert close(game.generator_loss(data, data.images + 0.5), torch.tensor(0.5))
    before = {key: value.clone() for key, value in game.discriminator.state_dict().items()}
    fit(game, 2)
    assert all(torch.equal(value, before[key]) for key, value in game.discriminator.state_dict().items())


def test_real_esrgan_judges_each_pixel_by_itself() -> None:
    game: Any = tiny("esrgan", discriminator="unet", relativistic=False, degradation="second-order", network="compact")
    data = batch(game)
    torch.manual_seed(0)
    made = game.made(data)
    torch.manual_seed(0)
    assert torch.equal(game.made(data), made) and made.shape == data.images.shape
    assert not torch.equal(game.made(data), made), "another draw, another degradation"
    game.discriminator.eval()
    fake, real = game.discriminator(made), game.discriminator(data.images)
    assert fake.shape == (3, 1, 8, 8)
    wanted = F.softplus(-real).mean() + F.softplus(fake).mean()
    assert close(game.discriminator_loss(data, made), wanted)
    fit(game, 2)


def test_the_rate_is_halved() -> None:
    game: Any = tiny("esrgan", halve_at=[10, 20])
    assert [game.rate(seen) for seen in (0, 9, 10, 19, 20, 1000)] == [1, 1, 0.5, 0.5, 0.25, 0.25]


@pytest.mark.parametrize(("scale", "network"), [(1, "rrdb"), (2, "rrdb"), (4, "rrdb"), (2, "compact"), (3, "compact")])
def test_scales(scale: int, network: str) -> None:
    game: Any = tiny("esrgan", size=24, discriminator="unet", scale=scale, network=network, channels=3)
    made = game.upscale(pictures(2, (3, 9, 11)))
    assert made.shape == (2, 3, 9 * scale, 11 * scale)
    assert (game.upscale(pictures(2, (3, 9, 11)), tile=4, overlap=12) - made).abs().max() < 1e-5
    assert game.upscale(pictures(1, (3, 1, 1))).shape == (1, 3, scale, scale)


def test_the_last_layers_in_strips_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    network: Any = tiny("esrgan", channels=3).generator
    assert isinstance(network, RRDBNet)
    game: Any = tiny("esrgan", channels=3)
    monkeypatch.setattr("ganzoo.families.esrgan._STRIP", 1)  # eight rows at a time
    x = pictures(2, (3, 29, 5))
    assert close(game.enlarge(x), game.generator(x), 1e-5)


def test_sizes_that_cannot_be() -> None:
    for given, said in (
        ({"scale": 3}, "the network rrdb has 1, 2 and 4"),
        ({"size": 12}, "a multiple of 8"),
        ({"size": 24}, "the discriminator takes 8, 16, 32"),
    ):
        with pytest.raises(BadArgument, match=said):
            tiny("esrgan", **given)


def test_between_two_models() -> None:
    one: Any = tiny("esrgan")
    other: Any = tiny("esrgan")
    with torch.no_grad():
        for parameter in other.generator.parameters():
            parameter.add_(1.0)
    middle = one.between(other, 0.75)
    key, value = next(iter(middle.generator.state_dict().items()))
    assert torch.allclose(value, one.generator.state_dict()[key] + 0.25)
    assert one.between(other, 1.0).upscale(x := pictures(1, (1, 4, 4))).equal(one.upscale(x))
    with pytest.raises(BadArgument, match=r"1\.5; a number from 0 to 1"):
        one.between(other, 1.5)
    with pytest.raises(BadArgument, match="other tensors"):
        one.between(tiny("esrgan", width=5), 0.5)
