"""Collapse: a generator that sits on one mode and hops, and what keeps it from that."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from PIL import Image
from torch import Tensor, nn

from ganzoo.data.mixtures import Grid, Ring
from ganzoo.game.abilities import Samples
from ganzoo.game.engine import Engine
from ganzoo.game.registry import family
from ganzoo.lectures.lecture import Lecture, Part, table
from ganzoo.lectures.playing import play
from ganzoo.media.charts import drawn, panels
from ganzoo.metrics.functional.modes import ModeCoverage, mode_coverage
from ganzoo.nn.mlp import MLP
from ganzoo.objectives import losses, penalties

EXTENT = 3.0
RING, RATE = Ring(), 1e-3
CENTRES = torch.from_numpy(RING.centres)

# -------------------------------------------------------------------------------------------- snapshots of families

GAN = {"shape": [2], "latent": 256, "hidden": [128, 128], "discriminator_hidden": [128], "maxout": 1, "dropout": 0.0}
GAN |= {"scale": 4.0, "gain": 0.8, "lr": RATE, "discriminator_lr": RATE, "betas": [0.5, 0.999], "decay": 0.0}
PLAYERS: dict[str, tuple[str, dict[str, object]]] = {
    "GAN, minimax": ("gan", GAN | {"loss": "minimax"}),
    "unrolled, k = 0": ("unrolled", {"unroll": 0, "lr": RATE, "discriminator_lr": RATE}),
    "unrolled, k = 1": ("unrolled", {"unroll": 1, "lr": RATE, "discriminator_lr": RATE}),
    "unrolled, k = 5": ("unrolled", {"unroll": 5, "lr": RATE, "discriminator_lr": RATE}),
    "unrolled, k = 10": ("unrolled", {"unroll": 10, "lr": RATE, "discriminator_lr": RATE}),
}


class Snapshot(NamedTuple):
    """A game at one step.

    Args:
        step: of the generator.
        points: samples `(n, 2)`.
        heat: D on a square of side 2 EXTENT `(h, w)`, from the lower left.
    """

    step: int
    points: Tensor
    heat: Tensor


def snapshot(game: Samples, step: int, n: int = 512, side: int = 48) -> Snapshot:
    """Samples of fixed seeds, and what D says of the plane."""
    line = torch.linspace(-EXTENT, EXTENT, side)
    plane = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).flatten(0, 1)
    return Snapshot(step, game.sample(n, seed=0), game.criticise(plane).sigmoid().unflatten(0, (side, side)))


@cache
def watched(name: str, steps: int, every: int) -> tuple[Snapshot, ...]:
    """A player's snapshots on the ring, from seed 0."""
    kind, arguments = PLAYERS[name]
    torch.manual_seed(0)
    game: Samples = family(kind).cls(**arguments)
    game.engine = Engine(seed=0)
    kept = [snapshot(game, 0)]

    def keep(step: int) -> None:
        if step % every == 0:
            kept.append(snapshot(game, step))

    play(game, Ring(batch_size=256, n=50_000), steps, name, keep)
    return tuple(kept)


def paint(axes: Axes, seen: Snapshot, found: ModeCoverage) -> None:
    """D's heat, from blue where it is lowest in a panel to red where it is highest, samples as ink, rings on modes.

    A game's D is near 1/2 everywhere: on one scale for all panels nothing would be seen. The ends stand in the corner.
    """
    low, high = float(seen.heat.min()), float(seen.heat.max())
    axes.imshow(
        seen.heat, origin="lower", extent=(-EXTENT, EXTENT, -EXTENT, EXTENT), cmap="RdBu_r", vmin=low, vmax=high,
        alpha=0.85,
    )  # fmt: skip
    axes.text(-2.9, -2.9, f"D {low:.2f}-{high:.2f}", size=6, color="#181c24", va="bottom")
    axes.scatter(seen.points[:, 0], seen.points[:, 1], s=2, c="#181c24", alpha=0.6, linewidths=0)
    axes.scatter(CENTRES[:, 0], CENTRES[:, 1], s=60, facecolors="none", edgecolors="#181c24", linewidths=0.7)
    axes.set(xlim=(-EXTENT, EXTENT), ylim=(-EXTENT, EXTENT), xticks=[], yticks=[])
    axes.set_title(f"{seen.step}: {found.covered} modes" if seen.step else "step 0", size=8)


def covered(points: Tensor, wide: float = 3.0) -> ModeCoverage:
    """Modes of the ring that hold a tenth of their fair share within `wide` times three deviations."""
    return mode_coverage(points, CENTRES, RING.std, radius=3 * wide)


