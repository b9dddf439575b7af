"""Divergences: integrals and small games beside closed forms."""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from ganzoo.families.fgan import Divergence
from ganzoo.lectures import divergences
from ganzoo.lectures.divergences import LOG2, X, integral, js, kl, normal, total_variation, value, wasserstein

PAGE = Path(__file__).resolve().parents[2] / "docs" / "theory" / "divergences.md"


@pytest.mark.parametrize("m", [0.0, 0.5, 2.0, 5.0])
def test_distances_of_normals(m: float) -> None:
    p, q = normal(m), normal(0.0)
    assert float(kl(p, q)) == pytest.approx(m**2 / 2, abs=1e-9)
    assert float(total_variation(p, q)) == pytest.approx(math.erf(m / 2 / math.sqrt(2)), abs=1e-5)
    assert float(wasserstein(p, q)) == pytest.approx(m, abs=1e-9)
    assert 0 <= float(js(p, q)) <= LOG2


def test_kl_of_other_deviations() -> None:
    wanted = math.log(2 / 0.5) + (0.5**2 + 1) / (2 * 2**2) - 0.5
    assert float(kl(normal(1.0, 0.5), normal(0.0, 2.0))) == pytest.approx(wanted, rel=1e-6)  # the range is finite


def test_js_of_distributions_that_do_not_meet_is_log_2() -> None:
    left = torch.where((X > -2) & (X < -1), 0.0, -60.0).double()
    right = torch.where((X > 1) & (X < 2), 0.0, -60.0).double()
    left, right = (each - integral(each.exp()).log() for each in (left, right))
    assert float(js(left, right)) == pytest.approx(math.log(2), rel=1e-9)
    assert float(total_variation(left, right)) == pytest.approx(1, rel=1e-9)
    assert float(wasserstein(left, right)) == pytest.approx(3, abs=2 * divergences.DX)


def test_a_discriminator_finds_log_2_on_lines_and_a_critic_their_distance() -> None:
    jensen, earth = divergences.estimated(0.5, 120)
    assert jensen == pytest.approx(math.log(2), abs=0.02) and earth == pytest.approx(0.5, abs=0.1)


def test_the_best_discriminator() -> None:
    p, q = normal(-1.0, 0.8), normal(1.2, 1.1)
    best = float(value(p, q, p - q))
    assert best == pytest.approx(-math.log(4) + 2 * float(js(p, q)), rel=1e-6)
    assert best > max(float(value(p, q, p - q + shift)) for shift in (-0.1, 0.1))


def test_slopes_of_the_costs() -> None:
    for loss, cost, slope in divergences.COSTS.values():
        for share in (0.02, 0.5, 0.9):
            logit = torch.tensor(math.log(share / (1 - share)), dtype=torch.float64, requires_grad=True)
            found = loss(logit)
            (along,) = torch.autograd.grad(found, logit)
            wanted = (form(np.array([share])).item() for form in (cost, slope))
            assert (found.item(), along.item()) == pytest.approx(tuple(wanted))


def test_the_nonsaturating_loss_descends_kl_less_twice_js() -> None:
    for theta in (0.5, 2.0, 4.0):
        h = 1e-4
        ends = [kl(normal(t), normal(0.0)) - 2 * js(normal(t), normal(0.0)) for t in (theta - h, theta + h)]
        assert divergences.nonsaturating_slope(theta) == pytest.approx(float(ends[1] - ends[0]) / (2 * h), abs=1e-4)


def test_fits() -> None:
    p = torch.logaddexp(normal(-2.0, 0.5), normal(2.0, 0.5)) - LOG2
    mean, std = divergences.fitted(kl, p, 0.5, 250)
    assert mean == pytest.approx(0, abs=0.05) and std == pytest.approx(math.sqrt(0.25 + 4), abs=0.05)
    mean, std = divergences.fitted(lambda p, q: kl(q, p), p, 1.5, 250)
    assert mean == pytest.approx(2, abs=0.05) and std == pytest.approx(0.5, abs=0.05)


def test_three_updates_of_one_value() -> None:
    means = divergences.three_updates(40)
    closed = [2 - 3 * 0.9**n for n in range(41)]  # maximum likelihood's exponential
    assert means["maximum likelihood"] == pytest.approx(closed)
    assert means["self-contrastive"] == pytest.approx(closed, abs=1e-7)
    assert means["noise-contrastive"][-1] == pytest.approx(2, abs=0.2)
    assert means["GAN"][0] == -1 and means["GAN"][-1] > 0


def f_divergence(name: str) -> float:
    p, q = normal(divergences.MEAN, divergences.STD), normal(0)
    return float(integral(q.exp() * divergences.DIVERGENCES[name][1]((p - q).exp())))


def test_every_divergence_of_f_gan_by_quadrature_and_in_closed_form() -> None:
    assert [*divergences.DIVERGENCES] == [*get_args(Divergence)]
    closed = divergences.closed_forms()
    assert divergences.DIVERGENCES.keys() - closed.keys() == {"jensen_shannon", "weighted_jensen_shannon", "gan"}
    for name, (_, wanted) in closed.items():
        assert f_divergence(name) == pytest.approx(wanted, rel=1e-5), name
    p, q = normal(divergences.MEAN, divergences.STD), normal(0)
    mixed, pi = torch.logaddexp(p + math.log(divergences.PI), q + math.log(1 - divergences.PI)), divergences.PI
    assert f_divergence("jensen_shannon") == pytest.approx(2 * float(js(p, q)))
    assert f_divergence("gan") == pytest.approx(2 * float(js(p, q)) - math.log(4))
    assert f_divergence("weighted_jensen_shannon") == pytest.approx(float(pi * kl(p, mixed) + (1 - pi) * kl(q, mixed)))


@pytest.mark.parametrize("name", get_args(Divergence))
def test_a_learnt_bound_comes_near_its_divergence_from_below(name: Divergence) -> None:
    exact, (t, found) = f_divergence(name), divergences.bounded(name, 120, 512)
    short = 0.5 if name == "neyman" else 0.15  # of a V that knows nothing the bound is 0, or -log 4 of `gan`
    least = exact - short * (exact + (math.log(4) if name == "gan" else 0))
    assert least < found <= exact + 1e-6 and t.shape == X.shape


def test_the_page_holds_what_is_drawn_now() -> None:
    for draw in (divergences.draw_costs, divergences.draw_distances):
        picture, said = draw()
        assert said in PAGE.read_text() and picture.width > 600
    for name, (text, _) in divergences.DIVERGENCES.items():
        assert f"| {name.replace('_', ' ')} | {text} |" in PAGE.read_text()
        assert f"| {f_divergence(name):.4f} |" in PAGE.read_text()
