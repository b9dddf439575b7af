"""PPGN steered by a classifier that it never saw, and what each term of its chain is worth.

    OMP_NUM_THREADS=1 python benchmarks/ppgn.py --model ppgn-fashion-mnist --out docs/ppgn.md

Two small classifiers are trained here, of other widths, first weights and batches than the network that PPGN inverts:
one steers, the other says how many of the pictures are of the class that was asked for. A third opinion is that of the
inverted network. With `--without RUN` of a generator that was trained with `--model.init_args.adversarial 0`, its
pictures stand beside those of the one that had a discriminator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import measured
import torch
from torch import Tensor
from torch.nn import functional as F

import ganzoo
from ganzoo.data.fashion_mnist import CLASSES, FashionMNIST
from ganzoo.media.levels import to_float
from ganzoo.media.medium import save_grid
from ganzoo.media.provenance import made_by
from ganzoo.metrics.features.classifiers import SmallClassifier

CHAINS: dict[str, dict[str, Any]] = {
    "all terms": {},
    "no prior (epsilon_1 = 0)": {"epsilon1": 0.0},
    "no noise (epsilon_3 = 0)": {"epsilon3": 0.0},
    "no class (epsilon_2 = 0)": {"epsilon2": 0.0},
}


def trained(stages: tuple[tuple[int, ...], ...], seed: int, steps: int) -> tuple[Callable[[Tensor], Tensor], float]:
    """A classifier of Fashion-MNIST, as logits of images in [-1, 1], and its accuracy on the test pictures."""
    torch.manual_seed(seed)
    network = SmallClassifier(stages)
    source = FashionMNIST(size=32, batch_size=64)
    images, test = source.open("train"), source.open("test")
    assert images.labels is not None and test.labels is not None
    labels, order = torch.from_numpy(images.labels), torch.randperm(len(images))
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for i in range(steps):
        rows = order[torch.arange(64 * i, 64 * (i + 1)) % len(order)]
        x = to_float(images.batch(rows.tolist()).images)
        x = torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(3), x)
        loss = F.cross_entropy(network(x)[1], labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    network.eval().requires_grad_(False)
    right = 0
    for start in range(0, len(test), 500):
        rows = torch.arange(start, min(start + 500, len(test)))
        found = network(to_float(test.batch(rows.tolist()).images))[1].argmax(1)
        right += int((found == torch.from_numpy(test.labels)[rows]).sum())
    return lambda x: network(x)[1], right / len(test)


def drawn(model: Any, classifier: Callable[[Tensor], Tensor], each: int, **options: Any) -> tuple[Tensor, Tensor]:
    """As many pictures of each class, and their classes."""
    labels = torch.arange(len(CLASSES)).repeat_interleave(each)
    return model.sample(len(labels), labels=labels, classifier=classifier, batch_size=50, **options), labels


@torch.no_grad()
def share(classifier: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor) -> float:
    """Of pictures that a classifier takes for the class that was asked for."""
    return float((classifier(images).argmax(1) == labels).float().mean())


def main() -> None:
    parser = measured.parser(__doc__)
    parser.add_argument("--model", required=True, help="a name or a folder; A,B,C are seeds of one row")
    parser.add_argument("--without", default="", help="the same, trained without a discriminator")
    parser.add_argument("--each", type=int, default=20, help="pictures a class")
    parser.add_argument("--steps", type=int, default=900, help="that a classifier is trained for, batches of 64")
    arguments = parser.parse_args()
    measured.quiet()
    steering, first = trained(((8,), (24,), (48,)), 1, arguments.steps)
    judging, second = trained(((12, 12), (32,), (64,)), 2, arguments.steps)
    print(f"test accuracy: {first:.3f} of the one that steers, {second:.3f} of the one that judges", flush=True)
    lines = ["| chain | steering | judging | inverted network |", "|---|---|---|---|"]
    for name, given in (("", arguments.model), (", trained without a discriminator", arguments.without)):
        models = [ganzoo.load(model) for model in given.split(",") if model]
        for chain, options in CHAINS.items():
            if not models or (name and chain != "all terms"):
                continue
            found = []
            for i, model in enumerate(models):
                images, labels = drawn(model, steering, arguments.each, **options)
                found.append([share(told, images, labels) for told in (steering, judging, model.own_classifier)])
                print(f"{chain}{name}, {i}:", *found[-1], flush=True)
                if arguments.out is not None and not options and not i:
                    file = arguments.out.parent / "pictures" / f"ppgn{'-without' if name else ''}.png"
                    rows = images.unflatten(0, (len(CLASSES), -1))[:, :12].flatten(0, 1)
                    with made_by(model, composite=False):
                        save_grid(rows, file, columns=12)
            columns = (measured.spread(column, 3) for column in zip(*found, strict=True))
            lines.append(f"| {chain}{name} | {' | '.join(columns)} |")
    measured.show("\n".join(lines), arguments.out)


if __name__ == "__main__":
    main()
