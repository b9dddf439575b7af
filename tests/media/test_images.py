"""Pictures are read back from their files and measured pixel by pixel."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo.files import atomic
from ganzoo.media.images import ImageMedium, grid, to_pil
from ganzoo.media.levels import floats_of
from ganzoo.media.medium import save_grid
from ganzoo.types import BadArgument

RGB = torch.from_numpy(np.random.RandomState(0).randint(0, 256, (5, 3, 8, 6)).astype(np.uint8))
GREY = RGB[:, :1]


def floats(images: torch.Tensor) -> torch.Tensor:
    return images.float() / 127.5 - 1


@pytest.mark.parametrize("images", [RGB, GREY])
def test_a_picture_as_floats(images: torch.Tensor) -> None:
    for picture, expected in zip(to_pil(images), floats(images), strict=True):
        assert torch.equal(floats_of(picture), expected) and floats_of(picture).is_contiguous()


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
        (torch.zeros(3, 4, 4), r"images \(N, C, H, W\) or points \(N, 2\), not \(3, 4, 4\)"),
        (torch.zeros(1, 1, 0, 4), r"not \(1, 1, 0, 4\)"),
        (torch.zeros(1, 1, 4, 4, dtype=torch.int64), "not int64"),
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
    for arguments in ({"columns": 0}, {"padding": -1}, {"scale": 0}, {"columns": 2.5}, {"columns": "2"}):
        name, value = next(iter(arguments.items()))
        with pytest.raises(BadArgument, match=f"^{name}={value!r}: a grid needs a whole number from [01] on.$"):
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


def test_an_image_is_written_at_its_own_size_and_read_back_exactly(tmp_path: Path) -> None:
    for image in (RGB[0], GREY[0]):
        ImageMedium().write(image, tmp_path / "one.png")
        with Image.open(tmp_path / "one.png") as picture:
            assert picture.size == (6, 8)
            assert np.array_equal(np.asarray(picture), image.permute(1, 2, 0).squeeze(-1).numpy())


def test_what_a_network_makes_is_clamped_to_the_range_of_images() -> None:
    made = torch.tensor([-3.0, -1.0, 0.25, 1.0, 1.5]).reshape(1, 1, 1, 5)
    assert ImageMedium().limit(made).flatten().tolist() == [-1, -1, 0.25, 1, 1]
    assert ImageMedium().limit(torch.full((1, 1, 1, 1), float("nan"))).isnan().all(), "and nothing is hidden"
