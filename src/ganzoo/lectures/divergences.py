"""Divergences: what a discriminator measures between data and model, and what its generator then descends."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from ganzoo.game.registry import family
from ganzoo.lectures.lecture import Lecture, Part, table
from ganzoo.media.charts import COLOURS, drawn, panels
from ganzoo.nn.mlp import MLP
from ganzoo.objectives import losses, penalties

X = torch.linspace(-15, 15, 6001, dtype=torch.float64)  # where densities are integrated
DX = float(X[1] - X[0])
LOG2 = math.log(2)
Sampler = Callable[[int], Tensor]
Curve = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]


def normal(mean: float | Tensor, std: float | Tensor = 1.0) -> Tensor:
    """log N(x; mean, std^2) on X."""
    return -0.5 * ((X - mean) / std) ** 2 - torch.log(torch.as_tensor(std)) - 0.5 * math.log(2 * math.pi)


def integral(values: Tensor) -> Tensor:
    """Over X."""
    return values.sum() * DX


# Of two log densities on X.


def kl(p: Tensor, q: Tensor) -> Tensor:
    """E_p log p / q."""
    return integral(p.exp() * (p - q))


def js(p: Tensor, q: Tensor) -> Tensor:
    """The mean of KL(p || m) and KL(q || m), with m the half-and-half mixture: at most log 2."""
    mixture = torch.logaddexp(p, q) - LOG2
    return 0.5 * (kl(p, mixture) + kl(q, mixture))


def total_variation(p: Tensor, q: Tensor) -> Tensor:
    """The largest difference of the two probabilities of any event: at most 1."""
    return 0.5 * integral((p.exp() - q.exp()).abs())


def wasserstein(p: Tensor, q: Tensor) -> Tensor:
    """How far mass must travel, which on a line is the area between the distribution functions."""
    return integral((p.exp().cumsum(0) - q.exp().cumsum(0)).abs() * DX)


def value(p: Tensor, q: Tensor, logits: Tensor) -> Tensor:
    """V = E_p log D + E_q log(1 - D)."""
    return integral(p.exp() * functional.logsigmoid(logits) + q.exp() * functional.logsigmoid(-logits))


# ------------------------------------------------------------------------------------------------------- the optimal D


def learnt(critic: nn.Module, loss: Callable[[], Tensor], steps: int, lr: float = 3e-3) -> Iterator[int]:
    """Adam's steps on a critic, one after the other."""
    adam = torch.optim.Adam(critic.parameters(), lr, betas=(0.9, 0.99))
    for step in range(1, steps + 1):
        adam.zero_grad()
        loss().backward()
        adam.step()
        yield step


def new_critic(inputs: int = 1) -> MLP:
    """Two hidden layers of tanh, from seed 0."""
    torch.manual_seed(0)
    return MLP((inputs,), (), (32, 32), nn.Tanh)


def draw_optimal(steps: int = 1200, batch: int = 512) -> tuple[Image.Image, str]:
    """Two densities, p / (p + q), and what a small network learns from samples of them."""
    p, q = normal(-1, 0.8), normal(1.2, 1.1)
    critic = new_critic()

    def loss() -> Tensor:
        real, fake = -1 + 0.8 * torch.randn(batch, 1), 1.2 + 1.1 * torch.randn(batch, 1)
        return losses.minimax_discriminator(critic(real), critic(fake))

    for _ in learnt(critic, loss, steps):
        pass
    with torch.no_grad():
        found = critic(X[:, None].float()).double()
    seen = (X > -4.5) & (X < 5)
    figure, (ax,) = panels(1, 1, (860, 400))
    ax.fill_between(X, p.exp(), color=COLOURS[0], alpha=0.2, label="data p")
    ax.fill_between(X, q.exp(), color=COLOURS[1], alpha=0.2, label="model q")
    ax.plot(X, torch.sigmoid(p - q), "--", color="#181c24", label="D* = p / (p + q)")
    ax.plot(X[seen], found.sigmoid()[seen], color=COLOURS[2], label=f"a network after {steps} steps")
    ax.set(xlim=(-4.5, 5), ylim=(0, 1.02), xlabel="x")
    ax.legend(frameon=False, fontsize=9)
    rows = [
        ("V(D*)", f"{value(p, q, p - q):.4f}"),
        ("-log 4 + 2 JS(p, q)", f"{-math.log(4) + 2 * js(p, q):.4f}"),
        ("V of the network", f"{value(p, q, found):.3f}"),
    ]
    return drawn(figure), table(("value", "nats"), rows)


