"""CycleGAN: two translations that undo one another are learned without a single pair.

Zhu, Park, Isola and Efros 2017, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks",
arXiv:1703.10593. G maps domain X to Y and F maps Y to X; D_Y and D_X judge what comes out, and a translation there and
back must give the image it began with (eq. 2 and 3, least squares for the logarithm as in section 4):

    L_D = 1/2 E (D_Y(y) - 1)^2 + 1/2 E D_Y(G(x))^2 + 1/2 E (D_X(x) - 1)^2 + 1/2 E D_X(F(y))^2
    L_G = E (D_Y(G(x)) - 1)^2 + E (D_X(F(y)) - 1)^2 + lambda (E |F(G(x)) - x| + E |G(F(y)) - y|)
          + lambda mu (E |G(y) - y| + E |F(x) - x|)
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Translates
from ganzoo.game.engine import Player
from ganzoo.game.registry import register
from ganzoo.nn import translation
from ganzoo.objectives import losses
from ganzoo.schema import Count, Depth, Layers, NonNegative, Positive, Probability
from ganzoo.types import BadArgument, Batch

# L_D and L_G of one direction; D's are halved (section 7.1)
_GAMES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    # The paper's squares, without the halves of the generator's loss in LSGAN's paper
    "least-squares": (losses.least_squares_discriminator, lambda fake: 2 * losses.least_squares_generator(fake)),
    "log": (lambda real, fake: 0.5 * losses.minimax_discriminator(real, fake), losses.nonsaturating_generator),
}


class ImagePool:
    """Earlier translations, half of what a discriminator sees (Shrivastava 2017, arXiv:1612.07828, section 2.3).

    Args:
        size: images that are held; 0 hands the newest through.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.held: list[Tensor] = []

    def exchange(self, images: Tensor) -> Tensor:
        """Takes `(N, C, H, W)` and gives as many: half of a full pool's are earlier ones, which the new replace."""
        given = images.clone()
        turns, places = torch.rand(len(images)).tolist(), torch.randint(max(self.size, 1), (len(images),)).tolist()
        for k, image in enumerate(images):
            if len(self.held) < self.size:
                self.held.append(image.clone())
            elif self.size and turns[k] < 0.5:
                given[k] = self.held[places[k]]
                self.held[places[k]] = image.clone()
        return given


