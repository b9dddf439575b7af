"""StyleGAN: a learned mapping of z gives every layer of the generator its style, and noise gives it its details.

Karras, Laine and Aila 2019, "A Style-Based Generator Architecture for Generative Adversarial Networks",
arXiv:1812.04948. The generator begins with a constant. After each convolution noise is added and every feature map is
normalised over its pixels, then scaled and shifted by an affine function of w = f(z) (adaptive instance normalisation,
eq. 1). A part of the images is made from two latents, so that layers do not rely on their styles being of one kind.
The networks grow as ProGAN's do. With R1 on every batch (appendix C):

    AdaIN(x, y) = y_s (x - mean(x)) / std(x) + y_b
    L_D = E softplus(D(G(z))) + E softplus(-D(x)) + gamma/2 E ||grad D(x)||^2                L_G = E softplus(-D(G(z)))
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Styled
from ganzoo.game.abilities.styled import Noise
from ganzoo.game.engine import Player
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn import growing, style
from ganzoo.nn.double_backward import input_gradients
from ganzoo.nn.growing import BLUR, GAIN, UpConv2d, enlarge
from ganzoo.nn.resampling import fir
from ganzoo.nn.style import EqualizedConv2d, EqualizedLinear, Generator, check_styles, label_vectors, noise_map
from ganzoo.objectives import losses, penalties
from ganzoo.schema import Count, Layers, NonNegative, Positive, PositiveFloat, Probability, Sizes
from ganzoo.types import Batch

# Learning rates at high resolutions, over the one below them (the authors' code)
RATES = {128: 1.5, 256: 2.0, 512: 3.0, 1024: 3.0}


class Mapping(style.Mapping):
    """The mapping network f (figure 1b); z and the embedded label, as long as z, are normalized together.

    Args:
        latent, style, layers, count, classes, width, rate, decay: see `nn.style.Mapping`.
    """

    def __init__(
        self, latent: int, style: int, layers: int, *, count: int, classes: int, width: int, rate: float, decay: float
    ) -> None:
        super().__init__(latent, style, 0, count=count, decay=decay)
        widths = [2 * latent if classes else latent, *[width] * (layers - 1), style]
        self.layers = nn.ModuleList(EqualizedLinear(i, o, rate=rate, gain=GAIN) for i, o in pairwise(widths))
        self.classes = classes
        self.label = nn.Parameter(torch.randn(classes, latent)) if classes else None

    def once(self, z: Tensor | None, labels: Tensor | None = None) -> Tensor:
        """Maps `(N, latent)` to w `(N, style)`, in the parameters' precision."""
        assert z is not None
        w = z.to(self.mean.dtype)
        if self.label is not None:
            w = torch.cat([w, label_vectors(labels, self.classes, z.shape[0]).to(w) @ self.label], 1)
        w = w / (w.square().mean(1, keepdim=True) + 1e-8).sqrt()
        for layer in self.layers:
            w = F.leaky_relu(layer(w), 0.2)
        return w


class StyledLayer(nn.Module):
    """A convolution or the constant, noise, bias, leaky ReLU and adaptive instance normalisation (figure 1b).

    Args:
        inputs: feature maps of x; 0 for the first layer, which has a constant instead.
        outputs: feature maps.
        latent: length of w.
        size: side of the feature maps.
        up: whether they have twice the side of x.
    """

    noise: Tensor

    def __init__(self, inputs: int, outputs: int, latent: int, size: int, up: bool = False) -> None:
        super().__init__()
        self.constant = None if inputs else nn.Parameter(torch.ones(outputs, size, size))
        conv = UpConv2d if up else EqualizedConv2d
        self.conv = conv(inputs, outputs, 3, bias=False, gain=GAIN) if inputs else None
        self.strength, self.bias = nn.Parameter(torch.zeros(outputs)), nn.Parameter(torch.zeros(outputs))
        self.affine = EqualizedLinear(latent, 2 * outputs)
        self.register_buffer("noise", torch.randn(size, size))
        self.up = up

    def forward(self, x: Tensor | None, w: Tensor, noise: Noise | Tensor) -> Tensor:
        """Maps `(N, inputs, H, W)` and w `(N, latent)` to `(N, outputs, size, size)`."""
        if self.conv is None:
            assert self.constant is not None
            x = self.constant.expand(w.shape[0], -1, -1, -1)
        else:
            x = self.conv(x)
            x = fir(x, BLUR, 1) if self.up else x
        assert x is not None
        added = noise_map(noise, self.noise, w.shape[0])
        if added is not None:
            x = x + (added * self.strength[:, None, None]).to(x.dtype)
        x = F.leaky_relu(x + self.bias[:, None, None].to(x.dtype), 0.2)
        y_s, y_b = self.affine(w)[:, :, None, None].to(x.dtype).chunk(2, 1)
        # In the authors' order: where a feature map hardly varies, another order of rounding shows
        x = x - x.mean((2, 3), keepdim=True)
        x = x / (x.square().mean((2, 3), keepdim=True) + 1e-8).sqrt()
        return x * (y_s + 1) + y_b  # eq. 1


