"""StarGAN: one generator translates between all domains, told which one is wanted.

Choi, Choi, Kim, Ha, Kim and Choo 2018, "StarGAN: Unified Generative Adversarial Networks for Multi-Domain
Image-to-Image Translation", arXiv:1711.09020. The wanted domain c stands beside the image x as constant feature maps;
the discriminator says how real an image is and of which domain; and a translation back to the image's own domain c'
must give the image (eq. 1 to 6, with the Wasserstein distance and its gradient penalty for L_adv, eq. 8):

    L_D = E D(G(x, c)) - E D(x) + lambda_gp E (||grad D(x^)|| - 1)^2 - lambda_cls E log D_cls(c' | x)
    L_G = -E D(G(x, c)) - lambda_cls E log D_cls(c | G(x, c)) + lambda_rec E |x - G(G(x, c), c')|

Of several data sets, each with labels of its own, an image has the labels of one: c is their vectors side by side, with
zeros for what nobody knows, and a mask that says whose labels they are (eq. 7).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Translates
from ganzoo.game.registry import register
from ganzoo.nn.translation import InstanceNorm
from ganzoo.objectives import losses, penalties
from ganzoo.schema import Domains, Layers, NonNegative, Positive, Probability, Sizes, Words
from ganzoo.types import BadArgument, Batch


def convolution(inputs: int, outputs: int, kernel: int, stride: int, up: bool = False) -> list[nn.Module]:
    """A convolution without bias, instance normalization with gain and bias, and ReLU."""
    kind = nn.ConvTranspose2d if up else nn.Conv2d
    conv = kind(inputs, outputs, kernel, stride, (kernel - 1) // 2, bias=False)
    return [conv, InstanceNorm(outputs, affine=True), nn.ReLU(inplace=True)]


class Block(nn.Module):
    """`x + f(x)`, with two 3 x 3 convolutions in f.

    Args:
        width: feature maps.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.main = nn.Sequential(*convolution(width, width, 3, 1), *convolution(width, width, 3, 1)[:2])

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, width, H, W)` to the same shape."""
        return x + self.main(x)


class Generator(nn.Module):
    """Two halvings, residual blocks, two doublings (table 4), with an image's own statistics.

    Args:
        channels: channels of an image.
        domain: length of the vector that says the domain.
        width: feature maps beside the images; twice and four times as many within.
        blocks: residual blocks.
    """

    def __init__(self, channels: int, domain: int, width: int, blocks: int) -> None:
        super().__init__()
        layers = convolution(channels + domain, width, 7, 1)
        for inner in (2 * width, 4 * width):
            layers += convolution(inner // 2, inner, 4, 2)
        layers += [Block(4 * width) for _ in range(blocks)]
        for outer in (2 * width, width):
            layers += convolution(2 * outer, outer, 4, 2, up=True)
        self.main = nn.Sequential(*layers, nn.Conv2d(width, channels, 7, 1, 3, bias=False), nn.Tanh())

    def forward(self, x: Tensor, domain: Tensor) -> Tensor:
        """Maps images `(N, channels, H, W)`, of sides that are multiples of 4, and domains `(N, domain)` to images."""
        maps = domain.to(x)[:, :, None, None].expand(-1, -1, *x.shape[2:])
        return self.main(torch.cat([x, maps], 1))


class Discriminator(nn.Module):
    """Halvings with leaky ReLU and no normalization, then a score a patch and the logits of the domains (table 5).

    Args:
        channels: channels of an image.
        size: side of an image: a multiple of 2 to the number of layers.
        width: feature maps after the first layer, each of the others doubling them.
        layers: number of halvings.
        domains: number of logits.
    """

    def __init__(self, channels: int, size: int, width: int, layers: int, domains: int) -> None:
        super().__init__()
        made: list[nn.Module] = []
        for i in range(layers):
            made += [nn.Conv2d(width << (i - 1) if i else channels, width << i, 4, 2, 1), nn.LeakyReLU(0.01)]
        self.main = nn.Sequential(*made)
        self.source = nn.Conv2d(width << (layers - 1), 1, 3, 1, 1, bias=False)
        self.domain = nn.Conv2d(width << (layers - 1), domains, size >> layers, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scores `(N, 1, h, w)` and logits `(N, domains)` of images `(N, channels, size, size)`."""
        h = self.main(x)
        return self.source(h), self.domain(h).flatten(1)


@register(
    paper="Choi et al., StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image Translation",
    year=2018,
    url="https://arxiv.org/abs/1711.09020",
    task="translation",
    formula=(
        "L_D = E D(G(x, c)) - E D(x) + lambda_gp E (||grad D(x^)|| - 1)^2 - lambda_cls E log D_cls(c' | x)",
        "L_G = -E D(G(x, c)) - lambda_cls E log D_cls(c | G(x, c)) + lambda_rec E |x - G(G(x, c), c')|",
    ),
)
class StarGAN(Translates):
    """One generator translates between all domains, told which one is wanted.

    The domains are the classes of the data, or attributes, of which an image has several: label vectors `(N, K)` of 0
    and 1. Translating to an attribute's domain asks for it alone; `wanted` says all of a vector. In training, classes
    are drawn evenly, and attributes are those of another image of the batch, as in the authors' code. Known attributes
    of several data sets are judged one by one; the authors judge those of RaFD as classes.

    Args:
        size: side of an image in training: a multiple of 2 to the number of `layers`.
        channels: channels of an image.
        classes: number of classes, or length of the label vectors; of several data sets, with their mask.
        parts: lengths of the label vectors of several data sets, which the mask's follows: (5, 8) has vectors of 15.
        names: of the domains: small letters, digits and hyphens; `class-0`, `class-1`, ... where there are none.
        width: feature maps of the generator beside the images.
        blocks: its residual blocks.
        discriminator_width: feature maps after the discriminator's first layer.
        layers: halvings of the discriminator.
        n_critic: updates of the discriminator for each of the generator.
        penalty: lambda_gp.
        classification: lambda_cls, the weight of the domain's classification.
        cycle: lambda_rec, the weight of the reconstruction.
        lr: learning rate of both players; the authors' falls linearly to 0 in the second half (`engine.decay`).
        betas: Adam's decay rates.
    """

    label_vectors = True

    def __init__(
        self,
        size: Positive = 128,
        channels: Positive = 3,
        classes: Domains = 5,
        parts: Sizes = (),
        names: Words = (),
        width: Positive = 64,
        blocks: Layers = 6,
        discriminator_width: Positive = 64,
        layers: Layers = 6,
        n_critic: Positive = 5,
        penalty: NonNegative = 10.0,
        classification: NonNegative = 1.0,
        cycle: NonNegative = 10.0,
        lr: NonNegative = 1e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
    ) -> None:
        super().__init__()
        if size % 2**layers or size % 4:
            raise BadArgument(f"size is {size}; a multiple of {2 ** max(layers, 2)} is expected, or fewer layers")
        if parts and sum(parts) + len(parts) != classes:
            raise BadArgument(f"parts are {parts} and classes {classes}; {sum(parts) + len(parts)} are expected")
        known = sum(parts) or classes  # without the mask
        self.labelled = True
        self.shape, self.classes, self.parts, self.stride = (channels, size, size), classes, parts, 4
        self.name_domains(names, known)
        self.generator = Generator(channels, classes, width, blocks)
        self.discriminator = Discriminator(channels, size, discriminator_width, layers, known)
        self.n_critic, self.penalty, self.cycle, self.classification = n_critic, penalty, cycle, classification
        self.adam = partial(Adam, lr=lr, betas=betas)

    def transform(self, images: Tensor, to: str, *, wanted: Sequence[float] | None = None) -> Tensor:
        """G(x, c).

        Args:
            images: `(n, C, H, W)`.
            to: the domain.
            wanted: all of c instead, as many numbers as the model has `classes`.
        """
        assert self.classes is not None
        if wanted is not None and len(wanted) != self.classes:
            raise BadArgument(f"{len(wanted)} numbers are wanted; StarGAN expects {self.classes} of this model")
        domain = self.domains.index(to)
        vector = [float(i == domain) for i in range(self.classes)]
        if self.parts:  # whose data set's it is says the mask
            vector[sum(self.parts) + sum(domain >= end for end in accumulate(self.parts))] = 1.0
        c = torch.tensor(vector if wanted is None else [*wanted], dtype=images.dtype, device=images.device)
        return self.averaged(images, c.expand(images.shape[0], -1))

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """An update of the discriminator with a batch; after n_critic of them one of the generator."""
        self.move("discriminator", self.discriminator_loss, batch)
        if self.turn(every=self.n_critic):
            self.move("generator", self.generator_loss, batch)

    def own(self, batch: Batch) -> Tensor:
        """c' `(N, classes)`: the images' own labels as vectors."""
        assert self.classes is not None
        labels = self.labels_of(batch)
        return (F.one_hot(labels, self.classes) if labels.ndim == 1 else labels).to(batch.images)

    def target(self, batch: Batch) -> Tensor:
        """c `(N, classes)`: a class drawn evenly, or the attributes of another image."""
        labels, n = self.labels_of(batch), len(batch)
        if labels.ndim == 2:
            return self.own(batch)[torch.randint(n, (n,), device=self.device)]
        return F.one_hot(torch.randint(self.classes or 1, (n,), device=self.device), self.classes or 1).to(batch.images)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """E D(G(x, c)) - E D(x), the gradient penalty, and the classification of real images (eq. 2 and 8)."""
        with torch.no_grad():
            fake = self.generator(batch.images, self.target(batch)).to(batch.images)
        real, logits = self.discriminator(self.seen(batch.images))
        distance = losses.wasserstein_critic(real, self.discriminator(self.seen(fake))[0])
        known = self.misclassified(logits, batch, self.own(batch))
        self.record(wasserstein_estimate=-distance, classification=known)
        penalty = penalties.gradient_penalty(lambda x: self.discriminator(self.seen(x))[0], batch.images, fake)
        return distance + self.penalty * penalty + self.classification * known

    def generator_loss(self, batch: Batch) -> Tensor:
        """-E D(G(x, c)), the classification of the translation, and the way back (eq. 3, 4 and 6)."""
        wanted = self.target(batch)
        fake = self.generator(batch.images, wanted)
        scores, logits = self.discriminator(self.seen(fake))
        known = self.misclassified(logits, batch, wanted)
        cycle = F.l1_loss(self.generator(fake, self.own(batch)), batch.images)
        self.record(translated=known, cycle=cycle)
        return losses.wasserstein_generator(scores) + self.classification * known + self.cycle * cycle

    def misclassified(self, logits: Tensor, batch: Batch, domain: Tensor) -> Tensor:
        """The cross-entropy of classes; of attributes the sum of their binary ones, those that the mask knows."""
        if self.labels_of(batch).ndim == 1:
            return F.cross_entropy(logits.float(), domain.argmax(1))
        if not self.parts:
            return F.binary_cross_entropy_with_logits(logits.float(), domain, reduction="sum") / len(logits)
        vectors, mask = domain.split([sum(self.parts), len(self.parts)], 1)
        each = F.binary_cross_entropy_with_logits(logits.float(), vectors, reduction="none")
        counts: Any = torch.tensor(self.parts, device=mask.device)
        return (each * mask.repeat_interleave(counts, 1)).sum() / len(logits)
