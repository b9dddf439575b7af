"""Projected GAN: discriminators on a frozen, trained network's features at four scales need far fewer images.

Sauer, Chitta, Müller and Geiger 2021, "Projected GANs Converge Faster", arXiv:2111.01007. The feature maps of a network
trained for something else are mixed among channels and then among scales by random convolutions, which do not learn
either, so that no critic can rest on a part of them (section 3.2, figure 1). On each scale l there is a small critic,

    L_D = sum_l E max(0, 1 - D_l(P_l(x))) + E max(0, 1 + D_l(P_l(G(z))))        L_G = -sum_l E D_l(P_l(G(z)))

and the generator is FastGAN's (Liu et al. 2021, arXiv:2101.04775). The critics see images through DiffAugment.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Noisy
from ganzoo.game.helpers import Helper
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn import fastgan, spectral
from ganzoo.objectives import losses
from ganzoo.objectives.augment import diff_augment
from ganzoo.schema import NonNegative, Positive, Probability, Sizes
from ganzoo.types import BadArgument, Batch

_HOLE = 0.2  # of the side: the authors' cutout is smaller than DiffAugment's
_WIDEST = 512  # feature maps at the end of a critic


class Projection(nn.Module):
    """P: random mixing of a network's feature maps, across channels and then, from coarse to fine, across scales.

    Args:
        maps: feature maps of the network at each scale, from the finest on.
        width: feature maps after the mixing across channels at the finest scale; at each coarser one twice as many.
    """

    def __init__(self, maps: Sequence[int], width: int) -> None:
        super().__init__()
        mixed = [width << level for level in range(len(maps))]
        self.channels = nn.ModuleList(nn.Conv2d(i, o, 1) for i, o in zip(maps, mixed, strict=True))
        self.outputs = [width, *mixed[:-1]]
        self.scales = nn.ModuleList(nn.Conv2d(i, o, 1) for i, o in zip(mixed, self.outputs, strict=True))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps `(N, maps[l], h, w)` of each scale to `(N, outputs[l], 2h, 2w)`."""
        found: list[Tensor] = []
        for x, channels, scale in zip(maps[::-1], self.channels[::-1], self.scales[::-1], strict=True):
            y = channels(x) if not found else channels(x) + found[-1]
            found.append(scale(F.interpolate(y, scale_factor=2.0, mode="bilinear", align_corners=True)))
        return found[::-1]


class Critic(nn.Sequential):
    """The critic of one scale: halves the side some times, then scores patches of 4 x 4.

    Args:
        inputs: feature maps of x.
        widths: feature maps after each halving.
        separable: whether a halving is a depthwise and a pointwise convolution, and a mean of 2 x 2 pixels, instead of
            a strided convolution.
    """

    def __init__(self, inputs: int, widths: Sequence[int], separable: bool) -> None:
        layers: list[nn.Module] = []
        for outputs in widths:
            if separable:
                layers.append(spectral.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False))
                layers.append(spectral.Conv2d(inputs, outputs, 1, bias=False))
            else:
                layers.append(spectral.Conv2d(inputs, outputs, 4, stride=2, padding=1))
            layers += [nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2, inplace=True)]
            layers += [nn.AvgPool2d(2)] if separable else []
            inputs = outputs
        super().__init__(*layers, spectral.Conv2d(inputs, 1, 4, bias=False))


