from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers import tiny
from torch import Tensor, nn

from ganzoo.data.batch import Images
from ganzoo.types import BadArgument, BadData, Batch


def game(**arguments: Any) -> Any:
    torch.manual_seed(0)
    made: Any = tiny("pix2pix", **arguments)
    made.record = lambda **values: None
    return made


def batch(made: Any, n: int = 3) -> Batch:
    return Batch(torch.rand(n, *made.source_shape) * 2 - 1, None, torch.rand(n, *made.shape) * 2 - 1)


class Scores(nn.Module):
    """Scores are the mean of each pair's channels."""

    def forward(self, pair: Tensor) -> Tensor:
        return pair.mean(1, keepdim=True)


@pytest.mark.parametrize("weight", [100.0, 0.0])
def test_the_losses(weight: float) -> None:
    """Equation 4 and its halved discriminator, in probabilities, on a discriminator whose scores are known."""
    made = game(l1=weight, normalization="instance").double()
    made.discriminator = Scores()
    single = batch(made)
    assert single.targets is not None
    x, y = single.images.double(), single.targets.double()
    given = Batch(x, None, y)
    fake = made.generator(x)

    def probability(target: Tensor) -> Tensor:
        return ((x.sum(1) + target.sum(1)) / (x.shape[1] + target.shape[1])).sigmoid()

    expected = -0.5 * (probability(y).log().mean() + (1 - probability(fake)).log().mean())
    assert torch.allclose(made.discriminator_loss(given, made.fake(given)), expected)
    expected = -probability(fake).log().mean() + weight * (y - fake).abs().mean()
    assert torch.allclose(made.generator_loss(given, made.fake(given)), expected)


def test_data_of_one_domain_are_refused() -> None:
    made = game()
    single = replace(batch(made), targets=None)
    with pytest.raises(BadData, match="Pix2Pix learns two domains, and the data have one"):
        made.generator_loss(single, made.fake(single))


def test_the_discriminator_sees_both() -> None:
    made = game(source_channels=2, channels=3)
    assert made.discriminator.main[0].in_channels == 5
    assert (made.source_shape, made.shape) == ((2, 8, 8), (3, 8, 8))


@pytest.mark.parametrize(("size", "depth", "halvings"), [(64, 0, 6), (48, 0, 4), (64, 3, 3), (32, 5, 5)])
def test_the_u_net_is_as_deep_as_the_size_allows(size: int, depth: int, halvings: int) -> None:
    made = game(size=size, depth=depth, width=1)
    assert len(made.generator.down) == halvings and made.stride == 2**halvings


def test_translations_of_one_image_in_any_batch_are_its_own() -> None:
    """The default takes each image's statistics, not the running ones, which a fresh network has not learned."""
    made = game(normalization="batch")
    for module in made.generator.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()  # type: ignore[union-attr]
    x = batch(made, 4).images
    together = made.translate(x)
    assert torch.allclose(together[2:3], made.translate(x[2:3]), atol=1e-5)
    made.generator.train()
    for module in made.generator.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    with torch.no_grad():
        assert torch.allclose(made.generator(x[2:3]), together[2:3], atol=1e-5), "as the paper tests: a batch of one"
    running = made.translate(x, statistics="running")
    assert not torch.allclose(running, together, atol=1e-3)


def test_noise_is_dropout_by_seed() -> None:
    made = game(size=64, width=1, normalization="instance")
    x = batch(made, 3).images
    still, noisy = made.translate(x), made.translate(x, noise=True, seed=7)
    assert torch.equal(still, made.translate(x, seed=8)), "without noise there is no chance"
    assert not torch.allclose(still, noisy, atol=1e-3)
    assert torch.equal(noisy, made.translate(x, noise=True, seed=7))
    assert torch.allclose(noisy, made.translate(x, noise=True, seed=7, batch_size=1), atol=1e-5)
    assert torch.allclose(noisy[1:2], made.translate(x[1:2], noise=True, seed=8), atol=1e-5)
    assert not torch.allclose(noisy, made.translate(x, noise=True, seed=8), atol=1e-3)


def test_pictures_show_input_translation_and_target() -> None:
    made = game(source_channels=1, channels=3)
    rng = np.random.RandomState(0)
    x, y = (rng.randint(0, 256, (20, c, 8, 8)).astype(np.uint8) for c in (1, 3))
    shown = made.pictures(Images("noise", x, targets=y))["translations"]
    assert shown.shape == (8, 3, 3, 8, 8) and shown.abs().max() <= 1
    assert torch.equal(shown[0, 0], (torch.from_numpy(x[0]) / 127.5 - 1).expand(3, 8, 8))
    assert torch.equal(shown[-1, 2], torch.from_numpy(y[-1]) / 127.5 - 1)
    assert torch.allclose(shown[:, 1], made.translate(shown[:, 0, :1]), atol=1e-6)
    assert made.pictures(Images("noise", x, targets=y[:9], paired=False))["translations"].shape == (8, 2, 3, 8, 8)
    assert made.pictures(Images("noise", x)) == {} == made.pictures(None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"size": 20, "depth": 3}, r"a side of 20 pixels; multiples of 8 = 2\^3 are expected"),
        ({"size": 16, "patch_layers": 3}, "a side of 16 pixels holds no patch"),
        ({"size": 9}, "a side of 9 pixels; multiples of 4"),
        ({"depth": 1}, "depth is 1; "),
    ],
)
def test_sizes_that_do_not_fit(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(BadArgument, match=said):
        game(**arguments)
