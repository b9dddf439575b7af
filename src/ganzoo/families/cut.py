"""CUT: a patch of the translation is to be more like the patch in its place than like the image's other patches.

Park, Efros, Zhang and Zhu 2020, "Contrastive Learning for Unpaired Image-to-Image Translation", arXiv:2007.15651. G
maps domain X to Y. Features of its own encoder at several layers, each mapped by a small network H_l to the unit
sphere, are compared at random places s: v of the translation with v+ of the image at that place and with v- at the
others (eq. 3):

    L_D = 1/2 E (D(y) - 1)^2 + 1/2 E D(G(x))^2
    L_G = E (D(G(x)) - 1)^2 + lambda_X L_NCE(G, H, x) + lambda_Y L_NCE(G, H, y)
    L_NCE(x) = E_l E_s -log (exp(v.v+ / tau) / (exp(v.v+ / tau) + sum exp(v.v- / tau)))

CUT has lambda_X = lambda_Y = 1; FastCUT, `fast`, has lambda_X = 10 and no identity term, lambda_Y = 0 (section 4.1). As
in the authors' code, L_G's squares have no half and L_D's have one, and CUT halves the sum of the two NCE terms.
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
from ganzoo.nn.translation import InstanceNorm, ResNetBlock
from ganzoo.objectives import losses
from ganzoo.schema import Counts, Layers, NonNegative, Positive, PositiveFloat, Probability
from ganzoo.types import BadArgument, Batch


class Blur(nn.Module):
    """Halves the side behind a filter against aliasing, or doubles it (Zhang 2019, arXiv:1904.11486).

    Args:
        up: whether it doubles: by the taps 1, 3, 3, 1 and borders repeated; else by 1, 2, 1 and borders reflected.
    """

    def __init__(self, up: bool = False) -> None:
        super().__init__()
        self.up = up

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, C, H, W)` to twice the sides, or to half of them, rounded up."""
        taps = x.new_tensor([1.0, 3.0, 3.0, 1.0] if self.up else [1.0, 2.0, 1.0])
        taps = taps / taps.sum() * (2 if self.up else 1)
        filters = torch.outer(taps, taps).expand(x.shape[1], 1, -1, -1)
        if self.up:
            padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
            return F.conv_transpose2d(padded, filters, stride=2, padding=2, groups=x.shape[1])[:, :, 1:-1, 1:-1]
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), filters, stride=2, groups=x.shape[1])


class Generator(nn.Module):
    """CycleGAN's generator of residual blocks, whose halvings and doublings are filtered against aliasing.

    Args:
        channels: channels of an image.
        width: feature maps beside the images; twice and four times as many within.
        blocks: residual blocks.
    """

    stride = 4

    def __init__(self, channels: int, width: int, blocks: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(channels, width, 7), InstanceNorm(width), nn.ReLU()]
        for inner in (2 * width, 4 * width):
            layers += [nn.Conv2d(inner // 2, inner, 3, padding=1), InstanceNorm(inner), nn.ReLU(), Blur()]
        layers += [ResNetBlock(4 * width, "instance") for _ in range(blocks)]
        for outer in (2 * width, width):
            layers += [Blur(up=True), nn.Conv2d(2 * outer, outer, 3, padding=1), InstanceNorm(outer), nn.ReLU()]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, channels, 7), nn.Tanh()]
        self.main = nn.Sequential(*layers)
        self.apply(initialize)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, channels, H, W)`, of sides that are multiples of 4 from 8 on, to images in [-1, 1]."""
        return self.main(x)

    def features(self, x: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """What comes out of layers by their numbers, 0 being the first padding."""
        found = []
        for i, layer in enumerate(self.main[: max(layers) + 1]):
            x = layer(x)
            if i in layers:
                found.append(x)
        return found


class Discriminator(nn.Module):
    """CycleGAN's patches, whose halvings are filtered against aliasing.

    Args:
        channels: channels of an image.
        width: feature maps after the first layer; each halving doubles them, up to eight times as many.
        layers: halvings.
    """

    def __init__(self, channels: int, width: int, layers: int) -> None:
        super().__init__()
        main: list[nn.Module] = [nn.Conv2d(channels, width, 4, padding=1), nn.LeakyReLU(0.2), Blur()]
        for i in range(1, layers + 1):
            before, outputs = (width * min(2**k, 8) for k in (i - 1, i))
            main += [nn.Conv2d(before, outputs, 4, padding=1), InstanceNorm(outputs), nn.LeakyReLU(0.2)]
            main += [Blur()] if i < layers else []
        self.main = nn.Sequential(*main, nn.Conv2d(width * min(2**layers, 8), 1, 4, padding=1))
        self.apply(initialize)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, channels, H, W)` to a score a patch `(N, 1, h, w)`."""
        return self.main(x)


class Projections(nn.Module):
    """H: for each layer two linear maps with a ReLU between, and the unit sphere.

    Args:
        widths: feature maps of the layers.
        length: of what comes out.
    """

    def __init__(self, widths: Sequence[int], length: int) -> None:
        super().__init__()
        two = (nn.Sequential(nn.Linear(n, length), nn.ReLU(), nn.Linear(length, length)) for n in widths)
        self.maps = nn.ModuleList(two)
        self.apply(initialize)

    def forward(self, features: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]:
        """For each layer `(N, S, length)` of unit length, of features `(N, C, h, w)` at places `(S,)` or `(N, S)`."""
        found = []
        for project, x, at in zip(self.maps, features, places, strict=True):
            rows = x.flatten(2).transpose(1, 2)  # (N, h w, C)
            at = at.expand(len(x), -1)[..., None].expand(-1, -1, rows.shape[2])
            y = project(rows.gather(1, at))
            found.append(y / (y.norm(dim=2, keepdim=True) + 1e-7))
        return found


def initialize(module: nn.Module) -> None:
    """Xavier's normal weights times 0.02 for convolutions, N(0, 0.02) for linear maps, and no biases."""
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_normal_(module.weight, 0.02)
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
    if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
        nn.init.zeros_(module.bias)


