"""Mapping images to latents, and back: `encode`, `reconstruct`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ganzoo.game.engine import Player
from ganzoo.game.game import Game
from ganzoo.media.levels import to_float
from ganzoo.types import Condition

if TYPE_CHECKING:
    from ganzoo.data.batch import Images


class Encodes(Game):
    """A family with an encoder from images to latents: the network `encoder`, unless it overrides `encoding`.

    What comes back of images is what is drawn of their latents, unless it overrides `reconstruction`.
    """

    ability = "encodes"

    def players(self) -> dict[str, Player]:
        """The discriminator, and the generator with the encoder, with the same `adam`, unless overridden."""
        modules = {"discriminator": self.discriminator, "generator": (self.generator, self.encoder)}
        return {name: Player(each, self.adam) for name, each in modules.items()}

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

    def reconstruction(self, images: Tensor) -> Tensor:
        """What comes back of images `(n, C, H, W)` from their latents, as it comes; gradients flow."""
        return self.generate(self.encoding(images), Condition())

    def reconstruct(self, images: Tensor, *, batch_size: int = 256) -> Tensor:
        """Maps images to latents and back, by the averaged networks.

        Args:
            images: `(n, C, H, W)` floats in [-1, 1], of the model's shape.
            batch_size: images mapped at a time.

        Returns:
            `(n, C, H, W)` float32 in [-1, 1], on the CPU.

        Raises:
            BadArgument: for images of another shape.
        """
        return self.limit(self.each(self.reconstruction, images, batch_size))

    def pictures(self, real: Images | None) -> dict[str, Tensor]:
        """Reconstructions: rows of test images, each above its row of what comes back of them."""
        if real is None:
            return {}
        images = to_float(real.batch([i * len(real) // 24 for i in range(24)]).images)
        rows = [each.unflatten(0, (2, 12)) for each in (images, self.reconstruct(images))]
        return {"reconstructions": torch.stack(rows, 1).flatten(0, 1)}
