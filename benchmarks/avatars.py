"""Arithmetic with latents of a model of avatars, judged by the separate classifier of their attributes.

    python benchmarks/avatars.py sngan-avatars-32

For an attribute such as eyewear: of a sample x of one class, x + mean(samples of another) - mean(samples of its own).
How often is the sum of the class that was asked for, and how often are its other attributes those of x?
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch

import ganzoo
from ganzoo import latent
from ganzoo.latent.latents import Latents
from ganzoo.metrics.features.classifiers import AVATAR_ATTRIBUTES
from ganzoo.metrics.features.network import feature_network

ASKED = ("eyewear", "beard", "hair", "hair_colour", "skin")
SURE = 0.9  # the least belief in the class of a sample that is taken for one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--among", type=int, default=2000, help="seeds that samples are looked for in")
    parser.add_argument("--sums", type=int, default=200, help="sums an attribute")
    parser.add_argument("--mean", type=int, default=3, help="samples of a mean")
    given = parser.parse_args()
    model: Any = ganzoo.load(given.model)
    networks = {name: feature_network(f"avatars_{name}") for name in ASKED}
    start = latent.draw(model, range(given.among))
    images = latent.images(model, start)
    believed = {name: network.probabilities(images) for name, network in networks.items()}
    rng = np.random.RandomState(0)
    for name in ASKED:
        sure = believed[name].max(1)
        of = {k: np.flatnonzero((sure.indices == k) & (sure.values > SURE)) for k in range(believed[name].shape[1])}
        known = [k for k, seeds in of.items() if len(seeds) > given.mean]
        shares = ", ".join(f"{word} {len(of[k]) / given.among:.0%}" for k, word in enumerate(AVATAR_ATTRIBUTES[name]))
        print(f"{name}: among {given.among} samples {shares}", flush=True)
        if len(known) < 2:
            continue
        sums, x, wanted = [], [], []
        for _ in range(given.sums):
            own, other = rng.choice(known, 2, replace=False)
            mine = rng.choice(of[own], given.mean + 1, replace=False)
            theirs = rng.choice(of[other], given.mean, replace=False)
            sums.append(latent.arithmetic(model, [[int(mine[0])], theirs.tolist()], [mine[1:].tolist()]).values)
            x.append(int(mine[0]))
            wanted.append(int(other))
        made = latent.images(model, Latents(torch.cat(sums)))
        told = {each: network.probabilities(made).argmax(1) for each, network in networks.items()}
        right = (told[name] == torch.tensor(wanted)).double().mean()
        kept = [(told[each] == believed[each][x].argmax(1)).double().mean() for each in ASKED if each != name]
        print(
            f"  the class asked for in {right:.0%} of {given.sums} sums, the others kept in {np.mean(kept):.0%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
