"""DiffAugment: three fixed transforms, applied to every image that the discriminator sees."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Final

import torch
from torch import Tensor

from ganzoo.objectives.augment.tensors import wide
from ganzoo.types import BadArgument

POLICIES: Final = ("color", "translation", "cutout")


def diff_augment(images: Tensor, policies: Iterable[str] = POLICIES, hole: float = 0.5) -> Tensor:
    """DiffAugment (Zhao et al. 2020, arXiv:2006.10738, section 3.2): the transforms named, in this order.

    color: brightness + U(-1/2, 1/2), then saturation · U(0, 2) about each pixel's mean, then contrast · U(1/2, 3/2)
    about the image's mean; translation: by up to an eighth of the image, filled with 0; cutout: a square of half the
    image's side, set to 0.

    Args:
        images: `(N, C, H, W)`.
        policies: of `POLICIES`.
        hole: the cutout's share of the image's side.

    Returns:
        Images of that shape.

    Raises:
        BadArgument: for an unknown policy.
    """
    images, policies = wide(images), tuple(policies)
    for name in policies:
        if name not in POLICIES:
            raise BadArgument(f"DiffAugment has no policy {name!r}; there are {', '.join(POLICIES)}")
    for name, apply in (("color", _color), ("translation", _translation), ("cutout", partial(_cutout, hole=hole))):
        if name in policies:
            images = apply(images)
    return images


def _color(images: Tensor) -> Tensor:
    brightness, saturation, contrast = (
        torch.rand(len(images), 1, 1, 1, dtype=images.dtype, device=images.device) for _ in range(3)
    )
    images = images + brightness - 0.5
    grey = images.mean(1, keepdim=True)
    images = torch.lerp(grey, images, 2 * saturation)
    return torch.lerp(images.mean((1, 2, 3), keepdim=True), images, contrast + 0.5)


def _translation(images: Tensor) -> Tensor:
    for dim in (2, 3):
        size = images.shape[dim]
        reach = round(size / 8)
        shift = torch.randint(-reach, reach + 1, (len(images), 1), device=images.device)
        source = torch.arange(size, device=images.device) - shift
        view = (len(images), 1, size, 1) if dim == 2 else (len(images), 1, 1, size)
        index = source.clamp(0, size - 1).view(view).expand(images.shape)
        outside = (source < 0) | (source >= size)
        images = images.gather(dim, index).masked_fill(outside.view(view), 0)
    return images


def _cutout(images: Tensor, hole: float) -> Tensor:
    inside = torch.ones((), dtype=torch.bool, device=images.device)
    for dim in (2, 3):
        size = images.shape[dim]
        side = round(size * hole)
        # the centre lies on any pixel, or between any two, of the image
        first = torch.randint(0, size + 1 - side % 2, (len(images), 1), device=images.device) - side // 2
        pixels = torch.arange(size, device=images.device)
        covered = (pixels >= first) & (pixels < first + side)
        inside = inside & covered.view((-1, 1, size, 1) if dim == 2 else (-1, 1, 1, size))
    return images.masked_fill(inside, 0)
