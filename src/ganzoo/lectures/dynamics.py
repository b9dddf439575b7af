"""Dynamics: what gradient steps do in a game, where no gradient is that of one function."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from ganzoo.data.mixtures import Grid
from ganzoo.game.abilities import Samples
from ganzoo.game.engine import Engine, Player
from ganzoo.game.priors import Normal
from ganzoo.lectures.lecture import Lecture, Part, table
from ganzoo.lectures.playing import play
from ganzoo.media.charts import COLOURS, chart, drawn, panels
from ganzoo.objectives import losses, penalties
from ganzoo.types import Batch

Step = Callable[[float, float, float], tuple[float, float]]
Path = npt.NDArray[np.float64]

# ------------------------------------------------------------------------------------------------------------ V = xy


def simultaneous(x: float, y: float, h: float) -> tuple[float, float]:
    """Both gradients at the old point."""
    return x - h * y, y + h * x


def alternating(x: float, y: float, h: float) -> tuple[float, float]:
    """The maximiser moves, then the minimiser from there."""
    y = y + h * x
    return x - h * y, y


def regularised(x: float, y: float, h: float, gamma: float = 0.5) -> tuple[float, float]:
    """Simultaneous, with R1: of D(x) = xy the gradient is y, so the maximiser pays gamma / 2 y^2."""
    return x - h * y, y + h * (x - gamma * y)


def extragradient(x: float, y: float, h: float) -> tuple[float, float]:
    """A trial step, and then a step from the old point with the gradients found there (Korpelevich 1976)."""
    across, up = simultaneous(x, y, h)
    return x - h * up, y + h * across


def orbit(step: Step, steps: int, h: float, start: tuple[float, float] = (1.0, 0.0)) -> Path:
    """The points of a rule, `(steps + 1, 2)`."""
    points = [start]
    for _ in range(steps):
        points.append(step(*points[-1], h))
    return np.array(points)


def averaged(path: Path) -> Path:
    """The mean of all points so far."""
    return path.cumsum(0) / np.arange(1, len(path) + 1)[:, None]


def growth(h: float, gamma: float = 0.5) -> dict[str, float]:
    """The factor on the radius in one step: the largest |eigenvalue| of the step's matrix."""
    damped = (-gamma + np.emath.sqrt(gamma**2 - 4)) / 2  # of [[0, -1], [1, -gamma]]
    return {
        "simultaneous": math.sqrt(1 + h * h),
        "alternating": 1.0,
        "R1": float(abs(1 + h * damped)),
        "extra-gradient": math.sqrt(1 - h * h + h**4),
    }


RULES: dict[str, Step] = {
    "simultaneous": simultaneous,
    "alternating": alternating,
    "R1": regularised,
    "extra-gradient": extragradient,
}


def draw_orbits(h: float = 0.1, steps: int = 150) -> tuple[Image.Image, str]:
    """Six panels of paths, the exact orbit dashed in each."""
    paths = {name: orbit(rule, steps, h) for name, rule in RULES.items()}
    turns = np.linspace(0, h * steps, steps + 1)
    shown = {"continuous time": np.stack([np.cos(turns), np.sin(turns)], 1), **paths}
    shown["mean of the alternating points"] = averaged(paths["alternating"])
    figure, axes = panels(2, 3, (960, 660))
    circle = np.linspace(0, 2 * np.pi, 200)
    for (name, path), ax, colour in zip(shown.items(), axes, COLOURS, strict=False):
        ax.plot(np.cos(circle), np.sin(circle), "--", color="#acb2bd", linewidth=1)
        ax.plot(*path.T, color=colour, linewidth=1.2, marker=".", markersize=3)
        ax.plot(*path[0], "o", color="#181c24", markersize=5)
        ax.plot(0, 0, "+", color="#181c24")
        ax.set(title=name, aspect="equal", xlim=(-2.3, 2.3), ylim=(-2.3, 2.3))
    rows = []
    for name, factor in growth(h).items():
        radii = np.linalg.norm(paths[name], axis=1)
        found = (radii[-1] / radii[-64]) ** (1 / 63) if name != "alternating" else radii.max() / radii.min()
        closed = factor if name != "alternating" else math.sqrt((1 + h / 2) / (1 - h / 2))
        what = "largest over smallest radius" if name == "alternating" else "factor of a step, over a last turn of 63"
        rows.append((name, what, f"{found:.4f}", f"{closed:.4f}"))
    said = f"From (1, 0), {steps} steps of h = {h}:\n\n" + table(
        ("rule", "of the radius", "measured", "closed form"), rows
    )
    return drawn(figure), said


