"""Relativistic GANs: D says whether a sample is more real than those of the other kind, not whether it is real.

Jolicoeur-Martineau 2018, "The relativistic discriminator: a key element missing from standard GAN", arXiv:1807.00734.
As half of what D sees is generated, D should think less of real samples the better the others become; so the generator
moves both. C are scores before any sigmoid, s the sigmoid. The standard form compares pairs (section 4.1),

    L_D = -E log sigmoid(C(x) - C(G(z)))        L_G = -E log sigmoid(C(G(z)) - C(x))

and the average form each sample with the mean of the other kind (section 4.2):

    L_D = -E log sigmoid(C(x) - E C(G(z))) - E log(1 - sigmoid(C(G(z)) - E C(x)))        L_G: with x and G(z) exchanged
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from torch import Tensor
from torch.optim import Adam

from ganzoo.game.abilities import Samples
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn import dcgan
from ganzoo.objectives import losses
from ganzoo.schema import NonNegative, Positive, Probability
from ganzoo.types import Batch


@register(
    paper="Jolicoeur-Martineau, The relativistic discriminator: a key element missing from standard GAN",
    year=2018,
    url="https://arxiv.org/abs/1807.00734",
    formula=(
        "L_D = -E log sigmoid(C(x) - C(G(z)))",
        "L_G = -E log sigmoid(C(G(z)) - C(x))",
        "L_D = -E log sigmoid(C(x) - E C(G(z))) - E log(1 - sigmoid(C(G(z)) - E C(x)))",
    ),
)
class RGAN(Samples):
    """The discriminator judges whether a sample is more real than those of the other kind, not whether it is real.

    The networks are DCGAN's, as the paper's are for its small cats. Real and generated samples go through the
    discriminator one after the other, each kind with its own batch statistics. The generator's move sees the real
    samples of the discriminator's.

    Args:
        size: side of an image: 4, 5, 6 or 7 times a power of two.
        channels: channels of an image.
        latent: length of z, normal.
        width: feature maps beside the images, in both networks.
        variant: what a sample is compared with: `average` (RaSGAN) or `standard` (RSGAN).
        lr: learning rate of both players.
        betas: Adam's decay rates.
    """

    coupled = True  # the average form, by the means of the batch

    def __init__(
        self,
        size: Positive = 64,
        channels: Positive = 3,
        latent: Positive = 128,
        width: Positive = 64,
        variant: Literal["average", "standard"] = "average",
        lr: NonNegative = 2e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
    ) -> None:
        super().__init__()
        self.shape, self.prior = (channels, size, size), Normal(latent)
        self.generator = dcgan.Generator(latent, channels, size, width)
        self.discriminator = dcgan.Discriminator(channels, size, width)
        average = variant == "average"
        self.against = losses.relativistic_average_discriminator if average else losses.relativistic_discriminator
        self.adam = partial(Adam, lr=lr, betas=betas)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player."""
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """How much more real x is than G(z)."""
        return self.against(*self.scores(batch))

    def generator_loss(self, batch: Batch) -> Tensor:
        """How much more real G(z) is than x: the same loss with both exchanged."""
        real, fake = self.scores(batch)
        return self.against(fake, real)

    def scores(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """C(x) and C(G(z)), `(N,)` each."""
        fake = self.generator(self.noise(batch))
        return self.discriminator(self.seen(batch.images)), self.discriminator(self.seen(fake))
