"""Making images larger by a whole factor: `upscale`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ganzoo.game import inference
from ganzoo.game.contract import Program, Shown
from ganzoo.game.game import Game
from ganzoo.media.images import grid
from ganzoo.media.levels import to_float, to_uint8
from ganzoo.media.provenance import remember
from ganzoo.nn.enlarging import bicubic
from ganzoo.types import BadArgument, BadModelFolder

if TYPE_CHECKING:
    from ganzoo.data.batch import Images

_GOLDEN = 4  # pictures in a golden one


class Upscales(Game):
    """A family that makes images larger.

    A family sets `scale` in `__init__`, and overrides `enlarge` where its generator takes more than images. It learns
    from large images, which `reduced` makes small.

    Attributes:
        scale: how many times as long the sides become.
        stride: sides of images are padded to its multiples.
        tile: side of the parts of an image that are enlarged one by one.
        overlap: pixels that a part is enlarged together with on each side, and that are cut off again: so many that
            the whole comes out within 1e-3 as if it had been enlarged in one piece.
    """

    ability = "upscales"
    instead = "give it small ones with upscale"
    scale: int = 4
    stride: int = 1
    tile: int = 256
    overlap: int = 32

    def enlarge(self, images: Tensor) -> Tensor:
        """Maps `(n, C, H, W)` in [-1, 1], of sides that are multiples of `stride`, to `scale` times the sides."""
        return self.averaged(images)

    def reduced(self, images: Tensor) -> Tensor:
        """What images `(N, C, H, W)` in [-1, 1] become when they are made small, at the 256 levels of a file."""
        return to_float(to_uint8(bicubic(images, 1 / self.scale)))

    def interpolated(self, images: Tensor) -> Tensor:
        """What small images become by bicubic interpolation, to be held against."""
        return bicubic(images, self.scale)

    def upscale(
        self, images: Tensor, *, tile: int | None = None, overlap: int | None = None, batch_size: int | None = None
    ) -> Tensor:
        """Makes images larger; each depends on itself alone, at any batch size.

        Images of more pixels than a tile are enlarged in tiles, so that the memory of the networks is that of a tile.

        Args:
            images: `(n, C, H, W)` floats in [-1, 1], with the model's channels.
            tile: side of a tile in pixels of the small image; the model's own where None.
            overlap: pixels that tiles have in common with their neighbours' places; the model's own where None.
            batch_size: images that need no tiles made at a time; None for a million large pixels' worth, at most 64.

        Returns:
            `(n, C, scale H, scale W)` float32 in [-1, 1], on the CPU.

        Raises:
            BadArgument: for a size out of range, and images of another shape, type or range than expected.
        """
        inference.check_images(images, self.shape[0], 1, type(self).__name__)
        height, width = (self.scale * side for side in images.shape[2:])
        made = torch.empty(len(images), self.shape[0], height, width)
        single = max(images.shape[2:]) <= self._tile(tile, overlap)[0]
        step = inference.at_a_time(batch_size, (height, width)) if single else 1
        for start in range(0, len(images), step):
            for top, left, part in self.upscaled_tiles(images[start : start + step], tile, overlap):
                made[start : start + step, :, top : top + part.shape[2], left : left + part.shape[3]] = part
        return remember(made, self, composite=True)

    def upscaled_tiles(
        self, images: Tensor, tile: int | None = None, overlap: int | None = None
    ) -> Iterator[tuple[int, int, Tensor]]:
        """The parts of what images `(n, C, H, W)` become, one by one, as `upscale` puts them together.

        Yields:
            The part's top and left in the large image, and the part `(n, C, h, w)`.
        """
        side, reach = self._tile(tile, overlap)
        height, width = images.shape[2:]
        rows, columns = (_cuts(length, side, self.stride) for length in (height, width))
        for top, bottom in pairwise(rows):
            for left, right in pairwise(columns):
                up, across = max(0, top - reach), max(0, left - reach)
                part = images[:, :, up : min(height, bottom + reach), across : min(width, right + reach)]
                with self.inferring():
                    given = part.to(device=self.device, dtype=self._precision or torch.float32)
                    made = self.enlarge(_filled(given, self.stride)).float().cpu()
                first, start = self.scale * (top - up), self.scale * (left - across)
                high, wide = self.scale * (bottom - top), self.scale * (right - left)
                yield (
                    self.scale * top,
                    self.scale * left,
                    self.limit(made[:, :, first : first + high, start : start + wide]),
                )

    def _tile(self, tile: int | None, overlap: int | None) -> tuple[int, int]:
        """Both in multiples of the stride."""
        side, reach = self.tile if tile is None else tile, self.overlap if overlap is None else overlap
        if side < 1 or reach < 0:
            raise BadArgument(f"tile is {side} and overlap {reach}; pixels are expected, from 1 and from 0 on")
        return max(side - side % self.stride, self.stride), reach + -reach % self.stride

    # ---------------------------------------------------------------- how it is shown and checked

    def inputs(self, real: Images | None, n: int) -> Tensor:
        """Large images `(n, C, H, W)` in [-1, 1]: of the opened test split, or smooth random fields."""
        if real is None or real.values.ndim != 4 or tuple(real.values.shape[1:]) != tuple(self.shape):
            return to_float(to_uint8(inference.fields(self.shape, n)))
        return to_float(torch.from_numpy(real.values[inference.spread(len(real.values), n)]))

    def preview(self, real: Images | None, n: int, seed: int = 0) -> Shown:
        """Small images repeated to the size of large ones, bicubic interpolation, what is made, and the true ones."""
        large = self.inputs(real, min(n, 8 if self.shape[-1] <= 128 else 4))
        small = self.reduced(large)
        columns = [self._repeated(small), self.interpolated(small), self.upscale(small), large]
        return Shown(torch.stack(columns, 1).flatten(0, 1), len(columns) * (1 if len(large) < 8 else 2))

    def program(self) -> Program:
        """From images `(n, C, H, W)` of any sides that are multiples of `stride` to large ones."""
        given = self.reduced(self.inputs(None, 2))
        network = self.averaged
        return Program(
            lambda source: network(source), {"source": given}, stride=self.stride, facts={"scale": self.scale}
        )

    def golden(self, real: Images | None) -> Image.Image | None:
        """A row of small images, each pixel a square of as many as the scale, and below it what becomes of them."""
        small = self.reduced(self.inputs(real, _GOLDEN))
        return grid(torch.cat([self._repeated(small), self.upscale(small)]), columns=len(small), padding=0, scale=1)

    def check_golden(self, path: Path) -> int:
        """Enlarges the small images of a golden picture again; PNG keeps them to the bit.

        Returns:
            The largest difference in 8-bit levels.

        Raises:
            BadModelFolder: if there is no such picture in the file, or what it shows is not what the model makes.
        """
        channels, height, width = self.shape
        pixels = torch.from_numpy(inference.read_golden(path)).permute(2, 0, 1)[:channels]
        columns = pixels.shape[2] // width
        if pixels.shape[1] != 2 * height or pixels.shape[2] % width or not 1 <= columns <= 64:
            found = f"{pixels.shape[2]}x{pixels.shape[1]} pixels"
            raise BadModelFolder(
                f"{path}: {found} are no golden picture of this model, which is {2 * height} pixels high"
            )
        given, kept = (
            pixels.to(torch.uint8).unflatten(1, (2, height)).unflatten(3, (columns, width)).permute(1, 3, 0, 2, 4)
        )
        made = to_uint8(self.upscale(to_float(given[:, :, :: self.scale, :: self.scale])))
        return inference.compare_golden(path, kept.numpy().astype(np.int16), made.numpy().astype(np.int16))

    def _repeated(self, small: Tensor) -> Tensor:
        return F.interpolate(small, scale_factor=float(self.scale), mode="nearest")


def _cuts(length: int, side: int, stride: int) -> list[int]:
    """Where tiles of at most so many pixels begin and the last one ends: evenly, at multiples of the stride."""
    count = -(-length // side)
    return [*(i * length // count // stride * stride for i in range(count)), length]


def _filled(images: Tensor, stride: int) -> Tensor:
    """Repeats the last row and column until both sides are multiples of the stride."""
    down, across = (-side % stride for side in images.shape[2:])
    return F.pad(images, (0, across, 0, down), mode="replicate") if down or across else images
