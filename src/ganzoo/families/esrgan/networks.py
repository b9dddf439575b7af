"""ESRGAN's generator (Wang 2018), and what Real-ESRGAN (Wang 2021) has in its and its discriminator's place."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.nn import spectral
from ganzoo.nn.enlarging import SLOPE, from_unit, small_weights, to_unit


class DenseBlock(nn.Module):
    """`x + 0.2 f(x)`, with five convolutions in f of which each takes all that came before it.

    Args:
        width: feature maps of x.
        growth: of what each of the first four adds.
    """

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        for i in range(5):
            outputs = growth if i < 4 else width
            self.add_module(f"conv{i + 1}", nn.Conv2d(width + i * growth, outputs, 3, 1, 1))
        small_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, width, H, W)` to the same shape."""
        *first, last = self.children()
        found = [x]
        for conv in first:
            found.append(F.leaky_relu_(conv(torch.cat(found, 1)), SLOPE))
        return torch.add(x, last(torch.cat(found, 1)), alpha=0.2)


class ResidualInResidual(nn.Module):
    """The paper's RRDB: `x + 0.2 f(x)`, with three dense blocks in f and no normalization (section 3.1).

    Args:
        width: feature maps.
        growth: of the dense blocks.
    """

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.dense = nn.Sequential(*(DenseBlock(width, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, width, H, W)` to the same shape."""
        return torch.add(x, self.dense(x), alpha=0.2)


class RRDBNet(nn.Module):
    """Blocks at the small side, then two doublings by nearest neighbours (section 3.1).

    For scales of 2 and 1, blocks of 2 x 2 and of 4 x 4 pixels are made channels first (Real-ESRGAN, section 3.3).

    Args:
        channels: channels of an image.
        scale: how many times as long the sides become: 4, 2 or 1.
        width: feature maps.
        blocks: number of blocks.
        growth: of the dense blocks.
    """

    def __init__(self, channels: int = 3, scale: int = 4, width: int = 64, blocks: int = 23, growth: int = 32) -> None:
        super().__init__()
        self.stride = 4 // scale
        self.first = nn.Conv2d(channels * self.stride**2, width, 3, 1, 1)
        self.blocks = nn.Sequential(*(ResidualInResidual(width, growth) for _ in range(blocks)))
        self.trunk, self.up1, self.up2, self.high = (nn.Conv2d(width, width, 3, 1, 1) for _ in range(4))
        self.last = nn.Conv2d(width, channels, 3, 1, 1)
        nn.init.constant_(self.last.bias, 0.5)  # type: ignore[arg-type]  # so that it begins in the middle of the range, not at black

    def forward(self, images: Tensor) -> Tensor:
        """Maps `(N, channels, H, W)` in [-1, 1], of sides that are multiples of `stride`, to `scale` times the sides.

        What comes out is about in [-1, 1].
        """
        return self.upper(self.lower(images))

    def lower(self, images: Tensor) -> Tensor:
        """Feature maps `(N, width, h, w)` at the side of the blocks, a quarter of that of what comes out."""
        x = to_unit(images)
        x = self.first(x if self.stride == 1 else F.pixel_unshuffle(x, self.stride))
        return x + self.trunk(self.blocks(x))

    def upper(self, x: Tensor) -> Tensor:
        """The enlarged picture of such maps, of which a pixel depends on those within two beside it."""
        for up in (self.up1, self.up2):
            x = F.leaky_relu_(up(F.interpolate(x, scale_factor=2.0, mode="nearest")), SLOPE)
        return from_unit(self.last(F.leaky_relu_(self.high(x), SLOPE)))


class Compact(nn.Module):
    """Real-ESRGAN's small network: plain convolutions at the small side, and the enlarged pixels added at the end.

    Of the authors' code (`SRVGGNetCompact`); the paper does not have it. A picture is a residual of nearest neighbours.

    Args:
        channels: channels of an image.
        scale: how many times as long the sides become.
        width: feature maps.
        blocks: convolutions between the first and the last.
    """

    stride = 1

    def __init__(self, channels: int = 3, scale: int = 4, width: int = 64, blocks: int = 16) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, 1, 1), nn.PReLU(width)]
        for _ in range(blocks):
            layers += [nn.Conv2d(width, width, 3, 1, 1), nn.PReLU(width)]
        self.scale = scale
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, channels * scale**2, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Maps `(N, channels, H, W)` in [-1, 1] to `scale` times the sides, about in [-1, 1]."""
        x = to_unit(images)
        made = F.pixel_shuffle(self.layers(x), self.scale)
        return from_unit(made + F.interpolate(x, scale_factor=float(self.scale), mode="nearest"))


class UNetDiscriminator(nn.Module):
    """Real-ESRGAN's discriminator: a score for each pixel, from three resolutions, under spectral normalization.

    Args:
        channels: channels of an image.
        width: feature maps at the image's side; twice, four and eight times as many below.
    """

    def __init__(self, channels: int = 3, width: int = 64) -> None:
        super().__init__()
        conv = spectral.Conv2d
        self.first = nn.Conv2d(channels, width, 3, 1, 1)
        self.down = nn.ModuleList(conv(width << i, width << (i + 1), 4, 2, 1, bias=False) for i in range(3))
        self.up = nn.ModuleList(conv(width << (i + 1), width << i, 3, 1, 1, bias=False) for i in (2, 1, 0))
        self.same = nn.ModuleList(conv(width, width, 3, 1, 1, bias=False) for _ in range(2))
        self.last = nn.Conv2d(width, 1, 3, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Scores `(N, 1, H, W)` of images `(N, channels, H, W)` in [-1, 1]; the sides are multiples of 8."""
        x = F.leaky_relu(self.first(to_unit(images)), SLOPE)
        skips = []
        for down in self.down:
            skips.append(x)
            x = F.leaky_relu(down(x), SLOPE)
        for up in self.up:
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = F.leaky_relu(up(x), SLOPE) + skips.pop()
        for same in self.same:
            x = F.leaky_relu(same(x), SLOPE)
        return self.last(x)
