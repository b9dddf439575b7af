"""Mixtures of Gaussians in the plane: data whose modes can be counted, for the theory."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ganzoo.data.batch import Data, Images
from ganzoo.schema import Count, Finite, Positive

_SPLIT_STREAMS = {"train": 0, "test": 1}


class _Mixture(Data):
    """Equal Gaussians around `centres` `(modes, 2)`; a point's label is its mode.

    Args:
        std: the standard deviation of each, in both coordinates.
        n: points for training; a fifth as many more for testing.
        seed: of the points.
        batch_size: points per process and batch.
        **options: of every source; see `Data`.
    """

    name: str
    centres: npt.NDArray[np.float32]

    def __init__(
        self, std: Finite, n: Positive = 100_000, seed: Count = 0, batch_size: Positive = 512, **options: Any
    ) -> None:
        super().__init__(batch_size, **options)
        self.std, self.n, self.seed = std, n, seed

    def read(self, split: str) -> Images:
        """Draws the points of a split; the same ones each time."""
        points, labels = [], []
        for part in ("train", "test") if split == "all" else (split,):
            count = self.n if part == "train" else max(self.n // 5, 1)
            random = np.random.RandomState(np.random.MT19937(np.random.SeedSequence([self.seed, _SPLIT_STREAMS[part]])))
            modes = random.randint(0, len(self.centres), count).astype(np.int64)
            points.append((self.centres[modes] + self.std * random.standard_normal((count, 2))).astype(np.float32))
            labels.append(modes)
        classes = tuple(f"mode {k}" for k in range(len(self.centres)))
        return Images(self.name, np.concatenate(points), np.concatenate(labels), classes, split, "CC0-1.0")


class Ring(_Mixture):
    """Equal Gaussians on a circle, by default the 8 of standard deviation 0.02 and radius 2 of the unrolled GAN.

    Metz et al., "Unrolled Generative Adversarial Networks", 2017 (arXiv 1611.02163), section 3.1 and appendix A. Mode k
    lies at angle 2πk / modes; a point's label is its mode.

    Args:
        modes: how many Gaussians.
        radius: of the circle through their means.
        std: the standard deviation of each, in both coordinates.
        **options: of both mixtures, and of every source; see `Data`.
    """

    name = "ring"

    def __init__(self, modes: Positive = 8, radius: Finite = 2.0, std: Finite = 0.02, **options: Any) -> None:
        super().__init__(std, **options)
        angles = 2 * np.pi * np.arange(modes) / modes
        self.centres = (radius * np.stack([np.cos(angles), np.sin(angles)], 1)).astype(np.float32)


class Grid(_Mixture):
    """Equal Gaussians on a square grid around the origin, by default 5 x 5 with spacing 2 and standard deviation 0.05.

    The 2D-grid of Lin et al., "PacGAN", 2018 (arXiv 1712.04086), section 4.1, after Srivastava et al., "VEEGAN", 2017
    (arXiv 1705.07761). Modes are numbered row by row from the lower left; a point's label is its mode.

    Args:
        side: modes along a side; there are `side` x `side`.
        spacing: between the means of neighbours.
        std: the standard deviation of each, in both coordinates.
        **options: of both mixtures, and of every source; see `Data`.
    """

    name = "grid"

    def __init__(self, side: Positive = 5, spacing: Finite = 2.0, std: Finite = 0.05, **options: Any) -> None:
        super().__init__(std, **options)
        x, y = np.meshgrid(*2 * [spacing * (np.arange(side) - (side - 1) / 2)])
        self.centres = np.stack([x.ravel(), y.ravel()], 1).astype(np.float32)
