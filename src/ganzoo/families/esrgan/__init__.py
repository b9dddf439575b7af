"""ESRGAN: SRGAN with dense residual blocks, a relativistic discriminator, and features taken before activation.

Wang, Yu, Wu, Gu, Liu, Dong, Qiao and Loy 2018, "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks",
arXiv:1809.00219. y is a picture, x what it becomes when it is made small. The discriminator judges whether a picture is
more real than the others are on average, D(a, b) = sigmoid(C(a) - E C(b)), and features phi are taken before they are
activated (eq. 1 to 3):

    L_D = -E log D(y, G(x)) - E log(1 - D(G(x), y))
    L_G = |phi(G(x)) - phi(y)| + lambda (-E log(1 - D(y, G(x))) - E log D(G(x), y)) + eta |G(x) - y|

With `degradation: second-order`, `discriminator: unet` and `relativistic: false` it is Real-ESRGAN (Wang, Xie, Dong and
Shan 2021, arXiv:2107.10833): x has suffered as pictures of the world have.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Adam

from ganzoo.data.degradation import degrade, sharpened
from ganzoo.families.esrgan.networks import Compact, RRDBNet, UNetDiscriminator
from ganzoo.game.abilities import Upscales
from ganzoo.game.engine import Player
from ganzoo.game.helpers import Helper
from ganzoo.game.registry import register
from ganzoo.nn import enlarging
from ganzoo.objectives import losses
from ganzoo.schema import Counts, Depth, NonNegative, NonNegatives, Positive, Probability
from ganzoo.types import BadArgument, Batch

_STRIP = 2**15  # small pixels that are enlarged at a time


@register(
    paper="Wang et al., ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks",
    year=2018,
    url="https://arxiv.org/abs/1809.00219",
    task="super-resolution",
    formula=(
        "L_D = -E log D(y, G(x)) - E log(1 - D(G(x), y))",
        "L_G = |phi(G(x)) - phi(y)| + lambda (-E log(1 - D(y, G(x))) - E log D(G(x), y)) + eta |G(x) - y|",
    ),
)
class ESRGAN(Upscales):
    """SRGAN with dense residual blocks, a relativistic discriminator, and features taken before activation.

    It learns from pictures alone, which it makes small itself. The paper trains the generator for |G(x) - y| first
    (`adversarial: 0`, `perceptual: null`, `pixel: 1`), then in the game from those weights; `between` gives what lies
    between the two (section 3.4). The authors' code halves both parts of the game; here they are as in the paper. Its
    features are VGG19's; here they are those of the named network, before the activation, VGG16's by default.

    Args:
        size: side of a picture in training, a multiple of 8 and of `scale`; 8, 16, 32, ... for the discriminator `vgg`.
        channels: channels of a picture.
        scale: how many times as long the sides become; 4, 2 or 1 for the network `rrdb`.
        network: `rrdb` is the paper's; `compact` Real-ESRGAN's small one.
        width: feature maps of the generator.
        blocks: of the generator: 23 or, for speed, 6 in `rrdb`; 16 or 32 convolutions in `compact`.
        growth: feature maps that a convolution of a dense block adds.
        discriminator: `vgg` gives one score for the whole picture, `unet` (Real-ESRGAN's) one for each pixel.
        discriminator_width: feature maps of its first layer.
        relativistic: whether it judges a picture beside the others; Real-ESRGAN's judges each by itself.
        degradation: how pictures become small: `bicubic`, or Real-ESRGAN's `second-order`, after which the picture that
            G(x) is to be like in pixels and features is the sharpened one.
        perceptual: the network of the perceptual term; none for no such term.
        perceptual_weights: of its last feature maps, the coarsest last.
        pixel: eta, the weight of the distance in pixels.
        adversarial: lambda, the weight of the game; 0 for none, and no discriminator that learns.
        halve_at: images seen after which the learning rate is halved: the paper's 50, 100, 200 and 300 thousand batches
            of 16.
        lr: learning rate of both players.
        betas: Adam's decay rates.
    """

    coupled = True  # each score stands beside the mean of the batch's others

    def __init__(
        self,
        size: Positive = 128,
        channels: Positive = 3,
        scale: Positive = 4,
        network: Literal["rrdb", "compact"] = "rrdb",
        width: Positive = 64,
        blocks: Depth = 23,
        growth: Positive = 32,
        discriminator: Literal["vgg", "unet"] = "vgg",
        discriminator_width: Positive = 64,
        relativistic: bool = True,
        degradation: Literal["bicubic", "second-order"] = "bicubic",
        perceptual: str | None = "vgg16_lpips",
        perceptual_weights: NonNegatives = (1.0,),
        pixel: NonNegative = 1e-2,
        adversarial: NonNegative = 5e-3,
        halve_at: Counts = (800_000, 1_600_000, 3_200_000, 4_800_000),
        lr: NonNegative = 1e-4,
        betas: tuple[Probability, Probability] = (0.9, 0.999),
    ) -> None:
        super().__init__()
        if network == "rrdb" and scale not in (1, 2, 4):
            raise BadArgument(f"scale is {scale}; the network rrdb has 1, 2 and 4")
        if size % 8 or size % scale:
            raise BadArgument(f"size is {size}; a multiple of 8 and of the scale, {scale}, is expected")
        self.shape, self.scale = (channels, size, size), scale
        self.generator: RRDBNet | Compact
        if network == "rrdb":
            self.generator = RRDBNet(channels, scale, width, blocks, growth)
            # All that the convolutions see; of many blocks, whose residuals are small, what was measured to be enough
            self.overlap = min(15 * blocks + 6, 64 if blocks <= 6 else 96)  # docs/upscale.md
        else:
            self.generator = Compact(channels, scale, width, blocks)
            self.overlap = blocks + 2  # all that they see
        self.tile = 512
        self.stride = self.generator.stride
        self.discriminator: enlarging.Discriminator | UNetDiscriminator
        if discriminator == "vgg":
            self.discriminator = enlarging.Discriminator(channels, size, discriminator_width)
        else:
            self.discriminator = UNetDiscriminator(channels, discriminator_width)
        self.relativistic, self.degradation = relativistic, degradation
        if perceptual is not None:
            self.features = Helper(perceptual)
        self.perceptual_weights = perceptual_weights if perceptual is not None else ()
        self.pixel, self.adversarial, self.halve_at = pixel, adversarial, halve_at
        self.adam = partial(Adam, lr=lr, betas=betas)

    def players(self) -> dict[str, Player]:
        """Both players, with the same Adam."""
        return {name: Player(getattr(self, name), self.adam, self.rate) for name in ("generator", "discriminator")}

    def rate(self, images_seen: int) -> float:
        """The factor on the learning rate."""
        return 0.5 ** sum(images_seen >= count for count in self.halve_at)

    def enlarge(self, images: Tensor) -> Tensor:
        """G, with the last layers in strips: there feature maps are 16 times as large.

        Channels innermost, for which convolutions on CPUs are up to twice as fast.
        """
        network, images = self.averaged, images.to(memory_format=torch.channels_last)
        if not isinstance(network, RRDBNet):
            return network(images)
        x = network.lower(images)
        step, parts = max(8, _STRIP // x.shape[3]), []
        for start in range(0, x.shape[2], step):
            above = min(start, 2)
            part = network.upper(x[:, :, start - above : start + step + 2])
            parts.append(part[:, :, 4 * above : 4 * (above + step)])
        return torch.cat(parts, 2)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player, against the same G(x), the generator first as in the authors' code."""
        made = self.ahead(self.made, batch)
        self.move("generator", self.generator_loss, batch, made)
        if self.adversarial:
            self.move("discriminator", self.discriminator_loss, batch, made.detach())

    def made(self, batch: Batch) -> Tensor:
        """G(x) of what the pictures become when they are made small."""
        if self.degradation == "bicubic":
            small = self.reduced(batch.images)
        else:
            small = degrade(batch.images, self.scale, torch.randint(2**31, (len(batch),)))
        return self.generator(small).to(batch.images)

    def generator_loss(self, batch: Batch, made: Tensor) -> Tensor:
        """Distances in features and pixels, and the game's part."""
        aim = batch.images if self.degradation == "bicubic" else sharpened(batch.images)
        loss = self.pixel * F.l1_loss(made, aim) / 2  # the paper's pixels are in [0, 1]
        if self.perceptual_weights:
            perceptual = self.perceptual_distance(made, aim)
            self.record(perceptual=perceptual)
            loss = loss + perceptual
        if not self.adversarial:
            return loss
        fake = self.discriminator(self.seen(made))
        if self.relativistic:
            game = losses.relativistic_average_generator(self.discriminator(self.seen(batch.images)).detach(), fake)
        else:
            game = losses.nonsaturating_generator(fake)
        self.record(game=game)
        return loss + self.adversarial * game

    def perceptual_distance(self, made: Tensor, aim: Tensor) -> Tensor:
        """The mean absolute difference of feature maps, before they are activated (section 3.3)."""
        count = len(self.perceptual_weights)
        with torch.no_grad():
            wanted = self.features(aim, activated=False)[-count:]
        found = self.features(made, activated=False)[-count:]
        if len(found) < count:
            raise BadArgument(f"{self.features.name} has {len(found)} feature maps, and there are {count} weights")
        distances = zip(self.perceptual_weights, found, wanted, strict=True)
        return torch.stack([weight * F.l1_loss(a, b) for weight, a, b in distances]).sum()

    def discriminator_loss(self, batch: Batch, made: Tensor) -> Tensor:
        """-E log D(y, G(x)) - E log(1 - D(G(x), y)); of each picture by itself where it is not relativistic."""
        real, fake = (self.discriminator(self.seen(images)) for images in (batch.images, made))
        judge = losses.relativistic_average_discriminator if self.relativistic else losses.minimax_discriminator
        return judge(real, fake)

    def between(self, faithful: ESRGAN, share: float) -> ESRGAN:
        """A model whose generator lies on the line from a more faithful one's to this one's (section 3.4).

        Args:
            faithful: with a generator of the same sizes, such as the one that this was trained from.
            share: alpha, of this one, in [0, 1]; the paper shows 0.8.

        Raises:
            BadArgument: for another share, or generators of other sizes.
        """
        mine, theirs = (model.average_module("generator").state_dict() for model in (self, faithful))
        made: Any = copy.deepcopy(self)
        made.average_module("generator").load_state_dict(enlarging.between(theirs, mine, share))
        return made
