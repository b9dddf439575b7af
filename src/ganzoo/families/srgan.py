"""SRGAN: a perceptual and an adversarial loss make enlarged pictures look real, where squared errors blur them.

Ledig et al. 2017, "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network",
arXiv:1609.04802. y is a picture, x what it becomes when it is made small. The mean of all pictures that x may come from
is the best guess in squares of pixels, and blurred; the distance is taken in features phi of a classifier instead, and
a discriminator judges (eq. 2, 3, 5 and 6; the first stage, SRResNet, minimises the mean square of pixels alone, eq. 4):

    L_D = -E log D(y) - E log(1 - D(G(x)))
    L_G = 0.006 |phi(G(x)) - phi(y)|^2 - 0.001 E log D(G(x))
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Upscales
from ganzoo.game.engine import Player
from ganzoo.game.helpers import Helper
from ganzoo.game.registry import register
from ganzoo.nn import enlarging
from ganzoo.objectives import losses
from ganzoo.schema import Count, Layers, NonNegative, Positive, Probability
from ganzoo.types import BadArgument, Batch


class Block(nn.Module):
    """`x + f(x)`, with two convolutions in f.

    Args:
        width: feature maps.
        plain: without batch normalization, and with ReLU where PReLU is.
    """

    def __init__(self, width: int, plain: bool) -> None:
        super().__init__()
        convolutions = [nn.Conv2d(width, width, 3, 1, 1) for _ in range(2)]
        norms = [nn.Identity() if plain else nn.BatchNorm2d(width) for _ in range(2)]
        self.main = nn.Sequential(
            *(convolutions[0], norms[0], nn.ReLU() if plain else nn.PReLU()), *(convolutions[1], norms[1])
        )
        if plain:
            enlarging.small_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, width, H, W)` to the same shape."""
        return x + self.main(x)


