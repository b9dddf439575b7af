"""DDGAN: a diffusion of four large steps, each undone by a conditional GAN, which alone can make steps so large.

Xiao, Kreis and Vahdat 2022, "Tackling the Generative Learning Trilemma with Denoising Diffusion GANs",
arXiv:2112.07804. A diffusion adds noise until a picture is lost. Going back one large step is no longer normal but has
many modes, so that a generator draws x_0 from x_t and a latent z, the posterior of the diffusion draws x_{t-1} from
both, and a critic that knows the time tells such pairs from true ones (non-saturating losses, R1 on x_{t-1}):

    q(x_t | x_{t-1}) = N(sqrt(1 - beta_t) x_{t-1}, beta_t)        x'_{t-1} ~ q(x_{t-1} | x_t, x_0 = G(x_t, z, t))
    L_D = -E log D(x_{t-1}, x_t, t) - E log(1 - D(x'_{t-1}, x_t, t)) + gamma/2 E ||grad_x D(x_{t-1}, x_t, t)||^2
    L_G = -E log D(x'_{t-1}, x_t, t)        z ~ N(0, 1)^100, t uniform in 1 to 4
"""

import math
from collections.abc import Sequence
from functools import lru_cache, partial
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Samples
from ganzoo.game.engine import Player
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn.resampling import Resampling, convolve, downsample, upsample
from ganzoo.nn.style import minibatch_stddev, normalize_2nd_moment
from ganzoo.objectives import losses, penalties
from ganzoo.schema import Count, Layers, NonNegative, Positive, PositiveFloat, Probability, Sizes
from ganzoo.types import BadArgument, Batch, Condition

_HALF = math.sqrt(0.5)  # on the sum of two branches


