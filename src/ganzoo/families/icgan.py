"""IcGAN: a conditional GAN and two encoders that invert it: a face's attributes change, and its latents stay.

Perarnau, van de Weijer, Raducanu and Álvarez 2016, "Invertible Conditional GANs for image editing", arXiv:1611.06355.
A DCGAN whose generator is given attributes y beside z, and whose discriminator is told them beside its first layer's
maps and also sees real pictures with attributes y^ of others. Once it is trained, and fixed, E_z learns to find the z
of drawn pictures and E_y the y of real ones, each for itself (eq. 3 and 4); an edited picture is G(E_z(x), y'):

    L_D = -E log D(x, y) - 1/2 E log(1 - D(x, y^)) - 1/2 E log(1 - D(G(z, y'), y'))
    L_G = -E log D(G(z, y'), y')
    L_Ez = E ||z - E_z(G(z, y'))||^2        L_Ey = E ||y - E_y(x)||^2        z ~ N(0, 1)^100
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Adam

from ganzoo.data.batch import Images
from ganzoo.game import inference
from ganzoo.game.abilities import Inverts, Labelled, Translates
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.media.levels import to_float
from ganzoo.nn import dcgan
from ganzoo.objectives import losses
from ganzoo.schema import Domains, Layers, NonNegative, Positive, Probability, Sizes, Words
from ganzoo.types import BadArgument, Batch, Condition


@register(
    paper="Perarnau, van de Weijer, Raducanu and Álvarez, Invertible Conditional GANs for image editing",
    year=2016,
    url="https://arxiv.org/abs/1611.06355",
    task="translation",
    formula=(
        "L_D = -E log D(x, y) - 1/2 E log(1 - D(x, y^)) - 1/2 E log(1 - D(G(z, y'), y'))",
        "L_G = -E log D(G(z, y'), y')",
        "L_Ez = E ||z - E_z(G(z, y'))||^2",
        "L_Ey = E ||y - E_y(x)||^2",
    ),
)
class IcGAN(Translates, Labelled, Inverts):
    """A conditional GAN and two encoders that invert it: a face's attributes change, and its latents stay.

    Attributes are label vectors `(N, K)` of 0 and 1, or classes, and networks see -1 and 1. Translating to an attribute
    turns it on and leaves the others as E_y found them; of `groups`, of each of which one holds, it turns the others of
    its group off. Pictures of other sides than those of training are resized to these, and back. Both y' and y^ are
    those of the batch, y^ each picture's neighbour's; the authors draw them from all.

    Args:
        size: side of an image: 4 to 7 times a power of 2, and a multiple of 2 to the number of `layers`.
        channels: channels of an image.
        classes: K.
        groups: how many attributes stand together of which one holds, one number a group, as (2, 6): hair long or
            short, and of one of six colours; none where each holds or not by itself, as in the paper.
        names: of the attributes: small letters, digits and hyphens; `class-0`, `class-1`, ... where there are none.
        latent: length of z.
        width: feature maps of the generator before its last layer.
        discriminator_width: feature maps after the discriminator's first layer.
        encoder_width: feature maps after the encoders' first layer.
        layers: halvings of the encoders.
        encoder_hidden: units of E_z's hidden layer; as many as it is given where None.
        label_hidden: units of E_y's.
        lr: learning rate of discriminator and generator.
        betas: Adam's decay rates for these.
        gan_images: how many images these two see before they stop, and the encoders begin: 25 epochs of CelebA as it
            stands. Steps count the generator's updates and then the encoders'.
        encoder_lr: learning rate of the encoders.
        encoder_betas: Adam's decay rates for these.
    """

    inference = averages = ("generator", "encoder", "label_encoder")
    label_vectors = True
    coupled = True  # the attributes of neighbours

    def __init__(
        self,
        size: Positive = 64,
        channels: Positive = 3,
        classes: Domains = 18,
        groups: Sizes = (),
        names: Words = (),
        latent: Positive = 100,
        width: Positive = 64,
        discriminator_width: Positive = 64,
        encoder_width: Positive = 32,
        layers: Layers = 4,
        encoder_hidden: Positive | None = None,
        label_hidden: Positive = 512,
        lr: NonNegative = 2e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
        gan_images: Positive = 4_600_000,
        encoder_lr: NonNegative = 1e-4,
        encoder_betas: tuple[Probability, Probability] = (0.1, 0.999),
    ) -> None:
        super().__init__()
        if groups and sum(groups) != classes:
            raise BadArgument(f"groups are {groups}, of {sum(groups)} attributes; {classes} are expected, as classes")
        self.classes, self.gan_images = classes, gan_images
        self.shape, self.prior = (channels, size, size), Normal(latent)
        self.name_domains(names, classes, "attributes")
        self.groups = tuple(groups) or (1,) * classes
        self.generator = dcgan.Generator(latent + classes, channels, size, width)
        self.discriminator = dcgan.LabelledDiscriminator(channels, classes, size, discriminator_width)
        self.encoder = dcgan.Encoder(channels, size, encoder_width, layers, encoder_hidden, latent)
        self.label_encoder = dcgan.Encoder(channels, size, encoder_width, layers, label_hidden, classes)
        self.adam = partial(Adam, lr=lr, betas=betas)
        self.encoder_optimizer = partial(Adam, lr=encoder_lr, betas=encoder_betas)

    # ---------------------------------------------------------------- learning

    def encoders(self) -> dict[str, Callable[[Batch], Tensor]]:
        """E_z and E_y, each for itself."""
        return {"encoder": self.encoder_loss, "label_encoder": self.label_encoder_loss}

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """Real pictures with their attributes, with others', and drawn ones."""
        y = self.own(batch)
        with torch.no_grad():
            fake = self.drawn(self.noise(batch), self.labels_of(batch)).to(batch.images)
        images = self.seen(batch.images)
        real, other, made = (
            self.discriminator(*each).float() for each in ((images, y), (images, y.roll(1, 0)), (self.seen(fake), y))
        )
        return F.softplus(-real).mean() + (F.softplus(other).mean() + F.softplus(made).mean()) / 2

    def generator_loss(self, batch: Batch) -> Tensor:
        """-E log D(G(z, y'), y')."""
        fake = self.drawn(self.noise(batch), self.labels_of(batch))
        return losses.nonsaturating_generator(self.discriminator(self.seen(fake), self.own(batch)))

    def encoder_loss(self, batch: Batch) -> Tensor:
        """E ||z - E_z(G(z, y'))||^2, as a mean over z's numbers as in the authors' code (eq. 3)."""
        z = self.noise(batch)
        with torch.no_grad():
            fake = self.drawn(z, self.labels_of(batch)).to(batch.images)
        return F.mse_loss(self.encoder(fake).float(), z)

    def label_encoder_loss(self, batch: Batch) -> Tensor:
        """E ||y - E_y(x)||^2, as a mean over the attributes (eq. 4)."""
        return F.mse_loss(self.label_encoder(batch.images).float(), self.own(batch).float())

    def own(self, batch: Batch) -> Tensor:
        """y `(N, K)`, -1 and 1."""
        return self.vectors(self.labels_of(batch)).to(batch.images)

    def vectors(self, labels: Tensor) -> Tensor:
        """Class indices `(n,)`, or vectors `(n, K)` of 0 and 1, as vectors of -1 and 1."""
        vectors = F.one_hot(labels, self.classes or 1) if labels.ndim == 1 else labels
        return 2 * vectors.float() - 1

    def realness(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """D's logits of images with their attributes, or with none of them."""
        labels = images.new_zeros(len(images), self.classes or 1) if labels is None else labels
        return self.discriminator(images, self.vectors(labels))

    # ---------------------------------------------------------------- drawing, and editing

    def _draw(self, rngs: Sequence[np.random.RandomState], given: Condition) -> tuple[Tensor, Condition]:
        """Where no attributes are given, one of each group; of a group of one, whether it holds."""
        z = torch.from_numpy(np.stack([self.prior.of(rng) for rng in rngs]).astype(np.float32))
        if given.labels is not None:
            return z, given
        rows = torch.tensor([[rng.randint(max(n, 2)) for n in self.groups] for rng in rngs])
        parts = [F.one_hot(rows[:, i], max(n, 2))[:, -n:] for i, n in enumerate(self.groups)]
        return z, inference.with_labels(given, torch.cat(parts, 1).float())

    def attributes(self, images: Tensor) -> Tensor:
        """E_y's `(n, K)`, -1 and 1: of a group the largest, of a group of one whether it is above 0."""
        found = self.average_module("label_encoder")(images).split(self.groups, 1)
        chosen = [(x > 0) if x.shape[1] == 1 else x == x.amax(1, keepdim=True) for x in found]
        return 2 * torch.cat(chosen, 1).to(images) - 1

    def reconstruction(self, images: Tensor) -> Tensor:
        """G(E_z(x), E_y(x))."""
        return self.averaged(torch.cat([self.encoding(images), self.attributes(images)], 1))

    def transform(self, images: Tensor, to: str, *, off: bool = False) -> Tensor:
        """G(E_z(x), y'), where y' is E_y(x) with an attribute changed.

        Args:
            images: `(n, C, H, W)`.
            to: the attribute.
            off: turns it off instead, which suits an attribute by itself.
        """
        place, ends = self.domains.index(to), np.cumsum(self.groups)
        group = int(np.searchsorted(ends, place, side="right"))
        first, last = int(ends[group]) - self.groups[group], int(ends[group])
        wanted = torch.full((last - first,), -1.0)
        wanted[place - first] = -1.0 if off else 1.0

        def edited(x: Tensor) -> Tensor:
            y = self.attributes(x)
            y = torch.cat([y[:, :first], wanted.to(y).expand(y.shape[0], -1), y[:, last:]], 1)
            return self.averaged(torch.cat([self.encoding(x), y], 1))

        return inference.at_sides(images, self.shape[1:], edited)

    def pictures(self, real: Images | None) -> dict[str, Tensor]:
        """Held-out pictures, what comes back of them, and each edited to every attribute; and drawn ones."""
        if real is None:
            return {}
        x = to_float(torch.from_numpy(real.values[inference.spread(len(real), 8)]))
        columns = [x, self.reconstruct(x), *(self.translate(x, to=to) for to in self.domains)]
        return {"edits": torch.stack(columns, 1), "drawn": self.sample(32).unflatten(0, (4, 8))}
