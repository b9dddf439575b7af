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

from ganzoo.metrics.checks import check_features
from ganzoo.metrics.precision import full_precision
from ganzoo.types import BadArgument

BLOCK: Final = 1024  # 4 MB of distances at a time: they stay in a core's cache while they are looked at
_SPARE: Final = 4  # neighbours kept beyond k, so that rounding errors cannot push out a true one


class PrecisionRecall(NamedTuple):
    """Improved precision and recall, each in [0, 1]."""

    precision: float
    recall: float


class DensityCoverage(NamedTuple):
    """Density, at least 0 and about 1 for equal distributions, and coverage in [0, 1]."""

    density: float
    coverage: float


class Neighbours(NamedTuple):
    """For each sample the nearest of another set: Euclidean distance `(n,)` float64 and row `(n,)` int64."""

    distances: Tensor
    rows: Tensor


def precision_recall(real: Tensor, generated: Tensor, k: int = 3) -> PrecisionRecall:
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
    _check(k, real, generated)
    x, y = _pair(real, generated)
    with full_precision(real.device):
        x_radii, y_radii = _radii(x, k), _radii(y, k)
        found = _compare(x, y, x_radii, y_radii)
    return PrecisionRecall(found.inside_x.double().mean().item(), found.inside_y.double().mean().item())


def density_coverage(real: Tensor, generated: Tensor, k: int = 5) -> DensityCoverage:
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
    _check(k, real)
    check_features(real, generated)
    x, y = _pair(real, generated)
    with full_precision(real.device):
        found = _count(x, y, _radii(x, k))
    density = float(found.balls.double().mean()) / k
    return DensityCoverage(density, float(found.covered.double().mean()))


def nearest_neighbours(samples: Tensor, others: Tensor) -> Neighbours:
    """The nearest of `others` for each sample, in Euclidean distance.

    Args:
        samples: features `(n, d)`, such as those of generated images.
        others: features `(m, d)`, such as those of the training images; m >= 1.

    Raises:
        BadArgument: for different dimensions.
        BadData: for empty sets or values that are not finite.
    """
    check_features(samples, others, least=1)
    x, y = _pair(samples, others)
    with full_precision(samples.device):
        nearest = _Smallest(len(x.values), 1 + _SPARE, samples.device)
        for i, j, squares in _blocks(x, y):
            nearest.offer(i, j, squares)
        distances, rows = _exact(x, y, nearest)
    order = distances.argmin(dim=1, keepdim=True)
    return Neighbours(distances.gather(1, order)[:, 0], rows.gather(1, order)[:, 0])


def _check(k: int, *sets: Tensor) -> None:
    check_features(*sets, least=2)
    least = min(len(s) for s in sets)
    if not 1 <= k < least:
        raise BadArgument(f"k={k}: give 1 to {least - 1}, one less than there are samples in the smaller set.")


class _Cloud:
    """Features less their common centre, in float32, with squared norms; and as they came, for exact distances."""

    def __init__(self, features: Tensor, centre: Tensor) -> None:
        self.features = features
        self.values = (features.double() - centre).float()
        self.squares = self.values.square().sum(dim=1)

    def distances(self, rows: Tensor, other: _Cloud) -> Tensor:
        """Exact distances `(len(rows), m)` float64 to another cloud: differences, no cancellation."""
        return torch.cdist(
            self.features[rows].double(), other.features.double(), compute_mode="donot_use_mm_for_euclid_dist"
        )


def _pair(real: Tensor, generated: Tensor) -> tuple[_Cloud, _Cloud]:
    """Distances do not change with the centre; their rounding errors do."""
    centre = real.mean(dim=0, dtype=torch.float64)
    return _Cloud(real, centre), _Cloud(generated.to(real.device), centre)


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
    """The smallest values seen of each row, with their columns."""

    def __init__(self, rows: int, count: int, device: torch.device) -> None:
        self.values = torch.full((rows, count), torch.inf, device=device)
        self.columns = torch.zeros((rows, count), dtype=torch.int64, device=device)

    def offer(self, i: int, j: int, squares: Tensor) -> None:
        """Takes in a block whose first row is i and first column j."""
        best = squares.topk(min(self.values.shape[1], squares.shape[1]), dim=1, largest=False, sorted=False)
        rows = slice(i, i + len(squares))
        values = torch.cat([self.values[rows], best.values], dim=1)
        columns = torch.cat([self.columns[rows], best.indices + j], dim=1)
        kept = values.topk(self.values.shape[1], dim=1, largest=False)
        self.values[rows], self.columns[rows] = kept.values, columns.gather(1, kept.indices)


