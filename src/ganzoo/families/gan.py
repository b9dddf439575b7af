"""GAN: two networks, one that makes samples and one that tells them from data, each trained against the other.

Goodfellow et al. 2014, "Generative Adversarial Nets", arXiv:1406.2661, Algorithm 1, with the networks and the optimizer
of the authors' configuration for MNIST: a generator of rectifiers, a maxout discriminator with dropout, and momentum.

    min_G max_D  1/2 E log D(x) + 1/2 E log(1 - D(G(z)))        z ~ N(0, 1)^100

The halves are those of the authors' code, for which its learning rates were chosen.
"""

import math
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from ganzoo.game.abilities import Samples
from ganzoo.game.engine import Player
from ganzoo.game.priors import Normal, Uniform
from ganzoo.game.registry import register
from ganzoo.nn.mlp import MLP
from ganzoo.objectives import losses
from ganzoo.schema import NonNegative, Positive, PositiveFloat, Probability, Sizes
from ganzoo.types import Batch

_MOMENTUM_RISES = 250 * 50_000  # images
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
        "min_G max_D 1/2 E log D(x) + 1/2 E log(1 - D(G(z)))",
        "z ~ N(0, 1)^100",
    ),
)
class GAN(Samples):
    """A generator learns to make what a discriminator, learning too, cannot tell from data.

    The defaults are those of the authors' configuration for MNIST (`mnist.yaml`), but for two things: pixels lie in
    [-1, 1] here, not in [0, 1], so the generator ends in tanh instead of a sigmoid; and its last biases begin at 0
    instead of at what gives the data's mean picture.

    Args:
        shape: `(channels, height, width)` of an image, or `(d,)` of a point.
        latent: length of z.
        noise: z is normal, or uniform with the same variance.
        hidden: width of the generator's hidden layers.
        discriminator_hidden: width of the discriminator's.
        maxout: pieces of the discriminator's maxout units; 1 for plain layers.
        dropout: of the discriminator's hidden features in training; its inputs are dropped 0.4 times as often.
        activation: of plain hidden layers.
        loss: the generator's: the practical one of section 3, eq. 1 itself, or maximum likelihood (arXiv:1412.6515).
        scale: the discriminator divides its input by it.
        updates: discriminator updates to one of the generator, the paper's k.
        gain: of orthogonal initial weights; None for uniform ones in [-0.05, 0.05], the discriminator's in a tenth of
            that.
        lr: learning rate of the generator.
        discriminator_lr: learning rate of the discriminator.
        decay: by what share learning rates shrink in 100 images, a batch of the authors'; to 1e-5 of them at the least.
        momentum: of stochastic gradient descent, at first.
        final_momentum: after 250 epochs of 50,000 images, to which it rises linearly.
        betas: where given, Adam with these decay rates takes the place of momentum, as in later work.
    """

    def __init__(
        self,
        shape: Sizes = (1, 28, 28),
        latent: Positive = 100,
        noise: Literal["uniform", "normal"] = "normal",
        hidden: Sizes = (1200, 1200),
        discriminator_hidden: Sizes = (240, 240),
        maxout: Positive = 5,
        dropout: Probability = 0.5,
        activation: Literal["relu", "tanh"] = "relu",
        loss: Literal["nonsaturating", "minimax", "maximum-likelihood"] = "nonsaturating",
        scale: PositiveFloat = 1.0,
        updates: Positive = 1,
        gain: float | None = None,
        lr: NonNegative = 0.1,
        discriminator_lr: NonNegative = 0.1,
        decay: NonNegative = 4e-6,
        momentum: Probability = 0.5,
        final_momentum: Probability = 0.7,
        betas: tuple[Probability, Probability] | None = None,
    ) -> None:
        super().__init__()
        self.shape, self.updates = tuple(shape), updates
        self.prior = Uniform(-math.sqrt(3), math.sqrt(3), latent) if noise == "uniform" else Normal(latent)
        self.objective = _GENERATOR_LOSSES[loss]
        between = {"relu": nn.ReLU, "tanh": nn.Tanh}[activation]
        last = nn.Tanh() if len(self.shape) == 3 else None  # the authors' sigmoid, in the range [-1, 1]
        self.generator = MLP((latent,), self.shape, hidden, between, last)
        self.discriminator = MLP(self.shape, (), discriminator_hidden, between, None, dropout, maxout, scale)
        for network, bound in ((self.generator, 0.05), (self.discriminator, 0.005)):
            network.apply(partial(_initialize, gain=gain, bound=bound))
        self.momenta = (momentum, final_momentum) if betas is None else None
        self.schedule = partial(_shrunk, decay=decay)
        optimizer = (
            partial(torch.optim.SGD, momentum=momentum) if betas is None else partial(torch.optim.Adam, betas=betas)
        )
        self.optimizers_of = partial(optimizer, lr=discriminator_lr), partial(optimizer, lr=lr)

    def players(self) -> dict[str, Player]:
        """The discriminator and the generator."""
        discriminator, generator = self.optimizers_of
        return {
            "discriminator": Player(self.discriminator, discriminator, self.schedule),
            "generator": Player(self.generator, generator, self.schedule),
        }

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Algorithm 1: k updates of the discriminator, then one of the generator."""
        if self.momenta is not None:
            first, last = self.momenta
            now = first + (last - first) * min(1.0, self.images_seen / _MOMENTUM_RISES)
            for player in ("discriminator", "generator"):
                for group in self.optimizer(player).param_groups:
                    group["momentum"] = now
        self.move("discriminator", self.discriminator_loss, batch)
        if self.turn(every=self.updates):
            self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """-1/2 E log D(x) - 1/2 E log(1 - D(G(z)))."""
        fake = self.generator(self.noise(batch))
        logits = (self.discriminator(self.seen(images)) for images in (batch.images, fake))
        return 0.5 * losses.minimax_discriminator(*logits)

    def generator_loss(self, batch: Batch) -> Tensor:
        """-E log D(G(z)), or what `loss` says."""
        return self.objective(self.discriminator(self.seen(self.generator(self.noise(batch)))))


def _shrunk(images: int, decay: float) -> float:
    """The factor on the learning rates after so many images: 1 / (1 + decay) for each 100."""
    return max((1 + decay) ** (-images / 100), 1e-5)


def _initialize(module: nn.Module, gain: float | None, bound: float) -> None:
    if isinstance(module, nn.Linear):
        if gain is None:
            nn.init.uniform_(module.weight, -bound, bound)
        else:
            nn.init.orthogonal_(module.weight, gain)
        nn.init.zeros_(module.bias)
