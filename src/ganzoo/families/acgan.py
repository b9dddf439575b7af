"""AC-GAN: the discriminator also says which class it sees, and the generator is to be recognised by it.

Odena, Olah and Shlens 2017, "Conditional Image Synthesis with Auxiliary Classifier GANs", arXiv:1610.09585. With the
source S and the class C of an image, of a sample the class it was made for (eq. 2 and 3):

    L_S = E log P(S = real | x) + E log P(S = fake | G(z, c))
    L_C = E log P(C = c | x) + E log P(C = c | G(z, c))

D maximises L_S + L_C, G maximises L_C - L_S. The label itself is no input of D.
"""

from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Samples
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn import resnet
from ganzoo.nn.dcgan import initialize
from ganzoo.objectives import losses
from ganzoo.schema import Layers, NonNegative, Positive, Probability, Sizes
from ganzoo.types import BadArgument, Batch


class Generator(nn.Module):
    """A fully connected layer, then fractionally strided 5 x 5 convolutions (appendix A, tables 1 and 2).

    Args:
        latent: length of z.
        classes: number of labels, which enter beside z.
        channels: channels of an image.
        size: side of an image.
        widths: feature maps from z on; each is at twice the resolution of the one before.
    """

    def __init__(self, latent: int, classes: int, channels: int, size: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        start = size // 2 ** len(widths)
        self.classes = classes
        self.project = nn.Linear(latent + classes, widths[0] * start**2)
        layers: list[nn.Module] = [nn.ReLU(inplace=True), nn.Unflatten(1, (widths[0], start, start))]
        for wide, narrow in pairwise(widths):
            layers += [_up(wide, narrow, bias=False), nn.BatchNorm2d(narrow), nn.ReLU(inplace=True)]
        layers += [_up(widths[-1], channels, bias=True), nn.Tanh()]
        self.main = nn.Sequential(*layers)
        self.apply(initialize)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Maps z `(N, latent)` and labels `(N,)` to images `(N, channels, size, size)` in [-1, 1]."""
        code = torch.cat([z, F.one_hot(labels, self.classes).to(z)], 1)
        return self.main(self.project(code))


def _up(inputs: int, outputs: int, bias: bool) -> nn.Module:
    """A fractionally strided convolution to twice the resolution."""
    return nn.ConvTranspose2d(inputs, outputs, 5, stride=2, padding=2, output_padding=1, bias=bias)


class Discriminator(nn.Module):
    """3 x 3 convolutions of stride 2 and 1 by turns, with leaky ReLU and dropout (appendix A).

    Args:
        channels: channels of an image.
        size: side of an image.
        widths: feature maps of the convolutions.
        classes: number of labels.
        dropout: after every convolution, in training.
    """

    def __init__(self, channels: int, size: int, widths: tuple[int, ...], classes: int, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i, (narrow, wide) in enumerate(zip((channels, *widths), widths, strict=False)):
            stride = 2 - i % 2
            size = -(-size // stride)
            layers.append(nn.Conv2d(narrow, wide, 3, stride, padding=1, bias=i == 0))
            layers += [nn.BatchNorm2d(wide)] if i else []
            layers += [nn.LeakyReLU(0.2, inplace=True), nn.Dropout(dropout)]
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Linear(widths[-1] * size**2, 1 + classes)
        self.apply(initialize)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Maps images to the logits of the source `(N,)`, real above 0, and of the classes `(N, classes)`."""
        outputs = self.head(self.features(x))
        return outputs[:, 0], outputs[:, 1:]


class ResidualDiscriminator(nn.Module):
    """SNGAN's residual network with batch normalization instead of a spectral one, and two heads, as StudioGAN has it.

    Args:
        channels: channels of an image.
        size: side of an image.
        widths: feature maps after each block.
        downsamplings: how many blocks, from the first, halve the side.
        classes: number of labels.
    """

    def __init__(self, channels: int, size: int, widths: tuple[int, ...], downsamplings: int, classes: int) -> None:
        super().__init__()
        norm = partial(nn.BatchNorm2d, eps=1e-4)
        self.main = resnet.Discriminator(channels, size, widths, downsamplings, wide=True, normalization=norm)
        self.head = nn.Linear(widths[-1], classes, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Maps images to the logits of the source `(N,)`, real above 0, and of the classes `(N, classes)`."""
        features = self.main.features(x)
        return self.main.score(features).squeeze(1), self.head(features)


@register(
    paper="Odena, Olah and Shlens, Conditional Image Synthesis with Auxiliary Classifier GANs",
    year=2017,
    url="https://arxiv.org/abs/1610.09585",
    method="AC-GAN",
    formula=(
        "L_S = E log P(S = real | x) + E log P(S = fake | G(z, c))",
        "L_C = E log P(C = c | x) + E log P(C = c | G(z, c))",
        "D maximises L_S + L_C, G maximises L_C - L_S",
    ),
)
class ACGAN(Samples):
    """A classifier in the discriminator makes samples that are recognisable as their class.

    The defaults are those of CIFAR-10 (table 2). The networks of ImageNet at 128 pixels (table 1) have `widths`
    768, 384, 256, 192, 64, and one model for every 10 classes.

    `resnet_widths` gives both players StudioGAN's residual networks instead, the class choosing gains and biases of the
    generator's batch normalization; its code has the hinge for L_S, and leaves the samples' classes out of D's loss.

    Args:
        size: side of an image, a multiple of 2 to the number of `widths`.
        channels: channels of an image.
        classes: number of labels.
        latent: length of z.
        widths: the generator's feature maps from z on, each at twice the resolution of the one before.
        discriminator_widths: feature maps of the discriminator's convolutions, every other one of stride 2.
        dropout: in the discriminator.
        resnet_widths: the residual generator's feature maps from the smallest side up: (256, 256, 256, 256) at 32
            pixels.
        critic_widths: the residual discriminator's, after each block.
        downsamplings: how many of its blocks, from the first, halve the side.
        class_weight: of L_C beside L_S; 1 in the paper.
        lr: learning rate of both players.
        betas: Adam's decay rates.
    """

    def __init__(
        self,
        size: Positive = 32,
        channels: Positive = 3,
        classes: Positive = 10,
        latent: Positive = 100,
        widths: Sizes = (384, 192, 96),
        discriminator_widths: Sizes = (16, 32, 64, 128, 256, 512),
        dropout: Probability = 0.5,
        resnet_widths: Sizes | None = None,
        critic_widths: Sizes = (128, 128, 128, 128),
        downsamplings: Layers = 2,
        class_weight: NonNegative = 1.0,
        lr: NonNegative = 2e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
    ) -> None:
        super().__init__()
        self.labelled = True
        if resnet_widths is None and (not (widths and discriminator_widths) or size % 2 ** len(widths)):
            raise BadArgument(f"size is {size} and widths are {widths}; a multiple of {2 ** len(widths)} is expected")
        self.shape, self.classes, self.weight = (channels, size, size), classes, class_weight
        self.prior = Normal(latent)
        self.generator: nn.Module
        self.discriminator: nn.Module
        if resnet_widths is None:
            self.generator = Generator(latent, classes, channels, size, widths)
            self.discriminator = Discriminator(channels, size, discriminator_widths, classes, dropout)
        else:
            self.generator = resnet.Generator(
                latent, channels, size, resnet_widths, classes=classes, eps=1e-4, one_hot=True
            )
            self.discriminator = ResidualDiscriminator(channels, size, critic_widths, downsamplings, classes)
        self.adam = partial(Adam, lr=lr, betas=betas)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player."""
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """-L_S - L_C: real and generated images are told apart, and the classes of both recognised."""
        z, c = self.latents_and_labels(batch)
        real, real_classes = self.discriminator(self.seen(batch.images))
        fake, fake_classes = self.discriminator(self.seen(self.generator(z, c)))
        y = self.labels_of(batch)
        source = losses.minimax_discriminator(real, fake)
        self.record(accuracy=(real_classes.argmax(1) == y).float().mean())
        return source + self.weight * (recognition(real_classes, y) + recognition(fake_classes, c))

    def generator_loss(self, batch: Batch) -> Tensor:
        """-L_C + L_S, where G's part of L_S is, as usual, -E log P(S = real | G(z, c)), which does not saturate."""
        z, c = self.latents_and_labels(batch)
        fake, classes = self.discriminator(self.seen(self.generator(z, c)))
        return losses.nonsaturating_generator(fake) + self.weight * recognition(classes, c)

    def latents_and_labels(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """z `(N, latent)` and classes `(N,)`, all as likely, as many as there are images in the batch."""
        assert self.classes is not None
        n = len(batch.images)
        z = self.noise(batch)
        return z, torch.randint(self.classes, (n,), device=self.device)


def recognition(logits: Tensor, labels: Tensor) -> Tensor:
    """-E log P(C = c), from logits `(N, classes)` and labels `(N,)`."""
    return F.cross_entropy(logits.float(), labels)
