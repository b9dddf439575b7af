"""DCGAN's training step under ganzoo against the DCGAN of pytorch/examples, in images a second.

    git clone https://github.com/pytorch/examples
    OMP_NUM_THREADS=1 python benchmarks/dcgan.py --peer examples --steps 30

The peer's `dcgan/main.py` trains as soon as it is imported, so its networks, its initial weights and the statements of
its training loop are taken out of the file and run as they stand; only what prints and saves pictures is left out. Its
code runs: give a checkout that you trust. Both sides have the same networks (the number of parameters is checked) and
batch, float32 on the CPU. The peer gets its batches ready made; ganzoo's time holds all that Lightning and the engine
do, and the conversion of the pictures from bytes.

The example's generator moves against the fakes that it made for the discriminator, as ganzoo's does with `reuse=True`.
By default ganzoo's draws new noise, as in the paper's own code; beside that stands the example with the two statements
for new noise put in. Either way both sides do equal work. The example as it is also stands beside ganzoo's default,
which does more than it. A step of each takes turns in one process, timed by the processor time of this process, so that
a busy machine slows all. The example runs twice: the ratio of the two shows what the method sees between equal things.
"""

from __future__ import annotations

import argparse
import ast
from pathlib import Path
from typing import Any

import torch
from beside import Random, arguments, assigned, by_turns, compiled, report
from torch import nn, optim

from ganzoo.families.dcgan import DCGAN
from ganzoo.types import Batch

SIZE = 64  # the example's networks have no other


class Peer:
    """The example's networks and the body of its loop.

    Args:
        path: of its `main.py`.
        width: `--ngf` and `--ndf`.
        anew: whether the generator's move has noise of its own.
    """

    def __init__(self, path: Path, width: int, anew: bool) -> None:
        tree = ast.parse(path.read_text(), str(path))
        kept: list[ast.stmt] = [
            each
            for each in tree.body
            if isinstance(each, ast.ClassDef)
            or (isinstance(each, ast.FunctionDef) and each.name == "weights_init")
            or (isinstance(each, ast.Assign) and assigned(each) & {"criterion", "real_label", "fake_label"})
            or (isinstance(each, ast.Assign) and assigned(each) & {"netG", "netD", "optimizerD", "optimizerG"})
            or (isinstance(each, ast.Expr) and ast.unparse(each).endswith(".apply(weights_init)"))
        ]
        options = argparse.Namespace(lr=0.0002, beta1=0.5)
        self.names: dict[str, Any] = {"torch": torch, "nn": nn, "optim": optim, "opt": options, "ngpu": 1}
        self.names |= {"nz": 100, "ngf": width, "ndf": width, "nc": 3, "device": torch.device("cpu")}
        exec(compiled(kept, path), self.names)
        (epochs,) = (each for each in tree.body if isinstance(each, ast.For))
        (batches,) = (each for each in epochs.body if isinstance(each, ast.For))
        body = [each for each in batches.body if not isinstance(each, ast.If) and not _prints(each)]
        if anew:
            noise = [each for each in body if isinstance(each, ast.Assign) and assigned(each) & {"noise", "fake"}]
            after = next(i for i, each in enumerate(body) if ast.unparse(each) == "optimizerD.step()") + 1
            body[after:after] = noise
        self.body = compiled(body, path)

    def step(self, batch: Batch) -> None:
        """One pass through the body of its loop."""
        self.names["data"] = (batch.images,)
        exec(self.body, self.names)


def _prints(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and ast.unparse(statement).startswith("print(")


def main() -> None:
    given = arguments(__doc__, "pytorch/examples", "dcgan/main.py", width=64, batch=64, steps=30, warmup=3)
    if given is None:
        return
    path = given.peer / "dcgan" / "main.py"
    reused, example, again = measure(path, given, reuse=True)
    drawn, anew, as_it_is = measure(path, given, reuse=False)
    report("ganzoo with reuse=True / the example (equal work)", reused, example, given.batch)
    report("ganzoo / the example with new noise (equal work)", drawn, anew, given.batch)
    report("ganzoo / the example, which does less", drawn, as_it_is, given.batch)
    report("the example / the example", again, example, given.batch)


def measure(path: Path, given: argparse.Namespace, reuse: bool) -> list[list[float]]:
    """Seconds of each step of ganzoo's, of the peer that does equal work, and of the example as it is."""
    torch.manual_seed(0)
    game = DCGAN(size=SIZE, width=given.width, reuse=reuse)
    peers = [Peer(path, given.width, anew) for anew in (not reuse, False)]
    for ours, theirs in ((game.generator, "netG"), (game.discriminator, "netD")):
        counts = [sum(p.numel() for p in network.parameters()) for network in (ours, peers[0].names[theirs])]
        assert counts[0] == counts[1], f"{theirs}: {counts} parameters"
    data = Random(game.shape, given.batch)
    return by_turns(game, data, *(peer.step for peer in peers), steps=given.steps, warmup=given.warmup)


if __name__ == "__main__":
    main()
