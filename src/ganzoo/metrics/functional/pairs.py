"""Metrics of translations and their true counterparts: in pixels, in features, and as retrieval.

Generated rows `(n, d)` are of the first n of the real ones `(m, d)`: row i is to be held against row i.
"""

from __future__ import annotations

from torch import Tensor

from ganzoo.metrics.functional.classes import share_of
from ganzoo.metrics.functional.neighbours import nearest_neighbours
from ganzoo.metrics.metric import COPY, Result, metric


@metric(
    "mae",
    "mean absolute difference of translations to their true counterparts, pixels in [-1, 1] (L1)",
    better="lower",
    needs={"translates pairs": ["1k_pixels_test"]},
    networks=["pixels"],
    beside=[COPY],
)
def absolute_difference(real: Tensor, generated: Tensor) -> Result:
    """The mean over pairs of the mean absolute difference of their pixels `(n, d)`."""
    return _mean((generated.double() - real[: len(generated)].double()).abs().mean(1))


@metric(
    "dist",
    "mean distance of translations to their true counterparts, in features",
    better="lower",
    needs={"translates pairs": ["1k_mobilenet_v2_test"]},
    beside=[COPY],
)
def pair_distance(real: Tensor, generated: Tensor) -> Result:
    """The mean over pairs of the Euclidean distance of their features."""
    return _mean((generated - real[: len(generated)]).double().norm(dim=1))


@metric(
    "top",
    "share of translations whose nearest target, among all of the split, is their true counterpart (retrieval)",
    better="higher",
    needs={"translates pairs": ["1k_mobilenet_v2_test"]},
    beside=[COPY, "untrained network"],
)
def retrieval(real: Tensor, generated: Tensor) -> Result:
    """The share of pairs where no real row is nearer, and (`top5`) fewer than five are; equal ones count as found."""
    distances = nearest_neighbours(generated, real, min(5, len(real))).distances
    true = (generated - real[: len(generated)]).double().norm(dim=1)
    first, fifth = (share_of(true <= distances[:, k] * (1 + 1e-6)) for k in (0, -1))
    return Result(first, details={"top5": fifth, "chance": 1 / len(real)})


def _mean(each: Tensor) -> Result:
    return Result(float(each.mean()), details={"std": float(each.std(correction=0))})
