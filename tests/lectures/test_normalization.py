"""Normalization: the share of batchmates by its closed form, and what is measured of pictures by hand."""

from __future__ import annotations

import math

import pytest
import torch

from ganzoo.lectures import normalization
from ganzoo.lectures.normalization import GENERATORS, companies, influence, squashed, unexplained
from ganzoo.nn.reference import virtual_batch_norm


def test_the_share_of_batchmates_against_small_batches_and_large() -> None:
    assert unexplained(2) == pytest.approx(1 - 1 / math.pi)  # of two, y is a sign
    assert unexplained(3) == pytest.approx(1 - math.pi / 6)
    assert unexplained(500) == pytest.approx(1.5 / 500, rel=0.01)
    _, said = normalization.draw_layer(counts=(2, 8), values=40_000)
    measured, closed = ([float(cell.split()[0]) for cell in line.split("|")[2:4]] for line in said.splitlines()[-2:])
    assert measured == pytest.approx(closed, abs=2.5)


def test_an_outlier_is_squashed_as_the_layer_does_it() -> None:
    reference = torch.tensor([-1.0, 1.0] * 8).double()
    u = torch.linspace(-9, 9, 7).double()
    made = virtual_batch_norm(torch.cat([u, reference])[:, None], 16)[:7, 0]
    assert torch.allclose(made, squashed(u, 16), rtol=1e-4)


def test_influence_of_changes_that_are_shared_opposite_and_absent() -> None:
    torch.manual_seed(0)
    own = torch.randn(1, 2, 1, 4, 4).expand(500, -1, -1, -1, -1)
    change = 0.5 * torch.randn(500, 1, 1, 4, 4)
    shared, opposite = influence(own + change), influence(own + change * torch.tensor([1.0, -1.0])[:, None, None, None])
    assert shared.alike == pytest.approx(1) and opposite.alike == pytest.approx(-1)
    latents = float((own[0] - own[0].mean(0)).square().mean())
    assert shared.share == pytest.approx(0.25 / (0.25 + latents), rel=0.1)
    assert influence(own) == (0.0, None)


def test_only_batch_norm_lets_batchmates_in() -> None:
    torch.manual_seed(0)
    shares = {name: influence(companies(make(), 4, 2, 8)).share for name, make in GENERATORS.items()}
    assert shares["batch norm"] > 0.02 and shares["reference batch norm"] == shares["virtual batch norm"] == 0


def test_pictures_of_a_few_steps() -> None:
    picture, said = normalization.draw_company(sizes=(4,), steps=2, batch=8)
    assert picture.width == 960 and said.count("\n| ") == 5 and "0.0 % |" in said
    _, said = normalization.draw_beside(settings=((8, 2),), seeds=2)
    assert all(name in said for name in GENERATORS) and " ± " in said
