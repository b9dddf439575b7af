"""lucidrains' StyleGAN2 beyond what holds for every family: its layers, its penalties, and its noise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import fit, tiny
from torch import Tensor

from ganzoo.families.lucidrains_stylegan2 import Attention, ModulatedConv2d
from ganzoo.game import registry
from ganzoo.game.priors import draw_noise
from ganzoo.types import BadArgument, Batch

NAME = "lucidrains_stylegan2"


def test_a_modulated_convolution_by_weights_of_each_sample() -> None:
    """Equations 1 and 3, with s + 1 for s: the weights are scaled, and brought back to unit norm."""
    conv = ModulatedConv2d(5, 4, 3, 6)
    x, w = torch.randn(2, 5, 7, 7), torch.randn(2, 6)
    with torch.no_grad():
        for i in range(2):
            weight = conv.weight * (conv.style(w[i]) + 1)[:, None, None]
            weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
            assert torch.allclose(conv(x, w)[i], F.conv2d(x[i : i + 1], weight, padding=1)[0], atol=1e-5)


def test_linear_attention_position_by_position() -> None:
    layer, x = Attention(6), torch.randn(1, 6, 3, 4)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)

        def norm(h: Tensor, at: Any) -> Tensor:
            h = h - h.mean(1, keepdim=True)
            return (
                h / (h.square().mean(1, keepdim=True) + 1e-5).sqrt() * at.weight[:, None, None] + at.bias[:, None, None]
            )

        h = norm(x, layer.norm)
        q, kv = layer.query(h)[0].flatten(1), layer.key_value(layer.spread(h))[0].flatten(1)
        heads = []
        for i in range(8):
            part = slice(64 * i, 64 * i + 64)
            share, keys, values = q[part].softmax(0), kv[:512][part].softmax(1), kv[512:][part]
            context = sum(torch.outer(keys[:, n], values[:, n]) for n in range(12))
            heads.append(torch.stack([share[:, n] @ context / math.sqrt(64) for n in range(12)], 1))
        y = x + layer.out(F.gelu(torch.cat(heads).reshape(1, 512, 3, 4)))
        y = y + layer.narrow(F.leaky_relu(layer.wide(norm(y, layer.norm2)), 0.2))
        assert torch.allclose(layer(x), y, atol=1e-4)


def test_the_codes_networks() -> None:
    """512 maps at most, 32 at the image's size of 128 pixels; 64 to 512 in the discriminator, down to 2 x 2 pixels."""
    with torch.device("meta"):
        game: Any = registry.family(NAME).cls()
    synthesis = game.generator.synthesis
    assert [block.conv2.conv.weight.shape[0] for block in synthesis.blocks] == [512, 512, 256, 128, 64, 32]
    assert [block.conv2.out_channels for block in game.discriminator.blocks] == [64, 128, 256, 512, 512, 512, 512]
    assert synthesis.count == 6 and game.discriminator.score.in_features == 2048


@pytest.mark.parametrize("arguments", [{}, {"attended": [1], "constant": False, "size": 16}])
def test_it_trains_with_its_penalties(arguments: dict[str, Any]) -> None:
    game: Any = tiny(NAME, capacity=2, path_every=2, path_after=1, penalty_every=2, **arguments)
    fit(game, 4)
    assert game.path_mean > 0 and game.latest.keys() >= {"path_penalty", "gradient_penalty"}


def test_the_penalty_is_of_pictures_in_0_to_1() -> None:
    """10 (E ||grad D(x)||^2 + E ||grad D(G(z))||^2), where D's images are (x + 1) / 2."""
    game: Any = tiny(NAME, capacity=2, gamma=10.0, mixing=0.0).eval()
    x = torch.rand(3, 1, 8, 8) * 2 - 1
    torch.manual_seed(1)
    fake = game.generator(game.noise(Batch(x))).detach()
    halves = [((images + 1) / 2).requires_grad_() for images in (x, fake)]
    grads = [torch.autograd.grad(game.discriminator(2 * half - 1).sum(), half)[0] for half in halves]
    expected = 10 * sum(grad.flatten(1).norm(dim=1).square().mean() for grad in grads)
    terms = []
    for penalized in (True, False):
        torch.manual_seed(1)
        terms.append(game.discriminator_loss(Batch(x), penalized))
    assert (terms[0] - terms[1]).item() == pytest.approx(float(expected), rel=1e-4)


def test_its_noise_is_uniform_and_one_map() -> None:
    game: Any = tiny(NAME, capacity=2, size=16)
    drawn = draw_noise(np.random.RandomState(0), 16, game.noise_kind)
    assert drawn.shape == (1, 16, 16) and 0 <= drawn.min() < drawn.max() < 1
    assert game.generator.synthesis.sizes == [16]


def test_a_size_that_it_has_not() -> None:
    with pytest.raises(BadArgument, match="a power of two from 8 on"):
        tiny(NAME, size=4)
