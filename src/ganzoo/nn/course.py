"""The course of a value over a run, to be drawn: however long the run, a curve of bounded length."""

import numpy as np
import torch
from torch import Tensor, nn

_BINS = 512  # values at most


class Course(nn.Module):
    """A value over a run's updates, as at most 512 means of equal spans; it is saved with the model."""

    def __init__(self) -> None:
        super().__init__()
        self.course = nn.Buffer(torch.zeros(_BINS))
        self.updates = nn.Buffer(torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def note(self, value: Tensor, update: int) -> None:
        """Takes the value, a scalar, after update 0, 1, 2, ..."""
        span = _span(update + 1)
        if span > _span(update):  # the course is full: each two spans become one
            self.course[: _BINS // 2] = self.course.unflatten(0, (-1, 2)).mean(1)
        index, before = divmod(update, span)
        self.course[index] = self.course[index].lerp(value, 1 / (before + 1)) if before else value
        self.updates.fill_(update + 1)

    def points(self) -> tuple[np.ndarray, np.ndarray]:
        """The middles of the spans, in updates, and the means over them."""
        updates = int(self.updates)
        at = np.arange(0, updates, _span(updates)) + _span(updates) / 2
        return at, self.course[: len(at)].float().cpu().numpy()


def _span(updates: int) -> int:
    """The updates that are joined in one value."""
    return 1 << max(0, (updates - 1).bit_length() - (_BINS - 1).bit_length())
