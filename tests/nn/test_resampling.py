"""Filters and convolutions against their definitions, and their first and second derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from ganzoo.nn import double_backward, resampling
from ganzoo.nn.double_backward import input_gradients
from ganzoo.nn.resampling import Resampling, convolve, downsample, fir, upsample

DOUBLE: Any = {"dtype": torch.float64}


def spread(x: Tensor) -> Tensor:
    """Zeros between the pixels, and after the last."""
    n, c, h, w = x.shape
    made = x.new_zeros(n, c, 2 * h, 2 * w)
    made[:, :, ::2, ::2] = x
    return made


def filtered(x: Tensor, before: int, after: int, gain: float = 1.0) -> Tensor:
    """The definition: each pixel is a weighted sum of the 4 x 4 around it."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], **DOUBLE) / 8
    x = F.pad(x, (before, after, before, after))
    side = x.shape[-1] - 3
    rows = [gain * taps[i] * taps[j] * x[..., i : i + side, j : j + side] for i in range(4) for j in range(4)]
    return torch.stack(rows).sum(0)


def test_filters_against_their_definition() -> None:
    x = torch.randn(2, 3, 8, 8, **DOUBLE)
    assert torch.allclose(fir(x, padding=2), filtered(x, 2, 2))
    assert torch.allclose(upsample(x), filtered(spread(x), 2, 1, 4.0))
    assert torch.allclose(downsample(x), filtered(x, 1, 1)[:, :, ::2, ::2])


def test_a_constant_stays_what_it_is() -> None:
    x = torch.full((1, 1, 16, 16), 3.0)
    assert torch.allclose(upsample(x)[:, :, 2:-2, 2:-2], torch.tensor(3.0))
    assert torch.allclose(downsample(x)[:, :, 1:-1, 1:-1], torch.tensor(3.0))


@pytest.mark.parametrize("k", [1, 3])
def test_convolutions_against_their_definition(k: int) -> None:
    x, weight, bias = torch.randn(2, 3, 8, 8, **DOUBLE), torch.randn(5, 3, k, k, **DOUBLE), torch.randn(5, **DOUBLE)
    assert torch.allclose(convolve(x, weight, bias), F.conv2d(x, weight, bias, padding=k // 2))
    # Zeros between the pixels, the filter, and then a true convolution, which mirrors its kernel
    up = F.conv2d(filtered(spread(x), 2 + k // 2, 1 + k // 2, 4.0), weight.flip(2, 3), bias)
    assert torch.allclose(convolve(x, weight, bias, "up"), up)
    down = F.conv2d(filtered(x, 1 + k // 2, 1 + k // 2), weight, bias)[:, :, ::2, ::2]
    assert torch.allclose(convolve(x, weight, bias, "down"), down)


RESAMPLE: list[Resampling | None] = [None, "up", "down"]


@pytest.fixture(params=["torch's own", "for penalties"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's convolutions, and those of `input_gradients`, here with the gradients of weights too."""
    if request.param == "for penalties":
        monkeypatch.setattr(
            resampling,
            "convolution",
            lambda x, weight, bias=None, stride=1, padding=0, groups=1, adjoint=False: (
                double_backward._Convolution.apply(x, weight, bias, stride, padding, groups, adjoint)
            ),
        )


@pytest.mark.parametrize("resample", RESAMPLE)
@pytest.mark.parametrize("k", [1, 3])
def test_derivatives(resample: Resampling | None, k: int, way: None) -> None:
    torch.manual_seed(0)
    inputs = tuple(torch.randn(s, requires_grad=True, **DOUBLE) for s in ((2, 2, 4, 4), (3, 2, k, k), (3,)))

    def run(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return convolve(x, weight, bias, resample)

    assert gradcheck(run, inputs, fast_mode=True)
    assert gradgradcheck(run, inputs, fast_mode=True)


@pytest.mark.parametrize("run", [upsample, downsample, fir])
def test_derivatives_of_filters(run: Callable[[Tensor], Tensor], way: None) -> None:
    x = torch.randn(1, 2, 6, 6, requires_grad=True, **DOUBLE)
    assert gradcheck(run, (x,)) and gradgradcheck(run, (x,))


@pytest.mark.parametrize("resample", RESAMPLE)
def test_gradients_of_a_penalty_are_those_of_torchs_own_formula(resample: Resampling | None) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 3, 8, 8, **DOUBLE), torch.randn(4, 3, 3, 3, requires_grad=True, **DOUBLE)

    def penalty() -> Tensor:
        images = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(
            F.leaky_relu(convolve(images, weight, None, resample)).sum(), images, create_graph=True
        )
        total: Tensor = gradient.square().sum()
        return total

    with input_gradients():
        inside = penalty()
    (ours,) = torch.autograd.grad(inside, weight)
    (theirs,) = torch.autograd.grad(penalty(), weight)
    assert torch.allclose(ours, theirs) and ours.abs().max() > 0.1


def test_gradients_of_weights_are_left_out_only_inside() -> None:
    weight = torch.randn(2, 2, 3, 3, requires_grad=True)
    x = torch.randn(1, 2, 4, 4, requires_grad=True)
    with input_gradients():
        y = convolve(x, weight)
        inside = torch.autograd.grad(y.sum(), (x, weight), retain_graph=True, allow_unused=True)
    assert inside[0] is not None and inside[1] is None
    assert torch.autograd.grad(y.sum(), weight)[0].abs().max() > 0


@pytest.mark.parametrize("resample", RESAMPLE)
def test_outside_of_penalties_all_operations_are_torchs_own(resample: Resampling | None) -> None:
    """So that a network can be traced and exported whether or not gradients are asked for."""
    weight = torch.randn(2, 2, 3, 3, requires_grad=True)
    x = torch.randn(1, 2, 8, 8, requires_grad=True)
    waiting, seen = [convolve(x, weight, None, resample).grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is not None:
            seen.add(type(node).__name__)
            waiting += [before for before, _ in node.next_functions]
    assert "ConvolutionBackward0" in seen and not any(name.startswith("_") for name in seen)


def test_filters_made_in_inference_mode_serve_training() -> None:
    resampling._depthwise.cache_clear()
    with torch.inference_mode():
        fir(torch.randn(1, 2, 8, 8))
    x = torch.randn(1, 2, 8, 8, requires_grad=True)
    fir(x).square().sum().backward()
    assert x.grad is not None
