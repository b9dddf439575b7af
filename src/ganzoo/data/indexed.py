"""Pictures that another library's data set gives one by one, converted once and mapped from the disk."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, replace
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from ganzoo.data.batch import Images
from ganzoo.data.conversion import Pictures, Pixels, attempt, in_threads, position
from ganzoo.data.store import Item, Stored, progress, stored
from ganzoo.types import BadArgument, BadData

_log = logging.getLogger(__name__)
_CLASSES: Final = 100_000  # without names; what is numbered beyond is an id, for which no names are made up

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
            BadData: if a sample cannot be read and `bad` is `error`, or none can be; or the system cannot read one.
        """

        def bad(sample: str, reason: str) -> BadData:
            return BadData(f"{name}: sample {sample} cannot be read ({reason}); repair it, or set bad=skip.")

        def tried(sample: str, job: T) -> tuple[Pixels, Any] | str:
            return attempt(lambda: read(job), f"{name}: sample {sample}")

        def items() -> Iterator[Item]:
            with progress("converting", count) as advance:
                jobs = in_threads(lambda job: (job[0], tried(*job)), samples(), self.square)
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
        labels, classes = _labels([told for _, told in made.notes], names, label, name)
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


def counted(told: Iterable[Any], name: str) -> list[str]:
    """Names for classes that have none: their numbers, up to the largest; `name` is the data's, for the error.

    Raises:
        BadData: for a number that is no class.
    """
    return _numbers(0, max((each for each in told if isinstance(each, int)), default=-1), name)


def _numbers(named: int, largest: int, name: str) -> list[str]:
    """The numbers of the classes beyond those that have names."""
    if largest >= named + _CLASSES:
        advice = "name a column of classes as label, or number them from 0 on"
        raise BadData(f"{name}: the largest label is {largest}, where {named} classes have names; {advice}.")
    return [str(k) for k in range(named, largest + 1)]


def _labels(
    told: list[Any], names: list[str], label: str | None, name: str
) -> tuple[npt.NDArray[np.int64] | None, tuple[str, ...] | None]:
    if not told or any(each is None or (isinstance(each, int) and each < 0) for each in told):
        return None, None
    labels = np.array(told, np.int64)
    if labels.ndim == 1:
        return labels, (*names, *_numbers(len(names), int(labels.max()), name))
    if label is None:
        return labels, tuple(names[: labels.shape[1]])
    if label not in names:
        raise BadArgument(f"label={label!r}: the attributes are {', '.join(names)}.")
    return labels[:, names.index(label)], (f"not {label}", label)
