"""f-GAN: any f-divergence between data and model can be the game, by the conjugate f* of its function f.

Nowozin, Cseke and Tomioka 2016, "f-GAN: Training Generative Neural Samplers using Variational Divergence Minimization",
arXiv:1606.00709. For every function T the difference below is at most D_f(P || Q), with equality for T = f'(p/q)
(eq. 4); the discriminator raises it, the generator lowers it. T = g(V) keeps a network's output V in the domain of f*
(eq. 6, table 6):

    F = E g(V(x)) - E f*(g(V(G(z))))        L_D = -F        L_G = F

`ganzoo lecture divergences` sets each divergence of two Gaussians beside the F that a network finds (docs/theory).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Gt, Lt
from torch import Tensor
from torch.optim import Adam

from ganzoo.game.abilities import Samples
from ganzoo.game.priors import Uniform
from ganzoo.game.registry import register
from ganzoo.nn import dcgan
from ganzoo.schema import NonNegative, Positive, Probability
from ganzoo.types import BadArgument, Batch

Divergence = Literal[
    "total_variation", "kl", "reverse_kl", "pearson", "neyman", "hellinger", "jeffrey", "jensen_shannon",
    "weighted_jensen_shannon", "gan", "alpha",
]  # fmt: skip
_Function = Callable[[Tensor], Tensor]
_Pair = tuple[_Function, _Function]


def _inverse(v: Tensor) -> Tensor:
    """W(e^(1 - v)), with Lambert's W, by Newton's method for a = log W: e^a + a = 1 - v."""
    y = 1 - v
    with torch.no_grad():
        a = torch.where(y < 1, y, y.clamp(min=1).log())
        for _ in range(6):
            a = a - (a.exp() + a - y) / (a.exp() + 1)
    return (a - (a.exp() + a - y) / (a.exp() + 1)).exp()  # the last step lets the gradient through


# g(v), and f*(g(v)) as one function of v, in which logarithms and exponentials that would overflow cancel
_FUNCTIONS: dict[str, _Pair] = {
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


def _log_softplus(v: Tensor) -> Tensor:
    """log log(1 + e^-v), which is -v where that rounds to 0."""
    return torch.where(v > 30, -v, F.softplus(-v.clamp(max=30)).log())


def _alpha(a: float) -> _Pair:
    """f(u) = (u^a - 1 - a (u - 1)) / (a (a - 1)), with f*(t) = (1/a) (t (a - 1) + 1)^(a / (a - 1)) - 1/a.

    Below 1 the paper's g_f(v) = 1/(1 - a) - log(1 + e^-v) is moved along v, so that v = 0, where training begins, gives
    f'(1) = 0: at a = 0.9 the conjugate would be 3e10 there.
    """
    if a in (0, 1):
        raise BadArgument(f"alpha is {a}, where the divergence is {'kl' if a else 'reverse_kl'}; choose that one")
    power = a / (a - 1)
    if a > 1:  # t may be any number; below -1 / (a - 1) the best u is 0
        return lambda v: v, lambda v: ((v * (a - 1) + 1).clamp(min=0) ** power - 1) / a
    scale, most = power * math.log(1 - a), 1 / (1 - a)
    middle = most + math.log(-math.expm1(-most))  # log(1 + e^middle) = 1 / (1 - a)
    return (
        lambda v: most - F.softplus(middle - v),
        lambda v: ((power * _log_softplus(v - middle) + scale).exp() - 1) / a,
    )


def _weighted(pi: float) -> _Pair:
    """pi KL(P || M) + (1 - pi) KL(Q || M) with M = pi P + (1 - pi) Q.

    f*(t) = (1 - pi) log((1 - pi) / (1 - pi e^(t/pi))).
    """

    def conjugate(v: Tensor) -> Tensor:
        shares = -torch.expm1(-F.softplus(-v.clamp(max=30)) / pi)
        return (1 - pi) * (math.log(1 - pi) - torch.where(v > 30, -v - math.log(pi), shares.log()))

    return lambda v: -pi * math.log(pi) - F.softplus(-v), conjugate


def functions(divergence: Divergence, alpha: float = 0.5, pi: float = 0.5) -> _Pair:
    """g(v) and f*(g(v)) of a divergence (table 6)."""
    if divergence == "alpha":
        return _alpha(alpha)
    return _weighted(pi) if divergence == "weighted_jensen_shannon" else _FUNCTIONS[divergence]


@register(
    paper="Nowozin, Cseke and Tomioka, f-GAN: Training Generative Neural Samplers using Variational Divergence "
    "Minimization",
    year=2016,
    url="https://arxiv.org/abs/1606.00709",
    method="f-GAN",
    formula=("F = E g(V(x)) - E f*(g(V(G(z))))", "L_D = -F", "L_G = F"),
)
class FGAN(Samples):
    """The conjugate of an f-divergence's function turns that divergence into a game of two networks.

    The divergences are those of the paper's tables, which leave both free parameters open. The discriminator has no
    batch normalization, so that V is a function of one sample, as the bound has it. The paper's algorithm 1 takes both
    gradients at the same parameters (`engine.simultaneous`); here the generator answers the moved discriminator.

    Args:
        size: side of an image: 4, 5, 6 or 7 times a power of two.
        channels: channels of an image.
        latent: length of z, uniform in [-1, 1].
        width: feature maps beside the images, in both networks.
        divergence: between data P and model Q, which the generator lowers; `gan` is that of the first GAN.
        alpha: of the alpha-divergence, neither 0 nor 1; 2 is half of Pearson's.
        pi: the weight of P in the weighted Jensen-Shannon divergence; 1/2 is half of the paper's Jensen-Shannon.
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
        alpha: float = 0.5,
        pi: Annotated[float, Gt(0), Lt(1)] = 0.5,
        trick: bool = False,
        lr: NonNegative = 1e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
    ) -> None:
        super().__init__()
        self.shape, self.prior, self.trick = (channels, size, size), Uniform(-1, 1, latent), trick
        self.generator = dcgan.Generator(latent, channels, size, width)
        self.discriminator = dcgan.Discriminator(channels, size, width, normalization=None)
        self.activation, self.conjugate = functions(divergence, alpha, pi)
        self.adam = partial(Adam, lr=lr, betas=betas)

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
