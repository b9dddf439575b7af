"""StyleGAN2: styles modulate the weights of the generator's convolutions, and a smooth path leads from w to the image.

Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", arXiv:1912.04958. Instance normalisation
gave StyleGAN's images droplets; a demodulation of the weights (eq. 3) keeps the variances without looking at the
feature maps. The networks do not grow: skip connections or residual ones take the place of that.

    L_D = E softplus(D(G(z))) + E softplus(-D(x)) + gamma/2 E ||grad D(x)||^2
    L_G = E softplus(-D(G(z))) + lambda E (||J_w^T y|| - a)^2

whose second terms are taken every 16 and every 4 batches only (section 3.1). Small data: Karras et al. 2020, "Training
Generative Adversarial Networks with Limited Data" (arXiv:2006.06676), lets the discriminator see augmented images only.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Adversarial, Styled
from ganzoo.game.abilities.styled import Noise
from ganzoo.game.engine import Player
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn.double_backward import input_gradients
from ganzoo.nn.resampling import upsample
from ganzoo.nn.style import (
    Architecture,
    Discriminator,
    EqualizedConv2d,
    Generator,
    Mapping,
    ModulatedConv2d,
    check_styles,
    feature_maps,
    laid_out,
    noise_map,
    resolutions,
)
from ganzoo.objectives import losses, penalties
from ganzoo.objectives.augment import ADA, diff_augment
from ganzoo.schema import Count, Depth, Layers, NonNegative, Positive, PositiveFloat, Probability, Sizes
from ganzoo.types import Batch, Condition


class StyledConv(nn.Module):
    """A modulated convolution, noise, bias and leaky ReLU (figure 2d).

    Args:
        inputs: feature maps of x.
        outputs: feature maps of y.
        latent: length of w.
        size: side of y.
        up: whether y has twice the side of x.
        clamp: bound of y; None for none.
    """

    noise: Tensor

    def __init__(self, inputs: int, outputs: int, latent: int, size: int, up: bool, clamp: float | None) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(inputs, outputs, 3, latent, resample="up" if up else None)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise", torch.randn(size, size))
        self.clamp = clamp

    def forward(self, x: Tensor, w: Tensor, noise: Noise | Tensor, gain: float = 1.0) -> Tensor:
        """Maps `(N, inputs, H, W)` and w `(N, latent)` to `(N, outputs, size, size)`, multiplied by `gain`."""
        scale = math.sqrt(2.0) * gain  # the leaky ReLU lets it through; what follows changes y in place, for speed
        y = self.conv(x, w, scale)
        added = noise_map(noise, self.noise, x.shape[0])
        if added is not None:
            y = y.add_((added * (self.strength * scale)).to(y.dtype))
        y = F.leaky_relu_(y.add_((self.bias * scale).to(y.dtype)[:, None, None]), 0.2)
        return y if self.clamp is None else y.clamp(-self.clamp * gain, self.clamp * gain)


class SynthesisBlock(nn.Module):
    """The layers at one resolution.

    Args:
        inputs: feature maps of the resolution below; 0 for the first block, which has a constant instead.
        outputs: feature maps.
        latent: length of w.
        size: side of the feature maps.
        image: channels of the image where the block adds to it; 0 where it does not.
        residual: whether a linear branch goes past the convolutions (`resnet`).
        clamp: bound of the convolutions' outputs; None for none.
    """

    def __init__(
        self, inputs: int, outputs: int, latent: int, size: int, image: int, residual: bool, clamp: float | None
    ) -> None:
        super().__init__()
        self.clamp = clamp
        self.constant = None if inputs else nn.Parameter(torch.randn(outputs, size, size))
        self.up = StyledConv(inputs, outputs, latent, size, True, clamp) if inputs else None
        self.conv = StyledConv(outputs, outputs, latent, size, False, clamp)
        self.to_rgb = ModulatedConv2d(outputs, image, 1, latent, demodulate=False) if image else None
        self.rgb_bias = nn.Parameter(torch.zeros(image)) if image else None
        self.shortcut = EqualizedConv2d(inputs, outputs, 1, bias=False, resample="up") if inputs and residual else None
        self.count = 1 + (self.up is not None)  # of the layers of w that are this block's own

    def forward(
        self, x: Tensor | None, image: Tensor | None, ws: Sequence[Tensor], noise: Sequence[Noise | Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """Maps the feature maps and the image of the resolution below to those of this one.

        Args:
            x: `(N, inputs, size/2, size/2)`; None for the first block.
            image: `(N, image, size/2, size/2)`; None as long as there is none.
            ws: w of each convolution `(N, latent)`, and one for the image.
            noise: of each convolution.
        """
        if self.up is None:
            assert self.constant is not None
            x = self.conv(laid_out(self.constant.expand(ws[0].shape[0], -1, -1, -1)), ws[0], noise[0])
        elif self.shortcut is None:
            x = self.conv(self.up(x, ws[0], noise[0]), ws[1], noise[1])
        else:
            half = math.sqrt(0.5)
            x = self.shortcut(x, half) + self.conv(self.up(x, ws[0], noise[0]), ws[1], noise[1], half)
        assert x is not None
        if self.to_rgb is None:
            return x, image
        assert self.rgb_bias is not None
        added = self.to_rgb(x, ws[self.count]) + self.rgb_bias.to(x.dtype)[:, None, None]
        if self.clamp is not None:
            added = added.clamp(-self.clamp, self.clamp)
        if image is None:
            return x, added
        with torch.autocast(x.device.type, enabled=False):  # the image is a sum over resolutions: in full precision
            return x, upsample(image.to(self.rgb_bias.dtype)) + added


class Synthesis(nn.Module):
    """The synthesis network g: one w a layer to an image.

    Args:
        size: side of an image, a power of two from 4 on.
        channels: channels of an image.
        latent: length of w.
        widths: feature maps at each resolution.
        architecture: `skip` (the images of all resolutions are added), `resnet` or `orig` (figure 7).
        clamp: bound of the convolutions' outputs; None for none.
    """

    def __init__(
        self,
        size: int,
        channels: int,
        latent: int,
        widths: dict[int, int],
        architecture: Architecture,
        clamp: float | None,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            SynthesisBlock(
                widths.get(resolution // 2, 0),
                widths[resolution],
                latent,
                resolution,
                channels if architecture == "skip" or resolution == size else 0,
                architecture == "resnet",
                clamp,
            )
            for resolution in resolutions(size)
        )
        self.latent = latent
        self.sizes = [len(layer.noise) for layer in self.modules() if isinstance(layer, StyledConv)]  # of noise inputs
        self.count = self.used = len(self.sizes) + 1  # layers of w

    def forward(self, ws: Tensor, noise: Noise | Sequence[Tensor] = "random") -> Tensor:
        """Maps `(N, count, latent)` to images `(N, channels, size, size)`.

        Args:
            ws: one w a layer.
            noise: `random` for fresh noise, `const` for that of the network's buffers, `none`, or a tensor
                `(N, 1, side, side)` for each of `sizes`.

        Raises:
            BadArgument: for latents of another shape.
        """
        check_styles(ws, self.count, self.latent)
        each: Sequence[Noise | Tensor] = [noise] * len(self.sizes) if isinstance(noise, str) else noise
        layers, first = ws.unbind(1), 0
        x: Tensor | None = None
        image: Tensor | None = None
        for block in self.blocks:
            count = block.count
            assert isinstance(count, int)
            # The image's w is that of the next block's first convolution
            x, image = block(x, image, layers[first : first + count + 1], each[first : first + count])
            first += count
        assert image is not None
        return image


@register(
    paper="Karras, Laine, Aittala, Hellsten, Lehtinen and Aila, Analyzing and Improving the Image Quality of StyleGAN",
    year=2020,
    url="https://arxiv.org/abs/1912.04958",
    formula=(
        "L_D = E softplus(D(G(z))) + E softplus(-D(x)) + gamma/2 E ||grad D(x)||^2",
        "L_G = E softplus(-D(G(z))) + lambda E (||J_w^T y|| - a)^2",
    ),
)
class StyleGAN2(Styled, Adversarial):
    """Styles modulate the weights of the convolutions, and a penalty keeps the mapping from w to the image smooth.

    The defaults are configuration F; the regularisation's weights depend on the data, and gamma most of all (the ADA
    paper's rule is 0.0002 size^2 / batch).

    Args:
        size: side of an image, a power of two from 8 on.
        channels: channels of an image.
        latent: length of z.
        style: length of w.
        classes: number of classes of the data; 0 for none.
        channel_base: feature maps times resolution (16384 in the ADA paper's 256 px).
        channel_max: feature maps at most.
        widths: the generator's feature maps at 4, 8, 16, ... pixels instead.
        architecture: of the generator (figure 7).
        mapping_layers: number of layers of the mapping network.
        mapping_width: of its layers between; none for `style`.
        mapping_embedding: length of its embedded label; none for `style`.
        mapping_rate: its learning-rate multiplier.
        decay: decay rate of the running mean of w, by batches.
        discriminator_widths: as `widths`; none for the generator's.
        discriminator_architecture: of the discriminator.
        discriminator_layers: number of layers of the mapping network of its label.
        discriminator_embedding: length of its mapped label; none for its feature maps at 4 pixels.
        group: samples in a group of the minibatch standard deviation; none for the whole batch.
        statistics: feature maps of the minibatch standard deviation.
        clamp: bound of the generator's convolutions' outputs, for half precision (256); none for no bound.
        discriminator_clamp: bound of the discriminator's, in the same way.
        mixing: share of images made from two latents.
        gamma: weight of R1.
        r1_every: batches from one R1 to the next.
        path: lambda, the weight of the path length regularisation; 0 for none.
        path_every: batches from one path length regularisation to the next.
        path_shrink: divides its batch.
        path_decay: of the running mean of path lengths, a.
        augment: what the discriminator sees: by `ada` adaptively augmented images, by `diff` those of DiffAugment; none
            for the images themselves.
        augment_target: the overfitting that ADA holds.
        augment_images: images in which ADA's probability can go from 0 to 1.
        augment_start: where that probability begins; small data, and fine-tuning on them, may begin high.
        lr: learning rate of both players.
        betas: Adam's decay rates.
    """

    average_half_life = 10_000.0
    tuning: ClassVar[dict[str, Any]] = {"augment_images": 100_000}  # as the authors' code adjusts ADA when it goes on
    coupled = True  # the minibatch standard deviation, and the mean of the path lengths
    label_vectors = True
    labels_optional = True  # all pictures are of the first class then
    coarse = range(7)

    def __init__(
        self,
        size: Positive = 256,
        channels: Positive = 3,
        latent: Positive = 512,
        style: Positive = 512,
        classes: Count = 0,
        channel_base: Positive = 32768,
        channel_max: Positive = 512,
        widths: Sizes | None = None,
        architecture: Literal["skip", "resnet", "orig"] = "skip",
        mapping_layers: Layers = 8,
        mapping_width: Positive | None = None,
        mapping_embedding: Positive | None = None,
        mapping_rate: PositiveFloat = 0.01,
        decay: Probability = 0.995,
        discriminator_widths: Sizes | None = None,
        discriminator_architecture: Literal["resnet", "skip", "orig"] = "resnet",
        discriminator_layers: Depth = 8,
        discriminator_embedding: Positive | None = None,
        group: Positive | None = 4,
        statistics: Count = 1,
        clamp: PositiveFloat | None = None,
        discriminator_clamp: PositiveFloat | None = None,
        mixing: Probability = 0.9,
        gamma: NonNegative = 10.0,
        r1_every: Positive = 16,
        path: NonNegative = 2.0,
        path_every: Positive = 4,
        path_shrink: Positive = 2,
        path_decay: Probability = 0.01,
        augment: Literal["ada", "diff"] | None = None,
        augment_target: Probability = 0.6,
        augment_images: Positive = 500_000,
        augment_start: Probability = 0.0,
        lr: NonNegative = 0.002,
        betas: tuple[Probability, Probability] = (0.0, 0.99),
    ) -> None:
        super().__init__()
        self.shape, self.classes, self.labelled = (channels, size, size), classes or None, bool(classes)
        self.prior = Normal(latent)
        maps = feature_maps(size, channel_base, channel_max, widths)
        synthesis = Synthesis(size, channels, style, maps, architecture, clamp)
        mapping = Mapping(
            latent,
            style,
            mapping_layers,
            count=synthesis.count,
            classes=classes,
            width=mapping_width,
            embedding=mapping_embedding,
            rate=mapping_rate,
            decay=decay,
        )
        self.generator = Generator(mapping, synthesis)
        self.discriminator = Discriminator(
            size,
            channels,
            classes,
            widths=discriminator_widths or list(maps.values()),
            architecture=discriminator_architecture,
            group=group,
            statistics=statistics,
            clamp=discriminator_clamp,
            mapping_layers=discriminator_layers,
            embedding=discriminator_embedding,
            mapping_rate=mapping_rate,
        )
        self.mixing, self.gamma, self.r1_every = mixing, gamma, r1_every
        self.path, self.path_every, self.path_shrink, self.path_decay = path, path_every, path_shrink, path_decay
        self.path_mean = torch.zeros((), device="cpu")  # a: equal on all ranks
        self._path_means: list[Tensor] = []  # that the slices of a move found
        ada = partial(ADA, p=augment_start, target=augment_target, images=augment_images)
        self.augment = ada() if augment == "ada" else None
        self.fixed_augment = augment == "diff"
        self.lr, self.betas = lr, betas

    def players(self) -> dict[str, Player]:
        """The discriminator and the generator; Adam makes as much way as if its lazy penalty were none of its steps."""

        def adam(every: int, weight: float) -> partial[Adam]:
            c = every / (every + 1) if weight else 1.0  # appendix B, "Lazy regularization"
            return partial(Adam, lr=self.lr * c, betas=(self.betas[0] ** c, self.betas[1] ** c), eps=1e-8)

        return {
            "discriminator": Player(self.discriminator, adam(self.r1_every, self.gamma)),
            "generator": Player(self.generator, adam(self.path_every, self.path)),
        }

    def train_on(self) -> None:
        """Lets ADA adjust faster: what the discriminator knows already, it soon knows by heart."""
        super().train_on()
        if self.augment is not None:
            self.augment.images = self.arguments["augment_images"]

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """An update of each player, and every so often a step on its penalty alone.

        A conditional model that goes on with pictures without labels takes them all for its first class.
        """
        if self.classes is not None and batch.labels is None:
            batch = replace(batch, condition=Condition(torch.zeros(len(batch), dtype=torch.long, device=self.device)))
        self.move("generator", self.generator_loss, batch)
        if self.path and self.turn(every=self.path_every):
            some = batch.part(0, max(len(batch.images) // self.path_shrink, 1))
            self.move("generator", self.path_loss, some, counts=False)
            self._follow_paths()
        self.move("discriminator", self.discriminator_loss, batch)
        if self.gamma and self.turn(every=self.r1_every):
            self.move("discriminator", self.r1_loss, batch, counts=False)
        if self.augment is not None and self.turn(every=4):
            self.augment.adjust(partial(self.trainer.strategy.reduce, reduce_op="sum"))
            self.record(augment_p=self.augment.p, overfitting=self.augment.r_t)

    def generator_loss(self, batch: Batch) -> Tensor:
        """E softplus(-D(G(z)))."""
        fake = self.generator(self.noise(batch), labels=batch.labels, mixing=self.mixing, track=True)
        logits = self.hardest(self.discriminator(self.seen(fake), labels=batch.labels))
        return losses.nonsaturating_generator(logits) + self.spread(len(batch), batch.labels)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """E softplus(D(G(z))) + E softplus(-D(x)), with both in one pass."""
        with torch.no_grad():
            fake = self.generator(self.noise(batch), labels=batch.labels, mixing=self.mixing)
        real, fake = self.real(batch), fake.to(batch.images)
        both = self.seen(torch.cat([real, fake]))
        labels = None if batch.labels is None else torch.cat([batch.labels, batch.labels])
        logits = self.discriminator(both, labels=labels, parts=2).chunk(2)
        if self.augment is not None:
            self.augment.observe(logits[0])
        added = self.regularizers(real, fake, *logits, real_labels=batch.labels, fake_labels=batch.labels)
        return losses.minimax_discriminator(*logits) + added

    def r1_loss(self, batch: Batch) -> Tensor:
        """gamma/2 E ||grad D(x)||^2, times the batches that it stands for."""
        with input_gradients():
            penalty = penalties.r1(lambda x: self.discriminator(self.seen(x), labels=batch.labels), self.real(batch))
        self.record(r1=penalty)
        return self.gamma * self.r1_every * penalty

    def path_loss(self, batch: Batch) -> Tensor:
        """lambda E (||J_w^T y|| - a)^2 (eq. 4), times the batches that it stands for."""
        ws = self.generator.mixed(self.noise(batch), batch.labels, self.mixing, track=False)
        mean = self.path_mean.to(ws.device)
        with input_gradients():
            penalty, moved = penalties.path_length(self.generator.synthesis, ws, mean, self.path_decay)
        self._path_means.append(moved)
        self.record(path_penalty=penalty, path_mean=moved)
        return self.path * self.path_every * penalty

    def _follow_paths(self) -> None:
        """Moves a, the mean of path lengths, by what all slices and ranks found."""
        found = self.trainer.strategy.reduce(torch.stack(self._path_means).mean(), reduce_op="mean")
        self.path_mean = torch.where(torch.isfinite(found), found, self.path_mean.to(found))
        self._path_means = []

    def rank_state(self) -> dict[str, Tensor]:
        """a, the mean of path lengths."""
        return {"path_mean": self.path_mean}

    def load_rank_state(self, state: dict[str, Tensor]) -> None:
        """Takes a back."""
        self.path_mean = state["path_mean"]

    def seen(self, images: Tensor) -> Tensor:
        """What the discriminator is shown: images `(N, C, H, W)`, augmented where the run says so."""
        if self.augment is not None:
            return self.augment(images)
        return diff_augment(images) if self.fixed_augment else super().seen(images)
