"""cGAN with projection discriminator: labels enter the score as an inner product with the features.

Miyato and Koyama 2018, "cGANs with Projection Discriminator", arXiv:1802.05637. Where the likelihoods p(y|x) and q(y|x)
are log-linear, the optimal discriminator is an inner product of an embedded label with features of the image, plus a
term of the image alone (eq. 3). The generator takes labels by conditional batch normalization:

    D(x, y) = y'V phi(x) + psi(phi(x))
    L_D = E max(0, 1 - D(x, y)) + E max(0, 1 + D(G(z, y'), y'))        L_G = -E D(G(z, y'), y')        y' uniform
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
    paper="Miyato and Koyama, cGANs with Projection Discriminator",
    year=2018,
    url="https://arxiv.org/abs/1802.05637",
    formula=(
        "D(x, y) = y'V phi(x) + psi(phi(x))",
        "L_D = E max(0, 1 - D(x, y)) + E max(0, 1 + D(G(z, y'), y'))",
        "L_G = -E D(G(z, y'), y')",
        "y' uniform",
    ),
)
class CGANPD(Samples):
    """The projection of an embedded label on the features tells whether an image is real and of its class.

    The defaults are those of ImageNet (figure 14), but for the number of classes. The discriminator is under spectral
    normalization, the projection with it; the generator is not.

    Args:
        size: side of an image.
        channels: of an image.
        latent: length of z, normal.
        classes: number of classes (1000 of ImageNet).
        widths: the generator's feature maps from the smallest side up; each further one doubles the side.
        discriminator_widths: the discriminator's feature maps after each block.
        downsamplings: how many of its blocks, from the first, halve the side.
        n_critic: updates of the discriminator to one of the generator (section 5).
        lr: learning rate of both players.
        betas: Adam's decay rates.
        variant: whose details are computed. `paper`: the authors. code. `mimicry`: pixels are doubled bilinearly, and
            the discriminator's shortcuts see their input after the ReLU.
    """

    labelled = True

    def __init__(
        self,
        size: Positive = 128,
        channels: Positive = 3,
        latent: Positive = 128,
        classes: Positive = 10,
        widths: Sizes = (1024, 1024, 512, 256, 128, 64),
        discriminator_widths: Sizes = (64, 128, 256, 512, 1024, 1024),
        downsamplings: Layers = 5,
        n_critic: Positive = 5,
        lr: Weight = 2e-4,
        betas: tuple[Share, Share] = (0.0, 0.9),
        variant: Literal["paper", "mimicry"] = "paper",
    ) -> None:
        super().__init__()
        self.shape, self.classes, self.n_critic = (channels, size, size), classes, n_critic
        self.prior = Normal(latent)
        mimicry = variant == "mimicry"
        upsampling: resnet.Upsampling = "bilinear" if mimicry else "nearest"
        self.generator = resnet.Generator(latent, channels, size, widths, classes=classes, upsampling=upsampling)
        self.discriminator = resnet.Discriminator(
            channels,
            size,
            discriminator_widths,
            downsamplings,
            classes=classes,
            layers=spectral_layers(),
            activated=mimicry,
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
        """E max(0, 1 - D(x, y)) + E max(0, 1 + D(G(z, y'), y')), in one pass of D."""
        z, drawn = self.latents_and_labels(batch)
        images = torch.cat([batch.images, self.generator(z, drawn)])
        scores = self.discriminator(images, torch.cat([self.labels_of(batch), drawn]))
        return losses.hinge_discriminator(*scores.chunk(2))

    def generator_loss(self, batch: Batch) -> Tensor:
        """-E D(G(z, y'), y')."""
        z, drawn = self.latents_and_labels(batch)
        return losses.hinge_generator(self.discriminator(self.generator(z, drawn), drawn))

    def latents_and_labels(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """z `(N, latent)` and labels `(N,)`, uniform, as many as there are images in the batch."""
        assert self.classes is not None
        n = len(batch.images)
        return self.noise(batch), torch.randint(self.classes, (n,), device=self.device)
