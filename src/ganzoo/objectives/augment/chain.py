"""The chain of ADA's transforms: what is drawn for each image, and in which order it is applied.

Karras et al. 2020 (arXiv:2006.06676), appendix B, algorithm 1. The geometric transforms of an image are one 3x3 matrix,
those of colour one 4x4 matrix; only the products touch pixels (`pixels.py`).
"""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import torch
from torch import Tensor

from ganzoo.objectives.augment import pixels
from ganzoo.objectives.augment.tensors import (
    constant,
    linear3d,
    quarter_turns,
    rotate2d,
    scale2d,
    translate2d,
    translate3d,
    wide,
)
from ganzoo.types import BadArgument

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "blit": ("x_flip", "rotate_90", "integer_translation"),
    "geometry": ("isotropic_scale", "rotation", "anisotropic_scale", "fractional_translation"),
    "color": ("brightness", "contrast", "luma_flip", "hue", "saturation"),
    "filter": ("amplification",),
    "noise": ("rgb_noise",),
    "cutout": ("rectangle",),
}
TRANSFORMS: Final = tuple(name for names in GROUPS.values() for name in names)
BGC: Final = ("blit", "geometry", "color")  # what the paper settles on (section 3)


def augment(images: Tensor, p: Tensor | float, transforms: Mapping[str, float] | Iterable[str] = BGC) -> Tensor:
    """The whole chain: blitting and geometry in one warp, colour, filtering, noise, cutout.

    Args:
        images: `(N, C, H, W)`, nominally in [-1, 1].
        p: the probability of each transform, a scalar in [0, 1].
        transforms: those that are on, and how much; see `strengths`.

    Returns:
        Images of that shape. One for which nothing was drawn comes back bit by bit, so that p = 0 is the identity.

    Raises:
        BadArgument: for an unknown transform, or colour transforms of images with other than 1 or 3 channels.
    """
    images = wide(images)
    draws = Draws(images, p, strengths(transforms))
    with torch.autocast(images.device.type, enabled=False):
        if draws.any("geometry"):
            images = pixels.warp(images, blit(draws), geometry(draws))
        elif draws.any("blit"):
            images = pixels.warp(images, blit(draws))
        if draws.any("color"):
            images = pixels.recolor(images, color(draws))
        if draws.any("filter"):
            images = pixels.amplify(images, gains(draws))
        if draws.any("noise"):
            images = noise(draws, images)
        if draws.any("cutout"):
            images = cutout(draws, images)
    return images


def strengths(transforms: Mapping[str, float] | Iterable[str]) -> dict[str, float]:
    """The multiplier of p of every transform.

    Args:
        transforms: names of single transforms (`TRANSFORMS`) or of groups (`GROUPS`), or a table from such names to
            multipliers in [0, 1]. What is not named is off.

    Raises:
        BadArgument: for an unknown name, or a multiplier out of range.
    """
    table = transforms if isinstance(transforms, Mapping) else dict.fromkeys(transforms, 1.0)
    found = dict.fromkeys(TRANSFORMS, 0.0)
    for name, strength in table.items():
        if name not in found and name not in GROUPS:
            near = difflib.get_close_matches(name, [*GROUPS, *TRANSFORMS], n=1)
            raise BadArgument(
                f"there is no transform {name!r}; " + (f"did you mean {near[0]}?" if near else f"groups are {_LISTED}")
            )
        if not 0 <= strength <= 1:
            raise BadArgument(f"transform {name!r} has the strength {strength}; give a multiplier of p in [0, 1]")
        found.update(dict.fromkeys(GROUPS.get(name, (name,)), float(strength)))
    return found


_LISTED: Final = ", ".join(GROUPS)


class Draws:
    """One draw an image at a time, and whether a transform is applied to it.

    Args:
        images: whose number, size and device count.
        p: the probability, a scalar.
        strengths: a multiplier of it for every one of `TRANSFORMS`.
    """

    def __init__(self, images: Tensor, p: Tensor | float, strengths: Mapping[str, float]) -> None:
        self.n, _, self.height, self.width = images.shape
        self.device, self.strengths = images.device, strengths
        self.p = p

    def any(self, group: str) -> bool:
        """Whether any transform of a group is on."""
        return any(self.strengths[name] for name in GROUPS[group])

    def uniform(self, low: float, high: float) -> Tensor:
        """`(N,)`."""
        return torch.rand(self.n, device=self.device) * (high - low) + low

    def normal(self, deviation: float) -> Tensor:
        """`(N,)`."""
        return torch.randn(self.n, device=self.device) * deviation

    def lognormal(self, octaves: float) -> Tensor:
        """exp N(0, (octaves · ln 2)^2), `(N,)`."""
        return torch.exp2(self.normal(octaves))

    def integer(self, below: int) -> Tensor:
        """`(N,)` int64, from 0 on."""
        return torch.randint(0, below, (self.n,), device=self.device)

    def chosen(self, name: str, half: bool = False) -> Tensor:
        """Which images `(N,)` a transform is applied to; `half` is for one of two draws that together have p."""
        p = torch.as_tensor(self.p * self.strengths[name])
        return torch.rand(self.n, device=self.device) < (1 - (1 - p).sqrt() if half else p)

    def identity(self, side: int) -> Tensor:
        """`(N, side, side)`."""
        return torch.eye(side, device=self.device).expand(self.n, side, side)

    def then(self, before: Tensor, name: str, make: Callable[[], Tensor], half: bool = False) -> Tensor:
        """The matrices before, followed by those of a transform where it is drawn."""
        if not self.strengths[name]:
            return before
        chosen = self.chosen(name, half)
        return torch.where(chosen[:, None, None], make() @ before, before)


