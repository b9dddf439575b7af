"""Collapse: what its pictures are made of, at a few steps."""

from __future__ import annotations

import torch
from torch import Tensor

from ganzoo.data.mixtures import Ring
from ganzoo.game.registry import family
from ganzoo.lectures import collapse
from ganzoo.objectives import losses, penalties


def test_modes_are_counted_within_nine_deviations() -> None:
    on, off = collapse.CENTRES[:3].repeat(20, 1), collapse.CENTRES[:3].repeat(20, 1) + 0.2
    assert collapse.covered(on).covered == 3 and collapse.covered(on + 0.1).covered == 3
    assert collapse.covered(off).covered == 0


def test_a_snapshot_lays_the_plane_out_from_the_lower_left() -> None:
    game = family("gan").cls(**collapse.GAN)

    def ahead(x: Tensor) -> Tensor:
        return 4 * x[:, 0] + x[:, 1]

    game.discriminator.forward = ahead
    seen = collapse.snapshot(game, 7, n=8, side=5)
    assert seen.step == 7 and seen.points.shape == (8, 2) and seen.heat.shape == (5, 5)
    assert seen.heat[0, 0] < seen.heat[-1, 0] < seen.heat[0, -1] < seen.heat[-1, -1] or seen.heat[0, -1] == 1


def test_objectives_are_the_families() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(6, 2), torch.randn(6, 2)
    critic = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Flatten(0))
    for_d, for_g = collapse.OBJECTIVES["stylegan2: R1"]
    wanted = losses.minimax_discriminator(critic(x), critic(y)) + 0.1 * penalties.r1(critic, x)
    assert torch.allclose(for_d(critic, x, y), wanted)
    assert torch.allclose(for_g(critic, x, y), losses.nonsaturating_generator(critic(y)))
    assert torch.allclose(
        collapse.OBJECTIVES["rgan"][1](critic, x, y), losses.relativistic_generator(critic(x), critic(y))
    )


def test_a_duel_of_every_objective_stays_finite() -> None:
    data = torch.from_numpy(Ring(n=500).read("train").values)
    for name, objective in collapse.OBJECTIVES.items():
        points = collapse.duel(objective, data, 2, batch=16)
        assert points.shape == (2000, 2) and points.isfinite().all(), name


def test_players_are_watched_at_their_steps() -> None:
    seen = collapse.watched("unrolled, k = 1", 4, 2)
    assert [each.step for each in seen] == [0, 2, 4]
    assert not torch.equal(seen[0].points, seen[2].points)
