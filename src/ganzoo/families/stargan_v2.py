"""StarGAN v2: one generator for all domains, and in each as many styles as there are latents or reference pictures.

Choi, Uh, Yoo and Ha 2020, "StarGAN v2: Diverse Image Synthesis for Multiple Domains", arXiv:1912.01865. A style s of
domain y is made of a latent by the mapping network, s = F_y(z), or of a picture of the domain by the style encoder,
s = E_y(x_ref); the generator takes it by adaptive instance normalization; the discriminator has a branch a domain. With
y' the image's own domain, s' = E_y'(x), and s_1, s_2 two styles of domain y (eq. 1 to 6):

    L_D = -E log D_y'(x) - E log(1 - D_y(G(x, s_1))) + lambda_reg 1/2 E ||grad D_y'(x)||^2
    L_G = -E log D_y(G(x, s_1)) + lambda_sty E |s_1 - E_y(G(x, s_1))|
          - lambda_ds E |G(x, s_1) - G(x, s_2)| + lambda_cyc E |x - G(G(x, s_1), s')|

Both are played twice, with the styles of latents and with those of references, by which the generator alone learns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Adam

from ganzoo.data.batch import Images
from ganzoo.game.abilities import Translates
from ganzoo.game.engine import Player
from ganzoo.game.inference import spread
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.media.levels import to_float
from ganzoo.nn.translation import InstanceNorm
from ganzoo.objectives import losses, penalties
from ganzoo.schema import Count, Domains, NonNegative, Positive, Probability, Words
from ganzoo.types import BadArgument, Batch, Condition

Encoder = Callable[[Tensor, Tensor], Tensor]  # pictures and their domains to styles


class ResBlock(nn.Module):
    """(x + f(x)) / sqrt 2, activations first, which may halve the side.

    Args:
        inputs: feature maps that go in, and of the first convolution.
        outputs: feature maps that come out.
        normalized: whether instance normalization stands before the activations.
        halved: whether the side is halved.
    """

    def __init__(self, inputs: int, outputs: int, normalized: bool = False, halved: bool = False) -> None:
        super().__init__()
        self.halved = halved
        self.norm1, self.norm2 = (InstanceNorm(inputs, affine=True) if normalized else nn.Identity() for _ in range(2))
        self.conv1, self.conv2 = nn.Conv2d(inputs, inputs, 3, 1, 1), nn.Conv2d(inputs, outputs, 3, 1, 1)
        self.conv1x1 = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, inputs, H, W)` to `(N, outputs, H or H/2, W or W/2)`."""
        h, x = self.conv1(F.leaky_relu(self.norm1(x), 0.2)), self.conv1x1(x)
        if self.halved:
            h, x = F.avg_pool2d(h, 2), F.avg_pool2d(x, 2)
        return (x + self.conv2(F.leaky_relu(self.norm2(h), 0.2))) / math.sqrt(2)


class AdaIN(nn.Module):
    """Instance normalization whose gain and bias an affine map makes of the style (Huang 2017, arXiv:1703.06868).

    Args:
        style: length of s.
        width: feature maps.
    """

    def __init__(self, style: int, width: int) -> None:
        super().__init__()
        self.norm, self.fc = InstanceNorm(width), nn.Linear(style, 2 * width)

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        """(1 + gamma) norm(x) + beta."""
        gamma, beta = self.fc(s)[:, :, None, None].chunk(2, 1)
        return (1 + gamma) * self.norm(x) + beta


class AdaINBlock(nn.Module):
    """The same by adaptive normalization, which may double the side.

    Args:
        inputs: feature maps that go in.
        outputs: feature maps that come out.
        style: length of s.
        doubled: whether the side is doubled.
        shortcut: whether x is added, which it is not where a high pass brings the image's edges; as in the authors'
            code the shortcut's convolution is there all the same.
    """

    def __init__(self, inputs: int, outputs: int, style: int, doubled: bool = False, shortcut: bool = True) -> None:
        super().__init__()
        self.doubled, self.shortcut = doubled, shortcut
        self.norm1, self.norm2 = AdaIN(style, inputs), AdaIN(style, outputs)
        self.conv1, self.conv2 = nn.Conv2d(inputs, outputs, 3, 1, 1), nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.conv1x1 = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        """Maps `(N, inputs, H, W)` to `(N, outputs, H or 2H, W or 2W)` in the style `(N, style)`."""
        h = F.leaky_relu(self.norm1(x, s), 0.2)
        if self.doubled:
            h, x = F.interpolate(h, scale_factor=2), F.interpolate(x, scale_factor=2)
        h = self.conv2(F.leaky_relu(self.norm2(self.conv1(h), s), 0.2))
        return (h + self.conv1x1(x)) / math.sqrt(2) if self.shortcut else h


