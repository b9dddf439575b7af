"""The kernel distance (KID where the features are Inception's): the squared maximum mean discrepancy, unbiased.

Bińkowski et al., "Demystifying MMD GANs", 2018 (arXiv 1801.01401), section 4 and equation 4, with the cubic kernel
k(x, y) = (x·y / d + 1)³. Unlike the Fréchet distance it has no bias at any number of samples, and may be slightly
negative.
"""

from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor

from ganzoo.metrics.functional.checks import MeanAndStd, check_features, full_precision, mean_of
from ganzoo.metrics.metric import COPY, Positive, Result, metric
from ganzoo.types import BadArgument


def kernel_distance(
    real: Tensor, generated: Tensor, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> MeanAndStd:
    """The unbiased squared MMD over random subsets, as it is published; `kernel_distance_full` takes all samples.

    The subsets are drawn without replacement by numpy's `RandomState(seed)`, real and generated in turn, so that the
    same features give the same number everywhere.

    Args:
        real: features `(n, d)`.
        generated: features `(m, d)`.
        subsets: how many subsets.
        subset_size: samples in each, at most n and m.
        seed: of the subsets.

    Raises:
        BadArgument: if a subset is larger than a set or has fewer than 2 samples, or dimensions differ.
        BadData: for values that are not finite.
    """
    check_features(real, generated, least=2)
    least = min(len(real), len(generated))
    if subsets < 1 or not 2 <= subset_size <= least:
        raise BadArgument(
            f"subsets={subsets}, subset_size={subset_size}: give at least one subset of 2 to {least} samples."
        )
    random = np.random.RandomState(seed)
    values = []
    for _ in range(subsets):
        rows = [torch.from_numpy(random.choice(len(s), subset_size, replace=False)) for s in (real, generated)]
        one, two = (s[at.to(s.device)] for s, at in zip((real, generated), rows, strict=True))
        values.append(kernel_distance_full(one, two))
    return MeanAndStd(float(np.mean(values)), float(np.std(values)))


@metric(
    "kid",
    "kernel distance, unbiased (Bińkowski 2018)",
    better="lower",
    needs={"samples": ["10k_{features}"], "translates": ["1k_{features}_test"]},
    beside=["floor", "ceiling", COPY],
    forms=["{subsets}x{subset_size}"],
)
def kid(
    real: Tensor,
    generated: Tensor,
    subsets: Positive = 100,
    subset_size: Annotated[int, Ge(2)] = 1000,
    seed: int = 0,
) -> Result:
    """`kernel_distance`, over subsets of at most half of the smaller set: else all subsets are the same."""
    size = max(2, min(subset_size, min(len(real), len(generated)) // 2))
    mean, std = kernel_distance(real, generated, subsets, size, seed)
    return Result(mean, std, {"subset_size": size})


def kernel_distance_full(real: Tensor, generated: Tensor, block: int = 512) -> float:
    """The unbiased squared MMD between all features `(n, d)` and all `(m, d)`.

        Σ_{i≠j} k(xᵢ, xⱼ) / n(n-1) + Σ_{i≠j} k(yᵢ, yⱼ) / m(m-1) - 2 Σ_{ij} k(xᵢ, yⱼ) / nm

    Args:
        real: features `(n, d)`.
        generated: features `(m, d)`.
        block: rows of the kernel matrix computed at a time; bounds the memory.

    Raises:
        BadArgument: if dimensions differ.
        BadData: for fewer than 2 samples in a set, or values that are not finite.
    """
    check_features(real, generated, least=2)
    generated = generated.to(real.device)
    # The distance is a small difference of large sums. Products are taken of centred features in float32, and what the
    # centre contributes, and all sums, in float64: x·y = x'·y' + c·x + c·y - c·c with x' = x - c.
    centre = (mean_of(real) + mean_of(generated)) / 2
    x, y = _Centred(real, centre), _Centred(generated, centre)
    n, m = len(real), len(generated)
    with full_precision(real.device):
        within = _within(x, block) / (n * (n - 1)) + _within(y, block) / (m * (m - 1))
        return within - 2 * _between(x, y, block) / (n * m)


class _Centred:
    """Features x' = (x - c) / √d, and what their centre c adds to a product: a(x) + a(y), a = (c·x - c·c / 2) / d.

    Half of the kernel's 1 is added to a as well.
    """

    def __init__(self, features: Tensor, centre: Tensor) -> None:
        d = features.shape[1]
        features = features if features.dtype == torch.float64 else features.float()
        self.features = (features - centre.to(features.dtype)) / d**0.5
        inner = torch.cat([part.double() @ centre for part in features.split(1024)])
        self.shift = (inner - centre @ centre / 2) / d + 0.5


def _kernel(x: _Centred, y: _Centred, i: int, j: int, block: int) -> Tensor:
    """A block of x·y / d + 1 in float64, before it is cubed."""
    product = x.features[i : i + block] @ y.features[j : j + block].T
    whole: Tensor = (product + y.shift[j : j + block]).add_(x.shift[i : i + block, None])  # the sum is in float64
    return whole


def _cubes(values: Tensor) -> float:
    """The sum of the cubes, as one inner product."""
    flat = values.flatten()
    return float(torch.dot(flat.square(), flat))


def _between(x: _Centred, y: _Centred, block: int) -> float:
    n, m = len(x.features), len(y.features)
    return sum(_cubes(_kernel(x, y, i, j, block)) for i in range(0, n, block) for j in range(0, m, block))


def _within(x: _Centred, block: int) -> float:
    """The sum over i ≠ j, from the blocks on and above the diagonal: the kernel is symmetric."""
    n = len(x.features)
    total = 0.0
    for i in range(0, n, block):
        own = _kernel(x, x, i, i, block)
        total += _cubes(own) - float(own.diagonal().pow(3).sum())
        total += 2 * sum(_cubes(_kernel(x, x, i, j, block)) for j in range(i + block, n, block))
    return total
