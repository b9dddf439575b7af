"""DCGAN: a generator and a discriminator of strided convolutions that train stably.

Radford, Metz and Chintala 2016, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks", arXiv:1511.06434. No pooling, no hidden fully connected layers, batch normalization in both players, ReLU in
the generator and leaky ReLU in the discriminator, Adam with a low first moment:

    L_D = -E log D(x) - E log(1 - D(G(z)))        L_G = -E log D(G(z))        z ~ U[-1, 1]^100
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Adam

from ganzoo.game.abilities import Samples
from ganzoo.game.arguments import Count, Positive, Share, Weight
from ganzoo.game.engine import Player
from ganzoo.game.priors import Normal, Uniform
from ganzoo.game.registry import register
from ganzoo.nn import dcgan
from ganzoo.objectives import losses
from ganzoo.types import Batch, Condition


@register(
    paper="Radford, Metz and Chintala, Unsupervised Representation Learning with Deep Convolutional Generative "
    "Adversarial Networks",
    year=2016,
    url="https://arxiv.org/abs/1511.06434",
    formula=(
        "L_D = -E log D(x) - E log(1 - D(G(z)))",
        "L_G = -E log D(G(z))",
        "z ~ U[-1, 1]^100",
    ),
)
class DCGAN(Samples):
    """Strided convolutions, batch normalization and a tuned Adam make image GANs train stably.

    Args:
        size: side of an image: 4, 5, 6 or 7 times a power of two.
        channels: of an image.
        latent: length of z.
        prior: of z, uniform in [-1, 1] (section 4.1), or the standard normal of most later code.
        width: feature maps beside the images; doubled at every halving of the resolution (128 in figure 1).
        lr: learning rate of both players (section 4).
        betas: Adam's decay rates (section 4).
        smoothing: one-sided label smoothing (Salimans 2016); the paper has none.
        classes: with some, the class stands beside z as a one-hot vector, and beside the image as constant feature
            maps; the paper has none.
        reuse: whether the generator moves against the very fakes that the discriminator has just seen, as in the Torch
            code of one of the paper's authors (soumith/dcgan.torch), instead of new ones, as in the paper's own code
            (Newmu/dcgan_code); it saves a pass through the generator.
    """

    def __init__(
        self,
        size: Positive = 64,
        channels: Positive = 3,
        latent: Positive = 100,
        prior: Literal["uniform", "normal"] = "uniform",
        width: Positive = 128,
        lr: Weight = 2e-4,
        betas: tuple[Share, Share] = (0.5, 0.999),
        smoothing: Share = 0.0,
        classes: Count = 0,
        reuse: bool = False,
    ) -> None:
        super().__init__()
        self.shape, self.smoothing = (channels, size, size), smoothing
        self.classes, self.labelled, self.reuse = classes or None, bool(classes), reuse
        self.prior = Uniform(-1, 1, latent) if prior == "uniform" else Normal(latent)
        self.generator = dcgan.Generator(latent + classes, channels, size, width)
        self.discriminator = dcgan.Discriminator(channels + classes, size, width)
        self.adam = partial(Adam, lr=lr, betas=betas)

    def players(self) -> dict[str, Player]:
        """The discriminator and the generator, with the same Adam."""
        return {
            "discriminator": Player(self.discriminator, self.adam),
            "generator": Player(self.generator, self.adam),
        }

    def generate(self, z: Tensor, condition: Condition) -> Tensor:
        """Maps z `(n, latent)` and the classes, where there are some, through the averaged generator."""
        return self.averaged(self.beside(z, condition.labels))

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player."""
        fake = self.ahead(self.fake, batch) if self.reuse else None
        self.move("discriminator", self.discriminator_loss, batch, None if fake is None else fake.detach())
        self.move("generator", self.generator_loss, batch, fake)

    def discriminator_loss(self, batch: Batch, fake: Tensor | None = None) -> Tensor:
        """-E log D(x) - E log(1 - D(G(z))), each batch normalized by itself."""
        fake = self.fake(batch) if fake is None else fake
        real, fake = self.judge(batch.images, batch), self.judge(fake, batch)
        return losses.minimax_discriminator(real, fake, self.smoothing)

    def generator_loss(self, batch: Batch, fake: Tensor | None = None) -> Tensor:
        """-E log D(G(z))."""
        return losses.nonsaturating_generator(self.judge(self.fake(batch) if fake is None else fake, batch))

    def fake(self, batch: Batch) -> Tensor:
        """G(z), as many as there are images in the batch, of their classes where there are some."""
        labels = self.labels_of(batch) if self.classes else None
        return self.generator(self.beside(self.noise(batch), labels))

    def beside(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Z with the class as a one-hot vector beside it, where there are classes."""
        return z if labels is None else torch.cat([z, F.one_hot(labels, self.classes or 0).to(z)], 1)

    def judge(self, x: Tensor, batch: Batch) -> Tensor:
        """D's logits `(N,)`; the class, where there are some, is a constant feature map beside the image."""
        if self.classes:
            maps = F.one_hot(self.labels_of(batch), self.classes).to(x)[:, :, None, None]
            x = torch.cat([x, maps.expand(-1, -1, *x.shape[2:])], 1)
        return self.discriminator(x)
