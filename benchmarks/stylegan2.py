"""StyleGAN2's training step and its sampling beside NVIDIA's code, in one process.

    OMP_NUM_THREADS=1 python benchmarks/stylegan2.py --peer ../stylegan2-ada-pytorch

The peer is a checkout of github.com/NVlabs/stylegan2-ada-pytorch, which is not part of this repository; without it
nothing is measured. It runs its own networks, losses, phases and moving average, with the reference implementations of
its operations, which are what it has on a CPU. Both sides have one architecture, batch, optimizer and regularisation,
and float32. Ours trains as it always does, under `Game` and Lightning.

A measurement is a round of 16 steps, in which every lazy penalty falls due: 16 updates of each player, 4 of the path
lengths, 1 of R1. `--base` is the number of feature maps times the resolution; without `--rounds` sampling alone is
measured. See `beside`.

Sampling: the peer's default in evaluation mode fuses modulation and convolution (one set of weights a sample); its
unfused path is the faster one on most machines. Both are compared, with constant noise.
"""

from __future__ import annotations

import copy
import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from beside import Random, arguments, by_turns, report
from torch import Tensor

from ganzoo.families.stylegan2 import StyleGAN2
from ganzoo.types import Batch

ROUND = 16  # steps in which every lazy penalty falls due


class Peer:
    """NVIDIA's networks and training iteration.

    Args:
        folder: the checkout.
        size: side of an image.
        base: feature maps times resolution.
    """

    def __init__(self, folder: Path, size: int, base: int) -> None:
        sys.path.insert(0, str(folder))
        networks: Any = importlib.import_module("training.networks")
        loss: Any = importlib.import_module("training.loss")
        self.step_number = 0
        wide = {"channel_base": base, "channel_max": 512}
        self.generator = networks.Generator(512, 0, 512, size, 3, synthesis_kwargs=wide).train().requires_grad_(False)
        epilogue = {"mbstd_group_size": 4}
        self.discriminator = networks.Discriminator(0, size, 3, epilogue_kwargs=epilogue, **wide)
        self.discriminator.train().requires_grad_(False)
        self.average = copy.deepcopy(self.generator).eval()
        g, d = self.generator, self.discriminator
        self.loss = loss.StyleGAN2Loss(torch.device("cpu"), g.mapping, g.synthesis, d, r1_gamma=10)
        self.phases: list[tuple[str, Any, torch.optim.Optimizer, int]] = []
        for name, network, every in (("G", g, 4), ("D", d, 16)):
            c = every / (every + 1)
            adam = torch.optim.Adam(network.parameters(), lr=0.002 * c, betas=(0.0, 0.99**c), eps=1e-8)
            self.phases += [(f"{name}main", network, adam, 1), (f"{name}reg", network, adam, every)]

    def step(self, batch: Batch) -> None:
        """One iteration of its training loop."""
        self.step_number += 1
        real, none = batch.images, torch.zeros(len(batch), 0)
        for name, network, adam, every in self.phases:
            if self.step_number % every:
                continue
            adam.zero_grad(set_to_none=True)
            network.requires_grad_(True)
            z = torch.randn(len(batch), 512)
            self.loss.accumulate_gradients(
                phase=name, real_img=real, real_c=none, gen_z=z, gen_c=none, sync=True, gain=every
            )
            network.requires_grad_(False)
            for parameter in network.parameters():
                if parameter.grad is not None:
                    torch.nan_to_num(parameter.grad, nan=0, posinf=1e5, neginf=-1e5, out=parameter.grad)
            adam.step()
        with torch.no_grad():
            beta = 0.5 ** (len(batch) / 10_000)
            for mean, live in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                mean.copy_(live.lerp(mean, beta))
            for mean, live in zip(self.average.buffers(), self.generator.buffers(), strict=True):
                mean.copy_(live)


@torch.no_grad()
def sampling(game: StyleGAN2, peer: Peer, batch: int, repeats: int) -> None:
    game.eval()
    peer.generator.eval()
    z, none = torch.randn(batch, 512), torch.zeros(batch, 0)

    def theirs(fused: bool) -> Tensor:
        made: Tensor = peer.generator(z, none, noise_mode="const", fused_modconv=fused)
        return made

    sides: dict[str, Callable[[], Tensor]] = {
        "ours": lambda: game.synthesize(game.map(z), noise="const"),
        "peer's default": lambda: theirs(True),
        "peer's unfused path": lambda: theirs(False),
    }
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, run in sides.items():
            begun = time.process_time()
            run()
            if turn:
                taken[name].append(time.process_time() - begun)
    for name in ("peer's default", "peer's unfused path"):
        report(f"sampling, {name}", taken["ours"], taken[name], batch)


def main() -> None:
    numbers = {"size": 64, "base": 2048, "batch": 8, "rounds": 3, "repeats": 9}
    given = arguments(__doc__, "github.com/NVlabs/stylegan2-ada-pytorch", "training/networks.py", **numbers)
    if given is None:
        return
    game = StyleGAN2(given.size, channel_base=given.base)
    peer = Peer(given.peer, given.size, given.base)
    if given.rounds:
        data, steps = Random(game.shape, given.batch), ROUND * given.rounds
        ours, theirs = by_turns(game, data, peer.step, steps=steps, warmup=1, every=ROUND)
        report("training / NVIDIA's", ours, theirs, given.batch * ROUND)
    sampling(game, peer, given.batch, given.repeats)


if __name__ == "__main__":
    main()
