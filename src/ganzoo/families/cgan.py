"""cGAN: both players are told the label, so the generator can be asked for a class.

Mirza and Osindero 2014, "Conditional Generative Adversarial Nets", arXiv:1411.1784. The label y is one more input of
each network, and the game is played for every y (eq. 2):

    min_G max_D  E log D(x | y) + E log(1 - D(G(z | y) | y))        z ~ U[-sqrt 3, sqrt 3]^100

The paper draws z "within the unit hypercube"; the code of Goodfellow 2014, in the same library, draws it with mean 0
and variance 1. So it is here: with z from [0, 1] every class became a single image.
"""

import math
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.game.abilities import Samples
from ganzoo.game.engine import Player
from ganzoo.game.priors import Uniform
from ganzoo.game.registry import register
from ganzoo.nn.mlp import Maxout
from ganzoo.objectives import losses
from ganzoo.schema import NonNegative, Positive, PositiveFloat, Probability
from ganzoo.types import Batch

_BATCH = 100  # the paper's mini-batch, in which its schedules are counted


class Generator(nn.Module):
    """z and y each get a hidden layer of rectifiers, then one in common; a sigmoid makes pixels (section 4.1).

    Args:
        latent: length of z.
        classes: number of labels.
        shape: `(C, H, W)` of an image.
        units: rectifiers for z, for y and in common.
        dropout: of all hidden features in training.
    """

    def __init__(
        self, latent: int, classes: int, shape: tuple[int, ...], units: tuple[int, int, int], dropout: float
    ) -> None:
        super().__init__()
        self.classes, self.shape = classes, tuple(shape)
        self.noise = nn.Linear(latent, units[0])
        self.label = nn.Linear(classes, units[1])
        self.joint = nn.Linear(units[0] + units[1], units[2])
        self.pixels = nn.Linear(units[2], int(np.prod(self.shape)))
        self.drop = nn.Dropout(dropout)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Maps z `(N, latent)` and labels `(N,)` to images in [-1, 1]."""
        y = F.one_hot(labels, self.classes).to(z)
        both = torch.cat([F.relu(self.noise(z)), F.relu(self.label(y))], 1)
        joint = self.drop(F.relu(self.joint(self.drop(both))))
        return (2 * torch.sigmoid(self.pixels(joint)) - 1).reshape(-1, *self.shape)


class Discriminator(nn.Module):
    """x and y each get a maxout layer, then one in common (section 4.1); D is the sigmoid of what comes out.

    Args:
        classes: number of labels.
        shape: `(C, H, W)` of an image.
        image: units and pieces of x's maxout layer.
        label: those of y's.
        joint: those of the common one.
        dropout: of all hidden features in training.
    """

    def __init__(
        self,
        classes: int,
        shape: tuple[int, ...],
        image: tuple[int, int],
        label: tuple[int, int],
        joint: tuple[int, int],
        dropout: float,
    ) -> None:
        super().__init__()
        self.classes = classes
        self.image = Maxout(int(np.prod(shape)), *image)
        self.label = Maxout(classes, *label)
        self.joint = Maxout(image[0] + label[0], *joint)
        self.score = nn.Linear(joint[0], 1)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Maps images in [-1, 1], which the layers see in the paper's [0, 1], and labels `(N,)` to logits `(N,)`."""
        y = F.one_hot(labels, self.classes).to(x)
        both = torch.cat([self.image((x.flatten(1) + 1) / 2), self.label(y)], 1)
        return self.score(self.drop(self.joint(self.drop(both)))).squeeze(1)


def initialize(module: nn.Module) -> None:
    """Weights from U[-0.05, 0.05], as in the code of Goodfellow 2014; those on labels are larger, for one is 1 only."""
    for name, layer in module.named_children():
        for linear in (each for each in layer.modules() if isinstance(each, nn.Linear)):
            nn.init.uniform_(linear.weight, *((-0.3, 0.3) if name == "label" else (-0.05, 0.05)))
            nn.init.zeros_(linear.bias)


