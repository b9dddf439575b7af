"""Images: `(C, H, W)` in grey or colour, floats in [-1, 1] inside and 256 levels in files; laid out in grids."""

import math
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from ganzoo.media.levels import to_levels
from ganzoo.media.medium import Medium, Numbers, as_array, write_picture
from ganzoo.types import BadArgument

TILE: Final = 64  # pixels that a picture in a grid has at least, small ones being enlarged

_SLACK: Final = 1e-3  # how far a rounding error may carry a pixel beyond 1; an eighth of a level


class ImageMedium(Medium):
    """Pictures of 1 or 3 channels."""

    name = "image"
    form = "C, H, W"
    value_range = (-1, 1)
    stored = "uint8"
    sheet = 64
    suffix = ".png"

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Three axes: channels, height and width."""
        return len(shape) == 3

    def check(self, samples: Numbers) -> npt.NDArray[Any]:
        """Images `(N, C, H, W)` with 1 or 3 channels, floats in [-1, 1] or uint8."""
        array = as_array(samples)
        shape = array.shape
        if array.ndim != 4 or shape[1] not in (1, 3) or 0 in shape[2:]:
            raise BadArgument(f"Images must have the shape (N, C, H, W) with 1 or 3 channels, not {shape}.")
        if array.dtype.kind == "f":
            wrong = array[~(np.abs(array) <= 1 + _SLACK)]  # so written, it finds NaN too
            if len(wrong):
                value = wrong[0].item()
                raise BadArgument(f"Images must lie in [-1, 1], but hold {value:g}; scale or clamp them first.")
        elif array.dtype != np.uint8:
            raise BadArgument(f"Images must be floats in [-1, 1] or uint8, not {array.dtype}.")
        return array

    def draw(self, samples: Numbers, columns: int | None = None) -> Image.Image:
        """Their grid."""
        return grid(samples, columns)

    def frame(self, sample: Numbers) -> Image.Image:
        """The image without a border, enlarged where it is small."""
        return grid(sample[None], padding=0)

    def write(self, sample: Numbers, path: str | Path) -> None:
        """The image at its own size."""
        write_picture(to_pil(sample[None])[0], path, made=True)


def to_pil(images: Numbers) -> list[Image.Image]:
    """Turns images into Pillow's, in mode `L` or `RGB`.

    Args:
        images: `(N, C, H, W)` with 1 or 3 channels, floats in [-1, 1] or uint8.

    Returns:
        N pictures of H x W pixels.

    Raises:
        BadArgument: for another shape or type, and for values outside the range, NaN among them.
    """
    return [Image.fromarray(picture) for picture in _pixels(images)]


def grid(images: Numbers, columns: int | None = None, padding: int = 2, scale: int | None = None) -> Image.Image:
    """Lays images out row by row on white.

    Args:
        images: `(N, C, H, W)` as for `to_pil`, at least one.
        columns: how many stand side by side; by default as many as make the grid square.
        padding: pixels between and around the images.
        scale: the whole factor by which each is enlarged, without smoothing; by default the smallest that makes the
            shorter side at least 64 pixels (`TILE`), so that an 8x8 digit can be seen.

    Raises:
        BadArgument: as `to_pil`, and for no images, `columns` or `scale` below 1, or negative `padding`.
    """
    pixels = _pixels(images)
    if len(pixels) == 0:
        raise BadArgument("There is no image to lay out; give at least one.")
    count, height, width = pixels.shape[:3]
    columns = math.ceil(math.sqrt(count)) if columns is None else columns
    scale = max(1, math.ceil(TILE / min(height, width))) if scale is None else scale
    for name, value, least in (("columns", columns, 1), ("padding", padding, 0), ("scale", scale, 1)):
        if not isinstance(value, int) or value < least:
            raise BadArgument(f"{name}={value!r}: a grid needs a whole number from {least} on.")
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    pixels = pixels.repeat(scale, axis=1).repeat(scale, axis=2)
    across, down = width * scale + padding, height * scale + padding
    canvas = np.full((rows * down + padding, columns * across + padding, *pixels.shape[3:]), 255, np.uint8)
    for i, picture in enumerate(pixels):
        top, left = padding + i // columns * down, padding + i % columns * across
        canvas[top : top + height * scale, left : left + width * scale] = picture
    return Image.fromarray(canvas)


def _pixels(images: Numbers) -> npt.NDArray[np.uint8]:
    """Checked uint8 `(N, H, W, 3)`, or `(N, H, W)` for one channel."""
    pixels = np.ascontiguousarray(to_levels(ImageMedium().check(images)).transpose(0, 2, 3, 1))
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels
