"""R3GAN: a relativistic loss under two gradient penalties converges, and then plain modern networks are enough.

Huang, Gokaslan, Kuleshov and Tompkin 2024, "The GAN is dead; long live the GAN! A Modern Baseline GAN",
arXiv:2501.05441. D tells of each pair of a real and a generated sample which is the real one, so that no sample can be
left behind a boundary (eq. 2); R1 and R2 hold its gradients to 0 at both, which makes that game converge locally.

    L_D = E softplus(D(G(z)) - D(x)) + gamma/2 E ||grad D(x)||^2 + gamma/2 E ||grad D(G(z))||^2
    L_G = E softplus(D(x) - D(G(z)))

What StyleGAN2 has to keep it stable is left out. The networks are ResNets of inverted bottlenecks with grouped
convolutions, without normalization: Fixup's first weights take its place (section 4, figure 4). Learning rate, Adam's
beta2, gamma, augmentation and the moving average change along half a cosine, the burn-in (appendix D).
"""

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Samples
from ganzoo.game.engine import Player
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn.double_backward import convolution, input_gradients
from ganzoo.nn.resampling import Resampling, downsample, upsample
from ganzoo.objectives import losses, penalties
from ganzoo.objectives.augment import augment
from ganzoo.schema import Count, Layers, NonNegative, Positive, Probability, Sizes
from ganzoo.types import BadArgument, Batch

# Of the probability of augmentation: the authors' choice of ADA's transforms
_TRANSFORMS = {"blit": 1.0, "geometry": 1.0, "color": 0.5, "cutout": 1.0}
_SLOPE = 0.2
_GAIN = math.sqrt(2 / (1 + _SLOPE**2))  # keeps the variance through a leaky ReLU (He, arXiv:1502.01852)


