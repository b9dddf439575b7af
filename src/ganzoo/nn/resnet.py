"""The residual networks of SNGAN and its kin, at any size.

Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks" (arXiv:1802.05957), appendix B.4 with
figure 8 and tables 4 to 6; with class labels Miyato and Koyama 2018, "cGANs with Projection Discriminator"
(arXiv:1802.05637), figure 14; with self-attention Zhang et al. 2019 (arXiv:1805.08318).

What a block computes is written as its authors do; how, is another matter. A convolution of 1 x 1 runs at the lower of
two resolutions, because it commutes with resampling. A convolution of 3 x 3 and the averaging of 2 x 2 pixels after it
are one strided convolution of 4 x 4, and doubling pixels before it makes a transposed one: less than half the work.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.nn.attention import SelfAttention
from ganzoo.nn.spectral import PLAIN, Layers, Normalized, follow_weights, spectral_layers
from ganzoo.types import BadArgument

_FEW = 256  # pixels of a batch

Upsampling = Literal["nearest", "bilinear"]
Variant = Literal["paper", "mimicry", "studiogan"]
Normalization = Callable[[int], nn.Module]


class ConditionalBatchNorm2d(nn.Module):
    """Batch normalization whose gain and bias are those of the sample's class (Dumoulin 2017, arXiv:1610.07629).

    Args:
        width: feature maps.
        classes: number of classes.
        eps: added to variances.
    """

    def __init__(self, width: int, classes: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width, eps, affine=False)
        self.gain = nn.Embedding(classes, width)
        self.bias = nn.Embedding(classes, width)
        nn.init.normal_(self.gain.weight, 1.0, 0.02)  # so that classes differ from the start
        nn.init.zeros_(self.bias.weight)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps `(N, width, H, W)` with class indices `(N,)` to the same shape."""
        gain, bias = self.gain(labels)[:, :, None, None], self.bias(labels)[:, :, None, None]
        x = self.norm(x)
        return torch.addcmul(bias.to(x.dtype), gain.to(x.dtype), x)


class OneHotBatchNorm2d(nn.Module):
    """The same with linear maps of the one-hot class, the gain about 1: in other layers, as StudioGAN has it.

    Args:
        width: feature maps.
        classes: number of classes.
        eps: added to variances.
        layers: plain or normalized ones.
    """

    def __init__(self, width: int, classes: int, eps: float, layers: Layers) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width, eps, affine=False)
        self.gain = layers.linear(classes, width, bias=False)
        self.bias = layers.linear(classes, width, bias=False)
        self.classes = classes

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Maps `(N, width, H, W)` with class indices `(N,)` to the same shape."""
        code = F.one_hot(labels, self.classes).to(x)
        gain, bias = 1 + self.gain(code)[:, :, None, None], self.bias(code)[:, :, None, None]
        return torch.addcmul(bias.to(x.dtype), gain.to(x.dtype), self.norm(x))


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalization that takes labels and does not look at them."""

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps `(N, width, H, W)` to the same shape."""
        return super().forward(x)


def _norm(width: int, classes: int, eps: float, one_hot: Layers | None) -> nn.Module:
    if classes and one_hot is not None:
        return OneHotBatchNorm2d(width, classes, eps, one_hot)
    return ConditionalBatchNorm2d(width, classes, eps) if classes else BatchNorm2d(width, eps)


class GeneratorBlock(nn.Module):
    """Doubles the side: BN, ReLU, up, conv, BN, ReLU, conv, beside a shortcut of up and 1 x 1 conv (figure 8).

    Args:
        inputs: feature maps of x.
        outputs: feature maps of y.
        classes: of the batch normalization; 0 for none.
        layers: plain or normalized ones.
        upsampling: how pixels are doubled.
        eps: of the batch normalization.
        one_hot: whether gains and biases are linear maps of the one-hot class.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        classes: int,
        layers: Layers,
        upsampling: Upsampling,
        eps: float = 1e-5,
        one_hot: bool = False,
    ) -> None:
        super().__init__()
        self.upsampling = upsampling
        self.norm1 = _norm(inputs, classes, eps, layers if one_hot else None)
        self.conv1 = layers.conv(inputs, outputs, 3, padding=1)
        self.norm2 = _norm(outputs, classes, eps, layers if one_hot else None)
        self.conv2 = layers.conv(outputs, outputs, 3, padding=1)
        self.shortcut = layers.conv(inputs, outputs, 1)
        _initialize(self)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps `(N, inputs, H, W)` to `(N, outputs, 2H, 2W)`."""
        h = F.relu(self.norm1(x, labels), inplace=True)
        h = upsampled_convolution(h, self.conv1) if self.upsampling == "nearest" else self.conv1(enlarge(h))
        h = self.conv2(F.relu(self.norm2(h, labels), inplace=True))
        beside = self.shortcut(x)
        y: Tensor = h + (F.interpolate(beside, scale_factor=2.0) if self.upsampling == "nearest" else enlarge(beside))
        return y


class FirstBlock(nn.Module):
    """The critic's first block, whose input is an image: conv, ReLU, conv, down, beside down and 1 x 1 conv.

    Args:
        inputs: channels of the image.
        outputs: feature maps of y.
        layers: plain or normalized ones.
        normalization: made before the ReLU, and one of its own before the shortcut.
    """

    def __init__(self, inputs: int, outputs: int, layers: Layers, normalization: Normalization = nn.Identity) -> None:
        super().__init__()
        self.conv1 = layers.conv(inputs, outputs, 3, padding=1)
        self.norm1 = normalization(outputs)
        self.conv2 = layers.conv(outputs, outputs, 3, padding=1)
        self.beside = normalization(inputs)
        self.shortcut = layers.conv(inputs, outputs, 1)
        _initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, inputs, H, W)` to `(N, outputs, H // 2, W // 2)`."""
        h = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y: Tensor = pooled_convolution(h, self.conv2) + self.shortcut(self.beside(F.avg_pool2d(x, 2)))
        return y  # with the layout in memory of its first term: with one channel, the other's is any