@register(
    paper="Zhu, Park, Isola and Efros, Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks",
    year=2017,
    url="https://arxiv.org/abs/1703.10593",
    task="translation",
    formula=(
        "L_D = 1/2 E (D_Y(y) - 1)^2 + 1/2 E D_Y(G(x))^2 + 1/2 E (D_X(x) - 1)^2 + 1/2 E D_X(F(y))^2",
        "L_G = E (D_Y(G(x)) - 1)^2 + E (D_X(F(y)) - 1)^2 + lambda (E |F(G(x)) - x| + E |G(F(y)) - y|) "
        "+ lambda mu (E |G(y) - y| + E |F(x) - x|)",
    ),
)
class CycleGAN(Translates):
    """Two translations that undo one another are learned without a single pair.

    `generator` is G, from X (the data's images) to Y (their targets), `inverse` is F; `discriminator` is D_Y and
    `inverse_discriminator` D_X. As in the authors' code, the generators move first, and the discriminators learn from
    the translations made then, through the pools. The learning rate falls linearly in the second half (`engine.decay`).

    Args:
        size: side of an image in training: a multiple of 4.
        channels: of an image of Y.
        source_channels: of an image of X; None for as many.
        width: feature maps of the generators beside the images.
        blocks: residual blocks of a generator: 9 for 256 pixels, 6 for 128 (section 7.2).
        discriminator_width: feature maps after the discriminators' first layer.
        patch_layers: halvings of a discriminator: 3 judge patches of 70 x 70 pixels; 0 single pixels.
        normalization: `instance` in the paper; the others are for checkpoints that have them.
        dropout: whether residual blocks drop half of their values; not in the paper.
        loss: of the game: least squares, or the logarithm of eq. 1, non-saturating.
        cycle: lambda, the weight of the cycle consistency.
        identity: mu, the weight of the identity loss as a share of lambda (section 5.2).
        pool: earlier translations that are held for each discriminator (section 4).
        both_ways: whether the model keeps F for inference too, or G alone.
        lr: learning rate of all.
        betas: Adam's decay rates.
    """

    averages = ("generator", "inverse")
    leads = "generators"

    two_domains = True

    def __init__(
        self,
        size: Positive = 256,
        channels: Positive = 3,
        source_channels: Positive | None = None,
        width: Positive = 64,
        blocks: Layers = 9,
        discriminator_width: Positive = 64,
        patch_layers: Depth = 3,
        normalization: translation.Normalization = "instance",
        dropout: bool = False,
        loss: Literal["least-squares", "log"] = "least-squares",
        cycle: NonNegative = 10.0,
        identity: NonNegative = 0.5,
        pool: Count = 50,
        both_ways: bool = True,
        lr: NonNegative = 2e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
    ) -> None:
        super().__init__()
        source = source_channels or channels
        if identity and source != channels:
            raise BadArgument(
                f"identity is {identity} and the domains have {source} and {channels} channels; 0 is expected"
            )
        self.shape, self.source_shape = (channels, size, size), (source, size, size)
        self.cycle, self.identity = cycle, identity
        self.discriminators_game, self.generators_game = _GAMES[loss]
        self.generator = translation.ResNetGenerator(source, channels, width, blocks, normalization, dropout)
        self.inverse = translation.ResNetGenerator(channels, source, width, blocks, normalization, dropout)
        critic = partial(
            translation.PatchDiscriminator, width=discriminator_width, layers=patch_layers, normalization=normalization
        )
        self.discriminator, self.inverse_discriminator = critic(channels), critic(source)
        self.stride = self.generator.stride
        self.generator.check(size)
        self.discriminator.check(size)
        self.domains, self.back = (("b", "a"), "a") if both_ways else (("b",), None)
        self.inference = ("generator", "inverse") if both_ways else ("generator",)
        self.together = normalization != "batch"
        self.pools = {"y": ImagePool(pool), "x": ImagePool(pool)}
        self.fakes: list[tuple[Tensor, Tensor]] = []
        self.adam = partial(Adam, lr=lr, betas=betas)

    def players(self) -> dict[str, Player]:
        """Both generators as one player, and both discriminators."""
        return {
            "generators": Player((self.generator, self.inverse), self.adam),
            "discriminators": Player((self.discriminator, self.inverse_discriminator), self.adam),
        }

    def transform(self, images: Tensor, to: str) -> Tensor:
        """G to `b`, F to `a`."""
        self.generator.check(*images.shape[2:])
        network: nn.Module = self.average_module("inverse" if to == self.back else "generator")
        return network(images)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player."""
        self.fakes = []
        self.move("generators", self.generators_loss, batch)
        fake_y, fake_x = (torch.cat(parts) for parts in zip(*self.fakes, strict=True))
        pooled = self.pools["y"].exchange(fake_y), self.pools["x"].exchange(fake_x)
        self.move("discriminators", self.discriminators_loss, batch, *pooled)

    def generators_loss(self, batch: Batch) -> Tensor:
        """Both adversarial terms, lambda times the cycles', lambda mu times the identities'."""
        x, y = batch.images, self.targets_of(batch)
        if self.identity:
            (fake_y, same_y), (fake_x, same_x) = self.pair(self.generator, x, y), self.pair(self.inverse, y, x)
        else:
            fake_y, fake_x = self.generator(x), self.inverse(y)
        self.fakes.append((fake_y.detach(), fake_x.detach()))
        game = self.generators_game(self.discriminator(self.seen(fake_y)))
        game = game + self.generators_game(self.inverse_discriminator(self.seen(fake_x)))
        cycle = F.l1_loss(self.inverse(fake_y), x) + F.l1_loss(self.generator(fake_x), y)
        self.record(adversarial=game, cycle=cycle)
        if not self.identity:
            return game + self.cycle * cycle
        identity = F.l1_loss(same_y, y) + F.l1_loss(same_x, x)
        self.record(identity=identity)
        return game + self.cycle * (cycle + self.identity * identity)

    def discriminators_loss(self, batch: Batch, fake_y: Tensor, fake_x: Tensor) -> Tensor:
        """1/2 E (D(real) - 1)^2 + 1/2 E D(fake)^2 of both, or the logarithms; the fakes from the pools."""
        real_y, judged_y = self.pair(self.discriminator, self.seen(self.targets_of(batch)), self.seen(fake_y))
        real_x, judged_x = self.pair(self.inverse_discriminator, self.seen(batch.images), self.seen(fake_x))
        return self.discriminators_game(real_y, judged_y) + self.discriminators_game(real_x, judged_x)

    def pair(self, network: nn.Module, one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """Two batches through a network: in one pass, unless they would share their statistics."""
        if not self.together:
            return network(one), network(other)
        made = network(torch.cat([one, other.to(one)]))
        return made[: len(one)], made[len(one) :]

    def rank_state(self) -> dict[str, Tensor]:
        """The pools `(n, C, H, W)`."""
        return {name: torch.stack(pool.held) for name, pool in self.pools.items() if pool.held}

    def load_rank_state(self, state: dict[str, Tensor]) -> None:
        """Fills the pools."""
        for name, pool in self.pools.items():
            pool.held = [image.to(self.device) for image in state.get(name, ())][: pool.size]
