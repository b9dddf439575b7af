"""MobileStyleGAN: StyleGAN2 distilled into a small generator of wavelet coefficients.

Belousov 2021, "MobileStyleGAN: A Lightweight Convolutional Neural Network for High-Fidelity Image Synthesis",
arXiv:2104.04767. The student g has its teacher's mapping network f and a synthesis network of its own: it predicts the
Haar wavelets of the image (section 3.1), grows by the inverse wavelet transform (3.3), convolves depthwise and then
pointwise (3.2), and its demodulation is the same for all samples, so that it can be multiplied into the weights (3.4).
It is shown w and noise, and the teacher's picture x = t(w); with its pictures x_i at each resolution, the teacher's x
made as small as each of them, W the wavelet transform, and phi a frozen feature network (section 3.5):

    L_G = sum_i |x_i - x| + (x_i - x)^2 + |W x_i - W x| + (W x_i - W x)^2 + |phi(g) - phi(x)| + lambda E softplus(-D(g))
    L_D = E softplus(D(g)) + E softplus(-D(x)) + gamma/2 E ||grad D(x)||^2

Of the data only the number of pictures, and their classes where there are some, are used.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Styled
from ganzoo.game.abilities.styled import Noise
from ganzoo.game.engine import Player
from ganzoo.game.helpers import Helper
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn.double_backward import input_gradients
from ganzoo.nn.style import (
    Discriminator,
    Generator,
    Mapping,
    check_styles,
    demodulation,
    feature_maps,
    laid_out,
    noise_map,
    resolutions,
)
from ganzoo.objectives import losses, penalties
from ganzoo.objectives.augment import diff_augment
from ganzoo.schema import Count, Layers, NonNegative, Positive, PositiveFloat, Probability, Sizes
from ganzoo.types import BadArgument, Batch

# ------------------------------------------------------------------------------------------------- wavelets


def to_wavelets(images: Tensor) -> Tensor:
    """The Haar wavelets of images (one level of the transform `db1`).

    Args:
        images: `(N, C, 2H, 2W)`.

    Returns:
        `(N, 4C, H, W)`: LL of every channel, then LH, HL and HH of the first channel, of the second, ...
    """
    # Of each square of 2 x 2 pixels: a above b, c right of a, d right of b
    a, c, b, d = F.pixel_unshuffle(images, 2).unflatten(1, (-1, 4)).unbind(2)
    above, below, across, over = a + c, b + d, a - c, b - d
    high = torch.stack([above - below, across + over, across - over], 2)
    return torch.cat([above + below, high.flatten(1, 2)], 1) / 2


def from_wavelets(wavelets: Tensor) -> Tensor:
    """Images `(N, C, 2H, 2W)` of their wavelets `(N, 4C, H, W)`: the inverse of `to_wavelets`."""
    channels = wavelets.shape[1] // 4
    ll, high = wavelets[:, :channels] / 2, wavelets[:, channels:].unflatten(1, (channels, 3)) / 2
    lh, hl, hh = high.unbind(2)
    above, below, across, over = ll + lh, ll - lh, hl + hh, hl - hh
    squares = torch.stack([above + across, above - across, below + over, below - over], 2)
    return F.pixel_shuffle(squares.flatten(1, 2), 2)


# ------------------------------------------------------------------------------------------------- the student


class ModulatedConv2d(nn.Module):
    """A convolution whose input feature maps are scaled by a style, and its output by a shared demodulation.

    y_o = sum_{i,k} w_oik (sigma (A w + b)_i x_i) / sqrt(sum_{i,k} (sigma s_i w_oik)^2 + eps), with the factor
    sigma = 1 / sqrt(inputs kernel^2). Where StyleGAN2 demodulates by the style, s is a constant of the layer.

    Args:
        inputs: feature maps of x.
        outputs: feature maps of y.
        kernel: 1 or 3.
        style: length of w.
        demodulate: whether to; without it the weights are taken as they are.
    """

    constant: Tensor  # s

    def __init__(self, inputs: int, outputs: int, kernel: int, style: int, demodulate: bool = True) -> None:
        super().__init__()
        self.affine = nn.Linear(style, inputs)
        nn.init.ones_(self.affine.bias)
        self.make_weights(inputs, outputs, kernel)
        self.scale, self.demodulate = 1 / math.sqrt(inputs * kernel**2), demodulate
        if demodulate:
            self.register_buffer("constant", torch.randn(inputs))

    def make_weights(self, inputs: int, outputs: int, kernel: int) -> None:
        """Makes the weights, N(0, 1)."""
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))

    def kernels(self) -> Tensor:
        """The kernels w `(outputs, inputs, k, k)`."""
        return self.weight

    def demodulated(self, weight: Tensor) -> Tensor:
        """Weights `(outputs, inputs, k, k)`, multiplied by the demodulation."""
        if not self.demodulate:
            return weight
        return weight * demodulation(self.scale * self.constant[None], self.kernels())[0, :, None, None, None]

    def modulated(self, x: Tensor, w: Tensor) -> Tensor:
        """x `(N, inputs, H, W)`, scaled by the style of w `(N, style)`."""
        return x * (self.scale * self.affine(w))[:, :, None, None]

    def forward(self, x: Tensor, w: Tensor, bias: Tensor) -> Tensor:
        """Maps `(N, inputs, H, W)` and w `(N, style)` to `(N, outputs, H, W)`."""
        return F.conv2d(self.modulated(x, w), self.demodulated(self.weight), bias, padding=self.weight.shape[-1] // 2)


class SeparableConv2d(ModulatedConv2d):
    """The same in two steps: each feature map is convolved by itself, and then each pixel by itself (section 3.2)."""

    def make_weights(self, inputs: int, outputs: int, kernel: int) -> None:
        """Makes the weights, N(0, 1)."""
        self.depthwise = nn.Parameter(torch.randn(inputs, 1, kernel, kernel))
        self.pointwise = nn.Parameter(torch.randn(outputs, inputs, 1, 1))

    def kernels(self) -> Tensor:
        """The kernels w `(outputs, inputs, k, k)`, of which a convolution in one step would consist."""
        return self.pointwise * self.depthwise.transpose(0, 1)

    def forward(self, x: Tensor, w: Tensor, bias: Tensor) -> Tensor:
        """Maps `(N, inputs, H, W)` and w `(N, style)` to `(N, outputs, H, W)`."""
        inputs, _, kernel, _ = self.depthwise.shape
        y = F.conv2d(self.modulated(x, w), self.depthwise, padding=kernel // 2, groups=inputs)
        return F.conv2d(y, self.demodulated(self.pointwise), bias)


class StyledConv(nn.Module):
    """A modulated convolution, noise, bias and leaky ReLU, which has no gain here.

    Args:
        conv: the convolution.
        outputs: its feature maps.
        size: their side.
    """

    noise: Tensor

    def __init__(self, conv: ModulatedConv2d, outputs: int, size: int) -> None:
        super().__init__()
        self.conv = conv
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise", torch.randn(size, size))

    def forward(self, x: Tensor, w: Tensor, noise: Noise | Tensor) -> Tensor:
        """Maps `(N, inputs, size, size)` and w `(N, style)` to `(N, outputs, size, size)`."""
        y = self.conv(x, w, self.bias)
        added = noise_map(noise, self.noise, x.shape[0])
        if added is not None:
            y = y.add_((added * self.strength).to(y.dtype))  # in place, for speed
        return F.leaky_relu_(y, 0.2)


class ToWavelets(nn.Module):
    """From feature maps to the wavelets of an image of twice their side.

    Args:
        inputs: feature maps.
        channels: channels of an image.
        style: length of w.
    """

    def __init__(self, inputs: int, channels: int, style: int) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(inputs, 4 * channels, 1, style, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(4 * channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Maps `(N, inputs, H, W)` and w `(N, style)` to `(N, 4 channels, H, W)`."""
        return self.conv(x, w, self.bias)


