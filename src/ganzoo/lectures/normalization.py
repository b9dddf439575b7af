"""Normalization: what a batch's statistics do to its samples; reference and virtual batch norm beside batch norm."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cache, partial
from statistics import mean, stdev
from typing import NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from ganzoo.lectures.lecture import Lecture, Part, table
from ganzoo.lectures.nearest import sheet
from ganzoo.lectures.playing import digits, digits_distance
from ganzoo.media.charts import COLOURS, drawn, panels
from ganzoo.nn import dcgan
from ganzoo.nn.reference import ReferenceNorm, WithReference, reference_batch_norm, virtual_batch_norm
from ganzoo.objectives import losses

LATENT, WIDTH, REFERENCE, RATE = 32, 16, 64, 2e-3

# ------------------------------------------------------------------------------------------------- one layer, on paper


def unexplained(n: int) -> float:
    """Share of the variance of a batch-normalized N(0, 1) value that its own value does not explain, of n in a batch.

    y = (x - m) / s has variance 1, and E[x y] = E[s], the mean of the deviation of n normals.
    """
    return 1 - 2 / n * math.exp(2 * (math.lgamma(n / 2) - math.lgamma((n - 1) / 2)))


def draw_layer(
    counts: tuple[int, ...] = (2, 4, 8, 16, 32, 64, 128, 256), values: int = 400_000
) -> tuple[Image.Image, str]:
    """A layer of standard normal values, normalized by their batch: how much of y is x, and how much is batchmates."""
    draw = torch.Generator().manual_seed(0)
    found = []
    for n in counts:
        x = torch.randn(n, values // n, generator=draw)  # a column is a batch
        y = F.batch_norm(x, None, None, training=True, eps=1e-12)
        found.append(1 - float(torch.corrcoef(torch.stack([x.flatten(), y.flatten()]))[0, 1] ** 2))
    figure, (ax,) = panels(1, 1, (760, 360))
    ax.plot(counts, [unexplained(n) for n in counts], "--", color="#181c24", label="1 - E[s]², closed form")
    ax.plot(counts, found, "o", color=COLOURS[0], label="measured")
    ax.plot(counts, [1.5 / n for n in counts], ":", color=COLOURS[1], label="3 / 2n")
    ax.set(xscale="log", yscale="log", xlabel="samples in a batch", ylabel="share of the batchmates")
    ax.legend(frameon=False, fontsize=9)
    rows = [
        (name, *(f"{100 * value:.1f} %" for value in values))
        for name, values in (("measured", found), ("closed form", [unexplained(n) for n in counts]))
    ]
    said = "Share of a normalized value's variance that is its batchmates' doing, by samples in a batch:\n\n"
    return drawn(figure), said + table(("", *map(str, counts)), rows)


def squashed(u: Tensor, reference: int) -> Tensor:
    """Where virtual batch norm puts a value u deviations from the reference's mean: never beyond √R."""
    return u * math.sqrt(reference / (reference + 1)) / (1 + u.square() / (reference + 1)).sqrt()


def draw_outliers(sizes: tuple[int, ...] = (4, 16, 64)) -> tuple[Image.Image, str]:
    """Values over 8 deviations, by reference and by virtual batch norm, with references of several sizes."""
    u = torch.linspace(-8, 8, 33)
    figure, axes = panels(1, 2, (960, 380), sharey=True)
    rows = []
    for size, colour in zip(sizes, COLOURS, strict=False):
        reference = torch.randn(size, generator=torch.Generator().manual_seed(3))
        at, spread = float(reference.mean()), float(reference.std(correction=0))
        for ax, norm, closed in (
            (axes[0], reference_batch_norm, lambda x: x),
            (axes[1], virtual_batch_norm, partial(squashed, reference=size)),
        ):
            y = norm(torch.cat([u, reference])[:, None], size)[: len(u), 0]
            ax.plot(u, closed((u - at) / spread), "-", color=colour, linewidth=1)
            ax.plot(u, y, ".", color=colour, markersize=5, label=f"{size} reference samples")
            ax.plot(u, u, ":", color="#181c24", linewidth=0.8)
        rows.append(
            (size, f"{at:.2f}", f"{spread:.2f}", f"{math.sqrt(size):.1f}", f"{float(squashed(u[-1:], size)):.2f}")
        )
    for ax, title in zip(axes, ("reference batch norm: (x - m) / s", "virtual: at most √R"), strict=True):
        ax.set(title=title, xlabel="x, in true deviations", ylim=(-13, 13))
        ax.legend(frameon=False, fontsize=8)
    said = (
        "Dots are the layer, lines the closed form. A reference batch's mean should be 0 and its deviation 1; what "
        "they are instead stays for the whole of training:\n\n"
    )
    head = ("reference samples", "mean", "deviation", "bound √R", "virtual batch norm of u = 8")
    return drawn(figure), said + table(head, rows)


# ------------------------------------------------------------------------------------------------ three generators


