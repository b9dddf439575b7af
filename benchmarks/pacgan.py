"""Modes of the grid of 25 normal distributions: packing beside what else is done against collapse.

    OMP_NUM_THREADS=1 python benchmarks/pacgan.py --out docs/pacgan.md --picture docs/pictures/pacgan.png

The table of Lin et al. 2018 (arXiv:1712.04086, section 4.1): ten seeds of the GAN, of PacGAN with packs of 2 to 4, of
minibatch discrimination and of the unrolled GAN. All have the same generator and, but for what makes them themselves,
the same discriminator, Adam and batches of as many inputs of the discriminator. A run that is in `--runs` already is
not made again; a second call goes on where the first was stopped.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import measured
import torch
from PIL import Image
from torch import Tensor, nn

from ganzoo.data.mixtures import Grid
from ganzoo.families.pacgan import PacGAN
from ganzoo.families.unrolled import UnrolledGAN
from ganzoo.game.abilities import Samples
from ganzoo.game.engine import Engine
from ganzoo.metrics.functional.modes import mode_coverage
from ganzoo.nn.minibatch import MinibatchDiscrimination
from ganzoo.nn.mlp import MLP

LATENT, HIDDEN, INPUTS, STEPS, LR, BETAS, SAMPLES = 16, (128, 128), 128, 2000, 2e-3, (0.5, 0.999), 2500


class Compared(nn.Module):
    """A discriminator whose last features stand beside how near each sample is to the others of its batch."""

    def __init__(self, kernels: int = 16, size: int = 4) -> None:
        super().__init__()
        self.features = MLP((2,), HIDDEN[-1:], HIDDEN[:-1], last=nn.ReLU(), scale=4.0)
        self.minibatch = MinibatchDiscrimination(HIDDEN[-1], kernels, size)
        self.head = nn.Linear(HIDDEN[-1] + kernels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps points `(N, 2)` to logits `(N,)`."""
        return self.head(self.minibatch(self.features(x))).squeeze(1)

    @torch.no_grad()
    def begin(self, x: Tensor) -> None:
        """Chooses the scale of distances by a first batch, as the authors' code does."""
        self.minibatch.initialize(self.features(x))


def packed(packing: int) -> PacGAN:
    """PacGAN, whose packs are as many whatever their size."""
    game = PacGAN(packing=packing, latent=LATENT, lr=LR, betas=BETAS)
    game.discriminator = MLP((2 * packing,), (), HIDDEN, scale=4.0)
    return game


def compared() -> PacGAN:
    """Minibatch discrimination: the only thing that couples samples."""
    game = packed(1)
    game.discriminator = Compared()
    return game


def unrolled() -> UnrolledGAN:
    """The generator looks five steps of the discriminator ahead."""
    game = UnrolledGAN(latent=LATENT, unroll=5, lr=LR, discriminator_lr=LR, betas=BETAS)
    game.discriminator = MLP((2,), (), HIDDEN, scale=4.0)
    return game


METHODS: dict[str, tuple[str, int, Callable[[], Samples]]] = {
    "gan": ("GAN", 1, lambda: packed(1)),
    "minibatch": ("minibatch discrimination", 1, compared),
    "unrolled": ("unrolled GAN, 5 steps", 1, unrolled),
    **{f"pacgan{m}": (f"PacGAN, packs of {m}", m, lambda m=m: packed(m)) for m in (2, 3, 4)},  # type: ignore[misc]
}


