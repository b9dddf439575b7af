"""ProGAN: both networks begin at 4 x 4 pixels, and layers for finer detail fade in while they learn.

Karras, Aila, Laine and Lehtinen 2018, "Progressive Growing of GANs for Improved Quality, Stability, and Variation",
arXiv:1710.10196. A small image is learned soon; every new layer has only the next finer detail to learn. Weights are
N(0, 1) and scaled when used, so that all learn at the same speed; the generator's features are normalised in each
pixel; the discriminator is told how much the images of a batch differ. The game is WGAN-GP's with one update of each
player and a term against drifting scores (appendix A.1):

    L_D = E D(G(z)) - E D(x) + lambda E (||grad D(x^)|| - 1)^2 + eps E D(x)^2        L_G = -E D(G(z))
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Samples
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn import growing
from ganzoo.nn.double_backward import input_gradients
from ganzoo.nn.growing import GAIN, UpConv2d, enlarge
from ganzoo.nn.style import EqualizedConv2d, EqualizedLinear, label_vectors, normalize_2nd_moment
from ganzoo.objectives import losses, penalties
from ganzoo.schema import Count, NonNegative, Positive, Probability, Sizes
from ganzoo.types import Batch


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU, then the features of each pixel at a mean square of 1 (section 4.2)."""
    return normalize_2nd_moment(F.leaky_relu(x, 0.2))


class GeneratorBlock(nn.Module):
    """Twice the resolution, and two convolutions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up, self.conv = UpConv2d(inputs, outputs, 3, gain=GAIN), EqualizedConv2d(outputs, outputs, 3, gain=GAIN)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, inputs, H, W)` to `(N, outputs, 2H, 2W)`."""
        return activate(self.conv(activate(self.up(x))))


