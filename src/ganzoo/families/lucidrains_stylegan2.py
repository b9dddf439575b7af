"""StyleGAN2 in plain layers, as lucidrains' stylegan2-pytorch has it, with which many trained on pictures of their own.

Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", arXiv:1912.04958; the code is
github.com/lucidrains/stylegan2-pytorch. Styles modulate and demodulate convolutions as there (eqs. 1 and 3); the rest
is plainer: bilinear interpolation where there is a filter, no equalized learning rate but in the mapping network, one w
for all layers of a resolution, noise that one map gives to all layers, and linear attention where it is asked for. The
discriminator has no minibatch statistics, and a hinge:

    L_D = E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))) + gamma (E ||grad D(x)||^2 + E ||grad D(G(z))||^2)
    L_G = -E D(G(z)) + E (||J_w^T y|| - a)^2

The penalties are taken every 4 and every 32 batches, the second after 5000.
"""

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Styled
from ganzoo.game.abilities.styled import Noise
from ganzoo.game.engine import Player
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn.resampling import convolve, fir
from ganzoo.nn.resnet import enlarge
from ganzoo.nn.style import Generator, Mapping, check_styles, demodulation, noise_map, resolutions
from ganzoo.objectives import losses, penalties
from ganzoo.schema import Count, Layers, NonNegative, Positive, PositiveFloat, Probability, Sizes
from ganzoo.types import BadArgument, Batch


def blur(x: Tensor) -> Tensor:
    """Filters by [1, 2, 1] along both axes; images are reflected at their edges."""
    return fir(F.pad(x, (1, 1, 1, 1), mode="reflect"), (1, 2, 1))


class ModulatedConv2d(nn.Module):
    """A convolution without bias whose input is scaled by s + 1, s being linear in w.

    Args:
        inputs: feature maps of x.
        outputs: feature maps of y.
        kernel: 1 or 3.
        style: length of w.
        demodulate: whether the outputs are brought back to unit variance (eq. 3).
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, style: int, demodulate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        nn.init.kaiming_normal_(self.weight, nonlinearity="leaky_relu")
        self.style, self.demodulate = nn.Linear(style, inputs), demodulate

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Maps `(N, inputs, H, W)` and w `(N, style)` to `(N, outputs, H, W)`."""
        s = self.style(w) + 1
        y = convolve(x * s[:, :, None, None], self.weight)
        return y * demodulation(s, self.weight)[:, :, None, None] if self.demodulate else y


