"""ALI: a stochastic encoder and a generator each draw one half of a pair, and a discriminator tells whose half it is.

Dumoulin, Belghazi, Poole, Mastropietro, Lamb, Arjovsky and Courville 2017, "Adversarially Learned Inference",
arXiv:1606.00704. Encoder and generator are two ways to draw pictures with their latents, q(x) q(z | x) and
p(z) p(x | z). Where the discriminator of pairs cannot tell them apart both joint distributions are one, and so q(z | x)
is the posterior (section 2). What sets it apart from BiGAN is that the encoder draws too (eq. 3):

    min_{G,E} max_D  E log D(x, z^) + E log(1 - D(G(z), z))        z ~ N(0, 1)^64
    z^ = mu(x) + sigma(x) e,  e ~ N(0, 1)

Encoder and generator are one player and descend the same with the labels exchanged (Algorithm 1).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.data.batch import Data
from ganzoo.game.abilities import Encodes, Samples
from ganzoo.game.inference import spread
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.media.levels import to_float
from ganzoo.objectives import losses
from ganzoo.schema import NonNegative, Positive, Probability
from ganzoo.types import BadArgument, Batch

_SLOPE = 0.1
_SOME = 500  # images of whose mean the generator begins
_NEARLY = 1 - 2e-7  # of the range: the authors clip shares at 1e-7


def steps(size: int) -> list[tuple[int, int, int]]:
    """Kernels and strides from images to one position, without padding, each with the side before it.

    5 and then 4 by turns with a stride of 2 and 1, until at most 4 pixels are left, which the last kernel takes: for 32
    pixels as in table 5.
    """
    made: list[tuple[int, int, int]] = []
    side = size
    while side > 4:
        kernel, stride = (4 if made else 5), 1 + len(made) % 2
        made.append((kernel, stride, side))
        side = (side - kernel) // stride + 1
    return [*made, (side, 1, side)]


def feature_maps(size: int, width: int) -> list[int]:
    """After each step: twice as many as before, up to 16 times the first."""
    return [width << min(i, 4) for i in range(len(steps(size)))]


def normalized(layer: nn.Module, width: int) -> nn.Sequential:
    """A layer without bias, batch normalization and a leaky rectifier."""
    norm = nn.BatchNorm1d if isinstance(layer, nn.Linear) else nn.BatchNorm2d
    return nn.Sequential(layer, norm(width), nn.LeakyReLU(_SLOPE))


class Encoder(nn.Module):
    """q(z | x): the mean and the logarithm of the standard deviation of each latent."""

    def __init__(self, size: int, channels: int, latent: int, width: int) -> None:
        super().__init__()
        widths = [channels, *feature_maps(size, width)]
        self.convolutions = nn.Sequential(
            *(
                normalized(nn.Conv2d(widths[i], widths[i + 1], kernel, stride, bias=False), widths[i + 1])
                for i, (kernel, stride, _) in enumerate(steps(size))
            )
        )
        self.hidden = normalized(nn.Linear(widths[-1], widths[-1], bias=False), widths[-1])
        self.last = nn.Linear(widths[-1], 2 * latent)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Maps images `(N, C, H, W)` to means and logarithms `(N, latent)`."""
        mean, log_deviation = self.last(self.hidden(self.convolutions(x).flatten(1))).chunk(2, 1)
        return mean, log_deviation


class Generator(nn.Module):
    """p(x | z), all of it at one point: the encoder's steps backwards, and two layers of 1 x 1.

    The last bias is one a pixel, so that what all images have in common need not be drawn.
    """

    def __init__(self, size: int, channels: int, latent: int, width: int) -> None:
        super().__init__()
        back = steps(size)[::-1]
        widths = [latent, *feature_maps(size, width)[-2::-1], width]
        layers = [
            normalized(
                nn.ConvTranspose2d(
                    widths[i], widths[i + 1], kernel, stride, output_padding=(side - kernel) % stride, bias=False
                ),
                widths[i + 1],
            )
            for i, (kernel, stride, side) in enumerate(back)
        ]
        self.layers = nn.Sequential(*layers, normalized(nn.Conv2d(width, width, 1, bias=False), width))
        self.last = nn.Conv2d(width, channels, 1, bias=False)
        self.bias = nn.Parameter(torch.zeros(channels, size, size))

    def forward(self, z: Tensor) -> Tensor:
        """Maps `(N, latent)` to images `(N, C, H, W)` in [-1, 1]."""
        return (self.last(self.layers(z[:, :, None, None])) + self.bias).tanh()


