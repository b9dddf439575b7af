"""Telling images' classes: `classify`."""

from abc import abstractmethod

from torch import Tensor

from ganzoo.game.game import Game


class Classifies(Game):
    """A family with a classifier of its own among its networks; `logits` says how it is asked."""

    ability = "classifies"

    @abstractmethod
    def logits(self, images: Tensor) -> Tensor:
        """Logits `(n, classes)` of images `(n, C, H, W)`, by the averaged network; gradients flow."""

    def classify(self, images: Tensor, *, batch_size: int = 100) -> Tensor:
        """The classes of images, by the model's own classifier.

        Args:
            images: `(n, C, H, W)` floats in [-1, 1], of the model's shape.
            batch_size: images looked at at a time.

        Returns:
            Logits `(n, classes)` float32, on the CPU.

        Raises:
            BadArgument: for images of another shape.
        """
        return self.each(self.logits, images, batch_size)
