"""AnoGAN: what a generator of healthy pictures cannot draw is an anomaly.

Schlegl, Seeböck, Waldstein, Schmidt-Erfurth and Langs 2017, "Unsupervised Anomaly Detection with Generative Adversarial
Networks to Guide Marker Discovery", arXiv:1703.05921. A DCGAN learns pictures without anomalies. Of another picture the
z is searched for whose G(z) comes nearest to it, in pixels and in the discriminator's features f (eqs. 3 to 6), by 500
steps of gradient descent from a drawn one; what is left of the distance is the anomaly score (eq. 7):

    L_D = -E log D(x) - E log(1 - D(G(z)))        L_G = -E log D(G(z))        z ~ U[-1, 1]^100
    A(x) = min_z (1 - lambda) sum |x - G(z)| + lambda sum |f(x) - f(G(z))|        lambda = 0.1
"""

from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.optim import Adam

from ganzoo.data.batch import Images
from ganzoo.game.abilities import Detects, Samples
from ganzoo.game.priors import Uniform
from ganzoo.game.registry import register
from ganzoo.media.levels import to_float
from ganzoo.nn import dcgan
from ganzoo.objectives import losses
from ganzoo.schema import NonNegative, Positive, Probability
from ganzoo.types import Batch


@register(
    paper="Schlegl, Seeböck, Waldstein, Schmidt-Erfurth and Langs, Unsupervised Anomaly Detection with Generative "
    "Adversarial Networks to Guide Marker Discovery",
    year=2017,
    url="https://arxiv.org/abs/1703.05921",
    formula=(
        "L_D = -E log D(x) - E log(1 - D(G(z)))",
        "L_G = -E log D(G(z))",
        "A(x) = min_z (1 - lambda) sum |x - G(z)| + lambda sum |f(x) - f(G(z))|",
    ),
)
class AnoGAN(Samples, Detects):
    """A picture's anomaly score is its distance to the nearest picture that the generator can draw.

    Networks and numbers are DCGAN's, as in the paper. It draws the z with which a search begins; here that of seed 0
    begins all searches, so that a score is the picture's alone. It is silent about the step of the search.

    Args:
        size: side of an image: 4, 5, 6 or 7 times a power of two.
        channels: channels of an image.
        latent: length of z, uniform in [-1, 1].
        width: feature maps beside the images.
        lr: learning rate of both players.
        betas: Adam's decay rates.
        reuse: whether the generator moves against the very images that the discriminator has just seen.
        feature_weight: lambda, of the distance in features.
        search_steps: of Adam, from the z that all searches begin with.
        search_rate: its learning rate.
    """

    inference = ("generator", "discriminator")

    def __init__(
        self,
        size: Positive = 64,
        channels: Positive = 1,
        latent: Positive = 100,
        width: Positive = 64,
        lr: NonNegative = 2e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
        reuse: bool = False,
        feature_weight: Probability = 0.1,
        search_steps: Positive = 500,
        search_rate: NonNegative = 0.01,
    ) -> None:
        super().__init__()
        self.shape, self.prior, self.reuse = (channels, size, size), Uniform(-1, 1, latent), reuse
        self.generator = dcgan.Generator(latent, channels, size, width)
        self.discriminator = dcgan.Discriminator(channels, size, width)
        self.adam = partial(Adam, lr=lr, betas=betas)
        self.feature_weight, self.search_steps, self.search_rate = feature_weight, search_steps, search_rate

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player."""
        fake = self.ahead(self.fake, batch) if self.reuse else None
        self.move("discriminator", self.discriminator_loss, batch, None if fake is None else fake.detach())
        self.move("generator", self.generator_loss, batch, fake)

    def discriminator_loss(self, batch: Batch, fake: Tensor | None = None) -> Tensor:
        """-E log D(x) - E log(1 - D(G(z))), each batch normalized by itself."""
        fake = self.fake(batch) if fake is None else fake
        return losses.minimax_discriminator(*(self.discriminator(self.seen(x)) for x in (batch.images, fake)))

    def generator_loss(self, batch: Batch, fake: Tensor | None = None) -> Tensor:
        """-E log D(G(z))."""
        return losses.nonsaturating_generator(self.discriminator(self.seen(self.fake(batch) if fake is None else fake)))

    def fake(self, batch: Batch) -> Tensor:
        """G(z), as many as there are images in the batch."""
        return self.generator(self.noise(batch))

    def strangeness(self, images: Tensor) -> Tensor:
        """A(x) at the end of the search."""
        return self.residual(images, self.found(images))

    def found(self, images: Tensor) -> Tensor:
        """The z `(n, latent)` at the end of the search for each of images `(n, C, H, W)`."""
        first = torch.from_numpy(self.prior.of(np.random.RandomState(0))).to(images)
        z = first.repeat(len(images), 1)
        adam = Adam([z], lr=self.search_rate)
        looked_for = self.discriminator.features(images)
        with torch.enable_grad():
            z.requires_grad_()
            for _ in range(self.search_steps):
                (z.grad,) = torch.autograd.grad(self.residual(images, z, looked_for).sum(), z)
                adam.step()
        return z.detach()

    def residual(self, images: Tensor, z: Tensor, looked_for: Tensor | None = None) -> Tensor:
        """(1 - lambda) sum |x - G(z)| + lambda sum |f(x) - f(G(z))| of each image `(n,)`, f the last feature maps.

        `looked_for` is f(x), where it is known.
        """
        drawn = self.averaged(z)
        near = (images - drawn).abs().flatten(1).sum(1)
        looked_for = self.discriminator.features(images) if looked_for is None else looked_for
        alike = (looked_for - self.discriminator.features(drawn)).abs().flatten(1).sum(1)
        return (1 - self.feature_weight) * near + self.feature_weight * alike

    def pictures(self, real: Images | None) -> dict[str, Tensor]:
        """Test images x above what the search found for them."""
        if real is None:
            return {}
        images = to_float(real.batch([i * len(real) // 12 for i in range(12)]).images)
        return {"found": torch.stack([images, self.sample(z=self.each(self.found, images, 12))])}
