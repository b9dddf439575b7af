"""ID-CGAN: its losses, written out; the authors' generator, layer by layer; squares in sight; PSNR."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers import Noise, close, pictures, stirred, tiny

from ganzoo.metrics.evaluate import measure
from ganzoo.training.scores import subject_of
from ganzoo.types import Batch


@pytest.mark.parametrize("pixels", ["l1", "l2"])
def test_the_losses_are_the_papers(pixels: str) -> None:
    game: Any = stirred(tiny("idcgan", channels=3, pixels=pixels, perceptual_weight=0.7, adversarial=0.2)).eval()
    x, y = pictures(3, (3, 8, 8)), pictures(3, (3, 8, 8), 9)
    batch, fake = Batch(x, targets=y), game.generator(x)
    real, made = (game.discriminator(torch.cat([x, each], 1)).sigmoid() for each in (y, fake))
    assert close(game.discriminator_loss(batch, fake), -real.log().mean() - (1 - made).log().mean())
    far = (fake - y).abs().mean() if pixels == "l1" else (fake - y).square().mean()
    content = (game.features(fake)[1] - game.features(y)[1]).square().mean()
    assert close(game.generator_loss(batch, fake), far + 0.7 * content - 0.2 * made.log().mean())


def test_without_features_or_game_pixels_are_left() -> None:
    game: Any = tiny("idcgan", perceptual=None, adversarial=0.0)
    y = pictures(2, (1, 8, 8)) / 2
    assert not game.helpers and close(game.generator_loss(Batch(y, targets=y), y + 0.5), torch.tensor(0.25))


def test_the_generator_is_the_authors() -> None:
    """Written out from their defineGour_net, whose activations in place change what is added later."""
    net: Any = stirred(tiny("idcgan", width=6)).generator.eval()
    x = pictures(2, (1, 8, 8))
    e1, e2, e3, e4, e5, e6 = net.down
    a1 = F.leaky_relu(e1(x), 0.2)
    a2 = F.leaky_relu(e2(a1), 0.2)
    a4 = F.leaky_relu(e4(F.leaky_relu(e3(a2), 0.2)), 0.2)
    a6 = F.leaky_relu(e6(F.leaky_relu(e5(a4), 0.2)), 0.2)
    d1, d2, d3, d4, d5 = net.up
    b2 = d2(d1(a6).relu()) + a4
    b4 = d4(d3(b2.relu()).relu()) + a2
    assert close(net(x), net.last(d5(b4.relu()).relu()).tanh())
    assert a6.shape == (2, 1, 8, 8) and d1[0].out_channels == 3


def test_what_is_far_counts_at_a_patch() -> None:
    """Without squares a patch sees its own place; with one that holds all, each sees all."""
    x, y = pictures(1, (1, 64, 64)), pictures(1, (1, 64, 64), 5)
    for scales, reaches in (([], False), ([64], True)):
        net: Any = tiny("idcgan", size=64, scales=scales).discriminator.eval()
        other = y.clone()
        other[:, :, -4:, -4:] *= -1
        one, two = (net(torch.cat([x, each], 1))[..., 0, 0] for each in (y, other))
        assert (one != two).item() == reaches


def test_psnr_beside_the_rainy_picture() -> None:
    game: Any = stirred(tiny("idcgan"))
    data = Noise((1, 8, 8), n=10, targets=(1, 8, 8), paired=True)
    (score,) = measure(subject_of(game), data, ["psnr10_pixels_test"])
    real = data.open("test")
    x, y = (torch.from_numpy(v).double() / 127.5 - 1 for v in (real.values, real.targets))
    each = 10 * (4 / (x - y).square().flatten(1).mean(1)).log10()
    assert score.references == {"copy of the input": pytest.approx(float(each.mean()))}