def draw_radii(h: float = 0.1, steps: int = 400) -> tuple[Image.Image, str]:
    """The distance from the equilibrium, beside its closed form."""
    figure, axes = chart((960, 460), left=70, top=16, right=20, bottom=50)
    n = np.arange(steps + 1)
    for (name, rule), colour in zip(RULES.items(), COLOURS, strict=False):
        radii = np.linalg.norm(orbit(rule, steps, h), axis=1)
        axes.plot(n, radii, color=colour, linewidth=1.6, label=name)
        axes.plot(n[::20], growth(h)[name] ** n[::20], "o", color=colour, markersize=4, fillstyle="none")
    mean = np.linalg.norm(averaged(orbit(alternating, steps, h)), axis=1)
    axes.plot(n, mean, color=COLOURS[4], linewidth=1.6, label="mean of alternating points")
    axes.plot(n[40::20], 2 / (h * n[40::20]), "--", color=COLOURS[4], linewidth=1, label="2 / (h n), its bound")
    axes.set(yscale="log", xlabel="steps", ylabel="distance from the equilibrium", ylim=(1e-3, 20))
    axes.legend(frameon=False, fontsize=9, loc="lower left")
    simultaneously = growth(h)["simultaneous"] ** steps
    return drawn(
        figure
    ), f"Lines are runs, circles closed forms. After {steps} simultaneous steps: {simultaneously:.2f}."


# ---------------------------------------------------------------------------------------------- the engine's options


class Point(nn.Module):
    """A vector as a network: a generator of one point, whatever z; and, by its product with x, a linear critic."""

    def __init__(self, x: float, y: float) -> None:
        super().__init__()
        self.at = nn.Parameter(torch.tensor([x, y]))


class DiracWGAN(Samples):
    """The data lie in one point, 0; G makes the point x, and D(x) = -y x, each with two coordinates: V = xy twice."""

    def __init__(self, lr: float, **engine: Any) -> None:
        super().__init__()
        self.shape, self.prior = (2,), Normal(1)
        self.generator, self.critic = Point(1.0, 1.0), Point(0.0, 0.0)
        self.sgd = partial(torch.optim.SGD, lr=lr)
        self.engine = Engine(**engine)
        self.path = [(1.0, 0.0)]

    def players(self) -> dict[str, Player]:
        """The critic and the generator, with plain gradient steps."""
        return {name: Player(getattr(self, name), self.sgd) for name in ("critic", "generator")}

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """A move each."""
        self.move(
            "critic", lambda: losses.wasserstein_critic(self.scores(batch.images), self.scores(self.generator.at))
        )
        self.move("generator", lambda: losses.wasserstein_generator(self.scores(self.generator.at)))
        self.path.append((self.generator.at[0].item(), -self.critic.at[0].item()))

    def scores(self, x: Tensor) -> Tensor:
        """D(x), whose slope is -y."""
        return x @ self.critic.at


def engine_path(steps: int, lr: float, **engine: Any) -> Path:
    """Where a game's batches lead by the engine's options."""
    nothing = Grid(side=1, std=1e-9, n=8, batch_size=2)  # all of the data at 0
    game = DiracWGAN(lr, average=None, **engine)
    play(game, nothing, steps * engine.get("generator_steps", 1), "V = xy")
    return np.array(game.path)


