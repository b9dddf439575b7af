"""Priors: what z is drawn from, once for training and for sampling.

Training draws from torch's stream on the device, sampling from one numpy stream an image, so that an image depends on
its seed alone. A walk goes through latents as numbers of the standard normal, where a sphere is the way between two:
what is drawn from another prior is mapped there and back through both distribution functions, F^-1(Phi(x)), and so
never leaves its prior's range.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
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


class Normal(Prior):
    """The standard normal."""

    def draw(self, n: int, device: torch.device | str) -> Tensor:
        """`(n, length)` float32 from torch's stream."""
        return torch.randn(n, self.length, device=device)

    def of(self, rng: np.random.RandomState) -> np.ndarray:
        """One z `(length,)` from an image's own stream."""
        return rng.randn(self.length)


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
        return torch.empty(n, self.length, device=device).uniform_(self.low, self.high)

    def of(self, rng: np.random.RandomState) -> np.ndarray:
        """One z `(length,)` from an image's own stream."""
        return rng.uniform(self.low, self.high, self.length)

    def to_normal(self, z: Tensor) -> Tensor:
        """Phi^-1 of the share of the range below z; the ends of the range are 5.2 standard deviations off."""
        return torch.special.ndtri(((z - self.low) / (self.high - self.low)).clamp(1e-7, 1 - 1e-7))

    def from_normal(self, x: Tensor) -> Tensor:
        """low + (high - low) Phi(x)."""
        return self.low + (self.high - self.low) * torch.special.ndtr(x)


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
        return torch.cat([part.draw(n, device) for part in self.parts], 1)

    def of(self, rng: np.random.RandomState) -> np.ndarray:
        """One z `(length,)` from an image's own stream."""
        return np.concatenate([part.of(rng) for part in self.parts])

    def to_normal(self, z: Tensor) -> Tensor:
        """Each part by itself."""
        pieces = zip(self.parts, z.split([part.length for part in self.parts], 1), strict=True)
        return torch.cat([part.to_normal(piece) for part, piece in pieces], 1)

    def from_normal(self, x: Tensor) -> Tensor:
        """Each part by itself."""
        pieces = zip(self.parts, x.split([part.length for part in self.parts], 1), strict=True)
        return torch.cat([part.from_normal(piece) for part, piece in pieces], 1)
