"""CC-GAN: a discriminator that judges filled holes learns features that classify from few labels.

Denton, Gross and Fergus 2016, "Semi-Supervised Learning with Context-Conditional Generative Adversarial Networks",
arXiv:1611.06430. A hole m is cut into a picture x, the generator fills it from what is around it, and the discriminator
judges the whole, x_I = (1 - m) x + m G((1 - m) x). It shares its layers with a classifier of the few pictures that have
labels (eq. 4 and 5). The generator may be given a small copy of the picture too, from which it learns sooner:

    L_D = -E log D(x) - E log(1 - D(x_I)) - lambda_c E log D_c(y | x)
    L_G = -lambda_a E log D(x_I) + lambda_2 E ||m (x - x_I)||^2 / |m|

The paper's generator has no distance to the true picture: lambda_a is 1 and lambda_2 is 0. With 0 and 1 it is the
context encoder by L2 alone that it is held against.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from operator import index

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.data.batch import Images
from ganzoo.game import inference
from ganzoo.game.abilities import Classifies, Translates
from ganzoo.game.registry import register
from ganzoo.media.levels import to_float
from ganzoo.nn.dcgan import initialize
from ganzoo.objectives import losses
from ganzoo.schema import Count, Layers, NonNegative, Positive, Probability
from ganzoo.types import BadArgument, Batch

Box = tuple[int, int, int, int]  # top, left, height and width of a hole


class Generator(nn.Module):
    """Halvings and doublings by 4 x 4 convolutions, without skip connections.

    Args:
        channels: channels that go in: the picture's, and those of its small copy.
        out_channels: channels of a picture.
        width: feature maps after the first halving; each of the others doubles them.
        downsamplings: halvings.
    """

    def __init__(self, channels: int, out_channels: int, width: int, downsamplings: int) -> None:
        super().__init__()
        widths, layers = [width << i for i in range(downsamplings)], list[nn.Module]()
        for i, (inputs, outputs) in enumerate(pairwise([channels, *widths])):
            layers += [
                nn.Conv2d(inputs, outputs, 4, 2, 1),
                *([nn.BatchNorm2d(outputs)] if i else []),
                nn.LeakyReLU(0.2),
            ]
        for inputs, outputs in pairwise([*widths[::-1], width]):
            layers += [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1), nn.BatchNorm2d(outputs), nn.ReLU()]
        self.main = nn.Sequential(*layers, nn.Conv2d(width, out_channels, 3, 1, 1), nn.Tanh())
        self.apply(initialize)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, channels, H, W)`, of sides that halve evenly, to `(N, out_channels, H, W)` in [-1, 1]."""
        return self.main(x)


