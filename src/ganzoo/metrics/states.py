"""The metrics as `torchmetrics.Metric`s: thin classes that collect features batch by batch and on any number of ranks.

torchmetrics' own classes are not used here: its KID and Inception Score keep lists that are wrong when ranks update
unequally often, and draw subsets from each rank's own random numbers, so that ranks disagree. Here every rank ends with
the same samples in the same order. The order is that of the `index` given to `update` (the sample's number in the whole
set; a number seen twice, such as a sampler's padding, counts once), or, without it, that of a hash of the features.
"""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from ganzoo.metrics.checks import check_features
from ganzoo.metrics.frechet import Moments, frechet_distance_of_moments
from ganzoo.metrics.kernel import kernel_distance
from ganzoo.metrics.modes import ModeCoverage, count_modes, coverage_of_counts
from ganzoo.metrics.neighbours import density_coverage, nearest_neighbours, precision_recall
from ganzoo.metrics.scores import inception_score
from ganzoo.types import BadArgument, BadData


class FrechetDistance(Metric):
    """The Fréchet distance from sums, of constant size however many samples; see `frechet_distance`.

    Args:
        dimension: length d of a feature vector.
        named: arguments of `torchmetrics.Metric`.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    def __init__(self, dimension: int, **named: Any) -> None:
        super().__init__(**named)
        self.dimension = dimension
        for name in ("real", "generated"):
            zeros = torch.zeros(dimension, dtype=torch.float64)
            self.add_state(f"{name}_sum", zeros, dist_reduce_fx="sum")
            self.add_state(f"{name}_products", torch.outer(zeros, zeros), dist_reduce_fx="sum")
            self.add_state(f"{name}_n", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.set_dtype(torch.float64)

    def update(self, features: Tensor, real: bool) -> None:
        """Adds features `(n, d)` of real or generated images."""
        _check_width(features, self.dimension)
        name = "real" if real else "generated"
        exact = features.detach().double()
        getattr(self, f"{name}_sum").add_(exact.sum(dim=0))
        getattr(self, f"{name}_products").addmm_(exact.T, exact)
        getattr(self, f"{name}_n").add_(len(features))

    def compute(self) -> Tensor:
        """The distance, a float64 scalar.

        Raises:
            BadData: for fewer than 2 samples of either kind.
        """
        distance = frechet_distance_of_moments(self._moments("real"), self._moments("generated"))
        return torch.tensor(distance, dtype=torch.float64, device=self.device)

    def _moments(self, name: str) -> Moments:
        n = int(getattr(self, f"{name}_n"))
        if n < 2:
            raise BadData(f"The Fréchet distance needs 2 {name} samples at least, and there are {n}.")
        mean = getattr(self, f"{name}_sum") / n
        covariance = (getattr(self, f"{name}_products") - n * torch.outer(mean, mean)) / (n - 1)
        return Moments(mean, covariance, n)


class _Rows(Metric):
    """Collects rows of fixed width and hands them out in an order that does not depend on the ranks."""

    is_differentiable = False
    full_state_update = False

    def __init__(self, width: int, kinds: tuple[str, ...], **named: Any) -> None:
        super().__init__(**named)
        self.width = width
        self.kinds = kinds
        for kind in kinds:
            self.add_state(f"{kind}_rows", [], dist_reduce_fx="cat")
            self.add_state(f"{kind}_index", [], dist_reduce_fx="cat")

    def _add(self, kind: str, rows: Tensor, index: Tensor | None) -> None:
        _check_width(rows, self.width)
        if index is None:
            index = torch.full((len(rows),), -1, dtype=torch.int64, device=rows.device)
        if index.shape != (len(rows),) or index.is_floating_point():
            raise BadArgument(f"index must be integers ({len(rows)},), not {index.dtype} {tuple(index.shape)}.")
        getattr(self, f"{kind}_rows").append(rows.detach().float())
        getattr(self, f"{kind}_index").append(index.detach().to(torch.int64))

    def sync(self, *args: Any, **named: Any) -> None:
        """Joins the ranks' samples; see `torchmetrics.Metric.sync`."""
        # a rank without samples must take part in gathering, with tensors of the right width and type
        for kind in self.kinds:
            if not getattr(self, f"{kind}_rows"):
                getattr(self, f"{kind}_rows").append(torch.empty(0, self.width, device=self.device))
                getattr(self, f"{kind}_index").append(torch.empty(0, dtype=torch.int64, device=self.device))
        super().sync(*args, **named)

    def _set(self, kind: str) -> Tensor:
        """All rows of a kind `(n, width)`, in order."""
        if not len(getattr(self, f"{kind}_rows")):
            return torch.empty(0, self.width, device=self.device)
        rows: Tensor = dim_zero_cat(getattr(self, f"{kind}_rows"))
        index: Tensor = dim_zero_cat(getattr(self, f"{kind}_index"))
        if len(index) and int(index.min()) >= 0:
            _, inverse = torch.unique(index, sorted=True, return_inverse=True)
            first = torch.full((int(inverse.max()) + 1,), len(index), device=index.device)
            first.scatter_reduce_(0, inverse, torch.arange(len(index), device=index.device), "amin")
            return rows[first]
        content = rows.cpu().contiguous().numpy()
        keys = [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in content]
        order = sorted(range(len(keys)), key=keys.__getitem__)
        return rows[torch.tensor(order, dtype=torch.int64, device=rows.device)]


