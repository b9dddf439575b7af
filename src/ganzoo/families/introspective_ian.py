"""Introspective adversarial networks: the encoder is the discriminator's own trunk, so what it sees is reconstructed.

Brock, Lim, Ritchie and Weston 2017, "Neural Photo Editing with Introspective Adversarial Networks", arXiv:1609.07093. A
VAE and a GAN share their networks: on the discriminator's feature maps f_l, which the game alone shapes, a small
encoder rests, q(z | x), and the generator is its decoder. The discriminator tells real images, reconstructions x^ and
samples apart (the ternary adversarial loss, of the classes 0, 1 and 2), and both halves are to bring x back in pixels
and in the f_l. Filters are kept near orthonormal ones (orthogonal regularization), and the generator looks far around
itself by dilated convolutions that share one filter:

    z^ = mu(x) + sigma(x) e, e ~ N(0, 1)        x^ = G(z^)        z ~ N(0, 1)^100
    L_D = -E log D_0(x) - E log D_1(x^) - E log D_2(G(z)) + ortho(D)
    L_G = -E log D_0(x^) - E log D_0(G(z)) + 3 E 2|x - x^| + mean_l E (f_l(x) - f_l(x^))^2 + KL(q | N(0, 1)) + ortho(G)
    ortho = 0.001 sum |W W^T - 1|
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Encodes, Samples
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn.dcgan import plan
from ganzoo.nn.minibatch import MinibatchDiscrimination
from ganzoo.schema import Layers, NonNegative, Positive, Probability
from ganzoo.types import Batch

_SLOPE = 0.2


class Multiscale(nn.Module):
    """A multiscale dilated convolution: one filter of 3 x 3 at several dilations, each with a weight a feature map.

    Args:
        inputs: feature maps.
        outputs: feature maps.
        dilations: of the filter; 0 for its mean, at one point.
    """

    def __init__(self, inputs: int, outputs: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.dilations = tuple(dilations)
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.shares = nn.Parameter(torch.full((len(dilations), outputs), 1 / len(dilations)))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, inputs, h, w)` to `(N, outputs, h, w)`."""
        found = x.new_zeros(())
        for dilation, share in zip(self.dilations, self.shares, strict=True):
            filters = self.weight if dilation else self.weight.mean((2, 3), keepdim=True)
            weight = share[:, None, None, None] * filters
            found = found + F.conv2d(x, weight, padding=dilation, dilation=max(dilation, 1))
        return found