def draw_engine(h: float = 0.1, batches: int = 100) -> tuple[Image.Image, str]:
    """The same game through the engine that trains every family, under three options."""
    chosen: dict[str, dict[str, Any]] = {
        "as it is: players alternate": {},
        "engine.simultaneous: true": {"simultaneous": True},
        "engine.generator_steps: 3": {"generator_steps": 3},
    }
    figure, axes = panels(1, 3, (960, 350))
    circle, far = np.linspace(0, 2 * np.pi, 200), []
    for (name, options), ax, colour in zip(chosen.items(), axes, COLOURS, strict=False):
        path = engine_path(batches, h, **options)
        ax.plot(np.cos(circle), np.sin(circle), "--", color="#acb2bd", linewidth=1)
        ax.plot(*path.T, color=colour, linewidth=1.2, marker=".", markersize=3)
        ax.plot(0, 0, "+", color="#181c24")
        ax.set(title=name, aspect="equal", xlim=(-2, 2), ylim=(-2, 2), xlabel="x", ylabel="y")
        if len(options) == 0 or "simultaneous" in options:
            wanted = orbit(simultaneous if options else alternating, batches, h)
            far.append(float(np.abs(path - wanted).max()))
    said = f"The first two are the paths of the plain rules above, to {max(max(far), 1e-6):.0e}."
    return drawn(figure), said


# ------------------------------------------------------------------------------------------------------ the Jacobian


