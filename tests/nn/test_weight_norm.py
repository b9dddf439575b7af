"""Weight normalization against its formula, and against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from ganzoo.nn.weight_norm import WeightNormLinear


def test_it_is_torchs() -> None:
    torch.manual_seed(0)
    layer = WeightNormLinear(5, 3, learn_scale=True)
    with torch.no_grad():
        layer.scale.uniform_(0.5, 2)
        layer.bias.normal_()
    other = weight_norm(nn.Linear(5, 3))
    other.load_state_dict(
        {
            "bias": layer.bias,
            "parametrizations.weight.original0": layer.scale,
            "parametrizations.weight.original1": layer.direction,
        }
    )
    x = torch.randn(4, 5)
    assert torch.allclose(layer(x), other(x), rtol=1e-3, atol=1e-3)
    assert torch.allclose(layer.weight.norm(dim=1), layer.scale.flatten(), rtol=1e-3)


def test_only_what_should_learns() -> None:
    assert [n for n, _ in WeightNormLinear(5, 3).named_parameters()] == ["direction", "bias"]
    assert "scale" in WeightNormLinear(5, 3).state_dict(), "a fixed scale is chosen by data, and saved"
    assert "scale" in dict(WeightNormLinear(5, 3, learn_scale=True).named_parameters())


@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_the_first_batch_comes_out_standardised(noise: float) -> None:
    torch.manual_seed(0)
    layer = WeightNormLinear(20, 6, noise=noise)
    x = 3 + 2 * torch.randn(50_000, 20)
    returned = layer.initialize(x)
    layer.train()
    out = layer(x)
    assert out.mean(0).abs().max() < 0.02 and (out.var(0) - 1).abs().max() < 0.03, "with the noise of training"
    assert torch.allclose(returned, layer.eval()(x), atol=1e-4)


def test_several_ranks_choose_what_one_would() -> None:
    """Two halves of a batch, with means over both, against the whole."""
    torch.manual_seed(0)
    whole, halves = WeightNormLinear(4, 3), [WeightNormLinear(4, 3) for _ in range(2)]
    for half in halves:
        half.load_state_dict(whole.state_dict())
    x = torch.randn(10, 4)
    whole.initialize(x)
    parts = [x[:5], x[5:]]
    centres = torch.stack([nn.functional.linear(p, halves[0].weight).mean(0) for p in parts]).mean(0)
    squares = torch.stack([(nn.functional.linear(p, halves[0].weight) - centres).square().mean(0) for p in parts]).mean(
        0
    )
    for half, part in zip(halves, parts, strict=True):
        answers = iter((centres, squares))
        half.initialize(part, lambda value, answers=answers: next(answers))  # type: ignore[misc]
        assert torch.allclose(half.scale, whole.scale, atol=1e-5)
        assert torch.allclose(half.bias, whole.bias, atol=1e-5)