class Synthesis(growing.Growing):
    """The growing synthesis network g (figure 1b): one w a layer to an image.

    Args:
        channels: channels of an image.
        latent: length of w.
        widths: feature maps at 4, 8, ... pixels, one value a resolution.
    """

    def __init__(self, channels: int, latent: int, widths: Sequence[int]) -> None:
        super().__init__(len(widths))
        layers = [StyledLayer(0, widths[0], latent, 4), StyledLayer(widths[0], widths[0], latent, 4)]
        for level, (below, width) in enumerate(pairwise(widths), 1):
            layers.append(StyledLayer(below, width, latent, 4 << level, up=True))
            layers.append(StyledLayer(width, width, latent, 4 << level))
        self.layers = nn.ModuleList(layers)
        self.to_rgb = nn.ModuleList(EqualizedConv2d(width, channels, 1) for width in widths)
        self.latent, self.count, self.sizes = latent, len(layers), [len(layer.noise) for layer in layers]

    @property
    def used(self) -> int:
        """Layers of w that count: those of layers that have grown."""
        return 2 * self.stage()[0] + 2

    def forward(self, ws: Tensor, noise: Noise | Sequence[Tensor] = "random") -> Tensor:
        """Maps `(N, count, latent)` to images of the full size, in larger pixels where it has not grown whole.

        Args:
            ws: one w a layer; those of layers that have not grown yet are without effect.
            noise: `random` for fresh noise, `const` for that of the network's buffers, `none`, or a tensor
                `(N, 1, side, side)` for each of `sizes`.

        Raises:
            BadArgument: for latents of another shape.
        """
        check_styles(ws, self.count, self.latent)
        top, fading = self.stage()
        each: Sequence[Noise | Tensor] = [noise] * self.count if isinstance(noise, str) else noise
        x: Tensor | None = None
        below: Tensor | None = None
        for i, (layer, w) in enumerate(zip(self.layers[: 2 * top + 2], ws.unbind(1), strict=False)):
            below = x if i == 2 * top else below
            x = layer(x, w, each[i])
        image: Tensor = self.to_rgb[top](x)
        if fading:
            image = self.fade(image, enlarge(self.to_rgb[top - 1](below)))
        return enlarge(image, 1 << (self.levels - 1 - top))