class DiscriminatorBlock(nn.Module):
    """ReLU, conv, ReLU, conv and down where it halves the side, beside a shortcut (figure 8, without normalization).

    Args:
        inputs: feature maps of x.
        outputs: feature maps of y.
        down: whether the side is halved.
        layers: plain or normalized ones.
        activated: whether the shortcut sees ReLU(x) instead of x.
        wide: whether the first convolution has the wider feature maps already, instead of the second.
        normalization: made before each ReLU, and one of its own before the shortcut.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        down: bool,
        layers: Layers,
        activated: bool = False,
        wide: bool = False,
        normalization: Normalization = nn.Identity,
    ) -> None:
        super().__init__()
        self.down, self.activated = down, activated
        between = outputs if wide else inputs
        changes = down or inputs != outputs
        self.norm1 = normalization(inputs)
        self.conv1 = layers.conv(inputs, between, 3, padding=1)
        self.norm2 = normalization(between)
        self.conv2 = layers.conv(between, outputs, 3, padding=1)
        self.beside = normalization(inputs) if changes else nn.Identity()
        self.shortcut = layers.conv(inputs, outputs, 1) if changes else nn.Identity()
        _initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, inputs, H, W)` to `(N, outputs, H, W)`, or half the sides."""
        active = F.relu(self.norm1(x))
        h = F.relu(self.norm2(self.conv1(active)), inplace=True)
        beside = self.beside(active if self.activated else x)
        if self.down:
            y: Tensor = pooled_convolution(h, self.conv2) + self.shortcut(F.avg_pool2d(beside, 2))
            return y
        y = self.conv2(h) + self.shortcut(beside)
        return y


class Generator(nn.Module):
    """Projects z to the smallest feature maps and doubles them block by block; BN, ReLU, conv and tanh at the end.

    Args:
        latent: length of z.
        channels: channels of an image.
        size: side of an image.
        widths: feature maps from the smallest side up; each further one doubles the side.
        classes: of the labels that choose gains and biases of the batch normalization; 0 for none.
        layers: plain or normalized ones.
        attention: side of the feature maps that self-attention looks over; 0 for none.
        upsampling: how pixels are doubled: by themselves, or `bilinear`, as mimicry does.
        eps: of the batch normalization; 1e-4 in StudioGAN.
        one_hot: whether its gains and biases are linear maps of the one-hot class, instead of tables.

    Raises:
        BadArgument: if the size does not fit the number of widths, or no feature maps have the side `attention`.
    """

    def __init__(
        self,
        latent: int,
        channels: int,
        size: int,
        widths: Sequence[int],
        *,
        classes: int = 0,
        layers: Layers = PLAIN,
        attention: int = 0,
        upsampling: Upsampling = "nearest",
        eps: float = 1e-5,
        one_hot: bool = False,
    ) -> None:
        super().__init__()
        factor = 1 << (len(widths) - 1)
        if len(widths) < 2 or size % factor:
            raise BadArgument(
                f"image size is {size} and there are {len(widths)} widths; at least 2 widths are expected, and a "
                f"multiple of {max(factor, 2)}"
            )
        self.start = size // factor
        sides = [self.start << level for level in range(len(widths))]
        self.linear = layers.linear(latent, widths[0] * self.start**2)
        self.blocks = nn.ModuleList(
            GeneratorBlock(i, o, classes, layers, upsampling, eps, one_hot) for i, o in pairwise(widths)
        )
        self.attended = _attended(attention, sides)
        self.attention = SelfAttention(widths[self.attended], layers.conv) if attention else None
        self.norm = nn.BatchNorm2d(widths[-1], eps)
        self.conv = layers.conv(widths[-1], channels, 3, padding=1)
        _xavier(self.linear)
        _xavier(self.conv)
        follow_weights(self)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps z `(N, latent)` and labels `(N,)` to images `(N, channels, size, size)` in [-1, 1]."""
        x = self.attend(self.before(z, labels))
        for block in self.blocks[self.attended :]:
            x = block(x, labels)
        return torch.tanh(self.conv(F.relu(self.norm(x), inplace=True)))

    def before(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The feature maps that self-attention looks over, or the first ones where there is none."""
        x: Tensor = self.linear(z).unflatten(1, (-1, self.start, self.start))
        for block in self.blocks[: self.attended]:
            x = block(x, labels)
        return x

    def attend(self, x: Tensor) -> Tensor:
        """Applies self-attention where there is some."""
        return x if self.attention is None else self.attention(x)


