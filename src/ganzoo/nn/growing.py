"""Networks that grow while they learn: the schedule, the resampling and the discriminator of ProGAN and StyleGAN.

Karras et al. 2018, "Progressive Growing of GANs for Improved Quality, Stability, and Variation" (arXiv:1710.10196),
section 2 and appendix A. All layers exist from the start, and how far a network has grown is one number, the level of
detail of the authors' code: 0 when whole, 1 at half the resolution, 1.5 half way from a quarter to half of it. Images
have the full size at every level; those of a network that has not grown whole consist of larger pixels.

Changing the resolution by nearest neighbours or by averaging 2 x 2 pixels, next to a convolution of 3 x 3, can be done
as one convolution of 4 x 4 with a stride of 2 and four ninths of the work: it gives the same up to rounding.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.nn.resampling import fir
from ganzoo.nn.style import EqualizedConv2d, EqualizedLinear, label_vectors, minibatch_stddev
from ganzoo.types import BadArgument

GAIN = math.sqrt(2.0)
"""He's gain on the weights in front of a leaky ReLU, which itself has none in these networks."""

BLUR = (1.0, 2.0, 1.0)
"""StyleGAN's filter, of one axis."""

# Pixels from which resampling and convolution are one in evaluation too: where the authors do so, because StyleGAN's
# instance normalisation amplifies differences of rounding. While training they always are, which saves half of the time
_AS_ONE_FROM = 128


# ------------------------------------------------------------------------------------------------- how far it has grown


