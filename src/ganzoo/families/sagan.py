"""SAGAN: self-attention lets distant parts of an image agree, in both players.

Zhang, Goodfellow, Metaxas and Odena 2019, "Self-Attention Generative Adversarial Networks", arXiv:1805.08318. Every
position of some feature maps adds to itself a mean of values from all positions, weighted by how well their keys match
its query; gamma grows from 0. Both players are under spectral normalization and take turns one by one, the
discriminator four times as fast (two time scales). The rest is a conditional GAN with projection discriminator:

    y_i = x_i + gamma v(sum_j softmax_j(f(x_i)'g(x_j)) h(x_j))                                    (eqs. 1 to 3)
    L_D = E max(0, 1 - D(x, y)) + E max(0, 1 + D(G(z, y'), y'))        L_G = -E D(G(z, y'), y')        (eq. 4)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from ganzoo.game.abilities import Adversarial
from ganzoo.game.engine import Player, adams
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn import resnet
from ganzoo.nn.spectral import spectral_layers
from ganzoo.objectives import losses
from ganzoo.schema import Layers, NonNegative, Positive, Probability, Sizes
from ganzoo.types import Batch, Condition

if TYPE_CHECKING:
    from ganzoo.data.batch import Images

QUERIES: Final = (
    (0.5, 0.5),
    (0.25, 0.5),
    (0.75, 0.35),
    (0.75, 0.65),
    (0.1, 0.1),
)  # row and column, as shares of a side


@register(
    paper="Zhang, Goodfellow, Metaxas and Odena, Self-Attention Generative Adversarial Networks",
    year=2019,
    url="https://arxiv.org/abs/1805.08318",
    formula=(
        "y_i = x_i + gamma v(sum_j softmax_j(f(x_i)'g(x_j)) h(x_j))",
        "L_D = E max(0, 1 - D(x, y)) + E max(0, 1 + D(G(z, y'), y'))",
        "L_G = -E D(G(z, y'), y')",
    ),
)
class SAGAN(Adversarial):
    """Self-attention in both players lets details draw on cues from the whole image.

    The defaults are those of ImageNet (section 5), but for the number of classes.

    Args:
        size: side of an image.
        channels: channels of an image.
        latent: length of z, normal.
        classes: number of classes (1000 of ImageNet).
        widths: the generator's feature maps from the smallest side up; each further one doubles the side.
        discriminator_widths: the discriminator's feature maps after each block.
        downsamplings: how many of its blocks, from the first, halve the side.
        attention: side of the generator's feature maps that self-attention looks over (table 1).
        discriminator_attention: of the discriminator's.
        wide: whether the first convolution of the discriminator's blocks widens, as in the authors' code; the second of
            SNGAN's and of mimicry's does.
        lr: learning rate of the generator.
        discriminator_lr: learning rate of the discriminator.
        betas: Adam's decay rates.
        variant: whose details are computed. `paper`: the authors' code. `mimicry`: pixels are doubled bilinearly, and
            the discriminator's shortcuts see their input after the ReLU. `studiogan`: the second alone, and
            batch normalization adds 1e-4 to variances, and its gains and biases are linear maps of the one-hot class.
    """

    labelled = True

    def __init__(
        self,
        size: Positive = 128,
        channels: Positive = 3,
        latent: Positive = 128,
        classes: Positive = 10,
        widths: Sizes = (1024, 1024, 512, 256, 128, 64),
        discriminator_widths: Sizes = (64, 128, 256, 512, 1024, 1024),
        downsamplings: Layers = 5,
        attention: Positive = 32,
        discriminator_attention: Positive = 32,
        wide: bool = True,
        lr: NonNegative = 1e-4,
        discriminator_lr: NonNegative = 4e-4,
        betas: tuple[Probability, Probability] = (0.0, 0.9),
        variant: resnet.Variant = "paper",
    ) -> None:
        super().__init__()
        self.shape, self.classes = (channels, size, size), classes
        self.prior = Normal(latent)
        layers = spectral_layers()
        self.generator = resnet.Generator(
            latent,
            channels,
            size,
            widths,
            classes=classes,
            layers=layers,
            attention=attention,
            upsampling="bilinear" if variant == "mimicry" else "nearest",
            eps=1e-4 if variant == "studiogan" else 1e-5,
            one_hot=variant == "studiogan",
        )
        self.discriminator = resnet.Discriminator(
            channels,
            size,
            discriminator_widths,
            downsamplings,
            classes=classes,
            layers=layers,
            attention=discriminator_attention,
            activated=variant != "paper",
            wide=wide,
        )
        self.adams = adams(lr, discriminator_lr, betas)

    def players(self) -> dict[str, Player]:
        """The discriminator and the generator, each with its own learning rate."""
        return {name: Player(getattr(self, name), adam) for name, adam in self.adams.items()}

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player."""
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """E max(0, 1 - D(x, y)) + E max(0, 1 + D(G(z, y'), y')), in one pass of D."""
        z, drawn = self.latents_and_labels(batch)
        real, fake, labels = self.real(batch), self.generator(z, drawn), self.labels_of(batch)
        scores = self.discriminator(self.seen(torch.cat([real, fake])), torch.cat([labels, drawn])).chunk(2)
        added = self.regularizers(real, fake, *scores, real_labels=labels, fake_labels=drawn)
        return losses.hinge_discriminator(*scores) + added

    def generator_loss(self, batch: Batch) -> Tensor:
        """-E D(G(z, y'), y')."""
        z, drawn = self.latents_and_labels(batch)
        scores = self.hardest(self.discriminator(self.seen(self.generator(z, drawn)), drawn))
        return losses.hinge_generator(scores) + self.spread(len(drawn), drawn)

    def latents_and_labels(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """z `(N, latent)` and labels `(N,)`, uniform, as many as there are images in the batch."""
        assert self.classes is not None
        n = len(batch.images)
        return self.noise(batch), torch.randint(self.classes, (n,), device=self.device)

    def attention_maps(self, z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Where each position of the averaged generator's feature maps looks.

        Args:
            z: latents `(n, latent)`.
            labels: class indices `(n,)`.

        Returns:
            Images `(n, C, H, W)`, and `(n, side, side, side // 2, side // 2)`: at each position a distribution.
        """
        z, labels = z.to(self.device), labels.to(self.device)
        with self.inferring():
            x = self.averaged.before(z, labels)
            side = x.shape[-1]
            shares = self.averaged.attention.attention(x).unflatten(2, (side // 2, -1)).unflatten(1, (side, side))
            return self.limit(self.generate(z, Condition(labels)).float()).cpu(), shares.float().cpu()

    def pictures(self, real: Images | None) -> dict[str, Tensor]:
        """Attention maps: an image a row, then for each of `QUERIES`, marked, where it looks; white is the most."""
        z, labels = self.draw(range(8))
        assert labels is not None
        images, shares = self.attention_maps(z, labels)
        side, columns = shares.shape[1], [images]
        for place in QUERIES:
            row, column = (int(share * side) for share in place)
            found = shares[:, row, column, None]
            found = F.interpolate(found / found.amax((2, 3), keepdim=True), images.shape[2:], mode="bilinear")
            # The image shines through faintly, so that one sees what is looked at
            shown = (found * 2 - 1).maximum(images * 0.25 - 0.75)
            columns.append(_marked(shown, place))
        return {"attention-maps": torch.stack(columns, 1)}


def _marked(images: Tensor, place: tuple[float, float]) -> Tensor:
    """Images with a small square at a place: black around white."""
    images, side = images.clone(), images.shape[-1]
    row, column, half = int(place[0] * side), int(place[1] * side), max(side // 32, 1)
    for radius, value in ((2 * half, -1.0), (half, 1.0)):
        top, left = max(row - radius, 0), max(column - radius, 0)
        images[:, :, top : row + radius, left : column + radius] = value
    return images
