"""Mapping images to latents: `encode`."""

from torch import Tensor

from ganzoo.game.game import Game


class Encodes(Game):
    """A family with an encoder from images to latents: the network `encoder`, unless it overrides `encoding`."""

    ability = "encodes"

    def encoding(self, images: Tensor) -> Tensor:
        """Latents `(n, d)` of images `(n, C, H, W)`, by the averaged encoder; gradients flow."""
        return self.average_module("encoder")(images)

    def encode(self, images: Tensor, *, batch_size: int = 256) -> Tensor:
        """Maps images to latents by the averaged encoder.

        Args:
            images: `(n, C, H, W)` floats in [-1, 1], of the model's shape.
            batch_size: images mapped at a time.

        Returns:
            `(n, d)` float32, on the CPU.

        Raises:
            BadArgument: for images of another shape.
        """
        return self.each(self.encoding, images, batch_size)
