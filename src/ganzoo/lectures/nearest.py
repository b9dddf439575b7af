"""Nearest: samples beside the training pictures nearest to them, and what choosing samples does to a figure."""

from __future__ import annotations

from functools import cache

import torch
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor

from ganzoo.data.digits import Digits
from ganzoo.game.abilities import Samples
from ganzoo.latent.nearest import neighbours
from ganzoo.lectures.lecture import Lecture, Part, table
from ganzoo.media.charts import COLOURS, drawn, panels
from ganzoo.media.levels import to_float
from ganzoo.zoo.loading import load

MODELS = ("gan-digits", "dcgan-digits")


@cache
def model(name: str) -> Samples:
    """A shipped model with its critic."""
    found = load(name, players=True)
    assert isinstance(found, Samples)
    return found


def sheet(pictures: Tensor, columns: int) -> Tensor:
    """Pictures `(n, 1, 8, 8)` as one `(h, w)`, a white line between them."""
    framed = torch.nn.functional.pad(pictures[:, 0], (1, 1, 1, 1), value=1.0)
    return torch.cat([torch.cat([*row], 1) for row in framed.split(columns)], 0)


def draw_figure(rows: int = 5, columns: int = 7) -> tuple[Image.Image, str]:
    """Rows of samples; the last column is the training picture nearest to the sample beside it."""
    real = Digits().open("train")
    figure, axes = panels(1, len(MODELS), (960, 400))
    found = []
    for name, ax in zip(MODELS, axes, strict=True):
        samples = model(name).sample(rows * columns, seed=0)
        last = samples[columns - 1 :: columns]
        beside, distances, numbers = neighbours(last, real, k=1)
        table_of = torch.cat([samples.unflatten(0, (rows, columns)), beside[:, 1:]], 1).flatten(0, 1)
        ax.imshow(sheet(table_of, columns + 1), cmap="gray", vmin=-1, vmax=1)
        ax.add_patch(_frame(columns, rows))
        ax.set(xticks=[], yticks=[], title=name)
        pairs = zip(numbers[:, 0].tolist(), distances[:, 0].tolist(), strict=True)
        found.append((name, "; ".join(f"{number} ({far:.1f})" for number, far in pairs)))
    said = "Training pictures in the last column, and their distance in pixels:\n\n"
    return drawn(figure), said + table(("model", "number (distance), from the top"), found)


def _frame(columns: int, rows: int) -> Rectangle:
    return Rectangle((10 * columns - 0.5, -0.5), 10, 10 * rows, fill=False, edgecolor="#e6a500", linewidth=3)


def draw_distances(n: int = 300) -> tuple[Image.Image, str]:
    """How near samples are to the training pictures, beside how near held-out pictures are."""
    real, held = Digits().open("train"), Digits().open("test")
    fresh = to_float(held.batch(range(min(n, len(held)))).images)
    draw = torch.Generator().manual_seed(0)
    known = to_float(real.batch(range(n)).images)
    kinds = {
        "held-out digits": fresh,
        **{name: model(name).sample(n, seed=0) for name in MODELS},
        "by heart: training digits, noised": (known + 0.08 * torch.randn(known.shape, generator=draw)).clamp(-1, 1),
    }
    figure, (ax,) = panels(1, 1, (860, 380))
    rows = []
    for (name, pictures), colour in zip(kinds.items(), COLOURS, strict=False):
        far = neighbours(pictures, real, k=1)[1][:, 0]
        ax.hist(far.numpy(), bins=40, range=(0, 6), histtype="step", color=colour, label=name, linewidth=1.6)
        rows.append((name, f"{far.median():.2f}", f"{far.min():.2f}"))
    ax.set(xlabel="distance to the nearest training picture", ylabel="pictures")
    ax.legend(frameon=False, fontsize=9, loc="upper left")
    return drawn(figure), table(("pictures", "median distance", "smallest"), rows)


def draw_sheets(n: int = 640, shown: int = 32) -> tuple[Image.Image, str]:
    """The samples that D likes best, the first ones, and those that it likes least."""
    figure, axes = panels(len(MODELS), 3, (960, 400))
    rows = []
    for i, name in enumerate(MODELS):
        samples = model(name).sample(n, seed=0)
        scores = model(name).criticise(samples)
        order = scores.argsort(descending=True)
        chosen = {"best by D": order[:shown], "the first": torch.arange(shown), "worst by D": order[-shown:]}
        for ax, (what, which) in zip(axes[3 * i :], chosen.items(), strict=False):
            ax.imshow(sheet(samples[which], 8), cmap="gray", vmin=-1, vmax=1)
            ax.set(xticks=[], yticks=[], title=f"{name}: {what}")
        rows.append((name, *(f"{scores[which].mean():.2f}" for which in chosen.values())))
    said = f"{shown} of {n} samples each; mean logit of D on a sheet:\n\n"
    return drawn(figure), said + table(("model", "best by D", "the first", "worst by D"), rows)


LECTURE = Lecture(
    name="nearest",
    title="Nearest: are samples copies, and who chose them?",
    idea=(
        "A sheet of good samples asks two questions. Are they training pictures that were learnt by heart? And "
        "which samples were left out of the sheet?"
    ),
    seconds=15,
    papers=(
        "Goodfellow et al. 2014, arXiv:1406.2661, figure 2",
        "Theis, van den Oord and Bethge 2016, arXiv:1511.01844, section 3.4",
    ),
    parts=(
        Part(
            name="figure",
            title="The figure of 2014",
            idea=(
                "Rows of samples, not selected. The last column, framed, is the training picture that is nearest "
                "to the sample on its left: alike, but no copy."
            ),
            formula=("nearest(s) = argmin over training pictures x of ‖s - x‖",),
            draw=draw_figure,
            attempt=(
                "`ganzoo neighbours dcgan-fashion-mnist --network fashion_mnist_cnn`: in features in place of pixels."
            ),
            code=(sheet,),
        ),
        Part(
            name="distances",
            title="Nearer than held-out pictures?",
            idea=(
                "A neighbour alone proves little. Held-out pictures have nearest training pictures too: a model "
                "that has learnt by heart lies nearer than they do, one that has learnt to draw does not."
            ),
            formula=("min over x of ‖s - x‖, over samples s, beside the same of held-out pictures",),
            draw=draw_distances,
            attempt="Shift every sample by one pixel: does the copyist still stand out? (Theis 2016, section 3.4: no.)",
        ),
        Part(
            name="sheets",
            title="Cherry-picked, random, and worst by D",
            idea=(
                "The same model, three sheets. A critic can choose as an author can; only the middle sheet says "
                "what the model makes, and the right one what its critic has already seen through."
            ),
            formula=("D's logit sorts samples; the first sheet is the top, the last one the bottom",),
            draw=draw_sheets,
            attempt="`ganzoo sample dcgan-fashion-mnist --seeds 0-199 --rank-by critic`.",
        ),
    ),
)
