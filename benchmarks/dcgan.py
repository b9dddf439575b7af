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
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import nn, optim

from ganzoo.data.batch import Data, Images
from ganzoo.families.dcgan import DCGAN
from ganzoo.media.levels import to_float
from ganzoo.training.reports import JsonLines

SIZE = 64  # the example's networks have no other


class Random(Data):
    """Random pictures."""

    def __init__(self, batch_size: int) -> None:
        super().__init__(batch_size)

    def read(self, split: str) -> Images:
        """The same pictures for every split."""
        values = np.random.RandomState(0).randint(0, 256, (1024, 3, SIZE, SIZE)).astype(np.uint8)
        return Images("random", values, split=split)


class Peer:
    """The example's networks and the body of its loop.

    Args:
        path: of its `main.py`.
        width: `--ngf` and `--ndf`.
        batch: `--batchSize`.
        anew: whether the generator's move has noise of its own.
    """

    def __init__(self, path: Path, width: int, batch: int, anew: bool) -> None:
        tree = ast.parse(path.read_text(), str(path))
        kept: list[ast.stmt] = [
            each
            for each in tree.body
            if isinstance(each, ast.ClassDef)
            or (isinstance(each, ast.FunctionDef) and each.name == "weights_init")
            or (isinstance(each, ast.Assign) and _names(each) & {"criterion", "real_label", "fake_label"})
            or (isinstance(each, ast.Assign) and _names(each) & {"netG", "netD", "optimizerD", "optimizerG"})
            or (isinstance(each, ast.Expr) and ast.unparse(each).endswith(".apply(weights_init)"))
        ]
        options = argparse.Namespace(lr=0.0002, beta1=0.5)
        self.names: dict[str, Any] = {"torch": torch, "nn": nn, "optim": optim, "opt": options, "ngpu": 1}
        self.names |= {"nz": 100, "ngf": width, "ndf": width, "nc": 3, "device": torch.device("cpu")}
        self._run(kept, path)
        (epochs,) = (each for each in tree.body if isinstance(each, ast.For))
        (batches,) = (each for each in epochs.body if isinstance(each, ast.For))
        body = [each for each in batches.body if not isinstance(each, ast.If) and not _prints(each)]
        if anew:
            noise = [each for each in body if isinstance(each, ast.Assign) and _names(each) & {"noise", "fake"}]
            after = next(i for i, each in enumerate(body) if ast.unparse(each) == "optimizerD.step()") + 1
            body[after:after] = noise
        self.step_code = compile(ast.Module(body, []), str(path), "exec")
        images = Random(batch).open("train")
        self.batches = [to_float(images.batch(range(i, i + batch)).images) for i in (0, batch)]
        self.done = 0

    def _run(self, statements: list[ast.stmt], path: Path) -> None:
        exec(compile(ast.Module(statements, []), str(path), "exec"), self.names)

    def step(self) -> None:
        """One pass through the body of its loop."""
        self.names["data"] = (self.batches[self.done % 2],)
        exec(self.step_code, self.names)
        self.done += 1


def _names(assignment: ast.Assign) -> set[str]:
    return {target.id for target in assignment.targets if isinstance(target, ast.Name)}


def _prints(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and ast.unparse(statement).startswith("print(")


class Turns(L.Callback):
    """Runs a step of each peer after each of ganzoo's, and times all."""

    def __init__(self, peers: list[Callable[[], None]]) -> None:
        self.peers = peers
        self.times: list[list[float]] = [[] for _ in range(1 + len(peers))]
        self.started = 0.0

    def on_train_start(self, *_: Any) -> None:
        """Starts the clock."""
        self.started = time.process_time()

    def on_train_batch_end(self, *_: Any) -> None:
        """Notes ganzoo's time, then runs and times the peers."""
        for i in range(len(self.times)):
            if i:
                self.peers[i - 1]()
            now = time.process_time()
            self.times[i].append(now - self.started)
            self.started = now


def report(name: str, ours: list[float], theirs: list[float]) -> None:
    """Prints how many times as many images a second: the median over pairs, its interval, and the spread."""
    ratios = sorted(b / a for a, b in zip(ours, theirs, strict=True))
    low, middle, high = statistics.quantiles(ratios, n=4)
    rng = np.random.RandomState(0)
    again = [float(np.median(rng.choice(ratios, len(ratios)))) for _ in range(1000)]
    print(
        f"{name}: {middle:.3f} times the images a second (95 % interval {np.percentile(again, 2.5):.3f} to "
        f"{np.percentile(again, 97.5):.3f}; quartiles {low:.3f} and {high:.3f}; {len(ratios)} pairs)"
    )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peer", type=Path, help="a checkout of pytorch/examples; nothing is measured without")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--warmup", type=int, default=3)
    chosen = parser.parse_args()
    path = None if chosen.peer is None else chosen.peer / "dcgan" / "main.py"
    if path is None or not path.is_file():
        print(f"skipped: {'no --peer was given' if path is None else f'{path} is missing'}; see --help")
        return
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    reused, example, again = measure(path, chosen, reuse=True)
    drawn, anew, as_it_is = measure(path, chosen, reuse=False)
    print(f"DCGAN {SIZE} px, width {chosen.width}, batch {chosen.batch}, float32, 1 thread, torch {torch.__version__}")
    for name, times in (
        ("ganzoo, reuse=True", reused),
        ("the example", example),
        ("ganzoo", drawn),
        ("the example with new noise", anew),
    ):
        print(f"{name}: {chosen.batch / statistics.median(times):.1f} images a second of processor time")
    report("ganzoo with reuse=True / the example (equal work)", reused, example)
    report("ganzoo / the example with new noise (equal work)", drawn, anew)
    report("ganzoo / the example, which does less", drawn, as_it_is)
    report("the example / the example", again, example)


def measure(path: Path, chosen: argparse.Namespace, reuse: bool) -> list[list[float]]:
    """Seconds of each step of ganzoo's, of the peer that does equal work, and of the example as it is."""
    torch.manual_seed(0)
    game = DCGAN(size=SIZE, width=chosen.width, reuse=reuse)
    peers = [Peer(path, chosen.width, chosen.batch, anew) for anew in (not reuse, False)]
    for ours, theirs in ((game.generator, "netG"), (game.discriminator, "netD")):
        counts = [sum(p.numel() for p in network.parameters()) for network in (ours, peers[0].names[theirs])]
        assert counts[0] == counts[1], f"{theirs}: {counts} parameters"
    turns = Turns([peer.step for peer in peers])
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
        trainer.fit(game, Random(chosen.batch))
    return [times[chosen.warmup :] for times in turns.times]


if __name__ == "__main__":
    main()
