"""StyleGAN3: every layer works on continuous signals, so that textures move with the surface instead of the pixels.

Karras et al. 2021, "Alias-Free Generative Adversarial Networks", arXiv:2106.12423. StyleGAN2's details stick to pixel
coordinates because its non-linearities alias. Here they act on upsampled signals (networks.py), the constant input
is Fourier features, and there is no noise: the picture moves when the input is moved. Configuration T is equivariant to
translation, R to rotation too.

    L_D = E softplus(D(G(z))) + E softplus(-D(x)) + gamma/2 E ||grad D(x)||^2          L_G = E softplus(-D(G(z)))

The penalty is taken every 16 batches only; neither path lengths nor mixed styles are regularised. Small data: ADA
(Karras et al. 2020, arXiv:2006.06676) or DiffAugment (Zhao et al. 2020, arXiv:2006.10738) between the images and D.
"""

from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.optim import Adam

from ganzoo.families.stylegan3.networks import Generator, Synthesis, blurred
from ganzoo.game.abilities import Styled
from ganzoo.game.engine import Player
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn.double_backward import input_gradients
from ganzoo.nn.signals import schedule
from ganzoo.nn.style import Discriminator, Mapping
from ganzoo.objectives import losses, penalties
from ganzoo.objectives.augment import ADA, diff_augment
from ganzoo.schema import Count, Depth, Layers, NonNegative, Positive, PositiveFloat, Probability, Sizes, Taps
from ganzoo.types import Batch


