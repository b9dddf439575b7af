"""BEGAN: the discriminator is an autoencoder, and a controller keeps the two players in balance.

Berthelot, Schumm and Metz 2017, "BEGAN: Boundary Equilibrium Generative Adversarial Networks", arXiv:1703.10717. With
the autoencoder's error L(v) = mean |v - D(v)| the distributions of errors are matched, not those of images:

    L_D = L(x) - k L(G(z_D))        L_G = L(G(z_G))        k <- k + lambda_k (gamma L(x) - L(G(z_G))), in [0, 1]
    M = L(x) + |gamma L(x) - L(G(z_G))|, the measure of convergence
"""

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.data.batch import Images
from ganzoo.game.abilities import Samples
from ganzoo.game.engine import Player
from ganzoo.game.priors import Uniform
from ganzoo.game.registry import register
from ganzoo.media.charts import curve
from ganzoo.nn.course import Course
from ganzoo.schema import NonNegative, Positive, Probability
from ganzoo.types import BadArgument, Batch


def encoder(latent: int, channels: int, size: int, width: int) -> nn.Sequential:
    """Two 3 x 3 convolutions with ELU a resolution, `width` more maps at each, strides between; then a linear layer."""
    start, doublings = _plan(size)
    layers = _conv(channels, width)
    for i in range(doublings + 1):
        wide = width * (i + 1)
        layers += [*_conv(width * max(i, 1), wide), *_conv(wide, wide)]
        layers += _conv(wide, wide, stride=2) if i < doublings else []
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(wide * start**2, latent))


def decoder(latent: int, channels: int, size: int, width: int) -> nn.Sequential:
    """A linear layer, then two 3 x 3 convolutions with ELU a resolution and nearest neighbours between; no tanh."""
    start, doublings = _plan(size)
    layers: list[nn.Module] = [nn.Linear(latent, width * start**2), nn.Unflatten(1, (width, start, start))]
    for i in range(doublings + 1):
        layers += [*_conv(width, width), *_conv(width, width)]
        layers += [nn.Upsample(scale_factor=2)] if i < doublings else []
    return nn.Sequential(*layers, nn.Conv2d(width, channels, 3, padding=1))


def _plan(size: int) -> tuple[int, int]:
    doublings = max(0, (size - 1).bit_length() - 3)
    if size % 2**doublings:
        raise BadArgument(f"image size is {size}; 5 to 8 times a power of two is expected, such as 28, 32 or 64")
    return size // 2**doublings, doublings


def _conv(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, stride, padding=1), nn.ELU(inplace=True)]


class Equilibrium(Course):
    """k, and the course of M over the generator's updates."""

    def __init__(self) -> None:
        super().__init__()
        self.k = nn.Buffer(torch.zeros(()))

    @torch.no_grad()
    def advance(self, real: Tensor, fake: Tensor, gamma: float, gain: float, update: int) -> Tensor:
        """Moves k after an update with the errors L(x) and L(G(z_G)), and returns M (section 3.4)."""
        balance = gamma * real - fake
        k = (self.k + gain * balance).clamp(0, 1)
        self.k.copy_(torch.where(balance.isfinite(), k, self.k))  # a move that was skipped does not spoil it
        measure = real + balance.abs()
        self.note(measure, update)
        return measure


