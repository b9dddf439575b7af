"""FastGAN: skip-layer excitation and a discriminator that also reconstructs its input learn from a hundred images.

Liu, Zhu, Song and Elgammal 2021, "Towards Faster and Stabilized GAN Training for High-fidelity Few-shot Image
Synthesis", arXiv:2101.04775. In the generator small feature maps excite far larger ones (skip-layer excitation,
eq. 3). The critic is an encoder too: from its feature maps of real images small decoders restore the image, its smaller
copy and a quarter of it (eq. 4), with h a distance of features. With a margin m ~ U[0.8, 1] of each score,

    L_D = E max(0, m - D(x)) + E max(0, m + D(G(z))) + lambda sum_i E h(R_i(x), x_i)        L_G = -E D(G(z))

Both players see images through DiffAugment (Zhao et al. 2020, arXiv:2006.10738).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Noisy
from ganzoo.game.engine import Player
from ganzoo.game.helpers import Helper
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn import dcgan, fastgan, spectral
from ganzoo.objectives import losses
from ganzoo.objectives.augment import diff_augment
from ganzoo.schema import NonNegative, Positive, Probability
from ganzoo.types import BadArgument, Batch

_POLICIES = ("color", "translation")
_END = 8  # pixels where the critic scores


def _down(inputs: int, outputs: int) -> list[nn.Module]:
    """A convolution that halves the side, batch normalization and leaky ReLU."""
    conv = spectral.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2, inplace=True)]


class Down(nn.Module):
    """Halves the side by the mean of two ways: two convolutions, and one of 1 x 1 after averaging (figure 4).

    Args:
        inputs: feature maps of x.
        outputs: feature maps of y.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        kept = spectral.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        direct = spectral.Conv2d(inputs, outputs, 1, bias=False)
        self.main = nn.Sequential(*_down(inputs, outputs), kept, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2))
        self.direct = nn.Sequential(nn.AvgPool2d(2), direct, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, inputs, H, W)` to `(N, outputs, H/2, W/2)`."""
        return (self.main(x) + self.direct(x)) / 2


class Decoder(nn.Module):
    """From feature maps of 8 x 8 to an image, by four layers (figure 4).

    Args:
        inputs: feature maps.
        channels: channels of an image.
        size: side of an image.
    """

    def __init__(self, inputs: int, channels: int, size: int) -> None:
        super().__init__()
        widths = [128, 64, 64, 32][: (size // _END).bit_length() - 1]
        ups = [fastgan.Up(i, o) for i, o in zip([inputs, *widths], widths, strict=False)]
        self.main = nn.Sequential(*ups, spectral.Conv2d(widths[-1], channels, 3, padding=1, bias=False), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, inputs, 8, 8)` to images `(N, channels, size, size)` in [-1, 1]."""
        return self.main(x)


class Decoders(nn.Module):
    """Restores images from what the discriminator saw of them: the whole, the smaller copy and a quarter.

    Args:
        inputs: feature maps that each is restored from.
        channels: channels of an image.
        size: side of the restored images.
    """

    def __init__(self, inputs: Sequence[int], channels: int, size: int) -> None:
        super().__init__()
        self.decoders = nn.ModuleList(Decoder(each, channels, size) for each in inputs)
        self.size = size

    def forward(self, seen: Sequence[Tensor], quarter: Tensor) -> list[Tensor]:
        """Maps feature maps of 8, 8 and 16 pixels, the last but for a quarter `(N,)`, to images `(N, channels, ...)`.

        Args:
            seen: what the discriminator gives beside its scores.
            quarter: which is kept of each sample's last feature maps, 0 to 3 in the order of reading.
        """
        image, small, wide = seen
        given = (image, small, quarter_of(wide, quarter))
        return [decoder(x) for decoder, x in zip(self.decoders, given, strict=True)]


class Discriminator(nn.Module):
    """Scores patches of an image and of its smaller copy.

    Args:
        channels: channels of an image.
        size: side of an image, a power of two from 32 on.
        small: side of the smaller copy.
        width: feature maps at 64 pixels; twice as many at half the side.
    """

    def __init__(self, channels: int, size: int, small: int, width: int) -> None:
        super().__init__()
        start = min(size, 256)
        sides = [start >> i for i in range((start // _END).bit_length())]  # 256, 128, ..., 8
        maps = {side: max(1, width * 64 // side) for side in [1024, 512, *sides]}
        above = [side for side in (512, 256) if start <= side < size]
        first: list[nn.Module] = [spectral.Conv2d(channels, maps[start], 3, padding=1, bias=False)]
        if above:
            first = [spectral.Conv2d(channels, maps[above[0]], 4, stride=2, padding=1, bias=False)]
        first.append(nn.LeakyReLU(0.2, inplace=True))
        for side in above[1:]:
            first += _down(maps[2 * side], maps[side])
        self.first = nn.Sequential(*first)
        self.downs = nn.ModuleList(Down(maps[2 * side], maps[side]) for side in sides[1:])
        self.excitations = nn.ModuleDict(
            {str(side): fastgan.Excitation(maps[8 * side], maps[side]) for side in sides if 8 * side <= start}
        )
        last = maps[_END]
        self.score = nn.Sequential(
            spectral.Conv2d(last, 2 * last, 1, bias=False),
            nn.BatchNorm2d(2 * last),
            nn.LeakyReLU(0.2, inplace=True),
            spectral.Conv2d(2 * last, 1, 4, bias=False),
        )
        narrow = {small >> i: max(1, width * 32 // (small >> i)) for i in range((small // _END).bit_length())}
        layers: list[nn.Module] = []
        for side in [*narrow][1:]:
            if layers:
                layers += _down(narrow[2 * side], narrow[side])
            else:
                layers = [spectral.Conv2d(channels, narrow[side], 4, stride=2, padding=1, bias=False)]
                layers.append(nn.LeakyReLU(0.2, inplace=True))
        self.first_small = nn.Sequential(*layers)
        self.score_small = spectral.Conv2d(narrow[_END], 1, 4, bias=False)
        self.start, self.small = start, small
        self.widths = (last, narrow[_END], maps[2 * _END])  # of what it gives to be decoded

    def forward(self, image: Tensor, small: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Maps images and smaller ones to scores `(N, K)`, one a patch, and to feature maps that say what it saw.

        Args:
            image: `(N, channels, size, size)`.
            small: `(N, channels, small, small)`.
        """
        x = self.first(image)
        seen = {self.start: x}
        for down in self.downs:
            x = down(x)
            side = x.shape[-1]
            if str(side) in self.excitations:
                x = self.excitations[str(side)](seen[8 * side], x)
            seen[side] = x
        below = self.first_small(small)
        scores = torch.cat([self.score(x).flatten(1), self.score_small(below).flatten(1)], 1)
        return scores, [x, below, seen[2 * _END]]