class Generator(growing.Growing):
    """The growing generator (table 2).

    Args:
        latent, channels, widths, classes, variant: see `ProGAN`; one width for each resolution.
    """

    def __init__(self, latent: int, channels: int, widths: Sequence[int], classes: int, variant: str) -> None:
        super().__init__(len(widths))
        self.classes, self.variant = classes, variant
        side = 4 if variant == "gan_zoo" else 1
        self.dense = EqualizedLinear(latent + classes, 16 * widths[0], bias=None, gain=GAIN / 4)
        self.bias = nn.Parameter(torch.zeros(widths[0], side, side))
        self.conv = EqualizedConv2d(widths[0], widths[0], 3, gain=GAIN)
        self.blocks = nn.ModuleList(GeneratorBlock(i, o) for i, o in pairwise(widths))
        self.to_rgb = nn.ModuleList(EqualizedConv2d(width, channels, 1) for width in widths)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps z `(N, latent)` to images of the full size, in larger pixels where the network has not grown whole."""
        top, fading = self.stage()
        if self.classes:
            z = normalize_2nd_moment(z) if self.variant == "genforce" else z
            z = torch.cat([z, label_vectors(labels, self.classes, z.shape[0]).to(z)], 1)
        x = self.dense(normalize_2nd_moment(z)).unflatten(1, (-1, 4, 4))
        below = x = activate(self.conv(activate(x + self.bias)))
        for block in self.blocks[:top]:
            below, x = x, block(x)
        image = self.to_rgb[top](x)
        if fading:
            image = self.fade(image, enlarge(self.to_rgb[top - 1](below)))
        return enlarge(image, 1 << (self.levels - 1 - top))


@register(
    paper="Karras, Aila, Laine, Lehtinen, Progressive Growing of GANs for Improved Quality, Stability, and Variation",
    year=2018,
    url="https://arxiv.org/abs/1710.10196",
    formula=(
        "L_D = E D(G(z)) - E D(x) + lambda E (||grad D(x^)|| - 1)^2 + eps E D(x)^2",
        "L_G = -E D(G(z))",
    ),
)
class ProGAN(Samples):
    """Networks that grow from 4 x 4 pixels learn large images faster and more stably than at the full size at once.

    How far they have grown is a function of the images seen. A model that has not grown whole draws at the full size
    nevertheless, in larger pixels. With labels the discriminator also classifies (AC-GAN), as in the authors' code.

    Args:
        size: side of an image, a power of two.
        channels: channels of an image.
        latent: length of z, normal, which the generator normalises.
        widths: feature maps at 4, 8, 16, ... pixels (table 2); as many as the size needs are used.
        dense: units of the discriminator's last hidden layer; None for as many as at 4 pixels.
        classes: number of classes of the labels; 0 for none.
        start: resolution to begin at; `size` for no growing, as when fine-tuning.
        stabilise: images for which each resolution is learned.
        transition: images over which the next one fades in.
        group: images over which the discriminator takes the standard deviation; 1 for none.
        fused: whether the discriminator averages pixels before the activation, as in the authors' code, or after it.
        variant: whose details are computed. `paper`: as the authors' code. `genforce`: z is normalised before labels
            are appended to it too. `gan_zoo`: a bias for each pixel of the first layer; the standard deviation
            unbiased, over neighbours in the batch.
        penalty: lambda, the weight of the gradient's penalty.
        drift: eps, of the term that keeps scores near 0.
        condition: weight of the classification, where there are labels.
        lr: learning rate of both players.
        betas: Adam's decay rates.
    """

    average_half_life = 11_085.0  # 0.999 an update of 16 images (appendix A.1)
    coupled: ClassVar[bool] = True  # by the standard deviation over the batch
    label_vectors: ClassVar[bool] = True

    def __init__(
        self,
        size: Positive = 1024,
        channels: Positive = 3,
        latent: Positive = 512,
        widths: Sizes = (512, 512, 512, 512, 256, 128, 64, 32, 16),
        dense: Positive | None = None,
        classes: Count = 0,
        start: Positive = 4,
        stabilise: Positive = 800_000,
        transition: Positive = 800_000,
        group: Positive = 4,
        fused: bool = True,
        variant: Literal["paper", "genforce", "gan_zoo"] = "paper",
        penalty: NonNegative = 10.0,
        drift: NonNegative = 1e-3,
        condition: NonNegative = 1.0,
        lr: NonNegative = 1e-3,
        betas: tuple[Probability, Probability] = (0.0, 0.99),
    ) -> None:
        super().__init__()
        self.shape, self.classes, self.labelled = (channels, size, size), classes or None, bool(classes)
        self.prior = Normal(latent)
        self.penalty, self.drift, self.condition = penalty, drift, condition
        used = growing.feature_maps(widths, size, start)
        self.level = growing.Schedule(size, start, stabilise, transition)
        self.generator = Generator(latent, channels, used, classes, variant)
        self.discriminator = growing.Discriminator(
            channels, used, dense=dense, outputs=1 + classes, group=group, sample=variant == "gan_zoo", fused=fused
        )
        self.adam = partial(Adam, lr=lr, betas=betas)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player, at the level of detail that the images seen say."""
        if self.level.turns(self.images_seen - len(batch.images) * self.trainer.world_size, self.images_seen):
            for player in self.players():  # as the authors' code: layers that learn anew have no past
                self.optimizer(player).state.clear()
        for network in (self.generator, self.discriminator):
            network.grow(self.level(self.images_seen))
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """WGAN-GP's loss with the drift term (appendix A.1), and the classification of both where there are labels."""
        images = growing.at_level(batch.images, self.level(self.images_seen))
        fake = self.generator(*self.latents_and_labels(batch))
        judged, judged_fake = (self.discriminator(self.seen(x)) for x in (images, fake))
        distance = losses.wasserstein_critic(judged[:, :1], judged_fake[:, :1])
        self.record(wasserstein_estimate=-distance, level_of_detail=self.discriminator.lod)
        with input_gradients():
            slope = penalties.gradient_penalty(lambda x: self.discriminator(self.seen(x))[:, :1], images, fake)
        loss: Tensor = distance + self.penalty * slope + self.drift * judged[:, :1].float().square().mean()
        return loss + self.classification(judged, batch) + self.classification(judged_fake, batch)

    def generator_loss(self, batch: Batch) -> Tensor:
        """-E D(G(z)), and the classification where there are labels."""
        judged: Tensor = self.discriminator(self.seen(self.generator(*self.latents_and_labels(batch))))
        return losses.wasserstein_generator(judged[:, :1]) + self.classification(judged, batch)

    def classification(self, judged: Tensor, batch: Batch) -> Tensor:
        """The cross entropy of the classes that the discriminator sees, weighted; 0 without labels."""
        if not self.classes:
            return judged.new_zeros(())
        return self.condition * F.cross_entropy(judged[:, 1:].float(), label_vectors(batch.labels, self.classes))

    def latents_and_labels(self, batch: Batch) -> tuple[Tensor, ...]:
        """z `(N, latent)`, as many as there are images in the batch, and their labels where there are any."""
        z = self.noise(batch)
        return (z, label_vectors(batch.labels, self.classes)) if self.classes else (z,)
