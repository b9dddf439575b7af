"""Neighbours by hand, and a picture of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import Noise, close, tiny

from ganzoo import cli
from ganzoo.folder import write_model
from ganzoo.latent.nearest import neighbours
from ganzoo.media.levels import to_float
from ganzoo.types import BadArgument


@pytest.mark.parametrize("network", [None, "digits_cnn"])
def test_the_nearest_stand_beside_their_sample(network: str | None) -> None:
    real = Noise((1, 8, 8)).open("train")
    samples = to_float(real.batch([5, 60]).images)
    beside, distances, rows = neighbours(samples, real, 3, network)
    assert beside.shape == (2, 4, 1, 8, 8) and rows[:, 0].tolist() == [5, 60]
    assert close(beside[:, 0], beside[:, 1]) and distances[:, 0].max() < 1e-3
    if network is None:
        far = torch.cdist(samples.flatten(1), to_float(torch.from_numpy(real.values)).flatten(1))
        assert close(distances.float(), far.sort(1).values[:, :3], 1e-3)


def test_data_of_another_shape() -> None:
    with pytest.raises(BadArgument, match=r"noise has pictures of shape \(1, 8, 8\), and samples are \(3, 8, 8\)"):
        neighbours(torch.zeros(1, 3, 8, 8), Noise((1, 8, 8)).open("train"))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    game: Any = tiny("dcgan")
    write_model(game, tmp_path / "m", {})
    words = ["neighbours", str(tmp_path / "m"), "--seeds", "0-1", "--k", "2", "--out", str(tmp_path / "n.png")]
    assert cli.main([*words, "--data", "Digits"]) == 0
    said = capsys.readouterr().out
    assert said.count(" of digits, ") == 2 and (tmp_path / "n.png").is_file()
    assert cli.main(words) == 2
    assert "the model does not say what it was trained on; name the data" in capsys.readouterr().err
