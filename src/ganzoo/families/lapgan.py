"""LAPGAN: a small picture first, then at each doubling the detail that is missing, each by a GAN of its own.

Denton, Chintala, Szlam and Fergus 2015, "Deep Generative Image Models using a Laplacian Pyramid of Adversarial
Networks", arXiv:1506.05751. Of an image I_0, halved by d to I_1, ..., I_K, the pyramid keeps I_K and, with the doubling
u, the details h_k, of which the image is made again. Each level's generator draws details for a blurred image l_k, and
its discriminator is shown both, one added to the other:

    h_k = I_k - l_k, l_k = u(I_{k+1})
    L_Dk = -E log D_k(h_k, l_k) - E log(1 - D_k(G_k(z_k, l_k), l_k))        L_Gk = -E log D_k(G_k(z_k, l_k), l_k)

In training l_k is a real picture's, so that levels learn apart from one another; a sample goes up from level to level:
I_K = G_K(z_K), I_k = u(I_{k+1}) + G_k(z_k, u(I_{k+1})).
"""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.data.batch import Images
from ganzoo.game.abilities import Samples
from ganzoo.game.engine import Player
from ganzoo.game.priors import Uniform
from ganzoo.game.registry import register
from ganzoo.nn.mlp import MLP
from ganzoo.objectives import losses
from ganzoo.schema import Layers, NonNegative, Positive, Probability, Sizes
from ganzoo.types import BadArgument, Batch

_EPOCH = 50_000  # images


def down(images: Tensor) -> Tensor:
    """d: halves the side by means of 2 x 2 pixels."""
    return F.avg_pool2d(images, 2)


def up(images: Tensor) -> Tensor:
    """u: doubles the side, bilinearly."""
    return F.interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)


