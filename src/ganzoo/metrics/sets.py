"""Sets of images as metrics compare them: how they are made, seen by networks, and put beside one another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from torch import Tensor

from ganzoo.media.levels import to_float
from ganzoo.metrics.features.network import Description
from ganzoo.metrics.metric import MIXTURES, Metric, Value
from ganzoo.metrics.protocol import Protocol


class Sample:
    """Features of one set of images, and what follows from them, computed when first asked for."""

    def __init__(
        self, features: Tensor, probabilities: Tensor | None = None, labels: Tensor | None = None, seconds: float = 0.0
    ) -> None:
        self.features, self.probabilities, self.labels, self.seconds = features, probabilities, labels, seconds
        self._made: dict[Any, Any] = {}

    def __len__(self) -> int:
        return len(self.features)

    def of(self, metric: Metric) -> Any:
        """The features as a metric takes them."""
        if metric.of is None:
            return self.features
        if metric.of not in self._made:
            self._made[metric.of] = metric.of(self.features)
        return self._made[metric.of]

    def part(self, start: int, stop: int) -> Sample:
        """Some of the samples; all of them are itself, so that what was computed is not computed again."""
        if (start, stop) == (0, len(self)):
            return self
        cut = [None if v is None else v[start:stop] for v in (self.probabilities, self.labels)]
        return Sample(self.features[start:stop], cut[0], cut[1], self.seconds)


@dataclass(frozen=True)
class Stream:
    """Images that a model makes and several protocols can share: the first n of them, for each its own n."""

    seed: int
    labels: str = "data"
    truncation: float | None = None
    weights: str = "averaged"
    split: str = ""  # of what is translated,
    to: str = ""  # and to which domain
    view: int = 0


class Drawing(NamedTuple):
    """How the images of a stream are made."""

    what: str
    shape: tuple[int, ...]
    images: Callable[[range], Tensor]
    labels: Tensor | None = None  # that they are made for


@dataclass(frozen=True)
class View:
    """How images are seen: by which network, behind which resizer, and whether they are rounded first."""

    network: str
    resizer: str = ""
    rounding: bool = True
    ability: str = ""  # where it is the model's own

    @classmethod
    def of(cls, p: Protocol) -> View:
        """A protocol's."""
        ability = {"encodes": "encode", "classifies": "classify"}.get(next(iter(p.of.needs)), "")
        return cls("points" if p.network in MIXTURES else p.network, p.resizer, p.rounding, ability)

    def rounded(self) -> View:
        """The view of real images, which have 8 bits."""
        return replace(self, rounding=True)


class Plain:
    """Stands where a key names no feature network: the pixels themselves, or the model's own encoder or classifier."""

    def __init__(self, name: str, function: Callable[[Tensor], Tensor], classes: bool) -> None:
        self.description = Description(name, "", 0, 0, 0, "", (), ())
        self.function, self.classes = function, classes

    def both(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Rows `(n, d)`, and class probabilities where they are logits."""
        rows = self.function(to_float(images)).flatten(1).float()
        return rows, rows.softmax(1) if self.classes else None


@dataclass(frozen=True)
class Compared:
    """What a metric compares, how many of what, and the seconds that it took to make."""

    inputs: dict[str, Any]
    n: int
    n_real: int
    seconds: float = 0.0
    of: str = ""
    values: list[Value] | None = None  # where all ranks compute them together
