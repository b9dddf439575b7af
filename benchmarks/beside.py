"""What benchmarks share that set a step of ganzoo's beside a step of others': data, turns in one process, ratios.

A step of each takes turns, so that a busy machine slows all, and each is timed by the processor time of this process.
ganzoo's time is all that passes between two turns: the data, Lightning and the engine. A peer is a checkout that the
user gives, which is not part of this repository; its code runs, and without it nothing is measured.
"""

from __future__ import annotations

import argparse
import ast
import statistics
import tempfile
import time
import types
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import measured
import numpy as np
import torch
from torch import Tensor, nn

from ganzoo.data.batch import Data, Images
from ganzoo.game.game import Game
from ganzoo.training.reports import JsonLines
from ganzoo.types import Batch


class Random(Data):
    """Random pictures, of one domain or of two.

    Args:
        shape: of a picture.
        batch_size: of a step.
        targets: whether there is a second domain.
    """

    def __init__(self, shape: tuple[int, ...], batch_size: int, targets: bool = False) -> None:
        super().__init__(batch_size)
        self.sample_shape, self.targets = shape, targets

    def read(self, split: str) -> Images:
        """The same pictures for every split."""
        values, other = np.random.RandomState(0).randint(0, 256, (2, 256, *self.sample_shape)).astype(np.uint8)
        return Images("random", values, split=split, targets=other if self.targets else None, paired=False)


class Turns(L.Callback):
    """Runs a step of each of the others after each of ganzoo's, and times all.

    Args:
        others: steps, which are given ganzoo's batch.
    """

    def __init__(self, others: Sequence[Callable[[Batch], None]]) -> None:
        self.others = others
        self.times: list[list[float]] = [[] for _ in range(1 + len(others))]
        self.started = 0.0

    def on_train_start(self, *_: Any) -> None:
        """Starts the clock."""
        self.started = self.clock()

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Batch, index: int
    ) -> None:
        """Notes ganzoo's time, then runs and times the others."""
        for i in range(len(self.times)):
            if i:
                self.others[i - 1](batch)
            now = self.clock()
            self.times[i].append(now - self.started)
            self.started = now

    def clock(self) -> float:
        """Seconds of this process; on CUDA of the clock, once the device is done."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()


def by_turns(
    game: Game, data: Data, *others: Callable[[Batch], None], steps: int, warmup: int = 2, every: int = 1
) -> list[list[float]]:
    """Trains the game, with a step of each of the others after each of its own.

    Args:
        game: trains as it always does, with a log on the disk.
        data: its data.
        *others: steps of others, which are given the game's batch.
        steps: that are timed.
        warmup: steps before these.
        every: steps whose times are added up, where not all are alike.

    Returns:
        Seconds of the game's steps and of those of each of the others.
    """
    turns = Turns(others)
    with tempfile.TemporaryDirectory() as folder:
        trainer = measured.trainer(
            max_steps=-1,
            limit_train_batches=steps + warmup,
            max_epochs=1,
            accelerator="cuda" if torch.cuda.is_available() else "cpu",
            logger=JsonLines(Path(folder)),
            callbacks=[turns],
        )
        trainer.fit(game, data)
    return [[sum(t[i : i + every]) for i in range(warmup, len(t), every)] for t in turns.times]


def spread(above: Sequence[float], below: Sequence[float]) -> str:
    """The median of the ratios of pairs, its 95 % interval by drawing pairs again, and the quartiles."""
    ratios = sorted(a / b for a, b in zip(above, below, strict=True))
    low, middle, high = statistics.quantiles(ratios, n=4)
    rng = np.random.RandomState(0)
    again = [float(np.median(rng.choice(ratios, len(ratios)))) for _ in range(1000)]
    return (
        f"{middle:.3f} (95 % interval {np.percentile(again, 2.5):.3f} to {np.percentile(again, 97.5):.3f}; quartiles "
        f"{low:.3f} and {high:.3f}; {len(ratios)} pairs)"
    )


def report(name: str, ours: Sequence[float], theirs: Sequence[float], count: float, unit: str = "images") -> None:
    """Prints how many times as much a second ganzoo does, and what each side does.

    Args:
        name: of what is compared.
        ours: seconds.
        theirs: seconds of the same turns.
        count: of what is done in that time.
        unit: its name.
    """
    sides = " and ".join(f"{count / statistics.median(side):.4g}" for side in (ours, theirs))
    print(f"{name}: {spread(theirs, ours)}; {sides} {unit} a second of processor time", flush=True)


def arguments(doc: str | None, repository: str, file: str, **numbers: int) -> argparse.Namespace | None:
    """What the command line says; None, after a line about it, without the peer.

    Args:
        doc: of the benchmark.
        repository: where the peer comes from.
        file: of the peer's, which must be there.
        **numbers: options with their defaults.
    """
    measured.quiet()
    torch.manual_seed(0)
    parser = argparse.ArgumentParser(
        description=(doc or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--peer", type=Path, help=f"a checkout of {repository}; nothing is measured without")
    for name, default in numbers.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default, help="number")
    given = parser.parse_args()
    if given.peer is None or not (given.peer / file).is_file():
        print(f"skipped: --peer is {given.peer}; a checkout of {repository} is needed")
        return None
    given.peer = given.peer.resolve()
    chosen = ", ".join(f"{name.replace('_', ' ')} {getattr(given, name)}" for name in numbers)
    print(f"{chosen}; float32, {torch.get_num_threads()} thread, torch {torch.__version__}", flush=True)
    return given


@torch.no_grad()
def take_weights(ours: Iterable[nn.Module], theirs: Iterable[nn.Module]) -> None:
    """Copies layers in the order in which both sides have them, the vectors of spectral normalization too.

    Torch's begin anywhere, so that its norms are about 0: they take fifteen steps first.

    Args:
        ours: modules that take.
        theirs: modules that give.
    """
    sides = [[each for part in side for each in part.modules() if each._parameters] for side in (ours, theirs)]
    for to, source in zip(*sides, strict=True):
        for step in list(source._forward_pre_hooks.values()) * 15:
            step(source, ())
        given_by = {**source._parameters, **source._buffers}
        found = {name.removesuffix("_orig"): value for name, value in given_by.items()}
        for name, mine in [*to._parameters.items(), *to._buffers.items()]:
            given = found.get(name, found.get(f"weight_{name}", found.get("weight")))
            if mine is None or given is None:
                assert mine is given, f"{name}: one side has none"
                continue
            transposed = name == "weight" and isinstance(source, nn.ConvTranspose2d)
            mine.copy_((given.transpose(0, 1) if transposed else given).reshape(mine.shape))


def same(ours: Iterable[Tensor], theirs: Iterable[Tensor]) -> None:
    """Holds what two sides compute against each other.

    Raises:
        AssertionError: where they differ by more than a ten thousandth of what they compute.
    """
    for mine, other in zip(ours, theirs, strict=True):
        apart = float((mine - other).abs().max() / other.abs().max())
        assert mine.shape == other.shape and apart < 1e-4, f"the two sides compute different things: {apart}"


def assigned(statement: ast.stmt) -> set[str]:
    """The names that a statement of a peer's script sets."""
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    return {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}


def compiled(statements: list[ast.stmt], path: Path) -> types.CodeType:
    """Statements of a peer's script as they stand."""
    return compile(ast.Module(statements, []), str(path), "exec")