def patch_nce(query: Tensor, key: Tensor, temperature: float) -> Tensor:
    """-log of the softmax's share of the own place, among the places of one image (eq. 3).

    Args:
        query: v `(N, S, d)`, of the translation.
        key: v+ and v- `(N, S, d)`, of the image; no gradient flows into them.
        temperature: tau.

    Returns:
        The mean over all places, a scalar.
    """
    logits = query.float() @ key.detach().float().transpose(1, 2) / temperature  # (N, S, S); its diagonal is v+
    own = torch.arange(logits.shape[1], device=logits.device).expand(len(logits), -1)
    return F.cross_entropy(logits.flatten(0, 1), own.flatten())


@register(
    paper="Park, Efros, Zhang and Zhu, Contrastive Learning for Unpaired Image-to-Image Translation",
    year=2020,
    url="https://arxiv.org/abs/2007.15651",
    task="translation",
    formula=(
        "L_D = 1/2 E (D(y) - 1)^2 + 1/2 E D(G(x))^2",
        "L_G = E (D(G(x)) - 1)^2 + lambda_X L_NCE(G, H, x) + lambda_Y L_NCE(G, H, y)",
    ),
)
class CUT(Translates):
    """A patch of the translation is to be more like the patch in its place than like the image's other patches.

    Args:
        size: side of an image in training: a multiple of 4.
        channels: channels of an image; the encoder sees those of both domains.
        fast: FastCUT: lambda_X = 10 and no identity term; the authors also mirror the pair at random.
        width: feature maps of the generator beside the images.
        blocks: its residual blocks.
        discriminator_width: feature maps after the discriminator's first layer.
        patch_layers: halvings of the discriminator.
        nce_layers: numbers of the generator's layers whose features are compared; 0 is the padded image itself.
        patches: places that are compared in each.
        projection: length of the compared vectors.
        temperature: tau.
        lr: learning rate of all; the authors' falls linearly to 0 in the second half (`engine.decay`).
        betas: Adam's decay rates.
    """

    two_domains = True

    def __init__(
        self,
        size: Positive = 256,
        channels: Positive = 3,
        fast: bool = False,
        width: Positive = 64,
        blocks: Layers = 9,
        discriminator_width: Positive = 64,
        patch_layers: Layers = 3,
        nce_layers: Counts = (0, 4, 8, 12, 16),
        patches: Positive = 256,
        projection: Positive = 256,
        temperature: PositiveFloat = 0.07,
        lr: NonNegative = 2e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
    ) -> None:
        super().__init__()
        self.shape = (channels, size, size)
        self.generator = Generator(channels, width, blocks)
        self.stride = self.generator.stride
        if size % 4 or size < max(8, 3 * 2**patch_layers):
            raise BadArgument(f"size is {size}; a multiple of 4 of at least {max(8, 3 * 2**patch_layers)} is expected")
        deepest = 11 + blocks  # the last layer of the encoder
        if not nce_layers or list(nce_layers) != sorted({*nce_layers}) or nce_layers[-1] > deepest:
            raise BadArgument(f"nce_layers are {nce_layers}; numbers from 0 to {deepest} that rise are expected")
        self.weight, self.identity = (10.0, False) if fast else (1.0, True)
        self.nce_layers, self.patches, self.temperature = tuple(nce_layers), patches, temperature
        self.discriminator = Discriminator(channels, discriminator_width, patch_layers)
        with torch.device("meta"):
            twin = Generator(channels, width, blocks)
            widths = [x.shape[1] for x in twin.features(torch.empty(1, channels, 8, 8), self.nce_layers)]
        self.projections = Projections(widths, projection)
        self.adam = partial(Adam, lr=lr, betas=betas)

    def players(self) -> dict[str, Player]:
        """The discriminator; the generator and the projections, which minimise the same."""
        return {
            "discriminator": Player(self.discriminator, self.adam),
            "generator": Player((self.generator, self.projections), self.adam),
        }

    def transform(self, images: Tensor, to: str) -> Tensor:
        """G(x)."""
        if min(images.shape[2:]) < 8:
            raise BadArgument(f"images have sides of {min(images.shape[2:])} pixels; at least 8 are expected")
        return self.averaged(images)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player, against the same translations, the discriminator first as in the authors' code."""
        mirrored = self.ahead(self.mirrored, batch)
        made = self.ahead(self.made, batch, mirrored)
        self.move("discriminator", self.discriminator_loss, batch, made.detach())
        self.move("generator", self.generator_loss, batch, made, mirrored)

    def mirrored(self, batch: Batch) -> Tensor:
        """Which images `(N,)` FastCUT translates mirrored: a half of them, else none."""
        return torch.rand(len(batch), device=self.device) < (0.0 if self.identity else 0.5)

    def made(self, batch: Batch, mirrored: Tensor) -> Tensor:
        """G(x), and G(y) beside it where there is an identity term: `(N, 1 or 2, C, H, W)`."""
        given = [flipped(batch.images, mirrored), *([self.targets_of(batch)] if self.identity else [])]
        return self.generator(torch.cat(given)).to(batch.images).unflatten(0, (len(given), -1)).transpose(0, 1)

    def discriminator_loss(self, batch: Batch, made: Tensor) -> Tensor:
        """1/2 E (D(y) - 1)^2 + 1/2 E D(G(x))^2."""
        real, fake = self.discriminator(self.seen(torch.cat([self.targets_of(batch), made[:, 0]]))).chunk(2)
        return losses.least_squares_discriminator(real, fake)

    def generator_loss(self, batch: Batch, made: Tensor, mirrored: Tensor) -> Tensor:
        """The game's part, and what patches say."""
        game = 2 * losses.least_squares_generator(self.discriminator(self.seen(made[:, 0])))
        nce = self.contrast(batch.images, made[:, 0], mirrored)
        self.record(adversarial=game, nce=nce)
        if not self.identity:
            return game + self.weight * nce
        same = self.contrast(self.targets_of(batch), made[:, 1], torch.zeros_like(mirrored))
        self.record(identity_nce=same)
        return game + self.weight * (nce + same) / 2

    def contrast(self, images: Tensor, made: Tensor, mirrored: Tensor) -> Tensor:
        """L_NCE, the mean over the layers; translations of mirrored images are mirrored back in their features."""
        queries = [flipped(x, mirrored) for x in self.generator.features(made, self.nce_layers)]
        with torch.no_grad():
            keys = self.generator.features(images, self.nce_layers)
        places = []
        for x in keys:  # of each image its own, none twice
            drawn = torch.rand(len(x), x.shape[2] * x.shape[3], device=x.device)
            places.append(drawn.argsort(1)[:, : self.patches])
        pairs = zip(self.projections(queries, places), self.projections(keys, places), strict=True)
        return torch.stack([patch_nce(query, key, self.temperature) for query, key in pairs]).mean()


def flipped(x: Tensor, which: Tensor) -> Tensor:
    """`(N, C, H, W)` with those rows mirrored left to right."""
    return torch.where(which[:, None, None, None], x.flip(3), x)
