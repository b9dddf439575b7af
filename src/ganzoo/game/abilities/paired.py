"""Learning a translation from pairs."""

import torch
from torch import Tensor

from ganzoo.game.abilities.translates import Translates
from ganzoo.types import Batch


class Paired(Translates):
    """A family that learns from pairs, by a discriminator that sees x beside y: the batch's images and their targets.

    Both players move against the same G(x).
    """

    two_domains = True

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player, against the same G(x)."""
        fake = self.ahead(self.fake, batch)
        self.move("discriminator", self.discriminator_loss, batch, fake.detach())
        self.move("generator", self.generator_loss, batch, fake)

    def fake(self, batch: Batch) -> Tensor:
        """G(x)."""
        return self.generator(batch.images).to(batch.images)

    def scores(self, x: Tensor, y: Tensor) -> Tensor:
        """D(x, y), both augmented alike where they are."""
        return self.discriminator(self.seen(torch.cat([x, y], 1)))