# -------------------------------------------------------------------------------------------------- beside one another


def draw_distances(most: float = 5.0) -> tuple[Image.Image, str]:
    """Five distances of N(m, 1) from N(0, 1) by integration, and their closed forms as circles."""
    means = torch.linspace(0, most, 26, dtype=torch.float64)
    closed: dict[str, Callable[[Tensor], Tensor] | None] = {
        "KL = reverse KL = m² / 2": lambda m: m**2 / 2,
        "Wasserstein = |m|": lambda m: m,
        "total variation = 2 Φ(m / 2) - 1": lambda m: 2 * torch.special.ndtr(m / 2) - 1,
        "JS": None,
    }
    figure, (left, right) = panels(1, 2, (960, 400))
    worst = 0.0
    for (name, form), measure, colour in zip(
        closed.items(), (kl, wasserstein, total_variation, js), COLOURS, strict=False
    ):
        found = torch.stack([measure(normal(float(m)), normal(0)) for m in means])
        left.plot(means, found, color=colour, label=name)
        right.plot(means, torch.gradient(found, spacing=(means,))[0], color=colour, label=name)
        if form is not None:
            left.plot(means, form(means), "o", color=colour, markersize=4, fillstyle="none")
            worst = max(worst, float((found - form(means)).abs().max()))
    left.axhline(LOG2, color="#acb2bd", linestyle="--", linewidth=1)
    left.text(most, LOG2 + 0.05, "log 2", ha="right", fontsize=8, color="#464c58")
    left.set(xlabel="m", title="distance of N(m, 1) from N(0, 1)", ylim=(0, 5))
    right.set(xlabel="m", title="its slope: what a generator feels", ylim=(0, 3))
    left.legend(frameon=False, fontsize=8)
    return drawn(figure), f"Integrals and closed forms differ by {max(worst, 1e-6):.0e} at most."


def fitted(
    measure: Callable[[Tensor, Tensor], Tensor], p: Tensor, start: float, steps: int = 400
) -> tuple[float, float]:
    """The mean and standard deviation of the normal q that is nearest to p, by gradient descent from a mean."""
    mean = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    log_std = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([mean, log_std], 0.05)
    for _ in range(steps):
        adam.zero_grad()
        measure(p, normal(mean, log_std.exp())).backward()
        adam.step()
    return mean.item(), log_std.exp().item()


def draw_fits(steps: int = 400) -> tuple[Image.Image, str]:
    """One normal fitted to a mixture of two by each divergence."""
    p = torch.logaddexp(normal(-3.0, 0.6), normal(3.0, 0.9)) - LOG2
    measures: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "KL(p ‖ q), maximum likelihood": kl,
        "JS(p, q)": js,
        "KL(q ‖ p), reverse": lambda p, q: kl(q, p),
    }
    figure, axes = panels(1, 3, (960, 320), sharey=True)
    rows = []
    for (name, measure), ax, colour in zip(measures.items(), axes, COLOURS[1:], strict=False):
        mean, std = fitted(measure, p, 1.5, steps)
        ax.fill_between(X, p.exp(), color=COLOURS[0], alpha=0.2)
        ax.plot(X, normal(mean, std).exp(), color=colour)
        ax.set(title=name, xlim=(-7, 7), xlabel="x")
        rows.append((name, f"{mean:.2f}", f"{std:.2f}"))
    mean, std = 0.0, math.sqrt((0.6**2 + 0.9**2) / 2 + 3.0**2)
    said = f"Maximum likelihood's closed form is p's own mean {mean:.2f} and deviation {std:.2f}.\n\n"
    return drawn(figure), said + table(("divergence", "mean", "deviation"), rows)


# ------------------------------------------------------------------------------------------------------- f-GAN's table

