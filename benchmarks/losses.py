"""All losses of the zoo beside each other on the ring, the grid and the digits: a table and a picture.

    OMP_NUM_THREADS=1 python benchmarks/losses.py --out docs/losses.md --runs runs/losses

Every loss is its family's own code. What it meets is the same for all: generator and critic (perceptrons for points,
DCGAN's without batch normalization in the critic for digits), Adam, rates that fall to 0 in the second half, and as
many batches. What belongs to a loss stays with it: EBGAN's critic is an autoencoder, the Wasserstein critics are
clipped or penalised and move five times to the generator's once. A run that is in `--runs` already is not made again.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import measured
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.optim import Adam

import ganzoo
from ganzoo.data.batch import Data
from ganzoo.data.digits import Digits
from ganzoo.data.mixtures import Grid, Ring
from ganzoo.families.ebgan import Autoencoder
from ganzoo.game.abilities import Samples
from ganzoo.game.engine import Engine, Player
from ganzoo.game.priors import Normal
from ganzoo.media.images import grid
from ganzoo.metrics.functional.modes import mode_coverage
from ganzoo.nn import dcgan
from ganzoo.nn.mlp import MLP

LATENT, HIDDEN, WIDTH, PROTOCOL = 16, (64, 64), 16, "fd10k_digits_cnn"

_FGAN = ("kl", "reverse_kl", "pearson", "hellinger", "jensen_shannon", "total_variation")
LOSSES: dict[str, tuple[str, dict[str, Any]]] = {  # by its row's name, the family and its arguments
    "gan, minimax": ("gan", {"loss": "minimax"}),
    "gan, non-saturating": ("gan", {}),
    "gan, maximum likelihood": ("gan", {"loss": "maximum-likelihood"}),
    "wgan": ("wgan", {}),
    "wgan_gp": ("wgan_gp", {}),
    "dragan": ("dragan", {}),
    "lsgan": ("lsgan", {}),
    "geometric_gan (hinge)": ("geometric_gan", {}),
    "rgan, standard": ("rgan", {"variant": "standard"}),
    "rgan, average": ("rgan", {"variant": "average"}),
    "r3gan": ("r3gan", {"widths": [4, 4], "groups": [1, 1], "depths": [1, 1], "augment": 0.0}),
    **{f"fgan, {name.replace('_', ' ')}": ("fgan", {"divergence": name}) for name in _FGAN},
    "ebgan": ("ebgan", {"margin": 1.0, "downsamplings": 2}),
    "bs_gan": ("bs_gan", {}),
}


@dataclass(frozen=True)
class Setting:
    """Data, and how long to learn.

    Args:
        data: makes the source.
        batches: of training.
        lr: of both players.
        betas: Adam's.
        average: half-life of the generator's moving average, in images; None for none.
    """

    data: Callable[[], Any]
    batches: int
    lr: float
    betas: tuple[float, float] = (0.5, 0.999)
    average: float | None = None


SETTINGS = {
    "ring": Setting(partial(Ring, batch_size=128), 1000, 2e-3),
    "grid": Setting(partial(Grid, batch_size=128), 4000, 2e-3),  # no loss has arrived there after 1000
    "digits": Setting(partial(Digits, batch_size=64), 400, 2e-3, average=1_000),
}


class Energy(nn.Module):
    """EBGAN's critic of points: an autoencoder whose code is the plane's two numbers again, after as many layers."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = MLP((2,), (2,), HIDDEN, scale=4.0), MLP((2,), (2,), HIDDEN)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Maps points `(N, 2)` to energies `(N,)` and codes `(N, 2)`."""
        code = self.encoder(x)
        return (self.decoder(code) - x).square().sum(1), code


def made(loss: str, points: bool, setting: Setting) -> Samples:
    """A family's game with the networks and the optimizer that all have."""
    family, arguments = LOSSES[loss]
    images = {"shape": [1, 8, 8]} if family in ("gan", "geometric_gan") else {"size": 8, "channels": 1}
    game: Samples = ganzoo.create(family, **images, **arguments)  # type: ignore[assignment]
    game.prior, energy = Normal(LATENT), family == "ebgan"
    critic: nn.Module
    if points:
        game.shape, game.generator = (2,), MLP((LATENT,), (2,), HIDDEN)
        critic = Energy() if energy else MLP((2,), (), HIDDEN, scale=4.0)
        for layer in (*game.generator.modules(), *critic.modules()):
            if isinstance(layer, nn.Linear):
                nn.init.orthogonal_(layer.weight)
                nn.init.zeros_(layer.bias)
    else:
        game.generator = dcgan.Generator(LATENT, 1, 8, WIDTH)
        critic = Autoencoder(1, WIDTH, 2) if energy else dcgan.Discriminator(1, 8, WIDTH, normalization=None)
    setattr(game, game._critic, critic)
    object.__setattr__(game, "momenta", None)  # of the first GAN, whose own optimizer has some
    adam = partial(Adam, lr=setting.lr, betas=setting.betas)
    theirs = game.players

    def players() -> dict[str, Player]:
        return {name: replace(player, optimizer=adam, schedule=None) for name, player in theirs().items()}

    object.__setattr__(game, "players", players)
    return game


