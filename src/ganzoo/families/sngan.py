"""SNGAN: a discriminator whose every layer has a spectral norm of 1 is Lipschitz without a penalty.

Miyato, Kataoka, Koyama and Yoshida 2018, "Spectral Normalization for Generative Adversarial Networks",
arXiv:1802.05957. Each weight matrix is divided by its largest singular value, which one step of the power method at
every pass keeps track of (Algorithm 1). The networks are residual (appendix B.4), the loss is the hinge (eqs. 16, 17):

    W_SN = W / sigma(W)
    L_D = E max(0, 1 - D(x)) + E max(0, 1 + D(G(z)))        L_G = -E D(G(z))        z ~ N(0, 1)^128
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.optim import Adam

from ganzoo.game.abilities import Samples
from ganzoo.game.arguments import Layers, Positive, Share, Sizes, Weight
from ganzoo.game.engine import Player
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn import resnet
from ganzoo.nn.spectral import spectral_layers
from ganzoo.objectives import losses
from ganzoo.types import Batch


@register(
    paper="Miyato, Kataoka, Koyama and Yoshida, Spectral Normalization for Generative Adversarial Networks",
    year=2018,
    url="https://arxiv.org/abs/1802.05957",
    formula=(
        "W_SN = W / sigma(W)",
        "L_D = E max(0, 1 - D(x)) + E max(0, 1 + D(G(z)))",
        "L_G = -E D(G(z))",
        "z ~ N(0, 1)^128",
    ),
)
class SNGAN(Samples):
    """Dividing each weight matrix by its largest singular value bounds the discriminator's slope at almost no cost.

    The defaults are those of CIFAR-10 (table 4, setting (F) of table 1).

    Args:
        size: side of an image.
        channels: of an image.
        latent: length of z, normal.
        widths: the generator's feature maps from the smallest side up; each further one doubles the side.
        discriminator_widths: the discriminator's feature maps after each block.
        downsamplings: how many of its blocks, from the first, halve the side.
        n_critic: updates of the discriminator to one of the generator (n_dis).
        lr: learning rate of both players.
        betas: Adam's decay rates.
        variant: whose details are computed. `paper`: the authors. code. `mimicry`: pixels are doubled bilinearly, and
            the discriminator's shortcuts see their input after the ReLU.
    """

    def __init__(
        self,
        size: Positive = 32,
        channels: Positive = 3,
        latent: Positive = 128,
        widths: Sizes = (256, 256, 256, 256),
        discriminator_widths: Sizes = (128, 128, 128, 128),
        downsamplings: Layers = 2,
        n_critic: Positive = 5,
        lr: Weight = 2e-4,
        betas: tuple[Share, Share] = (0.0, 0.9),
        variant: Literal["paper", "mimicry"] = "paper",
    ) -> None:
        super().__init__()
        self.shape, self.n_critic = (channels, size, size), n_critic
        self.prior = Normal(latent)
        mimicry = variant == "mimicry"
        upsampling: resnet.Upsampling = "bilinear" if mimicry else "nearest"
        self.generator = resnet.Generator(latent, channels, size, widths, upsampling=upsampling)
        self.discriminator = resnet.Discriminator(
            channels, size, discriminator_widths, downsamplings, layers=spectral_layers(), activated=mimicry
        )
        self.adam = partial(Adam, lr=lr, betas=betas)

    def players(self) -> dict[str, Player]:
        """The discriminator and the generator, with the same Adam."""
        return {
            "discriminator": Player(self.discriminator, self.adam),
            "generator": Player(self.generator, self.adam),
        }

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """An update of the discriminator with a batch; after n_critic of them one of the generator."""
        self.move("discriminator", self.discriminator_loss, batch)
        if self.turn(every=self.n_critic):
            self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))) (eq. 16); one pass of D, and so one step of the power method."""
        scores = self.discriminator(torch.cat([batch.images, self.generator(self.noise(batch))]))
        return losses.hinge_discriminator(*scores.chunk(2))

    def generator_loss(self, batch: Batch) -> Tensor:
        """-E D(G(z)) (eq. 17)."""
        return losses.hinge_generator(self.discriminator(self.generator(self.noise(batch))))
