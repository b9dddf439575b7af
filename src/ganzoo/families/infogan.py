"""InfoGAN: latent codes that a network can read back from the samples take on meaning without labels.

Chen et al. 2016, "InfoGAN: Interpretable Representation Learning by Information Maximizing Generative Adversarial
Nets", arXiv:1606.03657. A part c of the latents is recovered by a network Q on the discriminator's trunk. How well it
does bounds the mutual information of c and G(z, c) from below (eq. 5), and is maximised:

    min_{G,Q} max_D  V(D, G) - lambda L_I(G, Q),        L_I = E log Q(c | G(z, c)) + H(c)
"""

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Samples
from ganzoo.game.engine import Player
from ganzoo.game.priors import Joint, Normal, Uniform
from ganzoo.game.registry import register
from ganzoo.nn import dcgan
from ganzoo.objectives import losses
from ganzoo.schema import Count, NonNegative, Positive, Probability
from ganzoo.types import Batch, Condition

SLOPE = 0.1  # of leaky ReLU (appendix C); the authors' code has 0.01


class Generator(nn.Module):
    """Two fully connected layers, then fractionally strided convolutions; all normalized, with ReLU; tanh (appendix C).

    Args:
        latent: length of what comes in, noise and codes.
        channels: channels of an image.
        size: side of an image.
        width: feature maps before the last layer; each layer towards z has twice as many.
        dense: width of the first layer.
    """

    def __init__(self, latent: int, channels: int, size: int, width: int, dense: int) -> None:
        super().__init__()
        start, doublings = dcgan.plan(size)
        widths = [width * 2**i for i in reversed(range(doublings))]
        flat = widths[0] * start**2
        layers: list[nn.Module] = [nn.Linear(latent, dense, bias=False), nn.BatchNorm1d(dense), nn.ReLU(inplace=True)]
        layers += [nn.Linear(dense, flat, bias=False), nn.BatchNorm1d(flat), nn.ReLU(inplace=True)]
        layers += [nn.Unflatten(1, (widths[0], start, start))]
        for wide, narrow in pairwise(widths):
            layers += [nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(narrow), nn.ReLU(inplace=True)]
        self.main = nn.Sequential(*layers, nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1), nn.Tanh())
        self.apply(dcgan.initialize)

    def forward(self, z: Tensor) -> Tensor:
        """Maps `(N, latent)` to `(N, channels, size, size)` in [-1, 1]."""
        return self.main(z)


