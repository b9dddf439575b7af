"""BGAN: the generator seeks the discriminator's boundary; what D says are importance weights, also for discrete pixels.

Hjelm, Jacob, Che, Trischler, Cho and Bengio 2018, "Boundary-Seeking Generative Adversarial Networks", arXiv:1702.08431.
Of D = s(F), with the sigmoid s, D / (1 - D) = exp F estimates p/q; samples are on the boundary where it is 1.
Continuous samples are moved there,

    L_D = -E log D(x) - E log(1 - D(G(z)))        L_G = 1/2 E (log D(G(z)) - log(1 - D(G(z))))^2

and binary ones, through which no gradient passes, are drawn M times for each z from the pixels' probabilities g(x|z).
They are weighted as the data would be, and the generator is drawn to them as by REINFORCE (Algorithm 1):

    w_m = exp F(x_m) / sum_m' exp F(x_m')        L_G = -E_z sum_m w_m log g(x_m | z)
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Samples
from ganzoo.game.priors import Uniform
from ganzoo.game.registry import register
from ganzoo.nn import dcgan
from ganzoo.objectives import losses
from ganzoo.schema import NonNegative, Positive, Probability
from ganzoo.types import Batch, Condition


@register(
    paper="Hjelm, Jacob, Che, Trischler, Cho and Bengio, Boundary-Seeking Generative Adversarial Networks",
    year=2018,
    url="https://arxiv.org/abs/1702.08431",
    method="Boundary-seeking GAN",
    formula=(
        "L_D = -E log D(x) - E log(1 - D(G(z)))",
        "L_G = 1/2 E (log D(G(z)) - log(1 - D(G(z))))^2",
        "w_m = exp F(x_m) / sum_m' exp F(x_m')",
        "L_G = -E_z sum_m w_m log g(x_m | z)",
    ),
)
class BGAN(Samples):
    """A generator that seeks the discriminator's boundary can learn binary pixels, which have no gradient.

    The networks are DCGAN's of any size, where the authors' of 28 pixels have fully connected layers too. As in their
    code the discriminator has batch normalization for continuous pixels and none for binary ones, of which it is shown
    M draws of each z. No baseline is needed, since the weights of the M sum to 1. Their code for continuous pixels can
    also measure F from a running estimate of log Z; this one is the paper's formula.

    Args:
        size: side of an image: 4, 5, 6 or 7 times a power of two.
        channels: channels of an image.
        latent: length of z, uniform in [-1, 1]: the authors' [0, 1], but for what the first normalization takes away.
        width: feature maps beside the images, in both networks.
        outputs: of pixels: `continuous` in [-1, 1], or `binary`, -1 or 1; data are then 1 above 0.
        draws: M, of binary images for each z.
        lr: learning rate of both players.
        betas: Adam's decay rates.
    """

    def __init__(
        self,
        size: Positive = 28,
        channels: Positive = 1,
        latent: Positive = 64,
        width: Positive = 64,
        outputs: Literal["continuous", "binary"] = "continuous",
        draws: Positive = 20,
        lr: NonNegative = 1e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
    ) -> None:
        super().__init__()
        self.shape, self.prior = (channels, size, size), Uniform(-1, 1, latent)
        self.binary, self.draws = outputs == "binary", draws
        # Of binary pixels G's outputs are logits l, of which tanh(l / 2) = 2 s(l) - 1 is the expected picture
        self.generator = dcgan.Generator(latent, channels, size, width, nn.Identity() if self.binary else None)
        self.discriminator = dcgan.Discriminator(channels, size, width, None if self.binary else nn.BatchNorm2d)
        self.adam = partial(Adam, lr=lr, betas=betas)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player."""
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """-E log D(x) - E log(1 - D(G(z)))."""
        made = self.generator(self.noise(batch))
        fake = self.drawn(made).flatten(0, 1) if self.binary else made
        images = self.binarized(batch.images), fake
        return losses.minimax_discriminator(*(self.discriminator(self.seen(x)) for x in images))

    def generator_loss(self, batch: Batch) -> Tensor:
        """1/2 E F(G(z))^2, or -E_z sum_m w_m log g(x_m | z)."""
        made = self.generator(self.noise(batch))
        if not self.binary:
            return 0.5 * self.discriminator(self.seen(made)).float().square().mean()
        samples = self.drawn(made)
        with torch.no_grad():
            weights = self.discriminator(self.seen(samples.flatten(0, 1))).float().view(self.draws, -1).softmax(0)
        self.record(effective_draws=weights.square().sum(0).reciprocal().mean())
        return -(weights * log_likelihood(samples, made)).sum(0).mean()

    def drawn(self, logits: Tensor) -> Tensor:
        """M binary images `(M, N, C, H, W)` of -1 and 1 for each of the pixels' logits `(N, C, H, W)`."""
        chances = torch.rand(self.draws * len(logits), *self.shape, device=logits.device)
        return torch.where(chances.view(self.draws, -1, *self.shape) < logits.detach().float().sigmoid(), 1.0, -1.0)

    def binarized(self, images: Tensor) -> Tensor:
        """Real images: as they are, or 1 above 0 and -1 elsewhere."""
        return torch.where(images > 0, 1.0, -1.0) if self.binary else images

    def generate(self, z: Tensor, condition: Condition) -> Tensor:
        """Images, or the expected ones of binary pixels."""
        made: Tensor = self.averaged(z)
        return (made / 2).tanh() if self.binary else made

    def render(self, z: Tensor, condition: Condition, rngs: Sequence[np.random.RandomState]) -> Tensor:
        """Images, of binary pixels drawn by each image's own stream."""
        images = self.generate(z, condition)
        if not self.binary:
            return images
        chances = torch.from_numpy(np.stack([rng.rand(*self.shape) for rng in rngs])).to(images)
        return torch.where(chances < (images + 1) / 2, 1.0, -1.0)

    def realness(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """F of each image."""
        return self.discriminator(self.binarized(images))


def log_likelihood(samples: Tensor, logits: Tensor) -> Tensor:
    """log g(x_m | z) `(M, N)` of samples `(M, N, C, H, W)` of -1 and 1, with logits `(N, C, H, W)` of being 1."""
    return F.logsigmoid(samples * logits.float()).flatten(2).sum(2)
