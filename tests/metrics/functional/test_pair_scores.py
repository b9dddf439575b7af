"""Metrics of pictures and their true counterparts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ganzoo.metrics.functional.pairs import signal_to_noise, structural_similarity
from ganzoo.types import BadArgument


def test_the_ratio_is_that_of_8_bit_levels() -> None:
    rng = np.random.RandomState(0)
    one, other = rng.randint(0, 256, (2, 5, 300))
    wanted = 10 * np.log10(255**2 / ((one - other) ** 2).mean(1))
    found = signal_to_noise(*(torch.from_numpy(levels / 127.5 - 1) for levels in (one, other)))
    assert found.value == pytest.approx(wanted.mean(), rel=1e-9)
    assert found.details["std"] == pytest.approx(wanted.std(), rel=1e-9)
    assert signal_to_noise(torch.ones(1, 10), torch.ones(1, 10)).value == pytest.approx(68.13, abs=0.01)


def test_structural_similarity_is_that_of_a_window_at_a_time() -> None:
    """Each window's means, variances and covariance by themselves, in numpy."""
    rng = np.random.RandomState(0)
    y = rng.uniform(-1, 1, (3, 2, 14, 12))
    x = np.clip(y + rng.normal(0, 0.3, y.shape), -1, 1)
    line = np.exp(-((np.arange(11) - 5) ** 2) / 4.5)
    w = np.outer(line, line) / line.sum() ** 2
    found = []
    for i, c, top, left in np.ndindex(3, 2, 4, 2):
        a, b = (each[i, c, top : top + 11, left : left + 11] for each in (x, y))
        ma, mb = (w * a).sum(), (w * b).sum()
        va, vb, both = (w * (a - ma) ** 2).sum(), (w * (b - mb) ** 2).sum(), (w * (a - ma) * (b - mb)).sum()
        light = (2 * ma * mb + 0.0004) / (ma**2 + mb**2 + 0.0004)
        found.append(light * (2 * both + 0.0036) / (va + vb + 0.0036))
    real, made = (torch.from_numpy(each.reshape(3, -1)) for each in (y, x))
    shape = (2, 14, 12)
    assert structural_similarity(real, made, shape).value == pytest.approx(np.mean(found), rel=1e-9)
    assert structural_similarity(real, real, shape).value == pytest.approx(1, abs=1e-12)
    with pytest.raises(BadArgument, match="pictures of 8x10 pixels; ssim needs at least 11 a side"):
        structural_similarity(real[:, :80], real[:, :80], (1, 10, 8))
