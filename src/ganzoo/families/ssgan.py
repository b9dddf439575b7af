"""SS-GAN: a discriminator that must also tell how pictures were rotated forgets less.

Chen, Zhai, Ritter, Lucic and Houlsby 2019, "Self-Supervised GANs via Auxiliary Rotation Loss", arXiv:1811.11212. What a
discriminator learns follows a generator that keeps changing, and is forgotten. A second head says by which of four
quarter turns a picture was rotated, of real pictures for the discriminator and of generated ones for the generator,
which work together at that (section 3.2, with V the hinge of SNGAN):

    L_D = V_D - beta E_{x, r} log Q_D(r | x turned by r)         r in {0, 90, 180, 270} degrees
    L_G = V_G - alpha E_{z, r} log Q_D(r | G(z) turned by r)     alpha = 0.2, beta = 1
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.game.abilities import Samples
from ganzoo.game.engine import Player, adams
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn import resnet
from ganzoo.nn.spectral import follow_weights
from ganzoo.objectives import losses
from ganzoo.schema import Layers, NonNegative, Positive, Probability, Sizes
from ganzoo.types import Batch


class Discriminator(resnet.Discriminator):
    """SNGAN's, with four logits beside the score; the arguments are those of `resnet.Discriminator`."""

    def __init__(self, channels: int, size: int, widths: Sequence[int], downsamplings: int, **options: Any) -> None:
        super().__init__(channels, size, widths, downsamplings, **options)
        self.rotation = options["layers"].linear(widths[-1], 4)
        nn.init.xavier_uniform_(self.rotation.weight)
        nn.init.zeros_(self.rotation.bias)
        follow_weights(self.rotation)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Maps images `(N, channels, size, size)` to scores `(N,)` and logits of their turns `(N, 4)`."""
        features = self.features(x)
        return self.score(features).squeeze(1), self.rotation(features)


@register(
    paper="Chen, Zhai, Ritter, Lucic and Houlsby, Self-Supervised GANs via Auxiliary Rotation Loss",
    year=2019,
    url="https://arxiv.org/abs/1811.11212",
    method="SS-GAN",
    formula=(
        "L_D = V_D - beta E_{x, r} log Q_D(r | x turned by r)",
        "L_G = V_G - alpha E_{z, r} log Q_D(r | G(z) turned by r)",
        "r in {0, 90, 180, 270} degrees",
    ),
)
class SSGAN(Samples):
    """Telling by which quarter turn a picture was rotated keeps the discriminator from forgetting what it saw.

    The defaults are SNGAN's for CIFAR-10, on which the paper builds. As in the authors' code the last quarter of a
    batch is shown in all four directions, as many pictures as there are in the batch, and all go through the
    discriminator in one step of the power method. mimicry turns each picture in one direction, a quarter of the batch
    in each.

    Args:
        size: side of an image.
        channels: channels of an image.
        latent: length of z, normal.
        widths: the generator's feature maps from the smallest side up; each further one doubles the side.
        discriminator_widths: the discriminator's feature maps after each block.
        downsamplings: how many of its blocks, from the first, halve the side.
        generator_weight: alpha, of the turns of generated images.
        discriminator_weight: beta, of the turns of real ones.
        n_critic: updates of the discriminator to one of the generator.
        lr: learning rate of the generator.
        discriminator_lr: learning rate of the discriminator; None for the same.
        betas: Adam's decay rates.
        reuse: whether the generator moves against the very images that the discriminator has just seen; it saves a pass
            through the generator.
        variant: whose details are computed. `paper`: those of SNGAN's authors. `mimicry`: pixels are doubled
            bilinearly, and the discriminator's shortcuts see their input after the ReLU.
    """

    coupled = True  # a quarter of the batch is turned

    def __init__(
        self,
        size: Positive = 32,
        channels: Positive = 3,
        latent: Positive = 128,
        widths: Sizes = (256, 256, 256, 256),
        discriminator_widths: Sizes = (128, 128, 128, 128),
        downsamplings: Layers = 2,
        generator_weight: NonNegative = 0.2,
        discriminator_weight: NonNegative = 1.0,
        n_critic: Positive = 5,
        lr: NonNegative = 2e-4,
        discriminator_lr: NonNegative | None = None,
        betas: tuple[Probability, Probability] = (0.0, 0.9),
        reuse: bool = False,
        variant: Literal["paper", "mimicry"] = "paper",
    ) -> None:
        super().__init__()
        self.shape, self.n_critic, self.reuse = (channels, size, size), n_critic, reuse
        self.alpha, self.beta = generator_weight, discriminator_weight
        self.prior = Normal(latent)
        sizes = (latent, channels, size, widths, discriminator_widths, downsamplings)
        self.generator, self.discriminator = resnet.sngan(Discriminator, *sizes, variant=variant)
        self.adams = adams(lr, lr if discriminator_lr is None else discriminator_lr, betas)

    def players(self) -> dict[str, Player]:
        """The discriminator with both of its heads, and the generator."""
        return {name: Player(getattr(self, name), adam) for name, adam in self.adams.items()}

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """An update of the discriminator with a batch; after n_critic of them one of the generator."""
        turn = self.turn(every=self.n_critic)
        fake = self.ahead(self.fake, batch) if turn and self.reuse else None
        self.move("discriminator", self.discriminator_loss, batch, None if fake is None else fake.detach())
        if turn:
            self.move("generator", self.generator_loss, batch, fake)

    def discriminator_loss(self, batch: Batch, fake: Tensor | None = None) -> Tensor:
        """The hinge of upright images, and beta times the cross-entropy of the turns of real ones."""
        fake, n = self.fake(batch) if fake is None else fake, len(batch)
        shown = self.seen(torch.cat([fake, batch.images]))  # then turned: an augmentation may turn, too
        scores, logits = self.discriminator(torch.cat([shown, turns(shown[n:])]))
        return losses.hinge_discriminator(scores[n : 2 * n], scores[:n]) + self.beta * rotation_loss(logits[n:], n)

    def generator_loss(self, batch: Batch, fake: Tensor | None = None) -> Tensor:
        """-E D(G(z)) of upright images, and alpha times the cross-entropy of their turns."""
        fake, n = self.fake(batch) if fake is None else fake, len(batch)
        shown = self.seen(fake)
        scores, logits = self.discriminator(torch.cat([shown, turns(shown)]))
        return losses.hinge_generator(scores[:n]) + self.alpha * rotation_loss(logits, n)

    def fake(self, batch: Batch) -> Tensor:
        """G(z), as many as there are images in the batch."""
        return self.generator(self.noise(batch))


def turns(images: Tensor) -> Tensor:
    """The last quarter of images `(N, C, S, S)` turned by 90 degrees, then by 180 and by 270: `(3 (N // 4), ...)`."""
    last = images[-quarter(len(images)) :]
    return torch.cat([last.rot90(k, (2, 3)) for k in (1, 2, 3)])


def rotation_loss(logits: Tensor, n: int) -> Tensor:
    """-E log Q_D(r | x turned by r), of the logits `(n + 3 (n // 4), 4)` of n upright images and then their `turns`."""
    wanted = torch.arange(4, device=logits.device).repeat_interleave(quarter(n))
    return F.cross_entropy(logits[-len(wanted) :].float(), wanted)


def quarter(n: int) -> int:
    """How many of n images are turned; one at least."""
    return max(n // 4, 1)