class Discriminator(nn.Module):
    """Residual blocks, ReLU, the sum over all positions and one score; with labels, their projection beside it.

    The score is psi(h) + y'V h, with h the features, psi linear and V an embedding of the classes (Miyato and Koyama
    2018, eq. 3 and figure 1d). There is no layer that looks at other samples, so real and generated ones may come in
    one batch.

    Args:
        channels: channels of an image.
        size: side of an image.
        widths: feature maps after each block.
        downsamplings: how many blocks, from the first, halve the side.
        classes: number of classes of the labels; 0 for none.
        layers: normalized or plain ones.
        attention: side of the feature maps that self-attention looks over, after the first block that gives them; 0 for
            none.
        activated: whether shortcuts see ReLU(x) instead of x, as mimicry's do.
        wide: whether a block's first convolution widens, as SAGAN's do, or its second.
        normalization: made of a number of feature maps, before each ReLU and, beside it, before shortcuts; batch
            normalization in StudioGAN's without a spectral one, where samples then see each other.

    Raises:
        BadArgument: if the size does not fit the downsamplings, or no feature maps have the side `attention`.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        widths: Sequence[int],
        downsamplings: int,
        *,
        classes: int = 0,
        layers: Layers = PLAIN,
        attention: int = 0,
        activated: bool = False,
        wide: bool = False,
        normalization: Normalization = nn.Identity,
    ) -> None:
        super().__init__()
        if not 1 <= downsamplings <= len(widths) or size >> downsamplings < 1:
            raise BadArgument(
                f"{downsamplings} of {len(widths)} blocks halve the side of {size} pixels; at least 1 and no more than "
                "there are blocks is expected, with at least a pixel left"
            )
        sides = [size >> min(level, downsamplings) for level in range(1, len(widths) + 1)]
        self.first = FirstBlock(channels, widths[0], layers, normalization)
        self.blocks = nn.ModuleList(
            DiscriminatorBlock(i, o, level < downsamplings, layers, activated, wide, normalization)
            for level, (i, o) in enumerate(pairwise(widths), 1)
        )
        self.attended = _attended(attention, sides)
        self.attention = SelfAttention(widths[self.attended], layers.conv) if attention else None
        self.score = layers.linear(widths[-1], 1)
        self.projection = layers.embedding(classes, widths[-1]) if classes else None
        _xavier(self.score)
        if self.projection is not None:
            _xavier(self.projection)
        follow_weights(self)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps images `(N, channels, size, size)` and labels `(N,)` to scores `(N,)`."""
        features = self.features(x)
        scores: Tensor = self.score(features).squeeze(1)
        return scores if self.projection is None else scores + (self.projection(labels) * features).sum(1)

    def features(self, x: Tensor) -> Tensor:
        """Maps images to what is scored, `(N, widths[-1])`."""
        h: Tensor = self.first(x)
        for block in self.blocks[: self.attended]:
            h = block(h)
        if self.attention is not None:
            h = self.attention(h)
        for block in self.blocks[self.attended :]:
            h = block(h)
        return F.relu(h, inplace=True).sum((2, 3))


_D = TypeVar("_D", bound=Discriminator)