class _Pair(_Rows):
    """Collects features of real and of generated images."""

    def __init__(self, dimension: int, **named: Any) -> None:
        super().__init__(dimension, ("real", "generated"), **named)

    def update(self, features: Tensor, real: bool, index: Tensor | None = None) -> None:
        """Adds features `(n, d)` of real or generated images, and their numbers `(n,)` in the whole set if known."""
        self._add("real" if real else "generated", features, index)


class KernelDistance(_Pair):
    """The kernel distance; see `kernel_distance`.

    Args:
        dimension: length d of a feature vector.
        subsets: how many subsets.
        subset_size: samples in each.
        seed: of the subsets.
        named: arguments of `torchmetrics.Metric`.
    """

    higher_is_better = False

    def __init__(
        self, dimension: int, subsets: int = 100, subset_size: int = 1000, seed: int = 0, **named: Any
    ) -> None:
        super().__init__(dimension, **named)
        self.subsets = subsets
        self.subset_size = subset_size
        self.seed = seed

    def compute(self) -> dict[str, Tensor]:
        """`mean` and `std`, float64 scalars; errors as for `kernel_distance`."""
        found = kernel_distance(
            self._set("real"), self._set("generated"), self.subsets, self.subset_size, seed=self.seed
        )
        return _scalars(found, self.device)


class PrecisionRecall(_Pair):
    """Improved precision and recall; see `precision_recall`.

    Args:
        dimension: length d of a feature vector.
        k: neighbours.
        named: arguments of `torchmetrics.Metric`.
    """

    higher_is_better = True

    def __init__(self, dimension: int, k: int = 3, **named: Any) -> None:
        super().__init__(dimension, **named)
        self.k = k

    def compute(self) -> dict[str, Tensor]:
        """`precision` and `recall`, float64 scalars; errors as for `precision_recall`."""
        return _scalars(precision_recall(self._set("real"), self._set("generated"), self.k), self.device)


class DensityCoverage(_Pair):
    """Density and coverage; see `density_coverage`.

    Args:
        dimension: length d of a feature vector.
        k: neighbours.
        named: arguments of `torchmetrics.Metric`.
    """

    higher_is_better = True

    def __init__(self, dimension: int, k: int = 5, **named: Any) -> None:
        super().__init__(dimension, **named)
        self.k = k

    def compute(self) -> dict[str, Tensor]:
        """`density` and `coverage`, float64 scalars; errors as for `density_coverage`."""
        return _scalars(density_coverage(self._set("real"), self._set("generated"), self.k), self.device)


class NearestDistance(_Pair):
    """The mean distance of generated images to the nearest real one; see `nearest_neighbours`.

    Args:
        dimension: length d of a feature vector.
        named: arguments of `torchmetrics.Metric`.
    """

    higher_is_better = None

    def compute(self) -> dict[str, Tensor]:
        """`mean` and `least`, float64 scalars; errors as for `nearest_neighbours`."""
        distances = nearest_neighbours(self._set("generated"), self._set("real")).distances
        return {"mean": distances.mean(), "least": distances.min()}


class InceptionScore(_Rows):
    """The Inception Score; see `inception_score`.

    Args:
        classes: of the classifier.
        splits: parts.
        named: arguments of `torchmetrics.Metric`.
    """

    higher_is_better = True

    def __init__(self, classes: int, splits: int = 10, **named: Any) -> None:
        super().__init__(classes, ("generated",), **named)
        self.splits = splits

    def update(self, probabilities: Tensor, index: Tensor | None = None) -> None:
        """Adds class probabilities `(n, classes)`, and the images' numbers `(n,)` in the whole set if known."""
        self._add("generated", probabilities, index)

    def compute(self) -> dict[str, Tensor]:
        """`mean` and `std` over the splits, float64 scalars; errors as for `inception_score`."""
        return _scalars(inception_score(self._set("generated"), self.splits), self.device)


class ModesCovered(Metric):
    """Mode coverage from counts; see `mode_coverage`.

    Args:
        centres: the modes `(K, d)`.
        std: the standard deviation of each.
        share: of its fair share that makes a mode covered.
        named: arguments of `torchmetrics.Metric`.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    centres: Tensor
    counts: Tensor
    n: Tensor

    def __init__(self, centres: Tensor, std: float, share: float = 0.1, **named: Any) -> None:
        super().__init__(**named)
        self.register_buffer("centres", centres, persistent=False)
        self.std = std
        self.share = share
        self.add_state("counts", torch.zeros(len(centres), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("n", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, points: Tensor) -> None:
        """Adds samples `(n, d)`."""
        self.counts += count_modes(points, self.centres, self.std)
        self.n += len(points)

    def compute(self) -> dict[str, Tensor]:
        """`covered`, `reached`, `quality` and `divergence` as float64 scalars; NaN for what no sample can tell."""
        found: ModeCoverage = coverage_of_counts(self.counts, int(self.n), self.share)
        values = {"covered": found.covered, "reached": found.reached, "quality": found.quality}
        divergence = float("nan") if found.divergence is None else found.divergence
        return {k: torch.tensor(float(v), dtype=torch.float64) for k, v in {**values, "divergence": divergence}.items()}


def _scalars(values: Any, device: torch.device) -> dict[str, Tensor]:
    return {
        name: torch.tensor(value, dtype=torch.float64, device=device)
        for name, value in zip(values._fields, values, strict=True)
    }


def _check_width(rows: Tensor, width: int) -> None:
    check_features(rows)
    if rows.shape[1] != width:
        raise BadArgument(f"These features have {rows.shape[1]} dimensions and this metric was made for {width}.")
