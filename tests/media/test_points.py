"""Pictures of points are measured pixel by pixel."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo.data.mixtures import Grid
from ganzoo.media.medium import save_grid
from ganzoo.media.points import PointMedium, scatter
from ganzoo.types import BadArgument


def is_ink(colour: tuple[int, ...]) -> bool:
    return colour[2] - colour[0] > 60


def is_mark(colour: tuple[int, ...]) -> bool:
    return colour[0] - colour[2] > 100


def test_points_are_drawn_where_they_are() -> None:
    picture = scatter(np.array([[1.0, 0.5]] * 40 + [[-1.0, -0.75]] * 40), extent=2.0, size=400)
    pixels = np.asarray(picture)[16 : 16 + 400, 44 : 44 + 400]  # the square inside the margins
    assert is_ink(tuple(map(int, pixels[150, 300]))) and is_ink(tuple(map(int, pixels[275, 100])))
    ink = np.argwhere(pixels[..., 2].astype(int) - pixels[..., 0] > 60)
    near = np.minimum(np.abs(ink - [150, 300]).max(1), np.abs(ink - [275, 100]).max(1))
    assert near.max() < 8, "and nowhere else"


def test_real_modes_are_marked_and_set_the_extent() -> None:
    data = Grid()
    picture = scatter(torch.zeros(1, 2), reference=data.centres, size=500)
    pixels = np.asarray(picture)[16 : 16 + 500, 44 : 44 + 500]
    for x, y in data.centres:  # 5 units, a quarter beyond the outermost, are 250 pixels
        across, down = 250 + 50 * x, 250 - 50 * y
        ring = [pixels[round(down + 8.5 * np.sin(a)), round(across + 8.5 * np.cos(a))] for a in np.arange(0, 6.28, 0.1)]
        assert np.mean([is_mark(tuple(map(int, colour))) for colour in ring]) > 0.4
    assert not is_mark(tuple(map(int, pixels[200, 200])))


def test_points_outside_are_told() -> None:
    plain, told = (scatter(np.array([[0.0, 0.0], [x, 0.0]]), extent=1.0) for x in (0.0, 5.0))
    corner = (slice(480, 526), slice(300, 552))
    assert np.asarray(plain)[corner].min() > 200
    assert np.asarray(told)[corner].min() < 120, "the text"


def test_a_point_is_written_as_numbers(tmp_path: Path) -> None:
    PointMedium().write(torch.tensor([0.1, -2.5], dtype=torch.float64), tmp_path / "new" / "point.csv")
    assert np.loadtxt(tmp_path / "new" / "point.csv", delimiter=",").tolist() == [0.1, -2.5]
    far = torch.tensor([[-7.0, 9.0]])
    assert torch.equal(PointMedium().limit(far), far), "a plane has no end"
    with pytest.raises(BadArgument, match="hold nan"):
        PointMedium().write(torch.tensor([0.0, float("nan")]), tmp_path / "bad.csv")
    assert not (tmp_path / "bad.csv").exists()
    with pytest.raises(BadArgument, match="cannot be written"):
        PointMedium().write(torch.zeros(2), tmp_path / "new" / "point.csv" / "below.csv")


def test_save_grid_draws_points(tmp_path: Path) -> None:
    points = torch.from_numpy(Grid(n=500).open("train").values)
    save_grid(points, tmp_path / "points.png")
    with Image.open(tmp_path / "points.png") as picture:
        assert np.array_equal(np.asarray(picture), np.asarray(scatter(points)))
    assert scatter(torch.zeros(3, 2)).mode == "RGB", "points that coincide with the origin have an extent too"


@pytest.mark.parametrize(
    ("points", "text"),
    [
        (torch.tensor([[0.0, float("nan")]]), "hold nan"),
        (torch.tensor([[0.0, float("-inf")]]), "hold -inf"),
        (torch.zeros(4, 3), r"not \(4, 3\)"),
        (torch.zeros(0, 2), r"not \(0, 2\)"),
    ],
)
def test_bad_points_are_refused(points: torch.Tensor, text: str) -> None:
    with pytest.raises(BadArgument, match=text):
        scatter(points)
    with pytest.raises(BadArgument, match="extent=0"):
        scatter(torch.zeros(1, 2), extent=0.0)
