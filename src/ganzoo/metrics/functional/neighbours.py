"""Metrics from nearest neighbours in feature space: precision and recall, density and coverage, memorisation.

They compare distances with radii, so a rounding error can tip a count. Distances are computed in float32, in blocks, as
|x|² + |y|² - 2x·y of centred features; whatever comes within the rounding error of its radius is computed again in
float64 from the differences. The counts are those of exact arithmetic, at the cost of float32. A matrix of distances
between a set and itself is symmetric, and only half of it is computed; no whole matrix is ever held.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import torch
from torch import Tensor

from ganzoo.metrics.functional.checks import check_features, full_precision, mean_of
from ganzoo.metrics.metric import Positive, Result, metric
from ganzoo.types import BadArgument

BLOCK: Final = 1024  # 4 MB of distances at a time: they stay in a core's cache while they are looked at
_PAIRS: Final = 256  # pairs whose differences are taken at a time: 4 MB in float64 for 2048 features
_SPARE: Final = 4  # neighbours kept beyond k, so that rounding errors cannot push out a true one


class PrecisionAndRecall(NamedTuple):
    """Improved precision and recall, each in [0, 1]."""

    precision: float
    recall: float


class DensityAndCoverage(NamedTuple):
    """Density, at least 0 and about 1 for equal distributions, and coverage in [0, 1]."""

    density: float
    coverage: float


class Neighbours(NamedTuple):
    """For each sample the nearest of another set: Euclidean distances `(n, k)` float64 and rows `(n, k)` int64."""

    distances: Tensor
    rows: Tensor


@metric("pr", "improved precision and recall (Kynkäänniemi 2019)", better="higher", always=["k"])
def precision_recall(real: Tensor, generated: Tensor, k: Positive = 3) -> PrecisionAndRecall:
    """The shares of generated samples inside the real samples' manifold, and of real ones inside the generated's.

    Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models", 2019 (arXiv
    1904.06991), equations 1 and 2: a set's manifold is the union of balls around its samples, each reaching to the
    sample's k-th nearest neighbour in the set (the sample itself not counted, the boundary included).

    Args:
        real: features `(n, d)`.
        generated: features `(m, d)`.
        k: neighbours, below n and m.

    Raises:
        BadArgument: for a `k` that is too large or below 1, or different dimensions.
        BadData: for values that are not finite.
    """
    generated = generated.to(real.device)
    _check(k, real, generated)
    with full_precision(real.device):
        y_radii = _radii(_Cloud(generated, mean_of(generated)), k)  # about its own centre: it may be far from x's
        x, y = _pair(real, generated)
        x_radii = _radii(x, k)
        found = _compare(x, y, x_radii, y_radii)
    return PrecisionAndRecall(found.inside_x.double().mean().item(), found.inside_y.double().mean().item())


@metric("dc", "density and coverage (Naeem 2020)", better="higher", always=["k"])
def density_coverage(real: Tensor, generated: Tensor, k: Positive = 5) -> DensityAndCoverage:
    """How many real samples' balls hold a generated sample, and the share of balls that hold any.

    Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative Models", 2020 (arXiv 2002.09797), equations
    3 and 4: with balls Bᵢ around the real samples, reaching to their k-th nearest real neighbour (the boundary
    excluded, as in the authors' code), density = Σⱼ Σᵢ 1[yⱼ ∈ Bᵢ] / km, and coverage is the share of the Bᵢ with at
    least one yⱼ.

    Args:
        real: features `(n, d)`.
        generated: features `(m, d)`.
        k: neighbours, below n.

    Raises:
        BadArgument: for a `k` that is too large or below 1, or different dimensions.
        BadData: for values that are not finite.
    """
    check_features(real, generated)
    generated = generated.to(real.device)
    _check(k, real)
    x, y = _pair(real, generated)
    with full_precision(real.device):
        found = _count(x, y, _radii(x, k))
    density = float(found.balls.double().mean()) / k
    return DensityAndCoverage(density, float(found.covered.double().mean()))


@metric("nn", "distance to the nearest of all real images of the split (memorisation)", better=None, whole=True)
def nearest_distance(real: Tensor, generated: Tensor) -> Result:
    """The mean distance of generated samples `(m, d)` to the nearest real one; a copy may be of any training image."""
    distances = nearest_neighbours(generated, real).distances
    details = {"std": float(distances.std(correction=0)), "least": float(distances.min())}
    return Result(float(distances.mean()), details=details)


def nearest_neighbours(samples: Tensor, others: Tensor, k: int = 1) -> Neighbours:
    """The k nearest of `others` for each sample, in Euclidean distance, nearest first.

    Args:
        samples: features `(n, d)`, such as those of generated images.
        others: features `(m, d)`, such as those of the training images.
        k: how many, at most m.

    Raises:
        BadArgument: for different dimensions, or a `k` above m or below 1.
        BadData: for empty sets or values that are not finite.
    """
    check_features(samples, others)
    if not 1 <= k <= len(others):
        raise BadArgument(f"k={k}: give 1 to {len(others)}, the number of samples to search.")
    x, y = _pair(samples, others.to(samples.device))
    with full_precision(samples.device):
        nearest = _Smallest(len(x.values), k + _SPARE, samples.device)
        for i, j, squares in _blocks(x, y):
            nearest.offer(i, j, squares)
    found = torch.full(nearest.values.shape, torch.inf, dtype=torch.float64, device=samples.device)
    rows, columns = nearest.values.isfinite().nonzero(as_tuple=True)
    found[rows, columns] = x.distances(rows, y, nearest.columns[rows, columns])
    distances, order = found.topk(k, dim=1, largest=False)
    return Neighbours(distances, nearest.columns.gather(1, order))


def _check(k: int, *sets: Tensor) -> None:
    check_features(*sets, least=2)
    least = min(len(s) for s in sets)
    if not 1 <= k < least:
        raise BadArgument(f"k={k}: give 1 to {least - 1}, one less than there are samples in the smaller set.")


class _Cloud:
    """Features less their common centre, in float32, with squared norms; and as they came, for exact distances."""

    def __init__(self, features: Tensor, centre: Tensor) -> None:
        features = features if features.dtype == torch.float64 else features.float()
        self.features = features
        # in float32 the difference is off by ε of itself at most, which the bound on errors allows for
        self.values = (features - centre.to(features.dtype)).float()
        self.squares = torch.linalg.vector_norm(self.values, dim=1).square_()  # unlike squares, norms need no copy

    def distances(self, rows: Tensor, other: _Cloud, others: Tensor) -> Tensor:
        """Exact distances `(p,)` float64 of pairs of rows: from differences, so nothing cancels.

        All that is compared in float64 comes from here, so that equal distances are equal numbers.
        """
        parts = [
            (self.features[i].double() - other.features[j].double()).square_().sum(dim=1).sqrt_()
            for i, j in zip(rows.split(_PAIRS), others.split(_PAIRS), strict=True)
        ]
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.float64, device=self.values.device)


def _pair(real: Tensor, generated: Tensor) -> tuple[_Cloud, _Cloud]:
    """Distances do not change with the centre; their rounding errors do."""
    centre = mean_of(real)
    return _Cloud(real, centre), _Cloud(generated, centre)


def _error(x: _Cloud, y: _Cloud) -> Tensor:
    """By how much a squared distance in float32 may be off: `(n,)`, a row of x.

    A product of d terms is off by some √d ε |x||y| (the worst case, d ε |x||y|, needs all rounding errors to conspire),
    and the two norms by ε each; four times that, for safety.
    """
    epsilon = torch.finfo(torch.float32).eps
    norms = x.squares + y.squares.max()
    error: Tensor = 4 * epsilon * (1 + x.values.shape[1] ** 0.5) * norms
    return error


def _blocks(x: _Cloud, y: _Cloud) -> Iterator[tuple[int, int, Tensor]]:
    """Blocks of squared distances in float32, with their first row and column."""
    for i in range(0, len(x.values), BLOCK):
        rows = x.values[i : i + BLOCK]
        for j in range(0, len(y.values), BLOCK):
            columns = y.values[j : j + BLOCK]
            squares = torch.addmm(y.squares[j : j + BLOCK], rows, columns.T, alpha=-2)
            yield i, j, squares.add_(x.squares[i : i + BLOCK, None])


class _Smallest:
    """The smallest values seen of each row, in ascending order, with their columns."""

    def __init__(self, rows: int, count: int, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        self.values = torch.full((rows, count), torch.inf, device=device, dtype=dtype)
        self.columns = torch.zeros((rows, count), dtype=torch.int64, device=device)

    def offer(self, i: int, j: int, squares: Tensor) -> None:
        """Takes in a block whose first row is i and first column j."""
        # most rows of later blocks hold nothing new, and looking is cheaper than sorting
        rows = (squares.amin(dim=1) < self.values[i : i + len(squares), -1]).nonzero()[:, 0]
        if len(rows) < len(squares):
            squares = squares[rows]
        best = squares.topk(min(self.values.shape[1], squares.shape[1]), dim=1, largest=False, sorted=False)
        rows = rows + i
        values = torch.cat([self.values[rows], best.values], dim=1)
        columns = torch.cat([self.columns[rows], best.indices + j], dim=1)
        kept = values.topk(self.values.shape[1], dim=1, largest=False)
        self.values[rows], self.columns[rows] = kept.values, columns.gather(1, kept.indices)


def _radii(x: _Cloud, k: int) -> Tensor:
    """The distance `(n,)` float64 of each sample to its k-th nearest neighbour in its own set."""
    smallest = _Smallest(len(x.values), k + _SPARE, x.values.device)
    for i in range(0, len(x.values), BLOCK):
        rows = x.values[i : i + BLOCK]
        for j in range(i, len(x.values), BLOCK):
            squares = torch.addmm(x.squares[j : j + BLOCK], rows, x.values[j : j + BLOCK].T, alpha=-2)
            squares.add_(x.squares[i : i + BLOCK, None])
            if i == j:
                squares.fill_diagonal_(torch.inf)
            else:
                smallest.offer(j, i, squares.T.contiguous())
            smallest.offer(i, j, squares)
    # Candidates clearly nearer than the k-th in float32 only have to be counted, those clearly farther can be left out;
    # what is within the error of it is computed exactly, mostly the one itself.
    error = _error(x, x)[:, None]
    edge = smallest.values[:, k - 1 : k]
    near = (smallest.values - edge).abs() <= 2 * error
    exact = torch.where(smallest.values < edge, -torch.inf, torch.inf).double()
    rows, columns = near.nonzero(as_tuple=True)
    exact[rows, columns] = x.distances(rows, x, smallest.columns[rows, columns])
    radii = exact.kthvalue(k, dim=1).values
    # a true neighbour may be missing where even the last candidate kept is within the error of the k-th
    unsure = near[:, -1] & smallest.values[:, -1].isfinite() & (radii > 0)
    for at in unsure.nonzero()[:, 0].split(BLOCK):
        radii[at] = _radii_in_float64(x, at, k)
    return radii


def _radii_in_float64(x: _Cloud, at: Tensor, k: int) -> Tensor:
    """The radii of some rows, for sets of which some samples are so close that float32 cannot tell them apart."""
    smallest = _Smallest(len(at), k + _SPARE, x.values.device, torch.float64)
    rows = x.values[at].double()
    for j in range(0, len(x.values), BLOCK):
        columns = x.values[j : j + BLOCK].double()
        squares = torch.addmm(columns.square().sum(dim=1), rows, columns.T, alpha=-2)
        squares.add_(rows.square().sum(dim=1, keepdim=True))
        own = ((at >= j) & (at < j + BLOCK)).nonzero()[:, 0]
        squares[own, at[own] - j] = torch.inf
        smallest.offer(0, j, squares)
    exact = torch.full_like(smallest.values, torch.inf)
    there, columns = smallest.values.isfinite().nonzero(as_tuple=True)
    exact[there, columns] = x.distances(at[there], x, smallest.columns[there, columns])
    found: Tensor = exact.kthvalue(k, dim=1).values
    return found


class _Inside(NamedTuple):
    inside_x: Tensor  # (m,): whether y lies in the manifold of x
    inside_y: Tensor  # (n,): whether x lies in the manifold of y


def _compare(x: _Cloud, y: _Cloud, x_radii: Tensor, y_radii: Tensor) -> _Inside:
    """Which samples lie in the other set's balls, boundaries included."""
    x_squares, y_squares = x_radii.square().float(), y_radii.square().float()
    # how far inside the nearest ball each sample is: the least of (squared distance - squared radius)
    y_least = torch.full((len(y.values),), torch.inf, device=x.values.device)
    x_least = torch.full((len(x.values),), torch.inf, device=x.values.device)
    for i, j, squares in _blocks(x, y):
        rows, columns = slice(i, i + BLOCK), slice(j, j + BLOCK)
        x_least[rows] = torch.minimum(x_least[rows], (squares - y_squares[columns]).amin(dim=1))
        y_least[columns] = torch.minimum(y_least[columns], squares.sub_(x_squares[rows, None]).amin(dim=0))
    inside_x, inside_y = y_least <= 0, x_least <= 0
    for one, other, least, inside, radii in ((y, x, y_least, inside_x, x_radii), (x, y, x_least, inside_y, y_radii)):
        error = _error(one, other) + _rounding(radii.square())
        for row in (least.abs() <= error).nonzero():
            inside[row] = _in_any(one, row, other, radii, error[row])
    return _Inside(inside_x, inside_y)


def _in_any(x: _Cloud, row: Tensor, y: _Cloud, radii: Tensor, error: Tensor) -> bool:
    """Whether a row of x, for which float32 could not tell, lies in any ball of y, boundaries included."""
    margin = x.squares[row] + y.squares - 2 * (y.values @ x.values[row[0]]) - radii.square().float()
    if bool((margin < -error).any()):
        return True
    near = (margin <= error).nonzero()[:, 0]
    return bool((x.distances(row.expand(len(near)), y, near) <= radii[near]).any())


class _Counts(NamedTuple):
    balls: Tensor  # (m,): in how many balls of x a sample y lies
    covered: Tensor  # (n,): whether a ball of x holds any y


def _count(x: _Cloud, y: _Cloud, radii: Tensor) -> _Counts:
    """In how many balls of x the samples of y lie, and which balls hold one; boundaries excluded."""
    squared = radii.square().float()
    error = (_error(x, y) + _rounding(squared))[:, None]
    balls = torch.zeros(len(y.values), dtype=torch.int64, device=x.values.device)
    covered = torch.zeros(len(x.values), dtype=torch.bool, device=x.values.device)
    for i, j, squares in _blocks(x, y):
        rows, columns = slice(i, i + BLOCK), slice(j, j + BLOCK)
        squares.sub_(squared[rows, None])
        inside = squares < -error[rows]
        balls[columns] += inside.sum(dim=0)
        covered[rows] |= inside.any(dim=1)
        at, of = (squares.abs_() <= error[rows]).nonzero(as_tuple=True)
        if len(at):
            at, of = at + i, of + j
            within = x.distances(at, y, of) < radii[at]
            balls.index_add_(0, of, within.long())
            covered[at[within]] = True
    return _Counts(balls, covered)


def _rounding(squares: Tensor) -> Tensor:
    """The rounding of squared radii to float32."""
    return torch.finfo(torch.float32).eps * squares.max().float()
