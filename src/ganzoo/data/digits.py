"""The 8x8 handwritten digits that scikit-learn carries, the data set that is always there, and their edge pictures."""

from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge
from PIL import Image

from ganzoo.data.batch import Data, Images, pad_to
from ganzoo.data.lines import edges
from ganzoo.data.mnist import MNIST10K
from ganzoo.data.partly_labelled import Labelled
from ganzoo.types import BadArgument


class Digits(Labelled):
    """1797 digits of 1x8x8 pixels in 10 classes, 1437 for training and 360 for testing (every fifth of each class).

    A part of the UCI "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, 1998), whose 17 grey levels
    k = 0..16 become round(255 k / 16). The same writers occur in both splits.
    """

    def read(self, split: str) -> Images:
        """Reads a split from the installed scikit-learn."""
        from sklearn.datasets import load_digits  # type: ignore[import-untyped]  # here, because it imports scipy

        table: Any = load_digits()
        values = np.rint(table.images * (255 / 16)).astype(np.uint8)[:, None]
        labels: npt.NDArray[np.int64] = table.target.astype(np.int64)
        test = np.zeros(len(labels), bool)
        test[np.argsort(labels, kind="stable")[::5]] = True  # sorted by class, so each gives a fifth
        chosen = {"train": ~test, "test": test, "all": np.ones_like(test)}[split]
        license = "CC-BY-4.0"  # UCI's; scikit-learn passes the table on under BSD-3-Clause
        return Images("digits", values[chosen], labels[chosen], tuple("0123456789"), split, license)


class DigitEdges(Data):
    """Digits and, unpaired, edge pictures of other digits: the two domains of CoGAN's first experiment.

    An edge picture is the difference of the digit dilated by a 3x3 square and the digit itself, as in the authors'
    code. In training, edges come from one half of each class (`targets`) and digits from the other (`values`), so that
    no digit stands in both; `test` and `all` hold pairs.

    Args:
        digits: `mnist10k` for MNIST's, as in the paper (run `ganzoo data mnist` first); `digits` for the small ones
            that are always there, enlarged (bicubic) up to a black margin of one pixel.
        size: the pixels of a side: 28 or more for MNIST's, which are padded; 10 or more for the small ones.
        root: of MNIST's digits: see `MNIST10K`.
        **options: of every source; see `Data`.
    """

    def __init__(
        self,
        digits: Literal["mnist10k", "digits"] = "digits",
        size: Annotated[int, Ge(10)] = 28,
        root: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.size = size
        self.mnist = MNIST10K(size, root) if digits == "mnist10k" else None

    def read(self, split: str) -> Images:
        """Reads a split: digits with their labels, and edges as targets."""
        digits = self.domain(split, 0)
        labels, targets = digits.labels, edges(digits.values)
        assert labels is not None
        values = digits.values
        if split == "train":
            first = np.zeros(len(labels), bool)
            first[np.argsort(labels, kind="stable")[::2]] = True  # sorted by class, so each gives half
            values, labels, targets = values[first], labels[first], targets[~first]
        names = {"classes": digits.classes, "split": split, "license": digits.license}
        name = "digit-edges" if self.mnist is None else "mnist10k-edges"
        return Images(name, values, labels, targets=targets, paired=split != "train", **names)  # type: ignore[arg-type]

    def domain(self, split: str, domain: int) -> Images:
        """All pictures of one domain with their labels: what a classifier is trained on.

        Args:
            split: `train`, `test` or `all`.
            domain: 0 for digits, 1 for edges.

        Raises:
            BadArgument: for another domain or split.
            BadData: if MNIST's digits were not fetched.
        """
        if domain not in (0, 1):
            raise BadArgument(f"domain={domain}: give 0 for digits or 1 for edges.")
        found = self._enlarged(split) if self.mnist is None else self.mnist.open(split)
        name = ("digits", "edges")[domain] + f"-{self.size}"
        if self.mnist is not None:
            name = f"mnist10k-{name}"
        return replace(found, name=name, values=edges(found.values) if domain else found.values)

    def _enlarged(self, split: str) -> Images:
        """The small digits at this size."""
        digits = Digits().open(split)
        inner = self.size - 2
        values = np.empty((len(digits), 1, inner, inner), np.uint8)
        for k, digit in enumerate(digits.values[:, 0]):
            values[k, 0] = np.asarray(Image.fromarray(digit).resize((inner, inner), Image.Resampling.BICUBIC))
        return replace(digits, values=pad_to(values, self.size))
