from __future__ import annotations

import pytest
import torch
from torch import nn

from ganzoo.nn.mlp import MLP, Maxout


def test_maxout_in_closed_form() -> None:
    """Goodfellow 2013, eq. 1: h_i = max_j (x W_ij + b_ij)."""
    layer = Maxout(3, 4, pieces=5)
    x = torch.randn(7, 3)
    weight, bias = layer.linear.weight.reshape(4, 5, 3), layer.linear.bias.reshape(4, 5)
    expected = torch.stack([torch.stack([max_of(x[n], weight[i], bias[i]) for i in range(4)]) for n in range(7)])
    assert layer(x).shape == (7, 4) and torch.allclose(layer(x), expected, atol=1e-6)


def max_of(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return torch.stack([weight[j] @ x + bias[j] for j in range(len(weight))]).max()


def test_maxout_can_be_the_absolute_value() -> None:
    layer = Maxout(1, 1, pieces=2)
    layer.linear.weight.data = torch.tensor([[1.0], [-1.0]])
    layer.linear.bias.data.zero_()
    assert layer(torch.tensor([[-2.0], [3.0]])).flatten().tolist() == [2, 3]


@pytest.mark.parametrize("shape", [(1, 4, 4), (2,), ()])
def test_shapes(shape: tuple[int, ...]) -> None:
    network = MLP((5,), shape, (6, 7))
    assert network(torch.randn(3, 5)).shape == (3, *shape)
    widths = [(m.in_features, m.out_features) for m in network.modules() if isinstance(m, nn.Linear)]
    assert widths == [(5, 6), (6, 7), (7, max(1, int(torch.Size(shape).numel())))]


def test_scale_divides_the_input() -> None:
    network = MLP((2,), (), (8,), scale=4.0).eval()
    x = torch.randn(3, 2)
    divided = network(x)
    network.scale = 1.0
    assert torch.allclose(divided, network(x / 4)) and not torch.allclose(divided, network(x))


def test_dropout_only_in_training_and_less_of_the_inputs() -> None:
    network = MLP((50,), (), (40, 40), dropout=0.5)
    assert [m.p for m in network.modules() if isinstance(m, nn.Dropout)] == [0.2, 0.5, 0.5]
    x = torch.randn(3, 50)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))
