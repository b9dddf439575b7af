"""The kernel distance (KID where the features are Inception's): the squared maximum mean discrepancy, unbiased.

Bińkowski et al., "Demystifying MMD GANs", 2018 (arXiv 1801.01401), section 4 and equation 4, with the cubic kernel
k(x, y) = (x·y / d + 1)³. Unlike the Fréchet distance it has no bias at any number of samples, and may be slightly
negative.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganzoo.metrics.checks import check_features
from ganzoo.metrics.precision import full_precision
from ganzoo.types import BadArgument


class KernelDistance(NamedTuple):
    """A kernel distance over subsets: mean and (population) standard deviation."""

    mean: float
    std: float


def kernel_distance(
    real: Tensor, generated: Tensor, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> KernelDistance:
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
        values.append(kernel_distance_full(real[rows[0].to(real.device)], generated[rows[1].to(generated.device)]))
    return KernelDistance(float(np.mean(values)), float(np.std(values)))


def kernel_distance_full(real: Tensor, generated: Tensor, block: int = 2048) -> float:
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
    # The distance is a small difference of large sums. Products are taken of centred features in float32, and what the
    # centre contributes, and all sums, in float64: x·y = x'·y' + c·x + c·y - c·c with x' = x - c.
    centre = torch.cat([real, generated]).mean(dim=0, dtype=torch.float64)
    x, y = _Centred(real, centre), _Centred(generated, centre)
    n, m = len(real), len(generated)
    with full_precision(real.device):
        between = sum(
            float(_kernel(x, y, i, j, block, block).sum()) for i in range(0, n, block) for j in range(0, m, block)
        )
        within = _sum_without_diagonal(x, block) / (n * (n - 1)) + _sum_without_diagonal(y, block) / (m * (m - 1))
    return within - 2 * between / (n * m)


class _Centred:
    """Features without their centre, and what the centre adds to each product."""

    def __init__(self, features: Tensor, centre: Tensor) -> None:
        self.features = (features.double() - centre).float() if features.dtype != torch.float64 else features - centre
        self.shift = features.double() @ centre - centre @ centre / 2


def _kernel(x: _Centred, y: _Centred, i: int, j: int, rows: int, columns: int) -> Tensor:
    """A block of (x·y / d + 1)³ in float64."""
    product = x.features[i : i + rows] @ y.features[j : j + columns].T
    product = product.double() + x.shift[i : i + rows, None] + y.shift[None, j : j + columns]
    product = product.div_(x.features.shape[1]).add_(1)
    return product * product * product


def _sum_without_diagonal(x: _Centred, block: int) -> float:
    """The sum over i ≠ j, from the blocks on and above the diagonal: the kernel is symmetric."""
    n = len(x.features)
    total = 0.0
    for i in range(0, n, block):
        own = _kernel(x, x, i, i, block, block)
        total += float(own.sum() - own.diagonal().sum())
        for j in range(i + block, n, block):
            total += 2 * float(_kernel(x, x, i, j, block, block).sum())
    return total
