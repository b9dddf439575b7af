"""Arithmetic: against the sums by hand, and figure 7's panel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import close, tiny
from PIL import Image

from ganzoo import cli, latent
from ganzoo.folder import write_model
from ganzoo.latent.means import recognized
from ganzoo.types import BadArgument


@pytest.mark.parametrize("space", ["z", "w"])
def test_a_sum_of_means(space: str) -> None:
    game: Any = tiny("stylegan2")
    values = latent.draw(game, range(8), space).values
    found = latent.arithmetic(game, [[0, 1, 2], [6, 7]], [[3, 4, 5]], space)
    assert close(found.values[0], values[:3].mean(0) + values[6:].mean(0) - values[3:6].mean(0), 1e-5)


def test_a_panel() -> None:
    game: Any = tiny("acgan")
    made, columns = latent.panel(game, [[0, 1, 2], [6, 7, 8]], [[3, 4, 5]], labels=1)
    assert made.shape == (24, *game.shape) and columns == 8
    rows = made.unflatten(0, (3, 8))
    assert close(rows[0, 0], game.sample(1, seed=0, labels=1)[0], 1e-5)
    result = latent.arithmetic(game, [[0, 1, 2], [6, 7, 8]], [[3, 4, 5]], labels=1)
    assert close(rows[1, 6], latent.images(game, result)[0], 1e-5), "the middle of the nine"
    mean = latent.arithmetic(game, [[3, 4, 5]], labels=1)
    assert close(rows[2, 3], latent.images(game, mean)[0], 1e-5), "what is taken off comes last"
    assert (rows[:, 4] == 1).all() and not torch.equal(rows[0, 5], rows[0, 6])


def test_seeds_of_a_class() -> None:
    game: Any = tiny("dcgan")
    bright = game.sample(50).mean((1, 2, 3))
    edge = bright.sort().values[40]
    found = recognized(game, lambda x: torch.stack([(x.mean((1, 2, 3)) > edge).float()] * 2, 1), 1, n=3, among=50)
    assert found == (bright > edge).nonzero()[:3, 0].tolist()
    with pytest.raises(BadArgument, match="of 50 samples 0 are of class 0 for the classifier; 3 are needed"):
        recognized(game, lambda x: torch.zeros(len(x), 2), 0, among=50)


def test_what_cannot_be_added() -> None:
    game: Any = tiny("dcgan")
    for plus, minus in (([], [[1]]), ([[]], []), ([[1]], [[]])):
        with pytest.raises(BadArgument, match="arithmetic needs seeds"):
            latent.arithmetic(game, plus, minus)
    with pytest.raises(BadArgument, match="means of 2 and 1 samples; give each as many"):
        latent.panel(game, [[1, 2]], [[3]])


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, out = str(tmp_path / "m"), tmp_path / "panel.png"
    write_model(tiny("dcgan"), tmp_path / "m", {})
    words = ["arithmetic", model, "--plus", "0-2", "--minus", "3-5", "--plus", "6-8", "--out", str(out)]
    assert cli.main(words) == 0
    assert capsys.readouterr().out == f"seeds + 0,1,2 + 6,7,8 - 3,4,5 of {model} in {out}\n"
    with Image.open(out) as picture:
        assert picture.size == (8 * 66 + 2, 3 * 66 + 2)
    assert cli.main(["arithmetic", model]) == 2
    assert capsys.readouterr().err.startswith("ganzoo: --plus is missing")