class Critics(nn.Module):
    """One critic a scale: the finer it is, the more often it halves the side.

    Args:
        inputs: feature maps at each scale, from the finest on.
        width: of all of a critic's layers; None for the authors' table, which ends with 512.
        separable: see `Critic`.
        least: how often the coarsest halves it.
    """

    def __init__(
        self, inputs: Sequence[int], width: int | None = None, separable: bool = False, least: int = 1
    ) -> None:
        super().__init__()
        halvings = range(len(inputs) - 1 + least)
        table = [max(64, _WIDEST >> level) for level in reversed(halvings)]  # 64, 128, 256, 512
        widths = table if width is None else [width] * len(halvings)
        self.critics = nn.ModuleList(Critic(each, widths[level:], separable) for level, each in enumerate(inputs))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps `(N, inputs[l], h, w)` of each scale to scores `(N, K)`, one a patch."""
        return torch.cat([critic(x).flatten(1) for critic, x in zip(self.critics, maps, strict=True)], 1)


@register(
    paper="Sauer, Chitta, Müller and Geiger, Projected GANs Converge Faster",
    year=2021,
    url="https://arxiv.org/abs/2111.01007",
    method="Projected GAN",
    formula=(
        "L_D = sum_l E max(0, 1 - D_l(P_l(x))) + E max(0, 1 + D_l(P_l(G(z))))",
        "L_G = -sum_l E D_l(P_l(G(z)))",
    ),
)
class ProjectedGAN(Noisy):
    """Discriminators on randomly mixed features of a frozen network make training converge faster.

    The defaults are those of the authors' `fastgan`. As in their code the mean over all patches of all scales stands
    where the paper has a sum over scales; their generator moves first, here the discriminator. Their frozen network is
    EfficientNet-lite0, of 24, 40, 112 and 320 feature maps; here it is any of ganzoo's feature networks, by default
    MobileNetV2, whose coarsest maps are those that its classifier sees. Scores in features of the same network flatter
    such a model: look at another one's.

    Args:
        size: side of an image, a power of two from 8 to 1024.
        channels: channels of an image.
        latent: length of z, normal.
        width: the generator's feature maps at 128 pixels.
        lite: whether the generator's blocks are small and without noise, as in their `fastgan_lite`.
        network: the frozen one, by its name.
        maps: its feature maps at each scale that the critics look at, the last of which is its coarsest.
        seen: side at which it sees images; the authors leave larger ones as they are.
        projected: feature maps after mixing at the finest scale.
        critic_width: feature maps of the critics' layers; None for 64, 128, 256, 512 at 64, 32, ... of their pixels.
        separable: whether the critics' convolutions are.
        lr: learning rate of both players.
        betas: Adam's decay rates.
    """

    average_half_life = 20_000.0  # for the authors' batches of 64

    augments = True

    def __init__(
        self,
        size: Positive = 256,
        channels: Positive = 3,
        latent: Positive = 256,
        width: Positive = 128,
        lite: bool = False,
        network: str = "mobilenet_v2",
        maps: Sizes = (24, 32, 96, 1280),
        seen: Positive = 224,
        projected: Positive = 64,
        critic_width: Positive | None = None,
        separable: bool = False,
        lr: NonNegative = 2e-4,
        betas: tuple[Probability, Probability] = (0.0, 0.99),
    ) -> None:
        super().__init__()
        if not 1 <= len(maps) <= 8 or seen < 8 << len(maps):
            raise BadArgument(
                f"images seen at {seen} pixels by critics on {len(maps)} scales; at most 8 scales, and 8 pixels "
                "doubled as often are expected"
            )
        self.shape, self.prior, self.maps, self.side = (channels, size, size), Normal(latent), tuple(maps), seen
        self.generator = fastgan.Generator(latent, channels, size, width, "small" if lite else "large", bounded=False)
        self.projection = Projection(maps, projected).requires_grad_(False)
        self.discriminator = Critics(self.projection.outputs, critic_width, separable)
        self.features = Helper(network)
        self.adam = partial(Adam, lr=lr, betas=betas)

    def setup(self, stage: str) -> None:
        """Holds the frozen network's feature maps against those that the projection was made for.

        Raises:
            BadArgument: if they are others.
        """
        if stage == "fit":
            with torch.no_grad():
                found = [x.shape[1] for x in self.features(torch.zeros(1, self.shape[0], self.side, self.side))]
            if tuple(found[-len(self.maps) :]) != self.maps:
                raise BadArgument(
                    f"maps are {list(self.maps)}, and {self.features.name} has {found}; give the last few of these"
                )
        super().setup(stage)

    def realness(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """What all critics say of an image as it is, a mean."""
        return self.looked_at(images).mean(1)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player."""
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def generator_loss(self, batch: Batch) -> Tensor:
        """-sum_l E D_l(P_l(G(z)))."""
        return losses.hinge_generator(self.scores(self.generator(self.noise(batch))))

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """sum_l E max(0, 1 - D_l(P_l(x))) + E max(0, 1 + D_l(P_l(G(z)))), each kind with its own statistics."""
        with torch.no_grad():
            fake = self.generator(self.noise(batch))
        fake_scores = self.scores(fake)
        return losses.hinge_discriminator(self.scores(batch.images), fake_scores)

    def scores(self, images: Tensor) -> Tensor:
        """What all critics say of images `(N, C, H, W)`, augmented."""
        return self.looked_at(diff_augment(images, hole=_HOLE))

    def looked_at(self, x: Tensor) -> Tensor:
        """What all critics say `(N, K)` of images, looked at through the frozen network."""
        if x.shape[-1] < self.side:
            x = F.interpolate(x, self.side, mode="bilinear", align_corners=False)
        return self.discriminator(self.projection(self.features(x)[-len(self.maps) :]))
