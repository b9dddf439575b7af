"""Mixtures: the papers' centres, moments and balance."""

import numpy as np
import pytest
import torch

from ganzoo.data.mixtures import Grid, Ring
from ganzoo.types import BadArgument


def test_the_ring_is_the_unrolled_gans() -> None:
    ring = Ring()
    half = np.sqrt(2)
    expected = [(2, 0), (half, half), (0, 2), (-half, half), (-2, 0), (-half, -half), (0, -2), (half, -half)]
    np.testing.assert_allclose(ring.centres, expected, atol=1e-6)
    assert ring.std == 0.02


def test_the_grid_is_pacgans() -> None:
    expected = {(-4.0 + 2 * i, -4.0 + 2 * j) for i in range(5) for j in range(5)}
    assert {(float(x), float(y)) for x, y in Grid().centres} == expected
    assert Grid().centres[1].tolist() == [-2, -4], "numbered row by row"


@pytest.mark.parametrize(
    "data", [Ring(n=40_000), Grid(n=100_000), Ring(modes=3, radius=1.0, std=0.3, n=30_000, seed=4)]
)
def test_moments_of_every_mode(data: Ring | Grid) -> None:
    images = data.open("train")
    assert images.labels is not None
    for k, centre in enumerate(data.centres):
        points = images.values[images.labels == k].astype(np.float64)
        count, expected = len(points), len(images) / len(data.centres)
        assert abs(count - expected) < 5 * np.sqrt(expected), "five standard deviations of a multinomial count"
        assert np.abs(points.mean(0) - centre).max() < 5 * data.std / np.sqrt(count)
        assert np.abs(points.std(0) / data.std - 1).max() < 5 / np.sqrt(2 * count)


def test_points_are_the_same_each_time_and_differ_by_seed_and_split() -> None:
    assert Ring(n=100).open("train").digest == Ring(n=100).open("train").digest
    digests = {Ring(n=100, seed=s).open(split).digest for s in (0, 1) for split in ("train", "test")}
    assert len(digests) == 4
    assert len(Ring(n=100).open("test")) == 20


def test_points_are_not_rescaled_on_the_way() -> None:
    data = Grid(batch_size=7)
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch.images.shape == (7, 2) and batch.images.dtype == torch.float32
    known = {row.tobytes() for row in data.open("train").values}
    assert all(row.numpy().tobytes() in known for row in batch.images)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"modes": 0}, "modes is 0"),
        ({"std": -1.0}, "std is -1"),
        ({"n": 0}, "n is 0"),
        ({"radius": float("nan")}, "radius is nan"),
        ({"seed": -2}, "seed is -2"),
    ],
)
def test_bad_arguments(arguments: dict[str, float], text: str) -> None:
    with pytest.raises(BadArgument, match=text):
        Ring(**arguments)  # type: ignore[arg-type]
    with pytest.raises(BadArgument, match="spacing is 0"):
        Grid(spacing=0)
