import math

import pytest
import torch

from ganzoo.data.mixtures import Grid, Ring
from ganzoo.metrics.functional.modes import mode_coverage
from ganzoo.types import BadArgument, BadData


def test_the_ring_itself_covers_all_its_modes() -> None:
    ring = Ring(n=10_000)
    found = mode_coverage(torch.from_numpy(ring.open("train").values), torch.from_numpy(ring.centres), ring.std)
    assert (found.covered, found.reached) == (8, 8)
    # three standard deviations of a Gaussian in the plane hold 1 - exp(-9/2) of it
    assert found.quality == pytest.approx(1 - math.exp(-4.5), abs=0.004)
    assert found.divergence is not None and 0 <= found.divergence < 2e-3
    assert sum(found.counts) == round(found.quality * 10_000)


def test_a_collapsed_generator_covers_one_mode_and_a_stray_sample_is_no_mode() -> None:
    grid = Grid(n=10)
    centres = torch.from_numpy(grid.centres)
    points = centres[3].repeat(1000, 1)
    points[0] = centres[7]
    found = mode_coverage(points, centres, grid.std)
    assert (found.covered, found.reached, found.quality) == (1, 2, 1.0)
    assert found.divergence == pytest.approx(math.log(25), abs=0.02)


def test_the_share_is_of_the_fair_share() -> None:
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0]])
    points = torch.cat([torch.zeros(95, 2), torch.tensor([[10.0, 0.0]]).repeat(5, 1)])
    assert mode_coverage(points, centres, 1.0, share=0.1).covered == 2  # 5 of a fair 50
    assert mode_coverage(points, centres, 1.0, share=0.11).covered == 1


def test_samples_between_the_modes_count_for_none() -> None:
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0]])
    found = mode_coverage(torch.tensor([[5.0, 0.0], [4.0, 1.0]]), centres, 1.0)
    assert (found.covered, found.reached, found.quality, found.divergence) == (0, 0, 0.0, None)


def test_bad_input_is_named() -> None:
    centres = torch.zeros(2, 2)
    with pytest.raises(BadArgument, match="std=0"):
        mode_coverage(torch.zeros(3, 2), centres, 0.0)
    with pytest.raises(BadArgument, match="share=0"):
        mode_coverage(torch.zeros(3, 2), centres, 1.0, share=0)
    with pytest.raises(BadData, match="sample 1"):
        mode_coverage(torch.tensor([[0.0, 0.0], [0.0, torch.nan]]), centres, 1.0)
    with pytest.raises(BadData):
        mode_coverage(torch.zeros(0, 2), centres, 1.0)
