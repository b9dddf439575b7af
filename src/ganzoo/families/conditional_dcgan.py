"""Conditional DCGAN: both players are told the class, in networks of strided convolutions.

Mirza and Osindero 2014, "Conditional Generative Adversarial Nets", arXiv:1411.1784, give both players the label y as a
further input (eq. 2). Here their networks are those of Radford et al. 2016 (DCGAN, arXiv:1511.06434): y stands beside z
as a one-hot vector, and beside the image as constant feature maps. With one-sided label smoothing s (Salimans et al.
2016, arXiv:1606.03498, section 3.4) the target of real images is 1 - s:

    L_D = -(1 - s) E log D(x, y) - s E log(1 - D(x, y)) - E log(1 - D(G(z, y), y))        L_G = -E log D(G(z, y), y)
"""

from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.optim import Adam

from ganzoo.game.abilities import Labelled
from ganzoo.game.priors import Normal, Uniform
from ganzoo.game.registry import register
from ganzoo.nn import dcgan
from ganzoo.objectives import losses
from ganzoo.schema import NonNegative, Positive, Probability
from ganzoo.types import Batch


@register(
    paper="Mirza and Osindero, Conditional Generative Adversarial Nets",
    year=2014,
    url="https://arxiv.org/abs/1411.1784",
    method="Conditional DCGAN",
    task="conditional",
    formula=(
        "L_D = -(1 - s) E log D(x, y) - s E log(1 - D(x, y)) - E log(1 - D(G(z, y), y))",
        "L_G = -E log D(G(z, y), y)",
    ),
)
class ConditionalDCGAN(Labelled):
    """DCGAN's networks, with the class given to both players.

    Args:
        size: side of an image: 4, 5, 6 or 7 times a power of two.
        channels: channels of an image.
        classes: number of classes of the data.
        latent: length of z.
        prior: of z, uniform in [-1, 1] as in DCGAN, or the standard normal.
        width: feature maps beside the images; doubled at every halving of the resolution.
        lr: learning rate of both players.
        betas: Adam's decay rates.
        smoothing: s, how far the target of real images lies below 1.
    """

    def __init__(
        self,
        size: Positive = 64,
        channels: Positive = 3,
        classes: Positive = 10,
        latent: Positive = 100,
        prior: Literal["uniform", "normal"] = "normal",
        width: Positive = 64,
        lr: NonNegative = 2e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
        smoothing: Probability = 0.0,
    ) -> None:
        super().__init__()
        self.shape, self.classes, self.smoothing = (channels, size, size), classes, smoothing
        self.prior = Uniform(-1, 1, latent) if prior == "uniform" else Normal(latent)
        self.generator = dcgan.Generator(latent + classes, channels, size, width)
        self.discriminator = dcgan.Discriminator(channels + classes, size, width)
        self.adam = partial(Adam, lr=lr, betas=betas)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player."""
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """-E log D(x, y) - E log(1 - D(G(z, y), y)), the first term smoothed; each batch normalized by itself."""
        real, fake = (self.logits(self.seen(images), batch) for images in (batch.images, self.fake(batch)))
        return losses.minimax_discriminator(real, fake, self.smoothing)

    def generator_loss(self, batch: Batch) -> Tensor:
        """-E log D(G(z, y), y)."""
        return losses.nonsaturating_generator(self.logits(self.seen(self.fake(batch)), batch))

    def fake(self, batch: Batch) -> Tensor:
        """G(z, y): as many images as there are in the batch, of their classes."""
        return self.drawn(self.noise(batch), self.labels_of(batch))

    def logits(self, images: Tensor, batch: Batch) -> Tensor:
        """D's logits `(N,)` of images with the batch's labels."""
        maps = self.vectors(self.labels_of(batch)).to(images)[:, :, None, None]
        return self.discriminator(torch.cat([images, maps.expand(-1, -1, *images.shape[2:])], 1))

    def realness(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """D's logits of images with their labels."""
        return self.logits(images, Batch(images, labels))
