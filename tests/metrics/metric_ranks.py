"""What two ranks measure; run twice by test_metric_ranks.py, which compares.

The shards are uneven: chunks of 7 samples of which one rank has more, and rank 1 adds nothing to one of the states.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from ganzoo.data.batch import Images
from ganzoo.data.digits import Digits
from ganzoo.data.mixtures import Ring
from ganzoo.metrics import Score, StreamingMetric, Subject, feature_network, measure, perceptual_path_length
from ganzoo.metrics.functional.path import Paths, feature_distance
from ganzoo.types import BadData

KEYS = [
    "fd150_digits_cnn",
    "kid150_digits_cnn_5x40",
    "is150_digits_cnn_3splits",
    "pr150_digits_cnn_k3",
    "dc150_digits_cnn_k5",
    "nn150_digits_cnn",
    "acc150_digits_cnn",
    "fd150_digits_cnn_float",  # two views of one stream, of one width
    "fd100_digits_cnn_float_seed5",
]


def sample(n: int, *, seed: int, batch_size: int, labels: Tensor | None = None, **named: Any) -> Tensor:
    """A generator of noisy digits; image i depends on its seed and label alone."""
    images = Digits().open("test")
    found = []
    for i in range(n):
        random = np.random.RandomState(seed + i)
        rows = np.arange(len(images)) if labels is None else np.flatnonzero(images.labels == int(labels[i]))
        clean = images.values[rows[random.randint(len(rows))]] / 127.5 - 1
        found.append(np.clip(clean + 0.3 * random.randn(*clean.shape), -1, 1))
    return torch.from_numpy(np.stack(found).astype(np.float32))


def scores(**named: Any) -> list[Score]:
    """The scores of the generator above, and of a mixture."""
    train, test = Digits().open("train"), Digits().open("test")
    data = {"train": train, "test": test}
    found = measure(Subject(sample, classes=10), data, KEYS, batch_size=7, **named)
    ring = Ring(n=500).open("train")

    def draw(n: int, *, seed: int, batch_size: int, **named: Any) -> Tensor:
        return torch.from_numpy(ring.values[seed : seed + n])

    return [
        *found,
        *measure(Subject(draw), ring, ["modes300_ring", "fd200_points"], batch_size=7),
        *measure(able(), {"test": inverted()}, TASKS, batch_size=7),
        *measure(able(), data, ["knn100_model_test_k3"], batch_size=7),
    ]


TASKS = [
    *("mae40_pixels_test", "top40_digits_cnn_test", "dist40_digits_cnn_test_to-a", "err100_model_test"),
    "agree40_pixels_test_k1",
]


def inverted() -> Images:
    """Held-out digits, and as their targets the same digits in black on white."""
    own = Digits().open("test")
    return Images("inverted", own.values, own.labels, own.classes, "test", targets=255 - own.values)


def able() -> Subject:
    """A model that can do whatever is measured."""
    network = feature_network("digits_cnn")

    def views(n: int, *, view: int, **named: Any) -> Tensor:
        return sample(n, **named) * (1 - 2 * view)

    def translate(images: Tensor, *, to: str, seed: int, batch_size: int) -> Tensor:
        return (-images).clamp(-1, 0.9)

    return Subject(
        views,
        translate=translate,
        encode=lambda images: images.flatten(1)[:, :40],
        classify=lambda images: network.probabilities(images).log(),
        domains=("b", "a"),
        back="a",
        views=2,
        untrained=lambda: lambda images, **_: images,
    )


def values() -> dict[str, dict[str, float | None]]:
    """The numbers that must not depend on the ranks."""
    return {
        s.key: {"value": s.value, "spread": s.spread, "floor": s.floor, "ceiling": s.ceiling, **s.references}
        for s in scores()
    }


def feature_sets() -> dict[str, Tensor]:
    """Features to feed the states with."""
    generator = torch.Generator().manual_seed(0)
    return {
        "real": torch.randn(95, 8, generator=generator),
        "generated": torch.randn(80, 8, generator=generator) * 1.1,
        "probabilities": torch.randn(60, 5, generator=generator).softmax(1),
    }


STATES: dict[str, dict[str, Any]] = {
    "fd": {},
    "kid": {"subsets": 4, "subset_size": 30},
    "pr": {},
    "dc": {},
    "nn": {},
    "is": {"splits": 3},
    "acc": {},
}


def feed(name: str, metric: StreamingMetric, rank: int, world: int, indexed: bool) -> None:
    """Gives a rank's part of the sets to a metric, in batches of 20 of uneven number."""
    sets = feature_sets()
    kinds = {"is": ["probabilities"], "acc": ["probabilities"]}.get(name, ["real", "generated"])
    for kind in kinds:
        rows = sets[kind]
        index = torch.arange(len(rows))
        if world > 1 and not (kind == "generated" and indexed):
            index = index[:70] if rank == 0 else index[70:]  # uneven, and without overlap
        elif world > 1:
            # a sampler's padding: sample 0 comes twice; and rank 1 has none of the last samples
            index = (
                torch.cat([index[0::2], index[1::2][20:]]) if rank == 0 else torch.cat([index[1::2][:20], index[:1]])
            )
        if kind == "probabilities":  # a rank that adds nothing at all
            index = torch.arange(len(rows)) if rank == 0 else index[:0]
        for part in index.split(20):
            numbers = {"index": part} if indexed else {}
            more = {"labels": part % 5} if name == "acc" else {}
            if len(part):
                metric.update(**{kind: rows[part]}, **more, **numbers)


