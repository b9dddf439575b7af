"""Homogeneous matrices by their entries, and constants that lie on a device already."""

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor


def scale2d(x: Tensor, y: Tensor) -> Tensor:
    """Matrices `(N, 3, 3)` that scale by x and y `(N,)`."""
    zero = torch.zeros_like(x)
    return _matrices([x, zero, zero, zero, y, zero, zero, zero, torch.ones_like(x)])


def rotate2d(angle: Tensor) -> Tensor:
    """Matrices `(N, 3, 3)` that turn x towards y by angles `(N,)`."""
    c, s, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return _matrices([c, -s, zero, s, c, zero, zero, zero, torch.ones_like(c)])


def quarter_turns(count: Tensor) -> Tensor:
    """Those of `rotate2d` for 0 to 3 quarters, without the rounding of a cosine."""
    c, s = (constant(values, count.device)[count] for values in ((1, 0, -1, 0), (0, 1, 0, -1)))
    zero = torch.zeros_like(c)
    return _matrices([c, -s, zero, s, c, zero, zero, zero, torch.ones_like(c)])


def translate2d(x: Tensor, y: Tensor) -> Tensor:
    """Matrices `(N, 3, 3)` that shift by x and y `(N,)`."""
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return _matrices([one, zero, x, zero, one, y, zero, zero, one])


def translate3d(by: Tensor) -> Tensor:
    """Matrices `(N, 4, 4)` that add one number `(N,)` to all three coordinates."""
    zero, one = torch.zeros_like(by), torch.ones_like(by)
    return _matrices([one, zero, zero, by, zero, one, zero, by, zero, zero, one, by, zero, zero, zero, one])


def linear3d(matrices: Tensor) -> Tensor:
    """`(N, 3, 3)` as homogeneous `(N, 4, 4)`."""
    return F.pad(matrices, (0, 1, 0, 1)) + constant((0, 0, 0, 1), matrices.device).diag()


def _matrices(entries: list[Tensor]) -> Tensor:
    side = math.isqrt(len(entries))
    return torch.stack(entries, 1).view(-1, side, side)


@cache
def constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """Numbers on a device, copied there once: a copy at every call would make the host wait."""
    with torch.inference_mode(mode=False):
        return torch.tensor(values, dtype=dtype, device=device)


def wide(x: Tensor) -> Tensor:
    """At least float32: shades and positions are lost in the half types."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
