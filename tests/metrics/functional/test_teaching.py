"""What classifiers learn from samples, real images and both."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ganzoo.data.digits import Digits
from ganzoo.media.levels import to_float
from ganzoo.metrics.functional.teaching import classification_accuracy_score
from ganzoo.metrics.metric import Result
from ganzoo.types import BadData

SHAPE = (1, 8, 8)


def digits(split: str) -> tuple[Tensor, Tensor]:
    images = Digits(batch_size=8).open(split)
    assert images.labels is not None
    return to_float(torch.from_numpy(np.array(images.values))).flatten(1), torch.from_numpy(np.array(images.labels))


def score(generated: Tensor, labels: Tensor, reals: int = 1000, updates: int = 60, seed: int = 0) -> Result:
    train, classes = digits("train")
    held, right = digits("test")
    return classification_accuracy_score(
        *(train[:reals], generated, classes[:reals], labels, held, right), SHAPE, updates=updates, seed=seed
    )


def test_real_images_teach_as_much_as_real_images() -> None:
    train, classes = digits("train")
    found = score(train[:1000], classes[:1000])
    assert found.value == found.parts["real"] > 0.9, "the same classifier, of the same images"
    assert found.details["real_images"] == 1000 and set(found.details["classes"]) == {*map(str, range(10))}
    assert score(train[:1000], classes[:1000]) == found, "which depends on its seed alone"


def test_wrong_labels_teach_nothing_and_spoil_what_is_taught() -> None:
    train, classes = digits("train")
    wrong = score(train[:1000], (classes[:1000] + 1) % 10)
    assert wrong.value < 0.1 < 0.9 < wrong.parts["real"]
    assert wrong.parts["both"] < wrong.parts["real"] - 0.2


def test_more_images_help_where_there_are_few() -> None:
    train, classes = digits("train")
    few = score(train[100:1100], classes[100:1100], reals=20)
    assert few.parts["real"] + 0.1 < few.parts["both"] <= 1 and few.value > few.parts["real"]


def test_one_picture_a_class_teaches_less() -> None:
    train, classes = digits("train")
    first = torch.stack([train[(classes == k).nonzero()[0, 0]] for k in range(10)])
    collapsed = score(first[classes[:1000]], classes[:1000])
    assert collapsed.value < collapsed.parts["real"] - 0.15, "which no accuracy of the samples themselves would tell"


def test_classes_that_are_not_taught() -> None:
    train, _ = digits("train")
    held, right = digits("test")
    none = torch.zeros(50, dtype=torch.long)
    with pytest.raises(BadData, match="class 9 is to be told, and only 1 classes are taught"):
        classification_accuracy_score(train[:50], train[:50], none, none, held, right, SHAPE)
