"""f-GAN: any f-divergence between data and model can be the game, by the conjugate f* of its function f.

Nowozin, Cseke and Tomioka 2016, "f-GAN: Training Generative Neural Samplers using Variational Divergence Minimization",
arXiv:1606.00709. For every function T the difference below is at most D_f(P || Q), with equality for T = f'(p/q)
(eq. 4); the discriminator raises it, the generator lowers it. T = g(V) keeps a network's output V in the domain of f*
(eq. 6, table 6):

    F = E g(V(x)) - E f*(g(V(G(z))))        L_D = -F        L_G = F
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Adam

from ganzoo.game.abilities import Samples
from ganzoo.game.arguments import NonNegative, Positive, Probability
from ganzoo.game.engine import Player
from ganzoo.game.priors import Uniform
from ganzoo.game.registry import register
from ganzoo.nn import dcgan
from ganzoo.types import Batch

Divergence = Literal[
    "total_variation", "kl", "reverse_kl", "pearson", "neyman", "hellinger", "jeffrey", "jensen_shannon", "gan"
]
_Function = Callable[[Tensor], Tensor]


def _inverse(v: Tensor) -> Tensor:
    """W(e^(1 - v)), with Lambert's W, by Newton's method for a = log W: e^a + a = 1 - v."""
    y = 1 - v
    with torch.no_grad():
        a = torch.where(y < 1, y, y.clamp(min=1).log())
        for _ in range(6):
            a = a - (a.exp() + a - y) / (a.exp() + 1)
    return (a - (a.exp() + a - y) / (a.exp() + 1)).exp()  # the last step lets the gradient through


# g(v), and f*(g(v)) as one function of v, in which logarithms and exponentials that would overflow cancel
_FUNCTIONS: dict[Divergence, tuple[_Function, _Function]] = {
    "total_variation": (lambda v: torch.tanh(v) / 2, lambda v: torch.tanh(v) / 2),
    "kl": (lambda v: v, lambda v: torch.exp(v - 1)),
    "reverse_kl": (lambda v: -torch.exp(-v), lambda v: v - 1),
    "pearson": (lambda v: v, lambda v: v**2 / 4 + v),
    "neyman": (lambda v: 1 - torch.exp(-v), lambda v: 2 - 2 * torch.exp(-v / 2)),
    "hellinger": (lambda v: 1 - torch.exp(-v), torch.expm1),
    "jeffrey": (lambda v: v, lambda v: _inverse(v) + 1 / _inverse(v) + v - 2),
    "jensen_shannon": (lambda v: math.log(2) - F.softplus(-v), lambda v: F.softplus(v) - math.log(2)),
    "gan": (lambda v: -F.softplus(-v), F.softplus),
}


@register(
    paper="Nowozin, Cseke and Tomioka, f-GAN: Training Generative Neural Samplers using Variational Divergence "
    "Minimization",
    year=2016,
    url="https://arxiv.org/abs/1606.00709",
    formula=("F = E g(V(x)) - E f*(g(V(G(z))))", "L_D = -F", "L_G = F"),
)
class FGAN(Samples):
    """The conjugate of an f-divergence's function turns that divergence into a game of two networks.

    The divergences are the paper's without those of a free parameter (alpha, and the weighted Jensen-Shannon). The
    discriminator has no batch normalization, so that V is a function of one sample, as the bound has it.

    Args:
        size: side of an image: 4, 5, 6 or 7 times a power of two.
        channels: channels of an image.
        latent: length of z, uniform in [-1, 1].
        width: feature maps beside the images, in both networks.
        divergence: between data P and model Q, which the generator lowers; `gan` is that of the first GAN.
        trick: whether the generator raises E g(V(G(z))) instead of lowering F, which helps at first (section 3.2).
        lr: learning rate of both players.
        betas: Adam's decay rates.
    """

    def __init__(
        self,
        size: Positive = 64,
        channels: Positive = 3,
        latent: Positive = 100,
        width: Positive = 64,
        divergence: Divergence = "jensen_shannon",
        trick: bool = False,
        lr: NonNegative = 1e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
    ) -> None:
        super().__init__()
        self.shape, self.prior, self.trick = (channels, size, size), Uniform(-1, 1, latent), trick
        self.generator = dcgan.Generator(latent, channels, size, width)
        self.discriminator = dcgan.Discriminator(channels, size, width, normalization=None)
        self.activation, self.conjugate = _FUNCTIONS[divergence]
        self.adam = partial(Adam, lr=lr, betas=betas)

    def players(self) -> dict[str, Player]:
        """Both players, with the same Adam."""
        return {name: Player(getattr(self, name), self.adam) for name in ("discriminator", "generator")}

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """A step of each player on F."""
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """-F = E f*(g(V(G(z)))) - E g(V(x))."""
        return -self.bound(
            *(self.discriminator(self.seen(x)) for x in (batch.images, self.generator(self.noise(batch))))
        )

    def generator_loss(self, batch: Batch) -> Tensor:
        """The part of F that the generator can change, or -E g(V(G(z)))."""
        v = self.discriminator(self.seen(self.generator(self.noise(batch)))).float()
        return -(self.activation(v) if self.trick else self.conjugate(v)).mean()

    def bound(self, real: Tensor, fake: Tensor) -> Tensor:
        """F of V on data and on samples `(N,)`: the divergence at most, but for the two batches' chance."""
        return self.activation(real.float()).mean() - self.conjugate(fake.float()).mean()
