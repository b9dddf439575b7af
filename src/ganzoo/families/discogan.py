"""DiscoGAN: relations between two domains are discovered by two generators, each of which inverts the other.

Kim, Cha, Kim, Lee and Kim 2017, "Learning to Discover Cross-Domain Relations with Generative Adversarial Networks",
arXiv:1703.05192. G_AB and G_BA translate; each image, there and back, must be itself again in the mean square, and so
each generator has a loss of its own beside that of its discriminator (eq. 4 to 9):

    L_D = -1/2 E log D_B(b) - 1/2 E log(1 - D_B(G_AB(a))), and the same of D_A
    L_G = (1 - r) (0.1 L_GAN + 0.9 L_FM) + r (E (G_BA(G_AB(a)) - a)^2 + E (G_AB(G_BA(b)) - b)^2)
    L_GAN = -E log D_B(G_AB(a)) - E log D_A(G_BA(b))
    L_FM = sum_l E (E f_l(b) - E f_l(G_AB(a)))^2, and the same of A

L_FM, which compares the batch's means of the discriminator's features, the weights and r are the authors' code's, which
says more than the paper. Squares are of values in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Translates
from ganzoo.game.engine import Player
from ganzoo.game.registry import register
from ganzoo.objectives import losses
from ganzoo.schema import Count, NonNegative, Positive, Probability
from ganzoo.types import BadArgument, Batch


class Generator(nn.Module):
    """Halvings to 4 pixels of the side of training, and doublings: 4 x 4 convolutions without skip connections.

    Args:
        channels: channels of an image that goes in.
        out_channels: channels of one that comes out.
        width: feature maps after the first halving; each of the others doubles them.
        halvings: how many.
        bottleneck: length of a vector in the middle; 0 for none.
    """

    def __init__(self, channels: int, out_channels: int, width: int, halvings: int, bottleneck: int) -> None:
        super().__init__()
        self.stride, self.least = 2**halvings, 4 * 2**halvings if bottleneck else 2**halvings
        widths, layers = [width << i for i in range(halvings)], list[nn.Module]()

        def add(conv: nn.Module, outputs: int, activation: nn.Module) -> None:
            layers.extend([conv, *([nn.BatchNorm2d(outputs)] if layers else []), activation])

        for inputs, outputs in zip([channels, *widths], widths, strict=False):
            add(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), outputs, nn.LeakyReLU(0.2))
        if bottleneck:
            add(nn.Conv2d(widths[-1], bottleneck, 4, bias=False), bottleneck, nn.LeakyReLU(0.2))
            add(nn.ConvTranspose2d(bottleneck, widths[-1], 4, bias=False), widths[-1], nn.ReLU())
        for inputs, outputs in zip(widths[:0:-1], widths[-2::-1], strict=True):
            add(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False), outputs, nn.ReLU())
        self.main = nn.Sequential(*layers, nn.ConvTranspose2d(width, out_channels, 4, 2, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, channels, H, W)`, of sides that halve evenly, to `(N, out_channels, H, W)` in [-1, 1]."""
        return 2 * self.main(x).sigmoid() - 1


