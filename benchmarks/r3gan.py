"""R3GAN's training step beside its authors' code, in one process.

    OMP_NUM_THREADS=1 python benchmarks/r3gan.py --peer R3GAN

The peer is a checkout of github.com/brownvc/R3GAN. It runs its own networks, losses, phases and moving average, in
float32 and without augmentation, with the reference implementations of its operations, which are what it has on a CPU.
(Its files hold plain ones of activations and resampling too, with which it was 4 % slower.)

Both sides have the same networks (before anything is measured, ours takes the peer's weights through its own layout and
must give the same pictures and scores), batch, losses and optimizers. The networks are those for CIFAR-10, narrower:
feature maps a group and the number of blocks are the same. See `beside`.
"""

from __future__ import annotations

import copy
import importlib
import pickle
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import torch
from beside import Random, arguments, by_turns, report, same

from ganzoo.families.r3gan import R3GAN
from ganzoo.layouts import open_file, recognise
from ganzoo.types import Batch


class Peer:
    """The authors' networks and training iteration.

    Args:
        folder: the checkout.
        width: feature maps at each resolution.
    """

    def __init__(self, folder: Path, width: int) -> None:
        sys.path.insert(0, str(folder))
        version: Any = types.ModuleType("pkg_resources")  # gone from setuptools
        version.parse_version = lambda text: tuple(int(part) for part in text.split("+")[0].split("a")[0].split("."))
        sys.modules["pkg_resources"] = version
        networks: Any = importlib.import_module("training.networks")
        loss: Any = importlib.import_module("training.loss")
        wide: dict[str, Any] = {
            "WidthPerStage": [width] * 4,
            "CardinalityPerStage": [width // 8] * 4,
            "BlocksPerStage": [2] * 4,
        }
        wide |= {"ExpansionFactor": 2, "FP16Stages": [], "c_dim": 0, "img_resolution": 32}
        self.generator = networks.Generator(NoiseDimension=64, **wide).train().requires_grad_(False)
        self.discriminator = networks.Discriminator(**wide).train().requires_grad_(False)
        self.average = copy.deepcopy(self.generator).eval()
        self.loss = loss.R3GANLoss(self.generator, self.discriminator)
        self.phases = [
            (name, network, torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.0, 0.9), eps=1e-8))
            for name, network in (("D", self.discriminator), ("G", self.generator))
        ]

    def step(self, batch: Batch) -> None:
        """One iteration of its training loop, after the images are loaded."""
        real = batch.images
        for name, network, adam in self.phases:
            adam.zero_grad(set_to_none=True)
            network.requires_grad_(True)
            z = torch.randn(len(real), 64)
            none = torch.zeros(len(real), 0)
            self.loss.accumulate_gradients(phase=name, real_img=real, real_c=none, gen_z=z, gamma=0.05, gain=1)
            network.requires_grad_(False)
            learning = [parameter for parameter in network.parameters() if parameter.grad is not None]
            flat = torch.cat([parameter.grad.flatten() for parameter in learning])
            for parameter, grad in zip(learning, flat.split([each.numel() for each in learning]), strict=True):
                parameter.grad = grad.reshape(parameter.shape)
            adam.step()
        with torch.no_grad():
            for mean, live in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                mean.copy_(live.lerp(mean, 0.5 ** (len(real) / 1e5)))
            for mean, live in zip(self.average.buffers(), self.generator.buffers(), strict=True):
                mean.copy_(live)


@torch.no_grad()
def same_networks(peer: Peer) -> R3GAN:
    """Ours with the peer's weights, once both have been seen to compute the same."""
    for parameter in (*peer.generator.parameters(), *peer.discriminator.parameters()):
        if not parameter.any():  # biases and last layers, which begin with 0, are to be compared too
            parameter.normal_(0, 0.05)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network-snapshot-000000000.pkl")
        path.write_bytes(pickle.dumps({"G": peer.generator, "D": peer.discriminator, "G_ema": peer.average}))
        contents = open_file(path)
        made = recognise(contents, "r3gan").convert(contents)
    game = R3GAN(**made.arguments | {"augment": 0})
    assert made.players is not None
    for name in ("generator", "discriminator"):
        own = {key.removeprefix(f"{name}."): v for key, v in made.players.items() if key.startswith(f"{name}.")}
        getattr(game, name).load_state_dict(own)
    z, none = torch.randn(4, 64), torch.zeros(4, 0)
    images = game.generator(z)
    same([images, game.discriminator(images)], [peer.generator(z, none), peer.discriminator(images, none)])
    return game


def main() -> None:
    numbers = {"width": 128, "batch": 8, "steps": 10, "warmup": 1}
    given = arguments(__doc__, "github.com/brownvc/R3GAN", "R3GAN/Networks.py", **numbers)
    if given is None:
        return
    peer = Peer(given.peer, given.width)
    game = same_networks(peer)
    data = Random(game.shape, given.batch)
    ours, theirs = by_turns(game, data, peer.step, steps=given.steps, warmup=given.warmup)
    report("training / the authors' code", ours, theirs, given.batch)


if __name__ == "__main__":
    main()
