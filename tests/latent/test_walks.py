"""Walks: arcs against Shoemake's formula by hand, priors that are not normal, frames that are their latent's alone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import close, tiny
from PIL import Image

from ganzoo import latent
from ganzoo.game.priors import Joint, Normal, Uniform
from ganzoo.latent.walks import slerp
from ganzoo.media.levels import to_uint8
from ganzoo.types import BadArgument


def drawn(n: int, d: int) -> torch.Tensor:
    return torch.from_numpy(np.random.RandomState(0).randn(n, d))


def test_slerp_is_its_closed_form_and_norms_lie_between_the_ends() -> None:
    a, b = drawn(50, 7), 3 * drawn(100, 7)[50:]
    for t in (0.0, 0.1, 0.5, 0.9, 1.0):
        found = slerp(a, b, torch.tensor([[t]], dtype=torch.float64))
        for x, y, z in zip(a.numpy(), b.numpy(), found.numpy(), strict=True):
            nx, ny = np.linalg.norm(x), np.linalg.norm(y)
            angle = math.acos(x @ y / nx / ny)
            arc = (math.sin((1 - t) * angle) * x / nx + math.sin(t * angle) * y / ny) / math.sin(angle)
            assert np.abs(z - arc * ((1 - t) * nx + t * ny)).max() < 1e-9
            assert min(nx, ny) - 1e-9 <= np.linalg.norm(z) <= max(nx, ny) + 1e-9


def test_where_there_is_no_arc_the_line_is_taken() -> None:
    t = torch.tensor([[0.25]], dtype=torch.float64)
    for scale in (2.0, -1.0, 1.0):
        a = drawn(3, 4)
        assert close(slerp(a, scale * a, t), torch.lerp(a, scale * a, t), 1e-9, 1.0)


@pytest.mark.parametrize(
    "prior", [Uniform(-1, 1, 5), Uniform(0, 1, 5), Normal(5), Joint((Normal(2), Uniform(-1, 1, 3)))]
)
def test_a_prior_is_walked_through_as_a_normal_one(prior: Any) -> None:
    z = torch.from_numpy(np.stack([prior.of(np.random.RandomState(i)) for i in range(4000)]))
    normal = prior.to_normal(z)
    assert close(prior.from_normal(normal), z, 1e-9)
    # Of 20,000 numbers the mean is within 0.036 and the standard deviation within 0.025 of a normal's: five deviations
    assert abs(float(normal.mean())) < 0.036 and abs(float(normal.std()) - 1) < 0.025


def test_a_walk_stays_in_its_priors_range_and_passes_its_seeds() -> None:
    game: Any = tiny("dcgan")
    stations = latent.draw(game, [3, 7, 12])
    way = latent.path(game, stations, steps=5)
    assert len(way) == 11 and way.values.abs().max() < 1
    assert torch.equal(way.values[::5], stations.values)
    loop = latent.path(game, stations, steps=5, loop=True)
    assert len(loop) == 15 and torch.equal(loop.values[:11], way.values)
    straight = latent.path(game, stations, steps=2, method="linear").values
    assert close(straight[1], stations.values[:2].mean(0), 1e-6)


@pytest.mark.parametrize("name", ["dcgan", "stylegan2", "infogan"])
@pytest.mark.parametrize("space", ["z", "w"])
def test_a_frame_is_its_latents_alone_at_any_batch_size(name: str, space: str) -> None:
    game: Any = tiny(name)
    if space == "w" and "styled" not in game.abilities:
        with pytest.raises(BadArgument, match="space is 'w'; z is expected of "):
            latent.interpolate(game, [3, 7], 4, space)
        return
    frames = [latent.interpolate(game, [3, 7], 4, space, batch_size=n) for n in (1, 2, 64)]
    assert frames[0].shape == (5, 1, 8, 8)
    for other in frames[1:]:
        assert (to_uint8(other).int() - to_uint8(frames[0]).int()).abs().max() <= 1
    one, other = (latent.path(game, latent.draw(game, seeds, space), 4).values for seeds in ([3, 7], [3, 7, 9, 11]))
    assert torch.equal(one[:4], other[:4]) or space == "w"  # a product of matrices may depend on how many rows it has


def test_the_first_frame_is_the_seeds_picture() -> None:
    game: Any = tiny("dcgan")
    assert close(latent.interpolate(game, [3, 7], 4)[:1], game.sample(1, seed=3), 1e-5)
    styled: Any = tiny("stylegan2")
    frames = latent.interpolate(styled, [3, 7], 4, "w", truncation=0.5)
    assert close(frames[:1], styled.sample(1, seed=3, truncation=0.5, noise="const"), 1e-5)


def test_a_label_is_the_nearer_stations() -> None:
    game: Any = tiny("acgan")
    way = latent.path(game, latent.draw(game, [3, 7], labels=[0, 2]), 4)
    assert way.labels is not None and way.labels.tolist() == [0, 0, 2, 2, 2]


def test_a_walk_is_a_film(tmp_path: Path) -> None:
    told: list[int] = []
    out = tmp_path / "walk.png"
    assert latent.walk(tiny("dcgan"), [3, 7], out, 4, batch_size=3, progress=told.append) == 8
    assert sum(told) == 8 and [*tmp_path.iterdir()] == [out]
    with Image.open(out) as strip:
        assert strip.size == (4 * 64, 2 * 64), "a row a seed"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"seeds": [3]}, "30 steps past 1 latents"),
        ({"steps": 0}, "0 steps past 2 latents"),
        ({"method": "cubic"}, "method is 'cubic'; slerp or linear is expected"),
        ({"space": "w"}, "space is 'w'; z is expected of DCGAN"),
        ({"truncation": 0.5}, "DCGAN has no truncation"),
        ({"rate": 0}, "the rate is 0 pictures a second"),
        ({"out": "x.foo"}, r"x\.foo: no film is written as '\.foo'"),
    ],
)
def test_what_cannot_be_walked(asked: dict[str, Any], said: str, tmp_path: Path) -> None:
    given = {"seeds": [3, 7], "out": "x.gif", **asked}
    with pytest.raises(BadArgument, match=said):
        latent.walk(tiny("dcgan"), given.pop("seeds"), tmp_path / given.pop("out"), **given)
    assert not [*tmp_path.iterdir()]


def test_a_family_without_z_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="CycleGAN draws no images of its own, so it has no z"):
        latent.walk(tiny("cyclegan"), [3, 7], tmp_path / "x.gif")


def test_a_video_without_the_extra_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(BadArgument, match=r"a video needs PyAV.*lightning-ganzoo\[video\]"):
        latent.walk(tiny("dcgan"), [3, 7], tmp_path / "x.mp4")
    assert not [*tmp_path.iterdir()]


def test_points_walk_too(tmp_path: Path) -> None:
    game: Any = tiny("unrolled")
    if len(game.shape) == 1:
        assert latent.walk(game, [3, 7], tmp_path / "x.gif", 2) == 4