def run(loss: str, where: str, seed: int, file: Path) -> dict[str, Any]:
    """Trains a loss once, keeps some samples in a file, and gives its figures."""
    setting = SETTINGS[where]
    data: Data = setting.data()
    torch.manual_seed(seed)
    game = made(loss, where != "digits", setting)
    images = data.batch_size * setting.batches
    game.engine = Engine(seed=seed, decay=(images // 2, images), average=setting.average, log_every=setting.batches)
    trainer = measured.trainer(max_steps=-1, max_epochs=1, limit_train_batches=setting.batches)
    began = time.process_time()
    trainer.fit(game, data)
    figures: dict[str, Any] = {"seconds": time.process_time() - began, "batches": game.batches_seen}
    if where == "digits":
        np.save(file, game.sample(16, seed=0).numpy())
        return figures | {"distance": ganzoo.evaluate(game, data, PROTOCOL)[PROTOCOL]}
    assert isinstance(data, Ring | Grid)
    points = game.sample(10_000, seed=0)
    np.save(file, points[:500].numpy())
    if not points.isfinite().all():
        return figures | {"modes": 0, "quality": 0.0}
    found = mode_coverage(points, torch.from_numpy(data.centres), data.std)
    return figures | {"modes": found.covered, "reached": found.reached, "quality": found.quality}


# ------------------------------------------------------------------------------------------------ the page


def table(runs: dict[tuple[str, str], list[dict[str, Any]]]) -> str:
    """The runs in Markdown, in the order of the losses."""
    lines = [
        "| loss | ring: modes of 8 | high quality, % | grid: modes of 25 | high quality, % | digits: distance | s |",
        "|---|---|---|---|---|---|---|",
    ]
    for loss in dict.fromkeys(name for name, _ in runs):
        ring, squares, digits = (runs.get((loss, where), []) for where in SETTINGS)
        cells = []
        for several in (ring, squares):
            cells.append(measured.spread([r["modes"] for r in several], 1))
            cells.append(measured.spread([100 * r["quality"] for r in several], 0))
        cells.append(measured.spread([r["distance"] for r in digits], 1))
        seconds = sum(statistics.mean(r["seconds"] for r in several) for several in (ring, squares, digits) if several)
        lines.append(f"| {loss} | {' | '.join(cells)} | {seconds:.0f} |")
    return "\n".join(lines)


def picture(folder: Path, losses: list[str]) -> Image.Image:
    """Samples of seed 0: each loss's on the ring, on the grid, and digits; three losses a row."""
    from matplotlib.figure import Figure

    from ganzoo.media.charts import drawn

    rows = -(-len(losses) // 3)
    figure = Figure((12.6, 1.62 * rows), dpi=100)
    for k, loss in enumerate(losses):
        for j, where in enumerate(SETTINGS):
            kept = folder / f"{name_of(loss, where, 0)}.npy"
            axes = figure.add_subplot(rows, 9, 9 * (k // 3) + 3 * (k % 3) + j + 1)
            axes.set_xticks([])
            axes.set_yticks([])
            if j == 0:
                axes.set_title(loss, size=9, loc="left", pad=3)
            if not kept.exists():
                continue
            samples = np.load(kept)
            if where == "digits":
                axes.imshow(np.asarray(grid(samples, columns=4, padding=1).convert("RGB")))
            else:
                limit = 3.0 if where == "ring" else 5.0
                axes.scatter(samples[:, 0], samples[:, 1], s=1.5, color="#0072b2", linewidths=0)
                axes.set_xlim(-limit, limit)
                axes.set_ylim(-limit, limit)
                axes.set_aspect("equal")
    figure.subplots_adjust(left=0.005, right=0.995, top=1 - 0.22 / (1.62 * rows), bottom=0.005, wspace=0.05, hspace=0.2)
    return drawn(figure)


def name_of(loss: str, where: str, seed: int) -> str:
    """Of a run's files."""
    plain = "".join(letter if letter.isalnum() else "-" for letter in loss)
    return f"{plain}_{where}_{seed}"


def main() -> None:
    parser = measured.parser(__doc__)
    parser.add_argument("--losses", nargs="+", default=[*LOSSES], choices=[*LOSSES])
    parser.add_argument("--settings", nargs="+", default=[*SETTINGS], choices=[*SETTINGS])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/losses"), help="where each run's figures are kept")
    parser.add_argument("--picture", type=Path, help="where to draw the samples of seed 0")
    parser.add_argument("--kept", action="store_true", help="shows what runs there are, and makes none")
    options = parser.parse_args()
    measured.quiet()
    runs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for seed in range(options.seeds):  # all of a seed first, so that what is there can be compared at any time
        for loss in options.losses:
            for where in options.settings:
                file = options.runs / f"{name_of(loss, where, seed)}.json"
                learn = partial(run, loss, where, seed, file.with_suffix(".npy"))
                if found := measured.once(file, learn, anew=not options.kept):
                    runs.setdefault((loss, where), []).append(found)
    if options.picture is not None:
        picture(options.runs, options.losses).save(options.picture, optimize=True)
    measured.show(table(runs), options.out)


if __name__ == "__main__":
    main()
