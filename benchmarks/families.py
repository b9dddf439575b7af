"""Families beside each other at an equal budget, on the 8x8 digits: the table of docs/comparison.md.

    OMP_NUM_THREADS=1 python benchmarks/families.py --out docs/comparison.md

A budget has two meanings that part where a critic learns more often than its generator, so both are given: every family
sees so many images, and every generator is moved so many times. Each is trained once a seed, as far as the later of the
two, and measured at both. Their sizes are equal (`--width`; networks differ where papers do), and all else is the
papers' defaults, which were chosen for larger pictures: a place in this table is none in general.
"""

from __future__ import annotations

import inspect
import statistics
import time
from dataclasses import dataclass
from typing import Any

import lightning as L
import measured

import ganzoo
from ganzoo.data.digits import Digits
from ganzoo.game import registry
from ganzoo.game.engine import Engine
from ganzoo.game.game import Game

PROTOCOL = "fd10k_digits_cnn"
BATCH = 64


@dataclass
class Run:
    """What one training gave.

    Args:
        at_images: the score when so many images had been seen.
        at_updates: the score when the generator had moved so often.
        images_at_updates: images seen by then.
        updates_at_images: updates of the generator when the images had been seen.
        seconds: of processor time for training.
    """

    at_images: float = float("nan")
    at_updates: float = float("nan")
    images_at_updates: int = 0
    updates_at_images: int = 0
    seconds: float = 0.0


class Budget(L.Callback):
    """Measures a game when it has seen its images, and when its generator has made its updates."""

    def __init__(self, images: int, updates: int, data: Digits, run: Run) -> None:
        self.images, self.updates, self.data, self.run = images, updates, data, run

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *rest: Any) -> None:
        """Looks at the counters after every batch."""
        assert isinstance(pl_module, Game)
        run, enough = self.run, pl_module.images_seen >= self.images
        if enough and not run.updates_at_images:
            run.updates_at_images, run.at_images = trainer.global_step, self.score(pl_module)
        if trainer.global_step >= self.updates and not run.images_at_updates:
            run.images_at_updates, run.at_updates = pl_module.images_seen, self.score(pl_module)
        trainer.should_stop = bool(run.updates_at_images and run.images_at_updates)

    def score(self, game: Game) -> float:
        """The distance to the data, whose time is not training's."""
        before = time.process_time()
        value = ganzoo.evaluate(game, self.data, PROTOCOL)[PROTOCOL]
        self.run.seconds -= time.process_time() - before
        return value


def train(family: str, seed: int, width: int, images: int, updates: int, average: float) -> Run:
    """Trains a family once."""
    known = inspect.signature(registry.family(family).cls).parameters
    sizes: dict[str, Any] = {"size": 8, "channels": 1, "width": width, "latent": 32}
    L.seed_everything(seed, verbose=False)
    game = ganzoo.create(family, **{key: value for key, value in sizes.items() if key in known})
    game.engine = Engine(seed=seed, average=average)
    data, run = Digits(batch_size=BATCH), Run()
    trainer = measured.trainer(max_steps=-1, callbacks=[Budget(images, updates, data, run)])
    before = time.process_time()
    trainer.fit(game, data)
    run.seconds += time.process_time() - before
    return run


def table(runs: dict[str, list[Run]], images: int, updates: int) -> str:
    """The runs as a table in Markdown, the best at equal images first."""
    lines = [
        f"| family | after {images:,} images | its generator's updates by then | after {updates:,} updates | images by "
        "then | CPU seconds a run |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for family, several in sorted(runs.items(), key=lambda item: statistics.mean(r.at_images for r in item[1])):
        first = several[0]
        lines.append(
            f"| `{family}` | {measured.spread([r.at_images for r in several], 2)} | {first.updates_at_images:,} | "
            f"{measured.spread([r.at_updates for r in several], 2)} | {first.images_at_updates:,} | "
            f"{statistics.mean(r.seconds for r in several):.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Trains and measures, and writes the table."""
    made = measured.parser(__doc__)
    made.add_argument("--families", nargs="+", default=["dcgan", "lsgan", "dragan", "wgan", "wgan_gp"])
    made.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    made.add_argument("--images", type=int, default=32_000)
    made.add_argument("--width", type=int, default=32)
    made.add_argument("--average", type=float, default=10_000, help="half-life of the moving average, in images")
    options = made.parse_args()
    measured.quiet()
    updates = options.images // BATCH
    runs: dict[str, list[Run]] = {}
    for family in options.families:
        for seed in options.seeds:
            run = train(family, seed, options.width, options.images, updates, options.average)
            runs.setdefault(family, []).append(run)
            print(f"{family}, seed {seed}: {run.at_images:.2f} / {run.at_updates:.2f}, {run.seconds:.0f} s", flush=True)
    measured.show(table(runs, options.images, updates), options.out)


if __name__ == "__main__":
    main()
