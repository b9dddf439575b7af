"""Priors: what z is drawn from, once for training and for sampling.

Training draws from torch's stream on the device, sampling from one numpy stream an image, so that an image depends on
its seed alone. A walk goes through latents as numbers of the standard normal, where a sphere is the way between two:
what is drawn from another prior is mapped there and back through both distribution functions, F^-1(Phi(x)), and so
never leaves its prior's range. Sampling needs no torch, which is imported where it is
used: an exported model is sampled from without it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganzoo.types import BadArgument

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Prior(ABC):
    """A distribution of latents.

    Args:
        length: of z.
    """

    def __init__(self, length: int) -> None:
        self.length = length

    @abstractmethod
    def draw(self, n: int, device: torch.device | str) -> Tensor:
        """`(n, length)` float32 from torch's stream."""

    @abstractmethod
    def of(self, rng: np.random.RandomState) -> np.ndarray:
        """One z `(length,)` from an image's own stream."""

    def to_normal(self, z: Tensor) -> Tensor:
        """z `(n, length)` as numbers that are standard normal where z is drawn; z itself unless a prior says more."""
        return z

    def from_normal(self, x: Tensor) -> Tensor:
        """The inverse of `to_normal`: z `(n, length)`, in the prior's range; gradients flow."""
        return x

    def describe(self) -> list[dict[str, Any]]:
        """The independent parts of z in their order, as plain JSON values, of which `prior_of` makes it again.

        Raises:
            BadArgument: for a prior of a user's own, which nothing but its class knows.
        """
        raise BadArgument(f"{type(self).__name__} is no prior that can be written down: give it `describe`")


class Normal(Prior):
    """The standard normal."""

    def draw(self, n: int, device: torch.device | str) -> Tensor:
        """`(n, length)` float32 from torch's stream."""
        import torch

        return torch.randn(n, self.length, device=device)

    def of(self, rng: np.random.RandomState) -> np.ndarray:
        """One z `(length,)` from an image's own stream."""
        return rng.randn(self.length)

    def describe(self) -> list[dict[str, Any]]:
        """One part."""
        return [{"kind": "normal", "length": self.length}]


class Uniform(Prior):
    """Uniform between two numbers.

    Args:
        low: the lower end.
        high: the upper end.
        length: of z.
    """

    def __init__(self, low: float, high: float, length: int) -> None:
        super().__init__(length)
        self.low, self.high = low, high

    def draw(self, n: int, device: torch.device | str) -> Tensor:
        """`(n, length)` float32 from torch's stream."""
        import torch

        return torch.empty(n, self.length, device=device).uniform_(self.low, self.high)

    def of(self, rng: np.random.RandomState) -> np.ndarray:
        """One z `(length,)` from an image's own stream."""
        return rng.uniform(self.low, self.high, self.length)

    def to_normal(self, z: Tensor) -> Tensor:
        """Phi^-1 of the share of the range below z; the ends of the range are 5.2 standard deviations off."""
        import torch

        return torch.special.ndtri(((z - self.low) / (self.high - self.low)).clamp(1e-7, 1 - 1e-7))

    def from_normal(self, x: Tensor) -> Tensor:
        """low + (high - low) Phi(x)."""
        import torch

        return self.low + (self.high - self.low) * torch.special.ndtr(x)

    def describe(self) -> list[dict[str, Any]]:
        """One part."""
        return [{"kind": "uniform", "low": self.low, "high": self.high, "length": self.length}]


class Joint(Prior):
    """Independent parts side by side, such as InfoGAN's noise and codes.

    Args:
        parts: in the order in which they stand in z.
    """

    def __init__(self, parts: Sequence[Prior]) -> None:
        super().__init__(sum(part.length for part in parts))
        self.parts = tuple(parts)

    def draw(self, n: int, device: torch.device | str) -> Tensor:
        """`(n, length)` float32 from torch's stream."""
        import torch

        return torch.cat([part.draw(n, device) for part in self.parts], 1)

    def of(self, rng: np.random.RandomState) -> np.ndarray:
        """One z `(length,)` from an image's own stream."""
        return np.concatenate([part.of(rng) for part in self.parts])

    def to_normal(self, z: Tensor) -> Tensor:
        """Each part by itself."""
        import torch

        pieces = zip(self.parts, z.split([part.length for part in self.parts], 1), strict=True)
        return torch.cat([part.to_normal(piece) for part, piece in pieces], 1)

    def from_normal(self, x: Tensor) -> Tensor:
        """Each part by itself."""
        import torch

        pieces = zip(self.parts, x.split([part.length for part in self.parts], 1), strict=True)
        return torch.cat([part.from_normal(piece) for part, piece in pieces], 1)

    def describe(self) -> list[dict[str, Any]]:
        """All of them."""
        return [each for part in self.parts for each in part.describe()]


def prior_of(parts: Sequence[dict[str, Any]]) -> Prior:
    """The prior of `Prior.describe`."""
    made: list[Prior] = [
        Normal(part["length"]) if part["kind"] == "normal" else Uniform(part["low"], part["high"], part["length"])
        for part in parts
    ]
    return made[0] if len(made) == 1 else Joint(made)


# ------------------------------------------------------------------------------------------------- drawing by seeds


def draw(
    prior: Prior, rngs: Sequence[np.random.RandomState], classes: int | None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64] | None]:
    """z `(n, latent)`, and labels `(n,)` where there are classes to draw from: each image's z first, then its label."""
    z, labels = [], []
    for rng in rngs:
        z.append(prior.of(rng))
        if classes is not None:
            labels.append(int(rng.randint(classes)))
    return np.stack(z).astype(np.float32), None if classes is None else np.array(labels, np.int64)


def draw_noise(rng: np.random.RandomState, side: int, kind: str = "normal") -> npt.NDArray[np.float64]:
    """One noise input `(1, side, side)` of an image, from its stream: standard normal, or uniform in [0, 1)."""
    return rng.rand(1, side, side) if kind == "uniform" else rng.randn(1, side, side)


def truncate(
    z: npt.NDArray[np.float32], rngs: Sequence[np.random.RandomState], limit: float, scale: float = 1.0
) -> npt.NDArray[np.float32]:
    """Normal z `(n, latent)` with what lies beyond `limit` drawn again, each row from its stream, and then scaled.

    Drawn by the inverse of the distribution function, which a small limit does not make wait.
    """
    normal, values = NormalDist(), z.astype(np.float64)
    low, high = normal.cdf(-limit), normal.cdf(limit)
    for row, rng in zip(values, rngs, strict=True):
        beyond = np.abs(row) > limit
        shares = rng.uniform(low, high, int(beyond.sum()))
        row[beyond] = np.clip([normal.inv_cdf(share) for share in shares], -limit, limit)
    return (scale * values).astype(np.float32)
