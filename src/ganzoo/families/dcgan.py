"""DCGAN: a generator and a discriminator of strided convolutions that train stably.

Radford, Metz and Chintala 2016, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks", arXiv:1511.06434. No pooling, no hidden fully connected layers, batch normalization in both players, ReLU in
the generator and leaky ReLU in the discriminator, Adam with a low first moment:

    L_D = -E log D(x) - E log(1 - D(G(z)))        L_G = -E log D(G(z))        z ~ U[-1, 1]^100
"""

from __future__ import annotations

from functools import partial

import numpy as np
from torch import Tensor
from torch.optim import Adam

from ganzoo.nn import dcgan
from ganzoo.objectives import losses
from ganzoo.training.engine import Player
from ganzoo.training.game import Game
from ganzoo.types import Batch
from ganzoo.zoo.arguments import Positive, Share, Weight
from ganzoo.zoo.registry import register


@register(
    paper="Radford, Metz and Chintala, Unsupervised Representation Learning with Deep Convolutional Generative "
    "Adversarial Networks",
    year=2016,
    url="https://arxiv.org/abs/1511.06434",
)
class DCGAN(Game):
    """Strided convolutions, batch normalization and a tuned Adam make image GANs train stably.

    Args:
        size: side of an image: 4, 5, 6 or 7 times a power of two.
        channels: of an image.
        latent: length of z, uniform in [-1, 1] (section 4.1).
        width: feature maps beside the images; doubled at every halving of the resolution (128 in figure 1).
        lr: learning rate of both players (section 4).
        betas: Adam's decay rates (section 4).
        smoothing: one-sided label smoothing (Salimans 2016); the paper has none.
    """

    def __init__(
        self,
        size: Positive = 64,
        channels: Positive = 3,
        latent: Positive = 100,
        width: Positive = 128,
        lr: Weight = 2e-4,
        betas: tuple[Share, Share] = (0.5, 0.999),
        smoothing: Share = 0.0,
    ) -> None:
        super().__init__()
        self.shape, self.latent, self.smoothing = (channels, size, size), latent, smoothing
        self.generator = dcgan.Generator(latent, channels, size, width)
        self.discriminator = dcgan.Discriminator(channels, size, width)
        self.adam = partial(Adam, lr=lr, betas=betas)

    def players(self) -> dict[str, Player]:
        """The discriminator and the generator, with the same Adam."""
        return {
            "discriminator": Player(self.discriminator, self.adam),
            "generator": Player(self.generator, self.adam),
        }

    def prior(self, rng: np.random.RandomState) -> np.ndarray:
        """z ~ U[-1, 1] in each coordinate."""
        return rng.uniform(-1, 1, self.latent)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player."""
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """-E log D(x) - E log(1 - D(G(z))), each batch normalized by itself."""
        fake = self.generator(self.noise(batch))
        return losses.minimax_discriminator(self.discriminator(batch.images), self.discriminator(fake), self.smoothing)

    def generator_loss(self, batch: Batch) -> Tensor:
        """-E log D(G(z))."""
        return losses.nonsaturating_generator(self.discriminator(self.generator(self.noise(batch))))

    def noise(self, batch: Batch) -> Tensor:
        """z `(N, latent)`, as many as there are images in the batch."""
        return batch.images.new_empty(len(batch.images), self.latent).uniform_(-1, 1)