class Diffusion:
    """The noise of T steps: discrete times of a variance-preserving diffusion in continuous time (appendix A).

    Step t has variance beta_t = 1 - exp(-[B(s_t) - B(s_{t-1})]), B(s) = beta_min s + (beta_max - beta_min) s^2 / 2, at
    times s_t from 0.001 to 1. Before the first step x_0 has a trace of noise already, of variance 1e-8.

    Attributes:
        keep: sqrt(1 - beta) of that trace and of each step: what is kept of a picture, `T + 1` numbers.
        add: sqrt(beta), what is added.
        kept, added: the same of all steps up to one.
        coefficients: of x_0 and of x_t in the mean of q(x_{t-1} | x_t, x_0), and its standard deviation, T of each.
    """

    def __init__(self, steps: int, beta_min: float, beta_max: float) -> None:
        times = 1e-3 + (1 - 1e-3) * np.arange(steps + 1) / steps
        left = np.exp(-beta_min * times - 0.5 * (beta_max - beta_min) * times**2)
        betas = np.concatenate([[1e-8], 1 - left[1:] / left[:-1]])
        kept = np.sqrt(1 - betas).cumprod()
        self.keep, self.add = tuple(np.sqrt(1 - betas)), tuple(np.sqrt(betas))
        self.kept, self.added = tuple(kept), tuple(np.sqrt(1 - kept**2))
        beta, now = betas[1:], (1 - betas[1:]).cumprod()
        before = np.concatenate([[1.0], now[:-1]])
        mean_0, mean_t = beta * np.sqrt(before) / (1 - now), (1 - before) * np.sqrt(1 - beta) / (1 - now)
        self.coefficients = tuple(mean_0), tuple(mean_t), tuple(np.sqrt(beta * (1 - before) / (1 - now)))

    def pair(self, images: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """x_{t-1} and x_t of images `(N, C, H, W)`, with t `(N,)` counted from 0: x_t has gone t + 1 steps."""
        x = at(self.kept, t) * images + at(self.added, t) * torch.randn_like(images)
        return x, at(self.keep, t + 1) * x + at(self.add, t + 1) * torch.randn_like(images)

    def back(self, x_0: Tensor, x_t: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """x_{t-1} of q(x_{t-1} | x_t, x_0), with standard normal noise; the last step back, to t of 0, adds none."""
        mean_0, mean_t, deviation = (at(each, t) for each in self.coefficients)
        return mean_0 * x_0 + mean_t * x_t + deviation * noise


def at(values: tuple[float, ...], t: Tensor) -> Tensor:
    """The values at times `(N,)`, one for each image, `(N, 1, 1, 1)` float32."""
    return _table(values, t.device)[t][:, None, None, None]


@lru_cache(maxsize=64)
def _table(values: tuple[float, ...], device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=torch.float32, device=device)


def sinusoids(t: Tensor, length: int) -> Tensor:
    """Times `(N,)` as sines and then cosines of `length` in all, their frequencies from 1 down to 1 / 10,000."""
    half = length // 2
    rates = torch.exp(-math.log(10_000) / max(half - 1, 1) * torch.arange(half, device=t.device))
    angles = t.float()[:, None] * rates
    return F.pad(torch.cat([angles.sin(), angles.cos()], 1), (0, length % 2))


def linear(inputs: int, outputs: int, outward: bool = False) -> nn.Linear:
    """A linear map with its first weights."""
    return filled(nn.Linear(inputs, outputs), 1.0, outward)


def conv(inputs: int, outputs: int, kernel: int = 3, gain: float = 1.0, outward: bool = False) -> nn.Conv2d:
    """A convolution that keeps the side, with its first weights."""
    return filled(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), gain, outward)


def filled(layer: Any, gain: float, outward: bool) -> Any:
    """The layer without bias, its weights uniform by the mean of inputs and outputs, or `outward` by the outputs alone.

    The authors' code has both: the second in the critic and in what comes of z. A gain of 1e-5 is for what begins as
    nothing.
    """
    nn.init.zeros_(layer.bias)
    if outward:
        nn.init.kaiming_uniform_(layer.weight, mode="fan_out", nonlinearity="linear")
        layer.weight.data.mul_(gain)
    else:
        nn.init.xavier_uniform_(layer.weight, gain)
    return layer


def group_norm(width: int, affine: bool = True) -> nn.GroupNorm:
    """Groups of four feature maps, and at most 32 groups."""
    groups = min(width // 4, 32)
    if groups < 1 or width % groups:
        raise BadArgument(
            f"{width} feature maps stand side by side, and groups of 4 of them, at most 32, are normalized together; "
            "a width and multipliers are expected whose sums are multiples of 4, and of 32 from 128 on"
        )
    return nn.GroupNorm(groups, width, eps=1e-6, affine=affine)


class AdaptiveGroupNorm(nn.Module):
    """Group normalization whose gains and biases are a linear map of what z became."""

    def __init__(self, width: int, style: int) -> None:
        super().__init__()
        self.norm, self.style = group_norm(width, affine=False), linear(style, 2 * width, outward=True)
        nn.init.ones_(self.style.bias[:width])

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Maps `(N, width, H, W)` with styles `(N, style)` to the same shape."""
        gain, bias = self.style(style)[:, :, None, None].chunk(2, 1)
        return gain * self.norm(x) + bias


class Block(nn.Module):
    """Two convolutions, each after an adaptive normalization, the time in between, beside a shortcut.

    Args:
        inputs: feature maps of x.
        outputs: feature maps of y.
        time: length of the time's embedding.
        style: length of what z became.
        resample: whether both branches begin with a change of the side.
    """

    def __init__(self, inputs: int, outputs: int, time: int, style: int, resample: Resampling | None = None) -> None:
        super().__init__()
        self.resample = {"up": upsample, "down": downsample}[resample] if resample else nn.Identity()
        self.norm1, self.conv1 = AdaptiveGroupNorm(inputs, style), conv(inputs, outputs)
        self.time = linear(time, outputs)
        self.norm2, self.conv2 = AdaptiveGroupNorm(outputs, style), conv(outputs, outputs, gain=1e-5)
        self.shortcut = conv(inputs, outputs, 1) if resample or inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, time: Tensor, style: Tensor) -> Tensor:
        """Maps `(N, inputs, H, W)` to `(N, outputs, H', W')`."""
        h = self.conv1(self.resample(F.silu(self.norm1(x, style)))) + self.time(F.silu(time))[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h, style)))
        return (self.shortcut(self.resample(x)) + h) * _HALF


class Attention(nn.Module):
    """Each position sees all others."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = group_norm(width)
        self.query, self.key, self.value = (conv(width, width, 1, gain=math.sqrt(0.1)) for _ in range(3))
        self.out = conv(width, width, 1, gain=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, width, H, W)` to the same shape."""
        h = self.norm(x)
        query, key, value = (layer(h).flatten(2) for layer in (self.query, self.key, self.value))
        shares = torch.softmax(query.transpose(1, 2) @ key / math.sqrt(x.shape[1]), -1)
        return (x + self.out((value @ shares.transpose(1, 2)).unflatten(2, x.shape[2:]))) * _HALF


class Level(nn.Module):
    """One resolution of the generator: its blocks, where it looks around, and the way to the next resolution."""

    blocks: Any
    attention: Any
    onward: Any

    def __init__(self, blocks: Sequence[Block], attention: Sequence[nn.Module], onward: nn.Module) -> None:
        super().__init__()
        self.blocks, self.attention, self.onward = nn.ModuleList(blocks), nn.ModuleList(attention), onward


class Generator(nn.Module):
    """A U-Net from x_t, t and z to x_0; the input, halved again and again, comes in at each resolution (NCSN++).

    Args:
        size: side of an image.
        channels: channels of an image.
        latent: length of z.
        width: feature maps at the image's side.
        multipliers: of the feature maps, at each resolution from the image's side down.
        blocks: at each resolution, on the way down; one more on the way up.
        attended: sides at which positions see each other; those in the middle always do.
        style: length of what z becomes.
        mapping_layers: on the way there, after the first.
    """

    def __init__(
        self,
        size: int,
        channels: int,
        latent: int,
        width: int,
        multipliers: Sequence[int],
        blocks: int,
        attended: Sequence[int],
        style: int,
        mapping_layers: int,
    ) -> None:
        super().__init__()
        if size % (1 << (len(multipliers) - 1)):
            raise BadArgument(
                f"images of {size} pixels cannot be halved {len(multipliers) - 1} times; give another size, or as many "
                "multipliers as there are to be resolutions"
            )
        self.width, widths = width, [width * each for each in multipliers]
        block = partial(Block, time=4 * width, style=style)

        def look(level: int) -> nn.Module:
            return Attention(widths[level]) if size >> level in attended else nn.Identity()

        self.time = nn.ModuleList([linear(width, 4 * width), linear(4 * width, 4 * width)])
        widened = [latent, *[style] * (mapping_layers + 1)]
        self.mapping = nn.ModuleList(linear(a, b, outward=True) for a, b in pairwise(widened))
        self.first = conv(channels, width)
        self.down, self.pyramid, skips, last = nn.ModuleList(), nn.ModuleList(), [width], len(widths) - 1
        for level, (before, now) in enumerate(zip([width, *widths], widths, strict=False)):
            made = [block(now if i else before, now) for i in range(blocks)]
            onward = block(now, now, resample="down") if level < last else nn.Identity()
            self.down.append(Level(made, [look(level) for _ in made], onward))
            if level < last:
                self.pyramid.append(conv(widths[level - 1] if level else channels, now))
            skips += [now] * (blocks + (level < last))
        self.middle = nn.ModuleList([block(now, now), Attention(now), block(now, now)])
        self.up = nn.ModuleList()
        for level in reversed(range(len(widths))):
            made = []
            for _ in range(blocks + 1):
                made.append(block(now + skips.pop(), widths[level]))
                now = widths[level]
            onward = block(now, now, resample="up") if level else nn.Identity()
            self.up.append(Level(made, [look(level)], onward))
        self.norm, self.last = group_norm(now), conv(now, channels, gain=1e-5)

    def forward(self, x: Tensor, t: Tensor, z: Tensor) -> Tensor:
        """Maps x_t `(N, C, H, W)`, times `(N,)` counted from 0 and z `(N, latent)` to x_0 in [-1, 1]."""
        time = self.time[1](F.silu(self.time[0](sinusoids(t, self.width).to(x.dtype))))
        style = normalize_2nd_moment(z)
        for layer in self.mapping:
            style = F.silu(layer(style))
        h, small = self.first(x), x
        skips = [h]
        level: Any
        for i, level in enumerate(self.down):
            for block, look in zip(level.blocks, level.attention, strict=True):
                h = look(block(h, time, style))
                skips.append(h)
            if i < len(self.pyramid):
                entering: Any = self.pyramid[i]
                small = convolve(small, entering.weight, entering.bias, "down")
                h = small = (small + level.onward(h, time, style)) * _HALF
                skips.append(h)
        h = self.middle[2](self.middle[1](self.middle[0](h, time, style)), time, style)
        for i, level in enumerate(self.up):
            for block in level.blocks:
                h = block(torch.cat([h, skips.pop()], 1), time, style)
            h = level.attention[0](h)
            h = level.onward(h, time, style) if i < len(self.pyramid) else h
        return torch.tanh(self.last(F.silu(self.norm(h))))


class DiscriminatorBlock(nn.Module):
    """Two convolutions, the time in between, beside a shortcut; the side is halved before the second or not at all."""

    def __init__(self, inputs: int, outputs: int, time: int, down: bool) -> None:
        super().__init__()
        self.down = downsample if down else nn.Identity()
        self.conv1 = conv(inputs, outputs, outward=True)
        self.conv2 = conv(outputs, outputs, gain=1e-5, outward=True)
        self.time, self.shortcut = linear(time, outputs, outward=True), conv(inputs, outputs, 1, outward=True)
        self.shortcut.bias = None

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Maps `(N, inputs, H, W)` to `(N, outputs, H', W')`."""
        h = F.leaky_relu(self.conv1(F.leaky_relu(x, 0.2)) + self.time(time)[:, :, None, None], 0.2)
        return (self.conv2(self.down(h)) + self.shortcut(self.down(x))) * _HALF


class Discriminator(nn.Module):
    """D(x_{t-1}, x_t, t): residual blocks on both pictures side by side, the minibatch's deviation, and a sum.

    Args:
        channels: channels of an image.
        widths: feature maps of the first convolution, and after each block.
        downsamplings: how many of the blocks, from the last, halve the side.
        time: length of the time's embedding.
    """

    def __init__(self, channels: int, widths: Sequence[int], downsamplings: int, time: int) -> None:
        super().__init__()
        self.features, count, end = time, len(widths) - 1, widths[-1]
        self.time = nn.ModuleList(linear(time, time, outward=True) for _ in range(2))
        self.first = conv(2 * channels, widths[0], 1, outward=True)
        self.blocks = nn.ModuleList(
            DiscriminatorBlock(a, b, time, i >= count - downsamplings) for i, (a, b) in enumerate(pairwise(widths))
        )
        self.last, self.score = conv(end + 1, end, gain=1e-5, outward=True), linear(end, 1, outward=True)

    def forward(self, x: Tensor, t: Tensor, x_t: Tensor) -> Tensor:
        """Maps x_{t-1} and x_t `(N, C, H, W)` and times `(N,)` counted from 0 to logits `(N,)`."""
        time = self.time[0](sinusoids(t, self.features).to(x.dtype))
        time = F.leaky_relu(self.time[1](F.leaky_relu(time, 0.2)), 0.2)
        h = self.first(torch.cat([x, x_t], 1))
        for block in self.blocks:
            h = block(h, time)
        h = F.leaky_relu(self.last(minibatch_stddev(h)), 0.2)
        return self.score(h.sum((2, 3)))[:, 0]


@register(
    paper="Xiao, Kreis and Vahdat, Tackling the Generative Learning Trilemma with Denoising Diffusion GANs",
    year=2022,
    url="https://arxiv.org/abs/2112.07804",
    method="Denoising diffusion GAN",
    formula=(
        "x'_{t-1} ~ q(x_{t-1} | x_t, x_0 = G(x_t, z, t))",
        "L_D = -E log D(x_{t-1}, x_t, t) - E log(1 - D(x'_{t-1}, x_t, t)) + gamma/2 E ||grad_x D(x_{t-1}, x_t, t)||^2",
        "L_G = -E log D(x'_{t-1}, x_t, t)",
        "z ~ N(0, 1)^100, t uniform in 1 to 4",
    ),
)
class DDGAN(Samples):
    """A diffusion of four large steps, each undone by a generator that draws one of many possible pictures.

    The defaults are those of CIFAR-10, in batches of 256. z of `sample` is all that is drawn for a picture, in the
    order of its use: x_T, and for each step back z and the posterior's noise, but for the last, which adds none. As in
    the authors' code the R1 of every 15th batch is not multiplied by 15.

    Args:
        size: side of an image.
        channels: channels of an image.
        latent: length of a step's z, normal.
        steps: T, of the diffusion.
        beta_min: rate of the noise at the start of the diffusion,
        beta_max: and at its end.
        width: the generator's feature maps at the image's side, a multiple of 4.
        multipliers: of its feature maps, at each resolution from the image's side down.
        blocks: at each of its resolutions.
        attended: sides of feature maps at which its positions see each other; those of the smallest always do.
        style: length of what it makes of z, for its normalizations.
        mapping_layers: on the way there, after the first.
        discriminator_widths: the critic's feature maps at first, and after each block.
        downsamplings: how many of its blocks, from the last, halve the side; all six for large images.
        time_features: length of its embedding of the time.
        gamma: of R1.
        r1_every: batches to one with R1 (lazy_reg).
        lr: learning rate of the generator.
        discriminator_lr: learning rate of the critic.
        betas: Adam's decay rates.
        decay_kimg: thousands of images over which both rates fall along half a cosine to 0.00001; 0 for constant ones.
    """

    average_half_life = 256 * math.log(0.5) / math.log(0.9999)  # 0.9999 a batch of 256
    coupled = True  # by the standard deviation over the batch

    def __init__(
        self,
        size: Positive = 32,
        channels: Positive = 3,
        latent: Positive = 100,
        steps: Annotated[int, Ge(1), Le(1024)] = 4,
        beta_min: PositiveFloat = 0.1,
        beta_max: PositiveFloat = 20.0,
        width: Positive = 128,
        multipliers: Sizes = (1, 2, 2, 2),
        blocks: Annotated[int, Ge(1), Le(64)] = 2,
        attended: Sizes = (16,),
        style: Positive = 256,
        mapping_layers: Layers = 4,
        discriminator_widths: Sizes = (128, 128, 256, 512, 512),
        downsamplings: Layers = 3,
        time_features: Positive = 256,
        gamma: NonNegative = 0.02,
        r1_every: Positive = 15,
        lr: NonNegative = 1.6e-4,
        discriminator_lr: NonNegative = 1.25e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.9),
        decay_kimg: Count = 90_000,
    ) -> None:
        super().__init__()
        if size >> downsamplings < 1 or downsamplings >= len(discriminator_widths):
            raise BadArgument(
                f"{downsamplings} of {len(discriminator_widths) - 1} blocks of the discriminator halve {size} pixels; "
                "no more than there are blocks is expected, with at least a pixel left"
            )
        self.shape, self.code, self.gamma, self.r1_every = (channels, size, size), latent, gamma, r1_every
        self.steps, self.diffusion = steps, Diffusion(steps, beta_min, beta_max)
        self.prior = Normal(steps * (latent + channels * size**2))
        self.generator = Generator(size, channels, latent, width, multipliers, blocks, attended, style, mapping_layers)
        self.discriminator = Discriminator(channels, discriminator_widths, downsamplings, time_features)
        self.rates, self.betas, self.decay = (lr, discriminator_lr), betas, 1000 * decay_kimg

    def players(self) -> dict[str, Player]:
        """The critic and the generator, whose rates fall along half a cosine."""

        def player(network: nn.Module, rate: float) -> Player:
            floor = min(1e-5 / rate, 1.0) if rate else 1.0

            def schedule(images_seen: int) -> float:
                done = min(images_seen / self.decay, 1.0) if self.decay else 0.0
                return floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2

            return Player(network, partial(Adam, lr=rate, betas=self.betas), schedule)

        return {
            "discriminator": player(self.discriminator, self.rates[1]),
            "generator": player(self.generator, self.rates[0]),
        }

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player, at times of their own."""
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """-E log D(x_{t-1}, x_t, t) - E log(1 - D(x'_{t-1}, x_t, t)), and every so often R1."""
        x, x_t, t = self.diffused(batch)
        real, fake = self.discriminator(x, t, x_t), self.discriminator(self.undone(x_t, t), t, x_t)
        loss = losses.minimax_discriminator(real, fake)
        if self.gamma and self.turn(every=self.r1_every):
            loss = loss + self.gamma * penalties.r1(lambda pictures: self.discriminator(pictures, t, x_t), x)
        return loss

    def generator_loss(self, batch: Batch) -> Tensor:
        """-E log D(x'_{t-1}, x_t, t)."""
        _, x_t, t = self.diffused(batch)
        return losses.nonsaturating_generator(self.discriminator(self.undone(x_t, t), t, x_t))

    def diffused(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """x_{t-1}, x_t and t, which is drawn for each image; counted from 0, and so one less than in the paper."""
        t = torch.randint(self.steps, (len(batch),), device=batch.images.device)
        return *self.diffusion.pair(batch.images, t), t

    def undone(self, x_t: Tensor, t: Tensor) -> Tensor:
        """x'_{t-1}, by the live generator."""
        x_0 = self.generator(x_t, t, torch.randn(len(x_t), self.code, device=x_t.device))
        return self.diffusion.back(x_0, x_t, t, torch.randn_like(x_t))

    def generate(self, z: Tensor, condition: Condition) -> Tensor:
        """All steps back, from noise to pictures, with what is drawn in `z` in the order of its use."""
        pixels = math.prod(self.shape)
        first, *rest = z.split([pixels, *([self.code, pixels] * self.steps)[:-1]], 1)
        x = first.unflatten(1, self.shape)
        for t in reversed(range(self.steps)):
            times = torch.full_like(z[:, 0], t)
            x_0 = self.averaged(x, times, rest.pop(0))
            mean_0, mean_t, deviation = (each[t] for each in self.diffusion.coefficients)
            x = mean_0 * x_0 + mean_t * x
            x = x + deviation * rest.pop(0).unflatten(1, self.shape) if t else x
        return x

    def realness(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """D's logits of images as the last step back, beside what the first step without its noise makes of them."""
        t = images.new_zeros(len(images), dtype=torch.long)
        return self.discriminator(images, t, self.diffusion.keep[1] * images)
