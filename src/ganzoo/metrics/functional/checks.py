"""What every metric asks of the features it is given, and float32 that means float32."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from ganzoo.types import BadArgument, BadData


class MeanAndStd(NamedTuple):
    """A value and its (population) standard deviation, over subsets or splits."""

    mean: float
    std: float


def check_features(*sets: Tensor, least: int = 1) -> None:
    """Refuses features that would give a wrong number or NaN.

    Args:
        sets: features `(n, d)`, floating point, of the same d.
        least: how many samples each must have.

    Raises:
        BadArgument: for another shape or type, or different dimensions.
        BadData: for too few samples, or values that are not finite.
    """
    for features in sets:
        if not isinstance(features, Tensor) or features.ndim != 2 or not features.is_floating_point():
            found = f"{features.dtype} {tuple(features.shape)}" if isinstance(features, Tensor) else type(features)
            raise BadArgument(f"Features are floating-point tensors (n, d); this is {found}.")
        if features.shape[1] != sets[0].shape[1]:
            raise BadArgument(
                f"Features of {sets[0].shape[1]} and of {features.shape[1]} dimensions cannot be compared."
            )
        if len(features) < least:
            raise BadData(f"This metric needs at least {least} samples in each set, and one has {len(features)}.")
        if not bool(torch.isfinite(features.sum(dim=1)).all()):
            for row in (~torch.isfinite(features).all(dim=1)).nonzero().flatten().tolist()[:1]:
                raise BadData(f"The features of sample {row} hold NaN or infinite values; its image is broken.")


def mean_of(features: Tensor) -> Tensor:
    """The mean `(d,)` float64 of features `(n, d)`, in blocks: torch would copy all to float64."""
    total = torch.zeros(features.shape[1], dtype=torch.float64, device=features.device)
    for part in features.split(1024):
        total += part.sum(dim=0, dtype=torch.float64)
    return total / len(features)


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """No autocast, no TF32 and no bfloat16 products inside: the same images have the same score on any machine."""
    before = torch.get_float32_matmul_precision()
    with torch.autocast(device.type, enabled=False):
        try:
            torch.set_float32_matmul_precision("highest")
            if device.type == "cuda":
                with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
                    yield
            else:
                yield
        finally:
            torch.set_float32_matmul_precision(before)
