"""How long a step takes: a few batches of each kind that a paper's algorithm has, timed and weighted as they occur.

An algorithm's batches differ: the generator's turn comes every so many, a lazy penalty every sixteenth. Which kinds
there are shows when `Game.turn` is asked; a few batches of each are enough to know the mean.
"""

import math
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from statistics import median
from types import FrameType
from typing import Any, Final

import lightning as L

from ganzoo.data.batch import Data
from ganzoo.game.game import Game

_ROUNDS: Final = 3  # timings of each kind that are enough
_LONGEST: Final = 100_000  # batches after which all kinds are taken to have come

_Kind = tuple[bool, ...]


@dataclass(frozen=True)
class Timing:
    """What was found.

    Args:
        seconds: a generator update, in the mean over all kinds of batches; None where not even one was done.
        whole: whether every kind of batch was timed.
    """

    seconds: float | None
    whole: bool


class _Enough(Exception):
    """The time is up, or all is known."""


class _Clock(L.Callback):
    """Chooses what the next batch is the how-manieth of, so that it is of a kind that was timed least."""

    def __init__(self, game: Game, limit: float) -> None:
        self.periods: set[int] = set()
        self.spent: dict[_Kind, list[float]] = defaultdict(list)
        self.steps: dict[_Kind, int] = {}
        self._until = time.monotonic() + limit
        self._begun = (0.0, 0)
        self._number = 1
        self._asked = game.turn
        game.turn = self._noted  # type: ignore[method-assign]

    def _noted(self, every: int) -> bool:
        self.periods.add(every)
        return self._asked(every)

    def kinds(self) -> dict[_Kind, int]:
        """How often each kind of batch comes."""
        return Counter(self._kind(number) for number in self._numbers())

    def _numbers(self) -> range:
        return range(1, min(math.lcm(*self.periods), _LONGEST) + 1)

    def _kind(self, number: int) -> _Kind:
        return tuple(number % every == 0 for every in sorted(self.periods))

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
        """Begins a batch of the kind that was timed least; the first of each kind warms up."""
        assert isinstance(pl_module, Game)
        fewest = min(self.kinds(), key=lambda kind: len(self.spent[kind]))
        self._number = next(number for number in self._numbers() if self._kind(number) == fewest)
        pl_module.batches_seen = self._number - 1  # the game counts it next
        self._begun = (time.perf_counter(), trainer.global_step)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
        """Notes what the batch took."""
        before, step = self._begun
        kind = self._kind(self._number)
        if any(len(other) != len(kind) for other in self.spent):  # a turn was asked for that was not known
            self.spent.clear()
            self.steps.clear()
        self.spent[kind].append(time.perf_counter() - before)
        self.steps[kind] = trainer.global_step - step
        done = min(len(self.spent[kind]) for kind in self.kinds())
        if done > _ROUNDS or time.monotonic() > self._until:
            raise _Enough

    def timing(self) -> Timing:
        """The mean over all kinds, as far as they were timed."""
        kinds = self.kinds()
        # The first of a kind allocates and compiles; it counts only where there is no other
        times = {kind: median(spent[1:] or spent) for kind, spent in self.spent.items() if spent}
        steps = sum(kinds.get(kind, 0) * self.steps[kind] for kind in times)
        seconds = sum(kinds.get(kind, 0) * spent for kind, spent in times.items())
        return Timing(seconds / steps if steps else None, set(times) >= set(kinds))


def time_step(game: Game, data: Data, accelerator: Any, precision: str, limit: float) -> Timing:
    """Times a generator update on one device; the game is trained a little, and nothing is written.

    After `limit` seconds it ends, in the middle of a batch where this is the main thread.
    """
    clock = _Clock(game, limit)
    trainer = L.Trainer(
        accelerator=accelerator,
        precision=precision,  # type: ignore[arg-type]
        devices=1,
        max_steps=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[clock],
    )
    with suppress(_Enough), _bounded(limit):
        trainer.fit(game, data)
    return clock.timing()


@contextmanager
def _bounded(seconds: float) -> Iterator[None]:
    """Raises `_Enough` after some seconds, whatever is under way."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise _Enough

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
