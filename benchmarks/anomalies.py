"""Anomaly detection: each class of Fashion-MNIST held out of training, and then told from the nine others.

    OMP_NUM_THREADS=1 python benchmarks/anomalies.py --folder runs/anomalies --out docs/anomalies.md

For each class AnoGAN and f-AnoGAN, narrow, learn the nine others, and score test pictures of all ten. The figure is the
area under the ROC curve: how often a picture of the class held out has a higher score than one of the others. Beside
them the squared distance from what 32 principal components of the same training pictures leave: what needs no GAN.
Figures are means over the seeds, and their standard deviations. What is in the
folder is not measured again, so that a run that was stopped goes on.
"""

from __future__ import annotations

import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

import measured
import numpy as np
import numpy.typing as npt
import torch

from ganzoo.data.batch import Images
from ganzoo.data.fashion_mnist import CLASSES, FashionMNIST
from ganzoo.families.anogan import AnoGAN
from ganzoo.families.f_anogan import FAnoGAN
from ganzoo.game.engine import Engine
from ganzoo.media.levels import to_float

METHODS = ("principal components", "AnoGAN", "f-AnoGAN")
SEARCHED = 30  # test pictures a class that AnoGAN searches for; the others score 1,000 of each


class Without(FashionMNIST):
    """Fashion-MNIST whose training pictures lack a class."""

    def __init__(self, held_out: int, **options: Any) -> None:
        super().__init__(**options)
        self.held_out = held_out

    def read(self, split: str) -> Images:
        """The split, for training without the class."""
        whole = super().read(split)
        assert whole.labels is not None
        return whole.part(whole.labels != self.held_out, split) if split == "train" else whole


def auroc(scores: npt.NDArray[Any], strange: npt.NDArray[np.bool_]) -> float:
    """How often a strange picture's score is above another's, a tie counting half."""
    above = np.sort(scores[~strange])
    below = np.searchsorted(above, scores[strange], "left") + np.searchsorted(above, scores[strange], "right")
    return float(below.mean() / (2 * len(above)))


def trained(game: Any, data: Without, images: int, steps: int, seed: int) -> Any:
    """Trains a game for so many steps; rates fall in the second half of the images."""
    game.engine = Engine(seed=seed, average=10_000, decay=(images // 2, images))
    measured.trainer(max_steps=steps).fit(game, data)
    return game.eval()


def anogan(data: Without, images: int, seed: int) -> AnoGAN:
    """A narrow DCGAN."""
    torch.manual_seed(seed)
    game = AnoGAN(size=32, latent=32, width=16, lr=1e-3, reuse=True, search_steps=100, search_rate=0.05)
    made: AnoGAN = trained(game, data, images, images // 64, seed)
    return made


def f_anogan(data: Without, images: int, seed: int) -> FAnoGAN:
    """A narrow Wasserstein GAN for two thirds of the images, and its encoder for the last one."""
    torch.manual_seed(seed)
    drawing = 2 * images // 3
    game = FAnoGAN(
        size=32,
        latent=32,
        widths=(64, 32, 24, 16),
        discriminator_widths=(16, 32, 64),
        n_critic=2,
        lr=1e-3,
        betas=(0.5, 0.9),
        gan_images=drawing,
        encoder_lr=5e-4,
    )
    made: FAnoGAN = trained(game, data, 2 * images, drawing // 128 + (images - drawing) // 64, seed)
    return made


def components(train: torch.Tensor, test: torch.Tensor, count: int = 32) -> torch.Tensor:
    """The squared distance of test pictures from the plane of the training pictures' first components."""
    mean = train.mean(0)
    axes = torch.linalg.eigh((train - mean).T @ (train - mean))[1][:, -count:]
    rest = test - mean
    return (rest - rest @ axes @ axes.T).square().sum(1)


def measure(held_out: int, images: int, seed: int) -> dict[str, float]:
    """The areas under the curve of each method, and the minutes of a core."""
    began = time.process_time()
    data = Without(held_out, batch_size=64)
    test = data.open("test")
    assert test.labels is not None
    pictures, strange = to_float(test.batch(range(len(test))).images), test.labels == held_out
    few = np.concatenate([np.flatnonzero(test.labels == label)[:SEARCHED] for label in range(len(CLASSES))])
    train = data.open("train")
    known = to_float(train.batch(range(0, len(train), 5)).images).flatten(1)
    found = {METHODS[0]: auroc(components(known, pictures.flatten(1)).numpy(), strange)}
    found[METHODS[1]] = auroc(anogan(data, images, seed).detect(pictures[few]).numpy(), strange[few])
    found[METHODS[2]] = auroc(f_anogan(data, images, seed).detect(pictures).numpy(), strange)
    return found | {"minutes": (time.process_time() - began) / 60}


def table(rows: dict[int, list[dict[str, float]]]) -> str:
    """A row a class, of its seeds, and the mean over the classes."""
    lines = ["| held out | " + " | ".join(METHODS) + " |", "|---" * (len(METHODS) + 1) + "|"]
    means = [
        {method: statistics.mean(row[method] for row in of_seed) for method in METHODS}
        for of_seed in zip(*rows.values(), strict=True)
    ]
    for name, several in [*((CLASSES[label], rows[label]) for label in sorted(rows)), ("mean", means)]:
        cells = (measured.spread([row[method] for row in several], 3) for method in METHODS)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = measured.parser(__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where the figures of each class are kept")
    parser.add_argument("--classes", type=int, nargs="*", default=range(len(CLASSES)), help="which are held out")
    parser.add_argument("--images", type=int, default=60_000, help="that each of the two models is trained on")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    measured.quiet()
    rows: dict[int, list[dict[str, float]]] = {label: [] for label in arguments.classes}
    for seed in arguments.seeds:
        for label, of_label in rows.items():
            file = arguments.folder / f"{label}-{arguments.images}-{seed}.json"
            of_label.append(measured.once(file, partial(measure, label, arguments.images, seed)))
    measured.show(table(rows), arguments.out)


if __name__ == "__main__":
    main()