class Discriminator(nn.Module):
    """The same halvings, and a logit of what is left.

    Args:
        channels: channels of an image.
        width: feature maps after the first halving; each of the others doubles them.
        halvings: how many, down to 4 pixels.
    """

    def __init__(self, channels: int, width: int, halvings: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width, 4, 2, 1, bias=False)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width << i, width << i + 1, 4, 2, 1, bias=False), nn.BatchNorm2d(width << i + 1))
            for i in range(halvings - 1)
        )
        self.last = nn.Conv2d(width << halvings - 1, 1, 4, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits `(N,)`, and the features of all layers but the first and the last."""
        x, features = F.leaky_relu(self.first(x), 0.2), []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
        return self.last(x).flatten(), features


@register(
    paper="Kim et al., Learning to Discover Cross-Domain Relations with Generative Adversarial Networks",
    year=2017,
    url="https://arxiv.org/abs/1703.05192",
    task="translation",
    formula=(
        "L_D = -1/2 E log D_B(b) - 1/2 E log(1 - D_B(G_AB(a))), and the same of D_A",
        "L_G = (1 - r) (0.1 L_GAN + 0.9 L_FM) + r (E (G_BA(G_AB(a)) - a)^2 + E (G_AB(G_BA(b)) - b)^2)",
    ),
)
class DiscoGAN(Translates):
    """Relations between two domains are discovered by two generators, each of which inverts the other.

    `generator` is G_AB, from the data's images to their targets, `inverse` G_BA; `discriminator` is D_B and
    `inverse_discriminator` D_A. As in the authors' code, a batch is for one player: every third for the discriminators.
    Pictures are drawn with the running statistics of batch normalization, where the authors take those of the batch.

    Args:
        size: side of an image in training: a power of 2 from 16 on.
        channels: of an image of B.
        source_channels: of an image of A; None for as many.
        width: feature maps after the first halving.
        bottleneck: length of a vector in the generators' middle; the authors' 100 where domains are far apart.
        discriminator_width: feature maps after the discriminators' first halving.
        every: of so many batches, one is for the discriminators: at least 2.
        adversarial: the share of L_GAN beside L_FM.
        reconstruction: r, the share of the reconstructions,
        reconstruction_first: and of the first images,
        curriculum: which are so many: the authors' 10,000 batches of 64.
        lr: learning rate of all.
        betas: Adam's decay rates.
        weight_decay: Adam's.
    """

    averages = ("generator", "inverse")
    inference = ("generator", "inverse")
    leads = "generators"
    two_domains = True
    coupled = True  # batch means of features

    def __init__(
        self,
        size: Positive = 64,
        channels: Positive = 3,
        source_channels: Positive | None = None,
        width: Positive = 64,
        bottleneck: Count = 0,
        discriminator_width: Positive = 64,
        every: Positive = 3,
        adversarial: Probability = 0.1,
        reconstruction: Probability = 0.5,
        reconstruction_first: Probability = 0.01,
        curriculum: Count = 640_000,
        lr: NonNegative = 2e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
        weight_decay: NonNegative = 1e-5,
    ) -> None:
        super().__init__()
        source, halvings = source_channels or channels, size.bit_length() - 3
        if size < 16 or size & (size - 1):
            raise BadArgument(f"size is {size}; a power of 2 from 16 on is expected")
        if every < 2:
            raise BadArgument(f"every is {every}; at least 2 is expected, so that batches are left for the generators")
        self.shape, self.source_shape = (channels, size, size), (source, size, size)
        self.domains, self.back = ("b", "a"), "a"
        self.generator = Generator(source, channels, width, halvings, bottleneck)
        self.inverse = Generator(channels, source, width, halvings, bottleneck)
        self.discriminator = Discriminator(channels, discriminator_width, halvings)
        self.inverse_discriminator = Discriminator(source, discriminator_width, halvings)
        self.stride, self.every, self.adversarial = self.generator.stride, every, adversarial
        self.rates, self.curriculum = (reconstruction_first, reconstruction), curriculum
        self.adam = partial(Adam, lr=lr, betas=betas, weight_decay=weight_decay)

    def players(self) -> dict[str, Player]:
        """Both generators as one player, and both discriminators."""
        return {
            "generators": Player((self.generator, self.inverse), self.adam),
            "discriminators": Player((self.discriminator, self.inverse_discriminator), self.adam),
        }

    def transform(self, images: Tensor, to: str) -> Tensor:
        """G_AB to `b`, G_BA to `a`."""
        if min(images.shape[2:]) < self.generator.least:
            found = min(images.shape[2:])
            raise BadArgument(f"images have sides of {found} pixels; at least {self.generator.least} are expected")
        network: nn.Module = self.average_module("inverse" if to == self.back else "generator")
        return network(images)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """An update of the discriminators at the first of `every` batches, else one of the generators."""
        if self.batches_seen % self.every == 1:
            self.move("discriminators", self.discriminators_loss, batch)
        else:
            self.move("generators", self.generators_loss, batch)

    def discriminators_loss(self, batch: Batch) -> Tensor:
        """The logarithmic loss of both, halved."""
        a, b = batch.images, self.targets_of(batch)
        with torch.no_grad():
            fakes = self.inverse(b), self.generator(a)
        both = zip((self.inverse_discriminator, self.discriminator), (a, b), fakes, strict=True)
        each = [
            losses.minimax_discriminator(judge(self.seen(real))[0], judge(self.seen(fake))[0])
            for judge, real, fake in both
        ]
        return 0.5 * (each[0] + each[1])

    def generators_loss(self, batch: Batch) -> Tensor:
        """What both discriminators say, how far their features lie apart, and the ways there and back."""
        a, b = batch.images, self.targets_of(batch)
        made_b, made_a = self.generator(a), self.inverse(b)
        game = features = torch.zeros((), device=self.device)
        for judge, real, fake in ((self.inverse_discriminator, a, made_a), (self.discriminator, b, made_b)):
            logits, fakes = judge(self.seen(fake))
            game = game + losses.nonsaturating_generator(logits)
            features = features + feature_distance(judge(self.seen(real))[1], fakes)
        # Of values in [0, 1] there
        back = (F.mse_loss(self.inverse(made_b), a) + F.mse_loss(self.generator(made_a), b)) / 4
        self.record(adversarial=game, features=features, reconstruction=back)
        rate = self.rates[self.images_seen >= self.curriculum]
        return (1 - rate) * (self.adversarial * game + (1 - self.adversarial) * features) + rate * back


def feature_distance(reals: Sequence[Tensor], fakes: Sequence[Tensor]) -> Tensor:
    """L_FM: over the layers, the mean square of the difference of the batches' mean features."""
    each = [(real.mean(0) - fake.mean(0)).square().mean() for real, fake in zip(reals, fakes, strict=True)]
    return torch.stack(each).sum()
