"""Memorisation, to look at: generated images beside their nearest neighbours among the training images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ganzoo.metrics.features import FeatureNetwork
from ganzoo.metrics.measuring import rounded
from ganzoo.metrics.neighbours import Neighbours, nearest_neighbours


def nearest_images(
    generated: Tensor,
    train: npt.NDArray[np.uint8] | Tensor,
    network: FeatureNetwork,
    *,
    k: int = 7,
    features: Tensor | None = None,
    batch_size: int = 64,
) -> Neighbours:
    """The k training images nearest to each generated image, in a network's features.

    Args:
        generated: `(n, C, H, W)`, uint8 or float32 in [-1, 1].
        train: all training images `(N, C, H, W)` uint8.
        network: whose features decide.
        k: neighbours.
        features: of the training images `(N, d)`, where they are known already.
        batch_size: images at a time.

    Raises:
        BadArgument: for images that do not suit the network, or a `k` above N.
        BadData: for values that are not finite or outside [-1, 1].
    """

    def see(images: npt.NDArray[Any] | Tensor) -> Tensor:
        parts = [torch.as_tensor(images[i : i + batch_size]) for i in range(0, len(images), batch_size)]
        return torch.cat([network(rounded(part)) for part in parts])

    return nearest_neighbours(see(generated), see(train) if features is None else features.to(network.device), k)


def neighbours_picture(
    generated: Tensor, train: npt.NDArray[np.uint8] | Tensor, found: Neighbours, gap: int = 4
) -> npt.NDArray[np.uint8]:
    """A picture with a row for each generated image: the image, a gap, and its nearest training images, nearest first.

    Args:
        generated: `(n, C, H, W)`, uint8 or float32 in [-1, 1].
        train: the training images `(N, C, H, W)` uint8.
        found: what `nearest_images` gave.
        gap: pixels between a generated image and its neighbours; 2 stand between others.

    Returns:
        uint8 `(height, width, C)`, white between images.
    """
    own = rounded(generated).cpu().numpy()
    n, channels, height, width = own.shape
    rows = found.rows.cpu().numpy()
    k = rows.shape[1]
    picture = np.full((n * (height + 2) - 2, width + gap + k * (width + 2) - 2, channels), 255, np.uint8)
    for i in range(n):
        top = i * (height + 2)
        picture[top : top + height, :width] = own[i].transpose(1, 2, 0)
        for j in range(k):
            left = width + gap + j * (width + 2)
            picture[top : top + height, left : left + width] = np.asarray(train[rows[i, j]]).transpose(1, 2, 0)
    return picture