def blit(d: Draws) -> Tensor:
    """Pixel blitting, `(N, 3, 3)`: a mirror image in half of the cases, quarter turns, a shift of up to an eighth.

    The matrices say how content moves, in pixels to the right and down from the image's centre.
    """

    def shift() -> Tensor:
        return translate2d(*((d.uniform(-1 / 8, 1 / 8) * size).round() for size in (d.width, d.height)))

    G = d.identity(3)
    G = d.then(G, "x_flip", lambda: scale2d((1 - 2 * d.integer(2)).float(), torch.ones(d.n, device=d.device)))
    G = d.then(G, "rotate_90", lambda: quarter_turns(d.integer(4)))
    return d.then(G, "integer_translation", shift)


def geometry(d: Draws) -> Tensor:
    """General geometric transforms, `(N, 3, 3)`: scalings, rotation, a shift by any part of a pixel.

    Rotation is drawn before and after the anisotropic scaling, so that its axes point anywhere; each of the two has
    p_rot = 1 - sqrt(1 - p), so that p is the probability that either is applied.
    """

    def isotropic() -> Tensor:
        s = d.lognormal(0.2)
        return scale2d(s, s)

    def anisotropic() -> Tensor:
        s = d.lognormal(0.2)
        return scale2d(s, 1 / s)

    def rotation() -> Tensor:
        return rotate2d(d.uniform(-math.pi, math.pi))

    def shift() -> Tensor:
        return translate2d(d.normal(1 / 8) * d.width, d.normal(1 / 8) * d.height)

    G = d.identity(3)
    G = d.then(G, "isotropic_scale", isotropic)
    G = d.then(G, "rotation", rotation, half=True)
    G = d.then(G, "anisotropic_scale", anisotropic)
    G = d.then(G, "rotation", rotation, half=True)
    return d.then(G, "fractional_translation", shift)


def color(d: Draws) -> Tensor:
    """Colour transforms, `(N, 4, 4)` of (r, g, b, 1).

    Brightness adds, contrast scales about 0, the middle grey; luma flip reflects along the axis of greys
    v = (1, 1, 1) / sqrt 3, hue rotates about it, and saturation scales the distance from it.
    """
    eye = torch.eye(3, device=d.device)
    along = constant((1 / 3,) * 9, d.device).view(3, 3)  # v v^T, the projection onto the axis
    across = eye - along
    turn = constant((0, -1, 1, 1, 0, -1, -1, 1, 0), d.device).view(3, 3) / math.sqrt(3)  # the cross product with v

    def contrast() -> Tensor:
        return linear3d(eye * d.lognormal(0.5)[:, None, None])

    def luma_flip() -> Tensor:
        return linear3d(eye - 2 * along * d.integer(2)[:, None, None])

    def hue() -> Tensor:
        angle = d.uniform(-math.pi, math.pi)[:, None, None]
        return linear3d(along + across * angle.cos() + turn * angle.sin())  # Rodrigues' formula

    def saturation() -> Tensor:
        return linear3d(along + across * d.lognormal(1.0)[:, None, None])

    C = d.identity(4)
    C = d.then(C, "brightness", lambda: translate3d(d.normal(0.2)))
    C = d.then(C, "contrast", contrast)
    C = d.then(C, "luma_flip", luma_flip)
    C = d.then(C, "hue", hue)
    return d.then(C, "saturation", saturation)


def gains(d: Draws) -> Tensor:
    """Amplitudes `(N, 4)` of the bands [0, π/8], [π/8, π/4], [π/4, π/2] and [π/2, π], each band drawn for itself.

    What one band gains is divided out of all, so that images whose power falls as 1/f keep theirs: of such, 10/13 are
    expected in the lowest band and 1/13 in each of the others.
    """
    power = constant((10 / 13, 1 / 13, 1 / 13, 1 / 13), d.device)
    g = torch.ones(d.n, 4, device=d.device)
    for band in range(4):
        t = torch.ones(d.n, 4, device=d.device)
        t[:, band] = torch.where(d.chosen("amplification"), d.lognormal(1.0), 1.0)
        g = g * t / (power * t**2).sum(1, keepdim=True).sqrt()
    return g


def noise(d: Draws, images: Tensor) -> Tensor:
    """Adds normal noise to every value; its deviation is an image's, |N(0, 0.1^2)|."""
    deviation = d.normal(0.1).abs() * d.chosen("rgb_noise")
    values = torch.randn(images.shape, dtype=images.dtype, device=images.device)
    return images + values * deviation.to(images.dtype)[:, None, None, None]


def cutout(d: Draws, images: Tensor) -> Tensor:
    """Sets a rectangle of half the width and half the height, whose centre is anywhere in the image, to 0."""
    inside = d.chosen("rectangle")[:, None, None]
    for size, dim in ((d.height, 2), (d.width, 1)):
        middles = (torch.arange(size, device=d.device) + 0.5) / size
        covered = (middles - d.uniform(0, 1)[:, None]).abs() < 1 / 4
        inside = inside & covered.unsqueeze(dim)
    return images.masked_fill(inside[:, None], 0)
