"""Convolutions with a change of resolution, and a filter against aliasing."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from ganzoo.nn.double_backward import convolution

Resampling = Literal["up", "down"]

TAPS = (1.0, 3.0, 3.0, 1.0)
"""The filter of StyleGAN2, of one axis; it is divided by its sum."""


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
        return convolution(x, weight, bias, padding=k // 2)
    if resample == "up":
        if k == 1:
            y = upsample(convolution(x, weight), taps)
        else:
            # A true convolution of the image with zeros between its pixels: the kernel is not mirrored, as in the
            # authors' code
            y = fir(convolution(x, weight.transpose(0, 1), stride=2, adjoint=True), taps, margin, gain=4.0)
        return y if bias is None else y + bias[:, None, None]
    if k == 1:
        return convolution(downsample(x, taps), weight, bias)
    return convolution(fir(x, taps, margin + k // 2), weight, bias, stride=2)


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
    return _filtered(x, taps, gain, stride, padding, False)


def upsample(x: Tensor, taps: Sequence[float] = TAPS) -> Tensor:
    """Doubles the side of images `(N, C, H, W)`: zeros between the pixels, then the filter with a gain of 4."""
    return _filtered(x, taps, 4.0, 2, len(taps) // 2 - 1, True)


def downsample(x: Tensor, taps: Sequence[float] = TAPS) -> Tensor:
    """Halves the side of images `(N, C, H, W)`: the filter, then every second pixel."""
    return fir(x, taps, len(taps) // 2 - 1, stride=2)


def _filtered(x: Tensor, taps: Sequence[float], gain: float, stride: int, padding: int, adjoint: bool) -> Tensor:
    """The filter as a convolution with fixed weights, one for each feature map; or its adjoint."""
    make = _depthwise.__wrapped__ if torch.compiler.is_compiling() else _depthwise
    weight = make(tuple(taps), gain, x.shape[1], x.dtype, x.device)
    return convolution(x, weight, None, stride, padding, x.shape[1], adjoint)


@lru_cache(maxsize=256)
def _depthwise(taps: tuple[float, ...], gain: float, channels: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The filter of both axes for each of so many feature maps, `(C, 1, k, k)`."""
    total = sum(taps)
    rows = [[gain * a * b / total**2 for b in taps] for a in taps]
    with torch.inference_mode(False):  # what is kept must also serve where gradients are wanted
        return torch.tensor(rows, dtype=dtype, device=device).repeat(channels, 1, 1, 1)
