"""How a model that enlarges is shown and checked, and how large images come out in parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import data_for, pictures, tiny
from PIL import Image

from ganzoo.types import BadModelFolder


def test_tiles_cover_everything_once_and_evenly() -> None:
    game: Any = tiny("esrgan", network="compact", scale=3, size=24, discriminator="unet")
    seen = torch.zeros(3 * 23, 3 * 40)
    sides = set()
    for top, left, part in game.upscaled_tiles(pictures(1, (1, 23, 40)), tile=9):
        height, width = part.shape[2:]
        seen[top : top + height, left : left + width] += 1
        sides |= {height // 3, width // 3}
    assert bool((seen == 1).all()) and sides == {7, 8}


def test_memory_is_that_of_a_tile() -> None:
    game: Any = tiny("esrgan", network="compact")
    shapes = []
    game.generator.register_forward_hook(lambda module, given, made: shapes.append(given[0].shape[2:]))
    for _ in game.upscaled_tiles(pictures(1, (1, 60, 90)), tile=20, overlap=4):
        pass
    assert len(shapes) == 15 and max(max(shape) for shape in shapes) <= 28


def test_a_golden_picture_is_made_again_and_another_is_refused(tmp_path: Path) -> None:
    game: Any = tiny("esrgan", channels=3, size=16)
    real = data_for(game).open("test")
    picture = game.golden(real)
    assert picture.size == (64, 32)
    picture.save(tmp_path / "golden.png")
    assert game.check_golden(tmp_path / "golden.png") == 0
    changed = np.array(picture)
    changed[20, 20] = 255 - changed[20, 20]
    Image.fromarray(changed).save(tmp_path / "changed.png")
    with pytest.raises(BadModelFolder, match="other pictures than the golden ones"):
        game.check_golden(tmp_path / "changed.png")
    picture.crop((0, 0, 64, 31)).save(tmp_path / "cut.png")
    with pytest.raises(
        BadModelFolder, match="64x31 pixels are no golden picture of this model, which is 32 pixels high"
    ):
        game.check_golden(tmp_path / "cut.png")


def test_what_is_shown() -> None:
    game: Any = tiny("esrgan", size=16)
    shown = game.preview(data_for(game).open("test"), 4)
    assert shown.images.shape == (16, 1, 16, 16) and shown.columns == 4
    assert torch.equal(shown.images[0, :, ::4, ::4], game.reduced(shown.images[3:4])[0]), "nearest neighbours"
    assert game.preview(None, 2).images.shape == (8, 1, 16, 16)
