from __future__ import annotations

import numpy as np
import pytest
import torch

from ganzoo.nn.course import Course


@pytest.mark.parametrize("updates", [1, 2, 511, 512, 513, 1024, 1300, 2500])
def test_the_course_keeps_means_of_equal_spans(updates: int) -> None:
    """However long the run, at most 512 values; against the whole course averaged at once."""
    made = Course().double()
    values = torch.rand(updates, generator=torch.Generator().manual_seed(0)).double()
    for update, value in enumerate(values):
        made.note(value, update)
    span = 1
    while updates > 512 * span:
        span *= 2
    expected = torch.stack([part.mean() for part in values.split(span)])
    at, course = made.points()
    assert np.allclose(course, expected, atol=1e-6) and len(course) <= 512
    assert np.array_equal(at, (np.arange(len(expected)) + 0.5) * span)
