"""Age-cGAN: a face is inverted into a conditional GAN's latent by its identity, and drawn again at another age.

Antipov, Baccouche and Dugelay 2017, "Face Aging with Conditional Generative Adversarial Networks", arXiv:1702.01983.
Both players of a DCGAN are told an age group y (as IcGAN's are, arXiv:1611.06355). Then an encoder E learns the z of
drawn faces, which is a first guess z_0 = E(x) for a face x of age y_0; from there L-BFGS looks for the z that draws
whom a face recognition network FR takes for the same (eq. 2), and G(z*, y) is that face at the age y:

    L_D = -E log D(x, y) - E log(1 - D(G(z, y'), y'))        L_G = -E log D(G(z, y'), y')        z ~ N(0, 1)^100
    L_E = E ||z - E(G(z, y'))||^2        z* = argmin_z ||FR(x) - FR(G(z, y_0))||
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import LBFGS, Adam

from ganzoo.data.batch import Images
from ganzoo.game import inference
from ganzoo.game.abilities import Inverts, Labelled, Translates
from ganzoo.game.contract import Program
from ganzoo.game.helpers import Helper
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.media.levels import to_float
from ganzoo.nn import dcgan
from ganzoo.objectives import losses
from ganzoo.schema import Count, Domains, Layers, NonNegative, Positive, Probability, Words
from ganzoo.types import Batch, Condition


@register(
    paper="Antipov, Baccouche and Dugelay, Face Aging with Conditional Generative Adversarial Networks",
    year=2017,
    url="https://arxiv.org/abs/1702.01983",
    method="Age-cGAN",
    task="translation",
    formula=(
        "L_D = -E log D(x, y) - E log(1 - D(G(z, y'), y'))",
        "L_G = -E log D(G(z, y'), y')",
        "L_E = E ||z - E(G(z, y'))||^2",
        "z* = argmin_z ||FR(x) - FR(G(z, y_0))||",
    ),
)
class AgeCGAN(Translates, Labelled, Inverts):
    """A face is inverted into a conditional GAN's latent by its identity, and drawn again at another age.

    The domains are the age groups, the classes of the data. The paper's FR is a FaceNet of its authors'; here it is the
    last feature maps of a named network, averaged over space, which `load` finds: of avatars the shared features of
    their classifier (`avatars_age`) stand in for a face's embedding. Without a name the search is for the nearest
    pixels, which the paper holds against it. Without y_0 the age is taken whose first guess is nearest. The search
    is L-BFGS with strong Wolfe conditions, without the paper's bounds on z; other runtimes do without it. The encoder
    learns from new drawn faces in every batch, of the ages of the batch; the paper draws 100,000 once, of all ages
    evenly. No code of the authors' is known: of the GAN they say DCGAN's networks and Adam, with y where IcGAN has it,
    and so rates are these papers'. Pictures of other sides than those of training are resized to these, and back.

    Args:
        size: side of an image: 4 to 7 times a power of 2, and a multiple of 2 to the number of `layers`.
        channels: channels of an image.
        classes: age groups; the paper's are 0-18, 19-29, 30-39, 40-49, 50-59 and 60+.
        names: of the groups: small letters, digits and hyphens; `class-0`, `class-1`, ... where there are none.
        latent: length of z.
        width: feature maps of the generator before its last layer.
        discriminator_width: feature maps after the discriminator's first layer.
        encoder_width: feature maps after the encoder's first layer.
        layers: halvings of the encoder.
        encoder_hidden: units of its hidden layer; as many as it is given where None.
        identity: the network FR; none for pixels.
        search_steps: of L-BFGS; 0 for the first guess alone.
        lr: learning rate of discriminator and generator.
        betas: Adam's decay rates for these.
        gan_images: how many images these two see before they stop, and the encoder begins: 100 epochs of the paper's
            120,000 faces. Steps count the generator's updates and then the encoder's.
        encoder_lr: learning rate of the encoder; with its decay rates it is IcGAN's, of which the paper says nothing.
        encoder_betas: Adam's decay rates for the encoder.
    """

    inference = ("generator", "encoder")
    consults = True

    def __init__(
        self,
        size: Positive = 64,
        channels: Positive = 3,
        classes: Domains = 6,
        names: Words = (),
        latent: Positive = 100,
        width: Positive = 64,
        discriminator_width: Positive = 64,
        encoder_width: Positive = 32,
        layers: Layers = 4,
        encoder_hidden: Positive | None = None,
        identity: str | None = "mobilenet_v2",
        search_steps: Count = 20,
        lr: NonNegative = 2e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
        gan_images: Positive = 12_000_000,
        encoder_lr: NonNegative = 1e-4,
        encoder_betas: tuple[Probability, Probability] = (0.1, 0.999),
    ) -> None:
        super().__init__()
        self.shape, self.classes, self.prior = (channels, size, size), classes, Normal(latent)
        self.name_domains(names, classes, "age groups")
        self.generator = dcgan.Generator(latent + classes, channels, size, width)
        self.discriminator = dcgan.LabelledDiscriminator(channels, classes, size, discriminator_width)
        self.encoder = dcgan.Encoder(channels, size, encoder_width, layers, encoder_hidden, latent)
        self.by_identity, self.search_steps, self.gan_images = identity is not None, search_steps, gan_images
        if identity is not None:
            self.recognition = Helper(identity)
        self.adam = partial(Adam, lr=lr, betas=betas)
        self.encoder_optimizer = partial(Adam, lr=encoder_lr, betas=encoder_betas)

    # ---------------------------------------------------------------- learning

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """-E log D(x, y) - E log(1 - D(G(z, y'), y')), y' being the batch's."""
        ages = self.labels_of(batch)
        with torch.no_grad():
            fake = self.drawn(self.noise(batch), ages).to(batch.images)
        real, made = (self.realness(self.seen(x), ages) for x in (batch.images, fake))
        return losses.minimax_discriminator(real, made)

    def generator_loss(self, batch: Batch) -> Tensor:
        """-E log D(G(z, y'), y')."""
        ages = self.labels_of(batch)
        return losses.nonsaturating_generator(self.realness(self.seen(self.drawn(self.noise(batch), ages)), ages))

    def encoder_loss(self, batch: Batch) -> Tensor:
        """E ||z - E(G(z, y'))||^2, as a mean over z's numbers."""
        z = self.noise(batch)
        with torch.no_grad():
            fake = self.drawn(z, self.labels_of(batch)).to(batch.images)
        return F.mse_loss(self.encoder(fake).float(), z)

    def realness(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """D's logits of images with their ages; with those of the first group where nobody says."""
        labels = torch.zeros(len(images), dtype=torch.long, device=images.device) if labels is None else labels
        return self.discriminator(images, self.vectors(labels))

    # ---------------------------------------------------------------- drawing, and ageing

    def transform(self, images: Tensor, to: str, *, age: str | None = None, search: bool = True) -> Tensor:
        """G(z*, y).

        Args:
            images: `(n, C, H, W)`.
            to: the age group that is wanted.
            age: y_0, of all images; where None the group whose first guess is nearest to each.
            search: whether z* is looked for, or z_0 is as good.
        """
        ages = None if age is None else self.group(age)

        def aged(x: Tensor) -> Tensor:
            z, _ = self.found(x, ages, search)
            return self.generate(z, Condition(self.labels_as(self.group(to), x)))

        return inference.at_sides(images, self.shape[1:], aged)

    def reconstruction(self, images: Tensor) -> Tensor:
        """G(z*, y_0)."""
        z, ages = self.found(images, None, True)
        return self.generate(z, Condition(ages))

    def group(self, name: str) -> int:
        """The number of an age group."""
        self.shapes_of(name)
        return self.domains.index(name)

    def labels_as(self, group: int, images: Tensor) -> Tensor:
        """A group, as the label of each image."""
        return torch.full((images.shape[0],), group, device=images.device)

    def found(self, images: Tensor, group: int | None, search: bool) -> tuple[Tensor, Tensor]:
        """The latents `(n, latent)` and ages `(n,)` of images of the sides of training."""
        z, wanted = self.encoding(images), self.embedding(images)
        if group is None:
            guesses = [Condition(self.labels_as(k, images)) for k in range(self.classes or 1)]
            far = [self.apart(self.embedding(self.generate(z, guess)), wanted) for guess in guesses]
            ages = torch.stack(far, 1).argmin(1)
        else:
            ages = self.labels_as(group, images)
        if not (search and self.search_steps):
            return z, ages
        each = [self.search(z[i : i + 1], wanted[i : i + 1], ages[i : i + 1]) for i in range(len(images))]
        return torch.cat(each), ages

    def search(self, first: Tensor, wanted: Tensor, age: Tensor) -> Tensor:
        """z* `(1, latent)` of one image, from z_0 on: one by one, so that no other image has a say in the steps."""
        z = first.detach().clone()
        with torch.enable_grad():
            z.requires_grad_()
            optimizer = LBFGS([z], max_iter=self.search_steps, line_search_fn="strong_wolfe")

            def loss() -> Tensor:
                far = self.apart(self.embedding(self.generate(z, Condition(age))), wanted).sum()
                (z.grad,) = torch.autograd.grad(far, z)
                return far

            step: Callable[..., Tensor] = optimizer.step
            step(loss)
        return z.detach() if bool(torch.isfinite(z).all()) else first

    def embedding(self, images: Tensor) -> Tensor:
        """FR `(n, d)` of images; their pixels without a network."""
        if not self.by_identity:
            return images.flatten(1)
        maps: Tensor = self.recognition(images)[-1]
        return maps.mean((2, 3))

    def apart(self, one: Tensor, other: Tensor) -> Tensor:
        """Euclidean distances `(n,)` of embeddings."""
        return (one - other).square().sum(1).add(1e-12).sqrt()

    def program(self, *, to: str | None = None) -> Program:
        """From images of the sides of training to first guesses of them at another age."""
        given, domain = self.inputs(None, 2, to), to or self.domains[0]
        y = self.group(domain)

        def guess(images: Tensor) -> Tensor:
            return self.generate(self.encoding(images), Condition(self.labels_as(y, images)))

        return Program(guess, {"source": given}, facts={"to": domain})

    def pictures(self, real: Images | None) -> dict[str, Tensor]:
        """Held-out faces, their first guesses, what is found, and that at each age; and drawn faces of each age."""
        if real is None:
            return {}
        x = to_float(torch.from_numpy(real.values[inference.spread(len(real), 8)]))

        def first(images: Tensor) -> Tensor:
            z, ages = self.found(images, None, False)
            return self.generate(z, Condition(ages))

        columns = [x, self.limit(self.each(first, x, 8)), self.reconstruct(x)]
        columns += [self.translate(x, to=to) for to in self.domains]
        drawn = [self.sample(8, labels=k) for k in range(self.classes or 1)]
        return {"ages": torch.stack(columns, 1), "drawn": torch.stack(drawn)}
