"""SNGAN's training step beside mimicry's SNGAN-32, in one process.

    OMP_NUM_THREADS=1 python benchmarks/sngan.py --peer ../mimicry

The peer is a checkout of github.com/kwotsin/mimicry, which is not part of this repository; without it nothing is
measured. It runs its own networks and its own training steps with torch's Adam, as its trainer does. Both sides have
the same networks (before anything is measured, ours takes the peer's weights and must give the same pictures and
scores), batch, losses, learning rate, five updates of the discriminator to one of the generator, and float32. Ours
trains as it always does, under `Game` and Lightning.

A measurement is five batches, the last of which moves the generator too. mimicry's own widths are 256 and 128. See
`beside`.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import torch
from beside import Random, arguments, by_turns, report, same

from ganzoo.families.sngan import SNGAN
from ganzoo.layouts import open_file, recognise
from ganzoo.types import Batch

ROUND = 5  # updates of the discriminator to one of the generator


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
    """

    def __init__(self, folder: Path, width: int, discriminator_width: int) -> None:
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
        self.batches = 0

    def step(self, batch: Batch) -> None:
        """What its trainer does with a batch."""
        self.batches += 1
        real = batch.images, None
        shared: dict[str, Any] = {"real_batch": real, "log_data": Log(), "device": torch.device("cpu")}
        self.discriminator.train_step(netG=self.generator, optD=self.adams[1], **shared)
        if self.batches % ROUND == 0:
            self.generator.train_step(netD=self.discriminator, optG=self.adams[0], **shared)


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
    game.eval(), peer.generator.eval(), peer.discriminator.eval()
    with torch.no_grad():
        images = game.generator(z)
        scores = game.discriminator(images).flatten(), peer.discriminator(images).flatten()
        same([images, scores[0]], [peer.generator(z), scores[1]])
    peer.generator.train(), peer.discriminator.train()
    return game.train()


def main() -> None:
    numbers = {"width": 64, "discriminator_width": 64, "batch": 64, "rounds": 5}
    file = "torch_mimicry/nets/sngan/sngan_32.py"
    given = arguments(__doc__, "github.com/kwotsin/mimicry", file, **numbers)
    if given is None:
        return
    peer = Peer(given.peer, given.width, given.discriminator_width)
    game = same_networks(peer)
    data, steps = Random(game.shape, given.batch), ROUND * given.rounds
    ours, theirs = by_turns(game, data, peer.step, steps=steps, warmup=ROUND, every=ROUND)
    report("training / mimicry", ours, theirs, given.batch * ROUND)


if __name__ == "__main__":
    main()
