import math

import pytest
import torch

from ganzoo.metrics.functional.classes import class_accuracy, inception_score
from ganzoo.types import BadArgument, BadData

fidelity = pytest.importorskip("torch_fidelity.metric_isc")


@pytest.mark.parametrize("n, classes, splits", [(100, 10, 10), (97, 5, 4), (50, 1008, 1)])
def test_agrees_with_torch_fidelity(n: int, classes: int, splits: int) -> None:
    logits = torch.randn(n, classes, generator=torch.Generator().manual_seed(n)) * 3
    expected = fidelity.isc_features_to_metric(logits, splits=splits, shuffle=False)
    found = inception_score(logits.softmax(1), splits=splits)
    assert found.mean == pytest.approx(expected["inception_score_mean"], rel=1e-5)
    assert found.std == pytest.approx(expected["inception_score_std"], rel=1e-3, abs=1e-9)


def test_sure_and_even_classes_score_their_number_and_equal_images_one() -> None:
    sure = torch.eye(10).repeat(5, 1)
    assert inception_score(sure, splits=5).mean == pytest.approx(10)
    assert inception_score(torch.full((20, 4), 0.25), splits=2).mean == pytest.approx(1)


def test_accuracy_counts_the_largest() -> None:
    probabilities = torch.tensor([[0.7, 0.3], [0.4, 0.6], [0.9, 0.1]])
    assert class_accuracy(probabilities, torch.tensor([0, 1, 1])) == pytest.approx(2 / 3)


def test_bad_input_is_named() -> None:
    with pytest.raises(BadData, match="softmax"):
        inception_score(torch.randn(10, 5))
    with pytest.raises(BadArgument, match="splits=11"):
        inception_score(torch.eye(10), splits=11)
    with pytest.raises(BadArgument, match="10 classes"):
        class_accuracy(torch.eye(10), torch.arange(1, 11))
    with pytest.raises(BadArgument, match="labels"):
        class_accuracy(torch.eye(10), torch.zeros(9, dtype=torch.int64))
    assert math.isfinite(inception_score(torch.eye(10), splits=10).mean)