def run(method: str, seed: int) -> dict[str, Any]:
    """Trains a method once and counts the modes of its samples."""
    _, packing, make = METHODS[method]
    torch.manual_seed(seed)
    game = make()
    game.generator = MLP((LATENT,), (2,), HIDDEN)
    for layer in game.modules():
        if isinstance(layer, nn.Linear):
            nn.init.orthogonal_(layer.weight)
            nn.init.zeros_(layer.bias)
    data = Grid(batch_size=INPUTS * packing)
    if isinstance(game.discriminator, Compared):
        game.discriminator.begin(torch.from_numpy(data.read("train").values[:INPUTS]))
    images = data.batch_size * STEPS
    game.engine = Engine(seed=seed, decay=(images // 2, images), log_every=STEPS)
    trainer = measured.trainer(max_steps=STEPS)
    began = time.process_time()
    trainer.fit(game, data)
    seconds = time.process_time() - began
    found = mode_coverage(game.sample(SAMPLES, seed=0), torch.from_numpy(data.centres), data.std)
    counted = {"modes": found.reached, "covered": found.covered, "quality": found.quality}
    return counted | {"divergence": found.divergence, "seconds": seconds}


def table(runs: dict[str, list[dict[str, Any]]]) -> str:
    """The runs in Markdown: mean and standard error, as in the paper."""
    lines = [
        "| method | seeds | modes of 25 | with a tenth of their share | of high quality, % | KL of the modes | CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    for method, several in runs.items():
        columns = [[r["modes"] for r in several], [r["covered"] for r in several]]
        columns += [[100 * r["quality"] for r in several], [r["divergence"] or 0.0 for r in several]]
        shown = [measured.spread(values, digits, True) for values, digits in zip(columns, (1, 1, 1, 2), strict=True)]
        seconds = statistics.mean(r["seconds"] for r in several)
        lines.append(f"| {METHODS[method][0]} | {len(several)} | {' | '.join(shown)} | {seconds:.0f} |")
    return "\n".join(lines)


def picture(runs: dict[str, list[dict[str, Any]]]) -> Image.Image:
    """A row a method, a dot a seed: modes with a sample, modes with a tenth of their share, and quality."""
    from ganzoo.media.charts import COLOURS, drawn, panels

    figure, axes = panels(1, 3, (960, 80 + 26 * len(runs)), sharey=True)
    shown = (("modes", "modes with a sample", 1), ("covered", "with a tenth of their share", 1))
    for ax, (key, title, scale) in zip(axes, (*shown, ("quality", "of high quality, %", 100)), strict=True):
        for i, several in enumerate(runs.values()):
            values = [scale * r[key] for r in several]
            ax.plot(values, [i] * len(values), "o", color=COLOURS[0], markersize=5, alpha=0.6)
            ax.plot([statistics.mean(values)], [i], "|", color=COLOURS[1], markersize=16)
        ax.set(title=title, xlim=(0, None if scale > 1 else 26), ylim=(len(runs) - 0.5, -0.5))
        ax.set_yticks([])
    for i, method in enumerate(runs):
        look: dict[str, Any] = {"transform": axes[0].get_yaxis_transform(), "ha": "right", "va": "center", "size": 8}
        axes[0].text(-0.02, i, METHODS[method][0], **look)
    return drawn(figure)


def main() -> None:
    made = measured.parser(__doc__)
    made.add_argument("--methods", nargs="+", default=[*METHODS], choices=[*METHODS])
    made.add_argument("--seeds", type=int, default=10)
    made.add_argument("--runs", type=Path, default=Path("runs/pacgan"), help="where each run's figures are kept")
    made.add_argument("--picture", type=Path, help="where to draw each seed's figures")
    made.add_argument("--kept", action="store_true", help="shows what runs there are, and makes none")
    options = made.parse_args()
    measured.quiet()
    runs: dict[str, list[dict[str, Any]]] = {method: [] for method in options.methods}
    for seed in range(options.seeds):  # all methods of a seed first, so that what is there can be compared at any time
        for method in options.methods:
            file = options.runs / f"{method}-{seed}.json"
            if found := measured.once(file, partial(run, method, seed), anew=not options.kept):
                runs[method].append(found)
    runs = {method: several for method, several in runs.items() if several}
    if options.picture is not None:
        picture(runs).save(options.picture, optimize=True)
    measured.show(table(runs), options.out)


if __name__ == "__main__":
    main()
