"""Tips: what lists of tricks advise, the argument for each, and what it does to a small GAN on digits."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import mean, stdev
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.distributions import Normal

from ganzoo.lectures.lecture import Lecture, Part, table
from ganzoo.lectures.playing import digits, digits_distance
from ganzoo.media.charts import COLOURS, drawn, panels
from ganzoo.nn import dcgan
from ganzoo.nn.mlp import MLP
from ganzoo.objectives import losses

LATENT, WIDTH, BATCH = 32, 16, 64

# ---------------------------------------------------------------------------------------- the best D of soft labels

DATA, MODEL = Normal(1.5, 0.6), Normal(-1.0, 0.7)
TARGETS = {"1 and 0": (1.0, 0.0), "0.9 and 0": (0.9, 0.0), "0.9 and 0.1": (0.9, 0.1)}


def best(x: Tensor, real: float, fake: float) -> Tensor:
    """D*(x) where the targets of real and of fake samples are these."""
    p, q = DATA.log_prob(x).exp(), MODEL.log_prob(x).exp()
    return (real * p + fake * q) / (p + q)


def pull(x: Tensor, real: float, fake: float) -> Tensor:
    """d log D*(x) / dx: how the non-saturating generator's samples are pulled to the right."""
    x = x.clone().requires_grad_()
    return torch.autograd.grad(best(x, real, fake).log().sum(), x)[0]


def soft(logits: Tensor, target: float) -> Tensor:
    """-t log D - (1 - t) log(1 - D), the mean over samples."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def learnt(real: float, fake: float, steps: int = 500, batch: int = 256) -> nn.Module:
    """A discriminator of the two normals that has been shown these targets."""
    torch.manual_seed(0)
    critic = MLP((1,), (), (48, 48), nn.Tanh)
    adam = torch.optim.Adam(critic.parameters(), lr=5e-3)
    for i in range(steps):
        adam.param_groups[0]["lr"] = 5e-3 * (1 - i / steps)
        loss = soft(critic(DATA.sample((batch, 1))), real) + soft(critic(MODEL.sample((batch, 1))), fake)
        adam.zero_grad()
        loss.backward()
        adam.step()
    return critic


def draw_smoothing() -> tuple[Image.Image, str]:
    """D by formula and learnt, and what it tells the generator."""
    x = torch.linspace(-3, 3, 121)
    seen = (DATA.log_prob(x).exp() + MODEL.log_prob(x).exp()) > 0.02  # elsewhere nobody tells the learnt one anything
    at = MODEL.mean[None]
    figure, (left, right) = panels(1, 2, (960, 380))
    rows = []
    for (name, targets), colour in zip(TARGETS.items(), COLOURS, strict=False):
        critic = learnt(*targets)
        with torch.no_grad():
            found = critic(x[:, None]).sigmoid()
        left.plot(x, best(x, *targets), "-", color=colour, linewidth=1.4, label=name)
        left.plot(x[seen][::3], found[seen][::3], ".", color=colour, markersize=5)
        dashed = "--" if targets == (0.9, 0.0) else "-"  # it lies on another
        right.plot(x, pull(x, *targets), dashed, color=colour, linewidth=1.4, label=name)
        off = float((found - best(x, *targets))[seen].abs().max())
        rows.append((name, f"{float(best(at, *targets)):.3f}", f"{float(pull(at, *targets)):.4f}", f"{off:.3f}"))
    for ax in (left, right):
        ax.plot(x, 0.5 * DATA.log_prob(x).exp() - 0.02, ":", color="#181c24", linewidth=0.9)
        ax.plot(x, 0.5 * MODEL.log_prob(x).exp() - 0.02, ":", color="#181c24", linewidth=0.9)
        ax.legend(frameon=False, fontsize=9, title="targets of real and fake")
    left.set(title="D: lines the formula, dots learnt (dotted: the densities)", xlabel="x")
    right.set(title="d log D / dx: the pull on a sample, to the right", xlabel="x")
    said = "At the model's mean, and the learnt D's largest error where there are samples:\n\n"
    return drawn(figure), said + table(("targets", "D*", "pull", "error of the learnt D"), rows)


# ------------------------------------------------------------------------------------------------ noise on instances


def noised_pull(gap: float, variance: float) -> tuple[float, float]:
    """|d/dx log(1 - D*)| and |d/dx log D*| at the fakes' mean, of N(0, v) and N(gap, v): the logit is a line."""
    slope, logit = gap / variance, -(gap**2) / (2 * variance)
    at = 1 / (1 + math.exp(-logit))
    return at * slope, (1 - at) * slope


