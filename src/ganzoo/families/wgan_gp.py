"""WGAN-GP: a penalty on the critic's gradient takes the place of clipped weights.

Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", arXiv:1704.00028, Algorithm 1. An optimal critic has
gradients of norm 1 almost everywhere between data and model, so a norm other than 1 is penalised there:

    L_C = E C(G(z)) - E C(x) + lambda E (||grad C(x^)|| - 1)^2,   x^ between x and G(z)        L_G = -E C(G(z))
"""

from functools import partial
from typing import Literal

from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Adversarial
from ganzoo.game.engine import Player
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn import dcgan, resnet
from ganzoo.objectives import losses, penalties
from ganzoo.schema import Layers, NonNegative, Positive, Probability, Sizes
from ganzoo.types import Batch


@register(
    paper="Gulrajani, Ahmed, Arjovsky, Dumoulin and Courville, Improved Training of Wasserstein GANs",
    year=2017,
    url="https://arxiv.org/abs/1704.00028",
    method="WGAN-GP",
    formula=(
        "L_C = E C(G(z)) - E C(x) + lambda E (||grad C(x^)|| - 1)^2, x^ between x and G(z)",
        "L_G = -E C(G(z))",
    ),
)
class WGANGP(Adversarial):
    """Penalising the norm of the critic's gradient keeps it Lipschitz without clipping its weights.

    Loss, numbers and the critic's first weights are those of the paper and its code; the networks are DCGAN's, which
    the paper compares on (table 2), and the critic has no normalization at all, where that of the code for 64 pixels is
    residual with layer normalization.

    Args:
        size: side of an image: 4, 5, 6 or 7 times a power of two.
        channels: channels of an image.
        latent: length of z.
        width: feature maps beside the images (64 in the authors' code).
        resnet_widths: the generator's feature maps from the smallest side up, in the residual networks of the paper's
            CIFAR-10 (section 5.3) instead of DCGAN's: (128, 128, 128, 128) there.
        critic_widths: the residual critic's, after each block.
        downsamplings: how many of its blocks, from the first, halve the side.
        variant: of residual networks, whose details are computed. `paper`: the authors' code. `studiogan`: the critic
            has batch normalization, which adds 1e-4 to variances here and in the generator.
        n_critic: critic updates to one of the generator.
        penalty: lambda, the weight of the penalty.
        lr: learning rate of both players.
        betas: Adam's decay rates.
    """

    undecided = None

    def __init__(
        self,
        size: Positive = 64,
        channels: Positive = 3,
        latent: Positive = 128,
        width: Positive = 64,
        resnet_widths: Sizes | None = None,
        critic_widths: Sizes = (128, 128, 128, 128),
        downsamplings: Layers = 2,
        variant: Literal["paper", "studiogan"] = "paper",
        n_critic: Positive = 5,
        penalty: NonNegative = 10.0,
        lr: NonNegative = 1e-4,
        betas: tuple[Probability, Probability] = (0.0, 0.9),
    ) -> None:
        super().__init__()
        self.shape, self.n_critic, self.penalty = (channels, size, size), n_critic, penalty
        self.prior = Normal(latent)
        self.generator: nn.Module
        self.critic: nn.Module
        # No batch normalization in the critic: the penalty is on each sample's own gradient (section 4)
        if resnet_widths is None:
            self.generator = dcgan.Generator(latent, channels, size, width)
            self.critic = dcgan.Discriminator(channels, size, width, normalization=None)
        else:
            norm = partial(nn.BatchNorm2d, eps=1e-4) if variant == "studiogan" else nn.Identity
            eps = 1e-4 if variant == "studiogan" else 1e-5
            self.generator = resnet.Generator(latent, channels, size, resnet_widths, eps=eps)
            self.critic = resnet.Discriminator(
                channels, size, critic_widths, downsamplings, wide=True, normalization=norm
            )
        self.adam = partial(Adam, lr=lr, betas=betas)

    def players(self) -> dict[str, Player]:
        """The critic and the generator, with the same Adam."""
        return {"critic": Player(self.critic, self.adam), "generator": Player(self.generator, self.adam)}

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Algorithm 1: an update of the critic with a batch; after n_critic of them one of the generator."""
        self.move("critic", self.critic_loss, batch)
        if self.turn(every=self.n_critic):
            self.move("generator", self.generator_loss, batch)

    def critic_loss(self, batch: Batch) -> Tensor:
        """Eq. 3: E C(G(z)) - E C(x) + lambda E (||grad C(x^)|| - 1)^2."""
        fake = self.generator(self.noise(batch))
        real = self.real(batch)
        scores = self.critic(self.seen(real)), self.critic(self.seen(fake))
        distance = losses.wasserstein_critic(*scores)
        self.record(wasserstein_estimate=-distance)
        penalty = penalties.gradient_penalty(lambda x: self.critic(self.seen(x)), real, fake)
        return distance + self.penalty * penalty + self.regularizers(real, fake, *scores)

    def generator_loss(self, batch: Batch) -> Tensor:
        """-E C(G(z))."""
        scores = self.hardest(self.critic(self.seen(self.generator(self.noise(batch)))))
        return losses.wasserstein_generator(scores) + self.spread(len(batch))
