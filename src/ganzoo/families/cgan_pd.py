"""cGAN with projection discriminator: labels enter the score as an inner product with the features.

Miyato and Koyama 2018, "cGANs with Projection Discriminator", arXiv:1802.05637. Where the likelihoods p(y|x) and q(y|x)
are log-linear, the optimal discriminator is an inner product of an embedded label with features of the image, plus a
term of the image alone (eq. 3). The generator takes labels by conditional batch normalization:

    D(x, y) = y'V phi(x) + psi(phi(x))
    L_D = E max(0, 1 - D(x, y)) + E max(0, 1 + D(G(z, y'), y'))        L_G = -E D(G(z, y'), y')        y' uniform
"""

import torch
from torch import Tensor

from ganzoo.game.abilities import Adversarial
from ganzoo.game.engine import Player, adams
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn import resnet
from ganzoo.objectives import losses
from ganzoo.schema import Layers, NonNegative, Positive, Probability, Sizes
from ganzoo.types import Batch


@register(
    paper="Miyato and Koyama, cGANs with Projection Discriminator",
    year=2018,
    url="https://arxiv.org/abs/1802.05637",
    method="Projection cGAN",
    formula=(
        "D(x, y) = y'V phi(x) + psi(phi(x))",
        "L_D = E max(0, 1 - D(x, y)) + E max(0, 1 + D(G(z, y'), y'))",
        "L_G = -E D(G(z, y'), y')",
        "y' uniform",
    ),
)
class CGANPD(Adversarial):
    """The projection of an embedded label on the features tells whether an image is real and of its class.

    The defaults are those of ImageNet (figure 14), but for the number of classes. The discriminator is under spectral
    normalization, the projection with it; the generator is not. The authors' code lets both rates fall linearly to 0
    between updates 400,000 and 450,000 of the generator; in batches of 64, `engine.decay` is `[128000000, 144000000]`.

    Args:
        size: side of an image.
        channels: channels of an image.
        latent: length of z, normal.
        classes: number of classes (1000 of ImageNet).
        widths: the generator's feature maps from the smallest side up; each further one doubles the side.
        discriminator_widths: the discriminator's feature maps after each block.
        downsamplings: how many of its blocks, from the first, halve the side.
        n_critic: updates of the discriminator to one of the generator (section 5).
        lr: learning rate of the generator.
        discriminator_lr: learning rate of the discriminator; None for the same.
        betas: Adam's decay rates.
        generated: how many images the generator is judged by at its update, for each in the discriminator's batch (128
            to 64 in the authors' code).
        reuse: whether the generator moves instead against the very images that the discriminator has just seen; it
            saves a pass through the generator.
        variant: whose details are computed. `paper`: the authors' code. `mimicry`: pixels are doubled bilinearly, and
            the discriminator's shortcuts see their input after the ReLU. `studiogan`: the second alone; the first
            convolution of a discriminator's block widens, batch normalization adds 1e-4 to variances, and
            its gains and biases are linear maps of the one-hot class.
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
        lr: NonNegative = 2e-4,
        discriminator_lr: NonNegative | None = None,
        betas: tuple[Probability, Probability] = (0.0, 0.9),
        generated: Positive = 2,
        reuse: bool = False,
        variant: resnet.Variant = "paper",
    ) -> None:
        super().__init__()
        self.shape, self.classes, self.n_critic = (channels, size, size), classes, n_critic
        self.generated, self.reuse = generated, reuse
        self.prior = Normal(latent)
        sizes = (latent, channels, size, widths, discriminator_widths, downsamplings)
        networks = resnet.sngan(resnet.Discriminator, *sizes, classes=classes, variant=variant)
        self.generator, self.discriminator = networks
        self.adams = adams(lr, lr if discriminator_lr is None else discriminator_lr, betas)

    def players(self) -> dict[str, Player]:
        """The discriminator and the generator, each with its own learning rate."""
        return {name: Player(getattr(self, name), adam) for name, adam in self.adams.items()}

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """An update of the discriminator with a batch; after n_critic of them one of the generator."""
        turn = self.turn(every=self.n_critic)
        fake, drawn = None, None
        if turn and self.reuse:
            z, drawn = self.latents_and_labels(batch)
            fake = self.ahead(self.generator, z, drawn)
        self.move("discriminator", self.discriminator_loss, batch, None if fake is None else fake.detach(), drawn)
        if turn:
            self.move("generator", self.generator_loss, batch, fake, drawn)

    def discriminator_loss(self, batch: Batch, fake: Tensor | None = None, drawn: Tensor | None = None) -> Tensor:
        """E max(0, 1 - D(x, y)) + E max(0, 1 + D(G(z, y'), y')), in one pass of D."""
        if fake is None or drawn is None:
            fake, drawn = self.fake(batch)
        real, labels = self.real(batch), self.labels_of(batch)
        scores = self.discriminator(self.seen(torch.cat([real, fake])), torch.cat([labels, drawn])).chunk(2)
        added = self.regularizers(real, fake, *scores, real_labels=labels, fake_labels=drawn)
        return losses.hinge_discriminator(*scores) + added

    def generator_loss(self, batch: Batch, fake: Tensor | None = None, drawn: Tensor | None = None) -> Tensor:
        """-E D(G(z, y'), y')."""
        if fake is None or drawn is None:
            fake, drawn = self.fake(batch, self.generated)
        scores = self.hardest(self.discriminator(self.seen(fake), drawn))
        return losses.hinge_generator(scores) + self.spread(len(drawn), drawn)

    def fake(self, batch: Batch, times: int = 1) -> tuple[Tensor, Tensor]:
        """G(z, y') and y'."""
        z, drawn = self.latents_and_labels(batch, times)
        return self.generator(z, drawn), drawn

    def latents_and_labels(self, batch: Batch, times: int = 1) -> tuple[Tensor, Tensor]:
        """z `(n, latent)` and labels `(n,)`, uniform: so many times as many as there are images in the batch."""
        assert self.classes is not None
        n = times * len(batch)
        return self.prior.draw(n, self.device), torch.randint(self.classes, (n,), device=self.device)
