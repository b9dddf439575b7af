"""Resizers by name. A score changes with the filter that brought the images to the network's size, so each has a name.

Parmar et al., "On Aliased Resizing and Surprising Subtleties in GAN Evaluation", 2022 (arXiv 2104.11222), shows by how
much. All work on a device and keep floats: nothing is rounded between resizing and the network.
"""

from collections.abc import Callable
from typing import Final, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ganzoo.types import UnknownName, nearest


def tf_bilinear(images: Tensor, size: tuple[int, int]) -> Tensor:
    """The bilinear filter of TensorFlow 1 that the 2015 Inception graph contains, without antialiasing.

    Output pixel i reads the input at i · (in / out), not at the pixels' centres, so the picture shifts to the upper
    left: wrong as an image filter, and what every published FID was computed with.

    Args:
        images: `(N, C, H, W)` float32, any range.
        size: height and width wanted.

    Returns:
        `(N, C, *size)` float32.
    """
    for dim, wanted in ((2, size[0]), (3, size[1])):
        length = images.shape[dim]
        at = torch.arange(wanted, device=images.device, dtype=torch.float32)
        at = at * torch.tensor(length / wanted, dtype=torch.float32)  # in float32, as TensorFlow computes it
        low = at.long()
        high = (low + 1).clamp_max(length - 1)
        weight = (at - low).view(-1, *(1,) * (3 - dim)).to(images.dtype)
        images = torch.lerp(images.index_select(dim, low), images.index_select(dim, high), weight)
    return images


def pil_bicubic(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Pillow's bicubic filter (a = -0.5), antialiased, in floats: the "clean" resizing of Parmar et al.

    torch's antialiased bicubic filter is Pillow's; the result is clipped to 0..255 as clean-fid does.

    Args:
        images: `(N, C, H, W)` float32 in 0..255.
        size: height and width wanted.

    Returns:
        `(N, C, *size)` float32 in 0..255.
    """
    return F.interpolate(images, size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 255)


def torch_bilinear(images: Tensor, size: tuple[int, int]) -> Tensor:
    """torch's bilinear filter at the pixels' centres, without antialiasing; arguments as for `tf_bilinear`."""
    return F.interpolate(images, size, mode="bilinear", antialias=False, align_corners=False)


def torch_bicubic(images: Tensor, size: tuple[int, int]) -> Tensor:
    """torch's bicubic filter (a = -0.75), without antialiasing, clipped to 0..255; arguments as for `pil_bicubic`."""
    return F.interpolate(images, size, mode="bicubic", antialias=False, align_corners=False).clamp(0, 255)


Resizer = Literal["", "tf_bilinear", "pil_bicubic", "torch_bilinear", "torch_bicubic"]

RESIZERS: Final[dict[str, Callable[[Tensor, tuple[int, int]], Tensor]]] = {
    "tf_bilinear": tf_bilinear,
    "pil_bicubic": pil_bicubic,
    "torch_bilinear": torch_bilinear,
    "torch_bicubic": torch_bicubic,
}


def check_resizer(name: str) -> None:
    """Looks a filter up.

    Raises:
        UnknownName: for a filter that does not exist; the text names the nearest.
    """
    if name not in RESIZERS:
        there = f"there are {', '.join(RESIZERS)}."
        raise UnknownName(f"There is no resizer {name!r}{nearest(name, RESIZERS, there)}")


def resize(images: Tensor, size: int, resizer: str) -> Tensor:
    """Brings `(N, C, H, W)` float32 images in 0..255 to `size` x `size` by a named filter; no filter where it fits.

    Raises:
        UnknownName: for a filter that does not exist.
    """
    check_resizer(resizer)
    if images.shape[2:] == (size, size):
        return images
    return RESIZERS[resizer](images, (size, size))