def states(rank: int, world: int) -> dict[str, Any]:
    """What every metric computes, with and without numbers of the samples."""
    found: dict[str, Any] = {}
    for name, settings in STATES.items():
        for indexed in (False, True):
            metric = StreamingMetric(name, **settings)
            feed(name, metric, rank, world, indexed)
            value = metric.compute()
            found[f"{name} {'by number' if indexed else 'by content'}"] = {k: float(v) for k, v in value.items()}
    return found


def path() -> list[float]:
    """A path length through a toy generator."""
    network = feature_network("digits_cnn")
    weight = torch.randn(4, 64, generator=torch.Generator().manual_seed(0)) / 4

    def latents(n: int, seed: int) -> Tensor:
        each = [np.random.RandomState(seed + i).randn(4) for i in range(n)]
        return torch.from_numpy(np.stack(each)).double()

    def synthesize(z: Tensor) -> Tensor:
        return (z @ weight.double()).tanh().view(-1, 1, 8, 8)

    paths = Paths(latents, synthesize)
    found = perceptual_path_length(paths, feature_distance(network), n=45, epsilon=1e-2, batch_size=7)
    return [found.value, found.spread or 0.0, found.details["paths"]]


def failure(rank: int) -> str:
    """A model that breaks on one rank only must stop both."""

    def broken(n: int, *, seed: int, batch_size: int, **named: Any) -> Tensor:
        drawn = sample(n, seed=seed, batch_size=batch_size)
        return drawn * torch.nan if rank == 1 else drawn

    try:
        measure(Subject(broken), Digits().open("train"), ["fd50_digits_cnn"], floors=False, batch_size=7)
    except BadData as error:
        return str(error)
    return "nothing was raised"


def main() -> None:
    rendezvous = f"file://{sys.argv[1]}/rendezvous"
    dist.init_process_group("gloo", init_method=rendezvous, rank=int(os.environ["RANK"]), world_size=2)
    rank, world = dist.get_rank(), dist.get_world_size()
    started = time.perf_counter()
    found = {
        "scores": values(),
        "again": values(),
        "states": states(rank, world),
        "path": path(),
        "failure": failure(rank),
        "seconds": time.perf_counter() - started,
    }
    (Path(sys.argv[1]) / f"rank{rank}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
