"""Geometric GAN: D is a support vector machine in its own features, and G moves along the normal of its hyperplane.

Lim and Ye 2017, "Geometric GAN", arXiv:1705.02894. D(v) = w . f(v) + b with the features f of D's last layer. D finds
the hyperplane that separates data from samples by the largest margin (the soft-margin SVM); G moves
features perpendicularly to it, all samples equally, whatever side they are on:

    L_D = 1/(2 n C) |w|^2 + E max(0, 1 - D(x)) + E max(0, 1 + D(G(z)))        L_G = -E D(G(z))

SAGAN, SNGAN and BigGAN took the hinge from here, without the term of the margin.
"""

from functools import partial

from torch import Tensor, nn
from torch.optim import RMSprop

from ganzoo.game.abilities import Samples
from ganzoo.game.engine import Player
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn import dcgan
from ganzoo.nn.mlp import MLP
from ganzoo.objectives import losses
from ganzoo.schema import NonNegative, Positive, Sizes
from ganzoo.types import Batch


@register(
    paper="Lim and Ye, Geometric GAN",
    year=2017,
    url="https://arxiv.org/abs/1705.02894",
    method="Geometric GAN",
    formula=(
        "D(v) = w . f(v) + b",
        "L_D = 1/(2 n C) |w|^2 + E max(0, 1 - D(x)) + E max(0, 1 + D(G(z)))",
        "L_G = -E D(G(z))",
    ),
)
class GeometricGAN(Samples):
    """The discriminator is a linear SVM on learned features; the generator moves samples across its hyperplane.

    Networks and optimizer are those of the authors' code, of its faces and of its points. For faces that code moves the
    generator ten times a batch, and once for points; here it is once.

    Args:
        shape: `(channels, size, size)` of an image, which has DCGAN's networks, or `(d,)` of a point.
        latent: length of z, normal.
        width: feature maps beside the images, in both networks; of points the units of each of three hidden layers.
        penalty: 1 / (n C), the weight of 1/2 |w|^2; n = 64 is the authors' batch, and C = 1.
        lr: learning rate of both players.
    """

    def __init__(
        self,
        shape: Sizes = (3, 64, 64),
        latent: Positive = 100,
        width: Positive = 64,
        penalty: NonNegative = 1 / 64,
        lr: NonNegative = 2e-4,
    ) -> None:
        super().__init__()
        self.shape, self.prior, self.penalty = tuple(shape), Normal(latent), penalty
        channels, *sides = self.shape
        if sides:
            self.generator: nn.Module = dcgan.Generator(latent, channels, sides[0], width)
            self.discriminator: nn.Module = dcgan.Discriminator(channels, sides[0], width)
        else:
            self.generator = MLP((latent,), self.shape, (width,) * 3, batch_norm=True)
            self.discriminator = MLP(self.shape, (), (width,) * 3)
        self.rmsprop = partial(RMSprop, lr=lr)

    @property
    def normal(self) -> Tensor:
        """w, the weights of D's last layer."""
        return [parameter for parameter in self.discriminator.parameters() if parameter.dim() > 1][-1]

    def players(self) -> dict[str, Player]:
        """Both players, with the same RMSprop."""
        return {name: Player(getattr(self, name), self.rmsprop) for name in ("discriminator", "generator")}

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player."""
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """1/(2 n C) |w|^2 + E max(0, 1 - D(x)) + E max(0, 1 + D(G(z)))."""
        fake = self.generator(self.noise(batch))
        hinge = losses.hinge_discriminator(*(self.discriminator(self.seen(v)) for v in (batch.images, fake)))
        return 0.5 * self.penalty * self.normal.float().square().sum() + hinge

    def generator_loss(self, batch: Batch) -> Tensor:
        """-E D(G(z))."""
        return losses.hinge_generator(self.discriminator(self.seen(self.generator(self.noise(batch)))))
