"""CatGAN: D tells classes instead of real from generated, and is sure of data alone.

Springenberg 2016, "Unsupervised and Semi-supervised Learning with Categorical Generative Adversarial Networks",
arXiv:1511.06390. D gives p(y|x) over K classes. It is to be sure of each image, unsure of samples, and to use all
classes equally; that is the mutual information of images and classes, beside what samples are worth. G is to be taken
for sure, and in all classes (section 3.2); H is the entropy, and labels are learned from where there are some (section
3.3):

    L_D = -H[E_x p(y|x)] + E_x H[p(y|x)] - E_z H[p(y|G(z))] + lambda E CE(y, p(y|x))
    L_G = -H[E_z p(y|G(z))] + E_z H[p(y|G(z))]
"""

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Classifies, Samples
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn import dcgan
from ganzoo.nn.mlp import MLP
from ganzoo.schema import NonNegative, Positive, Probability, Sizes
from ganzoo.types import Batch


class Discriminator(nn.Module):
    """Layers with batch normalization and leaky rectifiers, to whose inputs normal noise comes in training.

    Args:
        inputs: values of an image.
        hidden: widths.
        classes: K.
        noise: deviations of the noise at the image and at further layers.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], classes: int, noise: tuple[float, float]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(a, b, bias=False), nn.BatchNorm1d(b), nn.LeakyReLU(0.1))
            for a, b in pairwise([inputs, *hidden])
        )
        self.head = nn.Linear(hidden[-1], classes)
        self.noise = noise

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, C, H, W)` to logits `(N, K)`."""
        h = self.noised(x.flatten(1), self.noise[0])
        for layer in self.layers:
            h = self.noised(layer(h), self.noise[1])
        return self.head(h)

    def noised(self, h: Tensor, deviation: float) -> Tensor:
        """h, in training with noise."""
        return h + deviation * torch.randn_like(h) if self.training and deviation else h


def entropy(p: Tensor) -> Tensor:
    """H of probabilities in the last dimension, in nats."""
    return -torch.xlogy(p, p.clamp(min=1e-20)).sum(-1)


@register(
    paper="Springenberg, Unsupervised and Semi-supervised Learning with Categorical Generative Adversarial Networks",
    year=2016,
    url="https://arxiv.org/abs/1511.06390",
    formula=(
        "L_D = -H[E_x p(y|x)] + E_x H[p(y|x)] - E_z H[p(y|G(z))] + lambda E CE(y, p(y|x))",
        "L_G = -H[E_z p(y|G(z))] + E_z H[p(y|G(z))]",
    ),
)
class CatGAN(Samples, Classifies):
    """A classifier that is to be sure of data and unsure of samples finds classes by itself, or from few labels.

    The networks are of fully connected layers, as the paper's for MNIST, whose noise is 0.3 for pixels in [0, 1].
    Labels are learned from where they are at least 0 (`known` of a data source hides the others); each move's entropies
    of data are over all of its images. Data and samples go through the discriminator one after the other, each with its
    own batch statistics.

    Args:
        size: side of an image.
        channels: channels of an image.
        classes: K; of any number where lambda is 0.
        latent: length of z, normal.
        hidden: widths of the generator's layers.
        discriminator_hidden: widths of the discriminator's layers.
        noise: deviations of the noise at the discriminator's input and its further layers.
        supervision: lambda, the weight of the labels; 0 learns classes without any.
        lr: learning rate of both players.
        betas: Adam's decay rates.
    """

    inference = averages = ("generator", "discriminator")
    coupled = True  # marginal entropies are a batch's

    def __init__(
        self,
        size: Positive = 28,
        channels: Positive = 1,
        classes: Positive = 10,
        latent: Positive = 128,
        hidden: Sizes = (500, 500),
        discriminator_hidden: Sizes = (1000, 500, 250, 250, 250),
        noise: tuple[NonNegative, NonNegative] = (0.6, 0.5),
        supervision: NonNegative = 1.0,
        lr: NonNegative = 1e-3,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
    ) -> None:
        super().__init__()
        self.shape, self.categories = (channels, size, size), classes
        self.prior, self.supervision = Normal(latent), supervision
        self.generator = MLP((latent,), self.shape, hidden, partial(nn.LeakyReLU, 0.1), nn.Tanh(), batch_norm=True)
        self.discriminator = Discriminator(math.prod(self.shape), discriminator_hidden, classes, noise)
        self.generator.apply(dcgan.initialize)
        self.adam = partial(Adam, lr=lr, betas=betas)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player."""
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """-H[E_x p(y|x)] + E_x H[p(y|x)] - E_z H[p(y|G(z))] + lambda E CE(y, p(y|x))."""
        logits = self.discriminator(self.seen(batch.images)).float()
        real = logits.softmax(1)
        fake = self.discriminator(self.seen(self.generator(self.noise(batch)))).float().softmax(1)
        self.record(information=entropy(real.mean(0)) - entropy(real).mean(), doubt=entropy(fake).mean())
        loss = -entropy(real.mean(0)) + entropy(real).mean() - entropy(fake).mean()
        if not self.supervision or batch.labels is None:
            return loss
        told = F.cross_entropy(logits, batch.labels, ignore_index=-1, reduction="sum")
        return loss + self.supervision * told / (batch.labels >= 0).sum().clamp(min=1)

    def generator_loss(self, batch: Batch) -> Tensor:
        """-H[E_z p(y|G(z))] + E_z H[p(y|G(z))]."""
        fake = self.discriminator(self.seen(self.generator(self.noise(batch)))).float().softmax(1)
        return -entropy(fake.mean(0)) + entropy(fake).mean()

    def realness(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """-H[p(y|x)]: of data D is sure."""
        return -entropy(self.discriminator(images).float().softmax(1))

    @property
    def taught(self) -> int | None:
        """K, where labels are learned from."""
        return self.categories if self.supervision else None

    def logits(self, images: Tensor) -> Tensor:
        """Of the K classes."""
        return self.average_module("discriminator")(images)
