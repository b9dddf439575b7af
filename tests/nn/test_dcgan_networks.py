from __future__ import annotations

import pytest
import torch
from torch import nn

from ganzoo.nn import dcgan
from ganzoo.types import BadArgument

PLANS = {
    8: (2, 2), 12: (3, 2), 14: (7, 1), 16: (4, 2), 20: (5, 2), 24: (6, 2), 28: (7, 2), 32: (4, 3), 48: (6, 3),
    56: (7, 3), 64: (4, 4), 80: (5, 4), 96: (6, 4), 112: (7, 4), 128: (4, 5), 256: (4, 6), 1024: (4, 8),
}  # fmt: skip


@pytest.mark.parametrize("size", PLANS)
def test_plan(size: int) -> None:
    start, doublings = dcgan.plan(size)
    assert (start, doublings) == PLANS[size] and start * 2**doublings == size


@pytest.mark.parametrize("size", [0, 1, 3, 5, 7, 9, 11, 13, 15, 17, 27, 33, 36, 100, 127, -8, -64])
def test_a_size_that_has_no_plan(size: int) -> None:
    with pytest.raises(BadArgument, match=f"image size is {size}; "):
        dcgan.plan(size)


@pytest.mark.parametrize("size", [8, 12, 16, 28, 32, 64, 96, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes(size: int, channels: int) -> None:
    generator, discriminator = dcgan.Generator(5, channels, size, 2), dcgan.Discriminator(channels, size, 2, outputs=3)
    images = generator(torch.randn(2, 5))
    assert images.shape == (2, channels, size, size) and images.abs().max() <= 1
    features = discriminator.features(images)
    assert features.shape == (2, *discriminator.feature_shape)
    assert discriminator(images).shape == (2, 3)
    assert dcgan.Discriminator(channels, size, 2)(images).shape == (2,)


def test_the_papers_generator_at_64_pixels() -> None:
    """Figure 1: 1024 maps of 4x4, then 512, 256, 128 and the image; batch normalization everywhere but at the end."""
    generator = dcgan.Generator(100, 3, 64, 128)
    convolutions = [m for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert [m.out_channels for m in convolutions] == [1024, 512, 256, 128, 3]
    assert [m.num_features for m in generator.modules() if isinstance(m, nn.BatchNorm2d)] == [1024, 512, 256, 128]
    assert isinstance(list(generator.main)[-1], nn.Tanh)


def test_the_papers_discriminator_at_64_pixels() -> None:
    discriminator = dcgan.Discriminator(3, 64, 128)
    convolutions = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [128, 256, 512, 1024, 1]
    assert [m.num_features for m in discriminator.modules() if isinstance(m, nn.BatchNorm2d)] == [256, 512, 1024]
    assert {m.negative_slope for m in discriminator.modules() if isinstance(m, nn.LeakyReLU)} == {0.2}


def test_initial_weights() -> None:
    for network in (dcgan.Generator(64, 3, 32, 32), dcgan.Discriminator(3, 32, 32)):
        for module in network.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) and module.weight.numel() > 10_000:
                assert module.weight.std().item() == pytest.approx(0.02, rel=0.05)
                assert abs(module.weight.mean().item()) < 1e-3
            elif isinstance(module, nn.BatchNorm2d):
                assert module.weight.mean().item() == pytest.approx(1, abs=0.02) and module.weight.std() < 0.04
                assert not module.bias.any()


def test_convolutions_without_normalization_have_biases() -> None:
    plain = dcgan.Discriminator(1, 32, 4, normalization=None)
    middle = [m for m in plain.features if isinstance(m, nn.Conv2d)][1:]
    assert middle and all(m.bias is not None for m in middle)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in plain.modules())