class Discriminator(nn.Module):
    """VGG's layers: pairs of 3 x 3 convolutions and poolings; a logit, and those of the classes.

    Args:
        channels: channels of a picture.
        size: side of a picture.
        width: feature maps of the first layers; each pooling doubles them, up to eight times as many.
        layers: poolings.
        classes: how many.
    """

    def __init__(self, channels: int, size: int, width: int, layers: int, classes: int) -> None:
        super().__init__()
        widths, made = [width * min(2**i, 8) for i in range(layers)], list[nn.Module]()
        for i, (inputs, outputs) in enumerate(pairwise([channels, *widths])):
            made += [nn.Conv2d(inputs, outputs, 3, 1, 1), *([nn.BatchNorm2d(outputs)] if i else []), nn.LeakyReLU(0.2)]
            made += [nn.Conv2d(outputs, outputs, 3, 1, 1), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*made, nn.Flatten(), nn.Dropout(0.5))
        length = widths[-1] * (size >> layers) ** 2
        self.real, self.classes = nn.Linear(length, 1), nn.Linear(length, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `(N,)` and `(N, classes)` of pictures `(N, channels, size, size)`."""
        features = self.features(x)
        return self.real(features).squeeze(1), self.classes(features)


@register(
    paper="Denton, Gross and Fergus, Semi-Supervised Learning with Context-Conditional Generative Adversarial Networks",
    year=2016,
    url="https://arxiv.org/abs/1611.06430",
    method="CC-GAN",
    task="translation",
    formula=(
        "L_D = -E log D(x) - E log(1 - D(x_I)) - lambda_c E log D_c(y | x)",
        "L_G = -lambda_a E log D(x_I) + lambda_2 E ||m (x - x_I)||^2 / |m|",
    ),
)
class CCGAN(Translates, Classifies):
    """A discriminator that judges filled holes learns features that classify from few labels.

    Labels of -1 are unknown, and data without labels do. In training, holes lie anywhere; `translate` cuts the middle
    out of whole pictures, or the hole that it is told, and fills it: what lies around stays as it was.

    Args:
        size: side of a picture in training: a multiple of 2 to the number of `layers` and of `downsamplings`.
        channels: channels of a picture.
        classes: number of classes.
        hole: side of the hole; None for half of the picture's.
        hint: by how much smaller the copy is that the generator is given too (4 in the paper, for large holes); 0 for
            none.
        width: feature maps of the generator after the first halving.
        downsamplings: its halvings.
        discriminator_width: feature maps of the discriminator's first layers.
        layers: its poolings; each follows two convolutions, where the paper's VGG-A has one or two.
        classification: lambda_c.
        adversarial: lambda_a.
        l2: lambda_2.
        lr: learning rate of both players.
        betas: Adam's decay rates.
    """

    averages = inference = ("generator", "discriminator")
    labels_optional = True

    def __init__(
        self,
        size: Positive = 64,
        channels: Positive = 3,
        classes: Positive = 10,
        hole: Positive | None = None,
        hint: Count = 0,
        width: Positive = 64,
        downsamplings: Layers = 4,
        discriminator_width: Positive = 64,
        layers: Layers = 4,
        classification: NonNegative = 1.0,
        adversarial: NonNegative = 1.0,
        l2: NonNegative = 0.0,
        lr: NonNegative = 2e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
    ) -> None:
        super().__init__()
        whole = 2 ** max(layers, downsamplings)
        if size % whole or (hint and size % hint):
            raise BadArgument(f"size is {size}; a multiple of {whole}{f' and of {hint}' if hint else ''} is expected")
        self.hole = size // 2 if hole is None else hole
        if self.hole >= size:
            raise BadArgument(f"hole is {hole}; fewer than the {size} pixels of a side are expected")
        self.shape, self.categories, self.hint = (channels, size, size), classes, hint
        self.domains, self.stride = ("filled",), 2**downsamplings * max(1, hint)
        self.generator = Generator(channels * (2 if hint else 1), channels, width, downsamplings)
        self.discriminator = Discriminator(channels, size, discriminator_width, layers, classes)
        self.weights = (adversarial, l2)
        self.classification = classification
        self.adam = partial(Adam, lr=lr, betas=betas)

    @property
    def taught(self) -> int:
        """The classes, of which a label may be unknown."""
        return self.categories

    def transform(self, images: Tensor, to: str, *, hole: Box | None = None) -> Tensor:
        """x_I.

        Args:
            images: `(n, C, H, W)`, whole, or with anything in the hole.
            to: `filled`.
            hole: top, left, height and width, of the padded picture where sides are no multiples of `stride`; the
                middle, of the share that it has in training, where None.
        """
        height, width = images.shape[2:]
        wanted = f"hole is {hole!r}; top, left, height and width within {height}x{width} are expected"
        try:
            top, left, tall, wide = map(index, self.middle(height, width) if hole is None else hole)
        except (TypeError, ValueError):
            raise BadArgument(wanted) from None
        if min(top, left) < 0 or min(tall, wide) < 1 or top + tall > height or left + wide > width:
            raise BadArgument(wanted)
        mask = images.new_zeros(1, 1, height, width)
        mask[:, :, top : top + tall, left : left + wide] = 1
        return self.filled(self.averaged, images, mask.expand(images.shape[0], -1, -1, -1))

    def middle(self, height: int, width: int) -> Box:
        """The hole in the middle of a picture."""
        tall, wide = (max(1, side * self.hole // self.shape[-1]) for side in (height, width))
        return (height - tall) // 2, (width - wide) // 2, tall, wide

    def filled(self, generator: nn.Module, x: Tensor, mask: Tensor) -> Tensor:
        """(1 - m) x + m G((1 - m) x), of masks `(N, 1, H, W)`."""
        around = x * (1 - mask)
        given = [around]
        if self.hint:
            small = F.avg_pool2d(x, self.hint)
            given.append(F.interpolate(small, scale_factor=self.hint))
        return around + mask * generator(torch.cat(given, 1))

    def logits(self, images: Tensor) -> Tensor:
        """Of the classes."""
        return self.average_module("discriminator")(images)[1]

    def holes(self, batch: Batch) -> Tensor:
        """Masks `(N, 1, size, size)`, 1 in a hole of each picture's own place."""
        places = torch.rand(len(batch), 2, device=self.device) * (self.shape[-1] - self.hole + 1)
        at = torch.arange(self.shape[-1], device=self.device)
        inside = [(at >= start[:, None]) & (at < start[:, None] + self.hole) for start in places.long().unbind(1)]
        return (inside[0][:, None, :, None] & inside[1][:, None, None, :]).to(batch.images)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player, with holes of its own."""
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """Whole pictures and filled ones, and the classes of those whose label is known."""
        with torch.no_grad():
            fake = self.filled(self.generator, batch.images, self.holes(batch)).to(batch.images)
        real, logits = self.discriminator(self.seen(batch.images))
        loss = losses.minimax_discriminator(real, self.discriminator(self.seen(fake))[0])
        if batch.labels is None:
            return loss + 0 * logits.sum()
        known = (batch.labels >= 0).to(logits)
        each = F.cross_entropy(logits.float(), batch.labels.clamp(min=0), reduction="none")
        told = (each * known).sum() / known.sum().clamp(min=1)
        self.record(classification=told)
        return loss + self.classification * told

    def generator_loss(self, batch: Batch) -> Tensor:
        """What the discriminator says of filled pictures, and how far they are from the true ones."""
        mask = self.holes(batch)
        fake = self.filled(self.generator, batch.images, mask)
        game = losses.nonsaturating_generator(self.discriminator(self.seen(fake))[0])
        distance = (fake - batch.images).square().mean(1, keepdim=True).sum() / mask.sum()
        self.record(distance=distance)
        return self.weights[0] * game + self.weights[1] * distance

    def crops(self, images: Tensor, by: str) -> Tensor:
        """What stands in the middle hole of whole pictures `(n, C, size, size)` in [-1, 1], for metrics.

        Args:
            images: the pictures.
            by: `true`, `filled`, or `mean`: the mean colour of what is around.
        """
        top, left, tall, wide = self.middle(*self.shape[1:])
        made = self.translate(images) if by == "filled" else images.clone()
        if by == "mean":
            around = torch.ones(self.shape[1:], dtype=torch.bool)
            around[top : top + tall, left : left + wide] = False
            made[:] = images[:, :, around].mean(2)[:, :, None, None]
        return made[:, :, top : top + tall, left : left + wide]

    def pictures(self, real: Images | None) -> dict[str, Tensor]:
        """Held-out pictures: with the hole, filled, and whole."""
        if real is None:
            return {}
        x = to_float(torch.from_numpy(real.values[inference.spread(len(real), 8)]))
        top, left, tall, wide = self.middle(*self.shape[1:])
        cut = x.clone()
        cut[:, :, top : top + tall, left : left + wide] = 0
        return {"holes": torch.stack([cut, self.translate(x), x], 1)}