MEAN, STD, ALPHA, PI = 0.8, 0.9, 1.5, 0.3  # P = N(MEAN, STD^2) and Q = N(0, 1); the parameters of two divergences
DIVERGENCES: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "total_variation": (r"\|u - 1\| / 2", lambda u: (u - 1).abs() / 2),
    "kl": ("u log u", lambda u: u * u.log()),
    "reverse_kl": ("-log u", lambda u: -u.log()),
    "pearson": ("(u - 1)²", lambda u: (u - 1) ** 2),
    "neyman": ("(1 - u)² / u", lambda u: (1 - u) ** 2 / u),
    "hellinger": ("(√u - 1)²", lambda u: (u.sqrt() - 1) ** 2),
    "jeffrey": ("(u - 1) log u", lambda u: (u - 1) * u.log()),
    "jensen_shannon": ("u log u - (u + 1) log((u + 1) / 2)", lambda u: u * u.log() - (u + 1) * ((u + 1) / 2).log()),
    "weighted_jensen_shannon": (
        "π u log u - w log w, w = 1 - π + π u",
        lambda u: PI * u * u.log() - (1 - PI + PI * u) * (1 - PI + PI * u).log(),
    ),
    "gan": ("u log u - (u + 1) log(u + 1)", lambda u: u * u.log() - (u + 1) * (u + 1).log()),
    "alpha": (
        "(u^α - 1 - α (u - 1)) / (α (α - 1))",
        lambda u: (u**ALPHA - 1 - ALPHA * (u - 1)) / (ALPHA * (ALPHA - 1)),
    ),
}


def overlap(a: float) -> float:
    """M(a), the integral of p^a q^(1 - a)."""
    v = a + (1 - a) * STD**2
    return STD ** (1 - a) / math.sqrt(v) * math.exp(a * (a - 1) * MEAN**2 / (2 * v))


def closed_forms() -> dict[str, tuple[str, float]]:
    """Of the divergences that have one, between the two Gaussians."""
    forward = (STD**2 + MEAN**2 - 1) / 2 - math.log(STD)
    reverse = (1 + MEAN**2) / (2 * STD**2) - 0.5 + math.log(STD)
    crossings = np.roots([(1 - STD**-2) / 2, MEAN / STD**2, -(MEAN**2) / (2 * STD**2) - math.log(STD)])
    a, b = torch.tensor(np.sort(crossings))  # p > q between them, as STD < 1
    more = torch.special.ndtr((b - MEAN) / STD) - torch.special.ndtr((a - MEAN) / STD)
    return {
        "total_variation": (
            "P[a, b] - Q[a, b], p = q at a and b",
            float(more - torch.special.ndtr(b) + torch.special.ndtr(a)),
        ),
        "kl": ("(s² + m² - 1) / 2 - log s", forward),
        "reverse_kl": ("(1 + m²) / 2s² - 1/2 + log s", reverse),
        "pearson": ("M(2) - 1", overlap(2) - 1),
        "neyman": ("M(-1) - 1", overlap(-1) - 1),
        "hellinger": ("2 - 2 M(1/2)", 2 - 2 * overlap(0.5)),
        "jeffrey": ("KL + reverse KL", forward + reverse),
        "alpha": ("(M(α) - 1) / (α (α - 1))", (overlap(ALPHA) - 1) / (ALPHA * (ALPHA - 1))),
    }


def bounded(divergence: str, steps: int, batch: int = 2048) -> tuple[Tensor, float]:
    """T = g(V) on X of a V that f-GAN's discriminator loss taught from samples, and its F, by quadrature."""
    game: Any = family("fgan").cls(size=8, channels=1, width=1, divergence=divergence, alpha=ALPHA, pi=PI)
    critic = new_critic()

    def loss() -> Tensor:
        return -game.bound(critic(MEAN + STD * torch.randn(batch, 1)), critic(torch.randn(batch, 1)))

    for _ in learnt(critic, loss, steps):
        pass
    with torch.no_grad():
        v = critic(X[:, None].float()).double()
        t, conjugate = game.activation(v), game.conjugate(v)
    return t, float(integral(normal(MEAN, STD).exp() * t - normal(0).exp() * conjugate))


def draw_bounds(steps: int = 800) -> tuple[Image.Image, str]:
    """Each divergence's best T = f'(p / q) and the one that was learnt; what both leave of F."""
    p, q = normal(MEAN, STD), normal(0)
    seen, closed, rows = (X > -2.5) & (X < 3.5), closed_forms(), []
    figure, axes = panels(3, 4, (1080, 680), sharex=True)
    axes[0].fill_between(X[seen], p.exp()[seen], color=COLOURS[0], alpha=0.2, label="P")
    axes[0].fill_between(X[seen], q.exp()[seen], color=COLOURS[1], alpha=0.2, label="Q")
    axes[0].legend(frameon=False, fontsize=8)
    for (name, (text, f)), ax in zip(DIVERGENCES.items(), axes[1:], strict=True):
        u = (p - q).exp().requires_grad_()
        (best,) = torch.autograd.grad(f(u).sum(), u)
        t, found = bounded(name, steps)
        ax.plot(X[seen], best[seen], "--", color="#181c24")
        ax.plot(X[seen], t[seen], color=COLOURS[2])
        ax.set(title=name.replace("_", " "))
        form, value = closed.get(name, ("none", math.nan))
        exact = float(integral(q.exp() * f(u.detach())))
        rows.append((ax.get_title(), text, form, f"{value:.4f}".replace("nan", ""), f"{exact:.4f}", f"{found:.4f}"))
    said = f"Dashed T = f'(p / q), green the T = g(V) that a network learnt in {steps} steps.\n\n"
    head = ("divergence", "f(u)", "closed form", "its value", "∫ q f(p / q)", "F, V learnt")
    return drawn(figure), said + table(head, rows)


