"""Races: families trained on the same pictures for the same minutes of a core, and scored on the way.

    OMP_NUM_THREADS=1 python benchmarks/races.py hundred --minutes 10 --out docs/hundred.md --pictures docs/pictures
    OMP_NUM_THREADS=1 python benchmarks/races.py projected --minutes 12 --out docs/projected.md --pictures docs/pictures
    OMP_NUM_THREADS=1 python benchmarks/races.py inference --minutes 3 --seeds 3 --out docs/inference.md
    OMP_NUM_THREADS=1 python benchmarks/races.py recall --minutes 3 --seeds 3 --out docs/recall.md

`hundred` has 100 avatars: FastGAN beside StyleGAN2 with adaptive augmentation, by the kernel distance to 2,000 avatars
that neither saw. `projected` has all 18,000: a projected GAN beside StyleGAN2, by the Fréchet distance; its critics
look through MobileNetV2, so that what counts is what another network sees, the avatars' own classifier. `inference` has
encoders that play beside a generator of 8x8 digits: BiGAN's, ALI's and IAN's, by what they give back of test pictures
and by the nearest neighbours of their codes. `recall` has a denoising diffusion GAN beside R3GAN on the same digits:
how many of the real ones lie among the samples. Minutes are the processor time of training alone, in one process with
one thread; rates are constant, and scores those of the moving averages that the papers have. A run that is in `--runs`
already is not made again: what was stopped goes on.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import measured
import numpy as np
import torch

from ganzoo.data.avatars import Avatars
from ganzoo.data.batch import Data, Images
from ganzoo.data.digits import Digits
from ganzoo.families.ali import ALI
from ganzoo.families.bigan import BiGAN
from ganzoo.families.ddgan import DDGAN
from ganzoo.families.fastgan import FastGAN
from ganzoo.families.introspective_ian import IAN
from ganzoo.families.projected_gan import ProjectedGAN
from ganzoo.families.r3gan import R3GAN
from ganzoo.families.stylegan2 import StyleGAN2
from ganzoo.game.abilities import Samples
from ganzoo.game.engine import Engine
from ganzoo.media.medium import save_grid
from ganzoo.media.provenance import made_by
from ganzoo.metrics.evaluate import measure
from ganzoo.training.scores import subject_of
from ganzoo.zoo.helpers import resolve_helpers

SIZE = 32
STYLED: dict[str, Any] = {  # the networks of recipes/stylegan2/fashion-mnist.yaml, in color and without classes
    **{"size": SIZE, "latent": 64, "style": 64, "widths": (32, 32, 24, 16), "mapping_layers": 2},
    **{"discriminator_layers": 1, "mixing": 0, "gamma": 0.01, "path": 0, "lr": 0.0025},
}
SMALL: dict[str, Any] = {"size": 8, "channels": 1}  # digits
DIFFUSING: dict[str, Any] = {
    **{"latent": 32, "width": 16, "multipliers": (1, 2), "blocks": 1, "attended": (4,), "style": 64},
    **{"mapping_layers": 2, "discriminator_widths": (16, 32, 64), "downsamplings": 2, "time_features": 64},
    **{"lr": 1e-3, "discriminator_lr": 5e-4, "decay_kimg": 0},  # those of recipes/ddgan/fashion-mnist.yaml
}
PAIRED: dict[str, Any] = {
    **{"latent": 32, "widths": (64, 32), "groups": (1, 1), "depths": (1, 1), "expansion": 1, "augment": 0},
    **{
        "gamma": 1,
        "final_gamma": 1,
        "lr": 1e-3,
        "final_lr": 1e-3,
    },  # at first those of recipes/r3gan/fashion-mnist.yaml
}


class Few(Avatars):
    """Avatars of which the first few are for training; all others for testing are as they were."""

    def __init__(self, count: int, **options: Any) -> None:
        super().__init__(**options)
        self.count = count

    def read(self, split: str) -> Images:
        """The split; of that for training the first."""
        whole = super().read(split)
        return whole.part(np.arange(len(whole)) < self.count, split) if split == "train" else whole


@dataclass(frozen=True)
class Race:
    """What is raced on, who races, and what is measured.

    Args:
        data: makes the pictures.
        entries: a family's game by its name; the last is what the others are held against.
        keys: scores, of which the first counts, the less the better.
        average: the half-life of the moving average, in images; None for the papers'.
        until: whether the page says when each reached the last score of the last.
    """

    data: Callable[[], Data]
    entries: Mapping[str, Callable[[], Samples]]
    keys: tuple[str, ...]
    average: float | None = None
    until: bool = False


def pictures(source: type[Avatars], **options: Any) -> Data:
    """Avatars of squares, in color."""
    return source(style="pixel-art", size=SIZE, batch_size=16, flip=True, **options)


RACES = {
    "hundred": Race(
        data=partial(pictures, Few, count=100),
        entries={
            "FastGAN": partial(FastGAN, size=SIZE, width=16, discriminator_width=16),
            "StyleGAN2 + ADA": partial(StyleGAN2, **STYLED, augment="ada", augment_images=50_000),
        },
        keys=("kid2k_avatars_age_test", "kid2k_mobilenet_v2_test"),
        until=True,
    ),
    "projected": Race(
        data=partial(pictures, Avatars),
        entries={
            "projected GAN": partial(ProjectedGAN, size=SIZE, width=32, lite=True, seen=128, separable=True),
            "StyleGAN2": partial(StyleGAN2, **STYLED),
        },
        keys=("fd2k_avatars_age_test", "fd2k_mobilenet_v2_test"),
        until=True,
    ),
    "inference": Race(
        data=partial(Digits, batch_size=64),
        entries={
            "BiGAN": partial(BiGAN, **SMALL, latent=32, width=16, features=128),
            "ALI": partial(ALI, **SMALL, latent=32, width=16, lr=3e-4),
            "IAN": partial(IAN, **SMALL, latent=32, width=16, hidden_units=128, kernels=25, lr=5e-4),
        },
        keys=("rec360_pixels_test", "knn360_model_test_k1", "fd10k_digits_cnn"),
        average=20_000,
    ),
    "recall": Race(
        data=partial(Digits, batch_size=32),
        entries={
            "DDGAN": partial(DDGAN, **SMALL, **DIFFUSING),
            "R3GAN": partial(R3GAN, **SMALL, **PAIRED),
        },
        keys=("fd10k_digits_cnn", "pr10k_digits_cnn_k3/precision", "pr10k_digits_cnn_k3/recall"),
        average=20_000,
    ),
}


class Clock(L.Callback):
    """Measures a game at so many even parts of its minutes, and ends it with the last.

    Args:
        keys: what is measured.
        seconds: of processor time, the measuring not counted.
        marks: how many parts.
    """

    def __init__(self, keys: Sequence[str], seconds: float, marks: int) -> None:
        self.keys, self.seconds, self.marks, self.begun = keys, seconds, marks, 0.0
        self.points: list[dict[str, Any]] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begins to count."""
        self.begun = time.process_time()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
        """Measures when it is time."""
        spent = time.process_time() - self.begun
        if spent < self.seconds * (len(self.points) + 1) / self.marks:
            return
        game: Any = pl_module
        game.finalize()
        with game.synchronized():
            scores = measure(subject_of(game), trainer.datamodule, self.keys, floors=False)  # type: ignore[attr-defined]
        found = {score.key: score.value for score in scores}
        self.points.append({"minutes": spent / 60, "images": game.images_seen, **found})
        print(self.points[-1], flush=True)
        trainer.should_stop = len(self.points) == self.marks
        self.begun += time.process_time() - self.begun - spent