class Discriminator(nn.Module):
    """Strided convolutions, normalized but for the first, and a fully connected layer, whose features Q reads too.

    Args:
        channels: channels of an image.
        size: side of an image.
        width: feature maps after the first layer; each further layer has twice as many.
        dense: width of the fully connected layer, and length of the features.
    """

    def __init__(self, channels: int, size: int, width: int, dense: int) -> None:
        super().__init__()
        start, doublings = dcgan.plan(size)
        widths = [width * 2**i for i in range(doublings)]
        layers: list[nn.Module] = [
            nn.Conv2d(channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
        ]
        for narrow, wide in pairwise(widths):
            layers += [nn.Conv2d(narrow, wide, 4, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(wide), nn.LeakyReLU(SLOPE, inplace=True)]
        layers += [nn.Flatten(), nn.Linear(widths[-1] * start**2, dense, bias=False)]
        self.features = nn.Sequential(*layers, nn.BatchNorm1d(dense), nn.LeakyReLU(SLOPE, inplace=True))
        self.feature_shape = (dense,)
        self.head = nn.Linear(dense, 1)
        self.apply(dcgan.initialize)

    def forward(self, x: Tensor, with_features: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Maps `(N, channels, size, size)` to logits `(N,)`, and features `(N, dense)` beside them if asked for."""
        features = self.features(x)
        scores = self.head(features).squeeze(1)
        return (scores, features) if with_features else scores


class Recogniser(nn.Module):
    """Q: reads the codes from the discriminator's features; a hidden layer of 128, as in appendix C.

    Args:
        features: length of the flattened features.
        categories: values of the categorical code.
        continuous: number of continuous codes.
    """

    def __init__(self, features: int, categories: int, continuous: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            nn.Flatten(), nn.Linear(features, 128, bias=False), nn.BatchNorm1d(128), nn.LeakyReLU(SLOPE)
        )
        self.category = nn.Linear(128, categories)
        self.mean = nn.Linear(128, continuous)
        self.apply(dcgan.initialize)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Maps features to the category's logits `(N, categories)` and the codes' means `(N, continuous)`."""
        hidden = self.hidden(features)
        return self.category(hidden), self.mean(hidden)


@register(
    paper="Chen, Duan, Houthooft, Schulman, Sutskever and Abbeel, InfoGAN: Interpretable Representation Learning by "
    "Information Maximizing Generative Adversarial Nets",
    year=2016,
    url="https://arxiv.org/abs/1606.03657",
    task="unconditional",  # its classes are codes that it finds, not labels that it is given
    formula=(
        "min_{G,Q} max_D V(D, G) - lambda L_I(G, Q)",
        "L_I = E log Q(c | G(z, c)) + H(c)",
    ),
)
class InfoGAN(Samples):
    """Codes that must be readable from the samples come to mean something: a class, a slant, a width.

    As in the authors' code, Q and the trunk it shares belong to the discriminator's player, the information term stands
    in both players' losses, and Q of a continuous code is a normal distribution of standard deviation 1.

    Args:
        size: side of an image: 4, 5, 6 or 7 times a power of two.
        channels: channels of an image.
        incompressible: length of the noise z beside the codes.
        noise: what it is drawn from: uniform in [-1, 1], as in the authors' code, or normal.
        categories: values of the categorical code (`labels` of `sample`).
        continuous: number of continuous codes, uniform in [-1, 1].
        width: feature maps beside the images.
        dense: width of the fully connected layers of both networks (1024 in appendix C); 0 for DCGAN's networks, which
            have none.
        weight: lambda, of the information term.
        lr: learning rate of the generator.
        discriminator_lr: of the discriminator and Q.
        betas: Adam's decay rates.
    """

    named = False  # what its codes come to mean, nobody knows before

    def __init__(
        self,
        size: Positive = 28,
        channels: Positive = 1,
        incompressible: Count = 62,
        noise: Literal["uniform", "normal"] = "uniform",
        categories: Positive = 10,
        continuous: Count = 2,
        width: Positive = 64,
        dense: Count = 1024,
        weight: NonNegative = 1.0,
        lr: NonNegative = 1e-3,
        discriminator_lr: NonNegative = 2e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
    ) -> None:
        super().__init__()
        self.shape, self.classes, self.weight = (channels, size, size), categories, weight
        rest = Uniform(-1, 1, incompressible) if noise == "uniform" else Normal(incompressible)
        self.prior, self.continuous = Joint((rest, Uniform(-1, 1, continuous))), continuous
        inputs = self.latent + categories
        self.generator: nn.Module
        self.discriminator: Discriminator | dcgan.Discriminator
        if dense:
            self.generator = Generator(inputs, channels, size, width, dense)
            self.discriminator = Discriminator(channels, size, width, dense)
        else:
            self.generator = dcgan.Generator(inputs, channels, size, width)
            self.discriminator = dcgan.Discriminator(channels, size, width)
        self.recogniser = Recogniser(math.prod(self.discriminator.feature_shape), categories, continuous)
        self.generator_adam = partial(Adam, lr=lr, betas=betas)
        self.discriminator_adam = partial(Adam, lr=discriminator_lr, betas=betas)

    def players(self) -> dict[str, Player]:
        """The discriminator with Q, and the generator."""
        return {
            "discriminator": Player((self.discriminator, self.recogniser), self.discriminator_adam),
            "generator": Player(self.generator, self.generator_adam),
        }

    def generate(self, z: Tensor, condition: Condition) -> Tensor:
        """Maps noise with continuous codes `(n, latent)` and categories `(n,)` through the averaged generator."""
        assert condition.labels is not None and self.classes is not None
        return self.averaged(torch.cat([z, F.one_hot(condition.labels, self.classes).to(z)], 1))

    def vary(self, seeds: Sequence[int], code: int, values: Sequence[float], category: int | None = None) -> Tensor:
        """Changes one continuous code and holds all else: the paper's figure 2.

        Args:
            seeds: one row of pictures a seed.
            code: which continuous code.
            values: what it is set to; beyond [-1, 1] it extrapolates.
            category: the category of all; None for each seed's own.

        Returns:
            Images `(seeds, values, C, H, W)` in [-1, 1].
        """
        z, labels = self.draw(seeds, category)
        assert labels is not None
        rows = z.repeat_interleave(len(values), 0)
        rows[:, self.latent - self.continuous + code] = torch.tensor(values, dtype=rows.dtype).repeat(len(seeds))
        with self.inferring():
            images = self.generate(
                rows.to(self.device), Condition(labels.repeat_interleave(len(values)).to(self.device))
            )
        images = self.limit(images.float().cpu())
        return images.reshape(len(seeds), len(values), *self.shape)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player."""
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """-E log D(x) - E log(1 - D(G(z, c))) - lambda L_I."""
        z, category, codes = self.latents_and_labels(batch)
        fake, features = self.discriminator(self.seen(self.generate_live(z, category)), with_features=True)
        game = losses.minimax_discriminator(self.discriminator(self.seen(batch.images)), fake)
        return game - self.weight * self.information(features, category, codes)

    def generator_loss(self, batch: Batch) -> Tensor:
        """-E log D(G(z, c)) - lambda L_I."""
        z, category, codes = self.latents_and_labels(batch)
        fake, features = self.discriminator(self.seen(self.generate_live(z, category)), with_features=True)
        game = losses.nonsaturating_generator(fake)
        information = self.information(features, category, codes)
        self.record(information=information)
        return game - self.weight * information

    def information(self, features: Tensor, category: Tensor, codes: Tensor) -> Tensor:
        """L_I (eq. 5), in nats, without the constants of the continuous codes' entropy and normal density."""
        logits: Tensor
        means: Tensor
        logits, means = self.recogniser(features)
        entropy = math.log(logits.shape[1])  # of the uniform category; the other codes' constants have no gradient
        categorical = entropy - F.cross_entropy(logits.float(), category)
        return categorical - 0.5 * (codes - means.float()).square().sum(1).mean()

    def generate_live(self, z: Tensor, category: Tensor) -> Tensor:
        """The live generator on noise with continuous codes, and categories."""
        assert self.classes is not None
        return self.generator(torch.cat([z, F.one_hot(category, self.classes).to(z)], 1))

    def latents_and_labels(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Noise with continuous codes `(N, latent)`, categories `(N,)` and the codes alone `(N, continuous)`."""
        assert self.classes is not None
        n = len(batch.images)
        z = self.noise(batch)
        return z, torch.randint(self.classes, (n,), device=self.device), z[:, self.latent - self.continuous :]
