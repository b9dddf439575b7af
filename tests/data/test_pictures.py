"""Pictures are read back from their files and measured pixel by pixel."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo.data.mixtures import Grid
from ganzoo.files import atomic
from ganzoo.media.pictures import _texts, _ticks, curve, grid, save_grid, scatter, to_pil
from ganzoo.types import BadArgument

RGB = torch.from_numpy(np.random.RandomState(0).randint(0, 256, (5, 3, 8, 6)).astype(np.uint8))
GREY = RGB[:, :1]


def floats(images: torch.Tensor) -> torch.Tensor:
    return images.float() / 127.5 - 1


@pytest.mark.parametrize("images", [RGB, GREY])
def test_to_pil_is_exact(images: torch.Tensor) -> None:
    expected = images.permute(0, 2, 3, 1).squeeze(-1).numpy()
    for given in (images, floats(images), images.numpy(), floats(images).double(), floats(images).requires_grad_()):
        pictures = to_pil(given)
        assert len(pictures) == 5
        assert pictures[0].mode == ("RGB" if images.shape[1] == 3 else "L")
        assert pictures[0].size == (6, 8)
        assert all(np.array_equal(np.asarray(a), b) for a, b in zip(pictures, expected, strict=True))
    assert to_pil(images[:0]) == []


def test_every_image_stands_in_its_place() -> None:
    canvas = np.asarray(grid(RGB, columns=2, padding=3, scale=2))
    assert canvas.shape == (3 * (16 + 3) + 3, 2 * (12 + 3) + 3, 3)
    rest = canvas.copy()
    for i in range(5):
        top, left = 3 + i // 2 * 19, 3 + i % 2 * 15
        tile = canvas[top : top + 16, left : left + 12]
        enlarged = np.kron(RGB[i].permute(1, 2, 0).numpy(), np.ones((2, 2, 1), np.uint8))
        assert np.array_equal(tile, enlarged)
        rest[top : top + 16, left : left + 12] = 255
    assert (rest == 255).all(), "all else is white"


@pytest.mark.parametrize(("side", "tile"), [(8, 64), (28, 84), (32, 64), (64, 64), (100, 100), (1, 64)])
def test_small_images_are_enlarged_until_they_can_be_seen(side: int, tile: int) -> None:
    picture = grid(torch.zeros(1, 1, side, side))
    assert picture.size == (tile + 4, tile + 4) and picture.mode == "L"


def test_the_grid_is_square_by_default() -> None:
    def columns(n: int) -> int:
        return (grid(torch.zeros(n, 1, 64, 64), padding=0).width) // 64

    assert [columns(n) for n in (1, 2, 4, 5, 9, 10, 16)] == [1, 2, 2, 3, 3, 4, 4]
    assert grid(torch.zeros(2, 1, 64, 64), columns=8, padding=0).size == (128, 64)


def test_a_saved_grid_is_the_grid(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "grid.png"
    save_grid(floats(RGB), path, columns=3)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert np.array_equal(np.asarray(picture), np.asarray(grid(RGB, 3)))
    save_grid(RGB, str(tmp_path / "grid.JPG"))
    with Image.open(tmp_path / "grid.JPG") as picture:
        assert picture.format == "JPEG"
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask, "readable like any other file"


@pytest.mark.parametrize(
    ("images", "text"),
    [
        (torch.full((1, 1, 2, 2), 3.5), r"\[-1, 1\], but hold 3.5"),
        (torch.full((1, 1, 2, 2), -1.01), "hold -1.01"),
        (torch.full((1, 3, 2, 2), float("nan")), "hold nan"),
        (torch.full((1, 3, 2, 2), float("inf")), "hold inf"),
        (torch.zeros(1, 2, 4, 4), r"not \(1, 2, 4, 4\)"),
        (torch.zeros(3, 4, 4), r"not \(3, 4, 4\)"),
        (torch.zeros(1, 1, 0, 4), r"not \(1, 1, 0, 4\)"),
        (torch.zeros(1, 1, 4, 4, dtype=torch.int64), "not torch.int64"),
        (torch.zeros(0, 1, 4, 4), "no image"),
    ],
)
def test_images_out_of_range_are_refused(images: torch.Tensor, text: str, tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match=text):
        save_grid(images, tmp_path / "grid.png")
    assert list(tmp_path.iterdir()) == []


def test_rounding_errors_are_no_error() -> None:
    assert np.asarray(to_pil(torch.full((1, 1, 2, 2), 1 + 1e-5))[0]).min() == 255


def test_layouts_and_files_that_cannot_be(tmp_path: Path) -> None:
    for arguments in ({"columns": 0}, {"padding": -1}, {"scale": 0}):
        with pytest.raises(BadArgument, match=next(iter(arguments))):
            grid(RGB, **arguments)
    with pytest.raises(BadArgument, match=r"no picture is written as '\.xyz'"):
        save_grid(RGB, tmp_path / "grid.xyz")
    with pytest.raises(BadArgument, match="without suffix"):
        save_grid(RGB, tmp_path / "grid")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(BadArgument, match="is a folder"):
        save_grid(RGB, tmp_path / "folder.png")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadArgument, match="cannot be written"):
        save_grid(RGB, tmp_path / "file" / "grid.png")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "grid.png"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), atomic(path) as file:
        file.write_bytes(b"half of the new")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["grid.png"]
    with atomic(path) as file:
        file.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


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


def columns_of(picture: Image.Image, colour: tuple[int, int, int]) -> dict[int, float]:
    """The mean row of a colour in each column of a chart, below the legend."""
    close = np.abs(np.asarray(picture).astype(int) - colour).max(-1) < 40
    close[:42] = False
    return {int(c): float(np.argwhere(close[:, c]).mean()) for c in np.flatnonzero(close.any(0))}


def test_a_curve_goes_through_its_values(tmp_path: Path) -> None:
    x = np.linspace(0, 100, 101)
    picture = curve({"rises": (x, x), "falls": (x, 100 - x)}, tmp_path / "curve.png", size=(600, 400))
    with Image.open(tmp_path / "curve.png") as saved:
        assert saved.size == (600, 400) and np.array_equal(np.asarray(saved), np.asarray(picture))
    rises, falls = columns_of(picture, (0, 114, 178)), columns_of(picture, (213, 94, 0))
    at = sorted(rises.keys() & falls.keys())
    assert len(at) > 450
    left, right = at[5], at[-5]
    middle = (3 * left + right) // 4  # away from the crossing, where one hides the other
    assert rises[left] > rises[middle] > rises[right] and falls[left] < falls[middle] < falls[right]
    for each in (rises, falls):
        assert abs(each[middle] - (3 * each[left] + each[right]) / 4) < 1.5, "straight"
    assert abs(rises[left] - falls[right]) < 6, "on one scale"


def test_a_gap_stays_a_gap() -> None:
    x = np.arange(100.0)
    y = np.where((x > 40) & (x < 60), np.nan, 0.5)
    y[0] = 0.0
    found = columns_of(curve({"a": (x, y)}, smooth=5, size=(600, 400)), (0, 114, 178))
    span = max(found) - min(found)
    inside = [c for c in found if 0.42 < (c - min(found)) / span < 0.58]
    assert inside == [] and len(found) > 350


def test_smoothing_shows_the_mean() -> None:
    x = np.arange(400.0)
    y = np.where(x % 2 == 0, 0.0, 1.0)
    found = columns_of(curve({"a": (x, y)}, smooth=100, size=(600, 400)), (0, 114, 178))
    rows = [row for c, row in found.items() if 150 < c < 500]
    assert max(rows) - min(rows) < 8, "the average of a zigzag is flat"


def test_charts_that_cannot_be_drawn() -> None:
    with pytest.raises(BadArgument, match="no finite value"):
        curve({})
    with pytest.raises(BadArgument, match="no finite value"):
        curve({"a": ([0, 1], [float("nan"), float("inf")])})
    with pytest.raises(BadArgument, match="'a': x and y"):
        curve({"a": ([0, 1], [0])})
    with pytest.raises(BadArgument, match="holds nan"):
        curve({"a": ([0, float("nan")], [0, 1])})
    with pytest.raises(BadArgument, match="smooth=0"):
        curve({"a": ([0, 1], [0, 1])}, smooth=0)
    assert curve({"flat": ([3], [0])}, title="t", x_label="x", y_label="y").size == (960, 540)


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (0, 1, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (-2.5, 2.5, ["-2", "-1", "0", "1", "2"]),
        (0, 20_000, ["0", "5k", "10k", "15k", "20k"]),
        (0, 3e6, ["0", "1M", "2M", "3M"]),
        (0.1, 0.101, ["0.1000", "0.1002", "0.1004", "0.1006", "0.1008", "0.1010"]),
        (0, 4e-5, ["0", "1e-05", "2e-05", "3e-05", "4e-05"]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, texts: list[str]) -> None:
    assert _texts(_ticks(low, high, 5)) == texts