class Convolution(nn.Conv2d):
    """A convolution that keeps the side and can be differentiated twice at speed; weights from N(0, gain^2 / fan in).

    Args:
        inputs: feature maps of x.
        outputs: feature maps of y.
        kernel: odd.
        groups: of the feature maps, each convolved by itself.
        bias: whether there is one, 0 at first.
        gain: of the first weights.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, groups: int = 1, bias: bool = False, gain: float = 1.0
    ) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=bias)
        _draw(self.weight, inputs // groups * kernel**2, gain)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, inputs, H, W)` to `(N, outputs, H, W)`."""
        return convolution(x, self.weight, self.bias, padding=self.kernel_size[0] // 2, groups=self.groups)


def _draw(weight: Tensor, fan_in: int, gain: float = 1.0) -> None:
    nn.init.normal_(weight, 0.0, gain / math.sqrt(fan_in))


class Block(nn.Module):
    """Beside the identity: 1 x 1 to more feature maps, grouped 3 x 3 among them, 1 x 1 back (figure 4).

    Its last weights are 0 at first and the others L^(-1/4) smaller, for L blocks one after the other (Fixup,
    arXiv:1901.09321, with three layers a block).

    Args:
        width: feature maps.
        groups: of the 3 x 3 convolution.
        expansion: how many times as many feature maps there are inside.
        blocks: of the whole network, L.
    """

    def __init__(self, width: int, groups: int, expansion: int, blocks: int) -> None:
        super().__init__()
        inside, gain = width * expansion, _GAIN * blocks**-0.25
        if inside % groups:
            raise BadArgument(f"{inside} feature maps of a block make no {groups} groups; a divisor is expected")
        self.conv1 = Convolution(width, inside, bias=True, gain=gain)
        self.conv2 = Convolution(inside, inside, 3, groups, bias=True, gain=gain)
        self.conv3 = Convolution(inside, width, gain=0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, width, H, W)` to the same shape."""
        y = F.leaky_relu(self.conv1(x), _SLOPE)
        return x + self.conv3(F.leaky_relu(self.conv2(y), _SLOPE))


class Resampled(nn.Module):
    """Twice or half the side by bilinear interpolation; where the width changes, a 1 x 1 convolution on the small side.

    Args:
        inputs: feature maps of x.
        outputs: feature maps of y.
        resample: `up` or `down`.
    """

    def __init__(self, inputs: int, outputs: int, resample: Resampling) -> None:
        super().__init__()
        self.conv = Convolution(inputs, outputs) if inputs != outputs else nn.Identity()
        self.resample = resample

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, inputs, H, W)` to `(N, outputs, 2H, 2W)` or `(N, outputs, H/2, W/2)`."""
        return upsample(self.conv(x)) if self.resample == "up" else self.conv(downsample(x))


class FromBasis(nn.Module):
    """The first feature maps: of each a learned 4 x 4 picture, as strong as a linear map of the latent says.

    Args:
        latent: length of the latent.
        outputs: feature maps.
    """

    def __init__(self, latent: int, outputs: int) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.randn(outputs, 4, 4))
        self.linear = nn.Linear(latent, outputs, bias=False)
        _draw(self.linear.weight, latent)

    def forward(self, z: Tensor) -> Tensor:
        """Maps `(N, latent)` to `(N, outputs, 4, 4)`."""
        made = self.linear(z)[:, None] * innermost(self.basis)
        return made.unflatten(1, (4, 4)).permute(0, 3, 1, 2)


class ToBasis(nn.Module):
    """The way back: how much of a learned 4 x 4 picture there is in each feature map, and a linear map of that.

    Args:
        inputs: feature maps.
        outputs: numbers a sample.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.randn(inputs, 4, 4) / 4)
        self.linear = nn.Linear(inputs, outputs, bias=False)
        _draw(self.linear.weight, inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, inputs, 4, 4)` to `(N, outputs)`."""
        return self.linear((x.permute(0, 2, 3, 1).flatten(1, 2) * innermost(self.basis)).sum(1))


def innermost(basis: Tensor) -> Tensor:
    """Pictures `(C, 4, 4)` as `(16, C)`: what comes of them has its feature maps innermost, as convolutions want it.

    Otherwise all gradients, and in the generator all sums on the way, would lie in two orders, which is slow to add.
    """
    return basis.flatten(1).T.contiguous()


class Generator(nn.Module):
    """From the basis through blocks at 4 pixels, 8, 16, ... to an image, which no tanh bounds.

    Args:
        latent: length of z.
        channels: channels of an image.
        widths: feature maps at 4, 8, 16, ... pixels.
        groups: of their blocks' convolutions.
        depths: blocks at each resolution.
        expansion: of the blocks.
        classes: number of classes; 0 for none.
        embedding: length of an embedded class, which stands beside z.
    """

    def __init__(
        self,
        latent: int,
        channels: int,
        widths: Sequence[int],
        groups: Sequence[int],
        depths: Sequence[int],
        expansion: int,
        classes: int,
        embedding: int,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, embedding) if classes else None
        if self.embedding is not None:
            _draw(self.embedding.weight, classes)
        first = FromBasis(latent + embedding * bool(classes), widths[0])
        entries = [first, *(Resampled(i, o, "up") for i, o in pairwise(widths))]
        self.stages = nn.ModuleList(
            nn.Sequential(entry, *(Block(width, count, expansion, sum(depths)) for _ in range(depth)))
            for entry, width, count, depth in zip(entries, widths, groups, depths, strict=True)
        )
        self.to_image = Convolution(widths[-1], channels)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps z `(N, latent)` and labels `(N,)`, where there are classes, to images `(N, channels, size, size)`."""
        x = z if self.embedding is None else torch.cat([z, self.embedding(labels)], 1)
        for stage in self.stages:
            x = stage(x)
        return self.to_image(x)


class Discriminator(nn.Module):
    """The generator's mirror image: blocks at size, ..., 8, 4 pixels, then the basis.

    With classes what the basis gives is projected on the embedded class (Miyato and Koyama, arXiv:1802.05637).

    Args:
        channels: channels of an image.
        widths: feature maps at size, ..., 8, 4 pixels.
        groups: of their blocks' convolutions.
        depths: blocks at each resolution.
        expansion: of the blocks.
        classes: number of classes; 0 for none.
        embedding: length of an embedded class.
    """

    def __init__(
        self,
        channels: int,
        widths: Sequence[int],
        groups: Sequence[int],
        depths: Sequence[int],
        expansion: int,
        classes: int,
        embedding: int,
    ) -> None:
        super().__init__()
        self.from_image = Convolution(channels, widths[0])
        last = ToBasis(widths[-1], embedding if classes else 1)
        exits = [*(Resampled(i, o, "down") for i, o in pairwise(widths)), last]
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(width, count, expansion, sum(depths)) for _ in range(depth)), leave)
            for leave, width, count, depth in zip(exits, widths, groups, depths, strict=True)
        )
        self.embedding = nn.Embedding(classes, embedding) if classes else None
        if self.embedding is not None:
            _draw(self.embedding.weight, classes * embedding)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps images `(N, channels, size, size)` and labels `(N,)`, where there are classes, to scores `(N,)`."""
        x = self.from_image(images)
        for stage in self.stages:
            x = stage(x)
        return x.squeeze(1) if self.embedding is None else (x * self.embedding(labels)).sum(1)


@register(
    paper="Huang, Gokaslan, Kuleshov and Tompkin, The GAN is dead; long live the GAN! A Modern Baseline GAN",
    year=2024,
    url="https://arxiv.org/abs/2501.05441",
    formula=(
        "L_D = E softplus(D(G(z)) - D(x)) + gamma/2 E ||grad D(x)||^2 + gamma/2 E ||grad D(G(z))||^2",
        "L_G = E softplus(D(x) - D(G(z)))",
    ),
)
class R3GAN(Samples):
    """A relativistic loss with two gradient penalties is stable without tricks.

    The defaults are the authors' for CIFAR-10 (configuration E), but for its classes; with those the length of an
    embedded class is that of z in the generator and the first width in the discriminator. They train in batches of 512
    and mirror the images. Where they draw other real images for the generator's move, here it sees those of the
    discriminator's. The gradient penalties, and with them the discriminator's whole move, are computed in float32. A
    model that is trained on has the burn-in behind it.

    Args:
        size: side of an image: 4 times as many doublings as there are widths, less one.
        channels: channels of an image.
        latent: length of z, normal.
        classes: number of classes of the data; 0 for none.
        widths: feature maps at 4, 8, 16, ... pixels; the discriminator has the same, the other way round.
        groups: of the blocks' convolutions at each resolution; 1 each for ungrouped ones. None for as many as the
            authors have, of 16 feature maps each.
        depths: blocks at each resolution; None for two.
        expansion: how many times as many feature maps there are inside a block.
        embedding: length of an embedded class in the generator; None for that of z.
        discriminator_embedding: and in the discriminator; None for the width at 4 pixels.
        gamma: weight of both gradient penalties at first (2 at 64 pixels, 150 at 256).
        final_gamma: and after the burn-in.
        lr: learning rate of both players at first.
        final_lr: and after the burn-in.
        beta2: Adam's decay rate of squared gradients at first; that of gradients is 0.
        final_beta2: and after the burn-in.
        augment: probability of ADA's transforms after the burn-in, from 0 on (0.3 for faces).
        average_kimg: half-life of the moving average after the burn-in, from 0 on, in thousands of images (500 for
            faces).
        burn_in_kimg: thousands of images in which all of these go from first to last along half a cosine.
    """

    average_half_life: float = 5_000_000.0

    def __init__(
        self,
        size: Positive = 32,
        channels: Positive = 3,
        latent: Positive = 64,
        classes: Count = 0,
        widths: Sizes = (768, 768, 768, 768),
        groups: Sizes | None = None,
        depths: tuple[Layers, ...] | None = None,
        expansion: Positive = 2,
        embedding: Positive | None = None,
        discriminator_embedding: Positive | None = None,
        gamma: NonNegative = 0.05,
        final_gamma: NonNegative = 0.005,
        lr: NonNegative = 2e-4,
        final_lr: NonNegative = 5e-5,
        beta2: Probability = 0.9,
        final_beta2: Probability = 0.99,
        augment: Probability = 0.55,
        average_kimg: Positive = 5000,
        burn_in_kimg: Positive = 20_000,
    ) -> None:
        super().__init__()
        groups = tuple(max(1, expansion * width // 16) for width in widths) if groups is None else groups
        depths = (2,) * len(widths) if depths is None else depths
        if not len(widths) == len(groups) == len(depths) or size != 4 << len(widths) - 1:
            raise BadArgument(
                f"{len(widths)} widths, {len(groups)} groups and {len(depths)} depths for images of {size} pixels; "
                "one of each is expected for 4, 8, 16, ... and all of the image's pixels"
            )
        self.shape, self.classes, self.labelled = (channels, size, size), classes or None, bool(classes)
        self.prior = Normal(latent)
        self.generator = Generator(latent, channels, widths, groups, depths, expansion, classes, embedding or latent)
        self.discriminator = Discriminator(
            channels,
            widths[::-1],
            groups[::-1],
            depths[::-1],
            expansion,
            classes,
            discriminator_embedding or widths[0],
        )
        self.rates, self.beta2s, self.gammas = (lr, final_lr), (beta2, final_beta2), (gamma, final_gamma)
        self.augment, self.burn_in = augment, 1000 * burn_in_kimg
        self.average_half_life = 1000.0 * average_kimg

    def players(self) -> dict[str, Player]:
        """The discriminator and the generator, with the same Adam."""
        first, last = self.rates
        adam = partial(Adam, lr=first, betas=(0.0, self.beta2s[0]), eps=1e-8)
        share = last / first if first else 1.0

        def schedule(images_seen: int) -> float:
            return self.scheduled(1.0, share)

        return {name: Player(getattr(self, name), adam, schedule) for name in ("discriminator", "generator")}

    def scheduled(self, first: float, last: float) -> float:
        """A value on its way from `first` to `last`, along half a cosine over the burn-in."""
        done = min(1.0, self.images_seen / self.burn_in)
        return first + (last - first) * (1 - math.cos(math.pi * done)) / 2

    def ramped(self, half_life: float) -> float:
        """The moving average's half-life follows the burn-in too, where the run does not say otherwise."""
        if self.engine.average != "paper" or self.resumed_half_life is not None:
            return super().ramped(half_life)
        return self.scheduled(0.0, half_life)

    def train_on(self) -> None:
        """Leaves the burn-in out."""
        super().train_on()
        self.burn_in = 1

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player."""
        for player in ("discriminator", "generator"):
            for group in self.optimizer(player).param_groups:
                group["betas"] = (0.0, self.scheduled(*self.beta2s))
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """E softplus(D(G(z)) - D(x)) + gamma (R1 + R2), all of it from one pass of D."""
        labels = self.given(batch)
        with torch.no_grad():
            fake = self.generator(self.noise(batch), *labels)
        both, twice = torch.cat([batch.images, fake.to(batch.images)]), [torch.cat([each, each]) for each in labels]
        with input_gradients():
            scores, norms = penalties.scored(lambda x: self.discriminator(self.seen(x), *twice), both)
        r1, r2 = (half.mean() for half in norms.chunk(2))
        real, generated = scores.chunk(2)
        self.record(r1=r1, r2=r2, told_apart=(real > generated).float().mean())
        return losses.relativistic_discriminator(real, generated) + self.scheduled(*self.gammas) * (r1 + r2)

    def generator_loss(self, batch: Batch) -> Tensor:
        """E softplus(D(x) - D(G(z)))."""
        labels = self.given(batch)
        fake = self.generator(self.noise(batch), *labels)
        real_scores, fake_scores = (self.discriminator(self.seen(images), *labels) for images in (batch.images, fake))
        return losses.relativistic_generator(real_scores, fake_scores)

    def given(self, batch: Batch) -> list[Any]:
        """The labels that both networks are given, where there are classes: those of the real images."""
        return [self.labels_of(batch)] if self.classes else []

    def seen(self, images: Tensor) -> Tensor:
        """What the discriminator is shown: images `(N, C, H, W)`, augmented where the run says so."""
        return augment(images, self.scheduled(0.0, self.augment), _TRANSFORMS) if self.augment else super().seen(images)
