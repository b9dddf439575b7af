"""pix2pix: a discriminator that sees input and output together learns the loss of a translation from pairs.

Isola, Zhu, Zhou and Efros 2017, "Image-to-Image Translation with Conditional Adversarial Networks", arXiv:1611.07004.
The generator is a U-Net whose only noise is dropout; the discriminator judges patches; L1 keeps the low frequencies:

    L_D = 1/2 (-E log D(x, y) - E log(1 - D(x, G(x))))        L_G = -E log D(x, G(x)) + lambda E |y - G(x)|
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch.nn.functional as F
from torch import Tensor
from torch.optim import Adam

from ganzoo.game.abilities import Paired
from ganzoo.game.registry import register
from ganzoo.nn import translation
from ganzoo.objectives import losses
from ganzoo.schema import Depth, Layers, NonNegative, Positive, Probability
from ganzoo.types import Batch


@register(
    paper="Isola, Zhu, Zhou and Efros, Image-to-Image Translation with Conditional Adversarial Networks",
    year=2017,
    url="https://arxiv.org/abs/1611.07004",
    method="pix2pix",
    task="translation",
    formula=(
        "L_D = 1/2 (-E log D(x, y) - E log(1 - D(x, G(x))))",
        "L_G = -E log D(x, G(x)) + lambda E |y - G(x)|",
    ),
)
class Pix2Pix(Paired):
    """A discriminator that sees input and output together learns the loss of a translation from pairs.

    The data's images are x, their targets y. At test time the paper runs the generator as in training: batch
    normalization takes the statistics of the batch, which is one image, and dropout stays alive (section 3.3).
    `translate` does the first by default (`statistics="own"`), so that an image is translated alike in any batch, and
    the second where asked for (`noise=True`), with masks that depend on the image's seed alone.

    Args:
        size: side of an image in training: a multiple of 2 to the power of `depth`.
        source_channels: of x.
        channels: of y.
        width: feature maps of the generator beside the images.
        architecture: of the generator: the paper's `unet`, or CycleGAN's `resnet`, as the authors' later code offers.
        blocks: residual blocks of the latter.
        depth: halvings of the U-Net; 0 for as many as the size allows, down to a single position as in the paper.
        dropout: whether the generator has dropout, of half of the values of some inner layers.
        discriminator_width: feature maps after the discriminator's first layer.
        patch_layers: halvings of the discriminator: 3 judge patches of 70 x 70 pixels; 0 single pixels.
        normalization: of both networks; the paper's `batch` at a batch of one is `instance`.
        l1: lambda, the weight of the distance to y.
        lr: learning rate of both players.
        betas: Adam's decay rates.
    """

    def __init__(
        self,
        size: Positive = 256,
        source_channels: Positive = 3,
        channels: Positive = 3,
        width: Positive = 64,
        architecture: Literal["unet", "resnet"] = "unet",
        blocks: Layers = 9,
        depth: Depth = 0,
        dropout: bool = True,
        discriminator_width: Positive = 64,
        patch_layers: Depth = 3,
        normalization: translation.Normalization = "batch",
        l1: NonNegative = 100.0,
        lr: NonNegative = 2e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
    ) -> None:
        super().__init__()
        self.shape, self.source_shape = (channels, size, size), (source_channels, size, size)
        self.l1 = l1
        depth = depth or max(2, (size & -size).bit_length() - 1)  # the powers of two in the size
        self.generator: translation.UNetGenerator | translation.ResNetGenerator
        if architecture == "unet":
            self.generator = translation.UNetGenerator(source_channels, channels, width, depth, normalization, dropout)
        else:
            self.generator = translation.ResNetGenerator(
                source_channels, channels, width, blocks, normalization, dropout
            )
        self.discriminator = translation.PatchDiscriminator(
            source_channels + channels, discriminator_width, patch_layers, normalization
        )
        self.stride = self.generator.stride
        self.generator.check(size)
        self.discriminator.check(size)
        self.adam = partial(Adam, lr=lr, betas=betas)

    def transform(
        self,
        images: Tensor,
        to: str,
        *,
        noise: bool = False,
        statistics: Literal["own", "running"] = "own",
        seeds: Sequence[int] = (),
    ) -> Tensor:
        """Maps x to y.

        Args:
            images: `(n, C, H, W)`.
            to: `b`.
            noise: whether dropout is alive, the paper's noise.
            statistics: what batch normalization takes: each image's own, or the running ones of training.
            seeds: of the dropout's masks, one an image.
        """
        network = self.averaged
        with translation.as_tested(network, statistics == "own", seeds if noise else None):
            return network(images)

    def discriminator_loss(self, batch: Batch, fake: Tensor) -> Tensor:
        """1/2 (-E log D(x, y) - E log(1 - D(x, G(x)))): halved, which slows the discriminator (section 3.3)."""
        x, y = batch.images, self.targets_of(batch)
        return 0.5 * losses.minimax_discriminator(self.scores(x, y), self.scores(x, fake))

    def generator_loss(self, batch: Batch, fake: Tensor) -> Tensor:
        """-E log D(x, G(x)) + lambda E |y - G(x)| (eq. 4)."""
        distance = F.l1_loss(fake, self.targets_of(batch))
        self.record(l1=distance)
        return losses.nonsaturating_generator(self.scores(batch.images, fake)) + self.l1 * distance