def run(name: str, entry: str, minutes: float, marks: int, seed: int, folder: Path | None) -> dict[str, Any]:
    """Trains an entry, and draws 48 of its samples."""
    race = RACES[name]
    torch.manual_seed(seed)
    game = race.entries[entry]()
    resolve_helpers(game)
    game.engine = Engine(seed=seed, average=race.average or "paper")
    clock = Clock(list(dict.fromkeys(key.partition("/")[0] for key in race.keys)), 60 * minutes, marks)
    measured.trainer(max_steps=10**9, callbacks=[clock]).fit(game, race.data())
    if folder is not None:
        with made_by(game):
            save_grid(game.sample(48, seed=0), folder / f"race-{name}-{short(entry)}.png", columns=12)
    return {"points": clock.points}


def short(entry: str) -> str:
    """An entry's name in a file's."""
    return "-".join(entry.lower().replace("+", "").split())


def table(race: Race, runs: dict[str, list[list[dict[str, Any]]]]) -> str:
    """A row a mark of each entry, a mean over the seeds; then who reached the scores of the last entry, and when."""
    heads = ["minutes", "family", "images seen", *(f"`{key}`" for key in race.keys)]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for at in range(max(len(points) for several in runs.values() for points in several)):
        for entry, several in runs.items():
            marks = [points[at] for points in several if at < len(points)]
            if marks:
                cells = [f"{statistics.mean(mark['images'] for mark in marks):,.0f}"]
                cells += [measured.spread([mark[key] for mark in marks], 3) for key in race.keys]
                spent = statistics.mean(mark["minutes"] for mark in marks)
                lines.append(f"| {spent:.1f} | {entry} | {' | '.join(cells)} |")
    if not race.until:
        return "\n".join(lines)
    goal = statistics.mean(points[-1][race.keys[0]] for points in runs[list(runs)[-1]])
    lines += ["", f"| `{race.keys[0]}` of {goal:.3f} at the latest after | images | minutes |", "|---|---|---|"]
    for entry, several in runs.items():
        hits = [next((mark for mark in points if mark[race.keys[0]] <= goal), None) for points in several]
        there = [mark for mark in hits if mark is not None]
        cells = ["not reached", ""]
        if len(there) == len(hits):
            cells = [f"{statistics.mean(m[key] for m in there):,.{d}f}" for key, d in (("images", 0), ("minutes", 1))]
        lines.append(f"| {entry} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = measured.parser(__doc__)
    parser.add_argument("race", choices=[*RACES])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--marks", type=int, default=6, help="how often is measured")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=Path("runs/races"), help="where each run's figures are kept")
    parser.add_argument("--pictures", type=Path, help="a folder for samples of what is trained, of the first seed")
    given = parser.parse_args()
    measured.quiet()
    race = RACES[given.race]
    runs: dict[str, list[list[dict[str, Any]]]] = {entry: [] for entry in race.entries}
    for seed in range(given.seeds):
        for entry in race.entries:
            file = given.runs / f"{given.race}-{short(entry)}-{given.minutes:g}-{seed}.json"
            folder = None if seed else given.pictures
            make = partial(run, given.race, entry, given.minutes, given.marks, seed, folder)
            runs[entry].append(measured.once(file, make)["points"])
    measured.show(table(race, runs), given.out)


if __name__ == "__main__":
    main()
