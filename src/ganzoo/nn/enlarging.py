"""What super-resolution networks share: the picture made small, a discriminator, weights between two networks'.

Pictures are in [-1, 1] here, and in [0, 1] in the authors' code, whose weights expect that: networks take a picture
through `to_unit` and give it through `from_unit`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.types import BadArgument

SLOPE = 0.2  # of leaky ReLUs


def to_unit(images: Tensor) -> Tensor:
    """Maps [-1, 1] to [0, 1]."""
    return images * 0.5 + 0.5


def from_unit(images: Tensor) -> Tensor:
    """Maps [0, 1] to [-1, 1]."""
    return images * 2 - 1


def bicubic(images: Tensor, scale: float) -> Tensor:
    """Images `(N, C, H, W)` in [-1, 1] with sides `scale` times as long, by Keys's cubic (a = -1/2).

    Made smaller, they are filtered against aliasing, as MATLAB's `imresize` and Pillow do it.
    """
    sides = [max(1, round(side * scale)) for side in images.shape[2:]]
    return F.interpolate(images, sides, mode="bicubic", antialias=True).clamp(-1, 1)


def between(one: Mapping[str, Tensor], other: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Weights on the line from one network's to another's (Wang 2018, arXiv:1809.00219, eq. 4).

    Args:
        one: the state dict at share 0: of the network that was trained for fidelity,
        other: and at share 1: of the one trained in the game, from the first one's weights.
        share: alpha, in [0, 1].

    Raises:
        BadArgument: for a share outside, or networks of other shapes.
    """
    if not 0 <= share <= 1:
        raise BadArgument(f"the share of the second network is {share}; a number from 0 to 1 is expected")
    if {k: v.shape for k, v in one.items()} != {k: v.shape for k, v in other.items()}:
        raise BadArgument("the two networks have other tensors; there is nothing between them")
    return {name: torch.lerp(value, other[name], share) for name, value in one.items()}


@torch.no_grad()
def small_weights(network: nn.Module, factor: float = 0.1) -> nn.Module:
    """Kaiming's weights for ReLU times a factor, and no biases, for convolutions of residual branches."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight).mul_(factor)
            if module.bias is not None:
                module.bias.zero_()
    return network


class Discriminator(nn.Module):
    """Pairs of convolutions, the second of which halves the side, and two layers on all that is left.

    As BasicSR has it; in SRGAN's paper (Ledig 2017, section 2.1.1) kernels are of 3 pixels throughout.

    Args:
        channels: channels of an image.
        size: side of an image: a power of two times what is left.
        width: feature maps of the first pair; twice, four and eight times as many in the next ones.
        units: of the layer before the last.
        left: side after the last pair.
    """

    def __init__(self, channels: int, size: int, width: int = 64, units: int = 100, left: int = 4) -> None:
        super().__init__()
        halvings = (size // left).bit_length() - 1
        if size != left << halvings or halvings < 1:
            sides = ", ".join(str(left << i) for i in (1, 2, 3))
            raise BadArgument(f"a side of {size} pixels; the discriminator takes {sides}, ...")
        layers: list[nn.Module] = []
        before = channels
        for i in range(halvings):
            outputs = width * min(2**i, 8)
            layers += [nn.Conv2d(before, outputs, 3, 1, 1, bias=not i)]
            layers += [] if not i else [nn.BatchNorm2d(outputs)]
            layers += [nn.LeakyReLU(SLOPE), nn.Conv2d(outputs, outputs, 4, 2, 1, bias=False)]
            layers += [nn.BatchNorm2d(outputs), nn.LeakyReLU(SLOPE)]
            before = outputs
        self.main = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(left**2 * before, units), nn.LeakyReLU(SLOPE), nn.Linear(units, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Scores `(N, 1)` of images `(N, channels, size, size)` in [-1, 1]."""
        return self.head(self.main(to_unit(images)).flatten(1))
