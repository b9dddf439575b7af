"""Networks that translate images (Isola 2017, arXiv:1611.07004, appendix 6.1; Zhu 2017, arXiv:1703.10593, section 7.2).

Two generators, one of residual blocks at a quarter of the resolution and one of mirrored layers with skip connections,
and a discriminator that judges patches. All are fully convolutional. Where the papers leave a choice open, it is that
of their authors' PyTorch code, so that its checkpoints fit.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.types import BadArgument

Normalization = Literal["instance", "instance-affine", "batch", "none"]
"""Each image's own statistics, without or with a learned gain and bias; or a batch's, with both; or none."""


class InstanceNorm(nn.Module):
    """Each feature map of each image at mean 0 and variance 1 (Ulyanov 2016, arXiv:1607.08022).

    Args:
        width: number of feature maps.
        affine: whether a gain and a bias are learned.
    """

    def __init__(self, width: int, affine: bool = False) -> None:
        super().__init__()
        self.width = width
        self.weight = nn.Parameter(torch.ones(width)) if affine else None
        self.bias = nn.Parameter(torch.zeros(width)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, width, H, W)` to the same shape."""
        return _own_statistics(x, self.weight, self.bias)


def _own_statistics(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """Instance normalization, by the operation that is fastest for the tensor's layout."""
    inner = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    if x.device.type != "cpu" or not inner:
        return F.group_norm(x, x.shape[1], weight, bias)
    # On CPUs batch normalization alone keeps the channels innermost; in a batch of one the statistics are the image's
    images = [torch.batch_norm(each, weight, bias, None, None, True, 0.0, 1e-5, False) for each in x.split(1)]
    return images[0] if len(images) == 1 else torch.cat(images)


class BatchNorm(nn.BatchNorm2d):
    """Batch normalization that can take each image's own statistics in the running ones' place (`as_tested`)."""

    own = False

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, width, H, W)` to the same shape."""
        return _own_statistics(x, self.weight, self.bias) if self.own and not self.training else super().forward(x)


class Dropout(nn.Dropout):
    """Dropout that can stay alive in evaluation, with masks from a stream an image (`as_tested`)."""

    streams: Sequence[torch.Generator] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, C, H, W)` to the same shape."""
        if self.streams is None or self.training:
            return super().forward(x)
        # Drawn on the CPU, so that they are the same on every device
        kept = torch.stack([torch.rand(x.shape[1:], generator=stream) >= self.p for stream in self.streams])
        return x * kept.to(x) / (1 - self.p)


@contextmanager
def as_tested(network: nn.Module, own_statistics: bool = True, seeds: Sequence[int] | None = None) -> Iterator[None]:
    """Lets a network in evaluation mode work as its paper does at test time (Isola 2017, section 3.3).

    Args:
        network: a generator.
        own_statistics: whether batch normalization takes each image's own statistics, those of a batch of one.
        seeds: of dropout's masks, one an image of the batch; None for no dropout.
    """
    norms = [module for module in network.modules() if isinstance(module, BatchNorm)]
    drops = [module for module in network.modules() if isinstance(module, Dropout)]
    streams = None if seeds is None else [torch.Generator().manual_seed(seed) for seed in seeds]
    for norm in norms:
        norm.own = own_statistics
    for drop in drops:
        drop.streams = streams
    try:
        yield
    finally:
        for norm in norms:
            norm.own = False
        for drop in drops:
            drop.streams = None


def normalize(normalization: Normalization, width: int) -> nn.Module:
    """A normalization layer.

    Raises:
        BadArgument: for an unknown one.
    """
    if normalization == "batch":
        return BatchNorm(width)
    if normalization == "none":
        return nn.Identity()
    if normalization not in ("instance", "instance-affine"):
        raise BadArgument(f"normalization is {normalization!r}; instance, instance-affine, batch or none is expected")
    return InstanceNorm(width, affine=normalization == "instance-affine")


def biased(normalization: Normalization) -> bool:
    """Whether the convolutions beside such normalizations have biases: without any they have none either, as there."""
    return normalization not in ("batch", "none")


class ResNetBlock(nn.Module):
    """`x + f(x)`, with two 3 x 3 convolutions in f, padded by reflection.

    Args:
        width: number of feature maps.
        normalization: after each convolution.
        dropout: whether half of the values are dropped between the two.
    """

    def __init__(self, width: int, normalization: Normalization, dropout: bool = False) -> None:
        super().__init__()
        bias = biased(normalization)
        self.conv1 = nn.Conv2d(width, width, 3, bias=bias)
        self.norm1 = normalize(normalization, width)
        self.drop = Dropout(0.5) if dropout else None
        self.conv2 = nn.Conv2d(width, width, 3, bias=bias)
        self.norm2 = normalize(normalization, width)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, width, H, W)` to the same shape; sides are at least 2."""
        h = F.relu_(self.norm1(self.conv1(F.pad(x, (1, 1, 1, 1), mode="reflect"))))
        h = h if self.drop is None else self.drop(h)
        return x + self.norm2(self.conv2(F.pad(h, (1, 1, 1, 1), mode="reflect")))


