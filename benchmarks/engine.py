"""What the engine costs: DCGAN's step under `Game` and Lightning against a bare PyTorch loop of the same step.

    OMP_NUM_THREADS=1 python benchmarks/engine.py --steps 300

Both sides have the same networks and initial weights, channels_last, fused Adam, the same data source and batches, and
a frozen discriminator while the generator learns. The bare loop does nothing else: no counters, no seeding, no guard,
no log. A step of the one and a step of the other take turns in one process, so that a busy machine slows both, and each
is timed by the processor time of this process. A third side, the bare loop once more, shows what the method itself sees
between two equal things.
"""

from __future__ import annotations

import argparse
import copy
import cProfile
import logging
import pstats
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch

from ganzoo.data.batch import Data, Images
from ganzoo.families.dcgan import DCGAN
from ganzoo.objectives import losses
from ganzoo.training.reports import JsonLines
from ganzoo.types import Batch


class Random(Data):
    """Random pictures."""

    def __init__(self, shape: tuple[int, ...], batch_size: int) -> None:
        super().__init__(batch_size)
        self.sample_shape = shape

    def read(self, split: str) -> Images:
        """The same pictures for every split."""
        values = np.random.RandomState(0).randint(0, 256, (4096, *self.sample_shape)).astype(np.uint8)
        return Images("random", values, split=split)


def bare(game: DCGAN, data: Data) -> Callable[[], None]:
    """A step of the bare loop."""
    generator, discriminator = (n.to(memory_format=torch.channels_last) for n in (game.generator, game.discriminator))
    adam_g, adam_d = (
        torch.optim.Adam(n.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True) for n in (generator, discriminator)
    )
    batches: Iterator[Batch] = iter(data.train_dataloader())
    latent = game.latent

    def step() -> None:
        real = data.on_after_batch_transfer(next(batches), 0).images
        adam_d.zero_grad()
        with torch.no_grad():
            fake = generator(torch.empty(len(real), latent).uniform_(-1, 1))
        losses.minimax_discriminator(discriminator(real), discriminator(fake)).backward()
        adam_d.step()
        discriminator.requires_grad_(False)
        adam_g.zero_grad()
        fake = generator(torch.empty(len(real), latent).uniform_(-1, 1))
        losses.nonsaturating_generator(discriminator(fake)).backward()
        adam_g.step()
        discriminator.requires_grad_(True)

    return step


class Turns(L.Callback):
    """Runs a step of each bare loop after each of the engine's, and times all."""

    def __init__(self, loops: list[Callable[[], None]]) -> None:
        self.loops = loops
        self.times: list[list[float]] = [[] for _ in range(1 + len(loops))]
        self.started = 0.0

    def on_train_start(self, *_: Any) -> None:
        """Starts the clock."""
        self.started = time.process_time()

    def on_train_batch_end(self, *_: Any) -> None:
        """Notes the engine's time, then runs and times the others."""
        for i in range(len(self.times)):
            if i:
                self.loops[i - 1]()
            now = time.process_time()
            self.times[i].append(now - self.started)
            self.started = now


def report(name: str, above: list[float], below: list[float]) -> None:
    ratios = sorted(a / b for a, b in zip(above, below, strict=True))
    low, middle, high = statistics.quantiles(ratios, n=4)
    rng = np.random.RandomState(0)
    again = [float(np.median(rng.choice(ratios, len(ratios)))) for _ in range(1000)]
    print(
        f"{name}: median ratio {middle:.4f} (95 % interval {np.percentile(again, 2.5):.4f} to "
        f"{np.percentile(again, 97.5):.4f}; quartiles {low:.4f} and {high:.4f}), "
        f"of medians {statistics.median(above) / statistics.median(below):.4f}, {len(ratios)} pairs"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("--profile", action="store_true", help="print where the engine's own time goes")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    game = DCGAN(size=chosen.size, channels=chosen.channels, width=chosen.width)
    data = Random(game.shape, chosen.batch)
    loops = [bare(copy.deepcopy(game), Random(game.shape, chosen.batch)) for _ in range(2)]
    turns = Turns([] if chosen.profile else loops)
    with tempfile.TemporaryDirectory() as folder:
        trainer = L.Trainer(
            max_steps=chosen.steps + chosen.warmup,
            accelerator="cpu",
            devices=1,
            logger=JsonLines(Path(folder)),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            callbacks=[turns],
        )
        profile = cProfile.Profile()
        if chosen.profile:
            profile.enable()
        trainer.fit(game, data)
        profile.disable()
    if chosen.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)
        return
    engine, one, other = (times[chosen.warmup :] for times in turns.times)
    print(
        f"DCGAN {chosen.size} px, width {chosen.width}, batch {chosen.batch}, 1 thread, torch {torch.__version__}: "
        f"engine {statistics.median(engine) * 1e3:.2f} ms a step, bare {statistics.median(one) * 1e3:.2f} ms"
    )
    report("engine / bare", engine, one)
    report("bare / bare", other, one)


if __name__ == "__main__":
    main()
