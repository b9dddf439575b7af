"""FastGAN's generator, which projected GANs share: few layers, each gated, and skip-layer excitation between far ones.

Liu et al. 2021, "Towards Faster and Stabilized GAN Training for High-fidelity Few-shot Image Synthesis"
(arXiv:2101.04775), section 3.1 and figure 3. Every convolution is under spectral normalization and has no bias; a gated
linear unit halves its feature maps: a · sigmoid(b).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.nn import spectral
from ganzoo.nn.resnet import upsampled_convolution
from ganzoo.types import BadArgument

Blocks = Literal["alternating", "large", "small"]

# Feature maps at a side, in times the width, and the smaller side whose feature maps excite those of a side
_MAPS = {4: 16.0, 8: 8.0, 16: 4.0, 32: 2.0, 64: 2.0, 128: 1.0, 256: 0.5, 512: 0.25, 1024: 0.125}
_EXCITED_BY = {64: 4, 128: 8, 256: 16, 512: 32}


class FromLatent(spectral.Conv2d):
    """A transposed convolution from one pixel, z, to 4 x 4 of them."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, in_channels)` to `(N, out_channels, 4, 4)`."""
        rows = self.normalized_weight().permute(0, 2, 3, 1).flatten(0, 2)
        return F.linear(x, rows).unflatten(1, (-1, *self.kernel_size))


class Gated(nn.Module):
    """What follows a convolution: noise, batch normalization and the gated linear unit.

    Args:
        outputs: feature maps of y; x has twice as many.
        noisy: whether there is noise.
    """

    def __init__(self, outputs: int, noisy: bool = False) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(())) if noisy else None
        self.norm = nn.BatchNorm2d(2 * outputs)

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Maps `(N, 2 outputs, H, W)`, with noise `(N, 1, H, W)` or none, to `(N, outputs, H, W)`."""
        if noise is not None and self.strength is not None:
            x = x + (self.strength * noise).to(x.dtype)
        a, b = self.norm(x).chunk(2, 1)  # the gradient of `F.glu` would not have the channels innermost
        return a * b.sigmoid()


class Up(nn.Module):
    """Doubles the pixels: nearest neighbours, a gated convolution, and in a large block another one, both with noise.

    Args:
        inputs: feature maps of x.
        outputs: feature maps of y.
        large: whether the block is large.
    """

    def __init__(self, inputs: int, outputs: int, large: bool = False) -> None:
        super().__init__()
        self.large = large
        self.conv1 = spectral.Conv2d(inputs, 2 * outputs, 3, padding=1, bias=False)
        self.gated1 = Gated(outputs, noisy=large)
        self.conv2 = spectral.Conv2d(outputs, 2 * outputs, 3, padding=1, bias=False) if large else None
        self.gated2 = Gated(outputs, noisy=True) if large else None

    def forward(self, x: Tensor, noise: Sequence[Tensor | None] = (None, None)) -> Tensor:
        """Maps `(N, inputs, H, W)`, with noise for each layer of a large block, to `(N, outputs, 2H, 2W)`."""
        y = self.gated1(upsampled_convolution(x, self.conv1), noise[0])
        return y if self.conv2 is None or self.gated2 is None else self.gated2(self.conv2(y), noise[1])


class Excitation(nn.Module):
    """Skip-layer excitation: small feature maps say how much of each large one goes on (eq. 3).

    Args:
        inputs: feature maps of the small side.
        outputs: feature maps of the large side.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = spectral.Conv2d(inputs, outputs, 4, bias=False)
        self.conv2 = spectral.Conv2d(outputs, outputs, 1, bias=False)

    def forward(self, small: Tensor, large: Tensor) -> Tensor:
        """Maps `(N, inputs, h, w)` and `(N, outputs, H, W)` to the latter's shape."""
        gates = torch.sigmoid(self.conv2(F.silu(self.conv1(F.avg_pool2d(small, small.shape[-1] // 4)))))
        return large * gates


class Generator(nn.Module):
    """From z over 4, 8, 16, ... pixels to an image.

    Args:
        latent: length of z.
        channels: channels of an image.
        size: side of an image, a power of two from 8 to 1024.
        width: feature maps at 128 pixels.
        blocks: at 8, 16, ... pixels: a `large` one and a `small` one in turn (FastGAN), or all of one kind.
        small: side of the second, smaller image of feature maps on the way; 0 for none.
        bounded: whether tanh bounds images; without it z is brought to the length sqrt(latent) and the last convolution
            has a bias (projected GANs).

    Raises:
        BadArgument: for another size.
    """

    def __init__(
        self, latent: int, channels: int, size: int, width: int, blocks: Blocks, small: int = 0, bounded: bool = True
    ) -> None:
        super().__init__()
        if size not in [*_MAPS][1:]:
            raise BadArgument(f"image size is {size}; a power of two from 8 to 1024 is expected")
        maps = {side: max(1, int(times * width)) for side, times in _MAPS.items() if side <= size}
        self.first = FromLatent(latent, 2 * maps[4], 4, bias=False)
        self.gated = Gated(maps[4])
        sides = [*maps][1:]
        kinds = [blocks == "large" or (blocks == "alternating" and i % 2 == 0) for i in range(len(sides))]
        self.ups = nn.ModuleList(
            Up(maps[side // 2], maps[side], large) for side, large in zip(sides, kinds, strict=True)
        )
        self.excitations = nn.ModuleDict(
            {str(side): Excitation(maps[by], maps[side]) for side, by in _EXCITED_BY.items() if side <= size}
        )
        self.to_image = spectral.Conv2d(maps[size], channels, 3, padding=1, bias=not bounded)
        self.to_small = spectral.Conv2d(maps[small], channels, 1, bias=False) if small else None
        self.small, self.bounded = small, bounded
        self.sizes = [side for side, large in zip(sides, kinds, strict=True) if large for _ in range(2)]  # of noise

    def forward(
        self, z: Tensor, noise: Literal["random", "none"] | Sequence[Tensor] = "random", both: bool = True
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Maps z `(N, latent)` to images `(N, channels, size, size)`.

        Args:
            z: latents.
            noise: `random` for fresh noise, `none`, or a tensor `(N, 1, side, side)` for each of `sizes`.
            both: whether to give the smaller images `(N, channels, small, small)` too, where there are some.
        """
        if isinstance(noise, str):
            given: list[Tensor | None] = [None] * len(self.sizes)
            if noise == "random":
                given = [torch.randn(len(z), 1, side, side, dtype=z.dtype, device=z.device) for side in self.sizes]
        else:
            given = [*noise]
        if not self.bounded:
            z = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        x = self.gated(self.first(z))
        seen = {4: x}
        for level, up in enumerate(self.ups):
            side = 8 << level
            assert isinstance(up, Up)
            x = up(x, [given.pop(0), given.pop(0)]) if up.large else up(x)
            if str(side) in self.excitations:
                x = self.excitations[str(side)](seen[_EXCITED_BY[side]], x)
            seen[side] = x
        image = self.finished(self.to_image(x))
        if not both or self.to_small is None:
            return image
        return image, self.finished(self.to_small(seen[self.small]))

    def finished(self, image: Tensor) -> Tensor:
        """The image in its range, where it has one."""
        return torch.tanh(image) if self.bounded else image

    def drawn(self, rngs: Sequence[np.random.RandomState], like: Tensor) -> list[Tensor]:
        """Noise for each of `sizes`, from each image's own stream."""
        drawn = [np.stack([rng.randn(1, side, side) for rng in rngs]) for side in self.sizes]
        return [torch.from_numpy(each).to(like) for each in drawn]