class Maxout(nn.Module):
    """Dropout, a layer, and the larger of each two of its outputs."""

    def __init__(self, layer: nn.Module, dropout: float) -> None:
        super().__init__()
        self.layer, self.dropout = layer, nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, inputs, ...)` to half as many features as the layer has outputs."""
        return self.layer(self.dropout(x)).unflatten(1, (-1, 2)).amax(2)


class Discriminator(nn.Module):
    """D(x, z): a path for each half, and layers on both side by side."""

    def __init__(self, size: int, channels: int, latent: int, width: int, dropout: Sequence[float]) -> None:
        super().__init__()
        widths, (first, later) = feature_maps(size, width), dropout
        inputs = [channels, *(each // 2 for each in widths)]
        self.image = nn.Sequential(
            *(
                Maxout(nn.Conv2d(inputs[i], widths[i], kernel, stride), later if i else first)
                for i, (kernel, stride, _) in enumerate(steps(size))
            )
        )
        wide = widths[-1]
        self.latent = nn.Sequential(
            Maxout(nn.Linear(latent, wide, bias=False), first), Maxout(nn.Linear(wide // 2, wide, bias=False), later)
        )
        self.joint = nn.Sequential(
            Maxout(nn.Linear(wide, 2 * wide), later),
            Maxout(nn.Linear(wide, 2 * wide), later),
            nn.Dropout(later),
            nn.Linear(wide, 1),
        )

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Maps images `(N, C, H, W)` and latents `(N, latent)` to logits `(N,)`."""
        return self.joint(torch.cat([self.image(x).flatten(1), self.latent(z)], 1))[:, 0]


def initialize(module: nn.Module) -> None:
    """Weights from N(0, 0.01), no biases."""
    if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.01)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


@register(
    paper="Dumoulin, Belghazi, Poole, Mastropietro, Lamb, Arjovsky and Courville, Adversarially Learned Inference",
    year=2017,
    url="https://arxiv.org/abs/1606.00704",
    formula=(
        "min_{G,E} max_D E log D(x, z^) + E log(1 - D(G(z), z))",
        "z^ = mu(x) + sigma(x) e, e ~ N(0, 1)",
        "z ~ N(0, 1)^64",
    ),
)
class ALI(Samples, Encodes):
    """A stochastic encoder learns with the generator, until both have one joint distribution of images and latents.

    The networks are those of CIFAR-10 (table 5), in batches of 100. The authors' code takes both gradients at the same
    parameters and noise; here the players move one after the other. As there the generator's last bias, one a pixel,
    begins where it draws the mean of 500 images, before a hyperbolic tangent instead of a sigmoid. Dropout stands
    before every layer of the discriminator, as in the table; in the code some are without.

    Args:
        size: side of an image.
        channels: channels of an image.
        latent: length of z, normal.
        width: feature maps beside the image, an even number.
        dropout: in the discriminator, of the images and latents, and of what is further inside.
        lr: learning rate of both players.
        betas: Adam's decay rates.
    """

    inference = averages = ("generator", "encoder")

    def __init__(
        self,
        size: Positive = 32,
        channels: Positive = 3,
        latent: Positive = 64,
        width: Positive = 32,
        dropout: tuple[Probability, Probability] = (0.2, 0.5),
        lr: NonNegative = 1e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
    ) -> None:
        super().__init__()
        if width % 2 or size < 5:
            raise BadArgument(f"width is {width} and size {size}; an even width and at least 5 pixels are expected")
        self.shape, self.prior = (channels, size, size), Normal(latent)
        self.generator = Generator(size, channels, latent, width)
        self.encoder = Encoder(size, channels, latent, width)
        self.discriminator = Discriminator(size, channels, latent, width, dropout)
        for network in (self.generator, self.encoder, self.discriminator):
            network.apply(initialize)
        self.adam = partial(Adam, lr=lr, betas=betas)

    def setup(self, stage: str) -> None:
        """A fresh generator begins with the mean of images of the data."""
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        bias = self.generator.bias
        if stage == "fit" and isinstance(data, Data) and bias.requires_grad and not bias.any():
            real = data.open("train")
            mean = to_float(real.batch(spread(len(real), _SOME)).images).mean(0)
            bias.data.copy_(mean.clamp(-_NEARLY, _NEARLY).atanh())
        super().setup(stage)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player (Algorithm 1)."""
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """-E log D(x, z^) - E log(1 - D(G(z), z))."""
        return losses.minimax_discriminator(*self.scores(batch))

    def generator_loss(self, batch: Batch) -> Tensor:
        """The labels exchanged: -E log D(G(z), z) - E log(1 - D(x, z^))."""
        encoded, generated = self.scores(batch)
        return losses.minimax_discriminator(generated, encoded)

    def scores(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The logits `(N,)` of D(x, z^) and of D(G(z), z), of one pass of the discriminator."""
        z = self.noise(batch)
        mean, log_deviation = self.encoder(batch.images)
        drawn = mean + log_deviation.exp() * torch.randn(mean.shape, dtype=mean.dtype, device=mean.device)
        both = self.discriminator(self.seen(torch.cat([batch.images, self.generator(z)])), torch.cat([drawn, z]))
        encoded, generated = both.chunk(2)
        return encoded, generated

    def encoding(self, images: Tensor) -> Tensor:
        """The means of q(z | x)."""
        mean: Tensor = self.average_module("encoder")(images)[0]
        return mean

    def realness(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """D's logits of images with the means of their latents."""
        return self.discriminator(images, self.encoding(images))
