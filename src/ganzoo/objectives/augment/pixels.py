"""What the drawn parameters do to pixels: one resampling, one colour map, one filter.

Appendix B of Karras et al. 2020 (arXiv:2006.06676).
"""

import math
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ganzoo.objectives.augment.tensors import constant
from ganzoo.types import BadArgument

# Low-pass filters of orthogonal wavelets, of norm 1 (Daubechies, "Ten lectures on wavelets", 1992): with two vanishing
# moments, and the least asymmetric of those with six. The tests derive what defines them.
SYM2: Final = tuple((a + b * math.sqrt(3)) / math.sqrt(32) for a, b in ((1, -1), (3, -1), (3, 1), (1, 1)))
SYM6: Final = (
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
)
_BEFORE: Final = 5  # taps of SYM6 before that which falls onto a pixel itself
_BLOCK: Final = 64  # pixels that are filtered by one product of matrices
_CENTROID: Final = sum(j * tap for j, tap in enumerate(SYM6)) / sum(SYM6)


def warp(images: Tensor, blit: Tensor, geometry: Tensor | None = None) -> Tensor:
    """Moves content by `geometry @ blit`, as if the plane were tiled with the image and its mirror images.

    Images that are only blitted are copied pixel by pixel. The others go through one resampling (algorithm 1): they are
    magnified twice by SYM6, looked up bilinearly at the inverse of the matrix, and reduced by the same filter, whose
    orthogonality makes the way there and back lossless. The paper pads by reflection as far as the matrices of the
    batch need, which the host must know; here the reflection repeats without end, and one period of it is magnified.

    Args:
        images: `(N, C, H, W)`.
        blit: `(N, 3, 3)`, of signed permutations and whole pixels: how content moves from the image's centre, in
            pixels to the right and down.
        geometry: `(N, 3, 3)`, invertible and affine; None for none.

    Returns:
        Images of that shape.
    """
    copied = _copied(images, blit.to(images.dtype))
    if geometry is None:
        return copied
    plain = (geometry == torch.eye(3, device=images.device)).all(2).all(1)
    matrices = geometry.to(images.dtype) @ blit.to(images.dtype)
    if _would_wait(images.device):
        return torch.where(plain[:, None, None, None], copied, _resampled(images, matrices))
    moved = (~plain).nonzero()[:, 0]
    return copied.index_copy(0, moved, _resampled(images[moved], matrices[moved])) if len(moved) else copied


def _would_wait(device: torch.device) -> bool:
    """Whether the host would have to wait for the device to learn how many images there are to resample."""
    return device.type != "cpu"


def _copied(images: Tensor, matrices: Tensor) -> Tensor:
    """Every pixel from the nearest to where its matrix has it come from."""
    height, width = images.shape[2:]
    x, y = _sources(matrices, *(_centred(torch.arange(size, device=images.device), size) for size in (width, height)))
    column = _mirrored((x + (width - 1) / 2).round().long(), width)
    row = _mirrored((y + (height - 1) / 2).round().long(), height)
    index = (row * width + column).flatten(1)[:, None].expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, index).view(images.shape)


def _resampled(images: Tensor, matrices: Tensor) -> Tensor:
    """Magnified, looked up and reduced."""
    height, width = images.shape[2:]
    fine = _magnified(_magnified(images).mT).mT
    # Sample m of the magnified axis lies at pixel (m + shift) / 2: the filter is not symmetric, and its centroid says
    # where. With its middle in that place, what is turned would also move
    shift = _BEFORE - _CENTROID
    lattice = (
        _centred((torch.arange(2 * size + 10, device=images.device, dtype=images.dtype) - _BEFORE + shift) / 2, size)
        for size in (width, height)
    )
    x, y = _sources(matrices, *lattice)
    x = (2 * (x + (width - 1) / 2) - shift).remainder(2 * _period(width))
    y = (2 * (y + (height - 1) / 2) - shift).remainder(2 * _period(height))
    return _reduced(_reduced(_looked_up(fine, x, y)).mT).mT