def fitted(real: Tensor, fake: Tensor, rounds: int = 25) -> tuple[float, float]:
    """Slope and offset of the line that tells two samples apart best: logistic regression by Newton's method."""
    x = torch.cat([real, fake]).double()
    design = torch.stack([x, torch.ones_like(x)], 1)
    target = torch.cat([torch.ones(len(real)), torch.zeros(len(fake))]).double()
    line = torch.zeros(2).double()
    for _ in range(rounds):
        p = (design @ line).sigmoid()
        curvature = (design * (p * (1 - p) + 1e-9)[:, None]).T @ design
        line = line + torch.linalg.solve(curvature, design.T @ (target - p))
    return float(line[0]), float(line[1])


def draw_noise(gap: float = 1.0, std: float = 0.2, n: int = 20_000) -> tuple[Image.Image, str]:
    """The pull on fakes a gap away from the data, over how much noise both are given."""
    levels = [0.1 * k for k in range(1, 16)]
    draw = torch.Generator().manual_seed(0)
    fine = torch.linspace(0.0, 1.5, 100).tolist()
    figure, (ax,) = panels(1, 1, (760, 360))
    found = []
    for level in levels:
        spread = math.hypot(std, level)
        slope, offset = fitted(gap + spread * torch.randn(n, generator=draw), spread * torch.randn(n, generator=draw))
        at = 1 / (1 + math.exp(-offset))  # D at the fakes' mean, 0
        found.append((at * slope, (1 - at) * slope))
    for i, (name, colour) in enumerate(zip(("minimax", "non-saturating"), COLOURS, strict=False)):
        closed = [noised_pull(gap, std**2 + level**2)[i] for level in fine]
        ax.plot(fine, closed, "-", color=colour, label=f"{name}, closed form")
        ax.plot(
            levels, [each[i] for each in found], "o", color=colour, markersize=4, label=f"{name}, D fitted to samples"
        )
    ax.set(yscale="log", ylim=(1e-4, 50), xlabel="deviation of the noise", ylabel="pull towards the data")
    ax.legend(frameon=False, fontsize=9)
    strongest = max(levels, key=lambda level: noised_pull(gap, std**2 + level**2)[0])
    off = max(
        abs(each[0] / noised_pull(gap, std**2 + level**2)[0] - 1)
        for each, level in zip(found, levels, strict=True)
        if level >= 0.3
    )
    return drawn(figure), (
        f"Fakes of deviation {std} a gap of {gap} from the data. Without noise the minimax pull is "
        f"{noised_pull(gap, std**2)[0]:.1e}; it is strongest at a noise of {strongest:.1f}, "
        f"{noised_pull(gap, std**2 + strongest**2)[0]:.2f}. From a noise of 0.3 on, the fitted D is within "
        f"{100 * off:.0f} % of the closed form."
    )


# ------------------------------------------------------------------------------------------------ separate batches


def seen_gap(gap: float, together: bool, n: int = 4096) -> float:
    """How far apart the means of N(0, 1) and N(gap, 1) are after batch norm: both in one batch, or each in its own."""
    draw = torch.Generator().manual_seed(0)
    fake, real = torch.randn(n, 1, generator=draw), gap + torch.randn(n, 1, generator=draw)
    norm = partial(F.batch_norm, running_mean=None, running_var=None, training=True)
    a, b = norm(torch.cat([fake, real])).split(n) if together else (norm(fake), norm(real))
    return float(b.mean() - a.mean())


