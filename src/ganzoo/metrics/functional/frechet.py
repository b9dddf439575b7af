"""The Fréchet distance between two Gaussians fitted to features.

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", 2017 (arXiv
1706.08500), equation 6, for Inception features; Dowson and Landau, 1982, for Gaussians in general:

    d² = |μ₁ - μ₂|² + tr Σ₁ + tr Σ₂ - 2 tr (Σ₁ Σ₂)^½

Only the trace of the root is needed, not the root. Σ₁Σ₂ has the eigenvalues of the symmetric matrix AΣ₂Aᵀ for any A
with AᵀA = Σ₁, so no unsymmetric eigenproblem and no matrix root has to be solved: A is the Cholesky factor of Σ₁
where that has full rank, and the centred features themselves where there are fewer of them than dimensions.
"""

import warnings
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ganzoo.metrics.functional.checks import check_features, mean_of
from ganzoo.metrics.metric import COPY, metric
from ganzoo.types import BadArgument


@dataclass(frozen=True)
class Moments:
    """Mean and covariance of features.

    Args:
        mean: `(d,)` float64.
        n: how many samples they come from.
        products: the covariance `(d, d)` float64, with n - 1 in the denominator, of more samples than dimensions.
        rows: of fewer, the centred features `(n, d)` float64 divided by √(n - 1), whose products it is.
    """

    mean: Tensor
    n: int
    products: Tensor | None = None
    rows: Tensor | None = None

    @cached_property
    def covariance(self) -> Tensor:
        """`(d, d)` float64, with n - 1 in the denominator."""
        if self.products is not None:
            return self.products
        assert self.rows is not None
        return self.rows.T @ self.rows


def moments(features: Tensor) -> Moments:
    """Mean and covariance in float64 of features `(n, d)`, n >= 2.

    Raises:
        BadData: for fewer than 2 samples, or values that are not finite.
    """
    check_features(features, least=2)
    n, d = features.shape
    mean = mean_of(features)
    if n <= d:
        return Moments(mean, n, rows=(features.double() - mean) / (n - 1) ** 0.5)
    covariance = torch.zeros(d, d, dtype=torch.float64, device=features.device)
    for part in features.split(4096):  # in blocks: float64 copies of all features would double the memory twice
        centred = part.double() - mean
        covariance.addmm_(centred.T, centred)
    return Moments(mean, n, covariance / (n - 1))


def frechet_distance(real: Tensor, generated: Tensor) -> float:
    """The Fréchet distance d² between features `(n, d)` and `(m, d)`; symmetric, at least 0.

    Where a set has no more samples than dimensions, its covariance is singular and the estimate is biased upwards: a
    warning says so, and a low-rank form gives the exact value for these samples.

    Raises:
        BadArgument: if the dimensions differ or the shapes are others.
        BadData: for fewer than 2 samples in a set, or values that are not finite.
    """
    return frechet_distance_of_moments(moments(real), moments(generated.to(real.device)))


@metric(
    "fd",
    "Fréchet distance, called fid in the features of inception (Heusel 2017)",
    better="lower",
    needs={"samples": ["10k_{features}"], "translates": []},
    of=moments,
    beside=["floor", "ceiling", COPY],
    called={"inception": "fid"},
)
def frechet_distance_of_moments(real: Moments, generated: Moments) -> float:
    """The Fréchet distance d² from means and covariances; see `frechet_distance`.

    Raises:
        BadArgument: if the dimensions differ.
    """
    if real.mean.shape != generated.mean.shape:
        raise BadArgument(f"Features of {len(real.mean)} and of {len(generated.mean)} dimensions cannot be compared.")
    many, few = (real, generated) if real.n >= generated.n else (generated, real)
    difference = (real.mean - generated.mean).square().sum()
    if few.rows is None:
        lower, failed = torch.linalg.cholesky_ex(many.covariance)
        if failed:
            values, vectors = torch.linalg.eigh(many.covariance)
            lower = vectors * values.clamp_min(0).sqrt()
        root = _root_trace(lower.T @ few.covariance @ lower)
        return max(0.0, float(difference + (few.covariance.trace() + many.covariance.trace()) - 2 * root))
    warnings.warn(
        f"The Fréchet distance of {few.n} samples in {len(few.mean)} dimensions: the covariance has rank {few.n - 1} "
        f"at most and the distance is biased upwards; use more than {len(few.mean)} samples, or the kernel distance, "
        "which has no bias.",
        stacklevel=2,
    )
    if many.rows is None:
        root, trace = _root_trace(few.rows @ many.covariance @ few.rows.T), many.covariance.trace()
    else:  # the eigenvalues of A(BᵀB)Aᵀ are the squared singular values of ABᵀ
        root, trace = torch.linalg.svdvals(few.rows @ many.rows.T).sum(), many.rows.square().sum()
    return max(0.0, float(difference + (few.rows.square().sum() + trace) - 2 * root))


def _root_trace(symmetric: Tensor) -> Tensor:
    """The trace of the root of a positive semi-definite matrix; rounding makes some zero eigenvalues negative."""
    values: Tensor = torch.linalg.eigvalsh((symmetric + symmetric.T) / 2)
    return values.clamp_min(0).sqrt().sum()