def _sources(matrices: Tensor, across: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
    """The x and y, `(N, H, W)` each, that the matrices take to the points of a lattice."""
    a, b, tx, c, d, ty = (entry[:, None, None] for entry in matrices[:, :2].flatten(1).unbind(1))
    x, y = across - tx, down[:, None] - ty
    determinant = a * d - b * c
    return (d * x - b * y) / determinant, (a * y - c * x) / determinant


def _centred(positions: Tensor, size: int) -> Tensor:
    return positions - (size - 1) / 2


def _period(size: int) -> int:
    return max(2 * (size - 1), 1)


def _mirrored(index: Tensor, size: int) -> Tensor:
    """The pixel of an axis that an index beyond its ends is the reflection of; the end pixels are not repeated."""
    index = index.remainder(_period(size))
    return torch.where(index < size, index, _period(size) - index)


def _magnified(images: Tensor) -> Tensor:
    """One period of the columns, reflected and magnified twice, and two samples more for the lookup beyond its end."""
    n, channels, height, width = images.shape
    samples = 2 * _period(height) + 2
    block = min(_BLOCK, samples // 2)
    starts = torch.arange(0, samples // 2, block, device=images.device)
    rows = _mirrored(starts[:, None] + torch.arange(-3, block + 3, device=images.device), height)
    pixels = images.index_select(2, rows.flatten()).view(n, channels, *rows.shape, width)
    fine = _filter(range(2 * block), range(-3, block + 3), images.device, images.dtype) @ pixels
    return fine.view(n, channels, -1, width)[:, :, :samples]


def _reduced(images: Tensor) -> Tensor:
    """The columns, from 5 samples before the first pixel to 6 after the last, filtered and halved."""
    n, channels, samples, width = images.shape
    height = samples // 2 - 5
    block = min(_BLOCK, height)
    starts = torch.arange(0, height, block, device=images.device)
    rows = 2 * starts[:, None] + torch.arange(2 * block + 10, device=images.device)
    fine = images.index_select(2, rows.clamp(max=samples - 1).flatten()).view(n, channels, *rows.shape, width)
    pixels = _filter(range(-5, 2 * block + 5), range(block), images.device, images.dtype).mT @ fine / 2
    return pixels.view(n, channels, -1, width)[:, :, :height]


@cache
def _filter(samples: range, pixels: range, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The matrix that magnifies pixels to samples by SYM6; half its transpose reduces.

    Multiplying blocks by it is several times as fast as a convolution of one channel, in the derivatives above all.
    """
    taps = np.arange(samples.start, samples.stop)[:, None] - 2 * np.arange(pixels.start, pixels.stop) + _BEFORE
    values = np.where((taps >= 0) & (taps < len(SYM6)), np.take(SYM6, taps, mode="clip"), 0.0)
    with torch.inference_mode(mode=False):
        return torch.tensor(values * math.sqrt(2), dtype=dtype, device=device)


def _looked_up(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Bilinear interpolation of `(N, C, h, w)` at columns x and rows y, `(N, H, W)` each, up to w - 1 and h - 1."""
    if images.device.type not in ("cpu", "cuda"):
        return _gathered(images, x, y)
    height, width = images.shape[2:]
    grid = torch.stack([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], 3)
    found: Tensor = _Lookup.apply(images.contiguous(), grid)
    return found


def _gathered(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The same in elementary operations, for devices without the kernels: several times slower."""
    n, channels, height, width = images.shape
    left, top = x.floor().clamp(max=width - 2), y.floor().clamp(max=height - 2)
    flat, first = images.flatten(2), (top.long() * width + left.long()).flatten(1)
    u, v = (x - left).flatten(1), (y - top).flatten(1)
    total = torch.zeros((), dtype=images.dtype, device=images.device)
    for step, weight in ((0, (1 - u) * (1 - v)), (1, u * (1 - v)), (width, (1 - u) * v), (width + 1, u * v)):
        total = total + weight[:, None] * flat.gather(2, (first + step)[:, None].expand(-1, channels, -1))
    return total.view(n, channels, *x.shape[1:])


class _Lookup(torch.autograd.Function):
    """Bilinear lookup. It is linear in the image, so the derivatives of all orders are itself and its transpose.

    Written down because not every version and backend of torch differentiates the kernel's own backward.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape = images.shape
        return F.grid_sample(images, grid, align_corners=True)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        (grid,) = ctx.saved_tensors
        return _LookupTransposed.apply(gradient.contiguous(), grid, ctx.shape), None


class _LookupTransposed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        unread = values.new_zeros(()).expand(
            shape
        )  # only a gradient with respect to the grid would depend on the image
        kernel: Any = torch.ops.aten.grid_sampler_2d_backward
        spread: Tensor = kernel(values, unread, grid, 0, 0, True, (True, False))[0]
        return spread

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        (grid,) = ctx.saved_tensors
        return _Lookup.apply(gradient.contiguous(), grid), None, None


def recolor(images: Tensor, matrices: Tensor) -> Tensor:
    """Maps every pixel (r, g, b, 1) by its image's matrix `(N, 4, 4)`; a grey one as r = g = b, to the mean of those.

    Raises:
        BadArgument: for images with other than 1 or 3 channels.
    """
    n, channels, height, width = images.shape
    if channels not in (1, 3):
        raise BadArgument(f"images of {channels} channels have no colour to change; leave the colour transforms out")
    scale, offset = matrices[:, :3, :3].to(images.dtype), matrices[:, :3, 3:].to(images.dtype)
    if channels == 1:
        scale, offset = scale.sum(2, keepdim=True).mean(1, keepdim=True), offset.mean(1, keepdim=True)
    return torch.baddbmm(offset, scale, images.flatten(2)).view(n, channels, height, width)


def amplify(images: Tensor, gains: Tensor) -> Tensor:
    """Multiplies four bands of frequencies, along columns and then rows, by an image's gains `(N, 4)`.

    The kernel is the sum of the filters of `filter_bank` times their gains. At the edges the image is reflected.
    """
    n, channels = images.shape[:2]
    bank = filter_bank()
    taps = constant(tuple(bank.flatten().tolist()), images.device, images.dtype).view(bank.shape)
    kernels = (gains.to(images.dtype) @ taps).repeat_interleave(channels, 0)[:, None, :, None]
    reach = bank.shape[1] // 2
    for _ in range(2):
        height, width = images.shape[2:]
        rows = _mirrored(torch.arange(-reach, height + reach, device=images.device), height)
        padded = images.index_select(2, rows).reshape(1, n * channels, len(rows), width)
        images = F.conv2d(padded, kernels, groups=n * channels).view(n, channels, height, width).mT
    return images


@cache
def filter_bank() -> npt.NDArray[np.float64]:
    """Symmetric filters `(4, 43)` of [0, π/8], [π/8, π/4], [π/4, π/2] and [π/2, π], whose sum is the unit impulse.

    With L(z) = H(z) H(1/z) / 2 of SYM2, the bands are from the top down 1 - L(z), L(z) (1 - L(z^2)),
    L(z) L(z^2) (1 - L(z^4)) and what remains, L(z) L(z^2) L(z^4).
    """
    low = np.convolve(SYM2, SYM2[::-1]) / 2
    bands, remains = [], np.ones(1)
    for octave in range(3):
        spread = np.zeros((len(low) - 1) * 2**octave + 1)  # L(z^(2^octave))
        spread[:: 2**octave] = low
        rest = -spread
        rest[len(rest) // 2] += 1
        bands.append(np.convolve(remains, rest))
        remains = np.convolve(remains, spread)
    bands.append(remains)
    return np.stack([np.pad(band, (len(remains) - len(band)) // 2) for band in reversed(bands)])