def draw_batches() -> tuple[Image.Image, str]:
    """What batch norm leaves of a shift between real and fake."""
    gaps = [0.25 * k for k in range(25)]
    figure, (ax,) = panels(1, 1, (760, 340))
    ax.plot(gaps, [g / math.sqrt(1 + g**2 / 4) for g in gaps], "-", color=COLOURS[0], label="Δ / √(1 + Δ²/4)")
    ax.plot(gaps, [seen_gap(g, True) for g in gaps], ".", color=COLOURS[0], label="one batch of both, measured")
    ax.plot(gaps, [0 for _ in gaps], "-", color=COLOURS[1], label="0")
    ax.plot(gaps, [seen_gap(g, False) for g in gaps], ".", color=COLOURS[1], label="a batch each, measured")
    ax.set(xlabel="Δ, a feature's shift from fake to real", ylabel="its shift after batch norm")
    ax.legend(frameon=False, fontsize=9)
    rows = [
        (g, f"{seen_gap(g, True):.3f}", f"{g / math.sqrt(1 + g**2 / 4):.3f}", f"{abs(seen_gap(g, False)):.3f}")
        for g in (1.0, 4.0)
    ]
    return drawn(figure), table(("Δ", "one batch of both", "closed form", "a batch each"), rows)


# ---------------------------------------------------------------------------------------------- measured on digits


ADAM = partial(torch.optim.Adam, lr=2e-3, betas=(0.5, 0.999))
HEAVY = partial(ADAM, betas=(0.9, 0.999))


@dataclass(frozen=True)
class Tip:
    """One change of a small DCGAN, whose defaults are what is usually advised or done.

    Args:
        argument: why it should help, or harm.
        real, fake: targets of D.
        flips: share of D's targets that are exchanged.
        noise: deviation of what is added to all that D sees, at first; it falls to 0 on the way.
        replay: share of D's fakes that come from earlier steps.
        together: whether real and fake are one batch for D's batch norm.
        loss: of the generator.
        last: the generator's last activation.
        scaled: the data's range: [-1, 1], or [0, 1] where false.
        uniform: whether z is uniform in [-1, 1] and not normal.
        normalization: of D.
        optimizers: of D and G.
        repeats: steps of D to one of G.
    """

    argument: str
    real: float = 1.0
    fake: float = 0.0
    flips: float = 0.0
    noise: float = 0.0
    replay: float = 0.0
    together: bool = False
    loss: Callable[[Tensor], Tensor] = losses.nonsaturating_generator
    last: Callable[[], nn.Module] = nn.Tanh
    scaled: bool = True
    uniform: bool = False
    normalization: Callable[[int], nn.Module] | None = nn.BatchNorm2d
    optimizers: tuple[Callable[..., Any], Callable[..., Any]] = (ADAM, ADAM)
    repeats: int = 1


TIPS: dict[str, Tip] = {
    "as advised": Tip("DCGAN's: non-saturating, tanh, batch norm, batches apart, β₁ = 0.5, z normal"),
    "targets 0.9 and 0": Tip("D stays unsure, its gradients small; where D is at best nothing else changes", real=0.9),
    "targets 0.9 and 0.1": Tip("warned of: D no longer pulls samples away from where they are", real=0.9, fake=0.1),
    "5 % of D's labels flipped": Tip("D* as with targets 0.95 and 0.05, and noisier", flips=0.05),
    "instance noise, 0.5 to 0": Tip("overlapping supports leave gradients where D has won", noise=0.5),
    "half of D's fakes replayed": Tip("D does not forget where G has been; G cannot go in circles", replay=0.5),
    "real and fake in one batch": Tip("against the advice: statistics of a mixture", together=True),
    "minimax loss": Tip("against the advice: saturates where D is sure", loss=losses.minimax_generator),
    "no tanh": Tip("against the advice: samples may leave the data's range", last=nn.Identity),
    "data in [0, 1] under tanh": Tip("against the advice: half of the range is never right", scaled=False),
    "z uniform": Tip("lists advise a sphere; DCGAN took the cube", uniform=True),
    "β₁ = 0.9": Tip("against the advice: momentum in a game turns", optimizers=(HEAVY, HEAVY)),
    "SGD for D": Tip("lists advise it: a slower D", optimizers=(partial(torch.optim.SGD, lr=0.05), ADAM)),
    "no batch norm in D": Tip("against the advice for DCGAN; penalties ask for it", normalization=None),
    "two steps of D": Tip("D nearer its best; as many steps of G cost more", repeats=2),
}  # fmt: skip


