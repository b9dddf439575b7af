"""Test error with few labels: classifiers of the improved GAN, CatGAN and CC-GAN beside networks of labels alone.

    OMP_NUM_THREADS=1 python benchmarks/semi_supervised.py --out docs/semi_supervised.md

The improved GAN's and the supervised network have the same layers, noise, data-dependent first scales, optimizer,
learning rates, number of updates and moving average; an update of either sees as many labelled images. What differs is
that the GAN's sees as many unlabelled and twice as many generated images beside them. CatGAN's network has as many
layers of the same widths, with batch normalization in place of weight normalization, and its own optimizer. CC-GAN's
is of convolutions, as it judges filled holes. Seeds choose labels, weights, batches and noise.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import measured
import torch
import torch.nn.functional as F
from torch import Tensor

from ganzoo.data.batch import Data, Images
from ganzoo.data.digits import Digits
from ganzoo.data.fashion_mnist import FashionMNIST
from ganzoo.data.partly_labelled import choose
from ganzoo.families.catgan import CatGAN
from ganzoo.families.ccgan import CCGAN
from ganzoo.families.improved_gan import ImprovedGAN
from ganzoo.game.abilities import Classifies
from ganzoo.game.engine import Engine, MovingAverage
from ganzoo.media.levels import to_float

SEEDS = (0, 1, 2)
COLUMNS = ("improved GAN", "CatGAN", "CC-GAN", "supervised")
GAN = TypeVar("GAN", ImprovedGAN, CatGAN, CCGAN)


@dataclass(frozen=True)
class Setting:
    """A data set, the networks, and how long they learn.

    Args:
        title: of the data set.
        source: its class.
        options: the source's further arguments.
        known: numbers of labels.
        arguments: of the family,
        convolutions: and of CC-GAN.
        batch_size: labelled and unlabelled images of an update.
        steps: updates.
    """

    title: str
    source: Any
    options: dict[str, Any]
    known: tuple[int, ...]
    arguments: dict[str, Any]
    convolutions: dict[str, Any]
    batch_size: int
    steps: int

    def engine(self, seed: int) -> Engine:
        """Learning rates fall to 0 in the second half, and weights are averaged."""
        images = self.batch_size * self.steps
        return Engine(seed=seed, average=20_000, decay=(images // 2, images))


FILLING = {"channels": 1, "width": 16, "downsamplings": 2, "discriminator_width": 16, "layers": 2, "lr": 0.001}
SETTINGS = (
    Setting(
        title="digits (8x8)",
        source=Digits,
        options={},
        known=(20, 50, 100, 200),
        arguments={"size": 8, "latent": 32, "hidden": (128, 128), "discriminator_hidden": (256, 128, 128)},
        convolutions=FILLING | {"size": 8},
        batch_size=100,
        steps=800,
    ),
    Setting(
        title="Fashion-MNIST (28x28)",
        source=FashionMNIST,
        options={"size": 28},
        known=(200,),
        arguments={"size": 28, "hidden": (256, 256), "discriminator_hidden": (256, 256, 128)},
        convolutions=FILLING | {"size": 28},
        batch_size=100,
        steps=1500,
    ),
)


def adversarial(game: GAN, setting: Setting, data: Data) -> GAN:
    """Trains a GAN."""
    measured.trainer(max_steps=setting.steps).fit(game, data)
    return game


def supervised(setting: Setting, images: Images, told: Any, seed: int) -> ImprovedGAN:
    """Trains the discriminator's network on the labelled images alone."""
    game = made(ImprovedGAN, setting, seed)
    network, engine, half = game.discriminator, game.engine, setting.batch_size // 2
    inputs, labels = all_of(images, told)
    optimizer = game.adam(network.parameters())
    network.initialize(inputs, lambda value: value)
    average = MovingAverage(network)
    rate = optimizer.param_groups[0]["lr"]
    for step, rows in enumerate(rounds(len(inputs), half, setting.steps, seed)):
        seen = (step + 1) * setting.batch_size
        optimizer.param_groups[0]["lr"] = rate * engine.rate(seen)
        optimizer.zero_grad()
        F.cross_entropy(network(inputs[rows])[0], labels[rows]).backward()
        optimizer.step()
        rampup = engine.rampup_of(trained=False)
        assert isinstance(engine.average, float | int) and rampup is not None
        average.update(network, 0.5 ** (setting.batch_size / min(engine.average, seen * rampup)))
    game._averages["discriminator"] = average
    return game


def made(family: type[GAN], setting: Setting, seed: int) -> GAN:
    """A game with the weights of a seed."""
    torch.manual_seed(seed)
    game = family(**(setting.convolutions if family is CCGAN else setting.arguments))
    game.engine = setting.engine(seed)
    return game


def rounds(n: int, size: int, steps: int, seed: int) -> Iterator[Tensor]:
    """Rows of so many batches, in endless concatenated permutations of n."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.cat([torch.randperm(n, generator=generator) for _ in range(-(-size * steps // n))])
    yield from order[: size * steps].reshape(steps, size)


def all_of(images: Images, rows: Any = None) -> tuple[Tensor, Tensor]:
    """Images in [-1, 1] and their labels."""
    batch = images.batch(range(len(images)) if rows is None else rows)
    assert batch.labels is not None
    return to_float(batch.images), batch.labels


def error(game: Classifies, test: Images) -> float:
    """The share of test images of which the averaged classifier tells another class."""
    inputs, labels = all_of(test)
    return float((game.classify(inputs, batch_size=500).argmax(1) != labels).double().mean())


def measure(setting: Setting, known: int, seed: int, columns: list[str]) -> list[float]:
    """Test errors, of the columns that are asked for."""
    data = setting.source(batch_size=setting.batch_size, known=known, known_seed=seed, **setting.options)
    train, test = data.open("train"), data.open("test")
    told = choose(train.labels, len(train.classes), known, seed)
    makes: dict[str, Callable[[], Classifies]] = {
        "improved GAN": lambda: adversarial(made(ImprovedGAN, setting, seed), setting, data),
        "CatGAN": lambda: adversarial(made(CatGAN, setting, seed), setting, data),
        "CC-GAN": lambda: adversarial(made(CCGAN, setting, seed), setting, data),
        "supervised": lambda: supervised(setting, train, told, seed),
    }
    return [error(makes[column](), test) for column in columns]


def main() -> None:
    parser = measured.parser(__doc__)
    parser.add_argument("--only", help="the beginning of a data set's title")
    parser.add_argument("--known", type=int, help="one number of labels")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many")
    parser.add_argument("--columns", nargs="+", default=list(COLUMNS), choices=COLUMNS)
    arguments = parser.parse_args()
    measured.quiet()
    began = time.process_time()
    rows = []
    for setting in SETTINGS:
        for known in setting.known:
            chosen = setting.title.startswith(arguments.only or "")
            if not chosen or arguments.known not in (None, known):
                continue
            found = [measure(setting, known, seed, arguments.columns) for seed in SEEDS[: arguments.seeds]]
            cells = [measured.spread([100 * error for error in errors], 1) for errors in zip(*found, strict=True)]
            rows.append(f"| {setting.title} | {known} | {' | '.join(cells)} |")
            runs = ", ".join(" and ".join(f"{100 * value:.1f}" for value in errors) for errors in found)
            print(f"{rows[-1]} {runs}; {time.process_time() - began:.0f} s", flush=True)
    head = [f"| data | labels | {' | '.join(arguments.columns)} |", f"|---|---|{'---|' * len(arguments.columns)}"]
    measured.show("\n".join([*head, *rows]), arguments.out)


if __name__ == "__main__":
    main()
