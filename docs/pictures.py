"""Draws the documentation's pictures: `python docs/pictures.py`.

Those of models come from the shipped ones; those of augmentation need `ganzoo data emoji --style google`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

import ganzoo
from ganzoo.data.batch import to_float
from ganzoo.data.emoji import Emoji
from ganzoo.data.mixtures import Ring
from ganzoo.media.images import grid
from ganzoo.media.medium import save_grid
from ganzoo.media.points import scatter
from ganzoo.objectives.augment import BGC, POLICIES, TRANSFORMS, augment, diff_augment

HERE = Path(__file__).parent / "pictures"


def main() -> None:
    """Draws them all."""
    counts = {"dcgan-fashion-mnist": 64, "gan-digits": 36}
    for name, count in counts.items():
        save_grid(ganzoo.load(name).sample(count, seed=0), HERE / f"{name}.png")
    codes = ganzoo.load("infogan-fashion-mnist")
    rows = [codes.sample(8, seed=0, labels=category) for category in range(10)]
    save_grid(torch.cat(rows), HERE / "infogan-codes.png", columns=8)
    for name in ("gan-ring", "unrolled-ring"):
        points = ganzoo.load(name).sample(4096, seed=0)
        scatter(points, HERE / f"{name}.png", extent=3.0, reference=Ring().centres)
    packages()
    augmentation()


def packages() -> None:
    """Draws what generators that Python packages carry make; these must be installed."""
    save_grid(ganzoo.load("dcgan-digiface-64").sample(16, seed=0), HERE / "dcgan-digiface-64.png", columns=8)
    eyes = ganzoo.load("conditional-dcgan-omniart-eyes-128").sample(16, seed=0, labels=[i % 8 for i in range(16)])
    save_grid(eyes[..., ::2, ::2], HERE / "conditional-dcgan-omniart-eyes-128.png", columns=8)
    photos = torch.stack([photo(name) for name in ("china.jpg", "flower.jpg")])
    vintage = ganzoo.load("cyclegan-vintagify").translate(photos)
    save_grid(torch.cat([photos, vintage]), HERE / "cyclegan-vintagify.png", columns=2)


def photo(name: str) -> torch.Tensor:
    """A photograph that scikit-learn carries, at 288x192 pixels."""
    picture = Image.fromarray(load_sample_image(name)).resize((288, 192), Image.Resampling.LANCZOS)
    return to_float(torch.from_numpy(np.array(picture)).permute(2, 0, 1))


def augmentation() -> None:
    """Draws what each transform makes of an emoji: a row a transform, the picture itself and seven draws at p = 1."""
    emoji = Emoji()
    names = [row["name"] for row in emoji.table("train")]
    picture = to_float(emoji.open("train").batch([names.index("parrot")]).images)
    seven = picture.expand(7, -1, -1, -1)
    torch.manual_seed(1)
    chain = [augment(seven, 1.0, [name]) for name in TRANSFORMS] + [augment(seven, p, BGC) for p in (0.2, 0.6)]
    fixed = [diff_augment(seven, [policy]) for policy in POLICIES] + [diff_augment(seven)]
    for name, rows in (("ada", chain), ("diff-augment", fixed)):
        whole = torch.cat([torch.cat([picture, row]) for row in rows]).clamp(-1, 1)
        grid(whole, columns=8).quantize(256).save(HERE / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
