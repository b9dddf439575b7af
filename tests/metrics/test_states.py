"""The torchmetrics classes on one process; on two, see test_metric_ranks.py."""

from typing import Any

import pytest
import torch

from ganzoo.metrics import (
    DensityCoverage,
    FrechetDistance,
    InceptionScore,
    KernelDistance,
    ModesCovered,
    NearestDistance,
    PrecisionRecall,
    density_coverage,
    frechet_distance,
    inception_score,
    kernel_distance,
    mode_coverage,
    nearest_neighbours,
    precision_recall,
)
from ganzoo.types import BadArgument, BadData

GENERATOR = torch.Generator().manual_seed(0)
REAL = torch.randn(120, 16, generator=GENERATOR)
MADE = torch.randn(100, 16, generator=GENERATOR) * 1.2


def filled(metric: Any, size: int, **named: Any) -> Any:
    for features, real in ((REAL, True), (MADE, False)):
        for start in range(0, len(features), size):
            stop = min(start + size, len(features))
            numbers = {"index": torch.arange(start, stop)} if named.get("index") else {}
            metric.update(features[start:stop], real, **numbers)
    return metric


@pytest.mark.parametrize("size", [7, 1000])
def test_states_are_the_pure_functions(size: int) -> None:
    assert float(filled(FrechetDistance(16), size).compute()) == pytest.approx(frechet_distance(REAL, MADE), rel=1e-9)
    found = filled(KernelDistance(16, subsets=5, subset_size=40, seed=2), size, index=True).compute()
    assert [float(v) for v in found.values()] == pytest.approx(kernel_distance(REAL, MADE, 5, 40, seed=2), rel=1e-9)
    for metric, pure in ((PrecisionRecall(16), precision_recall), (DensityCoverage(16), density_coverage)):
        assert [float(v) for v in filled(metric, size).compute().values()] == list(pure(REAL, MADE))
    nearest = nearest_neighbours(MADE, REAL).distances
    assert float(filled(NearestDistance(16), size).compute()["mean"]) == pytest.approx(float(nearest.mean()))


def test_the_inception_score_is_the_pure_function() -> None:
    probabilities = MADE.softmax(1)
    metric = InceptionScore(16, splits=4)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(3))
    for part in order.split(30):
        metric.update(probabilities[part], index=part)
    assert [float(v) for v in metric.compute().values()] == pytest.approx(inception_score(probabilities, 4), rel=1e-9)


def test_modes_are_the_pure_function() -> None:
    centres = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    metric = ModesCovered(centres, 0.2)
    for part in MADE[:, :2].split(11):
        metric.update(part)
    expected = mode_coverage(MADE[:, :2], centres, 0.2)
    found = metric.compute()
    assert float(found["covered"]) == expected.covered
    assert float(found["quality"]) == pytest.approx(expected.quality)


def test_without_numbers_the_order_of_the_samples_does_not_matter() -> None:
    one, two = KernelDistance(16, subsets=3, subset_size=20), KernelDistance(16, subsets=3, subset_size=20)
    filled(one, 10)
    two.update(MADE.flip(0), False)
    two.update(REAL.flip(0), True)
    assert float(one.compute()["mean"]) == float(two.compute()["mean"])


def test_a_number_seen_twice_counts_once() -> None:
    metric = filled(PrecisionRecall(16), 50, index=True)
    before = metric.compute()
    metric.update(MADE[:30], False, index=torch.arange(30))
    metric._computed = None
    assert {k: float(v) for k, v in metric.compute().items()} == {k: float(v) for k, v in before.items()}


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_resetting_forgets() -> None:
    metric = filled(FrechetDistance(16), 50)
    metric.reset()
    with pytest.raises(BadData, match="there are 0"):
        metric.compute()


def test_half_precision_modules_do_not_touch_the_sums() -> None:
    metric = FrechetDistance(16).half().float()
    assert float(filled(metric, 50).compute()) == pytest.approx(frechet_distance(REAL, MADE), rel=1e-9)


def test_features_of_another_width_are_refused() -> None:
    for metric in (FrechetDistance(8), PrecisionRecall(8)):
        with pytest.raises(BadArgument, match="have 16 dimensions and this metric was made for 8"):
            metric.update(REAL, True)
    with pytest.raises(BadArgument, match="index"):
        PrecisionRecall(16).update(REAL, True, index=torch.arange(3))