class Generator(nn.Module):
    """Halvings down to 16 pixels of the side of training, two blocks there and back, and doublings (table 7).

    Args:
        channels: channels of an image.
        widths: feature maps beside the images, and after each halving.
        style: length of s.
        high_pass: divides the edges that masks let through; 0 for a generator without.
    """

    def __init__(self, channels: int, widths: Sequence[int], style: int, high_pass: float = 0.0) -> None:
        super().__init__()
        self.high_pass, steps, deep = high_pass, [*pairwise(widths)], widths[-1]
        adaptive = partial(AdaINBlock, style=style, shortcut=not high_pass)
        self.from_rgb = nn.Conv2d(channels, widths[0], 3, 1, 1)
        halvings = [ResBlock(a, b, normalized=True, halved=True) for a, b in steps]
        self.encode = nn.ModuleList([*halvings, *(ResBlock(deep, deep, normalized=True) for _ in range(2))])
        doublings = [adaptive(b, a, doubled=True) for a, b in reversed(steps)]
        self.decode = nn.ModuleList([*(adaptive(deep, deep) for _ in range(2)), *doublings])
        last = [InstanceNorm(widths[0], affine=True), nn.LeakyReLU(0.2), nn.Conv2d(widths[0], channels, 1)]
        self.to_rgb = nn.Sequential(*last)

    def forward(self, x: Tensor, s: Tensor, masks: Sequence[Tensor] | None = None) -> Tensor:
        """Maps images `(N, channels, H, W)`, whose sides halve evenly, to such in styles `(N, style)`; no tanh.

        Args:
            x: the images.
            s: the styles.
            masks: of a generator with a high pass, where edges of the image's features come through: `(N, 1, H, W)` in
                [0, 1] for those of 32 pixels, and another for 64 and 128.
        """
        x, seen = self.from_rgb(x), {}
        for block in self.encode:
            seen[x.shape[2]] = x
            x = block(x)
        for block in self.decode:
            x = block(x, s)
            if masks is not None and x.shape[2] in (32, 64, 128) and x.shape[2] in seen:
                mask = F.interpolate(masks[x.shape[2] > 32], size=x.shape[2:], mode="bilinear")
                x = x + self.edges(mask * seen[x.shape[2]])
        return self.to_rgb(x)

    def edges(self, x: Tensor) -> Tensor:
        """Eight times each place less its neighbours, over `high_pass`."""
        kernel = x.new_full((3, 3), -1.0)
        kernel[1, 1] = 8.0
        return F.conv2d(x, (kernel / self.high_pass).expand(x.shape[1], 1, 3, 3), padding=1, groups=x.shape[1])


class Heads(nn.Module):
    """A shared trunk and a branch a domain.

    Args:
        shared: the trunk, to `(N, d)` or `(N, d, 1, 1)`.
        unshared: the branches.
    """

    def __init__(self, shared: nn.Sequential, unshared: Iterable[nn.Module]) -> None:
        super().__init__()
        self.shared, self.unshared = shared, nn.ModuleList(unshared)

    def forward(self, x: Tensor, domains: Tensor) -> Tensor:
        """What the branch of each one's domain `(N,)` makes of it."""
        return own(self.all(x), domains)

    def all(self, x: Tensor) -> Tensor:
        """What every branch makes: `(N, branches, style)`."""
        h = self.shared(x).flatten(1)
        return torch.stack([branch(h) for branch in self.unshared], 1)


def own(rows: Tensor, domains: Tensor) -> Tensor:
    """Of `(N, branches, ...)` each row's branch `(N, ...)`."""
    return rows[torch.arange(rows.shape[0], device=rows.device), domains]


def mapping(latent: int, style: int, hidden: int, domains: int) -> Heads:
    """F: latents to styles by four layers that all domains share, and four of each (table 8)."""

    def layers(inputs: int, count: int) -> list[nn.Module]:
        return [m for i in range(count) for m in (nn.Linear(hidden if i else inputs, hidden), nn.ReLU())]

    branches = (nn.Sequential(*layers(hidden, 3), nn.Linear(hidden, style)) for _ in range(domains))
    return Heads(nn.Sequential(*layers(latent, 4)), branches)


