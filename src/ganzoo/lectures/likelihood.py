"""Likelihood: why a good likelihood promises no good samples, and good samples no good likelihood."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganzoo.data.digits import Digits
from ganzoo.lectures.lecture import Lecture, Part, table
from ganzoo.media.charts import COLOURS, drawn, panels
from ganzoo.media.levels import to_float
from ganzoo.zoo.loading import load


def parzen(points: Tensor, centres: Tensor, width: float) -> Tensor:
    """log of the mean of N(x; c, width^2 I) over the centres c, at each point: `(n,)` of `(n, d)` and `(m, d)`."""
    d = centres.shape[1]
    near = -torch.cdist(points, centres).square() / (2 * width**2)
    return near.logsumexp(1) - math.log(len(centres)) - d / 2 * math.log(2 * math.pi * width**2)


def best_width(validation: Tensor, centres: Tensor) -> float:
    """The width at which held-out points are likeliest, as Parzen estimates choose it."""
    widths = np.geomspace(0.05, 2, 40)
    return float(widths[np.argmax([float(parzen(validation, centres, width).mean()) for width in widths])])


@cache
def digits() -> tuple[Tensor, Tensor]:
    """Training and test pictures `(n, 64)` in [-1, 1], with noise of a level's width, so that densities exist."""
    draw = torch.Generator().manual_seed(0)
    found = []
    for split in ("train", "test"):
        data = Digits().open(split)
        pixels = to_float(data.batch(range(len(data))).images).flatten(1).double()
        found.append(pixels + (torch.rand(pixels.shape, generator=draw) - 0.5) / 8)
    return found[0], found[1]


def sheet(axes: object, pictures: Tensor, title: str) -> None:
    """Forty digits."""
    framed = torch.nn.functional.pad(pictures[:40].reshape(5, 8, 8, 8), (1, 1, 1, 1), value=1.0)
    rows = framed.permute(0, 2, 1, 3).reshape(50, 80)
    axes.imshow(rows, cmap="gray", vmin=-1, vmax=1)  # type: ignore[attr-defined]
    axes.set(xticks=[], yticks=[])  # type: ignore[attr-defined]
    axes.set_title(title, size=9)  # type: ignore[attr-defined]


def draw_likelihood() -> tuple[Image.Image, str]:
    """Three models of digits: a Parzen window, the same drowned in noise, and one that has learnt by heart."""
    train, test = digits()
    width = best_width(test[::2], train)
    held = test[1::2]
    good = parzen(held, train, width)
    draw = torch.Generator().manual_seed(1)
    spread = float(train.std())
    noise = -0.5 * (held / spread).square().sum(1) - 32 * math.log(2 * math.pi * spread**2)
    drowned = torch.logaddexp(good + math.log(0.01), noise + math.log(0.99))
    heart = parzen(held, train, 0.04)
    bright = train[torch.randperm(len(train), generator=draw)[:40]]
    eps = torch.randn(40, 64, generator=draw, dtype=torch.float64)
    figure, axes = panels(1, 3, (960, 260))
    sheet(axes[0], bright + width * eps, "Parzen window")
    sheet(axes[1], spread * eps, "1 % of it, 99 % noise")
    sheet(axes[2], bright + 0.04 * eps, "training pictures, by heart")
    rows = [
        ("Parzen window", f"{good.mean():.1f}"),
        ("1 % of it, 99 % noise", f"{drowned.mean():.1f}"),
        ("bound: at most log 100 less", f"{good.mean() - math.log(100):.1f}"),
        ("by heart", f"{heart.mean():.0f}"),
        ("noise alone", f"{noise.mean():.1f}"),
    ]
    return drawn(figure), table(("model", "log-likelihood of held-out digits, nats"), rows)


def truth(d: int) -> float:
    """E log p of the standard normal in d dimensions: what no estimate may exceed, in expectation."""
    return -d / 2 * math.log(2 * math.pi * math.e)


