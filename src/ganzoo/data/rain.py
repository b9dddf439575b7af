"""Rain on pictures: streaks that are drawn from a seed and brighten what is behind them.

The additive model of a rainy picture, x = y + r with the streaks r (Zhang 2017, arXiv:1701.05957, equation 1). Its
authors drew r with an image editor, as others do by hand: noise, of which the largest values stay as drops, blurred
along the direction in which they fall. This does the same with numbers of its own, each picture from its own stream.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from numpy.random import RandomState
from torch import Tensor

from ganzoo.data.avatars import Avatars
from ganzoo.data.batch import Images
from ganzoo.data.folder import Folder
from ganzoo.media.levels import to_float, to_uint8
from ganzoo.types import BadArgument


@dataclass(frozen=True)
class Rain:
    """How hard it rains; of each picture every number is drawn between two.

    Args:
        drops: share of the pixels in which a streak begins.
        length: of a streak, in shares of the picture's height.
        angle: from the vertical, in degrees.
        light: what a streak adds at its brightest, in shares of the range from black to white.
    """

    drops: tuple[float, float] = (0.01, 0.04)
    length: tuple[float, float] = (0.1, 0.3)
    angle: tuple[float, float] = (-30.0, 30.0)
    light: tuple[float, float] = (0.4, 0.8)


def rained(images: Tensor, seeds: Tensor, rain: Rain | None = None) -> Tensor:
    """Lets it rain on images, each from its own seed.

    Args:
        images: `(N, C, H, W)` in [-1, 1].
        seeds: `(N,)`, whole numbers from 0 on, below 2^32.
        rain: how hard.

    Returns:
        `(N, C, H, W)` in [-1, 1], nowhere darker than before, at the 256 levels of a file.

    Raises:
        BadArgument: unless there is a seed an image.
    """
    if len(seeds) != len(images):
        raise BadArgument(f"there are {len(seeds)} seeds for {len(images)} images; give one each")
    height, width = images.shape[2:]
    made = [streaks(height, width, RandomState(int(seed)), rain or Rain()) for seed in seeds]
    return to_float(to_uint8((images + 2 * torch.stack(made).to(images)[:, None]).clamp(-1, 1)))


def streaks(height: int, width: int, rng: RandomState, rain: Rain) -> Tensor:
    """The light that streaks add `(height, width)`, in [0, 1].

    Args:
        height: of the picture.
        width: of the picture.
        rng: what drops, direction, length and light are drawn from.
        rain: between which numbers.
    """
    share, length, angle, light = (rng.uniform(*each) for each in (rain.drops, rain.length, rain.angle, rain.light))
    kernel = motion(max(3, round(length * height)), angle)
    reach = len(kernel) // 2
    drops = rng.uniform(size=(height + 2 * reach, width + 2 * reach)) < share  # those from outside fall in too
    strength = rng.uniform(0.5, 1.0, drops.shape)
    seeds = torch.from_numpy((drops * strength).astype(np.float32))
    fallen = F.conv2d(seeds[None, None], kernel[None, None])[0, 0]
    return light * (fallen / kernel.max()).clamp(max=1)


def motion(length: int, angle: float) -> Tensor:
    """The blur of a straight movement: a line through the middle of `(k, k)`, k odd, of sum 1.

    Args:
        length: in pixels.
        angle: from the vertical, in degrees; positive leans to the right at the top.
    """
    side = length + 1 - length % 2
    at = torch.arange(side, dtype=torch.float64) - side // 2
    y, x = torch.meshgrid(at, at, indexing="ij")
    turn = math.radians(angle)
    along = x * math.sin(turn) - y * math.cos(turn)
    across = x * math.cos(turn) + y * math.sin(turn)
    line = (1 - across.abs()).clamp(min=0) * (along.abs() <= length / 2)
    return (line / line.sum()).float()


def _pairs(images: Images, split: str) -> Images:
    """Rainy pictures, with what they were before as their targets."""
    first = 0 if split == "test" else 2**31  # so that no rain of training falls in the test split
    made = [
        to_uint8(rained(to_float(torch.from_numpy(np.array(images.values[i : i + 256]))), torch.arange(i, j) + first))
        for i, j in ((i, min(i + 256, len(images))) for i in range(0, len(images), 256))
    ]
    values: npt.NDArray[np.uint8] = torch.cat(made).numpy()
    return replace(images, name=f"{images.name}-rain", values=values, targets=np.asarray(images.values))


class AvatarRain(Avatars):
    """Avatars in the rain and without it, in pairs; arguments are those of `Avatars`."""

    def read(self, split: str) -> Images:
        """Reads a split; the k-th target is what the k-th picture was before it rained.

        Raises:
            BadData: if the style was not prepared, or a file of it is damaged.
        """
        return _pairs(super().read(split), split)


class FolderRain(Folder):
    """Pictures of a folder in the rain and without it, in pairs; arguments are those of `Folder`.

    All of them are held in memory.
    """

    def read(self, split: str) -> Images:
        """Reads a split; the k-th target is what the k-th picture was before it rained.

        Raises:
            BadData: see `Folder`.
        """
        return _pairs(super().read(split), split)
