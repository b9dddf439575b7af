"""GAN: two networks, one that makes samples and one that tells them from data, each trained against the other.

Goodfellow et al. 2014, "Generative Adversarial Nets", arXiv:1406.2661, Algorithm 1, with the networks and the optimizer
of the authors' configuration for MNIST: a generator of rectifiers, a maxout discriminator with dropout, and momentum.

    min_G max_D  E log D(x) + E log(1 - D(G(z)))        z ~ U[-sqrt 3, sqrt 3]^100
"""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from ganzoo.game.abilities import Samples
from ganzoo.game.arguments import Positive, Scale, Share, Sizes, Weight
from ganzoo.game.engine import Player
from ganzoo.game.priors import Normal, Uniform
from ganzoo.game.registry import register
from ganzoo.nn.mlp import MLP
from ganzoo.objectives import losses
from ganzoo.types import Batch

_GENERATOR_LOSSES = {
    "nonsaturating": losses.nonsaturating_generator,
    "minimax": losses.minimax_generator,
    "maximum-likelihood": losses.maximum_likelihood_generator,
}


@register(
    paper="Goodfellow, Pouget-Abadie, Mirza, Xu, Warde-Farley, Ozair, Courville and Bengio, Generative Adversarial "
    "Nets",
    year=2014,
    url="https://arxiv.org/abs/1406.2661",
    formula=(
        "min_G max_D E log D(x) + E log(1 - D(G(z)))",
        "z ~ U[-sqrt 3, sqrt 3]^100",
    ),
)
class GAN(Samples):
    """A generator learns to make what a discriminator, learning too, cannot tell from data.

    Args:
        shape: `(channels, height, width)` of an image, or `(d,)` of a point.
        latent: length of z.
        noise: z is uniform, with variance 1, or normal.
        hidden: width of the generator's hidden layers.
        discriminator_hidden: width of the discriminator's.
        maxout: pieces of the discriminator's maxout units; 1 for plain layers.
        dropout: of the discriminator's hidden features in training; its inputs are dropped 0.4 times as often.
        activation: of plain hidden layers.
        loss: the generator's: the practical one of section 3, eq. 1 itself, or maximum likelihood (arXiv:1412.6515).
        scale: the discriminator divides its input by it.
        updates: discriminator updates to one of the generator, the paper's k.
        gain: of orthogonal initial weights; None for uniform ones in [-0.05, 0.05], as in the authors' configuration.
        lr: learning rate of the generator.
        discriminator_lr: of the discriminator.
        momentum: of stochastic gradient descent.
        betas: where given, Adam with these decay rates takes the place of momentum, as in later work.
    """

    def __init__(
        self,
        shape: Sizes = (1, 28, 28),
        latent: Positive = 100,
        noise: Literal["uniform", "normal"] = "uniform",
        hidden: Sizes = (1200, 1200),
        discriminator_hidden: Sizes = (240, 240),
        maxout: Positive = 5,
        dropout: Share = 0.5,
        activation: Literal["relu", "tanh"] = "relu",
        loss: Literal["nonsaturating", "minimax", "maximum-likelihood"] = "nonsaturating",
        scale: Scale = 1.0,
        updates: Positive = 1,
        gain: float | None = None,
        lr: Weight = 0.1,
        discriminator_lr: Weight = 0.1,
        momentum: Share = 0.5,
        betas: tuple[Share, Share] | None = None,
    ) -> None:
        super().__init__()
        self.shape, self.updates = tuple(shape), updates
        self.prior = Uniform(-math.sqrt(3), math.sqrt(3), latent) if noise == "uniform" else Normal(latent)
        self.objective = _GENERATOR_LOSSES[loss]
        between = {"relu": nn.ReLU, "tanh": nn.Tanh}[activation]
        last = nn.Tanh() if len(self.shape) == 3 else None  # the authors' sigmoid, in the range [-1, 1]
        self.generator = MLP((latent,), self.shape, hidden, between, last)
        self.discriminator = MLP(self.shape, (), discriminator_hidden, between, None, dropout, maxout, scale)
        self.apply(partial(_initialise, gain=gain))
        optimizer = (
            partial(torch.optim.SGD, momentum=momentum) if betas is None else partial(torch.optim.Adam, betas=betas)
        )
        self.optimizers_of = partial(optimizer, lr=discriminator_lr), partial(optimizer, lr=lr)

    def players(self) -> dict[str, Player]:
        """The discriminator and the generator."""
        discriminator, generator = self.optimizers_of
        return {
            "discriminator": Player(self.discriminator, discriminator),
            "generator": Player(self.generator, generator),
        }

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Algorithm 1: k updates of the discriminator, then one of the generator."""
        self.move("discriminator", self.discriminator_loss, batch)
        if self.turn(every=self.updates):
            self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """-E log D(x) - E log(1 - D(G(z)))."""
        fake = self.generator(self.noise(batch))
        return losses.minimax_discriminator(self.discriminator(batch.images), self.discriminator(fake))

    def generator_loss(self, batch: Batch) -> Tensor:
        """-E log D(G(z)), or what `loss` says."""
        return self.objective(self.discriminator(self.generator(self.noise(batch))))


def _initialise(module: nn.Module, gain: float | None) -> None:
    if isinstance(module, nn.Linear):
        if gain is None:
            nn.init.uniform_(module.weight, -0.05, 0.05)
        else:
            nn.init.orthogonal_(module.weight, gain)
        nn.init.zeros_(module.bias)