def draw_parzen(counts: tuple[int, ...] = (100, 1000, 4000)) -> tuple[Image.Image, str]:
    """Parzen estimates of the standard normal from its own samples, over dimensions."""
    draw = torch.Generator().manual_seed(0)
    dimensions = (1, 2, 4, 8, 16, 32, 64)
    figure, (left, right) = panels(1, 2, (960, 400))
    left.plot(dimensions, [truth(d) / d for d in dimensions], "--", color="#181c24", label="the truth, closed form")
    rows = []
    for n, colour in zip(counts, COLOURS, strict=False):
        found = []
        for d in dimensions:
            centres, validation, test = (torch.randn(m, d, generator=draw) for m in (n, 200, 500))
            found.append(float(parzen(test, centres, best_width(validation, centres)).mean()))
        left.plot(
            dimensions, np.array(found) / dimensions, "o-", color=colour, label=f"Parzen, {n} samples", markersize=4
        )
        short = [truth(d) - value for d, value in zip(dimensions, found, strict=True)]
        right.plot(dimensions, short, "o-", color=colour, markersize=4)
        rows.append((n, *(f"{each:.2f}" for each in short)))
    left.set(xscale="log", xlabel="dimensions", title="nats a dimension")
    right.set(xscale="log", xlabel="dimensions", title="nats that the estimate falls short")
    left.legend(frameon=False, fontsize=9)
    said = "Nats below the truth, by dimension:\n\n" + table(("samples", *map(str, dimensions)), rows)
    return drawn(figure), said


def k_means(points: Tensor, k: int, rounds: int = 20) -> Tensor:
    """Centres `(k, d)` of Lloyd's algorithm, from seed 0."""
    centres = points[torch.randperm(len(points), generator=torch.Generator().manual_seed(0))[:k]].clone()
    for _ in range(rounds):
        nearest = torch.cdist(points, centres).argmin(1)
        for i in nearest.unique():
            centres[i] = points[nearest == i].mean(0)
    return centres


def draw_ranking(n: int = 300) -> tuple[Image.Image, str]:
    """As many samples of four kinds, ranked by the Parzen estimate of held-out digits."""
    train, test = digits()
    kinds = {
        "true digits": train[torch.randperm(len(train), generator=torch.Generator().manual_seed(1))[:n]],
        "centres of k-means": k_means(train, n),
        "gan-digits": load("gan-digits").sample(n, seed=0).flatten(1).double(),
        "dcgan-digits": load("dcgan-digits").sample(n, seed=0).flatten(1).double(),
    }
    figure, axes = panels(1, 4, (1000, 220))
    rows = []
    for (name, samples), ax in zip(kinds.items(), axes, strict=True):
        width = best_width(test[::2], samples)
        sheet(ax, samples, name)
        rows.append((name, f"{float(parzen(test[1::2], samples, width).mean()):.1f}", f"{width:.2f}"))
    return drawn(figure), f"{n} samples each:\n\n" + table(("samples", "Parzen estimate, nats", "width"), rows)


LECTURE = Lecture(
    name="likelihood",
    title="Likelihood: what it says of samples, and what it does not",
    idea=(
        "GANs were first compared by Parzen windows, and are still asked for their likelihood. In many dimensions "
        "neither says what samples look like, and an estimate of the one is not the other."
    ),
    seconds=20,
    papers=("Theis, van den Oord and Bethge 2016, A note on the evaluation of generative models, arXiv:1511.01844",),
    parts=(
        Part(
            name="likelihood",
            title="Good likelihood with bad samples, and the reverse",
            idea=(
                "Mix a good model with 99 parts of noise: nearly every sample is noise, and the likelihood falls "
                "by less than log 100 = 4.6 nats, little beside what models differ by. Learn the data by heart: "
                "samples are perfect, and held-out data all but impossible."
            ),
            formula=("log(0.01 p(x) + 0.99 q(x)) ≥ log p(x) - log 100",),
            draw=draw_likelihood,
            attempt="One part in a million: how much does the likelihood fall, and how many samples are digits?",
            code=(parzen, best_width),
        ),
        Part(
            name="parzen",
            title="Parzen estimates beside the truth",
            idea=(
                "Samples of a model, a window around each, and the test set's likelihood under these: so GANs "
                "were scored in 2014. Here the model is the standard normal, whose likelihood is known. In one "
                "dimension the estimate is right; in 64 it is off by more than models differ, and more samples "
                "hardly help."
            ),
            formula=(
                "E log N(x; 0, I) = -d/2 log(2πe)        estimate: log 1/n Σ N(x; x_i, σ² I), σ chosen on held-out x",
            ),
            draw=draw_parzen,
            attempt="How many samples would 64 dimensions need? Extrapolate the columns.",
            code=(truth,),
        ),
        Part(
            name="ranking",
            title="Parzen estimates rank wrongly",
            idea=(
                "Centres of k-means are averages that nobody would take for samples, and the estimate may rank "
                "them above true digits: they lie nearer to everything."
            ),
            formula=("score of samples {x_i} = mean over held-out x of log 1/n Σ N(x; x_i, σ² I)",),
            draw=draw_ranking,
            attempt="`draw_ranking(n=50)`; and rank the same four by `fd` in the digits' network: `ganzoo evaluate`.",
            code=(k_means,),
        ),
    ),
)
