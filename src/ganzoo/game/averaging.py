"""The moving averages of a game's networks, which samples are drawn from."""

from __future__ import annotations

from typing import Any

from torch import nn

from ganzoo.game.contract import Contract
from ganzoo.game.engine import MovingAverage


class Averaging(Contract):
    """A game's moving averages: one of each module in `averages`, where there is a half-life."""

    def __init__(self) -> None:
        super().__init__()
        self._averages = nn.ModuleDict()
        self._averaged_at = 0  # images

    def average_module(self, name: str) -> nn.Module:
        """The moving average of a module, or the module itself where there is none."""
        if name in self._averages:
            average = self._averages[name]
            assert isinstance(average, MovingAverage)
            return average.module
        return getattr(self, name)

    @property
    def averaged(self) -> Any:
        """The generator that samples are drawn from: its moving average, or itself where there is none."""
        return self.average_module("generator")

    @property
    def half_life(self) -> float | None:
        """Of the moving average, in images; None where there is none."""
        chosen = self.engine.average
        return (self.average_half_life or self.resumed_half_life) if chosen == "paper" else chosen

    def ramped(self, half_life: float) -> float:
        """The half-life by now, on its way to `half_life`; a family whose paper has another way overrides it."""
        rampup = self.engine.rampup_of(trained=self.resumed_half_life is not None)
        return half_life if rampup is None else min(half_life, self.images_seen * rampup)

    def start_averages(self) -> None:
        """Begins the moving averages, where there are any and they have not begun."""
        for name in self.averages if self.half_life is not None else ():
            if name not in self._averages:
                self._averages[name] = MovingAverage(getattr(self, name))

    def _update_averages(self) -> None:
        if not self._averages or self.half_life is None:
            return
        half_life = self.ramped(self.half_life)
        images, self._averaged_at = self.images_seen - self._averaged_at, self.images_seen
        beta = 0.5 ** (images / max(half_life, 1e-8))
        for name, average in self._averages.items():
            assert isinstance(average, MovingAverage)
            average.update(getattr(self, name), beta)
