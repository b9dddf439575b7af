"""LSGAN: a discriminator fitted by least squares keeps pulling at samples that it already takes for real.

Mao et al. 2017, "Least Squares Generative Adversarial Networks", arXiv:1611.04076. D's output is a plain number, not a
probability, and is fitted to the target b on data and a on samples; the generator wants it to be c (eq. 2):

    L_D = 1/2 E (D(x) - b)^2 + 1/2 E (D(G(z)) - a)^2        L_G = 1/2 E (D(G(z)) - c)^2        z ~ U[-1, 1]^1024

The default is the 0-1 coding a = 0, b = c = 1 (eq. 9). With b - c = 1 and b - a = 2, such as a = -1, b = 1, c = 0
(eq. 8), the generator of an optimal discriminator descends the Pearson chi-squared divergence between data + model and
twice the model (section 3.2.2).
"""

from functools import partial

from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Adversarial
from ganzoo.game.priors import Uniform
from ganzoo.game.registry import register
from ganzoo.nn import dcgan
from ganzoo.objectives import losses
from ganzoo.schema import NonNegative, Positive, Probability
from ganzoo.types import Batch


class Generator(nn.Module):
    """The generator of figure 2(a): after VGG, where the maps are widest a resolution has two convolutions.

    The paper names VGG as the model of its generator; the discriminator is DCGAN's. Upwards from a fully connected
    layer every resolution begins with a fractionally strided convolution; the width is halved twice on the way, and
    the resolutions before that, of four times `width`, add a convolution of stride 1. All are 3 x 3, with batch
    normalization and ReLU; a last one of stride 1 makes the image.

    Args:
        latent: length of z.
        channels: channels of an image.
        size: side of an image.
        width: feature maps before the last layer.
    """

    def __init__(self, latent: int, channels: int, size: int, width: int) -> None:
        super().__init__()
        start, doublings = dcgan.plan(size)
        widths = [width * min(4, 2**i) for i in reversed(range(doublings))]
        wide = widths[0]
        self.project = nn.Linear(latent, wide * start**2)
        layers: list[nn.Module] = [nn.Unflatten(1, (wide, start, start)), nn.BatchNorm2d(wide), nn.ReLU(inplace=True)]
        for following in widths:
            layers += _block(wide, following, stride=2)
            if following == 4 * width:
                layers += _block(following, following, stride=1)
            wide = following
        layers += [nn.ConvTranspose2d(width, channels, 3, padding=1), nn.Tanh()]
        self.main = nn.Sequential(*layers)
        self.apply(dcgan.initialize)

    def forward(self, z: Tensor) -> Tensor:
        """Maps `(N, latent)` to `(N, channels, size, size)` in [-1, 1]."""
        return self.main(self.project(z))


def _block(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    """A fractionally strided 3 x 3 convolution that multiplies the side by `stride`."""
    convolution = nn.ConvTranspose2d(inputs, outputs, 3, stride, padding=1, output_padding=stride - 1, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


@register(
    paper="Mao, Li, Xie, Lau, Wang and Smolley, Least Squares Generative Adversarial Networks",
    year=2017,
    url="https://arxiv.org/abs/1611.04076",
    formula=(
        "L_D = 1/2 E (D(x) - b)^2 + 1/2 E (D(G(z)) - a)^2",
        "L_G = 1/2 E (D(G(z)) - c)^2",
        "z ~ U[-1, 1]^1024",
    ),
)
class LSGAN(Adversarial):
    """Least squares pull samples towards the data even where the discriminator is sure of itself.

    Args:
        size: side of an image: 4, 5, 6 or 7 times a power of two (112 for the paper's scenes).
        channels: channels of an image.
        latent: length of z, uniform in [-1, 1] (figure 2).
        width: feature maps beside the images, in both networks (figure 2).
        a: what the discriminator is to say of samples.
        b: what it is to say of data.
        c: what the generator wants it to say of samples; a = -1, b = 1, c = 0 is the Pearson case (eq. 8).
        lr: learning rate of both players (section 4.1.1).
        betas: Adam's decay rates (section 4.1.1).
    """

    def __init__(
        self,
        size: Positive = 112,
        channels: Positive = 3,
        latent: Positive = 1024,
        width: Positive = 64,
        a: float = 0.0,
        b: float = 1.0,
        c: float = 1.0,
        lr: NonNegative = 1e-3,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
    ) -> None:
        super().__init__()
        self.shape = (channels, size, size)
        self.prior = Uniform(-1, 1, latent)
        self.a, self.b, self.c, self.undecided = a, b, c, (a + b) / 2
        self.generator = Generator(latent, channels, size, width)
        # "Identical to the one in DCGAN" (section 4.1.1): the house's has kernels of 4 where figure 2(b) has 5
        self.discriminator = dcgan.Discriminator(channels, size, width)
        self.adam = partial(Adam, lr=lr, betas=betas)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player."""
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """1/2 E (D(x) - b)^2 + 1/2 E (D(G(z)) - a)^2 (eq. 2)."""
        fake = self.generator(self.noise(batch))
        real = self.real(batch)
        scores = self.discriminator(self.seen(real)), self.discriminator(self.seen(fake))
        return losses.least_squares_discriminator(*scores, self.a, self.b) + self.regularizers(real, fake, *scores)

    def generator_loss(self, batch: Batch) -> Tensor:
        """1/2 E (D(G(z)) - c)^2 (eq. 2)."""
        scores = self.hardest(self.discriminator(self.seen(self.generator(self.noise(batch)))))
        return losses.least_squares_generator(scores, self.c) + self.spread(len(batch))
