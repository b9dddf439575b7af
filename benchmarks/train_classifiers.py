"""Trains the small classifiers whose features the metrics use, and writes their weights and cards.

    python benchmarks/train_classifiers.py digits --out src/ganzoo/metrics/features/weights
    python benchmarks/train_classifiers.py fashion-mnist --out src/ganzoo/metrics/features/weights
    python benchmarks/train_classifiers.py avatars --out src/ganzoo/metrics/features/weights

On one CPU core the first takes under a minute, the second about a quarter of an hour, the third three minutes. The
avatars are those of `pixel-art` and `lorelei`, every second one at 32 pixels from the start, since models have either
size. The sha256 that it prints goes into `ganzoo.metrics.features.network`.
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

from ganzoo.data.avatars import Avatars
from ganzoo.data.digits import Digits
from ganzoo.data.fashion_mnist import FashionMNIST
from ganzoo.metrics.features.classifiers import (
    AVATAR_ATTRIBUTES,
    AvatarClassifier,
    SmallClassifier,
    digits_cnn,
    fashion_mnist_cnn,
)
from ganzoo.metrics.features.resize import resize


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
    noise: float = 0.0  # standard deviation of what is added to values in [-1, 1]


SCHEDULES = {
    "digits": Schedule(epochs=40, batch_size=64, learning_rate=4e-3, weight_decay=0.05, shift=1, flip=False, seed=0),
    "fashion-mnist": Schedule(
        epochs=10, batch_size=128, learning_rate=4e-3, weight_decay=0.05, shift=2, flip=True, seed=0
    ),
    "avatars": Schedule(
        epochs=6, batch_size=128, learning_rate=4e-3, weight_decay=0.05, shift=2, flip=True, seed=0, noise=0.1
    ),
}


LICENCES = {
    "digits": "weights Apache-2.0; data CC BY 4.0 (UCI Optical Recognition of Handwritten Digits)",
    "fashion-mnist": "weights Apache-2.0; data MIT (Fashion-MNIST, Zalando)",
    "avatars": "weights Apache-2.0; data CC0-1.0 (DiceBear's Pixel Art; Lorelei, Lisa Wischofsky)",
}


def data(name: str, split: str) -> tuple[Tensor, Tensor]:
    """uint8 images `(N, C, H, W)` and labels `(N, questions)`."""
    if name != "avatars":
        opened = (Digits() if name == "digits" else FashionMNIST()).open(split)
        return torch.as_tensor(opened.values), torch.as_tensor(opened.labels)[:, None]
    values, labels = [], []
    for style in ("pixel-art", "lorelei"):
        source = Avatars(style)
        seen = torch.as_tensor(source.open(split).values)
        # As the feature network sees pictures of 64 pixels; and of 32, which it leaves as they are
        small = torch.cat([resize(part.float(), 32, "pil_bicubic") for part in seen.split(500)])
        small[1::2] = torch.as_tensor(Avatars(style, size=32).open(split).values)[1::2].float()
        values.append(small.round().clamp(0, 255).to(torch.uint8))
        rows = source.table(split)
        asked = {key: (key.replace("_", "-"), words) for key, words in AVATAR_ATTRIBUTES.items()}
        told = [[words.index(row[key]) if key in row else -1 for key, words in asked.values()] for row in rows]
        labels.append(torch.tensor(told))
    return torch.cat(values), torch.cat(labels)


def as_input(images: Tensor) -> Tensor:
    """uint8 `(N, C, H, W)` to float32 in [-1, 1], as `ganzoo.metrics.features.network` does it."""
    return images.float().div(127.5).sub(1)


def augment(images: Tensor, schedule: Schedule, generator: torch.Generator) -> Tensor:
    """Shifts every image by its own offset, filling in with the border, and mirrors half of them."""
    n, _, height, width = images.shape
    s = schedule.shift
    padded = F.pad(images.float(), (s, s, s, s), mode="replicate").to(images.dtype)
    dy = torch.randint(0, 2 * s + 1, (n, 1), generator=generator) + torch.arange(height)
    dx = torch.randint(0, 2 * s + 1, (n, 1), generator=generator) + torch.arange(width)
    if schedule.flip:
        mirrored = torch.rand(n, 1, generator=generator) < 0.5
        dx = torch.where(mirrored, dx.flip(1), dx)
    rows = torch.arange(n)[:, None, None]
    return padded[rows, :, dy[:, :, None], dx[:, None, :]].permute(0, 3, 1, 2)


def heads(network: SmallClassifier) -> list[int]:
    """How many outputs each of the questions has that a network answers."""
    several = [len(words) for words in AVATAR_ATTRIBUTES.values()]
    return several if isinstance(network, AvatarClassifier) else [network.head.out_features]


@torch.no_grad()
def accuracy(network: SmallClassifier, images: Tensor, labels: Tensor) -> list[float]:
    """The share of images whose largest logit is their label's, by column of labels `(N, questions)`; -1 is none."""
    network.eval()
    logits = torch.cat([network(as_input(part))[1] for part in images.split(500)]).split(heads(network), 1)
    answers = zip(logits, labels.T, strict=True)
    return [float((each.argmax(1) == told)[told >= 0].double().mean()) for each, told in answers]


def fit(network: SmallClassifier, images: Tensor, labels: Tensor, schedule: Schedule) -> None:
    """Trains the network in place on uint8 images `(N, C, H, W)` and labels `(N, questions)`; -1 is none."""
    generator = torch.Generator().manual_seed(schedule.seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    steps = math.ceil(len(images) / schedule.batch_size) * schedule.epochs
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=schedule.learning_rate, total_steps=steps)
    for epoch in range(schedule.epochs):
        network.train()
        total = 0.0
        started = time.perf_counter()
        for rows in torch.randperm(len(images), generator=generator).split(schedule.batch_size):
            seen = as_input(augment(images[rows], schedule, generator))
            seen = seen + schedule.noise * torch.randn(seen.shape, generator=generator)
            logits = network(seen)[1].split(heads(network), 1)
            answers = zip(logits, labels[rows].T, strict=True)
            loss = torch.stack([F.cross_entropy(each, told, ignore_index=-1) for each, told in answers]).sum()
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
    network = {"digits": digits_cnn, "fashion-mnist": fashion_mnist_cnn, "avatars": AvatarClassifier}[arguments.data]()
    network.to(memory_format=torch.channels_last)  # a third faster on a CPU
    train, test = (data(arguments.data, split) for split in ("train", "test"))
    started = time.perf_counter()
    fit(network, *train, schedule)
    found = {"train": accuracy(network, *train), "test": accuracy(network, *test)}
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
            split: dict(zip(AVATAR_ATTRIBUTES, each, strict=True)) if each[1:] else each[0]
            for split, each in found.items()
        },
        "images": {"train": len(train[0]), "test": len(test[0])},
        "shape": list(train[0].shape[1:]),
        "training": vars(schedule),
        "command": f"python benchmarks/train_classifiers.py {arguments.data} --out FOLDER",
        "seconds": round(time.perf_counter() - started),
        "hardware": f"{torch.get_num_threads()} CPU thread(s), {platform.machine()}",
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "licence": LICENCES[arguments.data],
    }
    (arguments.out / f"{name}.json").write_text(json.dumps(card, indent=2) + "\n")
    print(json.dumps(card, indent=2))


if __name__ == "__main__":
    main()
