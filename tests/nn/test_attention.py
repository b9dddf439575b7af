"""Self-attention against its formula written out by position."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganzoo.nn.attention import SelfAttention
from ganzoo.nn.spectral import Normalized, spectral_layers


def made(width: int = 16, **options: object) -> SelfAttention:
    torch.manual_seed(0)
    layer = SelfAttention(width, **options)  # type: ignore[arg-type]
    with torch.no_grad():
        layer.gamma.fill_(0.7)
    return layer


@pytest.mark.parametrize(("height", "width"), [(4, 4), (6, 8), (5, 7)])
def test_each_position_adds_a_mean_of_pooled_values(height: int, width: int) -> None:
    layer, x = made(), torch.randn(2, 16, height, width)
    y = layer(x)
    assert y.shape == x.shape
    f, g, h, v = (conv.weight[:, :, 0, 0] for conv in (layer.query, layer.key, layer.value, layer.out))
    pooled = [(2 * i, 2 * j) for i in range(height // 2) for j in range(width // 2)]

    def largest(matrix: torch.Tensor, n: int, i: int, j: int) -> torch.Tensor:
        return torch.stack([matrix @ x[n, :, i + a, j + b] for a in (0, 1) for b in (0, 1)]).amax(0)

    for n, row, column in ((0, 0, 0), (1, height - 1, width - 1), (1, 2, 1)):
        keys = torch.stack([largest(g, n, i, j) for i, j in pooled])
        values = torch.stack([largest(h, n, i, j) for i, j in pooled])
        shares = (keys @ (f @ x[n, :, row, column])).softmax(0)
        expected = x[n, :, row, column] + 0.7 * (v @ (shares @ values))
        assert torch.allclose(y[n, :, row, column], expected, atol=1e-5)
        assert torch.allclose(layer.attention(x)[n, row * width + column], shares, atol=1e-6)


def test_it_begins_as_the_identity_and_can_learn() -> None:
    layer, x = SelfAttention(16), torch.randn(2, 16, 4, 4)
    assert torch.equal(layer(x), x)
    layer(x).square().sum().backward()
    assert layer.gamma.grad is not None and layer.gamma.grad.abs() > 0


def test_rows_are_distributions() -> None:
    shares = made().attention(torch.randn(2, 16, 8, 6))
    assert shares.shape == (2, 48, 12)
    assert torch.allclose(shares.sum(2), torch.ones(2, 48)) and bool((shares >= 0).all())


def test_its_convolutions_can_be_normalized_and_have_no_bias() -> None:
    layer = made(conv=spectral_layers().conv)
    assert all(isinstance(conv, Normalized) for conv in layer.children())
    assert not any(name.endswith("bias") for name in layer.state_dict())
    assert all(type(conv) is nn.Conv2d for conv in made().children())
    widths = [conv.out_channels for conv in made(32).children() if isinstance(conv, nn.Conv2d)]
    assert widths == [4, 4, 16, 32]


def test_narrow_feature_maps() -> None:
    assert made(3)(torch.randn(1, 3, 2, 2)).shape == (1, 3, 2, 2)


def test_second_derivatives_flow() -> None:
    layer, x = made().double(), torch.randn(1, 16, 4, 4, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
    slope.square().sum().backward()
    assert layer.query.weight.grad is not None and layer.query.weight.grad.abs().sum() > 0


def test_half_precision() -> None:
    layer, x = made(), torch.randn(2, 16, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert torch.allclose(y.float(), layer(x), atol=0.1)
