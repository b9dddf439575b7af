"""Small data sets on the disk, in the formats that people have them in."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from torchvision import datasets  # type: ignore[import-untyped]

RANDOM = np.random.RandomState(0)


def noise(n: int, side: int) -> npt.NDArray[np.uint8]:
    """`(n, 3, side, side)`."""
    return RANDOM.randint(0, 256, (n, 3, side, side)).astype(np.uint8)


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def class_folders(root: Path, classes: int, each: int = 1) -> Path:
    """A folder of noise for each class, named as ImageNet's."""
    for k in range(classes):
        folder = root / f"n{k:08d}"
        folder.mkdir(parents=True)
        for i, picture in enumerate(noise(each, 8)):
            Image.fromarray(picture.transpose(1, 2, 0)).save(folder / f"{folder.name}_{i}.JPEG")
    return root


def cifar(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[npt.NDArray[np.uint8], list[int]]]:
    """Batches as the authors publish them: rows of 3,072 bytes, red first; and their names."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    made: dict[str, tuple[npt.NDArray[np.uint8], list[int]]] = {}
    names = [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]
    for name in names:
        values, labels = noise(12, 32), [int(k) for k in RANDOM.randint(0, 10, 12)]
        (folder / name).write_bytes(pickle.dumps({"data": values.reshape(12, -1), "labels": labels}))
        made[name] = values, labels
    classes = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": classes}))
    listed = [[name, md5(folder / name)] for name in names]
    monkeypatch.setattr(datasets.CIFAR10, "train_list", listed[:5])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", listed[5:])
    meta = {**datasets.CIFAR10.meta, "md5": md5(folder / "batches.meta")}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    return made
