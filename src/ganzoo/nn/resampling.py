"""Convolutions with a change of resolution and a filter against aliasing, made for being differentiated twice.

A penalty on gradients (R1, path length) differentiates a convolution's backward pass. Torch derives the gradients of
that from a general formula, which convolves with kernels as large as the images, one feature map at a time where there
are groups. Here the three linear maps that there are (a convolution, its adjoint, and the gradient of its weights) are
each other's derivatives, so that every order of differentiation runs at the speed of the first.

Under autocast, and in a compiled network, torch's own convolutions take their place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Resampling = Literal["up", "down"]

TAPS = (1.0, 3.0, 3.0, 1.0)
"""The filter of StyleGAN2, of one axis; it is divided by its sum."""

_resting = False  # whether gradients of weights are left out


@contextmanager
def input_gradients() -> Iterator[None]:
    """Leaves the gradients of weights out of `torch.autograd.grad(..., inputs, create_graph=True)` inside.

    Where only the input's gradient is asked for, as in R1 and in the path length, those of the weights would be made in
    vain; a function that is written in Python cannot see what it is asked for. Their own gradients, from a backward
    pass outside, are complete.
    """
    global _resting
    before, _resting = _resting, True
    try:
        yield
    finally:
        _resting = before


def recorded() -> bool:
    """Whether operations are being recorded, to be compiled or exported: only torch's own can be."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    resample: Resampling | None = None,
    taps: Sequence[float] = TAPS,
) -> Tensor:
    """A convolution that keeps, doubles or halves the resolution, with a filter against aliasing.

    `up` is a fractionally strided convolution and then the filter; `down` the filter and then a strided convolution.
    A kernel of 1 and the filter can change places, and the kernel works where there are fewer pixels.

    Args:
        x: images `(N, I, H, W)`.
        weight: `(O, I, k, k)`, k 1 or 3.
        bias: `(O,)` or None.
        resample: None, `up` or `down`.
        taps: the filter of one axis; even in number, symmetric.

    Returns:
        `(N, O, H, W)`, `(N, O, 2H, 2W)` or `(N, O, H/2, W/2)`.
    """
    k, margin = weight.shape[-1], len(taps) // 2 - 1
    if resample is None:
        return _convolution(x, weight, bias, 1, k // 2)
    if resample == "up":
        if k == 1:
            y = upsample(_convolution(x, weight), taps)
        else:
            # A true convolution of the image with zeros between its pixels: the kernel is not mirrored, as in the
            # authors' code
            y = fir(_convolution(x, weight.transpose(0, 1), None, 2, adjoint=True), taps, margin, gain=4.0)
        return y if bias is None else y + bias[:, None, None]
    if k == 1:
        return _convolution(downsample(x, taps), weight, bias)
    return _convolution(fir(x, taps, margin + k // 2), weight, bias, 2)


def fir(x: Tensor, taps: Sequence[float] = TAPS, padding: int = 0, gain: float = 1.0, stride: int = 1) -> Tensor:
    """Filters each feature map along both axes.

    Args:
        x: images `(N, C, H, W)`.
        taps: the filter of one axis, divided by its sum here; symmetric.
        padding: zeros on every side.
        gain: on the result.
        stride: keeps every so manieth pixel.

    Returns:
        `(N, C, H', W')` with H' = (H + 2 padding - len(taps)) / stride + 1.
    """
    return _filter(x, tuple(taps), gain, stride, padding, False)


def upsample(x: Tensor, taps: Sequence[float] = TAPS) -> Tensor:
    """Doubles the side of images `(N, C, H, W)`: zeros between the pixels, then the filter with a gain of 4."""
    return _filter(x, tuple(taps), 4.0, 2, len(taps) // 2 - 1, True)


def downsample(x: Tensor, taps: Sequence[float] = TAPS) -> Tensor:
    """Halves the side of images `(N, C, H, W)`: the filter, then every second pixel."""
    return fir(x, taps, len(taps) // 2 - 1, stride=2)


# ---------------------------------------------------------------- linear maps that are each other's derivatives


def _plain(*tensors: Tensor | None) -> bool:
    """Whether torch's own derivatives serve."""
    wanted = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)
    first = tensors[0]
    assert first is not None
    return not wanted or recorded() or torch.is_autocast_enabled(first.device.type)


def _convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int = 0, adjoint: bool = False
) -> Tensor:
    """A convolution with weights `(O, I, k, k)`, from I to O feature maps; its adjoint, from O to I."""
    if _plain(x, weight, bias):
        return _convolved(x, weight, bias, stride, padding, adjoint)
    return _Convolution.apply(x, weight, bias, stride, padding, adjoint)


def _convolved(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int, adjoint: bool) -> Tensor:
    run = F.conv_transpose2d if adjoint else F.conv2d
    return run(x, weight, bias, stride=stride, padding=padding)


class _Convolution(torch.autograd.Function):
    """y = W * x + b, where every pixel of a strided convolution's input is used, so the adjoint's size is known."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int, adjoint: bool
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.how = stride, padding, adjoint
        return _convolved(x, weight, bias, stride, padding, adjoint)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (g,) = grads
        x, weight = ctx.saved_tensors
        stride, padding, adjoint = ctx.how
        for_x, for_weight, for_bias = ctx.needs_input_grad[:3]
        return (
            _convolution(g, weight, None, stride, padding, not adjoint) if for_x else None,
            _weight_gradient(g, x, weight, stride, padding, adjoint) if for_weight and not _resting else None,
            g.sum((0, 2, 3)) if for_bias and not _resting else None,
            *(None, None, None),
        )


def _weight_gradient(g: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, adjoint: bool) -> Tensor:
    return _WeightGradient.apply(g, x, weight.detach(), stride, padding, adjoint)


class _WeightGradient(torch.autograd.Function):
    """The gradient of <g, W * x> for W: linear in g and in x. Of W it needs shape and layout alone."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, adjoint: bool) -> Tensor:
        ctx.save_for_backward(g, x)
        ctx.how = stride, padding, adjoint
        sides = [stride, stride], [padding, padding], [1, 1], adjoint, [0, 0], 1, [False, True, False]
        made: Tensor = torch.ops.aten.convolution_backward(g, x, weight, None, *sides)[1]
        return made

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (gg,) = grads
        g, x = ctx.saved_tensors
        stride, padding, adjoint = ctx.how
        for_g, for_x = ctx.needs_input_grad[:2]
        return (
            _convolution(x, gg, None, stride, padding, adjoint) if for_g else None,
            _convolution(g, gg, None, stride, padding, not adjoint) if for_x else None,
            *(None, None, None, None),
        )


def _filter(x: Tensor, taps: tuple[float, ...], gain: float, stride: int, padding: int, adjoint: bool) -> Tensor:
    """The filter as a convolution with fixed weights, one for each feature map; or its adjoint."""
    if _plain(x):
        return _filtered(x, taps, gain, stride, padding, adjoint)
    return _Filter.apply(x, taps, gain, stride, padding, adjoint)


def _filtered(x: Tensor, taps: tuple[float, ...], gain: float, stride: int, padding: int, adjoint: bool) -> Tensor:
    channels = x.shape[1]
    make = _depthwise.__wrapped__ if torch.compiler.is_compiling() else _depthwise
    run = F.conv_transpose2d if adjoint else F.conv2d
    weight = make(taps, gain, channels, x.dtype, x.device)
    return run(x, weight, stride=stride, padding=padding, groups=channels)


class _Filter(torch.autograd.Function):
    """A filter, whose derivative is its adjoint, whose derivative is the filter."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, taps: tuple[float, ...], gain: float, stride: int, padding: int, adjoint: bool
    ) -> Tensor:
        ctx.how = taps, gain, stride, padding, adjoint
        return _filtered(x, taps, gain, stride, padding, adjoint)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        taps, gain, stride, padding, adjoint = ctx.how
        return _filter(grads[0], taps, gain, stride, padding, not adjoint), None, None, None, None, None


@lru_cache(maxsize=256)
def _depthwise(taps: tuple[float, ...], gain: float, channels: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The filter of both axes for each of so many feature maps, `(C, 1, k, k)`."""
    total = sum(taps)
    rows = [[gain * a * b / total**2 for b in taps] for a in taps]
    with torch.inference_mode(False):  # what is kept must also serve where gradients are wanted
        return torch.tensor(rows, dtype=dtype, device=device).repeat(channels, 1, 1, 1)
