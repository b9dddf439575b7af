"""StyleGAN2's training step and its sampling beside NVIDIA's code, in one process.

    OMP_NUM_THREADS=1 python benchmarks/stylegan2.py --peer ../stylegan2-ada-pytorch

The peer is a checkout of github.com/NVlabs/stylegan2-ada-pytorch, which is not part of this repository; without it
nothing is measured. It runs its own networks, losses, phases and moving average, with the reference implementations of
its operations, which are what it has on a CPU. Both sides have one architecture, batch, optimizer and regularisation,
and float32. Ours trains as it always does, under `Game` and Lightning.

A step of the one and a step of the other take turns, so that a busy machine slows both, and each is timed by the
processor time of this process. A round is 16 steps, in which every lazy penalty falls due: 16 updates of each player, 4
of the path lengths, 1 of R1. The ratio of each round is one measurement; its median and its range are printed.

Sampling: the peer's default in evaluation mode fuses modulation and convolution (one set of weights a sample); its
unfused path is the faster one on most machines. Both are compared, with constant noise.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import logging
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor

from ganzoo.data.batch import Data, Images
from ganzoo.families.stylegan2 import StyleGAN2
from ganzoo.game.engine import Engine

ROUND = 16  # steps in which every lazy penalty falls due


class Random(Data):
    """Random pictures."""

    def __init__(self, shape: tuple[int, ...], batch_size: int) -> None:
        super().__init__(batch_size)
        self.sample_shape = shape

    def read(self, split: str) -> Images:
        """The same pictures for every split."""
        values = np.random.RandomState(0).randint(0, 256, (512, *self.sample_shape)).astype(np.uint8)
        return Images("random", values, split=split)


class Peer:
    """NVIDIA's networks and training iteration.

    Args:
        folder: the checkout.
        size: side of an image.
        base: feature maps times resolution.
        batch: images a step.
    """

    def __init__(self, folder: Path, size: int, base: int, batch: int) -> None:
        sys.path.insert(0, str(folder))
        networks: Any = importlib.import_module("training.networks")
        loss: Any = importlib.import_module("training.loss")
        self.batch, self.size, self.step_number = batch, size, 0
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

    def step(self) -> None:
        """One iteration of its training loop."""
        self.step_number += 1
        real = torch.rand(self.batch, 3, self.size, self.size) * 2 - 1
        none = torch.zeros(self.batch, 0)
        for name, network, adam, every in self.phases:
            if self.step_number % every:
                continue
            adam.zero_grad(set_to_none=True)
            network.requires_grad_(True)
            z = torch.randn(self.batch, 512)
            self.loss.accumulate_gradients(
                phase=name, real_img=real, real_c=none, gen_z=z, gen_c=none, sync=True, gain=every
            )
            network.requires_grad_(False)
            for parameter in network.parameters():
                if parameter.grad is not None:
                    torch.nan_to_num(parameter.grad, nan=0, posinf=1e5, neginf=-1e5, out=parameter.grad)
            adam.step()
        with torch.no_grad():
            beta = 0.5 ** (self.batch / 10_000)
            for mean, live in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                mean.copy_(live.lerp(mean, beta))
            for mean, live in zip(self.average.buffers(), self.generator.buffers(), strict=True):
                mean.copy_(live)


class Turns(L.Callback):
    """Runs a step of the peer after each of ours, and times both."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.ours: list[float] = []
        self.theirs: list[float] = []
        self.begun = 0.0

    def on_train_batch_start(self, *args: Any) -> None:
        """Ours begins."""
        self.begun = time.process_time()

    def on_train_batch_end(self, *args: Any) -> None:
        """Ours ends; the peer's turn."""
        self.ours.append(time.process_time() - self.begun)
        begun = time.process_time()
        self.peer.step()
        self.theirs.append(time.process_time() - begun)


def training(game: StyleGAN2, peer: Peer, batch: int, rounds: int) -> Turns:
    turns = Turns(peer)
    trainer = L.Trainer(
        max_steps=rounds * ROUND + 1,  # the first step warms up
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[turns],
    )
    trainer.fit(game, Random(game.shape, batch))
    return turns


def report(what: str, ours: list[float], theirs: list[float], images: int) -> None:
    ratios = [their / our for our, their in zip(ours, theirs, strict=True)]
    print(
        f"{what:<28} ours {images / statistics.median(ours):8.2f} images/s   peer "
        f"{images / statistics.median(theirs):8.2f}   ratio {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}, {len(ratios)} measurements)",
        flush=True,
    )


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
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    parser = argparse.ArgumentParser(description="StyleGAN2 beside NVIDIA's code")
    parser.add_argument("--peer", type=Path, help="a checkout of github.com/NVlabs/stylegan2-ada-pytorch")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--base", type=int, default=2048, help="feature maps times resolution")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3, help=f"of {ROUND} steps; 0 for sampling alone")
    parser.add_argument("--repeats", type=int, default=9, help="of sampling")
    given = parser.parse_args()
    if given.peer is None or not (given.peer / "training" / "networks.py").is_file():
        print(f"skipped: --peer is {given.peer}; a checkout of github.com/NVlabs/stylegan2-ada-pytorch is needed")
        return
    torch.manual_seed(0)
    game = StyleGAN2(given.size, channel_base=given.base)
    game.engine = Engine()
    peer = Peer(given.peer, given.size, given.base, given.batch)
    print(
        f"{given.size} pixels, channel base {given.base}, batch {given.batch}, "
        f"{sum(p.numel() for p in game.generator.parameters()):,} parameters in the generator, "
        f"{torch.get_num_threads()} thread, torch {torch.__version__}",
        flush=True,
    )
    if given.rounds:
        turns = training(game, peer, given.batch, given.rounds)
        rounds = [slice(1 + i * ROUND, 1 + (i + 1) * ROUND) for i in range(given.rounds)]
        ours, theirs = ([sum(times[r]) for r in rounds] for times in (turns.ours, turns.theirs))
        report("training", ours, theirs, given.batch * ROUND)
    sampling(game, peer, given.batch, given.repeats)


if __name__ == "__main__":
    main()