class StyledConv(nn.Module):
    """A modulated convolution of 3 x 3, noise by feature map, bias and leaky ReLU.

    Args:
        inputs: feature maps of x.
        outputs: feature maps of y.
        style: length of w.
    """

    def __init__(self, inputs: int, outputs: int, style: int) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(inputs, outputs, 3, style)
        self.strength = nn.Parameter(torch.zeros(outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """Maps `(N, inputs, H, W)` with noise `(N, 1, S, S)`, of which a corner is used, to `(N, outputs, H, W)`."""
        y = self.conv(x, w) + self.bias[:, None, None]
        if noise is not None:
            y = y + noise[..., : x.shape[2], : x.shape[3]] * self.strength[:, None, None]
        return F.leaky_relu(y, 0.2)


class Attention(nn.Module):
    """Linear attention, then two convolutions of 1 x 1 at each place; both normalized over channels, and residual.

    Shen et al. 2018, "Efficient Attention", arXiv:1812.01243: softmax(q) (softmax(k)^T v), q over its features and k
    over positions, with 8 heads of 64 features.

    Args:
        width: feature maps.
    """

    heads, length = 8, 64

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = self.heads * self.length
        self.norm, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query = nn.Conv2d(width, inner, 1, bias=False)
        self.spread = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.key_value = nn.Conv2d(width, 2 * inner, 1, bias=False)
        self.out = nn.Conv2d(inner, width, 1)
        self.wide, self.narrow = nn.Conv2d(width, 2 * width, 1), nn.Conv2d(2 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, width, H, W)` to the same shape."""
        h = self.norm(x.movedim(1, -1)).movedim(-1, 1)
        q = self.query(h).unflatten(1, (self.heads, self.length)).flatten(3).softmax(2) / math.sqrt(self.length)
        k, v = self.key_value(self.spread(h)).unflatten(1, (2, self.heads, self.length)).flatten(4).unbind(1)
        read = (k.softmax(3) @ v.transpose(2, 3)).transpose(2, 3) @ q  # (N, heads, length, H W)
        x = x + self.out(F.gelu(read.flatten(1, 2).unflatten(2, x.shape[2:])))
        return x + self.narrow(F.leaky_relu(self.wide(self.norm2(x.movedim(1, -1)).movedim(-1, 1)), 0.2))


class Block(nn.Module):
    """The layers of one resolution, and what they add to the image.

    Args:
        inputs: feature maps of the resolution below.
        outputs: feature maps.
        style: length of w.
        channels: of an image.
        attends: whether attention precedes it.
        first, last: its place.
    """

    def __init__(
        self, inputs: int, outputs: int, style: int, channels: int, attends: bool, first: bool, last: bool
    ) -> None:
        super().__init__()
        self.first, self.last = first, last
        self.attention = Attention(inputs) if attends else nn.Identity()
        self.conv1, self.conv2 = StyledConv(inputs, outputs, style), StyledConv(outputs, outputs, style)
        self.to_rgb = ModulatedConv2d(outputs, channels, 1, style, demodulate=False)

    def forward(self, x: Tensor, image: Tensor | None, w: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """Maps the feature maps and the image of the resolution below; the image leaves at the next one's size."""
        x = self.attention(x)
        x = self.conv1(x if self.first else enlarge(x), w, noise)
        x = self.conv2(x, w, noise)
        added: Tensor = self.to_rgb(x, w)
        image = added if image is None else image + added
        return x, image if self.last else blur(enlarge(image))


class Synthesis(nn.Module):
    """The synthesis network: one w a resolution to an image.

    Args:
        size: side of an image.
        channels: of an image.
        style: length of w.
        widths: feature maps at 4, 8, 16, ... pixels.
        attention: the resolutions before which attention stands, counted from the image's, which is 1.
        constant: whether the first feature maps are learned; else they are made of the mean w.
    """

    noise: Tensor

    def __init__(
        self, size: int, channels: int, style: int, widths: Sequence[int], attention: Sequence[int], constant: bool
    ) -> None:
        super().__init__()
        self.style, self.sizes = style, [size]  # of its one noise input
        self.count = self.used = len(widths)  # layers of w
        self.constant = nn.Parameter(torch.randn(widths[0], 4, 4)) if constant else None
        self.start = None if constant else nn.ConvTranspose2d(style, widths[0], 4, bias=False)
        self.conv = nn.Conv2d(widths[0], widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            Block(inputs, outputs, style, channels, self.count - i in attention, i == 0, i == self.count - 1)
            for i, (inputs, outputs) in enumerate(pairwise([widths[0], *widths]))
        )
        self.register_buffer("noise", torch.rand(size, size))

    def forward(self, ws: Tensor, noise: Noise | Sequence[Tensor] = "random") -> Tensor:
        """Maps `(N, count, style)` to images `(N, channels, size, size)`.

        Args:
            ws: one w a resolution.
            noise: `random` for fresh noise, uniform in [0, 1), `const` for the network's own, `none`, or a list of one
                tensor `(N, 1, size, size)`.
        """
        check_styles(ws, self.count, self.style)
        if noise == "random":
            given: Tensor | None = torch.rand(ws.shape[0], 1, *self.noise.shape, dtype=ws.dtype, device=ws.device)
        else:
            given = noise_map(noise if isinstance(noise, str) else noise[0], self.noise, ws.shape[0])
        if self.start is None:
            assert self.constant is not None
            x = self.constant.expand(ws.shape[0], -1, -1, -1)
        else:
            x = self.start(ws.mean(1)[:, :, None, None])
        x, image = self.conv(x), None
        for block, w in zip(self.blocks, ws.unbind(1), strict=True):
            x, image = block(x, image, w, given)
        assert isinstance(image, Tensor)
        return 2 * image - 1  # which is in [0, 1] there


class DiscriminatorBlock(nn.Module):
    """Two convolutions and a strided one after a blur, beside a 1 x 1 convolution of every second pixel.

    Args:
        inputs: channels of the image or feature maps before.
        outputs: feature maps.
        down: whether the side is halved.
        attends: whether attention follows.
    """

    def __init__(self, inputs: int, outputs: int, down: bool, attends: bool) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=2 if down else 1)
        self.conv1, self.conv2 = nn.Conv2d(inputs, outputs, 3, padding=1), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.down = nn.Conv2d(outputs, outputs, 3, padding=1, stride=2) if down else None
        self.attention = Attention(outputs) if attends else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, inputs, H, W)` to `(N, outputs, H / 2, W / 2)`, or to the same sides."""
        y = F.leaky_relu(self.conv2(F.leaky_relu(self.conv1(x), 0.2)), 0.2)
        y = y if self.down is None else self.down(blur(y))
        return self.attention((y + self.shortcut(x)) * math.sqrt(0.5))


class Discriminator(nn.Module):
    """Residual blocks down to 2 x 2 pixels, and a score that is high for real images.

    Args:
        channels: of an image.
        widths: feature maps after each block, from the image on; all but the last halve the side.
        attention: the blocks, counted from 1, after which attention stands.
    """

    def __init__(self, channels: int, widths: Sequence[int], attention: Sequence[int]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            DiscriminatorBlock(inputs, outputs, i < len(widths), i in attention)
            for i, (inputs, outputs) in enumerate(pairwise([channels, *widths]), 1)
        )
        self.conv = nn.Conv2d(widths[-1], widths[-1], 3, padding=1)
        self.score = nn.Linear(4 * widths[-1], 1)

    def forward(self, images: Tensor) -> Tensor:
        """Maps images in [-1, 1] to scores `(N,)`."""
        x = (images + 1) / 2
        for block in self.blocks:
            x = block(x)
        scores: Tensor = self.score(self.conv(x).flatten(1))
        return scores.squeeze(1)


def plain(module: nn.Module) -> None:
    """Weights from N(0, 2 / inputs) (the code); noise and its bias begin at 0."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight, nonlinearity="leaky_relu")


@register(
    paper="Karras, Laine, Aittala, Hellsten, Lehtinen and Aila, Analyzing and Improving the Image Quality of StyleGAN",
    year=2020,
    url="https://arxiv.org/abs/1912.04958",
    method="lucidrains' StyleGAN2",
    formula=(
        "L_D = E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))) + gamma (E ||grad D(x)||^2 + E ||grad D(G(z))||^2)",
        "L_G = -E D(G(z)) + E (||J_w^T y|| - a)^2",
    ),
)
class LucidrainsStyleGAN2(Styled):
    """StyleGAN2 in plain layers with a hinge loss, as lucidrains' stylegan2-pytorch trains it.

    The defaults are that code's. Left out are its quantized features, contrastive regularization, top-k training and
    DiffAugment, all off there. Its mapping network is StyleGAN2's with the gains in other places, which is the same
    function; a second w is drawn for each image, not for the batch.

    Args:
        size: side of an image, a power of two from 8 on.
        channels: channels of an image.
        latent: length of z and of w.
        capacity: feature maps at the image's size are twice as many, and the double at each halving (network_capacity).
        most: feature maps at most (fmap_max).
        mapping_layers: number of layers of the mapping network (style_depth).
        mapping_rate: its learning-rate multiplier (lr_mlp).
        attended: resolutions before which the generator, and after which the discriminator, has attention, counted
            from the image's, which is 1 (attn_layers).
        constant: whether the first feature maps are learned, or made of w (no_const).
        mixing: share of images made from two latents.
        gamma: weight of the gradient penalty.
        penalty_every: batches from one gradient penalty to the next.
        path_every: batches from one path length regularisation to the next; 0 for none.
        path_after: batches before the first.
        path_decay: of the running mean of path lengths, a.
        lr: learning rate of the generator.
        discriminator_lr: of the discriminator (ttur_mult).
        betas: Adam's decay rates.
    """

    average_half_life = 5_500.0  # 0.995 every 10 updates of 4 images
    coupled = True  # the mean of the path lengths
    noise_kind = "uniform"  # where StyleGAN2's is normal
    coarse = range(2)

    def __init__(
        self,
        size: Positive = 128,
        channels: Positive = 3,
        latent: Positive = 512,
        capacity: Positive = 16,
        most: Positive = 512,
        mapping_layers: Layers = 8,
        mapping_rate: PositiveFloat = 0.1,
        attended: Sizes = (),
        constant: bool = True,
        mixing: Probability = 0.9,
        gamma: NonNegative = 10.0,
        penalty_every: Positive = 4,
        path_every: Count = 32,
        path_after: Count = 5000,
        path_decay: Probability = 0.01,
        lr: NonNegative = 2e-4,
        discriminator_lr: NonNegative = 4e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.9),
    ) -> None:
        super().__init__()
        if len(resolutions(size)) < 2:
            raise BadArgument(f"image size is {size}; a power of two from 8 on is expected, such as 128")
        self.shape, self.prior = (channels, size, size), Normal(latent)
        self.mixing, self.gamma, self.penalty_every = mixing, gamma, penalty_every
        self.path_every, self.path_after, self.path_decay = path_every, path_after, path_decay
        count = len(resolutions(size))
        widths = [min(capacity * 2 ** (i + 1), most) for i in reversed(range(count))]
        judged = [min(capacity * 2 ** (i + 2), most) for i in range(count + 1)]
        synthesis = Synthesis(size, channels, latent, widths, attended, constant)
        self.discriminator = Discriminator(channels, judged, attended)
        for network in (synthesis, self.discriminator):
            network.apply(plain)
        mapping = Mapping(latent, latent, mapping_layers, count=count, rate=mapping_rate)
        self.generator = Generator(mapping, synthesis)
        self.path_mean = torch.zeros((), device="cpu")  # a: equal on all ranks
        self._path_means: list[Tensor] = []  # that the slices of a move found
        self.adam = {"generator": partial(Adam, lr=lr, betas=betas)}
        self.adam["discriminator"] = partial(Adam, lr=discriminator_lr, betas=betas)

    def players(self) -> dict[str, Player]:
        """The discriminator and the generator, each with its own learning rate."""
        return {name: Player(getattr(self, name), self.adam[name]) for name in ("discriminator", "generator")}

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """An update of each player, and every so often with its penalty."""
        self.move("discriminator", self.discriminator_loss, batch, self.turn(every=self.penalty_every))
        late = self.path_every > 0 and self.batches_seen > self.path_after and self.turn(every=self.path_every)
        self.move("generator", self.generator_loss, batch, late)
        if late:
            found = self.trainer.strategy.reduce(torch.stack(self._path_means).mean(), reduce_op="mean")
            self.path_mean, self._path_means = torch.where(found.isfinite(), found, self.path_mean.to(found)), []

    def discriminator_loss(self, batch: Batch, penalized: bool) -> Tensor:
        """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))), and gamma (E ||grad D(x)||^2 + E ||grad D(G(z))||^2)."""
        fake = self.generator(self.noise(batch), mixing=self.mixing)
        loss = losses.hinge_discriminator(self.scores(batch.images), self.scores(fake))
        if not penalized:
            return loss
        steep = penalties.r1(self.scores, batch.images) + penalties.r2(self.scores, fake)  # halves
        self.record(gradient_penalty=steep)
        return loss + 8 * self.gamma * steep  # by images in [0, 1], which are half as long: a gradient is twice theirs

    def scores(self, images: Tensor) -> Tensor:
        """What D says of images `(N, C, H, W)`, as it is shown them."""
        return self.discriminator(self.seen(images))

    def generator_loss(self, batch: Batch, penalized: bool) -> Tensor:
        """-E D(G(z)), and E (||J_w^T y|| - a)^2."""
        ws = self.generator.mixed(self.noise(batch), None, self.mixing, track=True)
        loss = losses.hinge_generator(self.scores(self.generator.synthesis(ws)))
        if not penalized:
            return loss
        penalty, moved = penalties.path_length(self.paths, ws, self.path_mean.to(ws.device), self.path_decay)
        self._path_means.append(moved)
        self.record(path_penalty=penalty, path_mean=moved)
        return loss + penalty

    def paths(self, ws: Tensor) -> Tensor:
        """Images in [0, 1], by which the code measures its paths."""
        return self.generator.synthesis(ws) / 2

    def rank_state(self) -> dict[str, Tensor]:
        """a, the mean of path lengths."""
        return {"path_mean": self.path_mean}

    def load_rank_state(self, state: dict[str, Tensor]) -> None:
        """Takes a back."""
        self.path_mean = state["path_mean"]