def judging(channels: int, widths: Sequence[int]) -> list[nn.Module]:
    """What style encoder and discriminator share: halvings to 4 x 4, and one place of what is left (table 9)."""
    blocks = [ResBlock(a, b, halved=True) for a, b in pairwise(widths)]
    last = [nn.LeakyReLU(0.2), nn.Conv2d(widths[-1], widths[-1], 4), nn.LeakyReLU(0.2)]
    return [nn.Conv2d(channels, widths[0], 3, 1, 1), *blocks, *last]


class Discriminator(nn.Module):
    """A logit a domain.

    Args:
        channels: channels of an image.
        widths: feature maps after the first layer, and after each halving down to 4 pixels.
        domains: how many.
    """

    def __init__(self, channels: int, widths: Sequence[int], domains: int) -> None:
        super().__init__()
        self.main = nn.Sequential(*judging(channels, widths), nn.Conv2d(widths[-1], domains, 1))

    def forward(self, x: Tensor, domains: Tensor) -> Tensor:
        """Logits `(N,)` of images `(N, channels, size, size)` for domains `(N,)`."""
        return own(self.main(x).flatten(1), domains)


@register(
    paper="Choi, Uh, Yoo and Ha, StarGAN v2: Diverse Image Synthesis for Multiple Domains",
    year=2020,
    url="https://arxiv.org/abs/1912.01865",
    method="StarGAN v2",
    task="translation",
    formula=(
        "L_D = -E log D_y'(x) - E log(1 - D_y(G(x, s_1))) + lambda_reg 1/2 E ||grad D_y'(x)||^2",
        "L_G = -E log D_y(G(x, s_1)) + lambda_sty E |s_1 - E_y(G(x, s_1))| "
        "- lambda_ds E |G(x, s_1) - G(x, s_2)| + lambda_cyc E |x - G(G(x, s_1), s')|",
    ),
)
class StarGANv2(Translates):
    """One generator for all domains, and in each as many styles as there are latents or reference pictures.

    The domains are the classes of the data. A translation takes its style from its seed, or from reference pictures in
    its condition: `translate(images, to=..., condition=Condition(reference=...))`. In training, references are other
    images of the batch, two of one domain for each image, where the authors draw further batches; domains are wanted as
    often as they are in the batch, where they are drawn evenly there; and each move draws its own styles.

    Args:
        size: side of an image in training: a power of 2 from 8 on; below 64, the generator halves it once.
        channels: channels of an image.
        classes: number of domains.
        names: of the domains: small letters, digits and hyphens; `class-0`, `class-1`, ... where there are none.
        latent: length of z.
        style: length of s.
        hidden: width of the mapping network.
        width: feature maps beside the images; None for the authors' 2^14 over the size.
        max_width: the most feature maps after a halving.
        high_pass: 0 but for the authors' faces (1 there): weighs the edges that come through where masks of the face's
            parts let them; a network that finds these parts is not here, so masks are given to `translate`, and
            training has none.
        penalty: lambda_reg, of R1.
        style_weight: lambda_sty.
        diversity: lambda_ds at first; the authors' code has 2 for animals.
        diversity_images: images over which lambda_ds falls linearly to 0: the authors' 100,000 updates of 8.
        cycle: lambda_cyc.
        lr: learning rate of all but the mapping network,
        mapping_lr: and of that.
        betas: Adam's decay rates.
        weight_decay: Adam's.
    """

    averages = ("generator", "mapping_network", "style_encoder")
    inference = ("generator", "mapping_network", "style_encoder")
    average_half_life = 5542.0  # the authors' 0.999 an update of 8 images
    coupled = True  # references are others of the batch
    in_styles = True

    def __init__(
        self,
        size: Positive = 256,
        channels: Positive = 3,
        classes: Domains = 2,
        names: Words = (),
        latent: Positive = 16,
        style: Positive = 64,
        hidden: Positive = 512,
        width: Positive | None = None,
        max_width: Positive = 512,
        high_pass: NonNegative = 0.0,
        penalty: NonNegative = 1.0,
        style_weight: NonNegative = 1.0,
        diversity: NonNegative = 1.0,
        diversity_images: Count = 800_000,
        cycle: NonNegative = 1.0,
        lr: NonNegative = 1e-4,
        mapping_lr: NonNegative = 1e-6,
        betas: tuple[Probability, Probability] = (0.0, 0.99),
        weight_decay: NonNegative = 1e-4,
    ) -> None:
        super().__init__()
        halvings = size.bit_length() - 1
        if size < 8 or size != 2**halvings:
            raise BadArgument(f"size is {size}; a power of 2 from 8 on is expected")
        self.labelled = True
        self.shape, self.classes, self.prior = (channels, size, size), classes, Normal(latent)
        self.name_domains(names, classes)
        width = width or max(1, 2**14 // size)
        widths = [width, *(min(width << i, max_width) for i in range(1, halvings - 1))]
        deep = max(1, halvings - 4 + bool(high_pass))
        self.stride = 2**deep
        self.generator = Generator(channels, widths[: deep + 1], style, high_pass)
        self.mapping_network = mapping(latent, style, hidden, classes)
        branches = (nn.Linear(widths[-1], style) for _ in range(classes))
        self.style_encoder = Heads(nn.Sequential(*judging(channels, widths)), branches)
        self.discriminator = Discriminator(channels, widths, classes)
        self.apply(initialize)
        self.penalty, self.style_weight, self.cycle = penalty, style_weight, cycle
        self.diversity, self.diversity_images = diversity, diversity_images
        self.mapping_lr = mapping_lr
        self.adam = partial(Adam, lr=lr, betas=betas, weight_decay=weight_decay)

    def players(self) -> dict[str, Player]:
        """The discriminator; generator, style encoder and mapping network, the last at a rate of its own."""
        own = {id(p) for p in self.mapping_network.parameters()}

        def grouped(parameters: Iterable[nn.Parameter]) -> Adam:
            groups: dict[bool, list[nn.Parameter]] = {False: [], True: []}
            for parameter in parameters:
                groups[id(parameter) in own].append(parameter)
            slow: dict[str, Any] = {"params": groups[True], "lr": self.mapping_lr}
            return self.adam([{"params": groups[False]}, slow])

        modules = (self.generator, self.style_encoder, self.mapping_network)
        return {"discriminator": Player(self.discriminator, self.adam), "generator": Player(modules, grouped)}

    def transform(
        self,
        images: Tensor,
        to: str,
        *,
        seeds: Sequence[int] = (),
        condition: Condition | None = None,
        masks: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """G(x, s), s by the mapping network or, where there are reference pictures, by the style encoder.

        Args:
            images: `(n, C, H, W)`.
            to: the domain.
            seeds: of each one's latent; that of seed 0 for all where there are none.
            condition: whose `reference` `(n, C, size, size)` gives the styles.
            masks: of a generator with a high pass.
        """
        n = images.shape[0]
        domains = torch.full((n,), self.domains.index(to), device=images.device)
        reference = None if condition is None else condition.reference
        if reference is None:
            z = np.stack([self.prior.of(np.random.RandomState(seed)) for seed in seeds or [0]])
            latents = torch.from_numpy(z).to(images).expand(n, -1)
            s = self.average_module("mapping_network")(latents, domains)
        elif tuple(reference.shape[1:]) != self.shape:
            raise BadArgument(f"references are {tuple(reference.shape[1:])}; {self.shape} is expected")
        else:
            s = self.average_module("style_encoder")(reference.to(images), domains)
        return self.averaged(images, s, masks)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Two updates of each player: with styles of latents, then with those of references.

        A step is counted, and averaged, at the first of the generator's two; the authors average after both.
        """
        self.move("discriminator", self.discriminator_latent_loss, batch)
        self.move("discriminator", self.discriminator_reference_loss, batch)
        self.move("generator", self.generator_latent_loss, batch)
        self.move("generator", self.generator_reference_loss, batch, counts=False)

    def discriminator_latent_loss(self, batch: Batch) -> Tensor:
        """L_D with s_1 = F_y(z)."""
        with torch.no_grad():
            wanted, s, _ = self.latent_styles(batch)
        return self.judgement(batch, wanted, s)

    def discriminator_reference_loss(self, batch: Batch) -> Tensor:
        """L_D with s_1 = E_y(x_ref)."""
        with torch.no_grad():
            wanted, s, _ = self.reference_styles(batch, self.style_encoder)
        return self.judgement(batch, wanted, s)

    def judgement(self, batch: Batch, wanted: Tensor, s: Tensor) -> Tensor:
        """-E log D_y'(x) - E log(1 - D_y(G(x, s))), and R1 (eq. 1)."""
        labels = self.labels_of(batch)
        with torch.no_grad():
            fake = self.generator(batch.images, s).to(batch.images)
        real, penalty = penalties.scored(lambda x: self.discriminator(self.seen(x), labels), batch.images)
        self.record(r1=penalty.mean())
        game = losses.minimax_discriminator(real, self.discriminator(self.seen(fake), wanted))
        return game + self.penalty * penalty.mean()

    def generator_latent_loss(self, batch: Batch) -> Tensor:
        """L_G with styles F_y(z): generator, mapping network and style encoder learn."""
        return self.translation(batch, *self.latent_styles(batch), self.style_encoder)

    def generator_reference_loss(self, batch: Batch) -> Tensor:
        """L_G with styles E_y(x_ref): as in the authors' code, the generator alone learns."""
        values = {name: value.detach() for name, value in self.style_encoder.named_parameters()}

        def frozen(x: Tensor, domains: Tensor) -> Tensor:
            return functional_call(self.style_encoder, values, (x, domains))

        return self.translation(batch, *self.reference_styles(batch, frozen), frozen)

    def translation(self, batch: Batch, wanted: Tensor, one: Tensor, other: Tensor, encode: Encoder) -> Tensor:
        """L_G (eq. 6), to domains `(N,)` in two styles `(N, style)` each."""
        x = batch.images
        fake = self.generator(x, one)
        with torch.no_grad():
            second = self.generator(x, other)
        adversarial = losses.nonsaturating_generator(self.discriminator(self.seen(fake), wanted))
        style = F.l1_loss(encode(fake, wanted), one)
        diversity = F.l1_loss(fake, second)
        cycle = F.l1_loss(self.generator(fake, encode(x, self.labels_of(batch))), x)
        self.record(style=style, diversity=diversity, cycle=cycle)
        fade = max(0.0, 1 - self.images_seen / self.diversity_images) if self.diversity_images else 1.0
        return adversarial + self.style_weight * style - self.diversity * fade * diversity + self.cycle * cycle

    def latent_styles(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """y `(N,)`, as those of the batch in another order, and two styles F_y(z) `(N, style)` each."""
        wanted = self.labels_of(batch)[torch.rand(len(batch), device=self.device).argsort()]
        one, other = (self.mapping_network(self.prior.draw(len(batch), self.device), wanted) for _ in range(2))
        return wanted, one, other

    def reference_styles(self, batch: Batch, encode: Encoder) -> tuple[Tensor, Tensor, Tensor]:
        """y `(N,)` of other images of the batch, and the styles of two of each one's y `(N, style)` each.

        A picture that is the only one of its domain is both.
        """
        labels, n = self.labels_of(batch), len(batch)
        first = torch.rand(n, device=self.device).argsort()
        wanted = labels[first]
        chances = torch.rand(n, n, device=self.device).masked_fill(labels[None] != wanted[:, None], -2.0)
        chances[torch.arange(n, device=self.device), first] = -1.0
        one, other = (encode(batch.images[rows], wanted) for rows in (first, chances.argmax(1)))
        return wanted, one, other

    def pictures(self, real: Images | None) -> dict[str, Tensor]:
        """Held-out images in the styles of others, which stand above them, and in those of seeds, in all domains."""
        if real is None or real.labels is None:
            return {}
        rows = to_float(torch.from_numpy(real.values[spread(len(real), 4)]))
        places = [np.flatnonzero(real.labels == k) for k in range(len(self.domains))]
        each = max(1, 6 // len(places))
        chosen = [(int(at[i]), k) for k, at in enumerate(places) for i in spread(len(at), each)]
        references = to_float(torch.from_numpy(real.values[[at for at, _ in chosen]]))
        blank = -torch.ones_like(rows[:1])
        guided, seeded = [torch.cat([blank, references])], [torch.cat([blank, blank.expand_as(references)])]
        for x in rows:
            x, to = x[None].expand_as(references), [self.domains[k] for _, k in chosen]
            guided.append(torch.cat([x[:1], self.translate(x, to=to, condition=Condition(reference=references))]))
            seeded.append(torch.cat([x[:1], self.translate(x, to=to)]))
        return {"references": torch.stack(guided), "styles": torch.stack(seeded[1:])}


def initialize(module: nn.Module) -> None:
    """Weights by He et al. 2015 (arXiv:1502.01852), biases 0."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
