"""CoGAN: two generators that share their first layers draw pairs, though nobody ever showed them one.

Liu and Tuzel 2016, "Coupled Generative Adversarial Networks", arXiv:1606.07536. Each domain has its generator and its
discriminator. What the generators make of z at first, and what the discriminators decide on at last, is one and the
same (eq. 4: the shared weights are constrained to be equal), so that one z means one thing in both domains:

    min_{g1,g2} max_{f1,f2}  E log f1(x1) + E log(1 - f1(g1(z))) + E log f2(x2) + E log(1 - f2(g2(z)))

with x1 and x2 from two sets of pictures without pairs, and z ~ U[-1, 1]^100. The networks are those of the supplement
for digits and their edges.
"""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Le
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.data.batch import Images
from ganzoo.game.abilities import Samples
from ganzoo.game.priors import Uniform
from ganzoo.game.registry import register
from ganzoo.objectives import losses
from ganzoo.schema import Count, NonNegative, Positive, Probability
from ganzoo.types import BadArgument, Batch, Condition

_DOMAINS = 2


class Generators(nn.Module):
    """g1 and g2: fractionally strided convolutions, of which both share the first ones.

    Args:
        latent: length of z.
        channels: channels of an image.
        size: side of an image: 4 more than a multiple of a power of two, so that doublings less 1 end there.
        width: feature maps before the last layer; each layer towards z has twice as many.
        shared: convolutions that both share; None for all but the last.
    """

    def __init__(self, latent: int, channels: int, size: int, width: int, shared: int | None = None) -> None:
        super().__init__()
        steps, doublings = size - 4, 0
        while steps % 2 == 0 and steps > 2:
            steps, doublings = steps // 2, doublings + 1
        if steps < 2 or doublings < 1:
            raise BadArgument(f"image size is {size}; an even one of at least 8 is expected, such as 16, 20 or 28")
        widths = [latent, *(width << i for i in reversed(range(doublings + 1)))]
        most = len(widths) - 1
        if shared is not None and shared > most:
            raise BadArgument(f"generator_shared is {shared}; at most {most} of a generator's {most + 1} layers can be")

        def layers(first: int, last: int) -> Iterator[nn.Module]:
            for i in range(first, last):
                if i == most:
                    yield nn.ConvTranspose2d(width, channels, 6, padding=1)
                else:  # a side of n becomes 2n - 1
                    taps, stride, padding = (3, 2, 1) if i else (steps + 1, 1, 0)
                    yield nn.ConvTranspose2d(widths[i], widths[i + 1], taps, stride, padding)
                    yield nn.BatchNorm2d(widths[i + 1], affine=False)
                    yield nn.PReLU()

        first = most if shared is None else shared
        self.shared = nn.Sequential(*layers(0, first))
        owned = [[*layers(first, most + 1)] for _ in range(_DOMAINS)]
        self.own = nn.ModuleList(own[0] if len(own) == 1 else nn.Sequential(*own) for own in owned)
        self.apply(initialize)

    def forward(self, z: Tensor) -> list[Tensor]:
        """Maps `(N, latent)` to a picture `(N, C, H, W)` in [-1, 1] of each domain."""
        h = self.shared(z[:, :, None, None])
        return [torch.tanh(last(h)) for last in self.own]


