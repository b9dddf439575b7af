"""Floor 0: what every room shares. Importing this module does not import torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

if TYPE_CHECKING:
    from torch import Tensor

VERSION = "0.2.0"


class GanzooError(Exception):
    """The base of every error that ganzoo raises on purpose; its text is one line that says what to do.

    What a stranger's file or server had to say in it cannot steer the terminal.
    """

    def __str__(self) -> str:
        """The text, printable."""
        return printable(super().__str__())


def printable(text: str) -> str:
    """A text of strangers' as it may be printed: in one line, control characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def quoted(value: object) -> str:
    """A value as it stands in an error's text, which stays short where the value is a book."""
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def reason(error: BaseException) -> str:
    """What another library's error says, in one line of at most 200 characters."""
    return " ".join(str(error).split())[:200] or type(error).__name__


class UnknownName(GanzooError):
    """A model, family, protocol or network that does not exist; the text names the nearest ones."""


class BadArgument(GanzooError):
    """A value of the wrong type, range or shape, given by the user or found in a configuration."""


class Unable(BadArgument, AttributeError):
    """Something was asked of a model that its family cannot do."""


class BadModelFolder(GanzooError):
    """A model folder with a missing, truncated, altered or foreign file."""


class BadCheckpoint(GanzooError):
    """A checkpoint that is damaged, hostile, of an unknown layout, or has other tensors than it should."""


class BadData(GanzooError):
    """A data set that is missing, unreadable or not what a family expects."""


class NoSplit(BadData):
    """A split that a data set does not have, such as the test pictures of a handful of photographs."""


class HubError(GanzooError):
    """A model hub that cannot be reached, refuses, or answers with something other than what was asked for."""


class TrainingStopped(GanzooError):
    """Training that cannot go on, such as one whose saves fail."""


class Diverged(TrainingStopped):
    """Training whose weights, gradients or loss scale are not finite any more."""


class Rows:
    """The base of dataclasses of tensors with a row a sample: they are sliced and moved together."""

    def part(self, start: int, stop: int) -> Self:
        """The samples from `start` up to `stop`."""
        return self.each(lambda tensor: tensor[start:stop])

    def to(self, device: Any) -> Self:
        """The same on another device."""
        return self.each(lambda tensor: tensor.to(device))

    def pin_memory(self) -> Self:
        """The same in memory from which a copy to a device need not wait."""
        return self.each(lambda tensor: tensor.pin_memory())

    def each(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same with every tensor changed."""
        held = {each.name: getattr(self, each.name) for each in fields(cast(Any, self))}
        for name, value in held.items():
            if value is not None:
                held[name] = value.each(change) if isinstance(value, Rows) else change(value)
        return type(self)(**held)


@dataclass(frozen=True)
class Condition(Rows):
    """What samples are conditioned on; what a model does not know of is None.

    Args:
        labels: class indices `(N,)` int64, -1 for one that is hidden from semi-supervised learning; or vectors or
            attributes `(N, K)`.
        text: embeddings of captions `(N, d)`.
        reference: pictures whose style is wanted `(N, C, H, W)` in [-1, 1].
        source: pictures that are to become others, such as low-resolution ones, `(N, C, H, W)` in [-1, 1].
    """

    labels: Tensor | None = None
    text: Tensor | None = None
    reference: Tensor | None = None
    source: Tensor | None = None


@dataclass(frozen=True, init=False)
class Batch(Rows):
    """What a player's loss receives.

    Args:
        images: `(N, C, H, W)` float32 in [-1, 1]; for two-dimensional mixtures, points `(N, 2)`. On its way from a data
            source to the device it is uint8.
        labels: those of the condition, where that has nothing else.
        targets: the other half of a pair `(N, C, H, W)`, or of an unpaired batch; None elsewhere.
        condition: what the samples are conditioned on.
    """

    images: Tensor
    targets: Tensor | None
    condition: Condition

    def __init__(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        targets: Tensor | None = None,
        condition: Condition | None = None,
    ) -> None:
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "targets", targets)
        object.__setattr__(self, "condition", condition or Condition(labels))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labels(self) -> Tensor | None:
        """Class indices `(N,)`, or vectors `(N, K)`; None without."""
        return self.condition.labels


@dataclass(frozen=True)
class Card:
    """What a family or a model says of itself; every value is plain JSON."""

    name: str
    family: str
    title: str
    task: str
    paper: str
    year: int
    url: str
    idea: str
    facts: dict[str, Any] = field(default_factory=dict)


def letters(name: str) -> str:
    """A name in small letters without hyphens and underscores, by which names of the same letters are the same."""
    return name.lower().replace("-", "").replace("_", "")


def nearest(name: str, known: Iterable[str], otherwise: str = "`ganzoo list` shows what there is") -> str:
    """A clause for an error's end: the known names nearest to `name`, or that it is a part of, or how to find them."""
    import difflib

    table, wanted = {letters(each): each for each in known}, letters(name[:200])
    whole = [each for each in table if each == wanted or table[each].startswith((f"{name}-", f"{name}/"))][:3]
    close = whole or difflib.get_close_matches(wanted, table, n=3, cutoff=0.6)
    if close := close or [each for each in table if len(wanted) > 2 and wanted in each][:3]:
        return f"; did you mean {' or '.join(table[each] for each in close)}?"
    return f"; {otherwise}" if otherwise else ""


def check_strict(found: dict[str, tuple[int, ...]], wanted: dict[str, tuple[int, ...]], where: Path | str) -> None:
    """Compares names and shapes of tensors strictly.

    Raises:
        BadModelFolder: naming the first tensor that is missing, left over or of another shape.
    """
    for key, shape in wanted.items():
        if key not in found:
            raise BadModelFolder(f"{where}: tensor {key} is missing")
        if found[key] != shape:
            raise BadModelFolder(f"{where}: tensor {key} has shape {quoted(found[key])} where the family has {shape}")
    for key in found:
        if key not in wanted:
            raise BadModelFolder(f"{where}: tensor {key[:80]} does not belong to the family")
