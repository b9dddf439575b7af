"""Unrolled GAN: the generator looks ahead at how the discriminator will answer.

Metz, Poole, Pfau and Sohl-Dickstein 2017, "Unrolled Generative Adversarial Networks", arXiv:1611.02163. The generator descends
the game's value after K further updates of the discriminator, and differentiates through them (eq. 7 to 11). It is then not
worth while to put all samples on one mode, because the discriminator would follow:

    theta_D^{k+1} = theta_D^k + eta df(theta_G, theta_D^k)/dtheta_D        min_G f(theta_G, theta_D^K(theta_G, theta_D))
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ganzoo.nn.mlp import MLP
from ganzoo.objectives import losses, penalties
from ganzoo.training.engine import Player
from ganzoo.training.game import Game
from ganzoo.types import Batch
from ganzoo.zoo.registry import register


@register(
    paper="Metz, Poole, Pfau and Sohl-Dickstein, Unrolled Generative Adversarial Networks",
    year=2017,
    url="https://arxiv.org/abs/1611.02163",
)
class UnrolledGAN(Game):
    """A generator that differentiates through the discriminator's next updates does not collapse onto one mode.

    The defaults are those of the authors' published example on a ring of eight normal distributions; the discriminator's
    steps ahead are Adam's, begun from its present moments, as there.

    Args:
        shape: `(channels, height, width)` of an image, or `(d,)` of a point.
        latent: length of z, normal.
        unroll: K, the discriminator's updates that the generator looks ahead; 0 is the plain GAN.
        hidden: width of the hidden layers of both players.
        activation: between them.
        gain: of the orthogonal initial weights.
        lr: learning rate of the generator.
        discriminator_lr: of the discriminator, ahead too.
        betas: Adam's decay rates.
    """

    def __init__(
        self,
        shape: tuple[int, ...] = (2,),
        latent: int = 256,
        unroll: int = 5,
        hidden: tuple[int, ...] = (128, 128),
        activation: Literal["relu", "tanh"] = "tanh",
        gain: float = 1.4,
        lr: float = 1e-3,
        discriminator_lr: float = 1e-4,
        betas: tuple[float, float] = (0.5, 0.999),
    ) -> None:
        super().__init__()
        self.shape, self.latent, self.unroll = tuple(shape), latent, unroll
        between = {"relu": nn.ReLU, "tanh": nn.Tanh}[activation]
        last = nn.Tanh() if len(self.shape) == 3 else None
        self.generator = MLP((latent,), self.shape, hidden, between, last)
        self.discriminator = MLP(self.shape, (), hidden, between)
        self.apply(partial(_initialise, gain=gain))
        self.generator_adam = partial(torch.optim.Adam, lr=lr, betas=betas)
        self.discriminator_adam = partial(torch.optim.Adam, lr=discriminator_lr, betas=betas)

    def players(self) -> dict[str, Player]:
        """The discriminator and the generator."""
        return {
            "discriminator": Player(self.discriminator, self.discriminator_adam),
            "generator": Player(self.generator, self.generator_adam),
        }

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Eq. 10 and 11: the generator on the surrogate, from the present discriminator; then the discriminator."""
        self.move("generator", self.generator_loss, batch)
        self.move("discriminator", self.discriminator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """-f: -E log D(x) - E log(1 - D(G(z)))."""
        fake = self.generator(self.noise(batch))
        return losses.minimax_discriminator(self.discriminator(batch.images), self.discriminator(fake))

    def generator_loss(self, batch: Batch) -> Tensor:
        """f(theta_G, theta_D^K), on the same batch and noise at every step ahead, as in the authors' code."""
        fake = self.generator(self.noise(batch))
        with penalties.eager():  # second derivatives
            parameters = self.look_ahead(batch.images, fake)
            real_logits = functional_call(self.discriminator, parameters, (batch.images,))
            fake_logits = functional_call(self.discriminator, parameters, (fake,))
        return -losses.minimax_discriminator(real_logits, fake_logits)

    def look_ahead(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """The discriminator's parameters after K steps of Adam, as functions of `fake`."""
        optimizer = self.optimizer("discriminator")
        (group,) = optimizer.param_groups
        beta1, beta2 = group["betas"]
        named = dict(self.discriminator.named_parameters())
        theta = {name: parameter.detach().clone().requires_grad_() for name, parameter in named.items()}
        state = {name: optimizer.state[parameter] for name, parameter in named.items()}
        first = {name: s["exp_avg"] if s else torch.zeros_like(theta[name]) for name, s in state.items()}
        second = {name: s["exp_avg_sq"] if s else torch.zeros_like(theta[name]) for name, s in state.items()}
        taken = next((s["step"] for s in state.values() if s), torch.zeros((), device=self.device))
        for k in range(1, self.unroll + 1):
            real_logits = functional_call(self.discriminator, theta, (real,))
            fake_logits = functional_call(self.discriminator, theta, (fake,))
            loss = losses.minimax_discriminator(real_logits, fake_logits)
            gradients = torch.autograd.grad(loss, list(theta.values()), create_graph=True)
            correction1, correction2 = 1 - beta1 ** (taken + k), 1 - beta2 ** (taken + k)
            for (name, parameter), gradient in zip(list(theta.items()), gradients, strict=True):
                first[name] = beta1 * first[name] + (1 - beta1) * gradient
                second[name] = beta2 * second[name] + (1 - beta2) * gradient.square()
                # The root has no derivative at 0, where a gradient that is exactly 0 would put it
                root = (second[name] / correction2 + 1e-24).sqrt()
                theta[name] = parameter - group["lr"] * (first[name] / correction1) / (root + group["eps"])
        return theta

    def noise(self, batch: Batch) -> Tensor:
        """z `(N, latent)`, as many as there are samples in the batch."""
        return torch.randn(len(batch.images), self.latent, device=self.device)


def _initialise(module: nn.Module, gain: float) -> None:
    if isinstance(module, nn.Linear):
        nn.init.orthogonal_(module.weight, gain)
        nn.init.zeros_(module.bias)
