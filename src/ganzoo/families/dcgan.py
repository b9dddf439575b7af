"""DCGAN: a generator and a discriminator of strided convolutions that train stably.

Radford, Metz and Chintala 2016, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks", arXiv:1511.06434. No pooling, no hidden fully connected layers, batch normalization in both players, ReLU in
the generator and leaky ReLU in the discriminator, Adam with a low first moment:

    L_D = -E log D(x) - E log(1 - D(G(z)))        L_G = -E log D(G(z))        z ~ U[-1, 1]^100
"""

from functools import partial
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Adversarial
from ganzoo.game.priors import Normal, Uniform
from ganzoo.game.registry import register
from ganzoo.nn import dcgan
from ganzoo.objectives import losses
from ganzoo.schema import NonNegative, Positive, Probability
from ganzoo.types import Batch


@register(
    paper="Radford, Metz and Chintala, Unsupervised Representation Learning with Deep Convolutional Generative "
    "Adversarial Networks",
    year=2016,
    url="https://arxiv.org/abs/1511.06434",
    formula=(
        "L_D = -E log D(x) - E log(1 - D(G(z)))",
        "L_G = -E log D(G(z))",
        "z ~ U[-1, 1]^100",
    ),
)
class DCGAN(Adversarial):
    """Strided convolutions, batch normalization and a tuned Adam make image GANs train stably.

    Args:
        size: side of an image: 4, 5, 6 or 7 times a power of two.
        channels: channels of an image.
        latent: length of z.
        prior: of z, uniform in [-1, 1] (section 4.1), or the standard normal of most later code.
        width: feature maps beside the images; doubled at every halving of the resolution (128 in figure 1).
        discriminator_width: of the discriminator; None for the same.
        lr: learning rate of both players (section 4).
        betas: Adam's decay rates (section 4).
        reuse: whether the generator moves against the very fakes that the discriminator has just seen, as in the Torch
            code of one of the paper's authors (soumith/dcgan.torch), instead of new ones, as in the paper's own code
            (Newmu/dcgan_code); it saves a pass through the generator.
        variant: of the networks: the paper's, or StudioGAN's (`deep_conv`), whose `width` is 64 and whose images have
            32 pixels.
    """

    retired: ClassVar[dict[str, Any]] = {"smoothing": 0.0, "classes": 0}

    def __init__(
        self,
        size: Positive = 64,
        channels: Positive = 3,
        latent: Positive = 100,
        prior: Literal["uniform", "normal"] = "uniform",
        width: Positive = 128,
        discriminator_width: Positive | None = None,
        lr: NonNegative = 2e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
        reuse: bool = False,
        variant: Literal["paper", "studiogan"] = "paper",
    ) -> None:
        super().__init__()
        self.shape, self.reuse = (channels, size, size), reuse
        self.prior = Uniform(-1, 1, latent) if prior == "uniform" else Normal(latent)
        self.generator: nn.Module
        self.discriminator: nn.Module
        if variant == "studiogan":
            self.generator = dcgan.StudioGenerator(latent, channels, size, width)
            self.discriminator = dcgan.StudioDiscriminator(channels, size, discriminator_width or width)
        else:
            self.generator = dcgan.Generator(latent, channels, size, width)
            self.discriminator = dcgan.Discriminator(channels, size, discriminator_width or width)
        self.adam = partial(Adam, lr=lr, betas=betas)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player."""
        fake = self.ahead(self.fake, batch) if self.reuse else None
        self.move("discriminator", self.discriminator_loss, batch, None if fake is None else fake.detach())
        self.move("generator", self.generator_loss, batch, fake)

    def discriminator_loss(self, batch: Batch, fake: Tensor | None = None) -> Tensor:
        """-E log D(x) - E log(1 - D(G(z))), each batch normalized by itself."""
        fake = self.fake(batch) if fake is None else fake
        real = self.real(batch)
        scores = self.discriminator(self.seen(real)), self.discriminator(self.seen(fake))
        return losses.minimax_discriminator(*scores) + self.regularizers(real, fake, *scores)

    def generator_loss(self, batch: Batch, fake: Tensor | None = None) -> Tensor:
        """-E log D(G(z))."""
        fake = self.fake(batch) if fake is None else fake
        scores = self.hardest(self.discriminator(self.seen(fake)))
        return losses.nonsaturating_generator(scores) + self.spread(len(batch))

    def fake(self, batch: Batch) -> Tensor:
        """G(z), as many as there are images in the batch."""
        return self.generator(self.noise(batch))