def played(tip: Tip, seed: int, steps: int) -> Tensor:
    """Samples `(2000, 1, 8, 8)` in [-1, 1] of a generator after so many steps."""
    torch.manual_seed(seed)
    generator = dcgan.Generator(LATENT, 1, 8, WIDTH, last=tip.last())
    critic = dcgan.Discriminator(1, 8, WIDTH, tip.normalization)
    for_d, for_g = (make(net.parameters()) for make, net in zip(tip.optimizers, (critic, generator), strict=True))
    data = digits() if tip.scaled else (digits() + 1) / 2
    old = torch.zeros(0, 1, 8, 8)

    def fakes() -> Tensor:
        return generator(2 * torch.rand(BATCH, LATENT) - 1 if tip.uniform else torch.randn(BATCH, LATENT))

    for step in range(steps):
        noise = tip.noise * max(0.0, 1 - 2 * step / steps)
        for _ in range(tip.repeats):
            fake = fakes().detach()
            if tip.replay and len(old) >= BATCH:
                again = old[torch.randint(len(old), (int(tip.replay * BATCH),))]
                shown = torch.cat([fake[len(again) :], again])
            else:
                shown = fake
            real = data[torch.randint(len(data), (BATCH,))]
            both = [x + noise * torch.randn_like(x) for x in (real, shown)]
            yes, no = critic(torch.cat(both)).split(BATCH) if tip.together else map(critic, both)
            targets = torch.tensor([tip.real, tip.fake])[:, None].expand(2, BATCH)
            targets = torch.where(torch.rand(2, BATCH) < tip.flips, 1 - targets, targets)
            loss = 2 * F.binary_cross_entropy_with_logits(torch.stack([yes, no]), targets)
            for_d.zero_grad()
            loss.backward()
            for_d.step()
            if tip.replay:
                old = torch.cat([old[-1024 + BATCH :], fake])
        made = fakes()
        made = made + noise * torch.randn_like(made)
        beside = data[torch.randint(len(data), (BATCH,))]
        scores = critic(torch.cat([beside, made]))[BATCH:] if tip.together else critic(made)
        for_g.zero_grad()
        tip.loss(scores).backward()
        for_g.step()
    generator.eval()
    with torch.no_grad():
        made = generator(2 * torch.rand(2000, LATENT) - 1 if tip.uniform else torch.randn(2000, LATENT))
    return (made if tip.scaled else 2 * made - 1).clamp(-1, 1)


def verdict(with_it: list[float], without: list[float]) -> str:
    """What two standard errors of the difference of means allow to be said."""
    apart = mean(with_it) - mean(without)
    error = math.sqrt(stdev(with_it) ** 2 / len(with_it) + stdev(without) ** 2 / len(without))
    return "none to be seen" if abs(apart) < 2 * error else "worse" if apart > 0 else "better"


def distances(steps: int, seeds: int) -> dict[str, list[float]]:
    """By tip, each seed's distance to digits."""
    return {name: [digits_distance(played(tip, seed, steps)) for seed in range(seeds)] for name, tip in TIPS.items()}


def draw_measured(steps: int = 300, seeds: int = 3) -> tuple[Image.Image, str]:
    """Every tip's distance to digits, seed by seed."""
    figure, (ax,) = panels(1, 1, (900, 60 + 26 * len(TIPS)))
    found = distances(steps, seeds)
    base = found["as advised"]
    ax.axvline(mean(base), color="#181c24", linestyle=":", linewidth=0.9)
    rows = []
    for i, (name, far) in enumerate(found.items()):
        ax.plot(far, [i] * seeds, "o", color=COLOURS[0], markersize=4)
        ax.plot([mean(far)], [i], "|", color=COLOURS[1], markersize=14)
        effect = "" if name == "as advised" else verdict(far, base)
        rows.append((name, TIPS[name].argument, f"{mean(far):.1f} ± {stdev(far):.1f}", effect))
    ax.set(xscale="log", xlabel="Fréchet distance to digits (dots: seeds; bars: means)", ylim=(len(TIPS) - 0.5, -0.5))
    ax.set_yticks([])
    for i, name in enumerate(TIPS):
        ax.text(-0.01, i, name, transform=ax.get_yaxis_transform(), ha="right", va="center", size=8)
    said = (
        f"After {steps} steps of batches of {BATCH}, {seeds} seeds: mean and standard deviation. Effects are what two "
        "standard errors of the difference from the first row show; of so few seeds, one or two may be chance:\n\n"
    )
    return drawn(figure), said + table(("advice, or its contrary", "argument", "distance", "effect"), rows)


