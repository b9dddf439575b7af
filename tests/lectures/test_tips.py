"""Tips: best discriminators by brute force, pulls by autograd, and one change at a time."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from ganzoo.lectures import tips
from ganzoo.lectures.tips import DATA, MODEL, TIPS, Tip, best, fitted, noised_pull, pull, seen_gap, verdict


@pytest.mark.parametrize("targets", tips.TARGETS.values())
def test_the_best_d_is_where_the_loss_at_a_point_is_least(targets: tuple[float, float]) -> None:
    x, d = torch.linspace(-2, 2, 9).double(), torch.linspace(0.001, 0.999, 999).double()
    p, q = DATA.log_prob(x).exp(), MODEL.log_prob(x).exp()
    loss = sum(
        -w[:, None] * (t * d.log() + (1 - t) * (1 - d).log()) for w, t in zip((p, q), targets, strict=True)
    )  # (points, candidates)
    assert torch.allclose(best(x, *targets), d[torch.as_tensor(loss).argmin(1)], atol=0.0015)


def test_one_sided_smoothing_leaves_the_pull_and_two_sided_does_not() -> None:
    x = torch.linspace(-2.5, 2, 10).double()
    hard, one, two = (pull(x, *targets) for targets in tips.TARGETS.values())
    assert torch.allclose(hard, one, rtol=1e-6)
    assert (two[:4] < 0.5 * hard[:4]).all(), "where the model is"
    step = 1e-5
    by_hand = (best(x + step, 0.9, 0.1).log() - best(x - step, 0.9, 0.1).log()) / (2 * step)
    assert torch.allclose(two, by_hand, rtol=1e-2, atol=1e-4)


def test_the_noised_pull_is_autograds() -> None:
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    ratio = (-((x - 1.2) ** 2) + x**2) / (2 * 0.3)
    (minimax,) = torch.autograd.grad(-F.logsigmoid(-ratio).sum(), x, retain_graph=True)
    (other,) = torch.autograd.grad(F.logsigmoid(ratio).sum(), x)
    assert noised_pull(1.2, 0.3) == pytest.approx((float(minimax), float(other)))


def test_the_fitted_line_is_the_closed_forms() -> None:
    draw = torch.Generator().manual_seed(0)
    fake, real = (torch.randn(40_000, generator=draw) for _ in range(2))
    slope, offset = fitted(1.5 + real, fake)
    assert slope == pytest.approx(1.5, rel=0.04) and offset == pytest.approx(-(1.5**2) / 2, rel=0.06)


def test_batch_norm_takes_a_shift_between_batches_away() -> None:
    assert seen_gap(3.0, together=False) == pytest.approx(0, abs=1e-5)
    assert seen_gap(3.0, together=True) == pytest.approx(3 / math.sqrt(1 + 9 / 4), rel=0.03)


def test_every_tip_changes_something_and_stays_finite() -> None:
    first = tips.played(Tip(""), 0, 3)
    assert first.shape == (2000, 1, 8, 8) and torch.equal(first, tips.played(Tip("another word"), 0, 3))
    for name, tip in TIPS.items():
        samples = tips.played(tip, 0, 3)
        assert samples.isfinite().all() and samples.abs().max() <= 1, name
        assert name == "as advised" or not torch.equal(samples, first), name


def test_a_verdict_needs_two_standard_errors() -> None:
    assert verdict([10.0, 11.0, 12.0], [20.0, 21.0, 22.0]) == "better"
    assert verdict([20.0, 21.0, 22.0], [10.0, 11.0, 12.0]) == "worse"
    assert verdict([10.0, 20.0, 30.0], [12.0, 22.0, 30.0]) == "none to be seen"