def generator(normalization: Callable[[int], nn.Module]) -> nn.Module:
    """DCGAN's generator of digits."""
    return dcgan.Generator(LATENT, 1, 8, WIDTH, normalization=normalization)


def referred(virtual: bool) -> nn.Module:
    """The same, with a reference batch of latents that is chosen once."""
    norm = partial(ReferenceNorm, reference=REFERENCE, virtual=virtual)
    return WithReference(generator(norm), torch.randn(REFERENCE, LATENT))


GENERATORS: dict[str, Callable[[], nn.Module]] = {
    "batch norm": partial(generator, nn.BatchNorm2d),
    "reference batch norm": partial(referred, virtual=False),
    "virtual batch norm": partial(referred, virtual=True),
}


class Trained(NamedTuple):
    """A generator that has been trained.

    Args:
        generator: in training mode.
        milliseconds: of one core, a step.
    """

    generator: nn.Module
    milliseconds: float


@cache
def trained(name: str, seed: int, steps: int, batch: int) -> Trained:
    """DCGAN's game on digits, with a generator's normalization; rates fall to 0 in the second half."""
    torch.manual_seed(seed)
    players = dcgan.Discriminator(1, 8, WIDTH), GENERATORS[name]()
    critic, network = players
    adams = [torch.optim.Adam(player.parameters(), lr=RATE, betas=(0.5, 0.999)) for player in players]
    begun = time.process_time()
    for step in range(steps):
        for adam in adams:
            adam.param_groups[0]["lr"] = RATE * min(1.0, 2 - 2 * step / steps)
        real = digits()[torch.randint(len(digits()), (batch,))]
        fake = network(torch.randn(batch, LATENT))
        adams[0].zero_grad()
        losses.minimax_discriminator(critic(real), critic(fake.detach())).backward()
        adams[0].step()
        adams[1].zero_grad()
        losses.nonsaturating_generator(critic(fake)).backward()
        adams[1].step()
    return Trained(network, 1000 * (time.process_time() - begun) / steps)


@torch.no_grad()
def drawn_samples(network: nn.Module, n: int) -> Tensor:
    """Samples `(n, 1, 8, 8)`, with the means of training where there are any."""
    return network.eval()(torch.randn(n, LATENT, generator=torch.Generator().manual_seed(1)))


@torch.no_grad()
def companies(network: nn.Module, n: int, kept: int, batches: int = 48) -> Tensor:
    """Pictures `(batches, kept, C, H, W)` of the same latents, in batches of n whose other latents are new ones.

    The generator is in training mode: batch norm takes its batch's statistics, as when the critic sees the samples.
    """
    draw = torch.Generator().manual_seed(5)
    z = torch.randn(kept, LATENT, generator=draw)
    network.train()
    made = [network(torch.cat([z, torch.randn(n - kept, LATENT, generator=draw)]))[:kept] for _ in range(batches)]
    return torch.stack(made)


class Influence(NamedTuple):
    """What batchmates do to pictures.

    Args:
        share: of the pixels' variance that remains where a picture's own latent is held.
        alike: correlation, -1 to 1, of what they do to two pictures of one batch; None where they do nothing.
    """

    share: float
    alike: float | None


def influence(made: Tensor) -> Influence:
    """Of pictures `(batches, kept, ...)` of latents held and batchmates that are not."""
    pixels = made.flatten(2).double()
    changes = pixels - pixels.mean(0)
    own = float(changes.square().mean())
    share = own / float((pixels - pixels.mean((0, 1))).square().mean())
    if share < 1e-9:
        return Influence(0.0, None)
    k = made.shape[1]
    return Influence(share, (k * float(changes.mean(1).square().mean()) / own - 1) / (k - 1))


def draw_company(
    sizes: tuple[int, ...] = (4, 8, 16, 64), steps: int = 600, batch: int = 64, shown: int = 16
) -> tuple[Image.Image, str]:
    """A column is a batch of 4: the two latents whose pictures are shown are the same in every column."""
    figure, axes = panels(len(GENERATORS), 1, (960, 480))
    rows = []
    for name, ax in zip(GENERATORS, axes, strict=True):
        network = trained(name, 0, steps, batch).generator
        pictures = companies(network, 4, 2, shown).transpose(0, 1).flatten(0, 1)
        ax.imshow(sheet(pictures, shown), cmap="gray", vmin=-1, vmax=1)
        ax.set(xticks=[], yticks=[], title=name)
        found = [influence(companies(network, n, 2)) for n in sizes]
        rows.append(
            (name, *(f"{100 * f.share:.1f} %" + ("" if f.alike is None else f" ({f.alike:.2f})") for f in found))
        )
    said = (
        f"Two latents in batches of n, with other batchmates each time, after {steps} steps of batches of {batch}. "
        "Share of the pixels' variance that is the batchmates' doing, and in brackets the correlation of what they do "
        "to the one picture with what they do to the other:\n\n"
    )
    return drawn(figure), said + table(("generator", *(f"n = {n}" for n in sizes)), rows)


