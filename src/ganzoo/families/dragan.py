"""DRAGAN: the discriminator's gradient is held near norm 1 around the data, against sharp slopes that collapse modes.

Kodali et al. 2017, "On Convergence and Stability of GANs", arXiv:1705.07215. Gradient descent on both players is seen
as regret minimisation; bad local equilibria show sharp gradients of D around real points. The penalty sits there, and
the game stays the original one:

    L_D = -E log D(x) - E log(1 - D(G(z))) + lambda E (||grad D(x + delta)|| - k)^2        L_G = -E log D(G(z))
"""

from functools import partial
from typing import ClassVar

from torch import Tensor
from torch.optim import Adam

from ganzoo.game.abilities import Adversarial
from ganzoo.game.priors import Uniform
from ganzoo.game.registry import register
from ganzoo.nn import dcgan
from ganzoo.objectives import losses, penalties
from ganzoo.schema import NonNegative, Positive, Probability
from ganzoo.types import Batch


@register(
    paper="Kodali, Abernethy, Hays and Kira, On Convergence and Stability of GANs",
    year=2017,
    url="https://arxiv.org/abs/1705.07215",
    formula=(
        "L_D = -E log D(x) - E log(1 - D(G(z))) + lambda E (||grad D(x + delta)|| - k)^2",
        "L_G = -E log D(G(z))",
    ),
)
class DRAGAN(Adversarial):
    """A gradient penalty around noised real data keeps the discriminator smooth where it matters.

    The discriminator's first weights are as large as those of WGAN-GP's critic: its gradients begin near norm 1.

    Args:
        size: side of an image: 4, 5, 6 or 7 times a power of two.
        channels: channels of an image.
        latent: length of z, uniform in [-1, 1].
        width: feature maps beside the images.
        penalty: lambda, the weight of the penalty.
        k: the norm that the gradient is held near.
        c: the variance of delta ~ N(0, cI), as the paper has it; None for the noise of the authors' code.
        lr: learning rate of both players (authors' code).
        betas: Adam's decay rates (authors' code).
    """

    coupled: ClassVar[bool] = True  # the noise is scaled by the standard deviation of the local batch

    def __init__(
        self,
        size: Positive = 64,
        channels: Positive = 3,
        latent: Positive = 100,
        width: Positive = 64,
        penalty: NonNegative = 10.0,
        k: NonNegative = 1.0,
        c: NonNegative | None = None,
        lr: NonNegative = 1e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.9),
    ) -> None:
        super().__init__()
        self.shape, self.penalty, self.k, self.c = (channels, size, size), penalty, k, c
        self.prior = Uniform(-1, 1, latent)
        self.generator = dcgan.Generator(latent, channels, size, width)
        # The penalty is on each sample's own gradient: no batch normalization here, as in the authors' code
        self.discriminator = dcgan.Discriminator(channels, size, width, normalization=None)
        self.adam = partial(Adam, lr=lr, betas=betas)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Algorithm 1: one update of each player."""
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """-E log D(x) - E log(1 - D(G(z))) + lambda E (||grad D(x + delta)|| - k)^2.

        The paper leaves the variance of its normal noise open. The authors' code has uniform noise of half the batch's
        standard deviation, of which a random share is added. Inside the penalty D is the logit, as there.
        """
        fake = self.generator(self.noise(batch))
        real = self.real(batch)
        scores = self.discriminator(self.seen(real)), self.discriminator(self.seen(fake))
        penalty = penalties.dragan(lambda x: self.discriminator(self.seen(x)), real, self.k, self.c)
        self.record(gradient_penalty=penalty)
        return losses.minimax_discriminator(*scores) + self.penalty * penalty + self.regularizers(real, fake, *scores)

    def generator_loss(self, batch: Batch) -> Tensor:
        """-E log D(G(z))."""
        scores = self.hardest(self.discriminator(self.seen(self.generator(self.noise(batch)))))
        return losses.nonsaturating_generator(scores) + self.spread(len(batch))
