from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import fit, tiny
from torch import nn

from ganzoo.game import registry
from ganzoo.types import BadArgument, Batch


def test_the_papers_networks() -> None:
    """Table 2 for CIFAR-10: maps and strides of both players, dropout after each of six convolutions."""
    with torch.device("meta"):
        game: Any = registry.family("acgan").cls()
    ups = [m for m in game.generator.main if isinstance(m, nn.ConvTranspose2d)]
    assert game.generator.project.in_features == 110 and game.generator.project.out_features == 384 * 4 * 4
    assert [(m.out_channels, m.kernel_size[0], m.stride[0]) for m in ups] == [(192, 5, 2), (96, 5, 2), (3, 5, 2)]
    downs = [m for m in game.discriminator.features if isinstance(m, nn.Conv2d)]
    found = [(m.out_channels, m.kernel_size[0], m.stride[0]) for m in downs]
    assert found == [(16, 3, 2), (32, 3, 1), (64, 3, 2), (128, 3, 1), (256, 3, 2), (512, 3, 1)]
    assert [m.p for m in game.discriminator.modules() if isinstance(m, nn.Dropout)] == [0.5] * 6
    assert sum(isinstance(m, nn.BatchNorm2d) for m in game.discriminator.modules()) == 5, "none after the first"
    assert game.discriminator.head.out_features == 1 + 10


def test_the_losses_in_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    """-L_S - L_C and -L_C - E log P(real | G), with the probabilities written out, sample by sample."""
    game: Any = tiny("acgan", class_weight=0.7).eval()
    z, c = torch.randn(4, 6), torch.tensor([1, 0, 9, 9])
    monkeypatch.setattr(game, "latents_and_labels", lambda batch: (z, c))
    monkeypatch.setattr(game, "record", lambda **values: None)
    y = torch.tensor([2, 2, 7, 0])
    batch = Batch(torch.rand(4, 1, 8, 8) * 2 - 1, y)
    with torch.no_grad():
        source, classes = game.discriminator(batch.images)
        fake_source, fake_classes = game.discriminator(game.generator(z, c))
    real, fake = torch.sigmoid(source).double(), torch.sigmoid(fake_source).double()
    known = [classes.double().softmax(1)[i, y[i]] for i in range(4)]
    asked = [fake_classes.double().softmax(1)[i, c[i]] for i in range(4)]
    l_s = sum(torch.log(real[i]) + torch.log(1 - fake[i]) for i in range(4)) / 4
    l_c = sum(torch.log(known[i]) for i in range(4)) / 4 + sum(torch.log(asked[i]) for i in range(4)) / 4
    assert game.discriminator_loss(batch).item() == pytest.approx(float(-l_s - 0.7 * l_c), rel=1e-5)
    expected = -sum(torch.log(fake[i]) + 0.7 * torch.log(asked[i]) for i in range(4)) / 4
    assert game.generator_loss(batch).item() == pytest.approx(float(expected), rel=1e-5)


def test_every_class_is_asked_for() -> None:
    game: Any = tiny("acgan")
    z, c = game.latents_and_labels(Batch(torch.zeros(500, 1, 8, 8)))
    assert z.shape == (500, 6) and torch.bincount(c, minlength=10).min() > 25


@pytest.mark.parametrize(("size", "widths"), [(28, [4, 4]), (64, [8, 8, 4, 4]), (128, [8, 8, 4, 4, 4])])
def test_any_size(size: int, widths: list[int]) -> None:
    game: Any = tiny("acgan", size=size, widths=widths)
    images = game.sample(2)
    assert images.shape == (2, 1, size, size)
    source, classes = game.discriminator(images)
    assert source.shape == (2,) and classes.shape == (2, 10)


def test_a_size_that_cannot_be() -> None:
    with pytest.raises(BadArgument, match="a multiple of 4 is expected"):
        tiny("acgan", size=10)


def test_residual_networks() -> None:
    game: Any = tiny("acgan", resnet_widths=[4, 4], critic_widths=[4, 6], downsamplings=1)
    fit(game, 2)
    assert game.sample(2).shape == (2, 1, 8, 8)
    source, classes = game.discriminator(torch.randn(3, 1, 8, 8))
    assert source.shape == (3,) and classes.shape == (3, 10)
