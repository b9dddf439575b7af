"""What samples teach: the accuracy on real images of classifiers that learned from generated ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ganzoo.metrics.features.classifiers import SmallClassifier
from ganzoo.metrics.functional.classes import by_class, share_of
from ganzoo.metrics.metric import Positive, Result, metric
from ganzoo.schema import Count
from ganzoo.types import BadData

_BATCH: Final = 128
_TOLD: Final[dict[str, Tensor]] = {}  # what classifiers said: protocols share those of samples, models those of images
_SHIFT: Final = 16  # of a side, a part by which images are moved at random, as any such training does


@metric(
    "cas",
    "classification accuracy score: a classifier learns from samples (Ravuri and Vinyals 2019)",
    better="higher",
    needs="teaches",
    forms=["{reals}reals"],
    networks=["pixels"],
    beside=(),
    held_out=True,
)
def classification_accuracy_score(
    real: Tensor,
    generated: Tensor,
    real_labels: Tensor,
    labels: Tensor,
    held: Tensor,
    held_labels: Tensor,
    shape: Sequence[int],
    names: Sequence[str] | None = None,
    reals: Count = 0,
    updates: Positive = 300,
    seed: int = 0,
) -> Result:
    """The accuracy on held-out images of a classifier that saw generated images alone, and of two beside it.

    Ravuri and Vinyals, "Classification Accuracy Score for Conditional Generative Models", 2019 (arXiv 1905.10887): a
    model of p(x|y) should be as good a teacher as data are. Beside the score stand `real`, the same classifier of real
    images, and `both`, one whose every batch is half real and half generated: data augmentation by samples. All three
    have the same weights at first and the same number of updates; each batch is moved by up to a sixteenth of a side.

    Args:
        real: pixels `(n, d)` of real training images,
        generated: and of generated ones `(m, d)`,
        real_labels: with their classes `(n,)`
        labels: and those they were made for `(m,)`.
        held: pixels `(k, d)` of the real images that are classified,
        held_labels: and their classes.
        shape: `(C, H, W)` of an image, so that d = CHW.
        names: of the classes.
        reals: real training images; 0 for as many as are generated.
        updates: of each classifier, in batches of 128.
        seed: of weights and batches.

    Raises:
        BadData: where a held-out class is none of those taught.
    """
    classes = int(max(real_labels.max(), labels.max())) + 1
    if int(held_labels.max()) >= classes:
        raise BadData(f"class {int(held_labels.max())} is to be told, and only {classes} classes are taught.")
    sets = [
        (x.reshape(-1, *shape).float(), y.to(x.device).long()) for x, y in ((real, real_labels), (generated, labels))
    ]
    tests, right = held.reshape(-1, *shape).float(), held_labels.to(held.device)
    hits = {
        name: _taught(parts, classes, updates, seed, tests) == right
        for name, parts in (("real", sets[:1]), ("generated", sets[1:]), ("both", sets))
    }
    details = {"classes": by_class(hits["generated"], right, names), "real_images": len(real), "batch": _BATCH}
    parts = {name: share_of(hits[name]) for name in ("real", "both")}
    return Result(share_of(hits["generated"]), details=details, parts=parts)


def _taught(sets: Sequence[tuple[Tensor, Tensor]], classes: int, updates: int, seed: int, tests: Tensor) -> Tensor:
    """The classes `(k,)` that a classifier gives images after it learned from sets of images, equal parts of each."""
    key = hashlib.sha256(repr((classes, updates, seed, tests.shape)).encode())
    for values in (tests, *(each for pair in sets for each in pair)):
        key.update(values.cpu().numpy().tobytes())
    name = key.hexdigest()
    if name not in _TOLD:
        _TOLD[name] = _learned(sets, classes, updates, seed, tests).cpu()
    return _TOLD[name].to(tests.device)


def _learned(sets: Sequence[tuple[Tensor, Tensor]], classes: int, updates: int, seed: int, tests: Tensor) -> Tensor:
    rng, device = np.random.RandomState(seed), tests.device
    _, channels, *sides = tests.shape
    depth = max(1, min(5, int(np.log2(min(sides))) - 1))
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        network = SmallClassifier([(128 >> depth - level,) for level in range(depth)], channels, classes).to(device)
        adam = torch.optim.AdamW(network.parameters(), lr=5e-3, weight_decay=1e-2)
        rate = torch.optim.lr_scheduler.OneCycleLR(adam, 5e-3, total_steps=updates)
        reach = [side // _SHIFT for side in sides]
        for _ in range(updates):
            rows = [rng.randint(0, len(x), _BATCH // len(sets)) for x, _ in sets]
            images = torch.cat([x[row] for (x, _), row in zip(sets, rows, strict=True)])
            wanted = torch.cat([y[row] for (_, y), row in zip(sets, rows, strict=True)])
            images = images.roll([int(rng.randint(-most, most + 1)) for most in reach], (2, 3))
            adam.zero_grad()
            F.cross_entropy(network(images)[1], wanted).backward()
            adam.step()
            rate.step()
    network.eval()
    with torch.no_grad():
        return torch.cat([network(part)[1].argmax(1) for part in tests.split(1000)])