class SRResNet(nn.Module):
    """Residual blocks at the small side, then convolutions whose feature maps become pixels (section 2.1.1).

    Args:
        channels: channels of an image.
        scale: how many times as long the sides become: 2, 3, 4 or 8.
        width: feature maps.
        blocks: residual blocks.
        plain: BasicSR's `MSRResNet`: no normalization, 3 x 3 kernels, and bilinear interpolation added at the end.
    """

    def __init__(self, channels: int, scale: int, width: int, blocks: int, plain: bool) -> None:
        super().__init__()
        kernel = 3 if plain else 9
        self.plain, self.scale = plain, scale
        self.first = nn.Conv2d(channels, width, kernel, 1, kernel // 2)
        self.activation = nn.LeakyReLU(0.1) if plain else nn.PReLU()
        self.blocks = nn.Sequential(*(Block(width, plain) for _ in range(blocks)))
        self.trunk = None if plain else nn.Sequential(nn.Conv2d(width, width, 3, 1, 1), nn.BatchNorm2d(width))
        factors = [3] if scale == 3 else [2] * (scale.bit_length() - 1)
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width * factor**2, 3, 1, 1),
                nn.PixelShuffle(factor),
                nn.LeakyReLU(0.1) if plain else nn.PReLU(),
            )
            for factor in factors
        )
        self.high = nn.Conv2d(width, width, 3, 1, 1) if plain else None
        self.last = nn.Conv2d(width, channels, kernel, 1, kernel // 2)

    def forward(self, images: Tensor) -> Tensor:
        """Maps `(N, channels, H, W)` in [-1, 1] to `scale` times the sides, about in [-1, 1]."""
        given = enlarging.to_unit(images)
        first = self.activation(self.first(given))
        x = self.blocks(first)
        if self.trunk is not None:
            x = first + self.trunk(x)
        for up in self.up:
            x = up(x)
        if self.high is None:
            return self.last(x)  # in [-1, 1], as in the paper (section 3.2)
        made = self.last(self.activation(self.high(x)))
        base = F.interpolate(given, scale_factor=float(self.scale), mode="bilinear", align_corners=False)
        return enlarging.from_unit(made + base)


@register(
    paper="Ledig et al., Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network",
    year=2017,
    url="https://arxiv.org/abs/1609.04802",
    task="super-resolution",
    formula=(
        "L_D = -E log D(y) - E log(1 - D(G(x)))",
        "L_G = 0.006 |phi(G(x)) - phi(y)|^2 - 0.001 E log D(G(x))",
    ),
)
class SRGAN(Upscales):
    """A perceptual and an adversarial loss make enlarged pictures look real, where squared errors blur them.

    It learns from pictures alone, which it makes small itself. The paper trains SRResNet first (`perceptual: null`,
    `adversarial: 0`), then goes on from its weights. Its features are VGG19's, after the last convolution's activation
    (SRGAN-VGG54) or that of the second resolution (SRGAN-VGG22, `level: 1`); here they are those of the named network,
    VGG16's by default.

    Args:
        size: side of a picture in training, a multiple of the scale and 16; 96 in the paper.
        channels: channels of a picture.
        scale: how many times as long the sides become: 2, 3, 4 or 8.
        network: `srresnet` is the paper's; `msrresnet` BasicSR's, without batch normalization.
        width: feature maps of the generator.
        blocks: its residual blocks; 16 in the paper.
        discriminator_width: feature maps of the discriminator's first layer.
        units: of its layer before the last.
        halvings: how often it halves the side.
        perceptual: the network of the features; none for the mean square of pixels.
        level: which of its resolutions, from 0 for the finest, or from -1 for the coarsest.
        adversarial: the weight of the game beside features at 0.006 (or pixels at 1); 0 for none.
        lower_at: images seen after which the learning rate is a tenth: the paper's 100,000 batches of 16.
        lr: learning rate of both players.
        betas: Adam's decay rates.
    """

    def __init__(
        self,
        size: Positive = 96,
        channels: Positive = 3,
        scale: Positive = 4,
        network: Literal["srresnet", "msrresnet"] = "srresnet",
        width: Positive = 64,
        blocks: Layers = 16,
        discriminator_width: Positive = 64,
        units: Positive = 1024,
        halvings: Layers = 4,
        perceptual: str | None = "vgg16_lpips",
        level: int = -1,
        adversarial: NonNegative = 1e-3,
        lower_at: Count = 1_600_000,
        lr: NonNegative = 1e-4,
        betas: tuple[Probability, Probability] = (0.9, 0.999),
    ) -> None:
        super().__init__()
        if scale not in (2, 3, 4, 8) or size % scale or size % 2**halvings:
            raise BadArgument(
                f"size is {size} and scale {scale}; 2, 3, 4 or 8, and a multiple of it and {2**halvings} are expected"
            )
        self.shape, self.scale = (channels, size, size), scale
        self.generator = SRResNet(channels, scale, width, blocks, network == "msrresnet")
        self.overlap, self.tile = 2 * blocks + 8, 256  # all that the convolutions see
        left = size >> halvings
        self.discriminator = enlarging.Discriminator(channels, size, discriminator_width, units, left)
        if perceptual is not None:
            self.features = Helper(perceptual)
        self.perceptual, self.level = perceptual is not None, level
        self.adversarial, self.lower_at = adversarial, lower_at
        self.adam = partial(Adam, lr=lr, betas=betas)

    def setup(self, stage: str) -> None:
        """Looks whether the network has the level.

        Raises:
            BadArgument: if it has not.
        """
        if self.perceptual and stage == "fit":
            with torch.no_grad():
                self.maps(torch.zeros(1, *self.shape, device=self.device))
        super().setup(stage)

    def players(self) -> dict[str, Player]:
        """Both players, with the same Adam."""
        return {name: Player(getattr(self, name), self.adam, self.rate) for name in ("discriminator", "generator")}

    def rate(self, images_seen: int) -> float:
        """The factor on the learning rate."""
        return 0.1 if images_seen >= self.lower_at else 1.0

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player, against the same G(x)."""
        made = self.ahead(self.made, batch)
        if self.adversarial:
            self.move("discriminator", self.discriminator_loss, batch, made.detach())
        self.move("generator", self.generator_loss, batch, made)

    def made(self, batch: Batch) -> Tensor:
        """G(x) of what the pictures become when they are made small."""
        return self.generator(self.reduced(batch.images)).to(batch.images)

    def discriminator_loss(self, batch: Batch, made: Tensor) -> Tensor:
        """-E log D(y) - E log(1 - D(G(x)))."""
        return losses.minimax_discriminator(*(self.discriminator(self.seen(x)) for x in (batch.images, made)))

    def maps(self, images: Tensor) -> Tensor:
        """phi: the feature maps of one resolution, behind their ReLU.

        Raises:
            BadArgument: if the network has none at the level.
        """
        found = self.features(images, activated=False)
        if not -len(found) <= self.level < len(found):
            most = len(found) - 1
            raise BadArgument(f"level is {self.level}; {self.features.name} has 0 to {most}, or -1 for the coarsest")
        return found[self.level].relu()

    def generator_loss(self, batch: Batch, made: Tensor) -> Tensor:
        """The content in features, or in pixels, and the game's part."""
        if self.perceptual:
            with torch.no_grad():
                wanted = self.maps(batch.images)
            # 0.006 is 1 / 12.75^2, which brings VGG's features to the range of pixels (section 3.2)
            content = F.mse_loss(self.maps(made), wanted) / 12.75**2
        else:
            content = F.mse_loss(made, batch.images)
        self.record(content=content)
        if not self.adversarial:
            return content
        return content + self.adversarial * losses.nonsaturating_generator(self.discriminator(self.seen(made)))