def draw_beside(
    settings: tuple[tuple[int, int], ...] = ((64, 600), (4, 800)), seeds: int = 2
) -> tuple[Image.Image, str]:
    """The three on digits, with batches of 64 and of 4."""
    figure, axes = panels(len(settings), len(GENERATORS), (960, 130 * len(settings)))
    rows = []
    for i, (batch, steps) in enumerate(settings):
        for name, ax in zip(GENERATORS, axes[3 * i :], strict=False):
            games = [trained(name, seed, steps, batch) for seed in range(seeds)]
            ax.imshow(sheet(drawn_samples(games[0].generator, 36), 12), cmap="gray", vmin=-1, vmax=1)
            ax.set(xticks=[], yticks=[], title=f"{name}, batches of {batch}")
            far = [digits_distance(drawn_samples(each.generator, 2000)) for each in games]
            cost = mean(each.milliseconds for each in games)
            rows.append((batch, steps, name, f"{mean(far):.1f} ± {stdev(far):.1f}", f"{cost:.0f}"))
    said = f"Fréchet distance to digits in the digits' network, mean and standard deviation of {seeds} seeds:\n\n"
    head = ("batch", "steps", "generator", "distance", "ms of one core a step")
    return drawn(figure), said + table(head, rows)


LECTURE = Lecture(
    name="normalization",
    title="Normalization: what a sample owes to its batchmates",
    idea=(
        "Batch normalization makes deep generators train, and makes each sample a function of the whole batch. Where "
        "batches are small, what a sample looks like is decided by its batchmates too. A batch that is chosen once and "
        "stays the same cures that; a sample's share in its own statistics keeps it from running away."
    ),
    seconds=70,
    papers=(
        "Goodfellow 2016, arXiv:1701.00160, section 4.4",
        "Salimans et al. 2016, Improved Techniques for Training GANs, arXiv:1606.03498, section 3.5",
        "Ioffe and Szegedy 2015, Batch Normalization, arXiv:1502.03167",
    ),
    parts=(
        Part(
            name="layer",
            title="One layer: how much of y is x?",
            idea=(
                "Take the batch's mean from a value and divide by the batch's deviation, and both are chance. Of n "
                "standard normal values the share of y's variance that x does not explain has a closed form; it falls "
                "like 3 / 2n, a third by the deviation and two thirds by the mean. A network has many such layers."
            ),
            formula=(
                "y = (x - m) / s        Var y = 1        Corr(x, y) = E[s] = √(2/n) Γ(n/2) / Γ((n - 1)/2)",
                "share of the batchmates = 1 - E[s]² = 3 / 2n + O(1/n²)",
            ),
            draw=draw_layer,
            attempt="Values of a heavy tail in place of normal ones: `torch.randn(...) ** 3`.",
            code=(unexplained,),
        ),
        Part(
            name="company",
            title="The same latents in other company",
            idea=(
                "A column is a batch of 4, of which two pictures are shown, of the same two latents in every column. "
                "With batch norm they change with the batchmates, and they change together: that is the correlation "
                "within a batch which the tutorial's figure shows as a tint. With a reference batch they cannot."
            ),
            formula=(
                "share = E_z Var_batch G(z | batch) / Var G        in brackets: Corr(change of one, change of another)",
            ),
            draw=draw_company,
            attempt="`draw_company(batch=4)`: does training with small batches make the generator mind them less?",
            code=(generator, referred, companies, influence),
        ),
        Part(
            name="outliers",
            title="What a reference costs: outliers, and a mean that stays wrong",
            idea=(
                "By a reference alone an outlier stays as far out as it is, and the reference's chance mean and "
                "deviation stay for ever: the network may fit that one batch. Virtual batch norm counts the sample "
                "among R + 1, so that nothing comes out beyond √R. Batch norm is the case whose reference is the R = n "
                "- 1 batchmates."
            ),
            formula=(
                "u = (x - m_R) / s_R        reference: y = u    virtual: y = u √(R / (R + 1)) / √(1 + u² / (R + 1))",
            ),
            draw=draw_outliers,
            attempt="A reference of 1: what is left of virtual batch norm?",
            code=(squashed,),
        ),
        Part(
            name="beside",
            title="Batch, reference and virtual batch norm side by side",
            idea=(
                "DCGAN on digits; only the generator's normalization differs. The reference goes through the generator "
                "at every step, which costs as much as its 64 samples do. Samples of batch norm are drawn with the "
                "means of training, as usual."
            ),
            formula=("DCGAN, width 16, Adam(2e-3, 0.5, 0.999), 64 reference latents",),
            draw=draw_beside,
            attempt="`draw_beside(settings=((2, 1000),))`: the smallest batch that batch norm can take.",
            code=(trained, drawn_samples),
        ),
    ),
)