def sngan(
    critic: Callable[..., _D],
    latent: int,
    channels: int,
    size: int,
    widths: Sequence[int],
    critic_widths: Sequence[int],
    downsamplings: int,
    *,
    classes: int = 0,
    variant: Variant = "paper",
) -> tuple[Generator, _D]:
    """SNGAN's generator and a discriminator with spectral norms, in the details of the code that weights come from.

    Args:
        critic: `Discriminator`, or what has more heads and takes the same arguments.
        latent: length of z.
        channels: channels of an image.
        size: side of an image.
        widths: the generator's.
        critic_widths: the discriminator's.
        downsamplings: of the discriminator.
        classes: of both; 0 for none.
        variant: `paper`: as SNGAN's authors have it. `mimicry`: pixels are doubled bilinearly, and shortcuts see their
            input after the ReLU. `studiogan`: the second alone; the first convolution of the discriminator's blocks
            widens, batch normalization adds 1e-4, and its gains and biases are linear maps of the one-hot class.
    """
    studiogan = variant == "studiogan"
    upsampling: Upsampling = "bilinear" if variant == "mimicry" else "nearest"
    details: dict[str, Any] = {"upsampling": upsampling, "eps": 1e-4 if studiogan else 1e-5, "one_hot": studiogan}
    generator = Generator(latent, channels, size, widths, classes=classes, **details)
    options = {"activated": variant != "paper", "wide": studiogan, "classes": classes}
    return generator, critic(channels, size, critic_widths, downsamplings, layers=spectral_layers(), **options)


def pooled_convolution(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """A 3 x 3 convolution, then the mean of each 2 x 2 pixels, as one convolution of 4 x 4 at every second pixel."""
    return F.conv2d(x, _spread(conv, False) / 4, conv.bias, stride=2, padding=1)


def upsampled_convolution(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """Each pixel as 2 x 2 of them, then a 3 x 3 convolution, as one transposed convolution of 4 x 4.

    Of few pixels as it is written, since the larger kernel costs more to make than it saves.
    """
    tracing = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    exported = torch.compiler.is_exporting() or tracing  # for any batch
    if not exported and x.numel() < _FEW * x.shape[1]:
        return F.conv2d(F.interpolate(x, scale_factor=2.0), weight_of(conv), conv.bias, padding=1)
    return F.conv_transpose2d(x, _spread(conv, True), conv.bias, stride=2, padding=1)


def _spread(conv: nn.Conv2d, transposed: bool) -> Tensor:
    """A kernel of 4 x 4 of one of 3 x 3: the sum of itself at four places; mirrored for a transposed convolution."""
    weight = weight_of(conv)
    with torch.autocast(weight.device.type, enabled=False):
        make = _places.__wrapped__ if torch.compiler.is_compiling() else _places
        places = make(transposed, weight.dtype, weight.device)
        return torch.einsum("oiab,abcd->iocd" if transposed else "oiab,abcd->oicd", weight, places)


@lru_cache(maxsize=16)
def _places(mirrored: bool, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Which weight of 3 x 3 goes where among 4 x 4: `(3, 3, 4, 4)` of 0 and 1."""
    with torch.inference_mode(False):  # what is kept must also serve where gradients are wanted
        axis = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]], dtype=dtype, device=device)
        axis = axis.flip(1) if mirrored else axis
        return axis[:, None, :, None] * axis[None, :, None]


def weight_of(layer: nn.Conv2d) -> Tensor:
    """The weight that a layer applies, normalized where it is."""
    return layer.normalized_weight() if isinstance(layer, Normalized) else layer.weight


def enlarge(x: Tensor) -> Tensor:
    """Twice the side by bilinear interpolation."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def _attended(attention: int, sides: Sequence[int]) -> int:
    """After how many blocks self-attention stands."""
    if attention and (attention not in sides or attention < 2):
        raise BadArgument(f"attention is {attention}; the side of feature maps is expected: one of {[*sides]}, or 0")
    return sides.index(attention) if attention else 0


def _initialize(block: nn.Module) -> None:
    """Xavier's uniform distribution, with gain sqrt 2 beside the shortcut (the authors' code)."""
    for name, layer in block.named_children():
        if isinstance(layer, nn.Conv2d):
            _xavier(layer, 1.0 if name == "shortcut" else math.sqrt(2.0))


def _xavier(layer: nn.Module, gain: float = 1.0) -> None:
    if isinstance(layer, (nn.Conv2d, nn.Linear, nn.Embedding)):
        nn.init.xavier_uniform_(layer.weight, gain)
    if isinstance(layer, (nn.Conv2d, nn.Linear)) and layer.bias is not None:
        nn.init.zeros_(layer.bias)
