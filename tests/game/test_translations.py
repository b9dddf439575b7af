"""What is shown of a translating model, and the golden picture by which it is checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import Noise, fit, tiny
from PIL import Image
from torch import Tensor
from toys import TRANSLATION, installed

import ganzoo
from ganzoo import folder as folders
from ganzoo.data.batch import Images
from ganzoo.folder import write_model
from ganzoo.game.abilities import Translates
from ganzoo.game.game import Game
from ganzoo.media.levels import to_float, to_uint8
from ganzoo.training.previews import Previews
from ganzoo.types import BadModelFolder


@pytest.fixture(scope="module")
def game(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Game]:
    """A toy that maps colours to grey and back."""
    with installed(tmp_path_factory.mktemp("families"), "toytranslation", TRANSLATION):
        yield tiny("toytranslation", channels=1, source_channels=3)


@pytest.fixture
def pairs() -> Images:
    return Noise((3, 8, 8), n=20, targets=(1, 8, 8), paired=True).open("test")


def test_rows_are_inputs_translations_and_counterparts(game: Translates, pairs: Images) -> None:
    assert pairs.targets is not None

    def table(real: Images | None, n: int) -> Tensor:
        shown = game.preview(real, n)
        columns = 3 if real is not None and real.paired else 2
        return shown.images.reshape(-1, columns, *shown.images.shape[1:])

    shown = table(pairs, 5)
    assert shown.shape == (5, 3, 3, 8, 8) and game.preview(pairs, 5).columns == 3
    some = to_float(torch.from_numpy(pairs.values[[0, 4, 8, 12, 16]]))
    assert torch.equal(shown[:, 0], some)
    assert torch.equal(shown[:, 1], game.translate(some).expand(-1, 3, -1, -1)), "grey beside colours"
    assert torch.equal(shown[:, 2], to_float(torch.from_numpy(pairs.targets[::4])).expand(-1, 3, -1, -1))
    unpaired = Noise((3, 8, 8), n=20, targets=(1, 8, 8)).open("test")
    assert table(unpaired, 5).shape == (5, 2, 3, 8, 8)
    assert len(table(pairs, 100)) == 8 and game.preview(pairs, 100).columns == 6
    assert table(None, 4).shape == (4, 2, 3, 8, 8), "without data, of fields"


def test_inputs_for_each_domain(game: Translates, pairs: Images) -> None:
    assert pairs.targets is not None
    assert torch.equal(game.inputs(pairs, 20, "a"), to_float(torch.from_numpy(pairs.targets)))
    for real in (None, Noise((2, 8, 8)).open("test")):
        fields = game.inputs(real, 3, "b")
        assert fields.shape == (3, 3, 8, 8) and fields.min() >= -1 and fields.max() <= 1 and fields.std() > 0.2
        assert torch.equal(to_float(to_uint8(fields)), fields), "in 8-bit levels, so that a picture keeps them"
        assert torch.equal(fields, game.inputs(real, 3, "b"))


@pytest.mark.parametrize("data", [True, False])
def test_the_golden_picture_is_checked_from_itself(game: Translates, pairs: Images, data: bool, tmp_path: Path) -> None:
    write_model(game, tmp_path / "model", {"name": "toy"}, real=pairs if data else None)
    with Image.open(tmp_path / "model" / "golden.png") as picture:
        assert picture.size == (4 * 8, 4 * 8), "four inputs of two directions at their own size"
        golden = np.array(picture)
    if data:
        assert np.array_equal(golden[:8, 8:16], pairs.values[5].transpose(1, 2, 0))
    with Image.open(tmp_path / "model" / "samples.png") as picture:
        assert picture.width == ((3 if data else 2) * 2) * 66 + 2
    assert ganzoo.verify(tmp_path / "model")["golden"] == 0

    for row in (8, 24):  # what either direction made
        spoiled = golden.copy()
        spoiled[row : row + 8] = np.where(spoiled[row : row + 8] > 127, 0, 255)
        Image.fromarray(spoiled).save(tmp_path / "model" / "golden.png")
        folders.write_manifest(tmp_path / "model")
        with pytest.raises(BadModelFolder, match=r"golden\.png: the model makes other pictures than the golden ones"):
            ganzoo.verify(tmp_path / "model")


def test_pictures_that_are_no_golden_ones(game: Translates, tmp_path: Path) -> None:
    path = tmp_path / "golden.png"
    for width, height in ((32, 16), (33, 32), (8 * 65, 32), (4, 32)):
        Image.new("RGB", (width, height)).save(path)
        with pytest.raises(BadModelFolder, match=rf"{width}x{height} pixels are no golden picture of this model"):
            game.check_golden(path)
    path.write_bytes(b"none")
    with pytest.raises(BadModelFolder, match="no readable picture"):
        game.check_golden(path)


def test_other_weights_are_noticed(game: Translates, pairs: Images, tmp_path: Path) -> None:
    drawn = game.golden(pairs)
    assert drawn is not None
    drawn.save(tmp_path / "golden.png")
    other = tiny("toytranslation")
    with torch.no_grad():
        next(other.inverse.parameters()).mul_(3)
    assert tiny("toytranslation").check_golden(tmp_path / "golden.png") == 0
    with pytest.raises(BadModelFolder, match="other pictures"):
        other.check_golden(tmp_path / "golden.png")


def test_previews_show_held_out_inputs(game: Translates, tmp_path: Path) -> None:
    fit(tiny("toytranslation"), 3, Previews(tmp_path, 2, count=6))
    sizes = {}
    for path in (tmp_path / "reals.png", *sorted((tmp_path / "previews").iterdir())):
        with Image.open(path) as picture:
            sizes[path.stem] = picture.size
    assert sizes["00000000"] == sizes["00000002"] == sizes["00000003"] == (2 * 66 + 2, 6 * 66 + 2), "input, translation"
    assert sizes["reals"] == (6 * 66 + 2, 66 + 2), "images and targets in turn"