# ------------------------------------------------------------------------------------------------------ parallel lines


def on_line(theta: float) -> Sampler:
    """Points (theta, U) with U uniform in [0, 1]."""
    return lambda n: torch.stack([torch.full((n,), theta), torch.rand(n)], 1)


def estimated(theta: float, steps: int, batch: int = 64) -> tuple[float, float]:
    """What a discriminator finds of JS, and a critic with a gradient penalty of the Wasserstein distance."""
    real, fake = on_line(0.0), on_line(theta)
    discriminator, critic = new_critic(2), new_critic(2)

    def discriminator_loss() -> Tensor:
        return losses.minimax_discriminator(discriminator(real(batch)), discriminator(fake(batch)))

    def critic_loss() -> Tensor:
        x, y = real(batch), fake(batch)
        game = losses.wasserstein_critic(critic(x), critic(y))
        return game + 10 * penalties.gradient_penalty(critic, x, y)

    for _ in learnt(discriminator, discriminator_loss, steps, 1e-2):
        pass
    for _ in learnt(critic, critic_loss, steps, 1e-2):
        pass
    with torch.no_grad():
        x, y = real(4096), fake(4096)
        found = LOG2 - 0.5 * losses.minimax_discriminator(discriminator(x), discriminator(y))
        return float(found), float(-losses.wasserstein_critic(critic(x), critic(y)))


def draw_lines(steps: int = 250) -> tuple[Image.Image, str]:
    """The picture of the lines; distances over theta, exact and as critics find them."""
    thetas = [0.1, 0.3, 0.6, 1.0]
    found = [estimated(theta, steps) for theta in thetas]
    figure, (left, right) = panels(1, 2, (960, 380))
    left.plot([0, 0], [0, 1], color=COLOURS[0], linewidth=3, label="data (0, U)")
    left.plot([0.6, 0.6], [0, 1], color=COLOURS[1], linewidth=3, label="model (θ, U), θ = 0.6")
    left.set(xlim=(-1, 1), ylim=(-0.2, 1.4), aspect="equal", title="two distributions that do not meet")
    left.legend(frameon=False, fontsize=9, loc="upper left")
    far = np.linspace(-1.1, 1.1, 401)
    right.plot(far, np.abs(far), color=COLOURS[2], label="Wasserstein = |θ|")
    right.plot(far, np.where(far == 0, np.nan, LOG2), color=COLOURS[3], label="JS = log 2, but 0 at θ = 0")
    right.plot(far, np.where(far == 0, np.nan, 1.0), color=COLOURS[5], label="total variation = 1, but 0 at θ = 0")
    right.plot(0, 0, "o", color=COLOURS[3], markersize=4)
    right.plot(thetas, [each[0] for each in found], "s", color=COLOURS[3], fillstyle="none", label="by a discriminator")
    right.plot(
        thetas, [each[1] for each in found], "o", color=COLOURS[2], fillstyle="none", label="by a WGAN-GP critic"
    )
    right.set(xlabel="θ", title="their distance (KL is infinite)", ylim=(-0.05, 1.8))
    right.legend(frameon=False, fontsize=8, ncols=2, loc="upper center")
    rows = [
        (f"{theta:g}", f"{jensen:.3f}", f"{LOG2:.3f}", f"{earth:.2f}", f"{abs(theta):.2f}")
        for theta, (jensen, earth) in zip(thetas, found, strict=True)
    ]
    head = ("θ", "JS, discriminator", "closed form", "Wasserstein, critic", "closed form")
    return drawn(figure), f"After {steps} steps of each critic:\n\n" + table(head, rows)


# -------------------------------------------------------------------------------------------------- vanishing gradients


