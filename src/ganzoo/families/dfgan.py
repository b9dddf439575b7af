"""DF-GAN: one generator draws the final size at once, with the sentence fused into every layer.

Tao, Tang, Wu, Jing, Bao and Xu 2022, "DF-GAN: A Simple and Effective Baseline for Text-to-Image Synthesis",
arXiv:2008.05865. A sentence's embedding e and z scale and shift the generator's features in every layer. The
discriminator judges once, image and sentence together (one-way output), and its gradient is kept small where a real
image and its own sentence meet, MA-GP (eq. 1 to 3), with e^ the sentence of another image:

    L_D = E max(0, 1 - D(x, e)) + 1/2 E max(0, 1 + D(G(z, e), e)) + 1/2 E max(0, 1 + D(x, e^))
          + k E ||(grad_x D(x, e), grad_e D(x, e))||^p
    L_G = -E D(G(z, e), e)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Depicts
from ganzoo.game.engine import Player
from ganzoo.game.priors import Normal, truncate
from ganzoo.game.registry import register
from ganzoo.objectives import losses, penalties
from ganzoo.schema import NonNegative, Positive, PositiveFloat, Probability, Words
from ganzoo.types import BadArgument, Batch, Condition


class Affine(nn.Module):
    """gamma x + beta, each by two layers of the condition, which begin with 1 and 0.

    Args:
        condition: length of (z, e).
        width: feature maps.
    """

    def __init__(self, condition: int, width: int) -> None:
        super().__init__()
        self.gamma, self.beta = (self._layers(condition, width, value) for value in (1.0, 0.0))

    @staticmethod
    def _layers(condition: int, width: int, value: float) -> nn.Sequential:
        last = nn.Linear(width, width)
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, value)
        return nn.Sequential(nn.Linear(condition, width), nn.ReLU(), last)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """Maps `(N, width, H, W)` to the same shape."""
        return self.gamma(c)[:, :, None, None] * x + self.beta(c)[:, :, None, None]


class UpBlock(nn.Module):
    """Doubles the side, and adds two convolutions, each behind a deep text-image fusion block: two affine maps.

    Args:
        condition: length of (z, e).
        inputs: feature maps that go in.
        outputs: feature maps that come out.
    """

    def __init__(self, condition: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.fuse1, self.fuse2 = (
            nn.ModuleList(Affine(condition, width) for _ in range(2)) for width in (inputs, outputs)
        )
        self.c1, self.c2 = nn.Conv2d(inputs, outputs, 3, 1, 1), nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.c_sc = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """Maps `(N, inputs, H, W)` to `(N, outputs, 2H, 2W)`."""
        h = x = F.interpolate(x, scale_factor=2)
        for fuse, conv in ((self.fuse1, self.c1), (self.fuse2, self.c2)):
            for affine in fuse:
                h = F.leaky_relu(affine(h, c), 0.2)
            h = conv(h)
        return self.c_sc(x) + h


class Generator(nn.Module):
    """z at 4 pixels, blocks that double the side, and the image.

    Args:
        latent: length of z.
        text: length of e.
        channels: channels of an image.
        widths: feature maps at 4 pixels, and behind each block.
    """

    def __init__(self, latent: int, text: int, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.fc = nn.Linear(latent, widths[0] * 16)
        self.blocks = nn.ModuleList(UpBlock(latent + text, a, b) for a, b in pairwise(widths))
        self.to_rgb = nn.Conv2d(widths[-1], channels, 3, 1, 1)

    def forward(self, z: Tensor, text: Tensor) -> Tensor:
        """Maps `(N, latent)` and `(N, text)` to images in [-1, 1]."""
        x, c = self.fc(z).unflatten(1, (-1, 4, 4)), torch.cat([z, text], 1)
        for block in self.blocks:
            x = block(x, c)
        return self.to_rgb(F.leaky_relu(x, 0.2)).tanh()


class DownBlock(nn.Module):
    """Halves the side: shortcut + gamma f(x), where gamma begins with 0.

    Args:
        inputs: feature maps that go in.
        outputs: feature maps that come out.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv_r = nn.Sequential(
            *(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)),
            *(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.LeakyReLU(0.2)),
        )
        self.conv_s = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, inputs, H, W)` to `(N, outputs, H/2, W/2)`."""
        return F.avg_pool2d(self.conv_s(x), 2) + self.gamma * self.conv_r(x)


class Discriminator(nn.Module):
    """An image's features at 4 pixels, and one score of these and the sentence at every place.

    Args:
        text: length of e.
        channels: channels of an image.
        widths: feature maps of the image's side, and behind each halving.
    """

    def __init__(self, text: int, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, widths[0], 3, 1, 1), *(DownBlock(a, b) for a, b in pairwise(widths))
        )
        self.joint = nn.Sequential(
            *(nn.Conv2d(widths[-1] + text, 2 * widths[0], 3, 1, 1, bias=False), nn.LeakyReLU(0.2)),
            nn.Conv2d(2 * widths[0], 1, 4, bias=False),
        )

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        """Scores `(N,)` of images and sentences `(N, text)`."""
        return self.score(self.features(x), text)

    def score(self, features: Tensor, text: Tensor) -> Tensor:
        """The same of features `(N, d, 4, 4)`."""
        return self.joint(torch.cat([features, text[:, :, None, None].expand(-1, -1, 4, 4)], 1)).flatten()


@register(
    paper="Tao et al., DF-GAN: A Simple and Effective Baseline for Text-to-Image Synthesis",
    year=2022,
    url="https://arxiv.org/abs/2008.05865",
    method="DF-GAN",
    task="text-to-image",
    formula=(
        "L_D = E max(0, 1 - D(x, e)) + 1/2 E max(0, 1 + D(G(z, e), e)) + 1/2 E max(0, 1 + D(x, e^)) "
        "+ k E ||(grad_x D(x, e), grad_e D(x, e))||^p",
        "L_G = -E D(G(z, e), e)",
    ),
)
class DFGAN(Depicts):
    """One generator draws the final size at once, with the sentence fused into every layer.

    Sentences come as embeddings. The authors' are of a recurrent network trained beside pictures (DAMSM), which is not
    here: `data.captions` stands in, random directions of words, or give embeddings of your own. As in the authors'
    code, MA-GP takes the norm of both gradients together, and the wrong sentences are those of a batch's neighbours.

    Args:
        size: side of an image: a power of 2 from 8 on.
        channels: channels of an image.
        text: length of an embedding.
        captions: example sentences, of which a sample draws one where none is given.
        latent: length of z.
        width: feature maps beside the images.
        penalty: k of MA-GP,
        power: and p.
        lr: learning rate of the generator.
        discriminator_lr: learning rate of the discriminator.
        betas: Adam's decay rates.
    """

    coupled = True  # the sentences of neighbours

    def __init__(
        self,
        size: Positive = 256,
        channels: Positive = 3,
        text: Positive = 256,
        captions: Words = (),
        latent: Positive = 100,
        width: Positive = 32,
        penalty: NonNegative = 2.0,
        power: PositiveFloat = 6.0,
        lr: NonNegative = 1e-4,
        discriminator_lr: NonNegative = 4e-4,
        betas: tuple[Probability, Probability] = (0.0, 0.9),
    ) -> None:
        super().__init__()
        if size < 8 or size & (size - 1):
            raise BadArgument(f"size is {size}; a power of 2 from 8 on is expected")
        self.shape, self.prior, self.text, self.captions = (channels, size, size), Normal(latent), text, captions
        widths = [width * min(2**i, 8) for i in range(size.bit_length() - 2)]
        self.generator = Generator(latent, text, channels, widths[::-1])
        self.discriminator = Discriminator(text, channels, widths)
        self.embedded(captions)
        self.penalty, self.power = penalty, power
        self.rates = {"discriminator": discriminator_lr, "generator": lr}
        self.betas = betas

    def players(self) -> dict[str, Player]:
        """Both players, the discriminator at four times the rate."""
        return {
            name: Player(getattr(self, name), partial(Adam, lr=rate, betas=self.betas))
            for name, rate in self.rates.items()
        }

    def generate(self, z: Tensor, condition: Condition) -> Tensor:
        """G(z, e)."""
        return self.averaged(z, self.told(condition, z.shape[0]))

    def render(
        self,
        z: Tensor,
        condition: Condition,
        rngs: Sequence[np.random.RandomState],
        *,
        truncation: float | None = None,
    ) -> Tensor:
        """G(z, e), with z beyond 2 drawn again and scaled by `truncation` (0.88 in the authors' code for birds)."""
        if truncation is not None:
            z = torch.from_numpy(truncate(z.float().cpu().numpy(), rngs, 2.0, truncation)).to(z)
        return self.generate(z, condition)

    def realness(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """Scores with the first example's sentence, or without one."""
        return self.discriminator(images, self.told(Condition(), len(images)))

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player, against the same images, the discriminator first as in the authors' code."""
        fake = self.ahead(self.fake, batch)
        self.move("discriminator", self.discriminator_loss, batch, fake.detach())
        self.move("generator", self.generator_loss, batch, fake)

    def fake(self, batch: Batch) -> Tensor:
        """G(z, e)."""
        return self.generator(self.noise(batch), self.text_of(batch)).to(batch.images)

    def discriminator_loss(self, batch: Batch, fake: Tensor) -> Tensor:
        """Hinges of image and sentence, of the drawn image, of another image; and MA-GP."""
        text = self.text_of(batch)
        real, penalty = self.matching(batch.images, text)
        other = self.discriminator(self.seen(batch.images).roll(-1, 0), text)
        made = self.discriminator(self.seen(fake), text)
        self.record(penalty=penalty, mismatch=other.mean())
        wrong = (F.relu(1 + made).mean() + F.relu(1 + other).mean()) / 2
        return F.relu(1 - real).mean() + wrong + self.penalty * penalty

    def matching(self, images: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """D(x, e), and E ||(grad_x D, grad_e D)||^p there."""
        size = images[0].numel()
        joined = torch.cat([images.flatten(1), text], 1)
        scores, half = penalties.scored(
            lambda x: self.discriminator(self.seen(x[:, :size].unflatten(1, self.shape)), x[:, size:]), joined
        )
        return scores, (2 * half).pow(self.power / 2).mean()

    def generator_loss(self, batch: Batch, fake: Tensor) -> Tensor:
        """-E D(G(z, e), e)."""
        return losses.hinge_generator(self.discriminator(self.seen(fake), self.text_of(batch)))