class Detail(nn.Module):
    """G_k: three 5 x 5 convolutions of a blurred image and a plane of noise."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.layers = _convolutions(channels + 1, width, width)
        self.layers.append(nn.Conv2d(width, channels, 5, padding=2))

    def forward(self, noise: Tensor, blurred: Tensor) -> Tensor:
        """Maps `(N, side^2)` and `(N, C, side, side)` to details `(N, C, side, side)`."""
        plane = noise.view(-1, 1, *blurred.shape[2:])
        return self.layers(torch.cat([blurred, plane.to(blurred)], 1))


class Critic(nn.Module):
    """D_k: two 5 x 5 convolutions, the second with stride 2.

    h_k comes with l_k added to it before the first, so that D_k sees an image and nothing beside it: from a real l_k by
    its side it would know I_k as that which gives l_k when it is halved and doubled.
    """

    def __init__(self, channels: int, side: int, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = _convolutions(channels, width, width, stride=2)
        self.layers.extend([nn.Flatten(), nn.Dropout(dropout), nn.Linear(width * (-(-side // 2)) ** 2, 1)])

    def forward(self, image: Tensor) -> Tensor:
        """Maps h_k + l_k `(N, C, side, side)` to logits `(N,)`."""
        return self.layers(image).squeeze(1)


def _convolutions(inputs: int, first: int, second: int, stride: int = 1) -> nn.Sequential:
    one = nn.Conv2d(inputs, first, 5, padding=2)
    return nn.Sequential(one, nn.ReLU(), nn.Conv2d(first, second, 5, stride, padding=2), nn.ReLU())


class Generator(nn.Module):
    """G_K, ..., G_0, from the smallest picture up.

    Args:
        sides: of the pyramid, the smallest first.
        channels: channels of an image.
        latent: length of the first level's noise.
        hidden: widths of the first level's layers.
        width: feature maps of the others.
    """

    def __init__(self, sides: list[int], channels: int, latent: int, hidden: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.first = MLP((latent,), (channels, sides[0], sides[0]), hidden)
        self.details = nn.ModuleList(Detail(channels, width) for _ in sides[1:])
        self.lengths = [latent, *(side**2 for side in sides[1:])]

    def forward(self, z: Tensor) -> Tensor:
        """Maps z `(N, length)` to images `(N, C, H, W)`."""
        return self.levels(z)[-1]

    def levels(self, z: Tensor) -> list[Tensor]:
        """The picture after each level."""
        first, *noises = z.split(self.lengths, 1)
        made = [self.first(first)]
        for detail, noise in zip(self.details, noises, strict=True):
            blurred = up(made[-1])
            made.append(blurred + detail(noise, blurred))
        return made


@register(
    paper="Denton, Chintala, Szlam and Fergus, Deep Generative Image Models using a Laplacian Pyramid of Adversarial "
    "Networks",
    year=2015,
    url="https://arxiv.org/abs/1506.05751",
    formula=(
        "h_k = I_k - l_k, l_k = u(I_{k+1})",
        "L_Dk = -E log D_k(h_k, l_k) - E log(1 - D_k(G_k(z_k, l_k), l_k))",
        "L_Gk = -E log D_k(G_k(z_k, l_k), l_k)",
    ),
)
class LAPGAN(Samples):
    """A pyramid of generators draws a small picture first, and then at each doubling the detail that is missing.

    The networks are like the paper's for CIFAR-10: fully connected ones at the smallest level, with dropout in the
    discriminator, and few convolutions above. All levels are trained side by side on the same batches, which is
    training each by itself, as no parameter is shared. The authors' code resamples bilinearly both ways; here halving
    takes means of 2 x 2 pixels, and sides are halved exactly (the paper's for CIFAR-10 are 8, 14 and 28). In the
    authors' code a discriminator's batch is half real details and half generated ones, of other blurred images, and the
    generator's has others again; here it is a batch of each, and all are of that batch's images.

    Args:
        size: side of an image, which the halvings divide.
        channels: channels of an image.
        levels: of the pyramid; 1 for the smallest alone.
        latent: length of the first level's noise, uniform in [-1, 1]; each further level has a plane of noise.
        hidden: widths of the first level's generator.
        discriminator_hidden: widths of the first level's discriminator.
        width: feature maps of further levels, in both networks.
        dropout: of the discriminators' last features.
        lr: learning rate of all.
        decay: by what share the rate shrinks in an epoch of 50,000 images.
        momentum: of stochastic gradient descent, at first; it rises by 0.0008 an epoch, to 0.8.
        betas: where given, Adam with these decay rates takes the place of momentum.
    """

    def __init__(
        self,
        size: Positive = 32,
        channels: Positive = 3,
        levels: Layers = 3,
        latent: Positive = 100,
        hidden: Sizes = (1200, 1200),
        discriminator_hidden: Sizes = (600, 600),
        width: Positive = 64,
        dropout: Probability = 0.5,
        lr: NonNegative = 0.02,
        decay: NonNegative = 4e-4,
        momentum: Probability = 0.5,
        betas: tuple[Probability, Probability] | None = None,
    ) -> None:
        super().__init__()
        if size % 2 ** (levels - 1):
            raise BadArgument(f"size is {size} with {levels} levels; a multiple of {2 ** (levels - 1)} is expected")
        sides = [size >> level for level in reversed(range(levels))]
        self.shape, self.levels = (channels, size, size), levels
        self.generator = Generator(sides, channels, latent, tuple(hidden), width)
        first = MLP((channels, sides[0], sides[0]), (), discriminator_hidden, dropout=dropout)
        self.discriminator = nn.ModuleList([first, *(Critic(channels, side, width, dropout) for side in sides[1:])])
        self.prior = Uniform(-1, 1, sum(self.generator.lengths))
        self.momentum = momentum if betas is None else None
        self.schedule = (lambda images: (1 + decay) ** (-images / _EPOCH)) if betas is None else None
        sgd, adam = partial(torch.optim.SGD, momentum=momentum), partial(torch.optim.Adam, betas=betas or (0.5, 0.999))
        self.optimizer_of = partial(sgd if betas is None else adam, lr=lr)

    def players(self) -> dict[str, Player]:
        """All discriminators, and all generators."""
        return {
            name: Player(getattr(self, name), self.optimizer_of, self.schedule)
            for name in ("discriminator", "generator")
        }

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each level's players."""
        if self.momentum is not None:
            now = max(self.momentum, min(0.8, self.momentum + 0.0008 * self.images_seen / _EPOCH))
            for player in ("discriminator", "generator"):
                for group in self.optimizer(player).param_groups:
                    group["momentum"] = now
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """The sum of -E log D_k(h_k, l_k) - E log(1 - D_k(G_k(z_k, l_k), l_k)) over the levels."""
        real = self.judged(pyramid(batch.images, self.levels))
        fake = self.judged(self.imitated(batch))
        return torch.stack([losses.minimax_discriminator(x, y) for x, y in zip(real, fake, strict=True)]).sum()

    def generator_loss(self, batch: Batch) -> Tensor:
        """The sum of -E log D_k(G_k(z_k, l_k), l_k) over the levels."""
        return torch.stack(
            [losses.nonsaturating_generator(logits) for logits in self.judged(self.imitated(batch))]
        ).sum()

    def imitated(self, batch: Batch) -> list[Tensor]:
        """What each level makes, the smallest first: l_k + G_k(z_k, l_k) of the batch's own l_k."""
        first, *noises = self.noise(batch).split(self.generator.lengths, 1)
        blurred = [up(image) for image in pyramid(batch.images, self.levels)[:-1]]
        details = zip(self.generator.details, noises, blurred, strict=True)
        return [self.generator.first(first), *(low + detail(noise, low) for detail, noise, low in details)]

    def judged(self, images: Sequence[Tensor]) -> list[Tensor]:
        """Each level's logits `(N,)` of its images."""
        return [critic(self.seen(image)) for critic, image in zip(self.discriminator, images, strict=True)]

    def realness(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """The sum of all levels' logits."""
        levels = zip(self.discriminator, pyramid(images, self.levels), strict=True)
        return torch.stack([critic(image) for critic, image in levels]).sum(0)

    def pictures(self, real: Images | None) -> dict[str, Tensor]:
        """Samples level by level: a row a level, the smallest first, all enlarged to the last one's size."""
        z, _ = self.draw(range(10))
        with self.inferring():
            made = self.averaged.levels(z.to(self.device, self._precision))
        rows = [F.interpolate(level.float().cpu(), self.shape[1:], mode="nearest") for level in made]
        return {"levels": torch.stack([self.limit(row) for row in rows])}


def pyramid(images: Tensor, levels: int) -> list[Tensor]:
    """I_K, ..., I_0, the smallest first."""
    made = [images]
    for _ in range(levels - 1):
        made.insert(0, down(made[0]))
    return made