def felt(critic: nn.Module, loss: Callable[[Tensor], Tensor], fake: Tensor) -> float:
    """The mean norm of a generator loss's gradient at its samples."""
    at = fake.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(critic(at)), at)
    return float(gradient.norm(dim=1).mean() * len(at))


def _zero(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.weight)
        nn.init.zeros_(module.bias)


def draw_vanishing(steps: int = 500, batch: int = 4096, apart: float = 8.0) -> tuple[Image.Image, str]:
    """The generator's gradients while its critic learns and it stands still, some deviations from the data."""
    torch.manual_seed(1)
    still, felt_by = apart + torch.randn(512, 1), dict[str, list[float]]()
    discriminator, critic = (MLP((1,), (), ()) for _ in range(2))  # the best ones are linear
    for network in (discriminator, critic):
        network.apply(_zero)

    def discriminator_loss() -> Tensor:
        real, fake = torch.randn(batch, 1), apart + torch.randn(batch, 1)
        return losses.minimax_discriminator(discriminator(real), discriminator(fake))

    def critic_loss() -> Tensor:
        real, fake = torch.randn(batch, 1), apart + torch.randn(batch, 1)
        game = losses.wasserstein_critic(critic(real), critic(fake))
        return game + 10 * penalties.gradient_penalty(critic, real, fake)

    for _ in learnt(discriminator, discriminator_loss, steps, 0.05):
        felt_by.setdefault("minimax", []).append(felt(discriminator, losses.minimax_generator, still))
        felt_by.setdefault("non-saturating", []).append(felt(discriminator, losses.nonsaturating_generator, still))
    for _ in learnt(critic, critic_loss, steps, 0.05):
        felt_by.setdefault("WGAN-GP", []).append(felt(critic, losses.wasserstein_generator, still))
    best = (normal(0) - normal(apart)).sigmoid() @ normal(apart).exp() * DX  # E D* at the samples
    closed = {"minimax": apart * best, "non-saturating": apart * (1 - best), "WGAN-GP": torch.tensor(1 + apart / 20)}
    figure, (ax,) = panels(1, 1, (860, 400))
    rows = []
    for (name, values), colour in zip(felt_by.items(), COLOURS, strict=False):
        ax.plot(range(1, len(values) + 1), values, color=colour, label=name)
        ax.axhline(float(closed[name]), color=colour, linestyle="--", linewidth=1)
        rows.append((name, f"{values[min(50, steps) - 1]:.2g}", f"{values[-1]:.2g}", f"{float(closed[name]):.2g}"))
    ax.set(yscale="log", xlabel="steps of the critic", ylabel="gradient at a sample")
    ax.legend(frameon=False, fontsize=9)
    return drawn(figure), table(("loss", f"after {min(50, steps)} steps", f"after {steps}", "at the best critic"), rows)


# ------------------------------------------------------------------------------------------------- the generator's loss


COSTS: dict[str, tuple[Callable[[Tensor], Tensor], Curve, Curve]] = {
    "minimax": (losses.minimax_generator, lambda d: np.log(1 - d), lambda d: -d),
    "non-saturating": (losses.nonsaturating_generator, lambda d: -np.log(d), lambda d: -(1 - d)),
    "maximum likelihood": (losses.maximum_likelihood_generator, lambda d: -d / (1 - d), lambda d: -d / (1 - d)),
}


def draw_costs(points: int = 61) -> tuple[Image.Image, str]:
    """Each cost of a sample and its slope by D's logit: lines by the zoo's losses, circles closed forms."""
    shares = np.linspace(0.01, 0.99, points)
    figure, (left, right) = panels(1, 2, (960, 400))
    rows = []
    for (name, (loss, cost, slope)), colour in zip(COSTS.items(), COLOURS, strict=False):
        logits = torch.tensor(np.log(shares / (1 - shares)), requires_grad=True)
        costs = torch.stack([loss(logit) for logit in logits])
        (slopes,) = torch.autograd.grad(costs.sum(), logits)
        left.plot(shares, costs.detach(), color=colour, label=name)
        right.plot(shares, slopes, color=colour, label=name)
        left.plot(shares[::6], cost(shares[::6]), "o", color=colour, markersize=4, fillstyle="none")
        right.plot(shares[::6], slope(shares[::6]), "o", color=colour, markersize=4, fillstyle="none")
        rows.append((name, *(f"{each:.2f}" for each in slope(np.array([0.01, 0.5, 0.99])))))
    left.set(xlabel="D(G(z))", title="cost of a sample", ylim=(-6, 5))
    right.set(xlabel="D(G(z))", title="its slope by the logit of D", ylim=(-3, 0.1))
    right.legend(frameon=False, fontsize=9, loc="lower left")
    return drawn(figure), "Slopes:\n\n" + table(("cost", "D = 0.01, a sure critic", "D = 0.5", "D = 0.99"), rows)