class ResNetGenerator(nn.Module):
    """Two halvings, residual blocks, two doublings (Johnson 2016, arXiv:1603.08155, as CycleGAN changed it).

    Args:
        channels: channels of the images that go in.
        out_channels: channels of those that come out.
        width: feature maps beside the images; twice and four times as many within.
        blocks: residual blocks.
        normalization: after every convolution but the last.
        dropout: whether the residual blocks drop half of their values.
    """

    stride = 4  # sides are multiples of it

    def __init__(
        self,
        channels: int = 3,
        out_channels: int = 3,
        width: int = 64,
        blocks: int = 9,
        normalization: Normalization = "instance",
        dropout: bool = False,
    ) -> None:
        super().__init__()
        bias = biased(normalization)
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(channels, width, 7, bias=bias)]
        layers += [normalize(normalization, width), nn.ReLU(inplace=True)]
        for inner in (2 * width, 4 * width):
            layers += [nn.Conv2d(inner // 2, inner, 3, stride=2, padding=1, bias=bias)]
            layers += [normalize(normalization, inner), nn.ReLU(inplace=True)]
        self.down = nn.Sequential(*layers)
        self.blocks = nn.Sequential(*(ResNetBlock(4 * width, normalization, dropout) for _ in range(blocks)))
        layers = []
        for outer in (2 * width, width):
            layers += [nn.ConvTranspose2d(2 * outer, outer, 3, stride=2, padding=1, output_padding=1, bias=bias)]
            layers += [normalize(normalization, outer), nn.ReLU(inplace=True)]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, out_channels, 7), nn.Tanh()]
        self.up = nn.Sequential(*layers)
        self.apply(initialize)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, channels, H, W)` to `(N, out_channels, H, W)` in [-1, 1]."""
        return self.up(self.blocks(self.down(x)))

    def check(self, *sides: int) -> None:
        """Checks sides of images: multiples of 4, at least 8, because a single row has nothing to reflect.

        Raises:
            BadArgument: for another side.
        """
        for side in sides:
            if side % 4 or side < 8:
                raise BadArgument(f"a side of {side} pixels; multiples of 4 from 8 on are expected")


class UNetGenerator(nn.Module):
    """Halvings and doublings by 4 x 4 convolutions; what is halved is handed to the doubling of its size.

    Layer i of the encoder has `min(2^i, 8)` times `width` feature maps. The skip connections carry leaky_relu(x), as
    the activation in place makes them in the authors' code.

    Args:
        channels: channels of the images that go in.
        out_channels: channels of those that come out.
        width: feature maps beside the images.
        depth: halvings, at least 2; the papers go down to a single position: 8 for 256 pixels.
        normalization: after every convolution but the first, the innermost and the last.
        dropout: whether the decoder drops half of its values. As in the authors' code, it does so where the feature
            maps are widest, except in the innermost layer: in `depth - 5` layers.
    """

    def __init__(
        self,
        channels: int = 3,
        out_channels: int = 3,
        width: int = 64,
        depth: int = 8,
        normalization: Normalization = "batch",
        dropout: bool = True,
    ) -> None:
        super().__init__()
        if depth < 2:
            raise BadArgument(f"depth is {depth}; a U-Net has at least 2 halvings")
        bias = biased(normalization)
        self.stride = 2**depth  # sides are multiples of it
        widths = [width * min(2**i, 8) for i in range(depth)]
        down: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1, bias=bias)]
        up: list[nn.Module] = [nn.ConvTranspose2d(2 * width, out_channels, 4, stride=2, padding=1)]
        for i in range(1, depth):
            innermost, outer, inner = i == depth - 1, widths[i - 1], widths[i]
            halving = nn.Conv2d(outer, inner, 4, stride=2, padding=1, bias=bias)
            # At a single position there are no statistics
            down.append(halving if innermost else nn.Sequential(halving, normalize(normalization, inner)))
            inputs = inner if innermost else 2 * inner
            doubling = nn.ConvTranspose2d(inputs, outer, 4, stride=2, padding=1, bias=bias)
            drops = [Dropout(0.5)] if dropout and i >= 4 and not innermost else []
            up.append(nn.Sequential(doubling, normalize(normalization, outer), *drops))
        self.down = nn.ModuleList(down)
        self.up = nn.ModuleList(reversed(up))  # from the innermost layer on
        self.apply(initialize)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, channels, H, W)` to `(N, out_channels, H, W)` in [-1, 1]; sides are multiples of `2^depth`."""
        *halvings, innermost = self.down
        *doublings, last = self.up
        skips: list[Tensor] = []
        for layer in halvings:
            x = F.leaky_relu_(layer(x), 0.2)
            skips.append(x)
        x = innermost(x)
        for layer in doublings:
            x = torch.cat([skips.pop(), layer(F.relu_(x))], 1)
        return torch.tanh(last(F.relu_(x)))

    def check(self, *sides: int) -> None:
        """Checks sides of images: multiples of `2^depth`.

        Raises:
            BadArgument: for another side.
        """
        for side in sides:
            if side % self.stride or side < 1:
                halvings = self.stride.bit_length() - 1
                raise BadArgument(f"a side of {side} pixels; multiples of {self.stride} = 2^{halvings} are expected")


class PatchDiscriminator(nn.Module):
    """Judges every patch of an image on its own: a Markovian discriminator, PatchGAN.

    Args:
        channels: channels of an image, or of a pair of images together.
        width: feature maps after the first layer; each halving doubles them, up to eight times as many.
        layers: halvings: 3 judge patches of 70 x 70 pixels, 1 of 16 x 16; 0 single pixels (PixelGAN).
        normalization: after every convolution but the first and the last.
    """

    def __init__(
        self, channels: int = 3, width: int = 64, layers: int = 3, normalization: Normalization = "instance"
    ) -> None:
        super().__init__()
        self.layers = layers
        bias = biased(normalization)
        kernel, padding = (4, 1) if layers else (1, 0)
        widths = [width * min(2**i, 8) for i in range(layers + 1)] if layers else [width, 2 * width]
        main: list[nn.Module] = [nn.Conv2d(channels, width, kernel, stride=2 if layers else 1, padding=padding)]
        main += [nn.LeakyReLU(0.2, inplace=True)]
        for i in range(1, len(widths)):
            stride = 2 if i < layers else 1
            main += [nn.Conv2d(widths[i - 1], widths[i], kernel, stride=stride, padding=padding, bias=bias)]
            main += [normalize(normalization, widths[i]), nn.LeakyReLU(0.2, inplace=True)]
        main += [nn.Conv2d(widths[-1], 1, kernel, padding=padding, bias=bool(layers) or bias)]
        self.main = nn.Sequential(*main)
        self.apply(initialize)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, channels, H, W)` to a score a patch `(N, 1, h, w)`."""
        return self.main(x)

    def check(self, *sides: int) -> None:
        """Checks that images of such sides have a patch.

        Raises:
            BadArgument: if they are too small.
        """
        least = 3 * 2**self.layers if self.layers else 1
        if min(sides) < least:
            raise BadArgument(
                f"a side of {min(sides)} pixels holds no patch of a discriminator with {self.layers} halvings; at "
                f"least {least} pixels are expected, or fewer halvings"
            )


def initialize(module: nn.Module) -> None:
    """Weights from N(0, 0.02), biases 0; gains of batch normalization from N(1, 0.02)."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, BatchNorm):
        nn.init.normal_(module.weight, 1.0, 0.02)