LECTURE = Lecture(
    name="tips",
    title="Tips: what lists of tricks advise, and what it does",
    idea=(
        "Lists of tricks go from hand to hand. Each has an argument; some arguments have a formula, which can be "
        "checked, and all have an effect, which can be measured. On a small game, with the spread of seeds beside it."
    ),
    seconds=200,
    papers=(
        "Goodfellow 2016, arXiv:1701.00160, section 4",
        "Salimans et al. 2016, arXiv:1606.03498, section 3.4",
        "Radford et al. 2016, arXiv:1511.06434, section 3",
        "Sønderby et al. 2017, arXiv:1610.04490, and Arjovsky and Bottou 2017, arXiv:1701.04862, for instance noise",
        "Shrivastava et al. 2017, arXiv:1612.07828, for replayed fakes",
    ),
    parts=(
        Part(
            name="smoothing",
            title="Smoothing labels: one side, not both",
            idea=(
                "Targets α of real and β of fake samples change the best D. With β = 0 it is the old one times α: as "
                "sure of fakes as ever, and the pull d log D / dx is the same to the last digit. With β above 0 the "
                "model's density stands in the numerator: D* has a floor of β where the model is, and its samples are "
                "pulled less the farther they are from the data. Labels flipped with probability ε: α = 1 - ε, β = ε."
            ),
            formula=(
                "D*(x) = (α p_data(x) + β p_model(x)) / (p_data(x) + p_model(x))",
                "β = 0: d/dx log D* = d/dx log(p_data / (p_data + p_model)), whatever α",
            ),
            draw=draw_smoothing,
            attempt="β = 0.01: is a little of it harmless? Where does the pull go, far to the left?",
            code=(best, pull, soft, learnt),
        ),
        Part(
            name="noise",
            title="Instance noise: supports that overlap",
            idea=(
                "Two narrow distributions that lie apart are told apart for sure, and a generator that minimises log(1 "
                "- D) feels nothing. Noise on what D sees, real and fake alike, widens both. The best D of two normal "
                "distributions has a line for its logit, so that the pull is known: too little noise and it vanishes, "
                "too much and it fades."
            ),
            formula=(
                "logit D*(x) = Δ (x - Δ/2) / (s² + σ²)",
                "at the fakes' mean: |d/dx log(1 - D*)| = D* Δ / (s² + σ²)    |d/dx log D*| = (1 - D*) Δ / (s² + σ²)",
            ),
            draw=draw_noise,
            attempt="`draw_noise(gap=3)`: how does the best noise grow with the gap?",
            code=(noised_pull, fitted),
        ),
        Part(
            name="batches",
            title="Separate batches of real and fake",
            idea=(
                "Batch norm in D takes a batch's mean away. If real and fake come in batches of their own, a shift of "
                "a feature between them is gone after the layer, and D must look at shapes; in one batch it stays. "
                "The advice is to keep batches apart: then D sees in training what statistics it sees at G's step. On "
                "small digits, below, the contrary is by far the better: what is hidden from D, D cannot teach."
            ),
            formula=("one batch of both: Δ / √(1 + Δ²/4), at most 2        a batch each: 0",),
            draw=draw_batches,
            attempt="A deviation that differs in place of a mean: what is left of it?",
            code=(seen_gap,),
        ),
        Part(
            name="measured",
            title="Measured on digits",
            idea=(
                "One change at a time of a small DCGAN. Few steps and few seeds: this says what a tip does early in a "
                "small game, which is where most of them are claimed to matter, and no more."
            ),
            formula=("effect = mean distance with the tip - mean without, if beyond 2 √(s₁²/n + s₂²/n)",),
            draw=draw_measured,
            attempt="`draw_measured(steps=2000)`: which of them were only slow? And two tips at once.",
            code=(Tip, played, distances, verdict),
        ),
    ),
)
