"""Data of which a few labels are known: what semi-supervised learning is given."""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader

from ganzoo.data.batch import Data, Images
from ganzoo.types import BadArgument, Batch

UNKNOWN = -1  # the label of a sample whose class is not told


@dataclass(frozen=True, eq=False)
class PartlyLabelled(Images):
    """A training split, every sample once without its label, and as many places for the few that have one.

    So half of a batch has labels, as in the authors' code of Salimans et al. 2016 (arXiv:1606.03498), where each update
    sees as many labelled samples, over and over the same, as unlabelled ones. `values`, `labels` and the rest are the
    whole split's; only `len` and `batch` know of the two halves.

    Args:
        told: the indices of the samples whose labels are known, in ascending order.
    """

    told: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return 2 * len(self.values)

    def batch(self, indices: Any, partners: Any = None) -> Batch:
        """Gathers samples: below the split's length without their labels (`UNKNOWN`), beyond it labelled ones."""
        at = np.asarray(indices, dtype=np.int64)
        n = len(self.values)
        known = at >= n
        at = np.where(known, self.told[(at - n) % len(self.told)], at)
        assert self.labels is not None
        labels = np.where(known, self.labels[at], UNKNOWN)
        return Batch(torch.from_numpy(np.asarray(self.values[at])), torch.from_numpy(labels))


def choose(labels: npt.NDArray[np.int64], classes: int, known: int, seed: int) -> npt.NDArray[np.int64]:
    """Chooses samples whose labels are known, as many of each class.

    Args:
        labels: class indices `(N,)`.
        classes: how many there are.
        known: labels to keep.
        seed: of the choice.

    Returns:
        Indices `(known,)`, ascending.

    Raises:
        BadArgument: if `known` is no positive multiple of the classes, or a class has fewer samples.
    """
    each, rest = divmod(known, classes)
    if rest or each < 1:
        raise BadArgument(
            f"known={known}: give a multiple of the {classes} classes, so that each keeps as many labels."
        )
    order = np.random.RandomState(seed % 2**32).permutation(len(labels))
    chosen = [order[labels[order] == label][:each] for label in range(classes)]
    least = min(len(part) for part in chosen)
    if least < each:
        raise BadArgument(f"known={known}: that is {each} of each class, and one has only {least} samples.")
    return np.sort(np.concatenate(chosen)).astype(np.int64)


class Labelled(Data):
    """A source with labels, all but a few of which training can be left without; its splits stay whole.

    Args:
        known: training labels that are kept, as many of each class, for semi-supervised learning: half of a batch then
            has labels and the other half's are -1. None keeps all.
        known_seed: of the choice of these.
        **options: of every source; see `Data`.
    """

    def __init__(self, known: int | None = None, known_seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.known, self.known_seed = known, known_seed

    def train_dataloader(self) -> DataLoader[Batch]:
        """An endless loader; where some labels are hidden, of batches with labels in one half."""
        if self.known is None:
            return super().train_dataloader()
        whole = self.open("train")
        assert whole.labels is not None and whole.classes is not None
        told = choose(whole.labels, len(whole.classes), self.known, self.known_seed)
        given = {each.name: getattr(whole, each.name) for each in fields(whole)}
        return self.loader(PartlyLabelled(**given, told=told))
