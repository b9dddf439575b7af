"""DualGAN: dual learning, in which each generator is trained on how well the other one inverts its translation.

Yi, Zhang, Tan and Gong 2017, "DualGAN: Unsupervised Dual Learning for Image-to-Image Translation", arXiv:1704.02510.
G_A maps domain U to V and G_B maps V to U, both with dropout for noise; two critics judge by the Wasserstein distance,
their weights clipped; what comes back must be near in L1 (eq. 1 to 3):

    L_D = E D_A(G_A(u)) - E D_A(v) + E D_B(G_B(v)) - E D_B(u)
    L_G = lambda_U E |u - G_B(G_A(u))| + lambda_V E |v - G_A(G_B(v))| - E D_A(G_A(u)) - E D_B(G_B(v))
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import RMSprop

from ganzoo.game.abilities import Translates
from ganzoo.game.engine import Player
from ganzoo.game.registry import register
from ganzoo.nn import translation
from ganzoo.objectives import losses, penalties
from ganzoo.schema import Depth, NonNegative, Positive, PositiveFloat, Probability
from ganzoo.types import Batch


@register(
    paper="Yi, Zhang, Tan and Gong, DualGAN: Unsupervised Dual Learning for Image-to-Image Translation",
    year=2017,
    url="https://arxiv.org/abs/1704.02510",
    task="translation",
    formula=(
        "L_D = E D_A(G_A(u)) - E D_A(v) + E D_B(G_B(v)) - E D_B(u)",
        "L_G = lambda_U E |u - G_B(G_A(u))| + lambda_V E |v - G_A(G_B(v))| - E D_A(G_A(u)) - E D_B(G_B(v))",
    ),
)
class DualGAN(Translates):
    """Dual learning: each generator is trained on how well the other one inverts its translation.

    `generator` is G_A, from the data's images to their targets, `inverse` G_B; `critic` is D_A, of targets, and
    `inverse_critic` D_B. The paper's game is Wasserstein's; its authors' later code has the logarithmic one instead,
    with lambda 20. At test time dropout stays alive, as there, with masks by an image's seed, and batch normalization
    takes each image's own statistics.

    Args:
        size: side of an image in training: a multiple of 2 to the power of `depth`.
        channels: of an image of V.
        source_channels: of an image of U; None for as many.
        width: feature maps of the U-Nets beside the images.
        depth: their halvings; 0 for as many as the size allows, down to a single position.
        discriminator_width: feature maps after the critics' first layer.
        patch_layers: halvings of a critic: 3 judge patches of 70 x 70 pixels.
        n_critic: updates of the critics for each of the generators, 2 to 4 in the paper.
        clip: c of the critics' weights, 0.01 to 0.1 in the paper.
        cycle: lambda_V, 100 to 1000 in the paper.
        source_cycle: lambda_U; None for as much. Less where U are photographs and V are not.
        lr: learning rate of all.
        smoothing: decay rate of RMSprop's squares.
    """

    averages = ("generator", "inverse")
    inference = ("generator", "inverse")
    leads = "generators"
    two_domains = True

    def __init__(
        self,
        size: Positive = 256,
        channels: Positive = 3,
        source_channels: Positive | None = None,
        width: Positive = 64,
        depth: Depth = 0,
        discriminator_width: Positive = 64,
        patch_layers: Depth = 3,
        n_critic: Positive = 3,
        clip: PositiveFloat = 0.01,
        cycle: NonNegative = 500.0,
        source_cycle: NonNegative | None = None,
        lr: NonNegative = 5e-5,
        smoothing: Probability = 0.9,
    ) -> None:
        super().__init__()
        source = source_channels or channels
        depth = depth or max(2, (size & -size).bit_length() - 1)  # the powers of two in the size
        self.shape, self.source_shape = (channels, size, size), (source, size, size)
        self.domains, self.back = ("b", "a"), "a"
        self.generator = translation.UNetGenerator(source, channels, width, depth)
        self.inverse = translation.UNetGenerator(channels, source, width, depth)
        critic = partial(translation.PatchDiscriminator, width=discriminator_width, layers=patch_layers)
        self.critic = critic(channels, normalization="batch")
        self.inverse_critic = critic(source, normalization="batch")
        self.stride = self.generator.stride
        self.generator.check(size)
        self.critic.check(size)
        self.n_critic, self.clip = n_critic, clip
        self.cycle, self.source_cycle = cycle, cycle if source_cycle is None else source_cycle
        self.rmsprop = partial(RMSprop, lr=lr, alpha=smoothing)

    def players(self) -> dict[str, Player]:
        """Both critics as one player, and both generators."""
        return {
            "critics": Player((self.critic, self.inverse_critic), self.rmsprop),
            "generators": Player((self.generator, self.inverse), self.rmsprop),
        }

    def transform(self, images: Tensor, to: str, *, noise: bool = True, seeds: Sequence[int] = ()) -> Tensor:
        """G_A to `b`, G_B to `a`.

        Args:
            images: `(n, C, H, W)`.
            to: the domain.
            noise: whether dropout is alive.
            seeds: of the dropout's masks, one an image.
        """
        network = self.average_module("inverse" if to == self.back else "generator")
        with translation.as_tested(network, seeds=seeds if noise and seeds else None):
            return network(images)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Algorithm 1: an update of the critics with a batch, clipped; after n_critic of them one of the generators."""
        self.move("critics", self.critics_loss, batch)
        for critic in (self.critic, self.inverse_critic):
            penalties.clip_weights((p for p in critic.parameters() if p.requires_grad), self.clip)
        if self.turn(every=self.n_critic):
            self.move("generators", self.generators_loss, batch)

    def critics_loss(self, batch: Batch) -> Tensor:
        """The sum of both critics' (eq. 1 and 2)."""
        u, v = batch.images, self.targets_of(batch)
        with torch.no_grad():
            made_v, made_u = self.generator(u), self.inverse(v)
        loss = losses.wasserstein_critic(self.critic(self.seen(v)), self.critic(self.seen(made_v)))
        scores = self.inverse_critic(self.seen(u)), self.inverse_critic(self.seen(made_u))
        return loss + losses.wasserstein_critic(*scores)

    def generators_loss(self, batch: Batch) -> Tensor:
        """What both critics say, and the ways there and back (eq. 3)."""
        u, v = batch.images, self.targets_of(batch)
        made_v, made_u = self.generator(u), self.inverse(v)
        game = losses.wasserstein_generator(self.critic(self.seen(made_v)))
        game = game + losses.wasserstein_generator(self.inverse_critic(self.seen(made_u)))
        back_u, back_v = F.l1_loss(self.inverse(made_v), u), F.l1_loss(self.generator(made_u), v)
        self.record(adversarial=game, cycle=back_u + back_v)
        return self.source_cycle * back_u + self.cycle * back_v + game