class Block(nn.Module):
    """Two multiscale convolutions beside what comes in, normalized before each and at the end."""

    def __init__(self, width: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            *normalized(width),
            Multiscale(width, width, dilations),
            *normalized(width),
            Multiscale(width, width, dilations),
        )
        self.outer = nn.Sequential(*normalized(width))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, width, h, w)` to the same shape."""
        return self.outer(x + self.inner(x))


def normalized(width: int) -> tuple[nn.Module, nn.Module]:
    """Batch normalization and a leaky rectifier."""
    return nn.BatchNorm2d(width), nn.LeakyReLU(_SLOPE)


class Colors(nn.Module):
    """Each channel as the mean of a Beta distribution, whose parameters see the channels before it too."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        dilations = (1, 2, 3, 4)
        self.own = nn.ModuleList(Multiscale(width, 2, dilations) for _ in range(channels))
        self.before = nn.ModuleList(Multiscale(2 * i, 2, dilations) for i in range(1, channels))

    def forward(self, h: Tensor) -> Tensor:
        """Maps `(N, width, H, W)` to images `(N, C, H, W)` in [-1, 1]: 2 alpha / (alpha + beta) - 1."""
        found: list[Tensor] = []
        for i, own in enumerate(self.own):
            logits = own(h) + self.before[i - 1](torch.cat(found, 1)) if i else own(h)
            found.append(logits.sigmoid())
        parameters = torch.stack(found, 1)
        return 2 * parameters[:, :, 0] / (parameters.sum(2) + 1e-8) - 1


class Generator(nn.Module):
    """G: doublings by fractionally strided convolutions, with a block of multiscale ones behind all but the last."""

    def __init__(self, latent: int, channels: int, size: int, width: int) -> None:
        super().__init__()
        self.start, doublings = plan(size)
        widths = [width << max(doublings - 2 - i, 0) for i in range(doublings)]
        self.first = nn.Linear(latent, widths[0] * self.start**2)
        layers: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(pairwise([widths[0], *widths])):
            layers.append(nn.ConvTranspose2d(inputs, outputs, 5, stride=2, padding=2, output_padding=1))
            block = Block(outputs, (0, 1, 2, 3) if i else (0, 1, 2))
            layers += [block] if i < doublings - 1 else normalized(outputs)
        self.layers = nn.Sequential(*layers)
        self.colors = Colors(width, channels)

    def forward(self, z: Tensor) -> Tensor:
        """Maps `(N, latent)` to images `(N, C, H, W)` in [-1, 1]."""
        h = F.leaky_relu(self.first(z), _SLOPE).unflatten(1, (-1, self.start, self.start))
        return self.colors(self.layers(h))


class Discriminator(nn.Module):
    """D: the trunk that the encoder shares, and logits of three classes: real, reconstructed and generated images."""

    def __init__(self, channels: int, size: int, width: int, kernels: int) -> None:
        super().__init__()
        widths = [width << i for i in range(plan(size)[1])]
        down = partial(nn.Conv2d, kernel_size=5, stride=2, padding=2)
        self.trunk = nn.ModuleList([nn.Sequential(down(channels, width), nn.LeakyReLU(_SLOPE))])
        self.trunk.extend(nn.Sequential(down(a, b, bias=False), *normalized(b)) for a, b in pairwise(widths))
        self.minibatch = MinibatchDiscrimination(widths[-1], kernels, 5)
        self.last = nn.Linear(widths[-1] + kernels, 3, bias=False)

    def features(self, x: Tensor) -> list[Tensor]:
        """The feature maps f_l `(N, C, h, w)` of images, from the finest to the coarsest."""
        found = [x]
        for layer in self.trunk:
            found.append(layer(found[-1]))
        return found[1:]

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Maps images `(N, C, H, W)` to logits `(N, 3)` and feature maps."""
        features = self.features(x)
        return self.last(self.minibatch(features[-1].mean((2, 3)))), features


class Encoder(nn.Module):
    """q(z | x): of the trunk's last feature maps each latent's mean and logarithm of the standard deviation."""

    def __init__(self, inputs: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(inputs, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU())
        self.last = nn.Sequential(nn.Linear(hidden, 2 * latent, bias=False), nn.BatchNorm1d(2 * latent))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Maps feature maps `(N, C, h, w)` to means and logarithms `(N, latent)`."""
        mean, log_deviation = self.last(self.hidden(features.flatten(1))).chunk(2, 1)
        return mean, log_deviation


def initialize(module: nn.Module) -> None:
    """Weights from N(0, 0.02), no biases."""
    if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, Multiscale)):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if not isinstance(module, Multiscale) and module.bias is not None:
            nn.init.zeros_(module.bias)


@register(
    paper="Brock, Lim, Ritchie and Weston, Neural Photo Editing with Introspective Adversarial Networks",
    year=2017,
    url="https://arxiv.org/abs/1609.07093",
    formula=(
        "L_D = -E log D_0(x) - E log D_1(x^) - E log D_2(G(z)) + ortho(D)",
        "L_G = -E log D_0(x^) - E log D_0(G(z)) + 3 E 2|x - x^| + mean_l E (f_l(x) - f_l(x^))^2 + KL(q | N(0, 1)) + "
        "ortho(G)",
        "ortho = 0.001 sum |W W^T - 1|",
    ),
)
class IAN(Samples, Encodes):
    """The discriminator's features feed an encoder, and measure how well an image is reconstructed.

    Networks and weights of the losses are those of the authors' code, in batches of 16. Theirs moves the discriminator
    and the generator on alternate batches, and the encoder with both; here all see every batch, and the encoder moves
    with the generator, whose losses it shares. It draws z through an inverse autoregressive flow too, which the paper
    has not; it is left out, and so is its weight decay of 0.00001 on the encoder. W's rows are a layer's filters, as in
    the paper; the code takes the rows of each filter. Its learning rate falls to 0.00001 within 75 epochs of CelebA.

    Args:
        size: side of an image: 4, 5, 6 or 7 times a power of two.
        channels: channels of an image.
        latent: length of z, normal.
        width: feature maps beside the images.
        hidden_units: of the encoder's layer on the trunk.
        kernels: of the minibatch discrimination.
        reconstruction: weight of pixels.
        introspection: weight of feature maps.
        orthogonal: weight of the orthogonal regularization.
        lr: learning rate of both players.
        betas: Adam's decay rates.
    """

    inference = averages = ("generator", "encoder", "discriminator")
    coupled = True  # the discriminator compares a batch's samples

    def __init__(
        self,
        size: Positive = 64,
        channels: Layers = 3,  # a module each
        latent: Positive = 100,
        width: Positive = 128,
        hidden_units: Positive = 1000,
        kernels: Positive = 500,
        reconstruction: NonNegative = 3.0,
        introspection: NonNegative = 1.0,
        orthogonal: NonNegative = 1e-3,
        lr: NonNegative = 2e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
    ) -> None:
        super().__init__()
        self.shape, self.prior = (channels, size, size), Normal(latent)
        self.pixels, self.introspection, self.orthogonal = reconstruction, introspection, orthogonal
        self.generator = Generator(latent, channels, size, width)
        self.discriminator = Discriminator(channels, size, width, kernels)
        start, doublings = plan(size)
        self.encoder = Encoder((width << (doublings - 1)) * start**2, hidden_units, latent)
        self.apply(initialize)
        self.adam = partial(Adam, lr=lr, betas=betas)  # the trunk is the discriminator's, and learns by the game alone

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player."""
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """-E log D_0(x) - E log D_1(x^) - E log D_2(G(z)) + ortho(D)."""
        with torch.no_grad():
            z, _ = self.posterior(self.discriminator.features(batch.images))
            shown = (batch.images, self.generator(z), self.generator(self.noise(batch)))
        told = [said(self.discriminator(self.seen(x))[0], which) for which, x in enumerate(shown)]
        return torch.stack(told).sum() + self.orthogonality(self.discriminator)

    def generator_loss(self, batch: Batch) -> Tensor:
        """-E log D_0(x^) - E log D_0(G(z)) + 3 E 2|x - x^| + mean_l E (f_l(x) - f_l(x^))^2 + KL + ortho(G)."""
        features = self.discriminator.features(batch.images)
        z, divergence = self.posterior(features)
        back = self.generator(z)
        shown = self.seen(back)
        scores, found = self.discriminator(shown)
        if shown is not back:  # augmented, as no photograph is whose features it is to have
            found = self.discriminator.features(back)
        fake = self.generator(self.noise(batch))
        fooled = said(scores, 0) + said(self.discriminator(self.seen(fake))[0], 0)
        pixels = 2 * (back - batch.images).abs().mean()
        seen = torch.stack([F.mse_loss(a, b) for a, b in zip(found, features, strict=True)]).mean()
        self.record(pixels=pixels, seen=seen, divergence=divergence)
        near = self.pixels * pixels + self.introspection * seen
        return fooled + near + divergence + self.orthogonality(self.generator)

    def posterior(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """z^ `(N, latent)` of the trunk's feature maps, and KL(q | N(0, 1)), a mean over the latents."""
        mean, log_deviation = self.encoder(features[-1])
        divergence = 0.5 * (mean.square() + (2 * log_deviation).exp() - 2 * log_deviation - 1).mean()
        noise = torch.randn(mean.shape, dtype=mean.dtype, device=mean.device)
        return mean + log_deviation.exp() * noise, divergence

    def orthogonality(self, network: nn.Module) -> Tensor:
        """0.001 sum |W W^T - 1| over a network's convolutions, a filter a row."""
        total = torch.zeros((), device=self.device)
        if not self.orthogonal:
            return total
        with torch.autocast(self.device.type, enabled=False):
            for layer in network.modules():
                if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, Multiscale)):
                    turned = isinstance(layer, nn.ConvTranspose2d)
                    filters = (layer.weight.transpose(0, 1) if turned else layer.weight).flatten(1)
                    one = torch.eye(len(filters), dtype=filters.dtype, device=filters.device)
                    total = total + (filters @ filters.T - one).abs().sum()
        return self.orthogonal * total

    def encoding(self, images: Tensor) -> Tensor:
        """The means of q(z | x)."""
        trunk: Any = self.average_module("discriminator")
        return self.average_module("encoder")(trunk.features(images)[-1])[0]

    def realness(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """log D_0."""
        return self.discriminator(images)[0].log_softmax(1)[:, 0]


def said(logits: Tensor, which: int) -> Tensor:
    """-E log D_which of logits `(N, 3)`."""
    return -logits.float().log_softmax(1)[:, which].mean()