@register(
    paper="Karras, Laine and Aila, A Style-Based Generator Architecture for Generative Adversarial Networks",
    year=2019,
    url="https://arxiv.org/abs/1812.04948",
    formula=(
        "AdaIN(x, y) = y_s (x - mean(x)) / std(x) + y_b",
        "L_D = E softplus(D(G(z))) + E softplus(-D(x)) + gamma/2 E ||grad D(x)||^2",
        "L_G = E softplus(-D(G(z)))",
    ),
)
class StyleGAN(Styled):
    """A mapped latent controls each layer by a style of its own, which separates coarse from fine aspects.

    How far the networks have grown is a function of the images seen. A model that has not grown whole draws at the full
    size nevertheless, in larger pixels.

    Args:
        size: side of an image, a power of two.
        channels: channels of an image.
        latent: length of z.
        style: length of w.
        widths: feature maps at 4, 8, 16, ... pixels; as many as the size needs are used.
        dense: units of the discriminator's last hidden layer; None for as many as at 4 pixels.
        classes: number of classes of the data; 0 for none.
        mapping_layers: number of layers of the mapping network.
        mapping_width: of its layers between; None for `style`.
        mapping_rate: its learning-rate multiplier.
        decay: decay rate of the running mean of w, by batches.
        start: resolution to begin at; `size` for no growing, as when fine-tuning.
        stabilise: images for which each resolution is learned.
        transition: images over which the next one fades in.
        group: images over which the discriminator takes the standard deviation; 1 for none.
        statistics: feature maps that hold it.
        mixing: share of images made from two latents.
        gamma: weight of R1.
        lr: learning rate of both players up to 64 pixels; from 128 on it is 1.5 to 3 times as large, as in the
            authors' code.
        betas: Adam's decay rates.
    """

    average_half_life = 10_000.0
    coupled: ClassVar[bool] = True  # by the standard deviation over the batch
    label_vectors: ClassVar[bool] = True

    def __init__(
        self,
        size: Positive = 1024,
        channels: Positive = 3,
        latent: Positive = 512,
        style: Positive = 512,
        widths: Sizes = (512, 512, 512, 512, 256, 128, 64, 32, 16),
        dense: Positive | None = None,
        classes: Count = 0,
        mapping_layers: Layers = 8,
        mapping_width: Positive | None = None,
        mapping_rate: PositiveFloat = 0.01,
        decay: Probability = 0.995,
        start: Positive = 8,
        stabilise: Positive = 600_000,
        transition: Positive = 600_000,
        group: Positive = 4,
        statistics: Positive = 1,
        mixing: Probability = 0.9,
        gamma: NonNegative = 10.0,
        lr: NonNegative = 1e-3,
        betas: tuple[Probability, Probability] = (0.0, 0.99),
    ) -> None:
        super().__init__()
        self.shape, self.classes, self.labelled = (channels, size, size), classes or None, bool(classes)
        self.prior = Normal(latent)
        used = growing.feature_maps(widths, size, start)
        self.level = growing.Schedule(size, start, stabilise, transition)
        synthesis = Synthesis(channels, style, used)
        mapping = Mapping(
            latent,
            style,
            mapping_layers,
            count=synthesis.count,
            classes=classes,
            width=mapping_width or style,
            rate=mapping_rate,
            decay=decay,
        )
        self.generator = Generator(mapping, synthesis)
        self.discriminator = growing.Discriminator(
            channels,
            used,
            dense=dense,
            outputs=max(classes, 1),
            classes=classes,
            group=group,
            features=statistics,
            blur=True,
        )
        self.mixing, self.gamma = mixing, gamma
        self.adam = partial(Adam, lr=lr, betas=betas)

    def players(self) -> dict[str, Player]:
        """The discriminator and the generator, with the same Adam."""
        return {
            "discriminator": Player(self.discriminator, self.adam, self.rate),
            "generator": Player(self.generator, self.adam, self.rate),
        }

    def rate(self, images: int) -> float:
        """The factor on the learning rates at the resolution of so many images seen."""
        return RATES.get(self.shape[-1] >> int(self.level(images)), 1.0)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player, at the level of detail that the images seen say."""
        if self.level.turns(self.images_seen - len(batch.images) * self.trainer.world_size, self.images_seen):
            for player in self.players():  # as the authors' code: layers that learn anew have no past
                self.optimizer(player).state.clear()
        for network in (self.generator.synthesis, self.discriminator):
            network.grow(self.level(self.images_seen))
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """E softplus(D(G(z))) + E softplus(-D(x)) + gamma/2 E ||grad D(x)||^2."""
        images = growing.at_level(batch.images, self.level(self.images_seen))
        game = losses.minimax_discriminator(self.score(images, batch), self.score(self.fake(batch), batch))
        with input_gradients():
            penalty = penalties.r1(lambda x: self.score(x, batch), images)
        self.record(r1=penalty, level_of_detail=self.discriminator.lod)
        return game + self.gamma * penalty

    def generator_loss(self, batch: Batch) -> Tensor:
        """E softplus(-D(G(z)))."""
        return losses.nonsaturating_generator(self.score(self.fake(batch), batch))

    def fake(self, batch: Batch) -> Tensor:
        """As many images as there are in the batch, with its labels."""
        return self.generator(self.noise(batch), labels=batch.labels, mixing=self.mixing, track=True)

    def score(self, images: Tensor, batch: Batch) -> Tensor:
        """The discriminator's scores `(N, 1)` of images, as it is shown them, with the batch's labels."""
        return self.discriminator(self.seen(images), labels=batch.labels)
