"""GAN-INT-CLS: images from sentences, by a discriminator that also rejects real images with wrong sentences.

Reed, Akata, Yan, Logeswaran, Schiele and Lee 2016, "Generative Adversarial Text to Image Synthesis", arXiv:1605.05396.
A DCGAN whose generator is given a sentence's embedding t beside z, and whose discriminator judges picture and sentence
together. It sees real pictures with sentences t^ that are not theirs (CLS, algorithm 1), and the generator also draws
what lies between the sentences of two pictures, t' = (t + t_2) / 2, for which there are no pictures (INT, eq. 5):

    L_D = -E log D(x, t) - 1/2 E log(1 - D(x, t^)) - 1/2 E log(1 - D(G(z, t), t))
    L_G = -E log D(G(z, t), t) - lambda E log D(G(z, t'), t')
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Depicts
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn import dcgan
from ganzoo.objectives import losses
from ganzoo.schema import NonNegative, Positive, Probability, Words
from ganzoo.types import Batch, Condition


def describing(text: int, described: int) -> nn.Sequential:
    """A sentence's embedding made shorter, by each player for itself."""
    return nn.Sequential(nn.Linear(text, described), nn.LeakyReLU(0.2))


class Generator(nn.Module):
    """DCGAN's, of z and the shortened sentence.

    Args:
        latent: length of z.
        text: length of t.
        described: length of the shortened t.
        channels: channels of an image.
        size: side of an image.
        width: feature maps before the last layer.
    """

    def __init__(self, latent: int, text: int, described: int, channels: int, size: int, width: int) -> None:
        super().__init__()
        self.describe = describing(text, described)
        self.draw = dcgan.Generator(latent + described, channels, size, width)
        self.describe.apply(dcgan.initialize)

    def forward(self, z: Tensor, text: Tensor) -> Tensor:
        """Maps `(N, latent)` and `(N, text)` to images in [-1, 1]."""
        return self.draw(torch.cat([z, self.describe(text)], 1))


class Discriminator(nn.Module):
    """DCGAN's, to whose last features the shortened sentence is joined at every place.

    Args:
        text: length of t.
        described: length of the shortened t.
        channels: channels of an image.
        size: side of an image.
        width: feature maps after the first layer.
    """

    def __init__(self, text: int, described: int, channels: int, size: int, width: int) -> None:
        super().__init__()
        self.describe = describing(text, described)
        body = dcgan.Discriminator(channels, size, width)
        self.features, (wide, start, _) = body.features, body.feature_shape
        joined = nn.Conv2d(wide + described, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.LeakyReLU(0.2)
        self.joint = nn.Sequential(*joined, nn.Conv2d(wide, 1, start, bias=False))
        for part in (self.describe, self.joint):
            part.apply(dcgan.initialize)

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        """Logits `(N,)` of images and sentences `(N, text)`."""
        features = self.features(x)
        said = self.describe(text)[:, :, None, None].expand(-1, -1, *features.shape[2:])
        return self.joint(torch.cat([features, said], 1)).flatten()


@register(
    paper="Reed et al., Generative Adversarial Text to Image Synthesis",
    year=2016,
    url="https://arxiv.org/abs/1605.05396",
    method="GAN-INT-CLS",
    task="text-to-image",
    formula=(
        "L_D = -E log D(x, t) - 1/2 E log(1 - D(x, t^)) - 1/2 E log(1 - D(G(z, t), t))",
        "L_G = -E log D(G(z, t), t) - lambda E log D(G(z, t'), t')",
    ),
)
class GANINTCLS(Depicts):
    """Images from sentences, by a discriminator that also rejects real images with wrong sentences.

    Sentences come as embeddings. The paper's are of a network trained beside pictures, which is not here:
    `data.captions` stands in, random directions of words, or give embeddings of your own. Both the wrong sentence of a
    picture and the second one of an interpolation are its neighbour's in the batch. Networks are DCGAN's, as the paper
    says; the authors' code has two residual blocks more in each.

    Args:
        size: side of an image: 4 to 7 times a power of 2.
        channels: channels of an image.
        text: length of an embedding; the paper's 1024.
        captions: example sentences, of which a sample draws one where none is given.
        latent: length of z.
        described: length of the shortened embedding.
        width: feature maps of the generator beside the images.
        discriminator_width: feature maps after the discriminator's first layer.
        interpolation: lambda, the weight of sentences between two; 0 for GAN-CLS.
        lr: learning rate of both players; the authors halve it every 100 epochs.
        betas: Adam's decay rates.
    """

    coupled = True  # the sentences of neighbours

    def __init__(
        self,
        size: Positive = 64,
        channels: Positive = 3,
        text: Positive = 1024,
        captions: Words = (),
        latent: Positive = 100,
        described: Positive = 128,
        width: Positive = 64,
        discriminator_width: Positive = 64,
        interpolation: NonNegative = 1.0,
        lr: NonNegative = 2e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
    ) -> None:
        super().__init__()
        self.shape, self.prior, self.text, self.captions = (channels, size, size), Normal(latent), text, captions
        self.generator = Generator(latent, text, described, channels, size, width)
        self.discriminator = Discriminator(text, described, channels, size, discriminator_width)
        self.embedded(captions)
        self.interpolation = interpolation
        self.adam = partial(Adam, lr=lr, betas=betas)

    def generate(self, z: Tensor, condition: Condition) -> Tensor:
        """G(z, t)."""
        return self.averaged(z, self.told(condition, z.shape[0]))

    def realness(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """Logits with the first example's sentence, or without one."""
        return self.discriminator(images, self.told(Condition(), len(images)))

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Algorithm 1: one update of each player."""
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """A real picture with its sentence, with another one, and a drawn picture."""
        images, text = self.seen(batch.images), self.text_of(batch)
        with torch.no_grad():
            fake = self.generator(self.noise(batch), text).to(batch.images)
        real, other = self.discriminator(images, text), self.discriminator(images, text.roll(1, 0))
        self.record(mismatch=other.sigmoid().mean())
        wrong = F.softplus(other.float()).mean() + F.softplus(self.discriminator(self.seen(fake), text).float()).mean()
        return F.softplus(-real.float()).mean() + wrong / 2

    def generator_loss(self, batch: Batch) -> Tensor:
        """A picture of a sentence, and one of what lies between two."""
        text = self.text_of(batch)
        loss = self.drawn_loss(batch, text)
        between = (text + text.roll(1, 0)) / 2
        return loss + self.interpolation * self.drawn_loss(batch, between) if self.interpolation else loss

    def drawn_loss(self, batch: Batch, text: Tensor) -> Tensor:
        """-E log D(G(z, t), t)."""
        fake = self.generator(self.noise(batch), text)
        return losses.nonsaturating_generator(self.discriminator(self.seen(fake), text))
