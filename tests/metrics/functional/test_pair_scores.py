"""Metrics of pictures and their true counterparts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ganzoo.metrics.functional.pairs import signal_to_noise


def test_the_ratio_is_that_of_8_bit_levels() -> None:
    rng = np.random.RandomState(0)
    one, other = rng.randint(0, 256, (2, 5, 300))
    wanted = 10 * np.log10(255**2 / ((one - other) ** 2).mean(1))
    found = signal_to_noise(*(torch.from_numpy(levels / 127.5 - 1) for levels in (one, other)))
    assert found.value == pytest.approx(wanted.mean(), rel=1e-9)
    assert found.details["std"] == pytest.approx(wanted.std(), rel=1e-9)
    assert signal_to_noise(torch.ones(1, 10), torch.ones(1, 10)).value == pytest.approx(68.13, abs=0.01)