@register(
    paper="Mirza and Osindero, Conditional Generative Adversarial Nets",
    year=2014,
    url="https://arxiv.org/abs/1411.1784",
    formula=(
        "min_G max_D E log D(x | y) + E log(1 - D(G(z | y) | y))",
        "z ~ U[-sqrt 3, sqrt 3]^100",
    ),
)
class CGAN(Samples):
    """A label, given to both players, chooses what is generated.

    Args:
        size: side of an image.
        channels: channels of an image.
        classes: number of labels.
        latent: length of z, uniform with variance 1.
        units: the generator's rectifiers for z, for y and in common.
        image_maxout: units and pieces of the discriminator's maxout layer on images.
        label_maxout: of the one on labels.
        joint_maxout: of the common one.
        dropout: of the discriminator's hidden features.
        generator_dropout: of the generator's.
        lr: initial learning rate of both players.
        decay: the learning rate is divided by it at every 100 images, down to 1e-5 of what it was.
        momentum: of stochastic gradient descent at the beginning and at the end of `rise`.
        rise: images over which momentum rises; 250 epochs of MNIST, as in the code of Goodfellow 2014.
        betas: where given, Adam with these decay rates takes the place of momentum.
    """

    def __init__(
        self,
        size: Positive = 28,
        channels: Positive = 1,
        classes: Positive = 10,
        latent: Positive = 100,
        units: tuple[Positive, Positive, Positive] = (200, 1000, 1200),
        image_maxout: tuple[Positive, Positive] = (240, 5),
        label_maxout: tuple[Positive, Positive] = (50, 5),
        joint_maxout: tuple[Positive, Positive] = (240, 4),
        dropout: Probability = 0.5,
        generator_dropout: Probability = 0.5,
        lr: NonNegative = 0.1,
        decay: PositiveFloat = 1.00004,
        momentum: tuple[Probability, Probability] = (0.5, 0.7),
        rise: Positive = 15_000_000,
        betas: tuple[Probability, Probability] | None = None,
    ) -> None:
        super().__init__()
        self.labelled = True
        self.shape, self.classes = (channels, size, size), classes
        self.prior = Uniform(-math.sqrt(3), math.sqrt(3), latent)
        self.decay, self.momentum, self.rise, self.adam = decay, momentum, rise, betas is not None
        self.generator = Generator(latent, classes, self.shape, units, generator_dropout)
        self.discriminator = Discriminator(classes, self.shape, image_maxout, label_maxout, joint_maxout, dropout)
        sgd = partial(torch.optim.SGD, lr=lr, momentum=momentum[0])
        for network in (self.generator, self.discriminator):
            initialize(network)
        self.descent = sgd if betas is None else partial(torch.optim.Adam, lr=lr, betas=betas)

    def players(self) -> dict[str, Player]:
        """The discriminator and the generator, with the same optimizer and schedule."""
        return {
            "discriminator": Player(self.discriminator, self.descent, self.rate),
            "generator": Player(self.generator, self.descent, self.rate),
        }

    def rate(self, images: int) -> float:
        """The factor on the learning rate, from 1 down to 1e-5: 0.1 falls to the paper's 1e-6."""
        return max(math.exp(-images / _BATCH * math.log(self.decay)), 1e-5)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player, with the momentum of its time."""
        first, last = self.momentum
        momentum = first + (last - first) * min(1.0, self.images_seen / self.rise)
        for player, loss in (("discriminator", self.discriminator_loss), ("generator", self.generator_loss)):
            for group in () if self.adam else self.optimizer(player).param_groups:
                group["momentum"] = momentum
            self.move(player, loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """-E log D(x | y) - E log(1 - D(G(z | y) | y)) (eq. 2)."""
        y = self.labels_of(batch)
        fake = self.generator(self.noise(batch), y)
        return losses.minimax_discriminator(*(self.discriminator(self.seen(x), y) for x in (batch.images, fake)))

    def generator_loss(self, batch: Batch) -> Tensor:
        """-E log D(G(z | y) | y)."""
        y = self.labels_of(batch)
        return losses.nonsaturating_generator(self.discriminator(self.seen(self.generator(self.noise(batch), y)), y))
