"""Floor 0: what every room shares. Importing this module does not import torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor


class GanzooError(Exception):
    """The base of every error that ganzoo raises on purpose; its text is one line that says what to do."""


class UnknownName(GanzooError):
    """A model, family, protocol or network that does not exist; the text names the nearest ones."""


class BadArgument(GanzooError):
    """A value of the wrong type, range or shape, given by the user or found in a configuration."""


class BadModelFolder(GanzooError):
    """A model folder with a missing, truncated, altered or foreign file."""


class BadCheckpoint(GanzooError):
    """A checkpoint that is damaged, hostile, of an unknown layout, or has other tensors than it should."""


class BadData(GanzooError):
    """A data set that is missing, unreadable or not what a family expects."""


class HubError(GanzooError):
    """A model hub that cannot be reached, refuses, or answers with something other than what was asked for."""


class TrainingStopped(GanzooError):
    """Training that cannot go on, such as a player whose gradients stay non-finite."""


class Batch(NamedTuple):
    """What a player's loss receives.

    Args:
        images: `(N, C, H, W)` float32 in [-1, 1]; for two-dimensional mixtures, points `(N, 2)`. On its way from a data
            source to the device it is uint8.
        labels: class indices `(N,)` int64, -1 for one that is hidden from semi-supervised learning; or vectors `(N, K)`
            where a paper conditions on vectors; None without.
        targets: the other half of a pair `(N, C, H, W)`, or of an unpaired batch; None elsewhere.
    """

    images: Tensor
    labels: Tensor | None = None
    targets: Tensor | None = None

    def part(self, start: int, stop: int) -> Batch:
        """The samples from `start` up to `stop`."""
        labels = None if self.labels is None else self.labels[start:stop]
        targets = None if self.targets is None else self.targets[start:stop]
        return Batch(self.images[start:stop], labels, targets)


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


@runtime_checkable
class Samples(Protocol):
    """A model that draws images."""

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        labels: Sequence[int] | Tensor | None = None,
        truncation: float | None = None,
        batch_size: int | None = None,
    ) -> Tensor:
        """Draws `(n, C, H, W)` float32 images in [-1, 1]; image i depends on `seed + i` alone."""
        ...


@runtime_checkable
class Translates(Protocol):
    """A model that maps images to images."""

    def translate(self, images: Tensor) -> Tensor:
        """Maps `(n, C, H, W)` in [-1, 1] to images in [-1, 1]."""
        ...


@runtime_checkable
class Encodes(Protocol):
    """A model that maps images to latents."""

    def encode(self, images: Tensor) -> Tensor:
        """Maps `(n, C, H, W)` in [-1, 1] to latents."""
        ...
