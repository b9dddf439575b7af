"""Pictures that another library's data set gives one by one, converted once and mapped from the disk."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ganzoo.data.batch import Images
from ganzoo.data.conversion import Pictures, Pixels, attempt, in_threads, position
from ganzoo.data.store import Item, Stored, progress, stored
from ganzoo.types import BadArgument, BadData

_CLASSES = 100_000  # at most, beyond those that have names

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Indexed(Pictures):
    """A source whose samples have names of its own, such as numbers, by which they are divided.

    Args:
        label: what of a sample is its class.
        **options: of all pictures; see `Pictures`.
    """

    def __init__(self, label: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.label = label

    def converted(
        self,
        name: str,
        key: Any,
        count: int,
        samples: Callable[[], Iterable[tuple[str, T]]],
        read: Callable[[T], tuple[Pixels, Any]],
    ) -> Stored:
        """The pixels of samples, from the disk or converted; a note is a sample's name and label.

        Args:
            name: of the data, for errors.
            key: what the samples depend on, as plain JSON.
            count: how many they are.
            samples: gives each one's name, and what `read` takes.
            read: gives pixels and label; several threads call it.

        Raises:
            BadData: if a sample cannot be read and `bad` is `error`, or none can be.
        """

        def bad(sample: str, reason: str) -> BadData:
            return BadData(f"{name}: sample {sample} cannot be read ({reason}); repair it, or set bad=skip.")

        def items() -> Iterator[Item]:
            with progress("converting", count) as advance:
                jobs = in_threads(lambda job: (job[0], attempt(lambda: read(job[1]))), samples(), self.square)
                for sample, made in jobs:
                    advance()
                    if not isinstance(made, str):
                        yield [sample, made[1]], made[0]
                    elif self.bad == "error":
                        raise bad(sample, made)
                    else:
                        yield sample, made

        found = stored([key, astuple(self.square)], self.square.shape, items)
        for sample, reason in found.skipped.items():
            if self.bad == "error" or not found.notes:
                raise bad(sample, reason)
            _log.warning("%s: sample %s: skipped, %s", name, sample, reason)
        return found

    def cut(
        self, name: str, made: Stored, split: str, share: float | None, names: list[str], label: str | None = None
    ) -> Images:
        """A split of converted samples, with labels where all have one; `label` is one of several attributes."""
        share = self.share(len(made.notes)) if share is None else share
        part = self.part(name, [sample for sample, _ in made.notes], split, share)
        labels, classes = _labels([told for _, told in made.notes], names, label)
        return Images(name, made.values[part], None if labels is None else labels[part], classes, split, self.license)


def in_order(count: int) -> list[int]:
    """The numbers of samples by their positions, so that each split is one piece."""
    return sorted(range(count), key=lambda i: (position(str(i)), i))


def joined(parts: list[Images], split: str) -> Images:
    """Training and test pictures together; with labels where both have some."""
    labels = [each.labels for each in parts if each.labels is not None]
    values = np.concatenate([each.values for each in parts])
    if len(labels) < len(parts):
        return replace(parts[0], values=values, labels=None, classes=None, split=split)
    return replace(parts[0], values=values, labels=np.concatenate(labels), split=split)


def counted(told: Iterable[Any]) -> list[str]:
    """Names for classes that have none: their numbers, up to the largest."""
    return [str(k) for k in range(1 + _bounded(max((each for each in told if isinstance(each, int)), default=-1), 0))]


def _bounded(largest: int, named: int) -> int:
    """The largest label, unless it is one of another kind, such as the number of a sample."""
    if largest >= named + _CLASSES:
        raise BadData(f"a label is {largest}, which is no class of {_CLASSES} or fewer; name another column.")
    return largest


def _labels(
    told: list[Any], names: list[str], label: str | None
) -> tuple[npt.NDArray[np.int64] | None, tuple[str, ...] | None]:
    if not told or any(each is None or (isinstance(each, int) and each < 0) for each in told):
        return None, None
    labels = np.array(told, np.int64)
    if labels.ndim == 1:
        return labels, (*names, *map(str, range(len(names), _bounded(int(labels.max()), len(names)) + 1)))
    if label is None:
        return labels, tuple(names[: labels.shape[1]])
    if label not in names:
        raise BadArgument(f"label={label!r}: the attributes are {', '.join(names)}.")
    return labels[:, names.index(label)], (f"not {label}", label)
