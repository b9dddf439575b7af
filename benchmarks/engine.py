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
import pstats
import statistics
from collections.abc import Callable, Iterator

import measured
import torch
from beside import Random, by_turns, spread

from ganzoo.data.batch import Data
from ganzoo.families.dcgan import DCGAN
from ganzoo.objectives import losses
from ganzoo.types import Batch


def bare(game: DCGAN, data: Data) -> Callable[[Batch], None]:
    """A step of the bare loop."""
    generator, discriminator = (n.to(memory_format=torch.channels_last) for n in (game.generator, game.discriminator))
    adam_g, adam_d = (
        torch.optim.Adam(n.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True) for n in (generator, discriminator)
    )
    batches: Iterator[Batch] = iter(data.train_dataloader())
    latent = game.latent

    def step(_: Batch) -> None:
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
    measured.quiet()
    torch.manual_seed(0)
    game = DCGAN(size=chosen.size, channels=chosen.channels, width=chosen.width)
    data = Random(game.shape, chosen.batch)
    loops = [bare(copy.deepcopy(game), Random(game.shape, chosen.batch)) for _ in range(2)]
    profile = cProfile.Profile()
    if chosen.profile:
        loops = []
        profile.enable()
    times = by_turns(game, data, *loops, steps=chosen.steps, warmup=chosen.warmup)
    profile.disable()
    if chosen.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)
        return
    engine, one, other = times
    print(
        f"DCGAN {chosen.size} px, width {chosen.width}, batch {chosen.batch}, 1 thread, torch {torch.__version__}: "
        f"engine {statistics.median(engine) * 1e3:.2f} ms a step, bare {statistics.median(one) * 1e3:.2f} ms"
    )
    print(f"engine / bare: {spread(engine, one)}")
    print(f"bare / bare: {spread(other, one)}")


if __name__ == "__main__":
    main()