@register(
    paper="Karras, Aittala, Laine, Harkonen, Hellsten, Lehtinen and Aila, Alias-Free Generative Adversarial Networks",
    year=2021,
    url="https://arxiv.org/abs/2106.12423",
    formula=(
        "L_D = E softplus(D(G(z))) + E softplus(-D(x)) + gamma/2 E ||grad D(x)||^2",
        "L_G = E softplus(-D(G(z)))",
    ),
)
class StyleGAN3(Styled):
    """Without aliasing, a generator's details move with its objects: nothing is tied to the pixel grid.

    What is none by default follows from the configuration. The weight gamma depends on the data most of all: the
    authors give 0.5, 2, 8 and 32 for 128, 256, 512 and 1024 pixels.

    Args:
        size: side of an image, a power of two from 8 on.
        channels: channels of an image.
        latent: length of z.
        style: length of w.
        classes: number of classes of the data; 0 for none.
        configuration: t, equivariant to translation, or r, to rotation too.
        channel_base: feature maps times twice the cutoff; none for 32768 in t and 65536 in r.
        channel_max: feature maps at most; none for 512 in t and 1024 in r.
        kernel: side of the convolutions' kernels; none for 3 in t and 1 in r.
        radial: whether filters for downsampling are radially symmetric; none for r only.
        layers: between the Fourier features and ToRGB.
        critical: layers at the end that are sampled critically.
        first_cutoff: f_c,0, the cutoff of the Fourier features, in cycles an image side.
        first_stopband: f_t,0.
        last_stopband: f_t,N, relative to the last cutoff.
        margin: samples beyond the image on each side.
        filter_size: taps of the filters in samples of the lower rate.
        upsampling: sampling rate at the non-linearity, relative to the layer's.
        scale: of the image that comes out.
        clamp: bound of the values after the non-linearity; none for no bound.
        mapping_layers: number of layers of the mapping network.
        mapping_rate: its learning-rate multiplier.
        decay: decay rate of the running mean of w, by batches.
        discriminator_widths: its feature maps at 4, 8, 16, ... pixels; none for min(32768 / resolution, 512), the base
            and the maximum being those of `channel_base` and `channel_max` in t, and half of them in r.
        discriminator_architecture: of the discriminator (StyleGAN2's figure 7).
        discriminator_layers: number of layers of the mapping network of its label.
        discriminator_embedding: length of its mapped label; none for its feature maps at 4 pixels.
        discriminator_clamp: bound of its convolutions' outputs; none for no bound.
        group: samples in a group of the minibatch standard deviation; none for the whole batch.
        statistics: feature maps of the minibatch standard deviation.
        gamma: weight of R1.
        r1_every: batches from one R1 to the next.
        blur: standard deviation in pixels, or nearly, by which the discriminator's first images are blurred; none for 0
            in t and 10 in r.
        blur_images: images over which the blur fades.
        augment: what the discriminator sees: by `ada` adaptively augmented images, by `diff` those of DiffAugment; none
            for the images themselves.
        augment_target: the overfitting that ADA holds.
        augment_images: images in which ADA's probability can go from 0 to 1.
        augment_start: where that probability begins; small data, and fine-tuning on them, may begin high.
        magnitude_half_life: images after which a layer's running magnitude has forgotten one half.
        lr: learning rate of the generator.
        discriminator_lr: learning rate of the discriminator.
        betas: Adam's decay rates.
    """

    average_half_life = 10_000.0
    tuning: ClassVar[dict[str, Any]] = {"augment_images": 100_000}  # as the authors' code adjusts ADA when it goes on
    coupled = True  # the minibatch standard deviation, and the running magnitudes
    label_vectors = True

    def __init__(
        self,
        size: Positive = 256,
        channels: Positive = 3,
        latent: Positive = 512,
        style: Positive = 512,
        classes: Count = 0,
        configuration: Literal["t", "r"] = "t",
        channel_base: Positive | None = None,
        channel_max: Positive | None = None,
        kernel: Positive | None = None,
        radial: bool | None = None,
        layers: Layers = 14,
        critical: Depth = 2,
        first_cutoff: PositiveFloat = 2.0,
        first_stopband: PositiveFloat = 2**2.1,
        last_stopband: PositiveFloat = 2**0.3,
        margin: Count = 10,
        filter_size: Taps = 6,
        upsampling: Taps = 2,
        scale: PositiveFloat = 0.25,
        clamp: PositiveFloat | None = 256.0,
        mapping_layers: Layers = 2,
        mapping_rate: PositiveFloat = 0.01,
        decay: Probability = 0.998,
        discriminator_widths: Sizes | None = None,
        discriminator_architecture: Literal["resnet", "skip", "orig"] = "resnet",
        discriminator_layers: Layers = 8,
        discriminator_embedding: Positive | None = None,
        discriminator_clamp: PositiveFloat | None = 256.0,
        group: Positive | None = 4,
        statistics: Count = 1,
        gamma: NonNegative = 2.0,
        r1_every: Positive = 16,
        blur: NonNegative | None = None,
        blur_images: NonNegative = 200_000.0,
        augment: Literal["ada", "diff"] | None = None,
        augment_target: Probability = 0.6,
        augment_images: Positive = 500_000,
        augment_start: Probability = 0.0,
        magnitude_half_life: PositiveFloat = 20_000.0,
        lr: NonNegative = 0.0025,
        discriminator_lr: NonNegative = 0.002,
        betas: tuple[Probability, Probability] = (0.0, 0.99),
    ) -> None:
        super().__init__()
        rotates = configuration == "r"
        more = 2 if rotates else 1  # 1 x 1 convolutions are cheap, so R has twice the feature maps (section 3.2)
        base = 32768 * more if channel_base is None else channel_base
        most = 512 * more if channel_max is None else channel_max
        self.shape, self.classes, self.labelled = (channels, size, size), classes or None, bool(classes)
        self.prior = Normal(latent)
        signals = schedule(
            size,
            channels,
            base=base,
            most=most,
            layers=layers,
            critical=critical,
            first_cutoff=first_cutoff,
            first_stopband=first_stopband,
            last_stopband=last_stopband,
            margin=margin,
        )
        synthesis = Synthesis(
            style,
            signals,
            critical,
            scale,
            kernel=(1 if rotates else 3) if kernel is None else kernel,
            filter_size=filter_size,
            upsampling=upsampling,
            radial=rotates if radial is None else radial,
            clamp=clamp,
        )
        mapping = Mapping(
            latent, style, mapping_layers, count=synthesis.count, classes=classes, rate=mapping_rate, decay=decay
        )
        self.generator = Generator(mapping, synthesis)
        self.discriminator = Discriminator(
            size,
            channels,
            classes,
            base=base // more,
            most=max(most // more, 1),
            widths=discriminator_widths,
            architecture=discriminator_architecture,
            group=group,
            statistics=statistics,
            clamp=discriminator_clamp,
            mapping_layers=discriminator_layers,
            embedding=discriminator_embedding,
        )
        self.gamma, self.r1_every = gamma, r1_every
        self.blur = (10.0 if rotates else 0.0) if blur is None else blur
        self.blur_images, self.magnitude_half_life = blur_images, magnitude_half_life
        ada = partial(ADA, p=augment_start, target=augment_target, images=augment_images)
        self.augment = ada() if augment == "ada" else None
        self.fixed_augment = augment == "diff"
        self.lr, self.discriminator_lr, self.betas = lr, discriminator_lr, betas

    def players(self) -> dict[str, Player]:
        """The discriminator and the generator; the lazy penalty's steps count in the discriminator's Adam."""
        c = self.r1_every / (self.r1_every + 1) if self.gamma else 1.0  # StyleGAN2, appendix B, "Lazy regularization"
        lazy = (self.betas[0] ** c, self.betas[1] ** c)
        return {
            "discriminator": Player(self.discriminator, partial(Adam, lr=self.discriminator_lr * c, betas=lazy)),
            "generator": Player(self.generator, partial(Adam, lr=self.lr, betas=self.betas)),
        }

    def train_on(self) -> None:
        """Lets ADA adjust faster: what the discriminator knows already, it soon knows by heart."""
        super().train_on()
        if self.augment is not None:
            self.augment.images = self.arguments["augment_images"]

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """An update of each player, and every so often a step of the discriminator on its penalty alone.

        The generator's magnitudes follow while the discriminator moves, and its moving average takes them over when it
        moves itself, which therefore comes last.
        """
        self.move("discriminator", self.discriminator_loss, batch)
        if self.gamma and self.turn(every=self.r1_every):
            self.move("discriminator", self.r1_loss, batch, counts=False)
        self.move("generator", self.generator_loss, batch)
        if self.augment is not None and self.turn(every=4):
            self.augment.adjust(partial(self.trainer.strategy.reduce, reduce_op="sum"))
            self.record(augment_p=self.augment.p, overfitting=self.augment.r_t)

    def generator_loss(self, batch: Batch) -> Tensor:
        """E softplus(-D(G(z)))."""
        fake = self.seen(self.generator(self.noise(batch), labels=batch.labels))
        return losses.nonsaturating_generator(self.discriminator(fake, labels=batch.labels))

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """E softplus(D(G(z))) + E softplus(-D(x)), both in one pass; here magnitudes and the mean w are updated."""
        images = len(batch.images) * (1 if self._trainer is None else self.trainer.world_size)
        with torch.no_grad():
            track = 1 - 0.5 ** (images / self.magnitude_half_life)
            fake = self.generator(self.noise(batch), labels=batch.labels, track=track)
        both = self.seen(torch.cat([batch.images, fake.to(batch.images)]))
        labels = None if batch.labels is None else torch.cat([batch.labels, batch.labels])
        real_logits, fake_logits = self.discriminator(both, labels=labels, parts=2).chunk(2)
        if self.augment is not None:
            self.augment.observe(real_logits)
        return losses.minimax_discriminator(real_logits, fake_logits)

    def r1_loss(self, batch: Batch) -> Tensor:
        """gamma/2 E ||grad D(x)||^2, times the batches that it stands for."""
        with input_gradients():
            penalty = penalties.r1(lambda x: self.discriminator(self.seen(x), labels=batch.labels), batch.images)
        self.record(r1=penalty)
        return self.gamma * self.r1_every * penalty

    def seen(self, images: Tensor) -> Tensor:
        """What the discriminator is shown: images `(N, C, H, W)`, blurred at the beginning of a run, and augmented."""
        left = 1 - self.images_seen / self.blur_images if self.blur_images else 0.0
        images = blurred(images, self.blur * max(left, 0.0))
        if self.augment is not None:
            return self.augment(images)
        return diff_augment(images) if self.fixed_augment else super().seen(images)