class SynthesisBlock(nn.Module):
    """The feature maps below are the wavelets of those that two convolutions work on.

    Args:
        inputs: feature maps of the resolution below, divisible by 4.
        outputs: feature maps.
        style: length of w.
        size: side of the feature maps.
        demodulate: whether the convolutions do.
    """

    def __init__(self, inputs: int, outputs: int, style: int, size: int, demodulate: bool) -> None:
        super().__init__()
        self.affine = nn.Linear(style, inputs)
        nn.init.ones_(self.affine.bias)
        self.first = StyledConv(SeparableConv2d(inputs // 4, outputs, 3, style, demodulate), outputs, size)
        self.second = StyledConv(SeparableConv2d(outputs, outputs, 3, style, demodulate), outputs, size)

    def forward(self, x: Tensor, ws: Sequence[Tensor], noise: Sequence[Noise | Tensor]) -> Tensor:
        """Maps `(N, inputs, size/2, size/2)`, and w and noise of each convolution, to `(N, outputs, size, size)`."""
        x = laid_out(from_wavelets(x * self.affine(ws[0])[:, :, None, None]))  # a fourteenth less time at 1024 pixels
        return self.second(self.first(x, ws[0], noise[0]), ws[1], noise[1])


class Synthesis(nn.Module):
    """The synthesis network g: one w a layer to an image.

    Layers of w: one for the convolution at the first resolution, and then three for each resolution: its first
    convolution, its second, and its image. The image at the first resolution shares w with the next one's first
    convolution, and the last layer of w is never used, as in the author's code.

    Args:
        channels: channels of an image.
        style: length of w.
        widths: feature maps at each resolution, from that of the constant input to size/2.
        demodulate: whether the convolutions do.
        multiscale: whether there is an image at every resolution, and not only at the last.
    """

    def __init__(self, channels: int, style: int, widths: dict[int, int], demodulate: bool, multiscale: bool) -> None:
        super().__init__()
        maps, sides = list(widths.values()), list(widths)
        for width in maps[:-1]:
            if width % 4:
                raise BadArgument(f"widths are {maps}; all but the last are to be wavelets, so multiples of 4")
        self.input = nn.Parameter(torch.randn(maps[0], sides[0], sides[0]))
        self.first = StyledConv(ModulatedConv2d(maps[0], maps[0], 3, style, demodulate), maps[0], sides[0])
        self.blocks = nn.ModuleList(
            SynthesisBlock(below, width, style, side, demodulate)
            for below, width, side in zip(maps, maps[1:], sides[1:], strict=False)
        )
        self.heads = nn.ModuleList(ToWavelets(width, channels, style) for width in (maps if multiscale else maps[-1:]))
        self.style, self.multiscale = style, multiscale
        self.sizes = [len(layer.noise) for layer in self.modules() if isinstance(layer, StyledConv)]  # of noise inputs
        self.count = 3 * len(self.blocks) + 2  # layers of w,
        self.used = self.count - 1  # and those that matter

    def forward(self, ws: Tensor, noise: Noise | Sequence[Tensor] = "random") -> Tensor:
        """Maps `(N, count, style)` to images `(N, channels, size, size)`.

        Args:
            ws: one w a layer.
            noise: `random` for fresh noise, `const` for that of the network's buffers, `none`, or a tensor
                `(N, 1, side, side)` for each of `sizes`.

        Raises:
            BadArgument: for latents of another shape.
        """
        *_, (x, w) = self.features(ws, noise)
        return from_wavelets(self.heads[-1](x, w))

    def pyramid(self, ws: Tensor, noise: Noise | Sequence[Tensor] = "random") -> list[Tensor]:
        """Maps `(N, count, style)` to the wavelets `(N, 4 channels, side/2, side/2)` of images of 8, ..., size pixels.

        Where the network has an image at the last resolution only, there are no others.
        """
        features = self.features(ws, noise)[-len(self.heads) :]
        return [head(x, w) for head, (x, w) in zip(self.heads, features, strict=True)]

    def features(self, ws: Tensor, noise: Noise | Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """The feature maps at each resolution, and w of the image that is made of them."""
        check_styles(ws, self.count, self.style)
        each: Sequence[Noise | Tensor] = [noise] * len(self.sizes) if isinstance(noise, str) else noise
        layers = ws.unbind(1)
        x = self.first(laid_out(self.input.expand(ws.shape[0], -1, -1, -1)), layers[0], each[0])
        found = [(x, layers[1])]
        for i, block in enumerate(self.blocks):
            x = block(x, layers[3 * i + 1 : 3 * i + 3], each[2 * i + 1 : 2 * i + 3])
            found.append((x, layers[3 * i + 3]))
        return found


class Student(Generator):
    """The teacher's mapping network, which does not learn, and a synthesis network.

    Args:
        mapping: from z to w.
        synthesis: from w to images.
    """

    def __init__(self, mapping: Mapping, synthesis: Synthesis) -> None:
        super().__init__(mapping.requires_grad_(False), synthesis)

    def forward(self, z: Tensor, labels: Tensor | None = None, *, pyramid: bool = False, **options: Any) -> Any:
        """Maps latents `(N, latent)` to images; with `pyramid` to their wavelets at every resolution.

        Args:
            z: latents.
            labels: class indices `(N,)` or vectors `(N, classes)`, where there are classes.
            pyramid: whether to give what `Synthesis.pyramid` does.
            **options: of any generator with styles, such as `noise`.
        """
        if not pyramid:
            return super().forward(z, labels, **options)
        return self.synthesis.pyramid(self.mapping(z, labels), **options)


# ------------------------------------------------------------------------------------------------- the family


@register(
    paper="Belousov, MobileStyleGAN: A Lightweight Convolutional Neural Network for High-Fidelity Image Synthesis",
    year=2021,
    url="https://arxiv.org/abs/2104.04767",
    formula=(
        "L_G = sum_i |x_i - x| + (x_i - x)^2 + |W x_i - W x| + (W x_i - W x)^2 + |phi(g) - phi(x)| "
        "+ lambda E softplus(-D(g))",
        "L_D = E softplus(D(g)) + E softplus(-D(x)) + gamma/2 E ||grad D(x)||^2",
    ),
)
class MobileStyleGAN(Styled):
    """StyleGAN2 distilled into a generator of wavelet coefficients with a tenth of the multiplications.

    The defaults are the author's for faces of 1024 pixels. The sizes of the mapping network are the teacher's, whose
    weights it takes and keeps.

    Args:
        size: side of an image, a power of two from 8 on.
        channels: channels of an image.
        latent: length of z.
        style: length of w.
        classes: classes of the teacher; 0 for none.
        channel_base: feature maps times resolution.
        channel_max: feature maps at most.
        widths: the generator's feature maps at `start`, ..., size/2 pixels instead; multiples of 4, but for the last.
        start: side of the generator's constant input, a power of two.
        demodulate: whether the convolutions do; in networks made for use alone it is in their weights.
        multiscale: whether the generator has an image at each resolution to learn from; only the last is ever shown.
        mapping_layers: number of layers of the mapping network.
        mapping_width: of its layers between; none for `style`.
        mapping_embedding: length of its embedded label; none for `style`.
        mapping_rate: its learning-rate multiplier.
        discriminator_widths: feature maps at 4, 8, ..., size pixels; none for `channel_base` and `channel_max`.
        group: samples in a group of the minibatch standard deviation; none for the whole batch.
        teacher: the model that is imitated, by its name or folder.
        teacher_sha256: of its weights, where it must be exactly these.
        perceptual: the feature network of the perceptual term; none for no such term.
        perceptual_size: side that images are brought to for it; none for their own.
        pixel_weight: of the terms on pixels and wavelets.
        perceptual_weight: of the perceptual term.
        adversarial_weight: lambda.
        augment: whether the discriminator sees images through DiffAugment (the author flips, moves, turns and erases).
        gamma: weight of R1.
        r1_every: batches from one R1 to the next.
        lr: learning rate of both players.
        betas: Adam's decay rates.
    """

    coupled = True  # the minibatch standard deviation
    label_vectors = True
    coarse = range(7)

    def __init__(
        self,
        size: Positive = 1024,
        channels: Positive = 3,
        latent: Positive = 512,
        style: Positive = 512,
        classes: Count = 0,
        channel_base: Positive = 32768,
        channel_max: Positive = 512,
        widths: Sizes | None = None,
        start: Positive = 4,
        demodulate: bool = True,
        multiscale: bool = True,
        mapping_layers: Layers = 8,
        mapping_width: Positive | None = None,
        mapping_embedding: Positive | None = None,
        mapping_rate: PositiveFloat = 0.01,
        discriminator_widths: Sizes | None = None,
        group: Positive | None = 4,
        teacher: str = "stylegan2-ffhq",
        teacher_sha256: str | None = None,
        perceptual: str | None = "vgg16_lpips",
        perceptual_size: Positive | None = 256,
        pixel_weight: NonNegative = 1.0,
        perceptual_weight: NonNegative = 1.0,
        adversarial_weight: NonNegative = 0.5,
        augment: bool = True,
        gamma: NonNegative = 10.0,
        r1_every: Positive = 16,
        lr: NonNegative = 5e-4,
        betas: tuple[Probability, Probability] = (0.9, 0.999),
    ) -> None:
        super().__init__()
        resolutions(size, max(8, 2 * start))  # holds it against what can be
        if start & (start - 1):
            raise BadArgument(f"start is {start}; a power of two is expected, such as 4")
        self.shape, self.classes = (channels, size, size), classes or None
        self.labelled = bool(classes)
        self.prior = Normal(latent)
        maps = feature_maps(size // 2, channel_base, channel_max, widths, start)
        synthesis = Synthesis(channels, style, maps, demodulate, multiscale)
        mapping = Mapping(
            latent,
            style,
            mapping_layers,
            count=synthesis.count,
            classes=classes,
            width=mapping_width,
            embedding=mapping_embedding,
            rate=mapping_rate,
        )
        self.generator = Student(mapping, synthesis)
        wide = feature_maps(size, channel_base, channel_max, discriminator_widths)
        self.discriminator = Discriminator(size, channels, classes, widths=list(wide.values()), group=group)
        self.teacher = Helper(teacher, teacher_sha256)
        if perceptual is not None:
            self.features = Helper(perceptual)
        self.perceptual_size = perceptual_size
        self.weights = (pixel_weight, perceptual_weight if perceptual is not None else 0.0, adversarial_weight)
        self.augment, self.gamma, self.r1_every = augment, gamma, r1_every
        self.adam = partial(Adam, lr=lr, betas=betas)

    def players(self) -> dict[str, Player]:
        """The discriminator and the synthesis network; the mapping network stays the teacher's."""
        return {
            "discriminator": Player(self.discriminator, self.adam),
            "generator": Player(self.generator.synthesis, self.adam),
        }

    def setup(self, stage: str) -> None:
        """Takes the teacher's mapping network before training.

        Raises:
            BadArgument: for a teacher that draws other pictures, or maps z by a network of other sizes.
        """
        if stage == "fit":
            self._join(self.teacher.network)
        super().setup(stage)

    def _join(self, teacher: nn.Module) -> None:
        """Holds the teacher against the student, and copies its mapping network."""
        name, mapping, size = self.teacher.name, self.generator.mapping, self.shape[-1]
        if not isinstance(teacher, Generator) or teacher.synthesis.sizes != [
            *self.generator.synthesis.sizes,
            size,
            size,
        ]:
            raise BadArgument(f"the teacher {name} is no StyleGAN2 of {size} pixels, as the student is to be")
        own, theirs = ({k: list(v.shape) for k, v in f.state_dict().items()} for f in (mapping, teacher.mapping))
        for key in dict.fromkeys([*own, *theirs]):
            if own.get(key) != theirs.get(key):
                raise BadArgument(
                    f"{key} in the mapping network of the teacher {name} has sides {theirs.get(key)}, and the "
                    f"student's {own.get(key)}; give the student the teacher's latent, style, classes and mapping_*"
                )
        mapping.load_state_dict(teacher.mapping.state_dict())

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """An update of each player, and every so often one of the discriminator on its penalty alone."""
        self.move("generator", self.generator_loss, batch)
        self.move("discriminator", self.discriminator_loss, batch)
        if self.gamma and self.turn(every=self.r1_every):
            self.move("discriminator", self.r1_loss, batch, counts=False)

    def generator_loss(self, batch: Batch) -> Tensor:
        """How far the student is from the teacher, in pixels, wavelets and features and for the discriminator."""
        z, noise, drawn = self.lesson(batch)
        pyramid = self.generator(z, labels=batch.labels, noise=noise, pyramid=True)
        made = from_wavelets(pyramid[-1])
        seen = self.discriminator(self.seen(made), labels=batch.labels)
        terms = {
            "pixel": pixel_distance(pyramid, drawn),
            "perceptual": self.perceptual_distance(made, drawn),
            "adversarial": losses.nonsaturating_generator(seen),
        }
        self.record(**terms)
        return sum(
            (weight * term for weight, term in zip(self.weights, terms.values(), strict=True)), made.new_zeros(())
        )

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """E softplus(D(g)) + E softplus(-D(x)), with both in one pass."""
        z, noise, drawn = self.lesson(batch)
        with torch.no_grad():
            made = self.generator(z, labels=batch.labels, noise=noise)
        labels = None if batch.labels is None else torch.cat([batch.labels, batch.labels])
        both = torch.cat([self.seen(drawn), self.seen(made)])
        return losses.minimax_discriminator(*self.discriminator(both, labels=labels, parts=2).chunk(2))

    def r1_loss(self, batch: Batch) -> Tensor:
        """gamma/2 E ||grad D(x)||^2, times the batches that it stands for."""
        _, _, drawn = self.lesson(batch)
        with input_gradients():
            penalty = penalties.r1(lambda x: self.discriminator(x, labels=batch.labels), drawn)
        self.record(r1=penalty)
        return self.gamma * self.r1_every * penalty

    @torch.no_grad()
    def lesson(self, batch: Batch) -> tuple[Tensor, list[Tensor], Tensor]:
        """z `(N, latent)`, noise for each input of the student, and the teacher's pictures `(N, C, H, W)`."""
        teacher: Any = self.teacher.network
        z = self.noise(batch)
        noise = [torch.randn(len(z), 1, side, side, device=z.device) for side in teacher.synthesis.sizes]
        drawn = teacher(z, labels=batch.labels, noise=noise)
        return z, noise[: len(self.generator.synthesis.sizes)], drawn.float()

    def perceptual_distance(self, made: Tensor, drawn: Tensor) -> Tensor:
        """The mean distance of the features of images `(N, C, H, W)`, summed over the network's resolutions."""
        if not self.weights[1]:
            return made.new_zeros(())
        if self.perceptual_size is not None:
            made, drawn = (F.interpolate(x, self.perceptual_size, mode="bilinear") for x in (made, drawn))
        maps = zip(self.features(made), self.features(drawn), strict=True)
        return torch.stack([F.l1_loss(one, other) for one, other in maps]).sum()

    def seen(self, images: Tensor) -> Tensor:
        """What the discriminator is shown of images `(N, C, H, W)`."""
        return diff_augment(images) if self.augment else super().seen(images)


def pixel_distance(pyramid: Sequence[Tensor], drawn: Tensor) -> Tensor:
    """Mean absolute and squared differences of pixels and of wavelets, summed over the resolutions.

    Args:
        pyramid: wavelets `(N, 4C, h/2, w/2)` of images of several resolutions.
        drawn: the image `(N, C, H, W)` that each of them should be, made as small.
    """
    terms = []
    for wavelets in pyramid:
        image = from_wavelets(wavelets)
        small = F.interpolate(drawn, image.shape[2:], mode="bilinear", align_corners=True)
        for made, wanted in ((image, small), (wavelets, to_wavelets(small))):
            terms += [F.l1_loss(made, wanted), F.mse_loss(made, wanted)]
    return torch.stack(terms).sum()
