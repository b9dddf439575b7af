"""Priors: what z is drawn from, once for training and for sampling.

Training draws from torch's stream on the device, sampling from one numpy stream an image, so that an image depends on
its seed alone.
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
