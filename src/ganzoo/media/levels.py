"""Between images as networks have them, floats in [-1, 1], and as files and metrics do, 256 levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor


def to_float(images: Tensor) -> Tensor:
    """Maps uint8 0..255 to float32 [-1, 1] as x / 127.5 - 1; anything else (points, floats) is returned as it is."""
    import torch

    return images.to(torch.float32).div_(127.5).sub_(1) if images.dtype == torch.uint8 else images


def floats_of(picture: Image.Image) -> Tensor:
    """A picture in mode `L` or `RGB` as `(C, H, W)` float32 in [-1, 1]."""
    import torch

    values = torch.from_numpy(np.array(picture))
    return to_float(values[None] if values.ndim == 2 else values.permute(2, 0, 1).contiguous())


def to_uint8(images: Tensor) -> Tensor:
    """Maps floats in [-1, 1] to the nearest of the 256 levels, clamping what lies outside; leaves uint8 as it is.

    Halves go upwards, as in NVIDIA's metrics: floor(127.5 x + 128). The inverse of `to_float` for each level.
    """
    import torch

    if images.dtype == torch.uint8:
        return images
    return images.to(torch.float32).mul(127.5).add_(128).clamp_(0, 255).to(torch.uint8)


def to_levels(images: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """`to_uint8` of an array, without torch."""
    if images.dtype == np.uint8:
        return images
    return np.clip(images.astype(np.float32) * np.float32(127.5) + np.float32(128), 0, 255).astype(np.uint8)
