"""Heads: renders beside a ray that is marched, symmetry, and angles that are told."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ganzoo.data import heads
from ganzoo.data.heads import Heads, Pose, render
from ganzoo.types import BadArgument


def pose(*angles: tuple[float, float]) -> Pose:
    return Pose(*np.array(angles, float).T)


def marched(azimuth: float, elevation: float, x: float, y: float, step: float = 1e-3) -> float:
    """Brightness where a ray that comes from the viewer in small steps is first inside a part."""
    a, e = math.radians(azimuth), math.radians(elevation)
    for depth in np.arange(1.6, -1.6, -step):
        # undo the turn to the side, then the turn upwards
        u, w = x * math.cos(a) - depth * math.sin(a), x * math.sin(a) + depth * math.cos(a)
        point = np.array([u, y * math.cos(e) - w * math.sin(e), y * math.sin(e) + w * math.cos(e)])
        for centre, axes, lightness in heads._PARTS:
            off = (point - centre) / axes
            if off @ off <= 1:
                n = off / axes / np.linalg.norm(off / axes)
                up, fore = n[1] * math.cos(e) + n[2] * math.sin(e), -n[1] * math.sin(e) + n[2] * math.cos(e)
                turned = (n[0] * math.cos(a) + fore * math.sin(a), up, -n[0] * math.sin(a) + fore * math.cos(a))
                return lightness * (0.2 + 0.8 * max(float(np.dot(turned, heads._LIGHT)), 0))
    return 0.0


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (50, 20), (-35, -25)])
def test_a_render_is_what_a_marched_ray_meets(azimuth: float, elevation: float) -> None:
    made = render(pose((azimuth, elevation)), 8)[0, 0] / 255
    line = (2 * np.arange(8) + 1 - 8) / 8 * 1.15
    by_hand = np.array([[marched(azimuth, elevation, x, -y) for x in line] for y in line])
    off = np.abs(made - by_hand) > 0.02
    assert off.sum() <= 1, "but for a ray that grazes"
    assert (made > 0).sum() > 15


def test_turning_to_the_other_side_mirrors_the_outline_and_nothing_else_moves() -> None:
    right, left, ahead = render(pose((40, 10), (-40, 10), (0, 10)), 32)[:, 0] > 0
    assert np.array_equal(right, left[:, ::-1]) and np.array_equal(ahead, ahead[:, ::-1])
    assert not np.array_equal(right, left)


def test_angles_are_uniform_told_and_the_same_each_time() -> None:
    data = Heads(size=8, n=400)
    images, told = data.open("train"), data.poses("train")
    assert images.values.shape == (400, 1, 8, 8) and len(data.open("test")) == 80
    assert np.array_equal(images.values, render(told, 8)), "in their order"
    for angle, most in zip(told, (60, 30), strict=True):
        assert np.abs(angle).max() <= most
        assert abs(angle.mean()) < 5 * most / math.sqrt(3 * 400)
        assert angle.std() == pytest.approx(most / math.sqrt(3), rel=0.15)
    assert images.labels is not None and images.classes == ("left", "ahead", "right")
    assert (told.azimuth[images.labels == 0] <= -20).all() and (told.azimuth[images.labels == 2] >= 20).all()
    again, other = (Heads(size=8, n=400, seed=seed).open("train") for seed in (0, 1))
    assert images.digest == again.digest != other.digest
    both = data.open("all")
    assert len(both) == 480 and np.array_equal(both.values[400:], data.open("test").values)


def test_sizes_are_refused() -> None:
    with pytest.raises(BadArgument, match="size is 4"):
        Heads(size=4)
