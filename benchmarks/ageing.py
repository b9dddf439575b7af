"""What the search for a face's identity changes: `python benchmarks/ageing.py runs/age-cgan-avatars/last`.

An Age-cGAN's held-out faces are drawn again and brought to every age, from the encoder's first guess alone and from the
latents that the search finds, by the network that the model names and by pixels. Of each way: the mean distance in the
features of `--embedding` of what is drawn again to the face, and the share of those whose nearest face, of all held-out
ones, it is; the mean absolute difference of pixels in [-1, 1]; and the share of aged faces that `--ages`, a classifier,
takes for the age that was asked for. Ages of the faces themselves are the data's.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

import ganzoo
from ganzoo.data.avatars import Avatars
from ganzoo.media.levels import to_float
from ganzoo.metrics.features.network import feature_network
from ganzoo.types import Condition


def drawn(model: Any, x: Tensor, ages: Tensor, way: str) -> tuple[Tensor, Tensor]:
    """Faces `(n, C, H, W)` drawn again at their ages, and at each age `(classes, n, C, H, W)`."""
    model.by_identity = way == "by identity"
    again, aged = torch.empty_like(x), torch.empty(model.classes, *x.shape)
    with model.inferring():
        for k in range(model.classes):
            rows = (ages == k).nonzero()[:, 0]
            if not len(rows):
                continue
            z, _ = model.found(x[rows], k, way != "first guess")
            for j in range(model.classes):
                made = model.generate(z, Condition(torch.full((len(rows),), j))).clamp(-1, 1)
                aged[j, rows] = made
                if j == k:
                    again[rows] = made
    return again, aged


def main(words: list[str]) -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a trained Age-cGAN of avatars")
    parser.add_argument("--faces", type=int, default=200)
    parser.add_argument("--style", default="pixel-art")
    parser.add_argument("--embedding", default="mobilenet_v2", help="a network that the search did not look through")
    parser.add_argument("--ages", default="avatars_age")
    given = parser.parse_args(words)
    model: Any = ganzoo.load(given.model)
    real = Avatars(given.style, labels="age", size=model.shape[-1]).open("test")
    assert real.labels is not None
    some = np.random.RandomState(0).permutation(len(real))[: given.faces]
    x, labels = to_float(torch.from_numpy(real.values[some])), torch.from_numpy(real.labels[some])
    networks = {name: feature_network(name) for name in (given.embedding, given.ages)}
    faces = {name: network(x) for name, network in networks.items()}
    print(f"{len(x)} held-out faces\n")
    print(f"| way | distance in {given.embedding} | found | distance in {given.ages} | pixels | age | seconds |")
    print("|---|---|---|---|---|---|---|")
    for way in ("first guess", "by pixels", "by identity"):
        started = time.perf_counter()
        again, aged = drawn(model, x, labels, way)
        took = time.perf_counter() - started
        seen = {name: network(again) for name, network in networks.items()}
        far = {name: float((seen[name] - faces[name]).norm(dim=1).mean()) for name in networks}
        nearest = torch.cdist(seen[given.embedding], faces[given.embedding]).argmin(1)
        told = torch.stack([networks[given.ages].probabilities(each).argmax(1) for each in aged])
        right = (told == torch.arange(model.classes)[:, None]).double().mean()
        hits = float((nearest == torch.arange(len(x))).double().mean())
        figures = [f"{far[given.embedding]:.2f}", f"{hits:.0%}", f"{far[given.ages]:.2f}"]
        figures += [f"{float((again - x).abs().mean()):.4f}", f"{right:.1%}", f"{took:.0f}"]
        print(f"| {way} | {' | '.join(figures)} |")


if __name__ == "__main__":
    main(sys.argv[1:])
