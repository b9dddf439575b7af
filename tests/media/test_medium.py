"""The medium of a shape, and one of a test's own: the next medium is one class."""

import gc
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from ganzoo.media.medium import Medium, Numbers, as_array, is_picture, medium_of, save_grid, write_picture
from ganzoo.types import BadArgument


def test_every_shape_has_its_medium() -> None:
    assert [medium_of(shape).name for shape in ((3, 64, 64), (1, 8, 8), (2,))] == ["image", "image", "point"]
    assert medium_of(torch.zeros(3, 4, 4).shape).name == "image"
    for shape in ((), (4, 4), (1, 2, 3, 4, 5)):
        with pytest.raises(BadArgument, match=r"^Samples must be images \(N, C, H, W\) or points \(N, 2\), not \(N"):
            medium_of(shape)


def test_a_medium_of_ones_own_is_drawn_by_the_same_function(tmp_path: Path) -> None:
    class Sounds(Medium):
        name = "sound"
        form = "T"
        value_range = (-1.0, 1.0)
        suffix = ".raw"

        def fits(self, shape: tuple[int, ...]) -> bool:
            return len(shape) == 2

        def check(self, samples: Numbers) -> npt.NDArray[Any]:
            return as_array(samples)

        def draw(self, samples: Numbers, columns: int | None = None) -> Image.Image:
            return Image.new("L", (10 * len(samples), 5))

        def write(self, sample: Numbers, path: str | Path) -> None:
            Path(path).write_bytes(np.asarray(sample).tobytes())

    assert medium_of((1, 100)).name == "sound"
    save_grid(torch.zeros(3, 1, 100), tmp_path / "sounds.png")
    with Image.open(tmp_path / "sounds.png") as picture:
        assert picture.size == (30, 5)
    assert medium_of((1, 100)).limit(torch.tensor([2.0])).item() == 1
    with pytest.raises(BadArgument, match=r"or sounds \(N, T\), not \(2, 3, 3, 3, 3\)"):
        save_grid(torch.zeros(2, 3, 3, 3, 3), tmp_path / "none.png")
    del Sounds
    gc.collect()
    with pytest.raises(BadArgument, match="not"):
        medium_of((1, 100))


@pytest.mark.parametrize("samples", ["x", None, 3, [torch.zeros(1, 1, 2, 2)], np.float32(3), torch.tensor(3.0)])
def test_what_is_no_batch_of_samples_is_refused_in_a_line(samples: object, tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match=r"^Samples are a tensor or an array \(N, ...\), not \w+ .*\.$") as caught:
        save_grid(samples, tmp_path / "x.png")  # type: ignore[arg-type]
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_formats_that_pictures_are_written_in(tmp_path: Path) -> None:
    picture = Image.new("RGB", (8, 8))
    for name in ("a.png", "a.JPG", "a.tiff", "a.webp", "a.gif", "a.bmp"):
        assert is_picture(name)
        write_picture(picture, tmp_path / name)
        with Image.open(tmp_path / name) as read:
            assert read.size == (8, 8)
    assert not any(is_picture(name) for name in ("a", "a.", "a.xyz", "a.txt", ".png", "a.png/b"))
    with pytest.raises(BadArgument, match=r"huge.webp: WEBP cannot hold this picture|cannot be written") as caught:
        write_picture(Image.new("L", (20_000, 4)), tmp_path / "huge.webp")
    assert "\n" not in str(caught.value) and not (tmp_path / "huge.webp").exists()
    for name in ("a.hdf", "a.wmf", "a.grib"):
        if is_picture(name):
            with pytest.raises(BadArgument, match="cannot"):
                write_picture(picture, tmp_path / name)