def jacobian(
    critic_loss: Callable[[Tensor, Tensor], Tensor], generator_loss: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Of the field (-dL_G/dtheta, -dL_D/dpsi) at the equilibrium (0, 0), by automatic differentiation."""

    def field(point: Tensor) -> Tensor:
        theta, psi = point
        (down,) = torch.autograd.grad(generator_loss(theta, psi), theta, create_graph=True, materialize_grads=True)
        (along,) = torch.autograd.grad(critic_loss(theta, psi), psi, create_graph=True, materialize_grads=True)
        return -torch.stack([down, along])

    origin = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    found = torch.autograd.functional.jacobian(field, origin)
    assert isinstance(found, Tensor)
    return found


GAMMA, NOISE = 1.0, 1.0  # of the penalties; standard deviation of instance noise


def closed_form(slope: float, damping: float) -> tuple[complex, complex]:
    """Eigenvalues of [[0, -slope], [slope, -damping]]: Mescheder 2018, theorem 4.1 and lemma 3.1."""
    root = np.emath.sqrt(damping**2 - 4 * slope**2)
    return complex(-damping + root) / 2, complex(-damping - root) / 2


def draw_spectrum(h: float = 0.4) -> tuple[Image.Image, str]:
    """Eigenvalues of several games in the plane, and the disc in which steps of h converge."""
    games: dict[str, tuple[str, tuple[float, float]]] = {
        "GAN": ("minimax", (0.5, 0.0)),
        "WGAN": ("WGAN", (1.0, 0.0)),
        "GAN with R1": ("R1", (0.5, GAMMA)),
        "GAN with instance noise": ("instance noise", (0.5, 0.5 * NOISE**2)),
    }
    figure, axes = chart((700, 520), left=70, top=16, right=20, bottom=50)
    turn = np.linspace(0, 2 * np.pi, 300)
    axes.fill((np.cos(turn) - 1) / h, np.sin(turn) / h, color="#eef1f6", label=f"|1 + h λ| < 1, h = {h}")
    axes.axvline(0, color="#acb2bd", linewidth=1)
    rows, looks = [], zip(("o", "s", "D", "^"), (13, 8, 8, 8), strict=True)
    for (title, (name, known)), colour, (mark, size) in zip(games.items(), COLOURS, looks, strict=False):
        found = torch.linalg.eigvals(jacobian(*DIRAC[name])).numpy()
        wanted = np.array(closed_form(*known))
        axes.plot(found.real, found.imag, mark, color=colour, label=title, markersize=size, fillstyle="none", mew=2)
        axes.plot(wanted.real, wanted.imag, "+", color="#181c24", markersize=8)
        largest = np.abs(1 + h * found).max()
        rows.append((title, _complex(found), _complex(wanted), f"{largest:.3f}"))
    axes.set(xlabel="real part", ylabel="imaginary part", xlim=(-1.6, 0.6), ylim=(-1.4, 1.4))
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    said = "Crosses are closed forms.\n\n" + table(
        ("game", "eigenvalues, differentiated", "closed form", f"max \\|1 + h λ\\|, h = {h}"), rows
    )
    return drawn(figure), said


def _complex(values: npt.NDArray[np.complex128]) -> str:
    pair = sorted(values.tolist(), key=lambda value: (value.real, value.imag))
    if abs(pair[0].imag) < 1e-6:
        return ", ".join(f"{value.real + 0:.3f}" for value in pair)
    real = "" if abs(pair[0].real) < 1e-9 else f"{pair[0].real:.3f} "
    return f"{real}± {abs(pair[0].imag):.3f} i"


# ----------------------------------------------------------------------------------------------------- the Dirac-GAN

REAL = torch.zeros(1, 1, dtype=torch.float64)  # all of the data


def _told(theta: Tensor, psi: Tensor) -> tuple[Tensor, Tensor, Callable[[Tensor], Tensor]]:
    """D of the data and of the sample, and D itself: D(x) = psi x."""

    def critic(x: Tensor) -> Tensor:
        return x * psi

    return critic(REAL), critic(theta.reshape(1, 1)), critic


def _minimax_d(theta: Tensor, psi: Tensor) -> Tensor:
    real, fake, _ = _told(theta, psi)
    return losses.minimax_discriminator(real, fake)


def _minimax_g(theta: Tensor, psi: Tensor) -> Tensor:
    return losses.minimax_generator(_told(theta, psi)[1])


def _nonsaturating_g(theta: Tensor, psi: Tensor) -> Tensor:
    return losses.nonsaturating_generator(_told(theta, psi)[1])


def _wasserstein_d(theta: Tensor, psi: Tensor) -> Tensor:
    real, fake, _ = _told(theta, psi)
    return losses.wasserstein_critic(real, fake)


def _wasserstein_g(theta: Tensor, psi: Tensor) -> Tensor:
    return losses.wasserstein_generator(_told(theta, psi)[1])


def _wgan_gp_d(theta: Tensor, psi: Tensor) -> Tensor:
    _, _, critic = _told(theta, psi)
    return _wasserstein_d(theta, psi) + 2 * penalties.gradient_penalty(critic, REAL, theta.detach().reshape(1, 1))


def _r1_d(theta: Tensor, psi: Tensor) -> Tensor:
    return _minimax_d(theta, psi) + GAMMA * penalties.r1(_told(theta, psi)[2], REAL)


def _r2_d(theta: Tensor, psi: Tensor) -> Tensor:
    _, _, critic = _told(theta, psi)
    return _minimax_d(theta, psi) + GAMMA * penalties.r2(critic, theta.detach().reshape(1, 1))


def _over_noise(value: Callable[[Tensor], Tensor]) -> Tensor:
    """E value(s) over s ~ N(0, NOISE^2), by 15 points of Gauss and Hermite."""
    at, weights = (torch.from_numpy(each) for each in np.polynomial.hermite_e.hermegauss(15))
    return (weights * value(NOISE * at)).sum() / weights.sum()


def _noisy_d(theta: Tensor, psi: Tensor) -> Tensor:
    real = _over_noise(lambda s: -functional.logsigmoid(psi * s))
    return real + _over_noise(lambda s: -functional.logsigmoid(-psi * (theta + s)))


def _noisy_g(theta: Tensor, psi: Tensor) -> Tensor:
    return _over_noise(lambda s: functional.logsigmoid(-psi * (theta + s)))


def _consensus(own: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """A player's loss, with 1/2 |v|^2 of the whole field: Mescheder 2017, "The Numerics of GANs"."""

    def loss(theta: Tensor, psi: Tensor) -> Tensor:
        (down,) = torch.autograd.grad(_minimax_g(theta, psi), theta, create_graph=True)
        (along,) = torch.autograd.grad(_minimax_d(theta, psi), psi, create_graph=True)
        return own(theta, psi) + 0.5 * GAMMA * (down.square() + along.square())

    return loss


DIRAC: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "minimax": (_minimax_d, _minimax_g),
    "non-saturating": (_minimax_d, _nonsaturating_g),
    "WGAN": (_wasserstein_d, _wasserstein_g),
    "WGAN-GP": (_wgan_gp_d, _wasserstein_g),
    "R1": (_r1_d, _minimax_g),
    "R2": (_r2_d, _minimax_g),
    "instance noise": (_noisy_d, _noisy_g),
    "consensus": (_consensus(_minimax_d), _consensus(_minimax_g)),
}


