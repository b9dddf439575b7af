"""Sanity curves: what each metric says of real images that are made worse in a known way, step by step.

    python benchmarks/metrics_sanity.py --out docs/metrics

The images are the test split of Fashion-MNIST, the reference is of its training split. From left to right they get
noise, are blurred, come from fewer and fewer classes (mode dropping), or come more and more from classes that the
reference does not hold (mode invention; its reference holds the first five classes only). Writes `sanity.png` and
`sanity.json`.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ganzoo.data.batch import Images
from ganzoo.data.fashion_mnist import FashionMNIST
from ganzoo.media.charts import curve
from ganzoo.metrics import (
    density_coverage,
    feature_network,
    frechet_distance,
    inception_score,
    kernel_distance,
    nearest_neighbours,
    precision_recall,
)
from ganzoo.metrics.features.network import FeatureNetwork

STEPS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
KNOWN = 5  # classes of the reference where modes are invented

# metric: (title, whether a worse image moves it up, for noise, blur, dropping and invention; 0 where it may do either)
# (plain letters: the charts' font has no accents)
METRICS = {
    "fd": ("Frechet distance", (1, 1, 1, 1)),
    "kid": ("kernel distance", (1, 1, 1, 1)),
    "precision": ("precision", (-1, -1, 0, -1)),
    "recall": ("recall", (-1, -1, -1, 0)),
    "density": ("density", (-1, -1, 0, -1)),
    "coverage": ("coverage", (-1, -1, -1, -1)),
    "is": ("Inception Score", (-1, -1, -1, 0)),
    "nn": ("distance to the nearest real image", (1, 1, 0, 1)),
}


def noise(images: Tensor, strength: float) -> Tensor:
    """Gaussian noise of standard deviation 0.5 at full strength, on the scale of [-1, 1]."""
    drawn = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    return (images + 0.5 * strength * drawn).clamp(-1, 1)


def blur(images: Tensor, strength: float) -> Tensor:
    """A Gaussian of 2 pixels at full strength."""
    if not strength:
        return images
    sigma = 2 * strength
    reach = math.ceil(3 * sigma)
    weights = torch.exp(-(torch.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    weights = weights / weights.sum()
    padded = F.pad(images, (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))


def pick(images: Images, wanted: list[tuple[range, int]]) -> Tensor:
    """The first images of some classes: so many of each group of classes, on the scale of [-1, 1]."""
    assert images.labels is not None
    rows = [np.flatnonzero(np.isin(images.labels, list(classes)))[:count] for classes, count in wanted]
    return torch.from_numpy(images.values[np.concatenate(rows)]).float().div(127.5).sub(1)


def kept(strength: float) -> int:
    """How many of the ten classes are left: 10, 8, 6, 4, 2 and at last 1."""
    return max(1, round(10 - 10 * strength))


def damaged(images: Images, n: int) -> dict[str, Callable[[float], Tensor]]:
    """The four ways to make images worse, each from a strength in [0, 1]."""
    whole = pick(images, [(range(10), n)])
    return {
        "noise": lambda s: noise(whole, s),
        "blur": lambda s: blur(whole, s),
        # 10, 8, 6, 4, 2 and at last 1 class, each with n / 10 images
        "mode dropping": lambda s: pick(
            images, [(range(c, c + 1), n // 10) for c in range(max(1, round(10 - 10 * s)))]
        ),
        "mode invention": lambda s: pick(
            images, [(range(KNOWN), n // 2 - round(s * n / 4)), (range(KNOWN, 10), round(s * n / 4))]
        ),
    }


def measure(network: FeatureNetwork, real: Tensor, images: Tensor) -> dict[str, float]:
    """All metrics of some images, given the features of the real ones."""
    seen = [network.both(part) for part in images.split(100)]
    features = torch.cat([each for each, _ in seen])
    probabilities = torch.cat([each for _, each in seen if each is not None])
    shuffled = probabilities[torch.randperm(len(probabilities), generator=torch.Generator().manual_seed(0))]
    size = min(1000, len(features) // 2)
    fidelity, fraction = precision_recall(real, features), density_coverage(real, features)
    return {
        "fd": frechet_distance(real, features),
        "kid": kernel_distance(real, features, subsets=10, subset_size=size).mean,
        "precision": fidelity.precision,
        "recall": fidelity.recall,
        "density": fraction.density,
        "coverage": fraction.coverage,
        "is": inception_score(shuffled, splits=1).mean,
        "nn": float(nearest_neighbours(features, real).distances.mean()),
    }


def curves(network: FeatureNetwork, n: int) -> dict[str, dict[str, list[float]]]:
    """For every metric and way to damage images, its values along the steps."""
    train, test = FashionMNIST().open("train"), FashionMNIST().open("test")
    references = {
        "all": torch.cat([network(part) for part in pick(train, [(range(10), n)]).split(100)]),
        "known": torch.cat([network(part) for part in pick(train, [(range(KNOWN), n // 2)]).split(100)]),
    }
    found: dict[str, dict[str, list[float]]] = {metric: {} for metric in METRICS}
    for way, make in damaged(test, n).items():
        real = references["known" if way == "mode invention" else "all"]
        for strength in STEPS:
            values = measure(network, real, make(strength))
            print(f"{way:16}{strength:5.1f}  " + "  ".join(f"{k} {v:.4g}" for k, v in values.items()), flush=True)
            for metric, value in values.items():
                found[metric].setdefault(way, []).append(value)
    return found


def right_way(found: dict[str, dict[str, list[float]]]) -> list[str]:
    """Where a metric does not move as it should between no damage and full damage; empty when all is well."""
    wrong = []
    for metric, (_, signs) in METRICS.items():
        for sign, (way, values) in zip(signs, found[metric].items(), strict=True):
            if sign and sign * (values[-1] - values[0]) <= 0:
                wrong.append(f"{metric} under {way}: {values[0]:.4g} to {values[-1]:.4g}")
    return wrong


def picture(found: dict[str, dict[str, list[float]]], title: str) -> Image.Image:
    """All curves: a chart for each metric, two side by side."""
    charts = [
        curve(
            {way: (STEPS, v) for way, v in found[m].items()},
            None,
            f"{METRICS[m][0]}, {title}",
            "damage",
            size=(720, 400),
        )
        for m in METRICS
    ]
    width, height = charts[0].size
    whole = Image.new("RGB", (2 * width, (len(charts) + 1) // 2 * height), "white")
    for i, chart in enumerate(charts):
        whole.paste(chart, (i % 2 * width, i // 2 * height))
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="fashion_mnist_cnn", help="a feature network that gives classes")
    parser.add_argument("--n", type=int, default=5000, help="images")
    parser.add_argument("--out", type=Path, required=True, help="the folder of sanity.png and sanity.json")
    arguments = parser.parse_args()
    found = curves(feature_network(arguments.network), arguments.n)
    wrong = right_way(found)
    arguments.out.mkdir(parents=True, exist_ok=True)
    picture(found, arguments.network).save(arguments.out / "sanity.png", optimize=True)
    text = {"network": arguments.network, "n": arguments.n, "steps": STEPS, "curves": found, "wrong": wrong}
    (arguments.out / "sanity.json").write_text(json.dumps(text, indent=1) + "\n")
    print("\n".join(["These move the wrong way:", *wrong]) if wrong else "Every metric moves the right way.")


if __name__ == "__main__":
    main()
