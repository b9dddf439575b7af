"""Films of every kind, read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganzoo.media.films import write_film
from ganzoo.types import BadArgument


def pictures(n: int, side: int = 33) -> list[Image.Image]:
    return [Image.fromarray(np.full((side, side, 3), 20 * i, np.uint8)) for i in range(n)]


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_an_animation(suffix: str, tmp_path: Path) -> None:
    out = tmp_path / f"film{suffix}"
    assert write_film(iter(pictures(8)), out, rate=10) == 8
    with Image.open(out) as film:
        assert film.size == (33, 33) and film.n_frames == 8  # type: ignore[attr-defined]
        assert film.info["loop"] == 0 and film.info.get("duration", 100) == 100
        film.seek(5)
        assert np.abs(np.asarray(film.convert("RGB")).astype(int) - 100).max() <= 4
    assert [*tmp_path.iterdir()] == [out]


@pytest.mark.parametrize("rate", [2.5, 12, 24, 30, 40, 50])
@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_the_mean_rate_is_the_one_asked_for(suffix: str, rate: float, tmp_path: Path) -> None:
    write_film((picture.resize((8, 8)) for picture in pictures(12)), tmp_path / f"film{suffix}", rate)
    with Image.open(tmp_path / f"film{suffix}") as film:
        durations = []
        for i in range(12):
            film.seek(i)
            film.load()
            durations.append(film.info["duration"])
    assert abs(sum(durations) - 12_000 / rate) <= 5 and max(durations) - min(durations) <= 10
    assert min(durations) >= 20, "viewers show what is shorter at a tenth of a second"


def test_one_picture_is_a_film(tmp_path: Path) -> None:
    for suffix in (".gif", ".webp"):
        assert write_film(pictures(1), tmp_path / f"film{suffix}", 24) == 1


def test_a_video_has_even_sides_and_its_rate(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    assert write_film(pictures(8), tmp_path / "film.mp4", rate=10) == 8
    with av.open(str(tmp_path / "film.mp4")) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert len(frames) == 8 and frames[0].shape == (34, 34, 3) and film.streams.video[0].average_rate == 10
        assert abs(int(frames[5][10, 10, 0]) - 100) <= 8


def test_a_strip(tmp_path: Path) -> None:
    for columns, size in ((None, (5 * 33, 33)), (2, (66, 99)), (9, (5 * 33, 33))):
        assert write_film(pictures(5), tmp_path / "strip.png", columns=columns) == 5
        with Image.open(tmp_path / "strip.png") as strip:
            assert strip.size == size


def test_pictures_are_of_the_firsts_size(tmp_path: Path) -> None:
    write_film([*pictures(1, 33), *pictures(1, 66)], tmp_path / "strip.png")
    with Image.open(tmp_path / "strip.png") as strip:
        assert strip.size == (66, 33)


def test_nothing_is_drawn_for_a_path_that_cannot_be(tmp_path: Path) -> None:
    for out, rate, said in (
        ("x.foo", 24, r"no film is written as '\.foo'"),
        ("x", 24, "a file without suffix"),
        ("x.gif", 1000, "the rate is 1000"),
        ("x.gif", 60, r"x.gif: the rate is 60 .* a .gif has at most 50; give that, or the name of a .webp or .mp4"),
        (".", 24, "a file without suffix|is a folder"),
    ):
        with pytest.raises(BadArgument, match=said):
            write_film((1 / 0 for _ in range(1)), tmp_path / out, rate)  # type: ignore[misc]
    with pytest.raises(BadArgument, match="there is no picture"):
        write_film([], tmp_path / "x.gif")
    assert not [*tmp_path.iterdir()]
