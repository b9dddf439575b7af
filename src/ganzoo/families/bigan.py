"""BiGAN: an encoder is trained with the generator, and learns to invert it without a reconstruction loss.

Donahue, Krähenbühl and Darrell 2017, "Adversarial Feature Learning", arXiv:1605.09782. The discriminator sees pairs:
an image with its code, or a latent with its image. Where it cannot tell them apart, E inverts G (Theorem 2):

    min_{G,E} max_D  E log D(x, E(x)) + E log(1 - D(G(z), z))        z ~ U[-1, 1]^50

G and E are one player and descend the same with the labels exchanged (section 3.4). The networks are the authors'.
"""

import math
from functools import partial
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Encodes, Samples
from ganzoo.game.priors import Uniform
from ganzoo.game.registry import register
from ganzoo.nn.dcgan import plan
from ganzoo.objectives import losses
from ganzoo.schema import Count, NonNegative, Positive, Probability
from ganzoo.types import Batch


class Layer(nn.Module):
    """`activation(normalize(A h + B z))`, where A is linear or a convolution, and z need not come in (`latent` of 0).

    Batches are normalized without gain and bias, as the authors' command for MNIST says.
    """

    def __init__(
        self, map: nn.Module, outputs: int, latent: int = 0, normalize: bool = True, slope: float = 0.2
    ) -> None:
        super().__init__()
        self.flat = isinstance(map, nn.Linear)
        self.map, self.slope = map, slope
        self.latent = nn.Linear(latent, outputs, bias=False) if latent else None
        norm = nn.BatchNorm1d if self.flat else nn.BatchNorm2d
        self.normalization = norm(outputs, affine=False) if normalize else nn.Identity()

    def forward(self, h: Tensor, z: Tensor | None = None) -> Tensor:
        """Maps features, with `z` `(N, latent)` where the layer takes it."""
        h = self.map(h.flatten(1) if self.flat else h)
        if self.latent is not None:
            h = h + (self.latent(z) if self.flat else self.latent(z)[:, :, None, None])
        return F.leaky_relu(self.normalization(h), self.slope)


class Generator(nn.Module):
    """G: two hidden layers of rectifiers, then fractionally strided convolutions if any; z comes into all of them."""

    def __init__(self, latent: int, shape: tuple[int, int, int], width: int, features: int) -> None:
        super().__init__()
        start, doublings = plan(shape[1]) if width else (1, 0)
        self.shape, self.start = shape, (width << (doublings - 1), start, start) if width else (features,)
        inner = math.prod(self.start)
        self.first = Layer(nn.Linear(latent, features, bias=False), features, slope=0.0)
        self.second = Layer(nn.Linear(features, inner, bias=False), inner, latent, slope=0.0)
        up = partial(nn.ConvTranspose2d, kernel_size=5, stride=2, padding=2, output_padding=1, bias=False)
        steps = pairwise(width << i for i in reversed(range(doublings)))
        self.maps = nn.ModuleList(Layer(up(wide, narrow), narrow, latent, slope=0.0) for wide, narrow in steps)
        self.last = up(width, shape[0]) if width else nn.Linear(inner, math.prod(shape), bias=False)
        self.apply(initialize)

    def forward(self, z: Tensor) -> Tensor:
        """Maps `(N, latent)` to `(N, C, H, W)` in [-1, 1]."""
        h = self.second(self.first(z), z).unflatten(1, self.start)
        for layer in self.maps:
            h = layer(h, z)
        return self.last(h).tanh().reshape(-1, *self.shape)


class Reader(nn.Module):
    """E and D: strided convolutions if any, and hidden layers; D's z comes into all of them but the first."""

    def __init__(self, shape: tuple[int, int, int], width: int, features: int, outputs: int, latent: int = 0) -> None:
        super().__init__()
        start, doublings = plan(shape[1]) if width else (1, 0)
        down = partial(nn.Conv2d, kernel_size=5, stride=2, padding=2, bias=False)
        widths = [shape[0], *(width << i for i in range(doublings))]
        maps: list[tuple[nn.Module, int]] = [(down(a, b), b) for a, b in pairwise(widths)]
        inner = widths[-1] * start**2 if width else math.prod(shape)
        maps += [(nn.Linear(a, features, bias=False), features) for a in ([inner] if width else [inner, features])]
        self.layers = nn.ModuleList(Layer(map, n, latent if i else 0, i > 0) for i, (map, n) in enumerate(maps))
        self.last = nn.Linear(features, outputs, bias=False)
        self.apply(initialize)

    def forward(self, x: Tensor, z: Tensor | None = None) -> Tensor:
        """Maps images `(N, C, H, W)`, for D with latents `(N, latent)`, to `(N, outputs)`."""
        for layer in self.layers:
            x = layer(x, z)
        return self.last(x)


def initialize(module: nn.Module) -> None:
    """Weights from N(0, 0.02)."""
    if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)


@register(
    paper="Donahue, Krähenbühl and Darrell, Adversarial Feature Learning",
    year=2017,
    url="https://arxiv.org/abs/1605.09782",
    formula=(
        "min_{G,E} max_D E log D(x, E(x)) + E log(1 - D(G(z), z))",
        "z ~ U[-1, 1]^50",
    ),
)
class BiGAN(Samples, Encodes):
    """A discriminator of pairs, an image with its code or a latent with its image, teaches an encoder to invert G.

    Args:
        size: side of an image; with convolutions 4, 5, 6 or 7 times a power of two.
        channels: channels of an image.
        latent: length of z, uniform in [-1, 1], and of a code.
        width: feature maps beside the image (64 in the authors' code for 28 pixels); 0 for the MLPs of section 4.1.
        features: of the hidden layers.
        lr: learning rate of both players.
        betas: Adam's decay rates.
        decay: of the weights.
    """

    inference = averages = ("generator", "encoder")

    def __init__(
        self,
        size: Positive = 28,
        channels: Positive = 1,
        latent: Positive = 50,
        width: Count = 0,
        features: Positive = 1024,
        lr: NonNegative = 2e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
        decay: NonNegative = 2.5e-5,
    ) -> None:
        super().__init__()
        self.shape = (channels, size, size)
        self.prior = Uniform(-1, 1, latent)
        self.generator = Generator(latent, (channels, size, size), width, features)
        self.encoder = nn.Sequential(Reader((channels, size, size), width, features, latent), nn.Tanh())
        self.discriminator = Reader((channels, size, size), width, features, 1, latent)
        nn.init.zeros_(self.discriminator.last.weight)  # at first it says 1/2 to all
        self.adam = partial(Adam, lr=lr, betas=betas, weight_decay=decay)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player; the authors make both from the same parameters, "for efficiency"."""
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """-E log D(x, E(x)) - E log(1 - D(G(z), z))."""
        return losses.minimax_discriminator(*self.scores(batch))

    def generator_loss(self, batch: Batch) -> Tensor:
        """The labels exchanged: -E log D(G(z), z) - E log(1 - D(x, E(x)))."""
        encoded, generated = self.scores(batch)
        return losses.minimax_discriminator(generated, encoded)

    def scores(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The logits `(N, 1)` of D(x, E(x)) and of D(G(z), z), with as many z as there are images."""
        z = self.noise(batch)
        encoded = self.discriminator(self.seen(batch.images), self.encoder(batch.images))
        return encoded, self.discriminator(self.seen(self.generator(z)), z)

    def realness(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """D's logits of images with their codes."""
        return self.discriminator(images, self.encoding(images))[:, 0]
