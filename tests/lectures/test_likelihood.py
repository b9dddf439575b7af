"""Likelihood: Parzen windows beside closed forms and a plain loop."""

from __future__ import annotations

import math

import pytest
import torch

from ganzoo.lectures import likelihood
from ganzoo.lectures.likelihood import best_width, k_means, parzen, truth


def test_a_parzen_window_is_the_mean_of_its_normals() -> None:
    torch.manual_seed(0)
    points, centres = torch.randn(5, 3).double(), torch.randn(7, 3).double()
    normals = [torch.distributions.Normal(c, 0.4).log_prob(points).sum(1).exp() for c in centres]
    assert parzen(points, centres, 0.4).exp() == pytest.approx(torch.stack(normals).mean(0), rel=1e-9)


def test_the_truth_is_the_expectation_of_the_normals_log_density() -> None:
    torch.manual_seed(0)
    found = torch.distributions.Normal(0.0, 1.0).log_prob(torch.randn(20_000, 4)).sum(1).mean()
    assert float(found) == pytest.approx(truth(4), abs=5 * math.sqrt(2 / 20_000) * 1.5)


def test_estimates_fall_short_of_the_truth_by_more_in_more_dimensions() -> None:
    torch.manual_seed(0)
    short = []
    for d in (1, 8, 32):
        centres, validation, test = torch.randn(500, d), torch.randn(200, d), torch.randn(400, d)
        short.append(truth(d) - float(parzen(test, centres, best_width(validation, centres)).mean()))
    assert abs(short[0]) < 0.2 < short[1] < short[2]


def test_k_means_of_separate_clusters_finds_them() -> None:
    torch.manual_seed(0)
    points = torch.cat([torch.randn(50, 2) * 0.1 + 5 * k for k in range(3)])
    centres = k_means(points[torch.randperm(150)], 12)
    assert (torch.cdist(torch.tensor([[0.0, 0.0], [5.0, 5.0], [10.0, 10.0]]), centres).min(1).values < 0.3).all()


def test_ninety_nine_parts_of_noise_cost_less_than_log_100() -> None:
    train, test = likelihood.digits()
    good = parzen(test, train, 0.35)
    noise = torch.full_like(good, -1e3)
    drowned = torch.logaddexp(good + math.log(0.01), noise + math.log(0.99))
    assert float((good - drowned).max()) <= math.log(100) + 1e-9
    _, said = likelihood.draw_likelihood()
    numbers = [float(line.split("|")[2]) for line in said.splitlines()[2:]]
    assert numbers[1] >= numbers[2] - 0.1 and numbers[3] < numbers[1]
