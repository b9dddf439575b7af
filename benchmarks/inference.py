"""Inference: what encoders that play beside a generator give back of a picture, and what their codes are good for.

    OMP_NUM_THREADS=1 python benchmarks/inference.py bigan-fashion-mnist ali-fashion-mnist --out docs/inference.md

Of 2,000 test pictures x the root of the mean squared difference to G(E(x)), pixels in [-1, 1]; the share of these
reconstructions that the shipped classifier takes for the class of x (of x itself in the first row); and the share of
the same pictures whose class is that of their nearest neighbour's code among 10,000 training pictures (of the pixels in
the first row).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import measured
from torch import Tensor

import ganzoo
from ganzoo.data.fashion_mnist import FashionMNIST
from ganzoo.media.levels import to_float, to_uint8
from ganzoo.metrics.features.network import feature_network
from ganzoo.metrics.functional.neighbours import nearest_neighbours

TESTED, KNOWN = 2_000, 10_000


def agreement(images: Tensor, labels: Tensor) -> float:
    """How often the classifier gives the class."""
    found = feature_network("fashion_mnist_cnn").probabilities(to_uint8(images)).argmax(1)
    return float((found == labels).double().mean())


def row(name: str, back: Tensor, codes: tuple[Tensor, Tensor], test: Any, train: Any) -> str:
    """A line of the table, of reconstructions and of the codes of test and training pictures."""
    error = float((back - test.images).double().square().mean().sqrt())
    nearest = nearest_neighbours(*codes).rows[:, 0]
    right = float((train.labels[nearest] == test.labels).double().mean())
    return f"| {name} | {error:.3f} | {agreement(back, test.labels):.3f} | {right:.3f} |"


def main() -> None:
    parser = measured.parser(__doc__)
    parser.add_argument("models", nargs="+", help="names or folders of models that encode")
    arguments = parser.parse_args()
    measured.quiet()
    data = FashionMNIST()
    test, train = (
        data.open(split).batch(range(0, len(data.open(split)), len(data.open(split)) // count))
        for split, count in (("test", TESTED), ("train", KNOWN))
    )
    test, train = (type(each)(to_float(each.images), each.labels) for each in (test, train))
    lines = ["| model | error | same class | nearest neighbour |", "|---|---|---|---|"]
    flat = test.images.flatten(1), train.images.flatten(1)
    lines.append(row("the picture itself", test.images, flat, test, train))
    for name in arguments.models:
        model: Any = ganzoo.load(name)
        codes = model.encode(test.images), model.encode(train.images)
        lines.append(row(Path(name).name, model.sample(z=codes[0]), codes, test, train))
        print(lines[-1], flush=True)
    measured.show("\n".join(lines), arguments.out, "<!-- shipped -->\n")


if __name__ == "__main__":
    main()