def nonsaturating_slope(theta: float, q_std: float = 1.0) -> float:
    """d/dtheta of E -log D*(G(z)), G(z) = theta + z, where D* is best for this theta and stands still."""
    p, q = normal(0.0), normal(theta, q_std)
    cost = -functional.logsigmoid(p - q)  # at x
    along = torch.gradient(cost, spacing=(X,))[0]  # and x moves as theta does
    return float(integral(q.exp() * along))


def draw_nonsaturating(most: float = 5.0) -> tuple[Image.Image, str]:
    """The slope that a generator follows, beside the slopes of KL(q || p), 2 JS and their difference."""
    thetas = torch.linspace(0.1, most, 40, dtype=torch.float64)
    found = np.array([nonsaturating_slope(float(theta)) for theta in thetas])
    moving = thetas.clone().requires_grad_()
    reverse = torch.stack([kl(normal(t), normal(0.0)) for t in moving])
    jensen = torch.stack([js(normal(t), normal(0.0)) for t in moving])
    (of_kl,) = torch.autograd.grad(reverse.sum(), moving, retain_graph=True)
    (of_js,) = torch.autograd.grad(jensen.sum(), moving)
    figure, (ax,) = panels(1, 1, (860, 400))
    ax.plot(thetas, of_kl, color=COLOURS[0], label="slope of KL(q ‖ p) = θ")
    ax.plot(thetas, -2 * of_js, color=COLOURS[1], label="slope of -2 JS: away from the data")
    ax.plot(thetas, of_kl - 2 * of_js, color=COLOURS[2], label="their sum")
    ax.plot(thetas, found, "o", color="#181c24", markersize=5, fillstyle="none", label="slope of E -log D*(G(z))")
    ax.axhline(0, color="#acb2bd", linewidth=1)
    ax.set(xlabel="θ: the model is N(θ, 1), the data N(0, 1)")
    ax.legend(frameon=False, fontsize=9)
    worst = float(np.abs(found - (of_kl - 2 * of_js).numpy()).max())
    return drawn(figure), f"The slopes differ by {worst:.0e} at most, which is the grid's."


# ----------------------------------------------------------------------------------------------------- three updates


def three_updates(steps: int = 200, h: float = 0.1, data: float = 2.0, start: float = -1.0) -> dict[str, list[float]]:
    """The model's mean after each step of three games on one V, with exact expectations.

    V = E_p log D + E_q log(1 - D). In the first two D is made of a model density, D = m / (m + q), and the model learns
    by raising V: against fixed noise q that is NCE, and against a copy of itself (taken anew after each step)
    self-contrastive estimation, whose gradient is half of maximum likelihood's. In a GAN D is free, here of a linear
    logit, and q learns by lowering V.
    """
    p, means = normal(data), dict[str, list[float]]()
    closed = [start]
    for _ in range(steps):
        closed.append(closed[-1] + h * (data - closed[-1]))
    means["maximum likelihood"] = closed
    for name, rate in (("self-contrastive", 2 * h), ("noise-contrastive", 2 * h)):
        mean, path = torch.tensor(start, dtype=torch.float64, requires_grad=True), [start]
        for _ in range(steps):
            q = normal(mean.detach() if name == "self-contrastive" else 0.0)
            (up,) = torch.autograd.grad(value(p, q, normal(mean) - q), mean)
            mean = (mean + rate * up).detach().requires_grad_()
            path.append(mean.item())
        means[name] = path
    mean = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    slope, offset = (torch.zeros((), dtype=torch.float64, requires_grad=True) for _ in range(2))
    path = [start]
    for _ in range(steps):
        logits = slope * X + offset
        ups = torch.autograd.grad(value(p, normal(mean.detach()), logits), (slope, offset))
        slope, offset = ((each + h * g).detach().requires_grad_() for each, g in zip((slope, offset), ups, strict=True))
        fooled = -integral(normal(mean).exp() * functional.logsigmoid(slope.detach() * X + offset.detach()))
        (down,) = torch.autograd.grad(fooled, mean)
        mean = (mean - h * down).detach().requires_grad_()
        path.append(mean.item())
    means["GAN"] = path
    return means


