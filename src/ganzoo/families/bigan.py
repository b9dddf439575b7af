"""BiGAN: an encoder plays beside the generator, and learns to undo it without ever being told to.

Donahue, Krähenbühl and Darrell 2017, "Adversarial Feature Learning", arXiv:1605.09782. The discriminator sees pairs:
an image with its code, or a latent with its image. Where it cannot tell them apart, E inverts G (Theorem 2):

    min_{G,E} max_D  E log D(x, E(x)) + E log(1 - D(G(z), z))        z ~ U[-1, 1]^50

G and E are one player and descend the same with the labels exchanged (section 3.4): -E log(1 - D(x, E(x))) -
E log D(G(z), z). The networks are those of the authors' code.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.data.batch import Images, to_float
from ganzoo.objectives import losses
from ganzoo.training.engine import Player
from ganzoo.training.game import Game
from ganzoo.types import BadArgument, Batch
from ganzoo.zoo.arguments import Positive, Share, Weight
from ganzoo.zoo.registry import register


class Layer(nn.Module):
    """`activation(normalize(A h + B z))`: a hidden layer, to which a map of the latent may be added.

    Args:
        inputs: length of h.
        outputs: units of the layer.
        latent: length of z; 0 where none comes in.
        normalize: by batch statistics, without gain and bias (as the authors' command for MNIST says).
        slope: of the activation below 0.
    """

    def __init__(self, inputs: int, outputs: int, latent: int = 0, normalize: bool = True, slope: float = 0.2) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.latent = nn.Linear(latent, outputs, bias=False) if latent else None
        self.normalization = nn.BatchNorm1d(outputs, affine=False) if normalize else nn.Identity()
        self.slope = slope

    def forward(self, h: Tensor, z: Tensor | None = None) -> Tensor:
        """Maps `(N, inputs)`, and `z` `(N, latent)` where the layer takes it, to `(N, outputs)`."""
        h = self.linear(h)
        if self.latent is not None:
            h = h + self.latent(z)
        return F.leaky_relu(self.normalization(h), self.slope)


class Generator(nn.Module):
    """G: two hidden layers of `units` rectifiers, into both of which z comes."""

    def __init__(self, latent: int, shape: tuple[int, ...], units: int) -> None:
        super().__init__()
        self.shape = shape
        self.first = Layer(latent, units, slope=0.0)
        self.second = Layer(units, units, latent, slope=0.0)
        self.last = nn.Linear(units, math.prod(shape), bias=False)
        self.apply(initialise)

    def forward(self, z: Tensor) -> Tensor:
        """Maps `(N, latent)` to `(N, C, H, W)` in [-1, 1]."""
        return self.last(self.second(self.first(z), z)).tanh().unflatten(1, self.shape)  # type: ignore[no-any-return]


class Reader(nn.Module):
    """The trunk and head of E and of D: two hidden layers of leaky rectifiers, into the second of which D's z comes.

    Args:
        shape: `(C, H, W)` of an image.
        units: of a hidden layer.
        outputs: numbers that come out.
        latent: length of D's z; 0 for E.
    """

    def __init__(self, shape: tuple[int, ...], units: int, outputs: int, latent: int = 0) -> None:
        super().__init__()
        self.first = Layer(math.prod(shape), units, normalize=False)
        self.second = Layer(units, units, latent)
        self.last = nn.Linear(units, outputs, bias=False)
        self.apply(initialise)

    def forward(self, x: Tensor, z: Tensor | None = None) -> Tensor:
        """Maps images `(N, C, H, W)`, for D with latents `(N, latent)`, to `(N, outputs)`."""
        return self.last(self.second(self.first(x.flatten(1)), z))  # type: ignore[no-any-return]


def initialise(module: nn.Module) -> None:
    """Weights from N(0, 0.02)."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)


@register(
    paper="Donahue, Krähenbühl and Darrell, Adversarial Feature Learning",
    year=2017,
    url="https://arxiv.org/abs/1605.09782",
)
class BiGAN(Game):
    """A discriminator of pairs, an image with its code or a latent with its image, teaches an encoder to invert G.

    Args:
        size: side of an image.
        channels: of an image.
        latent: length of z, uniform in [-1, 1], and of a code.
        width: units of the hidden layers.
        lr: learning rate of both players.
        betas: Adam's decay rates.
        decay: of the weights.
    """

    inference = ("generator", "encoder")
    averages = ("generator", "encoder")

    def __init__(
        self,
        size: Positive = 28,
        channels: Positive = 1,
        latent: Positive = 50,
        width: Positive = 1024,
        lr: Weight = 2e-4,
        betas: tuple[Share, Share] = (0.5, 0.999),
        decay: Weight = 2.5e-5,
    ) -> None:
        super().__init__()
        self.shape, self.latent = (channels, size, size), latent
        self.generator = Generator(latent, self.shape, width)
        self.encoder = nn.Sequential(Reader(self.shape, width, latent), nn.Tanh())  # codes have the prior's range
        self.discriminator = Reader(self.shape, width, 1, latent)
        nn.init.zeros_(self.discriminator.last.weight)  # at first it says 1/2 to all
        self.adam = partial(Adam, lr=lr, betas=betas, weight_decay=decay)

    def players(self) -> dict[str, Player]:
        """The discriminator, and the generator with the encoder."""
        return {
            "discriminator": Player(self.discriminator, self.adam),
            "generator": Player((self.generator, self.encoder), self.adam),
        }

    def prior(self, rng: np.random.RandomState) -> np.ndarray:
        """z ~ U[-1, 1] in each coordinate."""
        return rng.uniform(-1, 1, self.latent)

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
        z = batch.images.new_empty(len(batch.images), self.latent).uniform_(-1, 1)
        encoded = self.discriminator(batch.images, self.encoder(batch.images))
        return encoded, self.discriminator(self.generator(z), z)

    def encode(self, images: Tensor, *, batch_size: int | None = None) -> Tensor:
        """Finds the codes E(x).

        Args:
            images: `(n, C, H, W)` in [-1, 1].
            batch_size: images at a time; 256 where None.

        Returns:
            Codes `(n, latent)` float32 in [-1, 1], on the CPU.
        """
        if images.dim() != 4 or tuple(images.shape[1:]) != self.shape:
            raise BadArgument(f"images have shape {tuple(images.shape)}; (n, *{self.shape}) is expected")
        encoder = self.average_module("encoder")
        with self.inferring():
            parts = images.to(self._precision).split(batch_size or 256)
            return torch.cat([encoder(part.to(self.device)).float().cpu() for part in parts])

    def pictures(self, real: Images | None) -> dict[str, Tensor]:
        """Reconstructions: rows of test images x, each above its row of G(E(x))."""
        if real is None:
            return {}
        images = to_float(real.batch([i * len(real) // 24 for i in range(24)]).images)
        codes = self.encode(images).to(self.device, self._precision)
        with self.inferring():
            made = self.limit(self.generate(codes).float().cpu())
        return {
            "reconstructions": torch.stack([images.unflatten(0, (2, 12)), made.unflatten(0, (2, 12))], 1).flatten(0, 1)
        }
