"""SNGAN's training step beside mimicry's SNGAN-32, in one process.

    OMP_NUM_THREADS=1 python benchmarks/sngan.py --peer ../mimicry

The peer is a checkout of github.com/kwotsin/mimicry, which is not part of this repository; without it nothing is
measured. It runs its own networks and its own training steps with torch's Adam, as its trainer does. Both sides have
the same networks (before anything is measured, ours takes the peer's weights and must give the same pictures and
scores), batch, losses, learning rate, five updates of the discriminator to one of the generator, and float32. Ours
trains as it always does, under `Game` and Lightning.

A batch of the one and a batch of the other take turns, so that a busy machine slows both, and each is timed by the
processor time of this process. A round is five batches, the last of which moves the generator too. The ratio of each
round is one measurement; its median and its range are printed.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import statistics
import sys
import tempfile
import time
import types
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch

from ganzoo.data.batch import Data, Images
from ganzoo.families.sngan import SNGAN
from ganzoo.game.engine import Engine
from ganzoo.layouts import open_file, recognise

ROUND = 5  # updates of the discriminator to one of the generator


class Random(Data):
    """Random pictures."""

    def read(self, split: str) -> Images:
        """The same pictures for every split."""
        values = np.random.RandomState(0).randint(0, 256, (512, 3, 32, 32)).astype(np.uint8)
        return Images("random", values, split=split)


class Log:
    """Takes what the peer's training steps note."""

    def add_metric(self, *args: Any, **kwargs: Any) -> None:
        """Forgets it."""


class Peer:
    """mimicry's networks and training steps.

    Args:
        folder: the checkout.
        width: feature maps of the generator.
        discriminator_width: of the discriminator.
        batch: images a step.
    """

    def __init__(self, folder: Path, width: int, discriminator_width: int, batch: int) -> None:
        for name in ("torch_mimicry", "torch_mimicry.training"):  # without what it imports beside the networks
            package = types.ModuleType(name)
            package.__path__ = [str(folder.joinpath(*name.split(".")))]
            sys.modules[name] = package
        nets: Any = importlib.import_module("torch_mimicry.nets.sngan.sngan_32")
        self.generator = nets.SNGANGenerator32(nz=128, ngf=width)
        self.discriminator = nets.SNGANDiscriminator32(ndf=discriminator_width)
        self.adams = [
            torch.optim.Adam(network.parameters(), 2e-4, betas=(0.0, 0.9))
            for network in (self.generator, self.discriminator)
        ]
        self.batch, self.batches = batch, 0

    def step(self) -> None:
        """What its trainer does with a batch."""
        self.batches += 1
        real = torch.rand(self.batch, 3, 32, 32) * 2 - 1, None
        shared: dict[str, Any] = {"real_batch": real, "log_data": Log(), "device": torch.device("cpu")}
        self.discriminator.train_step(netG=self.generator, optD=self.adams[1], **shared)
        if self.batches % ROUND == 0:
            self.generator.train_step(netD=self.discriminator, optG=self.adams[0], **shared)


class Turns(L.Callback):
    """Runs a batch of the peer after each of ours, and times both."""

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


def same_networks(peer: Peer) -> SNGAN:
    """Ours with the peer's weights, once both have been seen to compute the same."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("generator", "discriminator"):
            getattr(peer, name).save_checkpoint(folder, 0, name=f"{name}.pth")
        contents = open_file(Path(folder, "generator.pth"))
        layout = recognise(contents, "sngan")
        assert layout.join is not None
        made = layout.join(open_file(Path(folder, "discriminator.pth")), layout.convert(contents))
    game = SNGAN(**made.arguments)
    assert made.players is not None
    for name in ("generator", "discriminator"):
        own = {key.removeprefix(f"{name}."): v for key, v in made.players.items() if key.startswith(f"{name}.")}
        getattr(game, name).load_state_dict(own)
    z = torch.randn(4, 128)
    sides = []
    for g, d in (
        (game.generator.eval(), game.discriminator.eval()),
        (peer.generator.eval(), peer.discriminator.eval()),
    ):
        with torch.no_grad():
            images = g(z)
            sides.append((images, d(images).flatten()))
    for ours, theirs in zip(*sides, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4), "the two sides compute different things"
    peer.generator.train(), peer.discriminator.train()
    return game.train()


def main() -> None:
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    parser = argparse.ArgumentParser(description="SNGAN beside mimicry's")
    parser.add_argument("--peer", type=Path, help="a checkout of github.com/kwotsin/mimicry")
    parser.add_argument("--width", type=int, default=64, help="feature maps of the generator (mimicry's default: 256)")
    parser.add_argument("--discriminator-width", type=int, default=64, help="of the discriminator (default there: 128)")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5, help=f"of {ROUND} batches")
    given = parser.parse_args()
    if given.peer is None or not (given.peer / "torch_mimicry" / "nets" / "sngan" / "sngan_32.py").is_file():
        print(f"skipped: --peer is {given.peer}; a checkout of github.com/kwotsin/mimicry is needed")
        return
    torch.manual_seed(0)
    peer = Peer(given.peer, given.width, given.discriminator_width, given.batch)
    game = same_networks(peer)
    game.engine = Engine()
    print(
        f"32 pixels, widths {given.width} and {given.discriminator_width}, batch {given.batch}, float32, "
        f"{sum(p.numel() for p in game.parameters()):,} parameters, "
        f"{torch.get_num_threads()} thread, torch {torch.__version__}",
        flush=True,
    )
    turns = Turns(peer)
    trainer = L.Trainer(
        max_steps=given.rounds + 1,  # the first round warms up
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[turns],
    )
    trainer.fit(game, Random(given.batch))
    rounds = [slice(i * ROUND, (i + 1) * ROUND) for i in range(1, given.rounds + 1)]
    ours, theirs = ([sum(times[r]) for r in rounds] for times in (turns.ours, turns.theirs))
    ratios = [their / our for our, their in zip(ours, theirs, strict=True)]
    images = given.batch * ROUND
    print(
        f"training: ours {images / statistics.median(ours):.1f} images/s, peer "
        f"{images / statistics.median(theirs):.1f}, ratio {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}, {len(ratios)} rounds)"
    )


if __name__ == "__main__":
    main()