def draw_updates(steps: int = 200) -> tuple[Image.Image, str]:
    """The model's mean over steps, in each game."""
    means = three_updates(steps)
    figure, (ax,) = panels(1, 1, (860, 400))
    for (name, path), colour in zip(means.items(), COLOURS, strict=False):
        circles = name == "self-contrastive"
        ax.plot(path, "o" if circles else "-", color=colour, label=name, fillstyle="none", markersize=5, markevery=5)
    ax.axhline(2, color="#acb2bd", linestyle="--", linewidth=1, label="the data's mean")
    ax.set(xlabel="steps", ylabel="mean of the model", ylim=(-1.2, 4.2))
    ax.legend(frameon=False, fontsize=9, loc="lower right")
    apart = np.abs(np.subtract(means["self-contrastive"], means["maximum likelihood"])).max()
    rows = [(name, f"{path[20]:.3f}" if steps >= 20 else "", f"{path[-1]:.3f}") for name, path in means.items()]
    said = f"Self-contrastive steps are maximum likelihood's to {max(apart, 1e-9):.0e}.\n\n"
    return drawn(figure), said + table(("update", "mean after 20 steps", f"after {steps}"), rows)


# ----------------------------------------------------------------------------------------------------------- the page

LECTURE = Lecture(
    name="divergences",
    title="Divergences: what a discriminator measures",
    idea=(
        "A discriminator that is as good as it can be turns the game into a distance between data and model. "
        "Which distance it is decides what the generator feels when the two are far apart, and which mistakes it "
        "prefers."
    ),
    seconds=40,
    papers=(
        "Goodfellow 2016, arXiv:1701.00160, sections 3.2 and 3.5",
        "Arjovsky and Bottou 2017, arXiv:1701.04862",
        "Arjovsky, Chintala and Bottou 2017, arXiv:1701.07875",
        "Goodfellow 2014, arXiv:1412.6515",
        "Nowozin, Cseke and Tomioka 2016, arXiv:1606.00709",
    ),
    parts=(
        Part(
            name="optimal",
            title="The optimal discriminator",
            idea=(
                "For a fixed model the best D is known: at each x the share of the data's density. Put into V it "
                "leaves twice the Jensen-Shannon divergence, less log 4; a network that has learnt nearly says "
                "the same."
            ),
            formula=("D*(x) = p(x) / (p(x) + q(x))        V(D*) = -log 4 + 2 JS(p, q)",),
            draw=draw_optimal,
            attempt="A D with no hidden layer: for which p and q is it enough? (Two normals of one variance.)",
            code=(normal, kl, js, value, learnt),
        ),
        Part(
            name="distances",
            title="Five distances of two normals",
            idea=(
                "Near each other all distances say which way to go. Far apart JS and total variation saturate, "
                "and their gradients vanish; KL grows ever steeper; the Wasserstein distance has the same gradient "
                "at any distance."
            ),
            formula=(
                "KL = E_p log p/q        JS = 1/2 KL(p ‖ m) + 1/2 KL(q ‖ m), m = (p + q) / 2",
                "TV = 1/2 ∫ |p - q|      W = inf E |x - y| over couplings",
            ),
            draw=draw_distances,
            attempt="Different deviations: KL and reverse KL part, and W is |m| no more.",
            code=(total_variation, wasserstein),
        ),
        Part(
            name="fits",
            title="Which mistakes a divergence prefers",
            idea=(
                "A model that cannot match the data must choose. Maximum likelihood, KL(p ‖ q), covers all of the "
                "data and makes samples where there are none; reverse KL keeps to one mode, and makes none that "
                "are bad."
            ),
            formula=("min over (μ, σ) of the divergence between p and N(μ, σ²)",),
            draw=draw_fits,
            attempt="Start the mean at -1.5: reverse KL takes the other mode. Does JS?",
            code=(fitted,),
        ),
        Part(
            name="bounds",
            title="f-GAN's table: any divergence, by a bound that a network learns",
            idea=(
                "Each convex f with f(1) = 0 makes a divergence, and its conjugate f* a bound from below that needs "
                "samples only. Here P = N(m, s²) = N(0.8, 0.9²) and Q = N(0, 1), with α = 1.5 and π = 0.3. F is "
                "integrated with the V that was learnt, so it is never above the divergence, which is integrated too "
                "where it has no closed form; `gan` is the first GAN's value, twice JS less log 4."
            ),
            formula=(
                "D_f(P ‖ Q) = ∫ q f(p / q)  ≥  F = E_P g(V(x)) - E_Q f*(g(V(x))),    equal where g(V) = f'(p / q)",
                "M(a) = ∫ p^a q^(1 - a) = s^(1 - a) / √v exp(a (a - 1) m² / 2v),    v = a + (1 - a) s²",
            ),
            draw=draw_bounds,
            attempt=(
                "Batches of 128: which bounds fall short first, and at which x is T wrong? (Neyman's hangs on the few "
                "samples of Q that P hardly has.) At s = 0.7 v is below 0, and Neyman's infinite."
            ),
            code=(overlap, closed_forms, bounded),
        ),
        Part(
            name="lines",
            title="Parallel lines",
            idea=(
                "Data and model that lie on thin sets hardly ever meet. Then JS says log 2 and total variation 1, "
                "however near they are; the Wasserstein distance says how near."
            ),
            formula=(
                "p = (0, U), q = (θ, U):    W = |θ|    JS = log 2 if θ ≠ 0 else 0    TV = 1 if θ ≠ 0 else 0    KL = ∞",
            ),
            draw=draw_lines,
            attempt="Add noise of deviation 0.3 to both: what does JS do now? (Instance noise, in `tips`.)",
            code=(on_line, estimated),
        ),
        Part(
            name="vanishing",
            title="Vanishing gradients",
            idea=(
                "A generator stands still, eight deviations off, while its critic learns. Dashed is what the best "
                "critic would leave. The surer D is, the less the minimax loss leaves of a gradient; the "
                "non-saturating one grows with D's slope; a critic whose slope is held at 1 always gives about 1."
            ),
            formula=(
                "minimax: D ∂logit/∂x        non-saturating: (1 - D) ∂logit/∂x        Wasserstein: ∂C/∂x = 1 + a / 20",
                "best logit of N(0, 1) against N(a, 1): a²/2 - a x",
            ),
            draw=draw_vanishing,
            attempt=(
                "`draw_vanishing(apart=3)`, where D is never so sure; a critic with clipped weights in place of "
                "the penalty."
            ),
            code=(felt,),
        ),
        Part(
            name="costs",
            title="The three costs of a generator",
            idea=(
                "Figure 16 of the tutorial. At a critic that is sure of a fake (left) the minimax cost is flat, "
                "the non-saturating one steep; maximum likelihood lives on the few samples at the right that fool "
                "D most."
            ),
            formula=(
                "minimax: log(1 - D)        non-saturating: -log D        maximum likelihood: -D / (1 - D)",
                "slope by the logit:  -D          -(1 - D)          -D / (1 - D)",
            ),
            draw=draw_costs,
            attempt="Which cost has gradients of the least variance over a batch? (Section 3.2.5 of the tutorial.)",
        ),
        Part(
            name="nonsaturating",
            title="The non-saturating loss is KL - 2 JS",
            idea=(
                "Against the best D the non-saturating loss moves the generator as reverse KL would, less twice "
                "JS: a pull to the data, and a push away from them (Arjovsky and Bottou 2017, theorem 2.5)."
            ),
            formula=("∂/∂θ E -log D*(G_θ(z)) = ∂/∂θ [KL(q_θ ‖ p) - 2 JS(q_θ, p)],    D* held still",),
            draw=draw_nonsaturating,
            attempt="`nonsaturating_slope(theta, q_std=0.5)`: does the equality still hold, with G(z) = θ + z / 2?",
            code=(nonsaturating_slope,),
        ),
        Part(
            name="updates",
            title="Noise contrast, maximum likelihood and GAN: three updates of one V",
            idea=(
                "One V, three ways to play it (Goodfellow 2014). Noise-contrastive estimation learns inside D "
                "against noise that stays; with noise that is a copy of the model it is maximum likelihood, at "
                "half the rate; a GAN learns inside the noise, against a D that is free, and turns about the goal "
                "before it rests."
            ),
            formula=(
                "V = E_p log D + E_q log(1 - D)",
                "NCE: D = m / (m + q), m learns, q stays        q ← m: ∂V/∂m = 1/2 ∂/∂m E_p log m        GAN: q learns",
            ),
            draw=draw_updates,
            attempt="Noise for NCE that lies at -6: how slow is it? More steps of D to one of the GAN's generator.",
            code=(three_updates,),
        ),
    ),
)
