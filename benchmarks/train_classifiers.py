"""Trains the small classifiers whose features the metrics use, and writes their weights and cards.

    python benchmarks/train_classifiers.py digits --out src/ganzoo/metrics/features/weights
    python benchmarks/train_classifiers.py fashion-mnist --out src/ganzoo/metrics/features/weights

On one CPU core the first takes under a minute, the second about a quarter of an hour. The sha256 that it prints goes
into `ganzoo.metrics.features.network`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from ganzoo.data.digits import Digits
from ganzoo.data.fashion_mnist import FashionMNIST
from ganzoo.metrics.features.classifiers import SmallClassifier, digits_cnn, fashion_mnist_cnn


@dataclass(frozen=True)
class Schedule:
    """How one classifier is trained: AdamW with a one-cycle learning rate, shifts and flips of the training images."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    shift: int  # each image moves by up to so many pixels
    flip: bool  # half of the images are mirrored
    seed: int


SCHEDULES = {
    "digits": Schedule(epochs=40, batch_size=64, learning_rate=4e-3, weight_decay=0.05, shift=1, flip=False, seed=0),
    "fashion-mnist": Schedule(
        epochs=10, batch_size=128, learning_rate=4e-3, weight_decay=0.05, shift=2, flip=True, seed=0
    ),
}


def as_input(images: Tensor) -> Tensor:
    """uint8 `(N, 1, H, W)` to float32 in [-1, 1], as `ganzoo.metrics.features.network` does it."""
    return images.float().div(127.5).sub(1)


def augment(images: Tensor, schedule: Schedule, generator: torch.Generator) -> Tensor:
    """Shifts every image by its own offset, filling in with the background 0, and mirrors half of them."""
    n, _, height, width = images.shape
    s = schedule.shift
    padded = F.pad(images, (s, s, s, s))
    dy = torch.randint(0, 2 * s + 1, (n, 1), generator=generator) + torch.arange(height)
    dx = torch.randint(0, 2 * s + 1, (n, 1), generator=generator) + torch.arange(width)
    if schedule.flip:
        mirrored = torch.rand(n, 1, generator=generator) < 0.5
        dx = torch.where(mirrored, dx.flip(1), dx)
    rows = torch.arange(n)[:, None, None]
    return padded[rows, 0, dy[:, :, None], dx[:, None, :]][:, None]


@torch.no_grad()
def accuracy(network: SmallClassifier, images: Tensor, labels: Tensor) -> float:
    """The share of images whose largest logit is their label's."""
    network.eval()
    predicted = torch.cat([network(as_input(part))[1].argmax(1) for part in images.split(500)])
    return float((predicted == labels).double().mean())


def fit(network: SmallClassifier, images: Tensor, labels: Tensor, schedule: Schedule) -> None:
    """Trains the network in place on uint8 images `(N, 1, H, W)` and labels `(N,)`."""
    generator = torch.Generator().manual_seed(schedule.seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    steps = math.ceil(len(images) / schedule.batch_size) * schedule.epochs
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=schedule.learning_rate, total_steps=steps)
    for epoch in range(schedule.epochs):
        network.train()
        total = 0.0
        started = time.perf_counter()
        for rows in torch.randperm(len(images), generator=generator).split(schedule.batch_size):
            loss = F.cross_entropy(network(as_input(augment(images[rows], schedule, generator)))[1], labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
            total += float(loss.detach()) * len(rows)
        print(f"epoch {epoch + 1}: loss {total / len(images):.4f}, {time.perf_counter() - started:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=sorted(SCHEDULES))
    parser.add_argument("--out", type=Path, required=True, help="the folder that gets the weights and the card")
    arguments = parser.parse_args()
    schedule = SCHEDULES[arguments.data]
    torch.manual_seed(schedule.seed)
    torch.use_deterministic_algorithms(True)
    source = Digits() if arguments.data == "digits" else FashionMNIST()
    network = digits_cnn() if arguments.data == "digits" else fashion_mnist_cnn()
    network.to(memory_format=torch.channels_last)  # a third faster on a CPU
    train, test = source.open("train"), source.open("test")
    started = time.perf_counter()
    fit(network, torch.as_tensor(train.values), torch.as_tensor(train.labels), schedule)
    name = arguments.data.replace("-", "_") + "_cnn"
    weights = arguments.out / f"{name}.safetensors"
    tensors = {key: value.contiguous() for key, value in network.state_dict().items()}
    save_file({key: value for key, value in tensors.items() if not key.endswith("num_batches_tracked")}, weights)
    weights.chmod(0o644)  # safetensors writes files that only their owner can read
    card = {
        "name": name,
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "data": arguments.data,
        "accuracy": {
            "train": accuracy(network, torch.as_tensor(train.values), torch.as_tensor(train.labels)),
            "test": accuracy(network, torch.as_tensor(test.values), torch.as_tensor(test.labels)),
        },
        "images": {"train": len(train.values), "test": len(test.values)},
        "shape": list(train.values.shape[1:]),
        "training": vars(schedule),
        "command": f"python benchmarks/train_classifiers.py {arguments.data} --out FOLDER",
        "seconds": round(time.perf_counter() - started),
        "hardware": f"{torch.get_num_threads()} CPU thread(s), {platform.machine()}",
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "licence": {"digits": "weights Apache-2.0; data CC BY 4.0 (UCI Optical Recognition of Handwritten Digits)"}.get(
            arguments.data, "weights Apache-2.0; data MIT (Fashion-MNIST, Zalando)"
        ),
    }
    (arguments.out / f"{name}.json").write_text(json.dumps(card, indent=2) + "\n")
    print(json.dumps(card, indent=2))


if __name__ == "__main__":
    main()
