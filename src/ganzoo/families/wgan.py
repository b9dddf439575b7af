"""WGAN: the critic estimates a distance between distributions, and the generator descends it.

Arjovsky, Chintala and Bottou 2017, "Wasserstein GAN", arXiv:1701.07875, Algorithm 1. The critic is kept Lipschitz by
clipping its weights, and trained close to its optimum before each update of the generator:

    L_C = E C(G(z)) - E C(x),  weights in [-c, c]        L_G = -E C(G(z))        z ~ N(0, 1)
"""

from functools import partial

from torch import Tensor
from torch.optim import RMSprop

from ganzoo.game.abilities import Samples
from ganzoo.game.engine import Player
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn import dcgan
from ganzoo.objectives import losses, penalties
from ganzoo.schema import NonNegative, Positive
from ganzoo.types import Batch


@register(
    paper="Arjovsky, Chintala and Bottou, Wasserstein GAN",
    year=2017,
    url="https://arxiv.org/abs/1701.07875",
    formula=(
        "L_C = E C(G(z)) - E C(x), weights in [-c, c]",
        "L_G = -E C(G(z))",
        "z ~ N(0, 1)",
    ),
)
class WGAN(Samples):
    """The earth mover's distance, estimated by a critic with clipped weights, gives a gradient that does not vanish.

    Args:
        size: side of an image: 4, 5, 6 or 7 times a power of two.
        channels: channels of an image.
        latent: length of z.
        width: feature maps beside the images (64 in the authors' code).
        n_critic: critic updates to one of the generator.
        clip: c, the bound of the critic's weights.
        lr: learning rate of RMSprop; momentum would make the critic unstable (section 4).
    """

    def __init__(
        self,
        size: Positive = 64,
        channels: Positive = 3,
        latent: Positive = 100,
        width: Positive = 64,
        n_critic: Positive = 5,
        clip: NonNegative = 0.01,
        lr: NonNegative = 5e-5,
    ) -> None:
        super().__init__()
        self.shape, self.n_critic, self.clip = (channels, size, size), n_critic, clip
        self.prior = Normal(latent)
        self.generator = dcgan.Generator(latent, channels, size, width)
        self.critic = dcgan.Discriminator(channels, size, width)
        self.rmsprop = partial(RMSprop, lr=lr)

    def players(self) -> dict[str, Player]:
        """The critic and the generator, both with RMSprop."""
        return {"critic": Player(self.critic, self.rmsprop), "generator": Player(self.generator, self.rmsprop)}

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Algorithm 1: an update of the critic with a batch, clipped; after n_critic of them one of the generator."""
        self.move("critic", self.critic_loss, batch)
        penalties.clip_weights((p for p in self.critic.parameters() if p.requires_grad), self.clip)
        if self.turn(every=self.n_critic):
            self.move("generator", self.generator_loss, batch)

    def critic_loss(self, batch: Batch) -> Tensor:
        """E C(G(z)) - E C(x), whose negative estimates the distance up to a factor."""
        fake = self.generator(self.noise(batch))
        return losses.wasserstein_critic(self.critic(self.seen(batch.images)), self.critic(self.seen(fake)))

    def generator_loss(self, batch: Batch) -> Tensor:
        """-E C(G(z))."""
        return losses.wasserstein_generator(self.critic(self.seen(self.generator(self.noise(batch)))))
