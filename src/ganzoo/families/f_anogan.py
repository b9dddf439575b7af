"""f-AnoGAN: an encoder finds at once what AnoGAN (arXiv:1703.05921) searches for.

Schlegl, Seeböck, Waldstein, Langs and Schmidt-Erfurth 2019, "f-AnoGAN: Fast Unsupervised Anomaly Detection with
Generative Adversarial Networks", Medical Image Analysis 54, doi:10.1016/j.media.2019.01.010. A Wasserstein GAN with
gradient penalty learns pictures without anomalies; then, with it fixed, an encoder learns to map pictures to z and back
(izi_f). How far a picture comes back from itself is its anomaly score:

    L_D = E D(G(z)) - E D(x) + 10 E (||grad D(x^)|| - 1)^2        L_G = -E D(G(z))        z ~ N(0, 1)^128
    L_E = E A(x)        A(x) = mean |x - G(E(x))|^2 + kappa mean |f(x) - f(G(E(x)))|^2        kappa = 1
"""

from functools import partial

from torch import Tensor, nn
from torch.optim import Adam, RMSprop

from ganzoo.game.abilities import Detects, Inverts
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn import resnet
from ganzoo.objectives import losses, penalties
from ganzoo.schema import NonNegative, Positive, Probability, Sizes
from ganzoo.types import Batch


class Reader(resnet.Discriminator):
    """D and E: residual blocks, each of which halves the side, and a linear map of all that is left.

    Args:
        channels: channels of an image.
        size: side of an image.
        widths: feature maps after each block.
        outputs: numbers an image.
    """

    def __init__(self, channels: int, size: int, widths: Sizes, outputs: int) -> None:
        super().__init__(channels, size, widths, len(widths))
        self.score = nn.Linear(widths[-1] * (size >> len(widths)) ** 2, outputs)
        nn.init.xavier_uniform_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps images `(N, channels, size, size)` to `(N, outputs)`."""
        return self.score(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """Maps images to what the last layer sees, `(N, F)`: the last block's feature maps as they come."""
        h: Tensor = self.first(x)
        for block in self.blocks:
            h = block(h)
        return h.flatten(1)


@register(
    paper="Schlegl, Seeböck, Waldstein, Langs and Schmidt-Erfurth, f-AnoGAN: Fast Unsupervised Anomaly Detection with "
    "Generative Adversarial Networks",
    year=2019,
    url="https://doi.org/10.1016/j.media.2019.01.010",
    method="f-AnoGAN",
    formula=(
        "L_D = E D(G(z)) - E D(x) + 10 E (||grad D(x^)|| - 1)^2",
        "L_G = -E D(G(z))",
        "L_E = E A(x)",
        "A(x) = mean |x - G(E(x))|^2 + kappa mean |f(x) - f(G(E(x)))|^2",
    ),
)
class FAnoGAN(Inverts, Detects):
    """An encoder replaces AnoGAN's search: the anomaly score is the error of a picture's reconstruction.

    Of the authors' code for 64 pixels: its numbers, and residual networks, which are those of SNGAN here; its
    discriminator has layer normalization and this one none, its encoder batch normalization and this one none.

    Args:
        size: side of an image.
        channels: channels of an image.
        latent: length of z, normal; an encoder's lies in [-1, 1].
        widths: the generator's feature maps from the smallest side up; each further one doubles the side.
        discriminator_widths: of discriminator and encoder, after each block; each one halves the side.
        n_critic: updates of the discriminator to one of the generator.
        penalty: of the gradient.
        lr: learning rate of discriminator and generator, with Adam.
        betas: Adam's decay rates.
        gan_images: how many images these two see before they stop, and the encoder begins; 50,000 updates of the
            generator at batches of 64 as it stands. Steps count the generator's updates and then the encoder's.
        kappa: of the distance in features.
        encoder_lr: the encoder's learning rate, with RMSprop.
    """

    inference = ("generator", "discriminator", "encoder")

    def __init__(
        self,
        size: Positive = 64,
        channels: Positive = 1,
        latent: Positive = 128,
        widths: Sizes = (512, 512, 256, 128, 64),
        discriminator_widths: Sizes = (128, 256, 512, 512),
        n_critic: Positive = 5,
        penalty: NonNegative = 10.0,
        lr: NonNegative = 1e-4,
        betas: tuple[Probability, Probability] = (0.0, 0.9),
        gan_images: Positive = 16_000_000,
        kappa: NonNegative = 1.0,
        encoder_lr: NonNegative = 5e-5,
    ) -> None:
        super().__init__()
        self.shape, self.prior = (channels, size, size), Normal(latent)
        self.n_critic, self.penalty, self.gan_images, self.kappa = n_critic, penalty, gan_images, kappa
        self.generator = resnet.Generator(latent, channels, size, widths)
        self.discriminator = Reader(channels, size, discriminator_widths, 1)
        self.encoder = nn.Sequential(Reader(channels, size, discriminator_widths, latent), nn.Tanh())
        self.adam = partial(Adam, lr=lr, betas=betas)
        self.encoder_optimizer = partial(RMSprop, lr=encoder_lr, alpha=0.9)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """E D(G(z)) - E D(x) + 10 E (||grad D(x^)|| - 1)^2."""
        fake = self.generator(self.noise(batch))
        distance = losses.wasserstein_critic(*(self.discriminator(self.seen(x)) for x in (batch.images, fake)))
        return distance + self.penalty * penalties.gradient_penalty(
            lambda x: self.discriminator(self.seen(x))[:, 0], batch.images, fake
        )

    def generator_loss(self, batch: Batch) -> Tensor:
        """-E D(G(z))."""
        return losses.wasserstein_generator(self.discriminator(self.seen(self.generator(self.noise(batch)))))

    def encoder_loss(self, batch: Batch) -> Tensor:
        """E A(x)."""
        return self.residual(batch.images, self.generator(self.encoder(batch.images))).mean()

    def residual(self, images: Tensor, back: Tensor) -> Tensor:
        """mean |x - x'|^2 + kappa mean |f(x) - f(x')|^2 of each image `(n,)`."""
        features = [self.discriminator.features(each) for each in (images, back)]
        near = (images - back).square().flatten(1).mean(1)
        return near + self.kappa * (features[0] - features[1]).square().mean(1)

    def strangeness(self, images: Tensor) -> Tensor:
        """A(x) of the averaged networks."""
        return self.residual(images, self.averaged(self.encoding(images)))