@dataclass(frozen=True)
class Schedule:
    """How far the networks have grown after so many images (figure 2).

    A resolution is learned for `stabilise` images, then the next one fades in over `transition` images.

    Args:
        size: side of an image.
        start: resolution to begin at.
        stabilise: images at each resolution.
        transition: images from each resolution to the next.
    """

    size: int
    start: int
    stabilise: int
    transition: int

    def __call__(self, images: int) -> float:
        """The level of detail after so many images: from log2(size / start) down to 0."""
        phase, within = divmod(images, self.stabilise + self.transition)
        faded = max(within - self.stabilise, 0) / self.transition
        return max(math.log2(self.size // self.start) - phase - faded, 0.0)

    def turns(self, before: int, after: int) -> bool:
        """Whether other layers come into use between two counts of images."""
        levels = self(before), self(after)
        return any(len({bound(level) for level in levels}) > 1 for bound in (math.floor, math.ceil))


def feature_maps(widths: Sequence[int], size: int, start: int = 4) -> list[int]:
    """The feature maps at 4, 8, ... `size` pixels.

    Raises:
        BadArgument: if the sides are no powers of two from 4 on, or there are fewer widths than resolutions.
    """
    for name, side in (("image size", size), ("start", start)):
        if side < 4 or side & (side - 1):
            raise BadArgument(f"{name} is {side}; a power of two from 4 on is expected, such as 32 or 256")
    if start > size:
        raise BadArgument(f"start is {start}; at most the image size {size} is expected")
    count = size.bit_length() - 2
    if len(widths) < count:
        raise BadArgument(
            f"widths has {len(widths)} values; {count} are expected, for 4 to {size} pixels: {2**count * 2} is the size"
        )
    return list(widths[:count])


class Growing(nn.Module):
    """A network that knows how far it has grown, as a buffer that is saved with it.

    The program's course follows a copy of it, so that no device is waited for and a compiled network is compiled again
    only where other layers come into use.

    Args:
        levels: its resolutions.
    """

    lod: Tensor

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = levels
        self.register_buffer("lod", torch.zeros(()))
        self._known: tuple[Tensor | None, int] = (None, -1)
        self._stage = (levels - 1, False)

    def grow(self, lod: float) -> None:
        """Sets the level of detail.

        Raises:
            BadArgument: if it is not that of a network of so many levels.
        """
        before = self._stage
        self._learn(lod)
        if self._stage != before and "torch._dynamo" in sys.modules:
            torch.compiler.reset()  # what was compiled for other layers counts towards a limit of graphs
        self.lod.fill_(lod)
        self._known = (self.lod, self.lod._version)

    def stage(self) -> tuple[int, bool]:
        """The highest level in use, and whether the one below it still shows."""
        known = torch.compiler.is_compiling() or (
            self._known[0] is self.lod and not self.lod.is_inference() and self._known[1] == self.lod._version
        )
        if not known:
            self._learn(float(self.lod))
            self._known = (self.lod, -1 if self.lod.is_inference() else self.lod._version)
        return self._stage

    def fade(self, upper: Tensor, lower: Tensor) -> Tensor:
        """Mixes what the highest level in use gives with what the one below it does."""
        missing = self.levels - 1 - self._stage[0]
        return upper.lerp(lower.to(upper.dtype), (self.lod - missing).to(upper.dtype))

    def _learn(self, lod: float) -> None:
        if not 0 <= lod <= self.levels - 1:
            raise BadArgument(f"level of detail is {lod}; 0 to {self.levels - 1} are expected")
        self._stage = (self.levels - 1 - int(lod), lod != int(lod))


def enlarge(images: Tensor, factor: int = 2) -> Tensor:
    """Makes every pixel of `(N, C, H, W)` a square of `factor` x `factor` pixels."""
    return images if factor == 1 else F.interpolate(images, scale_factor=factor, mode="nearest")


def shrink(images: Tensor, factor: int = 2) -> Tensor:
    """Averages squares of `factor` x `factor` pixels of `(N, C, H, W)`."""
    return images if factor == 1 else F.avg_pool2d(images, factor)


def at_level(images: Tensor, lod: float) -> Tensor:
    """Real images as the discriminator is to see them at a level of detail: they fade as the network does (figure 2).

    Args:
        images: `(N, C, size, size)`.
        lod: the level of detail.

    Returns:
        Images of that size, in pixels of 2^floor(lod) or between those and twice as large ones.
    """
    factor = 2 ** int(lod)
    images = shrink(images, factor)
    if lod > int(lod):
        images = images.lerp(enlarge(shrink(images)), lod - int(lod))
    return enlarge(images, factor)


# ------------------------------------------------------------------------------------------------- convolutions


class UpConv2d(EqualizedConv2d):
    """Nearest neighbours and then a convolution of 3 x 3."""

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """Maps `(N, inputs, H, W)` to `(N, outputs, 2H, 2W)`."""
        if not self.training and 2 * x.shape[-1] < _AS_ONE_FROM:
            return super().forward(enlarge(x), gain)
        weight = _widened(self.weight * (self.scale * gain)).flip(2, 3).transpose(0, 1)
        return F.conv_transpose2d(x, weight, self.bias, stride=2, padding=1)


class DownConv2d(EqualizedConv2d):
    """A convolution of 3 x 3 and then the mean of 2 x 2 pixels."""

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """Maps `(N, inputs, H, W)` to `(N, outputs, H/2, W/2)`."""
        if not self.training and x.shape[-1] < _AS_ONE_FROM:
            return shrink(super().forward(x, gain))
        return F.conv2d(x, _widened(self.weight * (self.scale * gain)) / 4, self.bias, stride=2, padding=1)


def _widened(weight: Tensor) -> Tensor:
    """A kernel of 3 x 3 convolved with 2 x 2 ones: `(O, I, 4, 4)`."""
    weight = F.pad(weight, (1, 1, 1, 1))
    return weight[:, :, 1:, 1:] + weight[:, :, :-1, 1:] + weight[:, :, 1:, :-1] + weight[:, :, :-1, :-1]


# ------------------------------------------------------------------------------------------------- the discriminator


def append_deviation(x: Tensor, group: int, features: int = 1, sample: bool = False) -> Tensor:
    """Adds feature maps that tell how much the images of a group differ (section 3).

    The standard deviation over the group at each position of each feature map, averaged over all of them.

    Args:
        x: `(N, C, H, W)`.
        group: images in a group.
        features: feature maps added, each from its own part of the C.
        sample: the unbiased estimate, over neighbours in the batch, or the whole of it where the group does not divide
            it (pytorch_GAN_zoo); otherwise as `minibatch_stddev`.

    Returns:
        `(N, C + features, H, W)`.
    """
    if not sample:
        return minibatch_stddev(x, group, features)
    n, c, h, w = x.shape
    group = n if n % min(group, n) else min(group, n)
    if group == 1:
        spread = x.new_zeros(n, features)
    else:
        y = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        y = y.reshape(n // group, group, features, c // features, h, w)
        spread = (y.var(1) + 1e-8).sqrt().mean((2, 3, 4)).to(x.dtype).repeat_interleave(group, 0)
    return torch.cat([x, spread[:, :, None, None].expand(n, features, h, w)], 1)


class DiscriminatorBlock(nn.Module):
    """Two convolutions, the second of which halves the resolution.

    Args:
        inputs: feature maps of x.
        outputs: feature maps of y.
        blur: whether the filter precedes the second convolution (StyleGAN).
        fused: whether pixels are averaged before the activation, as part of the convolution, or after it.
    """

    def __init__(self, inputs: int, outputs: int, blur: bool, fused: bool) -> None:
        super().__init__()
        self.conv = EqualizedConv2d(inputs, inputs, 3, gain=GAIN)
        self.down = (DownConv2d if fused else EqualizedConv2d)(inputs, outputs, 3, gain=GAIN)
        self.blur, self.fused = blur, fused

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, inputs, H, W)` to `(N, outputs, H/2, W/2)`."""
        x = F.leaky_relu(self.conv(x), 0.2)
        x = F.leaky_relu(self.down(fir(x, BLUR, 1) if self.blur else x), 0.2)
        return x if self.fused else shrink(x)


class Discriminator(Growing):
    """The growing discriminator: the mirror image of ProGAN's generator (table 2).

    Args:
        channels: channels of an image.
        widths: feature maps at 4, 8, ... pixels, one value a resolution.
        dense: units of the last hidden layer; None for as many as there are feature maps at 4 pixels.
        outputs: values for each image.
        classes: where greater than 0, the labels choose one output (Mescheder et al. 2018, arXiv:1801.04406).
        group: images over which the standard deviation is taken; 1 for none.
        features: feature maps that hold it.
        sample: the unbiased estimate, over neighbours in the batch.
        blur: whether a filter precedes each reduction (StyleGAN).
        fused: whether pixels are averaged before the activation or after it.
    """

    def __init__(
        self,
        channels: int,
        widths: Sequence[int],
        *,
        dense: int | None = None,
        outputs: int = 1,
        classes: int = 0,
        group: int = 4,
        features: int = 1,
        sample: bool = False,
        blur: bool = False,
        fused: bool = True,
    ) -> None:
        super().__init__(len(widths))
        first = widths[0]
        self.classes, self.group, self.features, self.sample = classes, group, features, sample
        self.from_rgb = nn.ModuleList(EqualizedConv2d(channels, width, 1, gain=GAIN) for width in widths)
        self.blocks = nn.ModuleList(DiscriminatorBlock(width, below, blur, fused) for below, width in pairwise(widths))
        self.conv = EqualizedConv2d(first + (features if group > 1 else 0), first, 3, gain=GAIN)
        self.dense = EqualizedLinear(16 * first, dense or first, gain=GAIN)
        self.score = EqualizedLinear(dense or first, outputs)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps images of the full size to scores.

        Args:
            images: `(N, channels, size, size)`.
            labels: class indices `(N,)` or vectors `(N, classes)`, where they choose the output; otherwise ignored.

        Returns:
            `(N, outputs)`; `(N, 1)` where labels choose.
        """
        top, fading = self.stage()
        images = shrink(images, 1 << (self.levels - 1 - top))
        x = F.leaky_relu(self.from_rgb[top](images), 0.2)
        for level in range(top, 0, -1):
            x = self.blocks[level - 1](x)
            if fading and level == top:
                x = self.fade(x, F.leaky_relu(self.from_rgb[level - 1](shrink(images)), 0.2))
        if self.group > 1:
            x = append_deviation(x, self.group, self.features, self.sample)
        x = F.leaky_relu(self.conv(x), 0.2)
        scores: Tensor = self.score(F.leaky_relu(self.dense(x.flatten(1)), 0.2))
        if not self.classes:
            return scores
        return (scores * label_vectors(labels, self.classes, len(scores)).to(scores)).sum(1, keepdim=True)
