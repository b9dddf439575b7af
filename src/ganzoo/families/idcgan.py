"""ID-CGAN: rain is removed from a picture, by losses of pixels, of features and of a multi-scale discriminator.

Zhang, Sindagi and Patel 2017, "Image De-raining Using a Conditional Generative Adversarial Network", arXiv:1701.05957.
x is a rainy picture and y the same without rain. The discriminator is shown both together, and says of each patch what
it thinks with averages over larger and larger squares in sight; features phi of a classifier and pixels keep what is
there (eq. 3 to 6, the refined perceptual loss):

    L_D = -E log D(x, y) - E log(1 - D(x, G(x)))
    L_G = -lambda_a E log D(x, G(x)) + lambda_p E |phi(G(x)) - phi(y)|^2 + E |G(x) - y|^2
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Paired
from ganzoo.game.helpers import Helper
from ganzoo.game.registry import register
from ganzoo.nn import translation
from ganzoo.objectives import losses
from ganzoo.schema import Depth, NonNegative, Positive, Probability, Sizes
from ganzoo.types import Batch


class Generator(nn.Module):
    """Convolutions of one size down to a single map and as many back, of which two are added to those before.

    What is added was through a leaky ReLU, as the activation in place makes it in the authors' code.

    Args:
        channels: channels of a picture.
        width: feature maps, an even number; half as many beside the single one.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        half = max(1, width // 2)
        down = [channels, width, width, width, width, half, 1]
        up = [1, half, width, width, width, width]
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, 1, 1), *([nn.BatchNorm2d(b)] if i else []))
            for i, (a, b) in enumerate(pairwise(down))
        )
        self.up = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(a, b, 3, 1, 1), nn.BatchNorm2d(b)) for a, b in pairwise(up)
        )
        self.last = nn.ConvTranspose2d(width, channels, 3, 1, 1)
        self.apply(translation.initialize)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, channels, H, W)` to the same shape, in [-1, 1]."""
        seen: list[Tensor] = []
        for layer in self.down:
            x = F.leaky_relu(layer(x), 0.2)
            seen.append(x)
        for i, layer in enumerate(self.up):
            x = layer(x if i == 0 else x.relu())
            if i in (1, 3):
                x = x + seen[4 - i]  # the fourth layer's, and the second's
        return self.last(x.relu()).tanh()


class Discriminator(nn.Module):
    """A patch discriminator whose last layer also sees averages of its maps over larger and larger squares.

    Args:
        channels: channels of both pictures together.
        width: feature maps after the first layer.
        layers: halvings.
        scales: sides of the squares; a quarter of the maps goes on from each.
    """

    def __init__(self, channels: int, width: int, layers: int, scales: Sequence[int]) -> None:
        super().__init__()
        patches = translation.PatchDiscriminator(channels, width, layers, "batch")
        patches.main = patches.main[:-1]  # without the layer of the scores
        wide = width * min(2**layers, 8)
        part = max(1, wide // 4)
        self.patches, self.scales = patches, tuple(scales)
        self.pyramid = nn.ModuleList(nn.Sequential(nn.Conv2d(wide, part, 1), nn.LeakyReLU(0.2)) for _ in scales)
        self.last = nn.Conv2d(wide + part * len(self.scales), 1, 3, 1, 1)
        for each in (self.pyramid, self.last):
            each.apply(translation.initialize)

    def forward(self, x: Tensor) -> Tensor:
        """A score a patch `(N, 1, h, w)` of rainy pictures and others, side by side in the channels."""
        h = self.patches(x)
        seen = [h]
        for scale, layer in zip(self.scales, self.pyramid, strict=True):
            sides = max(1, h.shape[2] // scale), max(1, h.shape[3] // scale)
            seen.append(F.interpolate(layer(F.adaptive_avg_pool2d(h, sides)), h.shape[2:], mode="bilinear"))
        return self.last(torch.cat(seen, 1))


@register(
    paper="Zhang, Sindagi and Patel, Image De-raining Using a Conditional Generative Adversarial Network",
    year=2017,
    url="https://arxiv.org/abs/1701.05957",
    method="ID-CGAN",
    task="translation",
    formula=(
        "L_D = -E log D(x, y) - E log(1 - D(x, G(x)))",
        "L_G = -lambda_a E log D(x, G(x)) + lambda_p E |phi(G(x)) - phi(y)|^2 + E |G(x) - y|^2",
    ),
)
class IDCGAN(Paired):
    """Rain is removed from a picture, by losses of pixels, of features and of a multi-scale discriminator.

    The data's images are x, their targets y. The generator is that of the authors' code (the paper's later version has
    dense blocks), the discriminator's squares are those of the paper, which that code has not. The features are the
    second resolution's of the named network: of VGG16 those behind its fourth convolution, as there. The scales are the
    paper's, 1 to 1 to 0.0066; the code's are 150 to 150 to 1. Its content loss, though named L2, takes absolute
    differences, of features of pictures in [-1, 1] as they are; here squares, as eq. 4 has it, of pictures in the range
    that the network was trained on. Its batches are of 7, of pictures of 286 pixels cut to 256 and mirrored.

    Args:
        size: side of a picture in training; any other will do afterwards.
        channels: channels of a picture.
        width: feature maps of the generator, an even number.
        discriminator_width: feature maps after the discriminator's first layer.
        patch_layers: its halvings.
        scales: sides of the squares, in places of its last maps.
        perceptual: the network of the features; none for pixels alone.
        perceptual_weight: lambda_p.
        adversarial: lambda_a.
        pixels: the distance of pixels: squares as in the paper, or absolute ones.
        lr: learning rate of both players.
        betas: Adam's decay rates.
    """

    def __init__(
        self,
        size: Positive = 256,
        channels: Positive = 3,
        width: Positive = 64,
        discriminator_width: Positive = 48,
        patch_layers: Depth = 3,
        scales: Sizes = (4, 8, 16, 32),
        perceptual: str | None = "vgg16_lpips",
        perceptual_weight: NonNegative = 1.0,
        adversarial: NonNegative = 6.6e-3,
        pixels: Literal["l2", "l1"] = "l2",
        lr: NonNegative = 2e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
    ) -> None:
        super().__init__()
        self.shape, self.domains = (channels, size, size), ("clear",)
        self.generator = Generator(channels, width)
        self.discriminator = Discriminator(2 * channels, discriminator_width, patch_layers, scales)
        self.discriminator.patches.check(size)
        if perceptual is not None:
            self.features = Helper(perceptual)
        self.perceptual = perceptual_weight if perceptual is not None else 0.0
        self.adversarial = adversarial
        self.distance = F.mse_loss if pixels == "l2" else F.l1_loss
        self.adam = partial(Adam, lr=lr, betas=betas)

    def transform(self, images: Tensor, to: str) -> Tensor:
        """G(x)."""
        return self.averaged(images)

    def discriminator_loss(self, batch: Batch, fake: Tensor) -> Tensor:
        """-E log D(x, y) - E log(1 - D(x, G(x)))."""
        real, made = (self.scores(batch.images, y) for y in (self.targets_of(batch), fake))
        return losses.minimax_discriminator(real, made)

    def generator_loss(self, batch: Batch, fake: Tensor) -> Tensor:
        """The game's part, the features' and the pixels' (eq. 6)."""
        y = self.targets_of(batch)
        loss = self.distance(fake, y)
        self.record(pixels=loss)
        if self.perceptual:
            with torch.no_grad():
                wanted = self.features(y)[1]
            content = F.mse_loss(self.features(fake)[1], wanted)
            self.record(content=content)
            loss = loss + self.perceptual * content
        return loss + self.adversarial * losses.nonsaturating_generator(self.scores(batch.images, fake))