def dirac_path(name: str, steps: int, h: float) -> Path:
    """Simultaneous steps of both players from (1, 1), `(steps + 1, 2)`; WGAN's psi is clipped to [-1, 1]."""
    critic_loss, generator_loss = DIRAC[name]
    theta, psi = (torch.ones((), dtype=torch.float64, requires_grad=True) for _ in range(2))
    path = [(1.0, 1.0)]
    for _ in range(steps):
        (down,) = torch.autograd.grad(generator_loss(theta, psi), theta)
        (along,) = torch.autograd.grad(critic_loss(theta, psi), psi)
        with torch.no_grad():
            theta -= h * down
            psi -= h * along
            if name == "WGAN":
                psi.clamp_(-1, 1)
        path.append((theta.item(), psi.item()))
    return np.array(path)


def draw_dirac(h: float = 0.2, steps: int = 250) -> tuple[Image.Image, str]:
    """Eight paths, and how far from the equilibrium each ends."""
    torch.manual_seed(0)  # WGAN-GP's points between real and fake
    figure, axes = panels(2, 4, (1040, 560), sharex=True, sharey=True)
    ends = {}
    for (name, ax), colour in zip(zip(DIRAC, axes, strict=True), [*COLOURS, COLOURS[0]], strict=True):
        path = dirac_path(name, steps, h)
        ax.plot(*path.T, color=colour, linewidth=0.9, marker=".", markersize=2.5)
        ax.plot(1, 1, "o", color="#181c24", markersize=4)
        ax.plot(0, 0, "+", color="#181c24", markersize=9)
        ax.set(title=name, xlim=(-2.4, 2.4), ylim=(-2.4, 2.4), aspect="equal")
        ends[name] = np.linalg.norm(path[-1])
    for ax in axes[4:]:
        ax.set_xlabel("θ, the sample")
    for ax in (axes[0], axes[4]):
        ax.set_ylabel("ψ, the slope of D")
    rows = [(name, f"{end:.1e}" if end < 0.01 else f"{end:.2f}") for name, end in ends.items()]
    said = f"From (1, 1), {steps} simultaneous steps of {h}:\n\n" + table(("game", "distance at the end"), rows)
    return drawn(figure), said


# ---------------------------------------------------------------------------------------------------- fictitious play

PENNIES = np.array([[1.0, -1.0], [-1.0, 1.0]])
ROCK = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
SHAPLEY = (np.eye(3), np.roll(np.eye(3), 1, axis=1))  # of the two players; no zero-sum game


