"""The convolutional networks of DCGAN (Radford 2016, arXiv:1511.06434, section 3 and figure 1), at any size.

Images of `start * 2^k` pixels, with `start` from 4 to 7: 16, 32, 64, 128, but also 28 (from 7) and 96 (from 6). Images
of 8 and 12 pixels start at 2 and 3, so that every network has at least two strided layers where the size allows.

StudioGAN's networks of that kind, which it calls deep_conv, stand beside them: other layers at both ends, biases, and
more convolutions in the discriminator.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from ganzoo.nn.reference import ReferenceNorm
from ganzoo.types import BadArgument

Normalization = Callable[[int], nn.Module]


def plan(size: int) -> tuple[int, int]:
    """The side of the smallest feature map and the number of doublings from there to `size` pixels.

    Raises:
        BadArgument: if the size is not 4 to 7 times a power of two, at least doubled once.
    """
    start, doublings = size, 0
    while start % 2 == 0 and (start > 7 or doublings == 1):
        start, doublings = start // 2, doublings + 1
    if not 2 <= start <= 7 or doublings < 1:
        raise BadArgument(f"image size is {size}; 4 to 7 times a power of two is expected, such as 8, 28, 32 or 64")
    return start, doublings


class Generator(nn.Module):
    """Projects z and upsamples by fractionally strided convolutions, batch normalization and ReLU; tanh at the end.

    Args:
        latent: length of z.
        channels: channels of an image.
        size: side of an image.
        width: feature maps before the last layer; each layer towards z has twice as many.
        last: the last activation.
        normalization: makes the normalization after every layer but the last, such as `reference.ReferenceNorm`.
    """

    def __init__(
        self,
        latent: int,
        channels: int,
        size: int,
        width: int,
        last: nn.Module | None = None,
        normalization: Normalization = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        start, doublings = plan(size)
        widths = [width * 2**i for i in reversed(range(doublings))]
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent, widths[0], start, bias=False)]
        for wide, narrow in pairwise(widths):
            layers += [normalization(wide), nn.ReLU(inplace=True)]
            layers += [nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=False)]
        layers += [normalization(width), nn.ReLU(inplace=True)]
        layers += [nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1, bias=False)]
        self.main = nn.Sequential(*layers, last if last is not None else nn.Tanh())
        self.apply(initialize)

    def forward(self, z: Tensor) -> Tensor:
        """Maps `(N, latent)` to `(N, channels, size, size)` in [-1, 1]."""
        return self.main(z[:, :, None, None])


class Discriminator(nn.Module):
    """Strided convolutions with leaky ReLU, down to one score.

    Args:
        channels: channels of an image.
        size: side of an image.
        width: feature maps after the first layer; each further layer has twice as many.
        normalization: makes the normalization after every convolution but the first and the last; None for none, and
            weights whose size keeps gradients instead (see `unnormalized`).
        outputs: scores an image.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        width: int,
        normalization: Normalization | None = nn.BatchNorm2d,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        start, doublings = plan(size)
        first = nn.Conv2d(channels, width, 4, stride=2, padding=1, bias=False)
        layers: list[nn.Module] = [first, nn.LeakyReLU(0.2, inplace=True)]
        for i in range(doublings - 1):
            narrow, wide = width * 2**i, width * 2 ** (i + 1)
            layers += [nn.Conv2d(narrow, wide, 4, stride=2, padding=1, bias=normalization is None)]
            layers += [] if normalization is None else [normalization(wide)]
            layers += [nn.LeakyReLU(0.2, inplace=True)]
        self.features = nn.Sequential(*layers)
        self.feature_shape = (width * 2 ** (doublings - 1), start, start)
        self.head = nn.Conv2d(self.feature_shape[0], outputs, start, bias=False)
        self.outputs = outputs
        self.apply(initialize if normalization else unnormalized)
        if normalization is None:  # the image has not been through a ReLU, which would halve its variance
            first.weight.data.div_(math.sqrt(2))

    def forward(self, x: Tensor, with_features: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Maps `(N, channels, size, size)` to scores `(N,)`, or `(N, outputs)` where there are several.

        With `with_features` the scores and the last feature maps come together, in one call: only what goes through a
        network's call runs compiled.
        """
        features = self.features(x)
        scores = self.score(features)
        return (scores, features) if with_features else scores

    def score(self, features: Tensor) -> Tensor:
        """Maps the last feature maps to the scores."""
        scores = self.head(features).flatten(1)
        return scores.squeeze(1) if self.outputs == 1 else scores


class LabelledDiscriminator(nn.Module):
    """Strided convolutions, told the label vector as constant maps beside the first layer's (Perarnau 2016, section 4).

    Args:
        channels: channels of an image.
        labels: length of a label vector.
        size: side of an image.
        width: feature maps after the first layer; each further layer has twice as many.
    """

    def __init__(self, channels: int, labels: int, size: int, width: int) -> None:
        super().__init__()
        start, doublings = plan(size)
        self.first = nn.Sequential(nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2))
        layers: list[nn.Module] = []
        for i in range(doublings - 1):
            inputs, outputs = (width << i) + (0 if i else labels), width << (i + 1)
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]
        inputs = (width << (doublings - 1)) + (labels if doublings == 1 else 0)
        self.main = nn.Sequential(*layers, nn.Conv2d(inputs, 1, start))
        self.apply(initialize)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Scores `(N,)` of images `(N, channels, size, size)` with label vectors `(N, labels)`."""
        h = self.first(x)
        maps = labels.to(h)[:, :, None, None].expand(-1, -1, *h.shape[2:])
        return self.main(torch.cat([h, maps], 1)).flatten()


class Encoder(nn.Module):
    """Strided 5 x 5 convolutions and a hidden layer, batch normalization and ReLU, to a vector (after Larsen 2016).

    Args:
        channels: channels of an image.
        size: side of an image: a multiple of 2 to the number of layers.
        width: feature maps after the first layer; each further layer has twice as many.
        layers: halvings.
        hidden: units of the hidden layer; None for as many as it is given.
        outputs: length of the vector.

    Raises:
        BadArgument: for a size that does not halve so often.
    """

    def __init__(self, channels: int, size: int, width: int, layers: int, hidden: int | None, outputs: int) -> None:
        super().__init__()
        if size % 2**layers:
            raise BadArgument(f"image size is {size}; a multiple of {2**layers} is expected, or fewer layers")
        made: list[nn.Module] = []
        for inputs, wide in pairwise([channels, *(width << i for i in range(layers))]):
            made += [nn.Conv2d(inputs, wide, 5, 2, 2), nn.BatchNorm2d(wide), nn.ReLU()]
        length = (width << (layers - 1)) * (size >> layers) ** 2
        hidden = hidden or length
        made += [nn.Flatten(), nn.Linear(length, hidden), nn.BatchNorm1d(hidden), nn.ReLU()]
        self.main = nn.Sequential(*made, nn.Linear(hidden, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, channels, size, size)` to `(N, outputs)`."""
        return self.main(x)


class StudioGenerator(nn.Module):
    """StudioGAN's: a fully connected layer as it comes, doublings, and a 3 x 3 convolution to the image.

    Args:
        latent: length of z.
        channels: channels of an image.
        size: side of an image.
        width: feature maps of an image's size; each layer towards z has twice as many.
    """

    def __init__(self, latent: int, channels: int, size: int, width: int) -> None:
        super().__init__()
        self.start, doublings = plan(size)
        widths = [width * 2**i for i in reversed(range(doublings + 1))]
        self.project = nn.Linear(latent, widths[0] * self.start**2)
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1), *_normalized(narrow))
                for wide, narrow in pairwise(widths)
            )
        )
        self.conv = nn.Conv2d(width, channels, 3, padding=1)
        self.apply(initialize)

    def forward(self, z: Tensor) -> Tensor:
        """Maps `(N, latent)` to `(N, channels, size, size)` in [-1, 1]."""
        x = self.project(z).unflatten(1, (-1, self.start, self.start))
        return self.conv(self.blocks(x)).tanh()


class StudioDiscriminator(nn.Module):
    """StudioGAN's: convolutions of stride 1 and 2 by turns, ReLU, and the sum over all positions before the score.

    Args:
        channels: channels of an image.
        size: side of an image.
        width: feature maps of an image's size; each halving has twice as many.
    """

    def __init__(self, channels: int, size: int, width: int) -> None:
        super().__init__()
        widths = [width * 2**i for i in range(plan(size)[1])]
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(inputs, outputs, 3, padding=1),
                    *_normalized(outputs),
                    nn.Conv2d(outputs, outputs, 4, stride=2, padding=1),
                    *_normalized(outputs),
                )
                for inputs, outputs in pairwise([channels, *widths])
            )
        )
        last = 2 * widths[-1]
        self.last = nn.Sequential(nn.Conv2d(widths[-1], last, 3, padding=1), *_normalized(last))
        self.score = nn.Linear(last, 1)
        self.apply(initialize)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, channels, size, size)` to scores `(N,)`."""
        scores: Tensor = self.score(self.last(self.blocks(x)).sum((2, 3)))
        return scores.squeeze(1)


def _normalized(width: int) -> tuple[nn.Module, nn.Module]:
    return nn.BatchNorm2d(width, eps=1e-4), nn.ReLU(inplace=True)


def initialize(module: nn.Module) -> None:
    """Weights from N(0, 0.02), normalization gains from N(1, 0.02) (section 4; the gains as in the authors' code)."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, ReferenceNorm)):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def unnormalized(module: nn.Module) -> None:
    """Uniform weights of variance 4 / (fan in + fan out), biases 0, as in WGAN-GP's code (after He, arXiv:1502.01852).

    Without normalization, N(0, 0.02) lets a critic of 32 pixels begin with gradients of norm 0.004; so it is near 0.9.
    """
    if isinstance(module, nn.Conv2d):
        taps = math.prod(module.kernel_size)
        fans = module.in_channels * taps + module.out_channels * taps / math.prod(module.stride)
        bound = math.sqrt(3 * 4 / fans)
        nn.init.uniform_(module.weight, -bound, bound)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