class Discriminators(nn.Module):
    """f1 and f2: two convolutions and two fully connected layers, of which both share the last ones.

    Args:
        channels: channels of an image.
        size: side of an image.
        widths: of the two convolutions and the hidden layer.
        dropout: of the hidden layer.
        shared: layers that both share.
    """

    def __init__(self, channels: int, size: int, widths: Sequence[int], dropout: float, shared: int = 3) -> None:
        super().__init__()
        first, second, hidden = widths
        padding = 0 if size >= 16 else 2  # smaller pictures than the paper's would be used up
        side = ((size - 4 + 2 * padding) // 2 - 4 + 2 * padding) // 2
        conv = partial(nn.Conv2d, kernel_size=5, padding=padding)

        def layers(begin: int, end: int) -> list[nn.Module]:
            stages: list[list[nn.Module]] = [
                [conv(channels, first), nn.MaxPool2d(2)],
                [conv(first, second), nn.MaxPool2d(2), nn.Flatten()],
                [nn.Linear(second * side * side, hidden), nn.PReLU(), nn.Dropout(dropout)],
                [nn.Linear(hidden, 1)],
            ]
            return [layer for stage in stages[begin:end] for layer in stage]

        self.own = nn.ModuleList(nn.Sequential(*layers(0, 4 - shared)) for _ in range(_DOMAINS))
        self.shared = nn.Sequential(*layers(4 - shared, 4))
        self.apply(initialize)

    def forward(self, pictures: Sequence[Tensor]) -> Tensor:
        """Maps a batch `(N, C, H, W)` of each domain to logits `(2N,)`, the first domain's first."""
        features = [first(x) for first, x in zip(self.own, pictures, strict=True)]
        return self.shared(torch.cat(features)).squeeze(1)


def initialize(module: nn.Module) -> None:
    """Weights after Glorot for rectifiers, biases 0.1, as in the authors' PyTorch code."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight, gain=math.sqrt(2))
        assert module.bias is not None
        nn.init.constant_(module.bias, 0.1)


@register(
    paper="Liu and Tuzel, Coupled Generative Adversarial Networks",
    year=2016,
    url="https://arxiv.org/abs/1606.07536",
    formula=("min_{g1,g2} max_{f1,f2} E log f1(x1) + E log(1 - f1(g1(z))) + E log f2(x2) + E log(1 - f2(g2(z)))",),
)
class CoGAN(Samples):
    """Generators that share their first layers learn a joint distribution of two domains without a single pair.

    Args:
        size: side of an image: even, at least 8.
        channels: channels of an image, in both domains.
        latent: length of z, uniform in [-1, 1].
        width: feature maps before the generators' last layers.
        maps: of the discriminators' two convolutions, and the units of their hidden layer.
        dropout: of that hidden layer (the authors' first code).
        generator_shared: layers of the generators, from z on, that both share; None for all but the last, as for the
            paper's digits, 0 for two generators that know nothing of each other.
        discriminator_shared: layers of the discriminators, from the logit back, that both share, of 4.
        lr: learning rate of both players.
        betas: Adam's decay rates.
        decay: of the weights (the authors' code).
    """

    views = _DOMAINS
    two_domains = True

    def __init__(
        self,
        size: Positive = 28,
        channels: Positive = 1,
        latent: Positive = 100,
        width: Positive = 128,
        maps: tuple[Positive, Positive, Positive] = (20, 50, 500),
        dropout: Probability = 0.5,
        generator_shared: Count | None = None,
        discriminator_shared: Annotated[int, Ge(0), Le(3)] = 3,
        lr: NonNegative = 2e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
        decay: NonNegative = 5e-4,
    ) -> None:
        super().__init__()
        self.shape = (channels, size, size)
        self.prior = Uniform(-1, 1, latent)
        self.generator = Generators(latent, channels, size, width, generator_shared)
        self.discriminator = Discriminators(channels, size, maps, dropout, discriminator_shared)
        self.adam = partial(Adam, lr=lr, betas=betas, weight_decay=decay)

    def generate(self, z: Tensor, condition: Condition, domain: int = 0) -> Tensor:
        """Maps `z` `(n, latent)` to pictures of one domain, 0 or 1; those of one z belong together."""
        if domain not in range(_DOMAINS):
            raise BadArgument(f"domain is {domain}; 0 or 1 is expected")
        return self.averaged(z)[domain]

    def render(
        self, z: Tensor, condition: Condition, rngs: Sequence[np.random.RandomState], *, domain: int = 0
    ) -> Tensor:
        """Makes images of one domain, 0 or 1, for `sample`: one seed gives a pair."""
        return self.generate(z, condition, domain)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Algorithm 1 of the supplement: one update of each side, in both domains at once."""
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """Eq. 3, turned for minimising, as the mean over both domains."""
        real = self.logits([batch.images, self.targets_of(batch)])
        return losses.minimax_discriminator(real, self.logits(self.generator(self.noise(batch))))

    def generator_loss(self, batch: Batch) -> Tensor:
        """-E log f1(g1(z)) - E log f2(g2(z)), as the mean over both domains."""
        return losses.nonsaturating_generator(self.logits(self.generator(self.noise(batch))))

    def logits(self, pictures: Sequence[Tensor]) -> Tensor:
        """What both discriminators say of a batch of each domain, as they are shown it."""
        return self.discriminator([self.seen(images) for images in pictures])

    def realness(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """f1's logits of pictures of the first domain."""
        return self.discriminator.shared(self.discriminator.own[0](images))[:, 0]

    def pictures(self, real: Images | None) -> dict[str, Tensor]:
        """Pairs: rows of the first domain, each above the second domain's pictures of the same seeds."""
        rows = [self.sample(12, seed=seed, domain=domain) for seed in (0, 12) for domain in range(_DOMAINS)]
        return {"pairs": torch.stack(rows)}
