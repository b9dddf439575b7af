"""Any metric as a torchmetrics class on one process; on two, see test_metric_ranks.py."""

from typing import Any

import pytest
import torch

from ganzoo.metrics import (
    StreamingMetric,
    density_coverage,
    frechet_distance,
    inception_score,
    kernel_distance,
    mode_coverage,
    nearest_neighbours,
    precision_recall,
)
from ganzoo.metrics.functional.classes import class_accuracy
from ganzoo.types import BadArgument, BadData, UnknownName

GENERATOR = torch.Generator().manual_seed(0)
REAL = torch.randn(120, 16, generator=GENERATOR)
MADE = torch.randn(100, 16, generator=GENERATOR) * 1.2


def filled(metric: StreamingMetric, size: int, index: bool = False) -> StreamingMetric:
    for kind, features in (("real", REAL), ("generated", MADE)):
        for start in range(0, len(features), size):
            rows = features[start : start + size]
            metric.update(**{kind: rows}, **({"index": torch.arange(start, start + len(rows))} if index else {}))
    return metric


def numbers(metric: StreamingMetric) -> dict[str, float]:
    return {name: float(value) for name, value in metric.compute().items()}


@pytest.mark.parametrize("size", [7, 1000])
def test_streams_are_the_pure_functions(size: int) -> None:
    found = numbers(filled(StreamingMetric("fd"), size))
    assert found == {"value": pytest.approx(frechet_distance(REAL, MADE), rel=1e-9)}
    found = numbers(filled(StreamingMetric("kid", subsets=5, subset_size=40, seed=2), size, index=True))
    mean, std = kernel_distance(REAL, MADE, 5, 40, seed=2)
    assert found == {"value": pytest.approx(mean, rel=1e-9), "spread": pytest.approx(std, rel=1e-9)}
    assert numbers(filled(StreamingMetric("pr"), size)) == precision_recall(REAL, MADE)._asdict()
    assert numbers(filled(StreamingMetric("dc", k=4), size)) == density_coverage(REAL, MADE, 4)._asdict()
    nearest = nearest_neighbours(MADE, REAL).distances
    assert numbers(filled(StreamingMetric("nn"), size)) == {"value": pytest.approx(float(nearest.mean()))}


@pytest.mark.parametrize("metric, better", [("fd", False), ("pr", True), ("nn", None)])
def test_torchmetrics_is_told_which_way_is_better(metric: str, better: bool | None) -> None:
    assert StreamingMetric(metric).higher_is_better is better


def test_class_probabilities_stay_with_their_labels_in_any_order() -> None:
    probabilities, labels = MADE.softmax(1), torch.arange(100) % 16
    order = torch.randperm(100, generator=torch.Generator().manual_seed(3))
    score, accuracy, unnumbered = StreamingMetric("is", splits=4), StreamingMetric("acc"), StreamingMetric("acc")
    for part in order.split(30):
        score.update(probabilities=probabilities[part], index=part)
        accuracy.update(probabilities=probabilities[part], labels=labels[part], index=part)
        unnumbered.update(probabilities=probabilities[part], labels=labels[part])
    assert list(numbers(score).values()) == pytest.approx(inception_score(probabilities, 4), rel=1e-9)
    expected = class_accuracy(probabilities, labels)
    assert 0 < expected < 1 and numbers(accuracy)["value"] == numbers(unnumbered)["value"] == expected


def test_modes_are_the_pure_function() -> None:
    labels, points = torch.arange(120) % 2, REAL[:, :2] * 0.1
    points[:, 0] += labels
    metric = StreamingMetric("modes", share=0.2)
    for part in torch.arange(120).split(11):
        metric.update(real=points[part], real_labels=labels[part])
        metric.update(generated=points[part[:3]])
    centres = torch.stack([points[labels == k].mean(0) for k in range(2)])
    made = torch.cat([points[part[:3]] for part in torch.arange(120).split(11)])
    std = float((points - centres[labels]).square().mean().sqrt())
    expected, found = mode_coverage(made, centres, std, 0.2), numbers(metric)
    assert (found["value"], found["reached"]) == (expected.covered, expected.reached) == (2, 2)
    assert found["quality"] == pytest.approx(expected.quality)


def test_without_numbers_the_order_of_the_samples_does_not_matter() -> None:
    one, two = StreamingMetric("kid", subsets=3, subset_size=20), StreamingMetric("kid", subsets=3, subset_size=20)
    filled(one, 10)
    two.update(generated=MADE.flip(0))
    two.update(real=REAL.flip(0))
    assert numbers(one) == numbers(two)


def test_a_number_seen_twice_counts_once_and_equal_samples_do_not() -> None:
    metric = filled(StreamingMetric("pr"), 50, index=True)
    before = numbers(metric)
    metric.update(generated=MADE[:30], index=torch.arange(30))
    metric._computed = None
    assert numbers(metric) == before
    metric = filled(StreamingMetric("dc"), 50)
    metric.update(generated=MADE[:30])
    metric._computed = None
    assert numbers(metric) == density_coverage(REAL, torch.cat([MADE, MADE[:30]]))._asdict()


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_resetting_forgets() -> None:
    metric = filled(StreamingMetric("fd"), 50)
    metric.reset()
    with pytest.raises(BadArgument, match="fd needs generated and real, of which nothing was added"):
        metric.compute()


def test_what_cannot_be_is_refused() -> None:
    metric: Any = StreamingMetric("pr")
    metric.update(real=REAL)
    with pytest.raises(BadArgument, match="Features of 8 and of 16 dimensions"):
        metric.update(real=REAL[:, :8])
    with pytest.raises(BadArgument, match="index"):
        metric.update(real=REAL, index=torch.arange(3))
    with pytest.raises(BadArgument, match="pr compares generated and real, not labels"):
        metric.update(labels=torch.arange(3))
    with pytest.raises(BadArgument, match="pr has no setting subsets; it has k, seed"):
        StreamingMetric("pr", subsets=3)
    with pytest.raises(BadArgument, match="k=0"):
        StreamingMetric("pr", k=0)
    with pytest.raises(BadArgument, match="mae is not measured from samples"):
        StreamingMetric("mae")
    with pytest.raises(UnknownName, match="did you mean kid"):
        StreamingMetric("kidd")
    with pytest.raises(BadData, match="sample 3"):
        metric.update(real=REAL.index_fill(0, torch.tensor([3]), torch.nan))
