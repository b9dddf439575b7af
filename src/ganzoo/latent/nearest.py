"""Samples beside the training pictures that are nearest to them: what was learnt by heart shows."""

import torch
from torch import Tensor

from ganzoo.data.batch import Images
from ganzoo.media.levels import to_float, to_uint8
from ganzoo.metrics.features.network import feature_network
from ganzoo.metrics.functional.neighbours import nearest_neighbours
from ganzoo.types import BadArgument

_AT_ONCE = 256


def neighbours(samples: Tensor, real: Images, k: int = 5, network: str | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """The nearest real pictures of each sample.

    Args:
        samples: `(n, C, H, W)` in [-1, 1].
        real: an opened split, such as the training pictures.
        k: how many.
        network: in whose features; None for the distance of pixels.

    Returns:
        Each sample and its neighbours, nearest first `(n, 1 + k, C, H, W)` in [-1, 1]; Euclidean distances `(n, k)`,
        those of pixels in [-1, 1]; and the neighbours' numbers in the split `(n, k)`.

    Raises:
        BadArgument: for data of another shape, or a k above their number.
    """
    if tuple(samples.shape[1:]) != tuple(real.shape):
        raise BadArgument(f"{real.name} has pictures of shape {real.shape}, and samples are {tuple(samples.shape[1:])}")
    look = feature_network(network) if network is not None else lambda images: to_float(images).flatten(1)
    rows = [range(i, min(i + _AT_ONCE, len(real))) for i in range(0, len(real), _AT_ONCE)]
    seen = torch.cat([look(real.batch(part).images) for part in rows])
    own = torch.cat([look(part if network is None else to_uint8(part)) for part in samples.split(_AT_ONCE)])
    distances, found = nearest_neighbours(own, seen, k)
    beside = to_float(real.batch(found.flatten().tolist()).images).unflatten(0, tuple(found.shape))
    return torch.cat([samples[:, None], beside], 1), distances, found
