"""The time of a step counts every kind of batch, and finding it has an end."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest
from helpers import data_for, tiny
from toys import Toy

from ganzoo.training.timing import Timing, time_step
from ganzoo.types import Batch

PLAIN, STEP, PENALTY = 0.01, 0.03, 0.2


class Phased(Toy):
    """A critic's batch, with the generator's turn every second and a lazy penalty every eighth."""

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        time.sleep(PLAIN)
        self.move("critic", self.critic_loss, batch)
        if self.turn(every=2):
            time.sleep(STEP)
            self.move("generator", self.generator_loss, batch)
            if self.turn(every=8):
                time.sleep(PENALTY)


def test_every_kind_of_batch_counts_as_often_as_it_comes() -> None:
    game = Phased()
    began = time.monotonic()
    timing = time_step(game, data_for(game), "cpu", "32-true", 30)
    assert time.monotonic() - began < 29, "known well before the limit"
    expected = 2 * PLAIN + STEP + PENALTY / 4
    assert timing.whole and timing.seconds is not None
    assert expected <= timing.seconds < 1.5 * expected + 0.05, "the toy's own moves take a few milliseconds"


@pytest.mark.parametrize("name", ["dcgan", "wgan_gp", "stylegan2"])
def test_real_families_are_timed_whole(name: str) -> None:
    game = tiny(name)
    timing = time_step(game, data_for(game), "cpu", "32-true", 60)
    assert timing.whole and timing.seconds is not None and timing.seconds > 0


class Slow(Toy):
    """A batch that takes for ever."""

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        for _ in range(10_000):
            time.sleep(0.01)


def test_it_ends_in_the_middle_of_a_batch() -> None:
    game: Any = Slow()
    before, began = signal.getsignal(signal.SIGALRM), time.monotonic()
    assert time_step(game, data_for(game), "cpu", "32-true", 1.5) == Timing(None, False)
    assert time.monotonic() - began < 20
    assert signal.getsignal(signal.SIGALRM) == before


class Rare(Toy):
    """A penalty that takes longer than there is time."""

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        self.move("critic", self.critic_loss, batch)
        self.move("generator", self.generator_loss, batch)
        if self.turn(every=4):
            time.sleep(60)


def test_what_was_not_reached_is_said() -> None:
    game = Rare()
    timing = time_step(game, data_for(game), "cpu", "32-true", 3)
    assert timing.seconds is not None and not timing.whole
