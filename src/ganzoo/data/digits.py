"""The 8x8 handwritten digits that scikit-learn carries: the data set that is always there."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ganzoo.data.batch import Data, Images


class Digits(Data):
    """1797 digits of 1x8x8 pixels in 10 classes, 1437 for training and 360 for testing (every fifth of each class).

    A part of the UCI "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, 1998), whose 17 grey levels
    k = 0..16 become round(255 k / 16). The same writers occur in both splits.

    Args:
        batch_size: samples per process and batch.
        flip: whether to mirror samples at random; digits are not symmetric, so this is rarely wanted.
        workers: processes that gather batches ahead of training.
    """

    def __init__(self, batch_size: int = 64, flip: bool = False, workers: int = 0) -> None:
        super().__init__(batch_size, flip, workers)

    def read(self, split: str) -> Images:
        """Reads a split from the installed scikit-learn."""
        from sklearn.datasets import load_digits  # type: ignore[import-untyped]  # here, because it imports scipy

        table: Any = load_digits()
        values = np.rint(table.images * (255 / 16)).astype(np.uint8)[:, None]
        labels: npt.NDArray[np.int64] = table.target.astype(np.int64)
        test = np.zeros(len(labels), bool)
        test[np.argsort(labels, kind="stable")[::5]] = True  # sorted by class, so each gives a fifth
        chosen = {"train": ~test, "test": test, "all": np.ones_like(test)}[split]
        licence = "CC-BY-4.0"  # UCI's; scikit-learn passes the table on under BSD-3-Clause
        return Images("digits", values[chosen], labels[chosen], tuple("0123456789"), split, licence)