@register(
    paper="Berthelot, Schumm and Metz, BEGAN: Boundary Equilibrium Generative Adversarial Networks",
    year=2017,
    url="https://arxiv.org/abs/1703.10717",
    formula=(
        "L_D = L(x) - k L(G(z_D))",
        "L_G = L(G(z_G))",
        "k <- k + lambda_k (gamma L(x) - L(G(z_G))), in [0, 1]",
        "M = L(x) + |gamma L(x) - L(G(z_G))|, the measure of convergence",
    ),
)
class BEGAN(Samples):
    """An autoencoder criticises by how well it reconstructs, and a controller balances it against the generator.

    Args:
        size: side of an image: 5 to 8 times a power of two.
        channels: channels of an image.
        latent: length of z, uniform in [-1, 1], and of the autoencoder's code (N_h in section 3.5).
        width: feature maps of the generator and decoder, and by how many those of the encoder grow (n in figure 1).
        gamma: the ratio of errors on samples to those on data in equilibrium; lower for sharper, less diverse samples.
        gain: lambda_k, the proportional gain of the controller.
        patience: updates after which the learning rate is halved where M did not fall by a hundredth (section 4.1).
        lr: initial learning rate of both players (section 4.1).
        betas: Adam's decay rates.
    """

    inference = ("generator", "equilibrium")

    def __init__(
        self,
        size: Positive = 64,
        channels: Positive = 3,
        latent: Positive = 64,
        width: Positive = 128,
        gamma: NonNegative = 0.5,
        gain: NonNegative = 0.001,
        patience: Positive = 100_000,
        lr: NonNegative = 1e-4,
        betas: tuple[Probability, Probability] = (0.9, 0.999),
    ) -> None:
        super().__init__()
        self.shape = (channels, size, size)
        self.prior = Uniform(-1, 1, latent)
        self.gamma, self.gain, self.patience, self.adam = gamma, gain, patience, partial(Adam, lr=lr, betas=betas)
        self.generator = decoder(latent, channels, size, width)
        self.discriminator = nn.Sequential(
            encoder(latent, channels, size, width), decoder(latent, channels, size, width)
        )
        for layer in self.modules():  # the paper does not say; without normalization it matters that signals last
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.xavier_uniform_(layer.weight)
        self.equilibrium = Equilibrium()
        self.real_errors: list[Tensor] = []  # L(x) of the slices of a step,
        self.fake_errors: list[Tensor] = []  # and L(G(z_G))
        self.halvings = 0  # of the learning rate
        self.previous_mean, self.sum = float("inf"), torch.zeros((), device="cpu")  # of M, by which it is halved

    def players(self) -> dict[str, Player]:
        """The discriminator and the generator, with the same Adam."""
        networks = {"discriminator": self.discriminator, "generator": self.generator}
        return {name: Player(each, self.adam, lambda _: 0.5**self.halvings) for name, each in networks.items()}

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player, then of k (section 3.4)."""
        self.real_errors, self.fake_errors = [], []
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)
        self.keep_balance()

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """L(x) - k L(G(z_D))."""
        error = self.error(batch.images)
        self.real_errors.append(error.detach())
        return error - self.equilibrium.k * self.error(self.generator(self.noise(batch)))

    def generator_loss(self, batch: Batch) -> Tensor:
        """L(G(z_G))."""
        error = self.error(self.generator(self.noise(batch)))
        self.fake_errors.append(error.detach())
        return error

    def error(self, images: Tensor) -> Tensor:
        """L(v) = mean |v - D(v)| over images and pixels, the paper's with eta = 1."""
        images = self.seen(images)
        return F.l1_loss(self.discriminator(images).float(), images.float())

    def realness(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """-L(v) of each image: what D knows, it makes again."""
        return -(self.discriminator(images).float() - images.float()).abs().mean((1, 2, 3))

    def keep_balance(self) -> None:
        """Moves k by the errors of all ranks, and halves the learning rate when M stalls."""
        errors = torch.stack([torch.stack(found).mean() for found in (self.real_errors, self.fake_errors)])
        real, fake = self.trainer.strategy.reduce(errors, reduce_op="mean")
        measure = self.equilibrium.advance(real, fake, self.gamma, self.gain, self.global_step - 1)
        self.record(measure=measure, k=self.equilibrium.k)
        self.sum = self.sum.to(measure) + measure
        if self.global_step % self.patience == 0:
            mean = float(self.sum) / self.patience
            self.halvings += not mean < 0.99 * self.previous_mean
            self.previous_mean, self.sum = mean, torch.zeros_like(self.sum)

    def rank_state(self) -> dict[str, Tensor]:
        """How often the learning rate was halved, and what decides it."""
        return {"pace": torch.tensor([self.halvings, self.previous_mean, float(self.sum)], dtype=torch.float64)}

    def load_rank_state(self, state: dict[str, Tensor]) -> None:
        """Takes them back."""
        halvings, self.previous_mean, total = state["pace"].tolist()
        self.halvings, self.sum = int(halvings), torch.tensor(total, dtype=torch.float32)

    def pictures(self, real: Images | None) -> dict[str, Tensor]:
        """M over the generator's updates, once there is a course to draw."""
        if self.equilibrium.updates < 2:
            return {}
        course = self.equilibrium.points()
        chart = np.array(curve({"M": course}, title="Convergence measure M", x_label="generator updates"))
        return {"convergence": torch.from_numpy(chart).permute(2, 0, 1).float()[None, None] / 127.5 - 1}
