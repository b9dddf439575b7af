"""Rain: streaks along the direction in which they fall, only ever lighter, each picture's its own; pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from avatar_files import prepared
from helpers import pictures
from numpy.random import RandomState
from picture_files import class_folders

from ganzoo.data.rain import AvatarRain, FolderRain, Rain, motion, rained, streaks
from ganzoo.media.levels import to_float
from ganzoo.types import BadArgument


def test_a_movement_is_a_line() -> None:
    assert torch.equal(motion(5, 0.0), torch.eye(5)[2].repeat(5, 1) / 5), "straight down"
    assert torch.allclose(motion(5, 90.0), motion(5, 0.0).T)
    leaning = motion(9, 30.0)
    assert leaning.shape == (9, 9) and leaning.sum() == pytest.approx(1)
    y, x = np.indices((9, 9)) - 4
    slope = -(leaning.numpy() * x * y).sum() / (leaning.numpy() * y * y).sum()
    assert slope == pytest.approx(np.tan(np.radians(30)), rel=0.1), "to the right at the top"
    assert motion(4, 10.0).shape == (5, 5)


def test_rain_only_adds_light_and_is_each_pictures_own() -> None:
    images = to_float(torch.randint(0, 256, (4, 3, 20, 24), dtype=torch.uint8))
    wet = rained(images, torch.tensor([3, 4, 5, 3]))
    assert wet.shape == images.shape and wet.max() <= 1 and (wet >= images - 1e-6).all() and (wet > images).any()
    assert torch.equal(wet[1:2], rained(images[1:2], torch.tensor([4])))
    assert torch.equal(rained(images[:1], torch.tensor([3])), wet[:1])
    black = rained(-torch.ones(3, 1, 20, 24), torch.tensor([3, 4, 3]))
    assert torch.equal(black[0], black[2]) and not torch.equal(black[0], black[1])
    levels = (wet + 1) * 127.5
    assert (levels - levels.round()).abs().max() < 1e-3, "levels of a file"
    with pytest.raises(BadArgument, match="there are 2 seeds for 4 images"):
        rained(images, torch.tensor([1, 2]))


def test_how_hard_it_rains() -> None:
    def wet(drops: float, light: float) -> torch.Tensor:
        rain = Rain((drops, drops), (0.2, 0.2), (0.0, 0.0), (light, light))
        return streaks(64, 64, RandomState(0), rain)

    assert wet(0.0, 0.8).max() == 0 and wet(0.02, 0.8).max() <= 0.8
    assert wet(0.002, 0.8).mean() < wet(0.02, 0.8).mean() / 2
    assert torch.allclose(wet(0.02, 0.4), wet(0.02, 0.8) / 2)
    falling = wet(0.004, 1.0)  # light goes on downwards, not across
    down, across = (float((falling * falling.roll(2, axis)).sum()) for axis in (0, 1))
    assert down > 4 * across


def test_pairs(tmp_path: Path) -> None:
    root = str(prepared(tmp_path / "avatars"))
    data = AvatarRain("lorelei", root=root, size=32, labels="age")
    train, test = data.open("train"), data.open("test")
    assert test.targets is not None and test.paired and test.name.endswith("-rain") and test.labels is not None
    assert (test.values.astype(int) >= test.targets).all() and (test.values != test.targets).any((1, 2, 3)).all()
    fell = [(each.values.astype(int) - each.targets)[0] for each in (train, test)]
    assert not np.array_equal(*fell), "another rain"
    photos = FolderRain(str(class_folders(tmp_path / "photos", 2)), size=16, channels=3).open("train")
    assert photos.targets is not None and (photos.values.astype(int) >= photos.targets).all()


def test_pictures_are_left_as_they_were() -> None:
    images = pictures(2, (1, 8, 8))
    kept = images.clone()
    rained(images, torch.tensor([0, 1]))
    assert torch.equal(images, kept)