def quarter_of(x: Tensor, quarter: Tensor) -> Tensor:
    """One quarter `(N, C, H/2, W/2)` of each of `(N, C, H, W)`, by its number `(N,)` in the order of reading."""
    height, width = x.shape[2] // 2, x.shape[3] // 2
    parts = x.unflatten(3, (2, width)).unflatten(2, (2, height)).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    return parts[torch.arange(len(x), device=x.device), quarter]


@register(
    paper="Liu, Zhu, Song and Elgammal, Towards Faster and Stabilized GAN Training for High-fidelity Few-shot Image "
    "Synthesis",
    year=2021,
    url="https://arxiv.org/abs/2101.04775",
    formula=(
        "L_D = E max(0, m - D(x)) + E max(0, m + D(G(z))) + lambda sum_i E h(R_i(x), x_i)",
        "L_G = -E D(G(z))",
    ),
)
class FastGAN(Noisy):
    """Skip-layer excitation, and a discriminator that also reconstructs its input, learn from a hundred images.

    The widths are the authors' at 64 feature maps. Their h is LPIPS (Zhang et al. 2018, arXiv:1801.03924) in VGG16 with
    learned weights, summed over their batch of 8; here it is LPIPS's distance with equal weights in the feature maps of
    the named network, the mean over the batch times lambda. They choose one quarter for a batch, and here each image
    has its own. Below 256 pixels, where their networks end, the layers of the largest sides are left out.

    Args:
        size: side of an image, a power of two from 32 to 1024.
        channels: channels of an image.
        latent: length of z, normal.
        width: the generator's feature maps at 128 pixels.
        discriminator_width: the discriminator's at 64 pixels.
        reconstruction: lambda, the weight of the restored images.
        perceptual: the network in whose feature maps they are compared; the weights of `vgg16_lpips` are the nearest to
            the paper.
        lr: learning rate of both players.
        betas: Adam's decay rates.
    """

    average_half_life = 5542.0  # the authors' 0.999 an update of 8 images

    augments = True

    def __init__(
        self,
        size: Positive = 256,
        channels: Positive = 3,
        latent: Positive = 256,
        width: Positive = 64,
        discriminator_width: Positive = 64,
        reconstruction: NonNegative = 8.0,
        perceptual: str = "mobilenet_v2",
        lr: NonNegative = 2e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
    ) -> None:
        super().__init__()
        if size not in (32, 64, 128, 256, 512, 1024):
            raise BadArgument(f"image size is {size}; a power of two from 32 to 1024 is expected")
        self.shape, self.prior = (channels, size, size), Normal(latent)
        small = min(size // 2, 128)
        self.generator = fastgan.Generator(latent, channels, size, width, "alternating", small)
        self.discriminator = Discriminator(channels, size, small, discriminator_width)
        self.decoders = Decoders(self.discriminator.widths, channels, min(size, 128))
        for network in (self.generator, self.discriminator, self.decoders):
            network.apply(dcgan.initialize)
            spectral.follow_weights(network)
        self.reconstruction, self.features = reconstruction, Helper(perceptual)
        self.adam = partial(Adam, lr=lr, betas=betas)

    def players(self) -> dict[str, Player]:
        """The discriminator, with the decoders, and the generator, with the same Adam."""
        return {
            "discriminator": Player((self.discriminator, self.decoders), self.adam),
            "generator": Player(self.generator, self.adam),
        }

    def made(self, z: Tensor, noise: Sequence[Tensor] | Literal["none"]) -> Tensor:
        """Maps `z` `(n, latent)` and noise through the averaged generator, to the large images alone."""
        return self.averaged(z, noise, both=False)

    def realness(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """What D says of an image's patches and its smaller copy's, a mean."""
        return self.discriminator(images, F.interpolate(images, self.discriminator.small))[0].mean(1)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player, against the same samples."""
        fake = self.ahead(self.fake, batch)
        self.move("discriminator", self.discriminator_loss, batch, fake.detach())
        self.move("generator", self.generator_loss, batch, fake)

    def fake(self, batch: Batch) -> Tensor:
        """G(z) and its smaller copy, both augmented, of each sample in one row."""
        made = self.generator(self.noise(batch))
        return torch.cat([diff_augment(images, _POLICIES).flatten(1) for images in made], 1)

    def apart(self, fake: Tensor) -> list[Tensor]:
        """The images and the smaller copies again."""
        channels, size, _ = self.shape
        sides = (size, self.discriminator.small)
        parts = fake.split([channels * side**2 for side in sides], 1)
        return [part.unflatten(1, (channels, side, side)) for part, side in zip(parts, sides, strict=True)]

    def discriminator_loss(self, batch: Batch, fake: Tensor) -> Tensor:
        """E max(0, m - D(x)) + E max(0, m + D(G(z))), and how far the restored images are from what was seen.

        Real and generated images go through the discriminator one after the other, each with the statistics of its own.
        """
        real = diff_augment(batch.images, _POLICIES)
        scores, seen = self.discriminator(real, F.interpolate(real, self.discriminator.small))
        fake_scores, _ = self.discriminator(*self.apart(fake))
        quarter = torch.randint(4, (len(real),), device=real.device)
        wanted = (F.interpolate(x, self.decoders.size) for x in (real, real, quarter_of(real, quarter)))
        pairs = zip(self.decoders(seen, quarter), wanted, strict=True)
        restoring = torch.stack([self.distance(*pair) for pair in pairs]).sum()
        self.record(restoring=restoring)
        return hinge(scores, 1) + hinge(fake_scores, -1) + self.reconstruction * restoring

    def generator_loss(self, batch: Batch, fake: Tensor) -> Tensor:
        """-E D(G(z))."""
        return losses.hinge_generator(self.discriminator(*self.apart(fake))[0])

    def distance(self, made: Tensor, wanted: Tensor) -> Tensor:
        """LPIPS with equal weights: squared distances of feature maps of unit length, a mean over places, summed."""
        with torch.no_grad():
            targets = self.features(wanted.float())
        pairs = zip(self.features(made.float()), targets, strict=True)
        terms = [(F.normalize(x, dim=1) - F.normalize(y, dim=1)).square().sum(1).mean() for x, y in pairs]
        return torch.stack(terms).sum()


def hinge(scores: Tensor, sign: int) -> Tensor:
    """E max(0, m - sign D), m ~ U[0.8, 1] for each of the scores `(N, K)`, as in the authors' code."""
    margin = 0.8 + 0.2 * torch.rand(scores.shape, device=scores.device)
    return F.relu(margin - sign * scores.float()).mean()
