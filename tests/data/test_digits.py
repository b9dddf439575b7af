"""Digits: the values of scikit-learn's table, and a split that is fair to every class."""

import numpy as np
from sklearn.datasets import load_digits  # type: ignore[import-untyped]

from ganzoo.data.digits import Digits


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