def fictitious(first: Path, second: Path, steps: int) -> tuple[Path, Path]:
    """Each answers best to how often the other has played what (Brown 1951).

    Args:
        first: what the row player gains `(m, n)`.
        second: what the column player gains `(m, n)`.
        steps: rounds.

    Returns:
        The shares of the row player's plays until each round `(steps, m)`, and what the two would gain together by
        answering best to the shares, over what they have: 0 in an equilibrium `(steps,)`.
    """
    rows, columns = np.eye(len(first))[0], np.eye(len(first.T))[0]
    shares, regrets = [], []
    for n in range(1, steps + 1):
        x, y = rows / n, columns / n
        shares.append(x)
        regrets.append((first @ y).max() - x @ first @ y + (x @ second).max() - x @ second @ y)
        rows, columns = rows + np.eye(len(x))[(first @ y).argmax()], columns + np.eye(len(y))[(x @ second).argmax()]
    return np.array(shares), np.array(regrets)


def draw_fictitious(steps: int = 20_000) -> tuple[Image.Image, str]:
    """How often each thing was played, and how far that is from an equilibrium, in three games."""
    games = {"matching pennies": (PENNIES, -PENNIES), "rock, paper, scissors": (ROCK, -ROCK), "Shapley's game": SHAPLEY}
    figure, (left, right) = panels(1, 2, (960, 430))
    n, ends = np.arange(1, steps + 1), []
    for (name, game), colour in zip(games.items(), COLOURS, strict=False):
        shares, regrets = fictitious(*game, steps)
        left.plot(n, shares[:, 0], color=colour, linewidth=1.4, label=name)
        kept = np.unique(np.geomspace(1, steps, 400).astype(int)) - 1
        right.plot(n[kept], np.maximum(regrets[kept], 1e-4), color=colour, linewidth=1.2, label=name)
        ends.append((name, f"{shares[-1, 0]:.3f}", f"{1 / len(game[0]):.3f}", f"{regrets[-1]:.4f}"))
    right.plot(n, 2 / np.sqrt(n), "--", color="#3c3c3c", linewidth=1, label="2 / √n")
    left.set(xscale="log", xlabel="rounds", title="share of the first move", ylim=(0, 1))
    right.set(xscale="log", yscale="log", xlabel="rounds", title="what best answers would gain")
    right.legend(frameon=False, fontsize=8, loc="lower left")
    said = f"After {steps:,} rounds:\n\n" + table(("game", "share", "equilibrium", "gain left"), ends)
    return drawn(figure), said


# ----------------------------------------------------------------------------------------------------------- the page

