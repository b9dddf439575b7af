"""Digits: the values of scikit-learn's table, and a split that is fair to every class."""

import numpy as np
import pytest
from scipy import ndimage  # type: ignore[import-untyped]
from sklearn.datasets import load_digits  # type: ignore[import-untyped]

from ganzoo.data.digits import DigitEdges, Digits
from ganzoo.data.lines import edges
from ganzoo.types import BadArgument


def test_values_and_labels_are_the_tables() -> None:
    table = load_digits()
    everything = Digits().open("all")
    assert everything.shape == (1, 8, 8) and everything.values.dtype == np.uint8
    assert everything.classes == tuple("0123456789")
    assert everything.labels is not None
    assert np.array_equal(everything.labels, table.target)
    levels = {0: 0, 1: 16, 2: 32, 8: 128, 15: 239, 16: 255}  # 255 k / 16 by hand, halves to the even neighbour
    for level, value in levels.items():
        assert (everything.values[:, 0][table.images == level] == value).all()
    assert set(np.unique(everything.values)) == {round(255 * k / 16) for k in range(17)}


def test_the_split_is_stratified() -> None:
    train, test = Digits().open("train"), Digits().open("test")
    assert (len(train), len(test)) == (1437, 360)
    assert train.labels is not None and test.labels is not None
    inside, outside = np.bincount(train.labels), np.bincount(test.labels)
    assert np.abs(outside - (inside + outside) / 5).max() < 1


def test_edges_against_the_definition() -> None:
    """The largest of the nine pixels around each, less the pixel itself: scipy's dilation."""
    values = np.random.RandomState(0).randint(0, 256, (3, 1, 7, 9)).astype(np.uint8)
    found = edges(values)
    for picture, edge in zip(values[:, 0], found[:, 0], strict=True):
        assert np.array_equal(edge, ndimage.grey_dilation(picture, size=(3, 3), mode="constant") - picture)


def test_digits_and_edges_are_pairs_in_testing_and_strangers_in_training() -> None:
    data = DigitEdges(size=16)
    train, test = data.open("train"), data.open("test")
    assert train.shape == test.shape == (1, 16, 16) and train.classes == tuple("0123456789")
    assert train.targets is not None and test.targets is not None and train.labels is not None
    assert test.paired and len(test) == 360 and np.array_equal(test.targets, edges(test.values))
    assert not train.paired and (len(train), len(train.targets)) == (719, 718)
    assert np.ptp(np.bincount(train.labels)) < 10, "half of each class"
    digits, outlines = data.domain("train", 0), data.domain("train", 1)
    assert len(digits) == len(outlines) == 1437 and np.array_equal(outlines.values, edges(digits.values))
    labels = Digits().open("train").labels
    assert digits.labels is not None and labels is not None and np.array_equal(digits.labels, labels)
    shown = {picture.tobytes() for picture in edges(train.values)}
    assert not shown & {picture.tobytes() for picture in train.targets}
    batch = next(iter(DigitEdges(size=16, batch_size=5).train_dataloader()))
    assert batch.targets is not None and batch.images.shape == batch.targets.shape == (5, 1, 16, 16)


def test_the_margin_is_black_and_holds_the_outline() -> None:
    digits = DigitEdges(size=20).domain("all", 0).values
    frame = np.ones((20, 20), bool)
    frame[1:-1, 1:-1] = False
    assert (digits[:, 0][:, frame] == 0).all() and digits[:, 0, 1:-1].max() > 200
    with pytest.raises(BadArgument, match="size is 9"):
        DigitEdges(size=9)
    with pytest.raises(BadArgument, match="domain=2"):
        DigitEdges().domain("test", 2)