def _exact(x: _Cloud, y: _Cloud, smallest: _Smallest) -> tuple[Tensor, Tensor]:
    """Exact distances `(n, count)` float64 of the candidates, infinite where there is none, and their rows in y."""
    found = torch.full(smallest.values.shape, torch.inf, dtype=torch.float64, device=x.values.device)
    for start in range(0, len(found), BLOCK):
        rows = slice(start, start + BLOCK)
        own = x.features[rows].double()
        for column in range(found.shape[1]):
            there = smallest.values[rows, column].isfinite()
            difference = own - y.features[smallest.columns[rows, column]].double()
            distance = torch.linalg.vector_norm(difference, dim=1)
            found[rows, column] = torch.where(there, distance, torch.inf)
    return found, smallest.columns


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
                smallest.offer(j, i, squares.T)
            smallest.offer(i, j, squares)
    exact, _ = _exact(x, x, smallest)
    radii = exact.kthvalue(k, dim=1).values
    # a true neighbour may be missing where the last candidate kept is within the error of the k-th
    unsure = smallest.values[:, -1] - _error(x, x) <= radii.square()
    unsure &= (radii > 0) & smallest.values[:, -1].isfinite()
    for at in _some(unsure):
        distances = x.distances(at, x)
        distances[torch.arange(len(at)), at] = torch.inf
        radii[at] = distances.kthvalue(k, dim=1).values
    return radii


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
    for at in _unsure(y_least, _error(y, x) + _rounding(x_squares)):
        inside_x[at] = (y.distances(at, x) <= x_radii).any(dim=1)
    for at in _unsure(x_least, _error(x, y) + _rounding(y_squares)):
        inside_y[at] = (x.distances(at, y) <= y_radii).any(dim=1)
    return _Inside(inside_x, inside_y)


class _Counts(NamedTuple):
    balls: Tensor  # (m,): in how many balls of x a sample y lies
    covered: Tensor  # (n,): whether a ball of x holds any y


def _count(x: _Cloud, y: _Cloud, radii: Tensor) -> _Counts:
    """In how many balls of x the samples of y lie, and which balls hold one; boundaries excluded."""
    squared = radii.square().float()
    error = _error(x, y) + _rounding(squared)
    balls = torch.zeros(len(y.values), dtype=torch.int64, device=x.values.device)
    doubtful = torch.zeros(len(y.values), dtype=torch.bool, device=x.values.device)
    least = torch.full((len(x.values),), torch.inf, device=x.values.device)
    for i, j, squares in _blocks(x, y):
        rows, columns = slice(i, i + BLOCK), slice(j, j + BLOCK)
        squares.sub_(squared[rows, None])
        least[rows] = torch.minimum(least[rows], squares.amin(dim=1))
        balls[columns] += (squares < 0).sum(dim=0)
        doubtful[columns] |= (squares.abs_() <= error[rows, None]).any(dim=0)
    for at in _some(doubtful):
        balls[at] = (y.distances(at, x) < radii).sum(dim=1)
    covered = least < 0
    for at in _unsure(least, error):
        covered[at] = (x.distances(at, y) < radii[at, None]).any(dim=1)
    return _Counts(balls, covered)


def _rounding(squares: Tensor) -> Tensor:
    """The rounding of squared radii to float32."""
    return torch.finfo(torch.float32).eps * squares.max()


def _unsure(least: Tensor, error: Tensor) -> tuple[Tensor, ...]:
    """The rows whose sign rounding may have changed, a few at a time."""
    return _some(least.abs() <= error)


def _some(chosen: Tensor) -> tuple[Tensor, ...]:
    """The rows where a mask is true, 64 at a time."""
    rows: tuple[Tensor, ...] = chosen.nonzero()[:, 0].split(64)
    return rows
