"""Draws the README's pictures from the shipped models: `python docs/pictures.py`."""

from __future__ import annotations

from pathlib import Path

import torch

import ganzoo
from ganzoo.data.mixtures import Ring
from ganzoo.data.pictures import save_grid, scatter

HERE = Path(__file__).parent / "pictures"


def main() -> None:
    """Draws them all."""
    counts = {"dcgan-fashion-mnist": 64, "wgan-gp-fashion-mnist": 36, "dcgan-digits": 36, "gan-digits": 36}
    for name, count in counts.items():
        save_grid(ganzoo.load(name).sample(count, seed=0), HERE / f"{name}.png")
    codes = ganzoo.load("infogan-fashion-mnist")
    rows = [codes.sample(8, seed=0, labels=category) for category in range(10)]
    save_grid(torch.cat(rows), HERE / "infogan-codes.png", columns=8)
    for name in ("gan-ring", "unrolled-ring"):
        points = ganzoo.load(name).sample(4096, seed=0)
        scatter(points, HERE / f"{name}.png", extent=3.0, reference=Ring().centres)


if __name__ == "__main__":
    main()
