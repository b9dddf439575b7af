"""Telling how strange pictures are beside those that a model learned from: `detect`."""

from abc import abstractmethod

from torch import Tensor

from ganzoo.game.game import Game


class Detects(Game):
    """A family that scores anomalies; `strangeness` says how."""

    ability = "detects"

    @abstractmethod
    def strangeness(self, images: Tensor) -> Tensor:
        """Scores `(n,)` of images `(n, C, H, W)`, more for stranger ones; called in evaluation mode."""

    def detect(self, images: Tensor, *, batch_size: int = 100) -> Tensor:
        """Scores how little images are like those that the model learned from.

        Args:
            images: `(n, C, H, W)` floats in [-1, 1], of the model's shape.
            batch_size: images looked at at a time; a score does not depend on it.

        Returns:
            `(n,)` float32 on the CPU, more for stranger ones; only one model's own compare with each other.

        Raises:
            BadArgument: for images of another shape.
        """
        return self.each(self.strangeness, images, batch_size)
