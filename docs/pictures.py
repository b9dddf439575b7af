"""Draws the documentation's pictures: `python docs/pictures.py`.

Those of models come from the shipped ones; those of augmentation need `ganzoo data emoji --style google`.
`python docs/pictures.py ring` trains the two models of the ring once more, some four minutes of a core, and draws on
their cards how they went.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

import ganzoo
from ganzoo.data.batch import to_float
from ganzoo.data.emoji import Emoji
from ganzoo.data.fashion_mnist import FashionMNIST
from ganzoo.data.mixtures import Ring
from ganzoo.folder import write_manifest
from ganzoo.lectures.collapse import Snapshot, covered, paint, snapshot
from ganzoo.media.charts import drawn, panels
from ganzoo.media.images import grid
from ganzoo.media.medium import save_grid, write_picture
from ganzoo.media.points import scatter
from ganzoo.objectives.augment import BGC, POLICIES, TRANSFORMS, augment, diff_augment

HERE = Path(__file__).parent / "pictures"
ROOT = Path(__file__).parents[1]


def main() -> None:
    """Draws them all."""
    save_grid(ganzoo.load("gan-digits").sample(36, seed=0), HERE / "gan-digits.png")
    codes = ganzoo.load("infogan-fashion-mnist")
    rows = [codes.sample(8, seed=0, labels=category) for category in range(10)]
    save_grid(torch.cat(rows), HERE / "infogan-codes.png", columns=8)
    for name in ("gan-ring", "unrolled-ring"):
        points = ganzoo.load(name).sample(4096, seed=0)
        scatter(points, HERE / f"{name}.png", extent=3.0, reference=Ring().centres)
    packages()
    augmentation()


class Snapshots(L.Callback):
    """Keeps samples and what D says of the plane, at the start and every so many steps."""

    def __init__(self, every: int) -> None:
        self.every, self.kept = every, list[Snapshot]()

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Before the first step."""
        self.kept.append(snapshot(pl_module, 0))

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *args: Any) -> None:
        """After a step."""
        if trainer.global_step % self.every == 0:
            self.kept.append(snapshot(pl_module, trainer.global_step))


def ring() -> None:
    """Draws `snapshots.png` of gan-ring and unrolled-ring, in the same axes: one hops, the other spreads."""
    for family in ("gan", "unrolled"):
        seen, folder = Snapshots(every=250), ROOT / "checkpoints" / f"{family}-ring"
        with tempfile.TemporaryDirectory() as runs:
            recipe = ROOT / "recipes" / family / "ring.yaml"
            ganzoo.train(recipe, folder=f"{runs}/run", callbacks=[seen], accelerator="cpu", devices=1, protocols=[])
        figure, axes = panels(2, 6, (1000, 380))
        chosen = [*seen.kept[:9], *seen.kept[-3:]]  # up to step 2000, and the end
        for ax, each in zip(axes, chosen, strict=True):
            paint(ax, each, covered(each.points))
        write_picture(drawn(figure), folder / "snapshots.png")
        write_manifest(folder)


def quality() -> None:
    """Draws samples of every shipped model of Fashion-MNIST, the best score first, beside pictures of the data."""
    scores = {}
    for path in (ROOT / "checkpoints").glob("*-fashion-mnist/results.json"):
        entries = json.loads(path.read_text(encoding="utf-8"))
        found = {each["key"]: each["value"] for each in entries}
        if "fd10k_mobilenet_v2" in found:
            scores[path.parent.name] = found["fd10k_mobilenet_v2"]
    data = to_float(FashionMNIST().open("test").batch(range(32)).images)
    tables = {"data": data} | {
        name: ganzoo.load(name).sample(32, seed=0) for name in sorted(scores, key=scores.__getitem__)
    }
    rows = -(-len(tables) // 4)
    figure, axes = panels(rows, 4, (1120, 170 * rows))
    for ax in axes:
        ax.axis("off")
    for ax, (name, images) in zip(axes, tables.items(), strict=False):
        ax.imshow(grid(images, columns=8), cmap="gray")
        title = f"{name.removesuffix('-fashion-mnist')}: {scores[name]:.3g}" if name in scores else name
        ax.set_title(title, size=8)
    write_picture(drawn(figure), HERE / "quality.png")


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
    {"ring": ring, "quality": quality}.get(" ".join(sys.argv[1:]), main)()