LECTURE = Lecture(
    name="dynamics",
    title="Dynamics: what gradient steps do in a game",
    idea=(
        "A GAN descends no function: each player follows the gradient of its own, and together the two gradients "
        "turn. The smallest games show what that does, and what each cure for it changes."
    ),
    seconds=15,
    papers=(
        "Goodfellow 2016, arXiv:1701.00160, section 8.2 and exercise 7.2",
        "Mescheder, Geiger and Nowozin 2018, arXiv:1801.04406",
        "Gidel et al. 2019, arXiv:1802.10551",
        "Robinson 1951, An iterative method of solving a game",
    ),
    parts=(
        Part(
            name="orbits",
            title="V = xy: orbits and spirals",
            idea=(
                "x minimises V = xy, y maximises it; the equilibrium is (0, 0). In continuous time they circle it "
                "for ever. Simultaneous steps of length h leave the circle outwards, since each is tangent to it; "
                "alternating ones stay on an ellipse; with a penalty on D's slope, or extrapolation, they converge."
            ),
            formula=(
                "dx/dt = -dV/dx = -y        dy/dt = dV/dy = x        so x² + y² stays",
                "simultaneous:    r ← √(1 + h²) r                     alternating: x² + y² + h xy stays",
                "R1:              eigenvalues 1 + h (-γ ± √(γ² - 4)) / 2",
                "extra-gradient:  r ← √(1 - h² + h⁴) r",
            ),
            draw=draw_orbits,
            attempt="`draw_orbits(h=0.5)`; R1 with γ = 2, where nothing turns; extra-gradient with h above 1.",
            code=(simultaneous, alternating, regularised, extragradient, orbit, averaged, growth),
        ),
        Part(
            name="radii",
            title="V = xy: how far from the equilibrium",
            idea=(
                "On a logarithmic axis every linear rule is a line. The mean of an orbit's points comes nearer as "
                "1/n, though the points themselves do not: which is what a moving average of the generator's "
                "weights lives on."
            ),
            formula=("|mean of n points| ≤ 2 / (h n), about: an orbit of period 2π / h sums to a bounded vector",),
            draw=draw_radii,
            attempt="An exponential moving average in place of the mean: which half-life averages the orbit away?",
        ),
        Part(
            name="engine",
            title="The same in the engine that trains every family",
            idea=(
                "Families alternate, as their papers say. Two options of the engine, which no family knows of, "
                "change that: both gradients at the old point, and several steps of the generator to a batch."
            ),
            formula=(
                "ganzoo train RECIPE --engine.simultaneous true",
                "ganzoo train RECIPE --engine.generator_steps 3",
            ),
            draw=draw_engine,
            attempt="`ganzoo train recipes/gan/ring.yaml --engine.simultaneous true`: are there more modes, or fewer?",
            code=(Point, DiracWGAN, engine_path),
        ),
        Part(
            name="spectrum",
            title="The spectrum of the game's Jacobian",
            idea=(
                "Near an equilibrium a game is what the Jacobian of its field says. On the imaginary axis it "
                "turns and does not come nearer; left of it steps converge if they are short enough: inside the "
                "disc."
            ),
            formula=(
                "v = (-dL_G/dθ, -dL_D/dψ)        θ, ψ ← θ, ψ + h v        converges near 0 if |1 + h λ| < 1",
                "Dirac-GAN: D(x) = ψ x, data at 0, the sample at θ:   J = [[0, -s], [s, -c]],   s = 1/2 (WGAN: 1)",
                "R1: c = γ        instance noise: c = σ² / 2        λ = (-c ± √(c² - 4 s²)) / 2",
            ),
            draw=draw_spectrum,
            attempt="γ = 2: at which γ does R1 stop turning, and what do larger ones cost?",
            code=(jacobian, closed_form),
        ),
        Part(
            name="dirac",
            title="The Dirac-GAN with each penalty",
            idea=(
                "One real point, one generated point, a linear discriminator: the least that a GAN can be. What "
                "does not converge here has no reason to converge elsewhere. WGAN-GP leaves the picture for (4, 0), "
                "where its penalty balances the pull. The losses and penalties are those of the zoo."
            ),
            formula=(
                "L_D = -log s(ψ 0) - log(1 - s(ψ θ))        minimax: L_G = log(1 - s(ψ θ))",
                "R1 = R2 = γ / 2 ψ²        WGAN-GP: 2 (|ψ| - 1)²        consensus: + γ / 2 |v|² for both players",
            ),
            draw=draw_dirac,
            attempt="Two steps of D to one of G; alternating steps; DRAGAN's penalty, whose target is a slope of 1.",
            code=(dirac_path,),
        ),
        Part(
            name="fictitious",
            title="Fictitious play in finite games",
            idea=(
                "In a finite game both players may answer best to all that the other has played. In games where "
                "one's gain is the other's loss the shares of moves converge (Robinson 1951); in others they need "
                "not, and in Shapley's game (1964) they go round for ever, slower and slower."
            ),
            formula=("x_{n+1} = best answer to the mean of y_1 ... y_n, and the other way round",),
            draw=draw_fictitious,
            attempt="A discriminator that is shown samples of all earlier generators: `tips`, replay.",
            code=(fictitious,),
        ),
    ),
)
