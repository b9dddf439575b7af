"""Unrolled GAN: the generator looks ahead at how the discriminator will answer.

Metz, Poole, Pfau and Sohl-Dickstein 2017, "Unrolled Generative Adversarial Networks", arXiv:1611.02163. The generator
descends the game's value after K further updates of the discriminator, and differentiates through them (eq. 7 to 11).
It is then not worth while to put all samples on one mode, because the discriminator would follow:

    theta_D^{k+1} = theta_D^k + eta df(theta_G, theta_D^k)/dtheta_D        min_G f(theta_G, theta_D^K(theta_G, theta_D))
"""

from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ganzoo.game.abilities import Samples
from ganzoo.game.engine import Player, adams
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn.mlp import MLP
from ganzoo.objectives import losses, penalties
from ganzoo.schema import Count, NonNegative, Positive, PositiveFloat, Probability, Sizes
from ganzoo.types import Batch


@register(
    paper="Metz, Poole, Pfau and Sohl-Dickstein, Unrolled Generative Adversarial Networks",
    year=2017,
    url="https://arxiv.org/abs/1611.02163",
    method="Unrolled GAN",
    formula=(
        "theta_D^{k+1} = theta_D^k + eta df(theta_G, theta_D^k)/dtheta_D",
        "min_G f(theta_G, theta_D^K(theta_G, theta_D))",
    ),
)
class UnrolledGAN(Samples):
    """A generator that differentiates through the discriminator's next updates does not collapse onto one mode.

    The defaults are the paper's for a ring of normal distributions (appendix B): the networks, Adam and the alternating
    updates. The discriminator's steps ahead are Adam's, begun from its present moments, as in the authors' code.

    Args:
        shape: `(channels, height, width)` of an image, or `(d,)` of a point.
        latent: length of z, normal.
        unroll: K, the discriminator's updates that the generator looks ahead; 0 is the plain GAN.
        hidden: width of the generator's hidden layers.
        discriminator_hidden: width of the discriminator's.
        activation: between the layers of both.
        gain: of the orthogonal initial weights.
        scale: the discriminator divides its input by it.
        lr: learning rate of the generator.
        discriminator_lr: of the discriminator, ahead too.
        betas: Adam's decay rates.
    """

    coupled = True  # the look-ahead follows the batch's mean gradient

    def __init__(
        self,
        shape: Sizes = (2,),
        latent: Positive = 256,
        unroll: Count = 10,
        hidden: Sizes = (128, 128),
        discriminator_hidden: Sizes = (128,),
        activation: Literal["relu", "tanh"] = "relu",
        gain: float = 0.8,
        scale: PositiveFloat = 4.0,
        lr: NonNegative = 1e-4,
        discriminator_lr: NonNegative = 1e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
    ) -> None:
        super().__init__()
        self.shape, self.unroll = tuple(shape), unroll
        self.prior = Normal(latent)
        between = {"relu": nn.ReLU, "tanh": nn.Tanh}[activation]
        last = nn.Tanh() if len(self.shape) == 3 else None
        self.generator = MLP((latent,), self.shape, hidden, between, last)
        self.discriminator = MLP(self.shape, (), discriminator_hidden, between, scale=scale)
        self.apply(partial(_initialize, gain=gain))
        self.adams = adams(lr, discriminator_lr, betas)

    def players(self) -> dict[str, Player]:
        """The discriminator and the generator."""
        return {name: Player(getattr(self, name), adam) for name, adam in self.adams.items()}

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Eq. 10 and 11: the generator on the surrogate, from the present discriminator; then the discriminator."""
        self.move("generator", self.generator_loss, batch)
        self.move("discriminator", self.discriminator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """-f: -E log D(x) - E log(1 - D(G(z)))."""
        fake = self.generator(self.noise(batch))
        return losses.minimax_discriminator(*(self.discriminator(self.seen(x)) for x in (batch.images, fake)))

    def generator_loss(self, batch: Batch) -> Tensor:
        """f(theta_G, theta_D^K), on the same batch and noise at every step ahead, as in the authors' code."""
        with penalties.eager():  # second derivatives
            return -self.look_ahead(batch.images, self.generator(self.noise(batch)))

    def look_ahead(self, real: Tensor, fake: Tensor) -> Tensor:
        """The discriminator's loss after K steps of its Adam, as a function of `fake` through all of them.

        All parameters are one vector here, so that a step of Adam is a handful of operations.
        """
        optimizer = self.optimizer("discriminator")
        (group,) = optimizer.param_groups
        beta1, beta2 = group["betas"]
        parameters = dict(self.discriminator.named_parameters())
        both = torch.cat([self.seen(real), self.seen(fake)])

        def loss_at(theta: Tensor) -> Tensor:
            pieces = theta.split([parameter.numel() for parameter in parameters.values()])
            named = {name: v.view_as(p) for (name, p), v in zip(parameters.items(), pieces, strict=True)}
            real_logits, fake_logits = functional_call(self.discriminator, named, (both,)).split(len(real))
            return losses.minimax_discriminator(real_logits, fake_logits)

        theta = torch.cat([parameter.detach().flatten() for parameter in parameters.values()]).requires_grad_()
        states = [optimizer.state[parameter] for parameter in parameters.values()]
        first, second, taken = torch.zeros_like(theta), torch.zeros_like(theta), torch.zeros((), device=theta.device)
        if states[0]:
            first = torch.cat([state["exp_avg"].flatten() for state in states])
            second = torch.cat([state["exp_avg_sq"].flatten() for state in states])
            taken = states[0]["step"]
        for k in range(1, self.unroll + 1):
            (gradient,) = torch.autograd.grad(loss_at(theta), theta, create_graph=True)
            first = beta1 * first + (1 - beta1) * gradient
            second = beta2 * second + (1 - beta2) * gradient.square()
            # The root has no derivative at 0, where a gradient that is exactly 0 would put it
            root = (second / (1 - beta2 ** (taken + k)) + 1e-24).sqrt()
            theta = theta - group["lr"] * (first / (1 - beta1 ** (taken + k))) / (root + group["eps"])
        return loss_at(theta)


def _initialize(module: nn.Module, gain: float) -> None:
    if isinstance(module, nn.Linear):
        nn.init.orthogonal_(module.weight, gain)
        nn.init.zeros_(module.bias)
