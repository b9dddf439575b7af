"""PacGAN: a discriminator that sees several samples at once notices a generator that lacks variety.

Lin, Khetan, Fanti and Oh 2018, "PacGAN: The power of two samples in generative adversarial networks",
arXiv:1712.04086. m independent samples of one kind, side by side, are one input of the discriminator; nothing else
changes. It so compares the products P^m and Q^m, between which the distance grows faster for a Q that drops modes than
for one that is off elsewhere (section 3):

    L_D = -E log D(x_1, ..., x_m) - E log(1 - D(G(z_1), ..., G(z_m)))        L_G = -E log D(G(z_1), ..., G(z_m))
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Samples
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn import dcgan
from ganzoo.nn.mlp import MLP
from ganzoo.objectives import losses
from ganzoo.schema import NonNegative, Positive, Probability, Sizes
from ganzoo.types import Batch


@register(
    paper="Lin, Khetan, Fanti and Oh, PacGAN: The power of two samples in generative adversarial networks",
    year=2018,
    url="https://arxiv.org/abs/1712.04086",
    formula=(
        "L_D = -E log D(x_1, ..., x_m) - E log(1 - D(G(z_1), ..., G(z_m)))",
        "L_G = -E log D(G(z_1), ..., G(z_m))",
    ),
)
class PacGAN(Samples):
    """A discriminator that is shown samples in packs sees a lack of variety, which no single sample shows.

    A batch's samples are packed in their order; where m does not divide them, the last pack is filled up from the
    first ones. The defaults are those of the authors' code for the grid of 25 normal distributions, whose batches are
    of 100 packs; it moves both players at once, where here the generator answers the moved discriminator. Images have
    DCGAN's networks, as in the paper's further experiments; the images of a pack are stacked as channels.

    Args:
        shape: `(channels, size, size)` of an image, or `(d,)` of a point.
        packing: m, samples of a pack; 1 is the GAN without packing.
        latent: length of z, normal.
        hidden: widths of the generator's layers, of points; with batch normalization and rectifiers.
        discriminator_hidden: widths of the discriminator's layers, of points.
        maxout: pieces of their maxout units.
        width: feature maps beside the images, in both networks, of images.
        lr: learning rate of both players.
        betas: Adam's decay rates.
    """

    coupled = True  # a score is of several samples

    def __init__(
        self,
        shape: Sizes = (2,),
        packing: Positive = 2,
        latent: Positive = 2,
        hidden: Sizes = (400, 400, 400, 400),
        discriminator_hidden: Sizes = (200, 200, 200),
        maxout: Positive = 5,
        width: Positive = 64,
        lr: NonNegative = 1e-4,
        betas: tuple[Probability, Probability] = (0.8, 0.999),
    ) -> None:
        super().__init__()
        self.shape, self.packing, self.prior = tuple(shape), packing, Normal(latent)
        first, *sides = self.shape
        if sides:
            self.generator: nn.Module = dcgan.Generator(latent, first, sides[0], width)
            self.discriminator: nn.Module = dcgan.Discriminator(packing * first, sides[0], width)
        else:
            self.generator = MLP((latent,), self.shape, hidden, batch_norm=True)
            self.discriminator = MLP((packing * first,), (), discriminator_hidden, pieces=maxout)
            self.apply(dcgan.initialize)
        self.adam = partial(Adam, lr=lr, betas=betas)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player."""
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """-E log D(x_1, ..., x_m) - E log(1 - D(G(z_1), ..., G(z_m)))."""
        fake = self.generator(self.noise(batch))
        return losses.minimax_discriminator(self.judged(self.seen(batch.images)), self.judged(self.seen(fake)))

    def generator_loss(self, batch: Batch) -> Tensor:
        """-E log D(G(z_1), ..., G(z_m))."""
        return losses.nonsaturating_generator(self.judged(self.seen(self.generator(self.noise(batch)))))

    def judged(self, samples: Tensor) -> Tensor:
        """D's logits, one a pack, of samples `(N, C, ...)`."""
        n, packs = len(samples), -(-len(samples) // self.packing)
        places = torch.arange(packs * self.packing, device=samples.device) % n
        return self.discriminator(samples[places].reshape(packs, -1, *samples.shape[2:]))

    def realness(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """D's logits of packs of m times one image."""
        return self.judged(images.repeat_interleave(self.packing, 0))
