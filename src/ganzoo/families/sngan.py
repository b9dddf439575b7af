"""SNGAN: a discriminator whose every layer has a spectral norm of 1 is Lipschitz without a penalty.

Miyato, Kataoka, Koyama and Yoshida 2018, "Spectral Normalization for Generative Adversarial Networks",
arXiv:1802.05957. Each weight matrix is divided by its largest singular value, which one step of the power method at
every pass keeps track of (Algorithm 1). The networks are residual (appendix B.4), the loss is the hinge (eqs. 16, 17):

    W_SN = W / sigma(W)
    L_D = E max(0, 1 - D(x)) + E max(0, 1 + D(G(z)))        L_G = -E D(G(z))        z ~ N(0, 1)^128
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
class SNGAN(Adversarial):
    """Dividing each weight matrix by its largest singular value bounds the discriminator's Lipschitz constant.

    The defaults are those of CIFAR-10 (table 4, setting (F) of table 1). There the authors' code lets both rates fall
    linearly to 0 over 50,000 updates of the generator, in batches of 64: `engine.decay` of `[0, 16000000]`. Real and
    generated images go through the discriminator together, in one step of the power method; there, one after the other.

    Args:
        size: side of an image.
        channels: channels of an image.
        latent: length of z, normal.
        widths: the generator's feature maps from the smallest side up; each further one doubles the side.
        discriminator_widths: the discriminator's feature maps after each block.
        downsamplings: how many of its blocks, from the first, halve the side.
        n_critic: updates of the discriminator to one of the generator (n_dis).
        lr: learning rate of the generator.
        discriminator_lr: learning rate of the discriminator; None for the same.
        betas: Adam's decay rates.
        generated: how many images the generator is judged by at its update, for each in the discriminator's batch (128
            to 64 in the authors' code).
        reuse: whether the generator moves instead against the very images that the discriminator has just seen; it
            saves a pass through the generator.
        variant: whose details are computed. `paper`: the authors' code. `mimicry`: pixels are doubled bilinearly, and
            the discriminator's shortcuts see their input after the ReLU. `studiogan`: the second alone; the first
            convolution of a discriminator's block widens, and batch normalization adds 1e-4 to variances.
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
        lr: NonNegative = 2e-4,
        discriminator_lr: NonNegative | None = None,
        betas: tuple[Probability, Probability] = (0.0, 0.9),
        generated: Positive = 2,
        reuse: bool = False,
        variant: resnet.Variant = "paper",
    ) -> None:
        super().__init__()
        self.shape, self.n_critic = (channels, size, size), n_critic
        self.generated, self.reuse = generated, reuse
        self.prior = Normal(latent)
        sizes = (latent, channels, size, widths, discriminator_widths, downsamplings)
        self.generator, self.discriminator = resnet.sngan(resnet.Discriminator, *sizes, variant=variant)
        self.adams = adams(lr, lr if discriminator_lr is None else discriminator_lr, betas)

    def players(self) -> dict[str, Player]:
        """The discriminator and the generator, each with its own learning rate."""
        return {name: Player(getattr(self, name), adam) for name, adam in self.adams.items()}

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """An update of the discriminator with a batch; after n_critic of them one of the generator."""
        turn = self.turn(every=self.n_critic)
        fake = self.ahead(self.fake, batch) if turn and self.reuse else None
        self.move("discriminator", self.discriminator_loss, batch, None if fake is None else fake.detach())
        if turn:
            self.move("generator", self.generator_loss, batch, fake)

    def discriminator_loss(self, batch: Batch, fake: Tensor | None = None) -> Tensor:
        """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))) (eq. 16); one pass of D, and so one step of the power method."""
        fake = self.fake(batch) if fake is None else fake
        real = self.real(batch)
        scores = self.discriminator(self.seen(torch.cat([real, fake]))).chunk(2)
        return losses.hinge_discriminator(*scores) + self.regularizers(real, fake, *scores)

    def generator_loss(self, batch: Batch, fake: Tensor | None = None) -> Tensor:
        """-E D(G(z)) (eq. 17)."""
        fake = self.fake(batch, self.generated) if fake is None else fake
        return losses.hinge_generator(self.hardest(self.discriminator(self.seen(fake)))) + self.spread(len(batch))

    def fake(self, batch: Batch, times: int = 1) -> Tensor:
        """G(z), so many times as many as there are images in the batch."""
        return self.generator(self.prior.draw(times * len(batch), self.device))