def draw_strip(steps: int = 1000, shown: int = 7, every: int = 25) -> tuple[Image.Image, str]:
    """A row a player, a column a step."""
    figure, axes = panels(len(PLAYERS), shown, (1000, 152 * len(PLAYERS)))
    rows = []
    for i, name in enumerate(PLAYERS):
        seen = watched(name, steps, every)
        chosen = [seen[round(j * (len(seen) - 1) / (shown - 1))] for j in range(shown)]
        for ax, each in zip(axes[i * shown : (i + 1) * shown], chosen, strict=True):
            paint(ax, each, covered(each.points))
        axes[i * shown].set_ylabel(name, size=8)
        rows.append((name, covered(seen[-1].points).covered))
    note = "A mode counts that holds a tenth of its fair share within nine deviations, 0.18:\n\n"
    return drawn(figure), note + table(("game", f"modes of 8 at step {steps}"), rows)


def draw_hops(steps: int = 1000, every: int = 25) -> tuple[Image.Image, str]:
    """To which mode samples are nearest, over the steps."""
    names = ("GAN, minimax", "unrolled, k = 5")
    figure, axes = panels(2, 1, (960, 420), sharex=True)
    moved = []
    for name, ax in zip(names, axes, strict=True):
        seen = watched(name, steps, every)
        nearest = [torch.cdist(each.points, CENTRES).argmin(1) for each in seen]
        shares = torch.stack([torch.bincount(each, minlength=8) / len(each) for each in nearest], 1)
        ax.imshow(
            shares, aspect="auto", origin="lower", cmap="magma_r", vmin=0, vmax=1, extent=(0, steps, -0.5, 7.5),
            interpolation="nearest",
        )  # fmt: skip
        ax.set(title=f"{name}: share of samples nearest to each mode", ylabel="mode")
        favourite = shares.argmax(0)
        hops = int((favourite[1:] != favourite[:-1]).sum())
        moved.append((name, hops, f"{shares.max(0).values[len(seen) // 2 :].mean():.2f}"))
    axes[1].set_xlabel("steps of the generator")
    head = ("game", f"changes of the favourite mode, every {every} steps", "its share, in the second half")
    return drawn(figure), table(head, moved)


# ------------------------------------------------------------------------------------------- every family's objective

Critic = Callable[[Tensor], Tensor]
Objective = Callable[[Critic, Tensor, Tensor], Tensor]


def plain(discriminator: Callable[[Tensor, Tensor], Tensor], *terms: Objective) -> Objective:
    """A discriminator's loss of scores, with penalties."""
    return lambda d, x, y: sum((term(d, x, y) for term in terms), discriminator(d(x), d(y)))


def of_fakes(generator: Callable[[Tensor], Tensor]) -> Objective:
    """A generator's loss of scores of its samples."""
    return lambda d, x, y: generator(d(y))


def of_pairs(generator: Callable[[Tensor, Tensor], Tensor]) -> Objective:
    """A generator's loss of scores of both kinds."""
    return lambda d, x, y: generator(d(x), d(y))


OBJECTIVES: dict[str, tuple[Objective, Objective]] = {
    "gan, minimax": (plain(losses.minimax_discriminator), of_fakes(losses.minimax_generator)),
    "gan, non-saturating": (plain(losses.minimax_discriminator), of_fakes(losses.nonsaturating_generator)),
    "gan, maximum likelihood": (plain(losses.minimax_discriminator), of_fakes(losses.maximum_likelihood_generator)),
    "lsgan": (plain(losses.least_squares_discriminator), of_fakes(losses.least_squares_generator)),
    "sagan, biggan: hinge": (plain(losses.hinge_discriminator), of_fakes(losses.hinge_generator)),
    "rgan": (plain(losses.relativistic_discriminator), of_pairs(losses.relativistic_generator)),
    "rgan, average": (
        plain(losses.relativistic_average_discriminator),
        of_pairs(losses.relativistic_average_generator),
    ),
    "wgan_gp": (
        plain(losses.wasserstein_critic, lambda d, x, y: penalties.gradient_penalty(d, x, y)),
        of_fakes(losses.wasserstein_generator),
    ),
    "dragan": (
        plain(losses.minimax_discriminator, lambda d, x, y: penalties.dragan(d, x)),
        of_fakes(losses.nonsaturating_generator),
    ),
    "stylegan2: R1": (
        plain(losses.minimax_discriminator, lambda d, x, y: 0.1 * penalties.r1(d, x)),
        of_fakes(losses.nonsaturating_generator),
    ),
    "r3gan: pairs, R1, R2": (
        plain(
            losses.relativistic_discriminator, lambda d, x, y: 0.1 * (penalties.r1(d, x) + penalties.r2(d, y.detach()))
        ),
        of_pairs(losses.relativistic_generator),
    ),
}


