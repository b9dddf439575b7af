"""Dynamics: runs beside closed forms."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from ganzoo.lectures import dynamics
from ganzoo.lectures.dynamics import DIRAC, GAMMA, NOISE, closed_form, dirac_path, engine_path, jacobian, orbit

PAGE = Path(__file__).resolve().parents[2] / "docs" / "theory" / "dynamics.md"


def test_the_spiral_grows_by_its_closed_form_at_every_step() -> None:
    radii = np.linalg.norm(orbit(dynamics.simultaneous, 30, 0.3), axis=1)
    assert radii[1:] / radii[:-1] == pytest.approx(math.sqrt(1 + 0.3**2), rel=1e-12)
    radii = np.linalg.norm(orbit(dynamics.extragradient, 30, 0.3), axis=1)
    assert radii[1:] / radii[:-1] == pytest.approx(math.sqrt(1 - 0.3**2 + 0.3**4), rel=1e-12)
    assert dynamics.growth(0.3)["simultaneous"] == pytest.approx(math.sqrt(1.09))


def test_alternating_steps_stay_on_an_ellipse() -> None:
    x, y = orbit(dynamics.alternating, 200, 0.3).T
    assert x**2 + y**2 + 0.3 * x * y == pytest.approx(1, rel=1e-12)


def test_the_penalty_draws_in_as_its_eigenvalues_say() -> None:
    step = np.stack([dynamics.regularised(1, 0, 0.1), dynamics.regularised(0, 1, 0.1)], 1)
    assert abs(np.linalg.eigvals(step)).max() == pytest.approx(dynamics.growth(0.1)["R1"], rel=1e-12)


def test_means_of_an_orbit_come_nearer() -> None:
    mean = np.linalg.norm(dynamics.averaged(orbit(dynamics.alternating, 1000, 0.1)), axis=1)
    n = np.arange(1, 1002)
    assert (mean <= 2.2 / (0.1 * n)).all() and mean.max() == 1


@pytest.mark.parametrize(
    ("name", "slope", "damping"),
    [("minimax", 0.5, 0), ("non-saturating", 0.5, 0), ("R1", 0.5, GAMMA), ("R2", 0.5, GAMMA), ("WGAN", 1, 0),
     ("instance noise", 0.5, NOISE**2 / 2)],
)  # fmt: skip
def test_eigenvalues_of_the_jacobian(name: str, slope: float, damping: float) -> None:
    found = sorted(torch.linalg.eigvals(jacobian(*DIRAC[name])).tolist(), key=lambda value: value.imag)
    wanted = sorted(closed_form(slope, damping), key=lambda value: value.imag)
    assert found == pytest.approx(wanted, abs=1e-7)


def test_consensus_moves_the_eigenvalues_to_the_left() -> None:
    plain, cured = (torch.linalg.eigvals(jacobian(*DIRAC[name])) for name in ("minimax", "consensus"))
    assert plain.real.abs().max() < 1e-9 and cured.real.max() < -0.1


def test_which_dirac_gans_converge() -> None:
    ends = {name: np.linalg.norm(dirac_path(name, 150, 0.2)[-1]) for name in DIRAC}
    assert ends["minimax"] > math.sqrt(2) and ends["non-saturating"] > 0.1 and ends["WGAN"] > 0.5
    assert max(ends[name] for name in ("R1", "R2", "instance noise", "consensus")) < 0.01


def test_the_engine_walks_the_paths_of_the_plain_rules() -> None:
    found = engine_path(8, 0.1, simultaneous=True), engine_path(8, 0.1)
    for path, rule in zip(found, (dynamics.simultaneous, dynamics.alternating), strict=True):
        assert np.abs(path - orbit(rule, 8, 0.1)).max() < 1e-6


def test_fictitious_play() -> None:
    shares, regrets = dynamics.fictitious(dynamics.PENNIES, -dynamics.PENNIES, 2000)
    assert shares[-1] == pytest.approx([0.5, 0.5], abs=0.03) and regrets[-1] < 2 / math.sqrt(2000)
    assert shares.sum(1) == pytest.approx(1)
    _, regrets = dynamics.fictitious(*dynamics.SHAPLEY, 2000)
    assert regrets[-500:].min() > 0.2, "Shapley's game does not settle"


def test_the_page_holds_what_is_drawn_now() -> None:
    for draw in (dynamics.draw_radii, dynamics.draw_spectrum):
        picture, said = draw()
        assert said in PAGE.read_text() and picture.width > 600
