"""The Fréchet distance between two Gaussians fitted to features.

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", 2017 (arXiv
1706.08500), equation 6, for Inception features; Dowson and Landau, 1982, for Gaussians in general:

    d² = |μ₁ - μ₂|² + tr Σ₁ + tr Σ₂ - 2 tr (Σ₁ Σ₂)^½

Only the trace of the root is needed, not the root. Σ₁Σ₂ has the eigenvalues of the symmetric matrix AΣ₂Aᵀ for any A
with AᵀA = Σ₁, so no unsymmetric eigenproblem and no matrix root has to be solved: A is the Cholesky factor of Σ₁
where that has full rank, and the centred features themselves where there are fewer of them than dimensions.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from ganzoo.metrics.checks import check_features, mean_of
from ganzoo.types import BadArgument


@dataclass(frozen=True)
class Moments:
    """Mean and covariance of features.

    Args:
        mean: `(d,)` float64.
        covariance: `(d, d)` float64, with n - 1 in the denominator.
        n: how many samples they come from.
    """

    mean: Tensor
    covariance: Tensor
    n: int


def moments(features: Tensor) -> Moments:
    """Mean and covariance in float64 of features `(n, d)`, n >= 2.

    Raises:
        BadData: for fewer than 2 samples, or values that are not finite.
    """
    check_features(features, least=2)
    n, d = features.shape
    mean = mean_of(features)
    covariance = torch.zeros(d, d, dtype=torch.float64, device=features.device)
    for part in features.split(4096):  # in blocks: float64 copies of all features would double the memory twice
        centred = part.double() - mean
        covariance.addmm_(centred.T, centred)
    return Moments(mean, covariance / (n - 1), n)


def frechet_distance(real: Tensor, generated: Tensor) -> float:
    """The Fréchet distance d² between features `(n, d)` and `(m, d)`; symmetric, at least 0.

    Where a set has no more samples than dimensions, its covariance is singular and the estimate is biased upwards: a
    warning says so, and a low-rank form gives the exact value for these samples.

    Raises:
        BadArgument: if the dimensions differ or the shapes are others.
        BadData: for fewer than 2 samples in a set, or values that are not finite.
    """
    check_features(real, generated, least=2)
    generated = generated.to(real.device)
    _warn_of_rank(min(len(real), len(generated)), real.shape[1])
    few, many = (real, generated) if len(real) <= len(generated) else (generated, real)
    if len(few) > few.shape[1]:
        return _distance(moments(real), moments(generated))
    mean, n = mean_of(few), len(few)
    a = (few.double() - mean) / (n - 1) ** 0.5
    if len(many) <= many.shape[1]:
        other_mean = mean_of(many)
        b = (many.double() - other_mean) / (len(many) - 1) ** 0.5
        # the eigenvalues of A(BᵀB)Aᵀ are the squared singular values of ABᵀ
        root = torch.linalg.svdvals(a @ b.T).sum()
        other_trace = b.square().sum()
    else:
        other = moments(many)
        other_mean, other_trace = other.mean, other.covariance.trace()
        root = _root_trace(a @ other.covariance @ a.T)
    return _join(mean - other_mean, a.square().sum() + other_trace, root)


def frechet_distance_of_moments(real: Moments, generated: Moments) -> float:
    """The Fréchet distance d² from means and covariances; see `frechet_distance`, which is better where n <= d.

    Raises:
        BadArgument: if the dimensions differ.
    """
    if real.mean.shape != generated.mean.shape:
        raise BadArgument(f"Features of {len(real.mean)} and of {len(generated.mean)} dimensions cannot be compared.")
    _warn_of_rank(min(real.n, generated.n), len(real.mean))
    return _distance(real, generated)


def _distance(one: Moments, two: Moments) -> float:
    full, other = (one, two) if one.n >= two.n else (two, one)
    lower, failed = torch.linalg.cholesky_ex(full.covariance)
    if failed:
        values, vectors = torch.linalg.eigh(full.covariance)
        lower = vectors * values.clamp_min(0).sqrt()
    root = _root_trace(lower.T @ other.covariance @ lower)
    return _join(one.mean - two.mean, one.covariance.trace() + two.covariance.trace(), root)


def _root_trace(symmetric: Tensor) -> Tensor:
    """The trace of the root of a positive semi-definite matrix; rounding makes some zero eigenvalues negative."""
    values: Tensor = torch.linalg.eigvalsh((symmetric + symmetric.T) / 2)
    return values.clamp_min(0).sqrt().sum()


def _join(difference: Tensor, traces: Tensor, root: Tensor) -> float:
    return max(0.0, float(difference.square().sum() + traces - 2 * root))


def _warn_of_rank(n: int, d: int) -> None:
    if n <= d:
        warnings.warn(
            f"The Fréchet distance of {n} samples in {d} dimensions: the covariance has rank {n - 1} at most and the "
            f"distance is biased upwards; use more than {d} samples, or the kernel distance, which has no bias.",
            stacklevel=3,
        )