def duel(objective: tuple[Objective, Objective], data: Tensor, steps: int, batch: int = 256) -> Tensor:
    """A game of two small networks by an objective, alternating; 2000 samples `(2000, 2)` at its end."""
    torch.manual_seed(0)
    generator, critic = MLP((64,), (2,), (128, 128), nn.ReLU), MLP((2,), (), (128, 128), nn.ReLU, scale=2.0)
    adam = partial(torch.optim.Adam, lr=RATE, betas=(0.5, 0.99))
    adams = adam(critic.parameters()), adam(generator.parameters())
    for _ in range(steps):
        for loss, optimizer, moves in zip(objective, adams, (False, True), strict=True):
            real, fake = data[torch.randint(len(data), (batch,))], generator(torch.randn(batch, 64))
            optimizer.zero_grad()
            loss(critic, real, fake if moves else fake.detach()).backward()
            optimizer.step()
    with torch.no_grad():
        return generator(torch.randn(2000, 64))


def draw_objectives(steps: int = 400) -> tuple[Image.Image, str]:
    """Samples of every objective on the ring and on the grid."""
    mixtures = (Ring(std=0.05), Grid(spacing=1.0, std=0.05))
    figure, axes = panels(4, 6, (1000, 720))
    rows = []
    for i, (name, objective) in enumerate(OBJECTIVES.items()):
        row: list[object] = [name]
        for j, mixture in enumerate(mixtures):
            points = duel(objective, torch.from_numpy(mixture.read("train").values), steps)
            centres = torch.from_numpy(mixture.centres)
            found = mode_coverage(points, centres, mixture.std)
            row.append(f"{found.covered} of {len(centres)}")
            ax = axes[12 * j + i]
            ax.scatter(points[:, 0], points[:, 1], s=1, c="#18408c", alpha=0.4, linewidths=0)
            ax.scatter(centres[:, 0], centres[:, 1], s=30, facecolors="none", edgecolors="#e66101", linewidths=0.7)
            ax.set(xlim=(-EXTENT, EXTENT), ylim=(-EXTENT, EXTENT), xticks=[], yticks=[], aspect="equal")
            ax.set_title(f"{name}: {found.covered}", size=7)
        rows.append(row)
    for j in range(2):
        axes[12 * j + 11].set_visible(False)
    head = ("objective", "modes, ring", "modes, grid")
    return drawn(figure), f"After {steps} steps of each player, of one seed:\n\n" + table(head, rows)


# ----------------------------------------------------------------------------------------------------------- the page

LECTURE = Lecture(
    name="collapse",
    title="Collapse: a generator that sits on a mode, and hops",
    idea=(
        "max min is not min max. A generator that answers the present discriminator puts all its samples where D "
        "says real, D answers, and the two chase each other round the modes. Eight normal distributions on a ring "
        "show it best."
    ),
    seconds=160,
    papers=(
        "Metz et al. 2017, Unrolled Generative Adversarial Networks, arXiv:1611.02163",
        "Goodfellow 2016, arXiv:1701.00160, section 5.1.1",
    ),
    parts=(
        Part(
            name="strip",
            title="Plain and unrolled, step by step",
            idea=(
                "Red is where D is highest, blue where it is lowest; the ends stand in each panel. The plain games "
                "chase one spot of red after another: where samples are, D turns blue, and they move on. A generator "
                "that differentiates through k steps of D's answer feels that a crowded mode will not pay, and spreads."
            ),
            formula=(
                "θ_D ← θ_D + η ∂f(θ_G, θ_D) / ∂θ_D,  k times        min over θ_G of f(θ_G, θ_D after k steps)",
                "k = 0: the minimax GAN        k → ∞: the generator against D's best answer",
            ),
            draw=draw_strip,
            attempt=(
                "The paper's learning rate, 1e-4, and ten times the steps; k = 5 without the gradient through D's "
                "steps."
            ),
            code=(snapshot, watched, paint, covered),
        ),
        Part(
            name="hops",
            title="Which mode it sits on",
            idea=(
                "The same two runs, as the share of samples nearest to each mode. One bright cell a column is a "
                "generator on one mode; where it moves to another row, it hopped."
            ),
            formula=("share of mode m at a step = #{samples nearest to m} / #{samples}: 1/8 each, if all is well",),
            draw=draw_hops,
            attempt="Other seeds: `Engine(seed=1)`. Does it hop in a circle?",
        ),
        Part(
            name="objectives",
            title="Every family's objective on the ring and the grid",
            idea=(
                "The same two networks, optimizer and number of steps with the losses and penalties of the zoo's "
                "families. Of the families themselves, `gan` and `unrolled` make points; the others make "
                "pictures, and lend their objective here. One seed and few steps: a picture of what differs, not "
                "a ranking. Every family's own code, and what is no objective of scores (EBGAN, f-GAN, the "
                "boundary-seeking GAN), meets ring, grid and digits in [losses](../losses.md)."
            ),
            formula=("two players of 128 + 128 rectifiers, Adam(1e-3, 0.5, 0.99), alternating, 256 points a batch",),
            draw=draw_objectives,
            attempt="`draw_objectives(steps=5000)`: which of them were only slow?",
            code=(plain, of_fakes, of_pairs, duel),
        ),
    ),
)
