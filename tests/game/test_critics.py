"""What a critic says of images, for every family that samples; and samples ranked by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import close, tiny

import ganzoo
from ganzoo import cli
from ganzoo.folder import write_model
from ganzoo.game import registry
from ganzoo.types import BadArgument


@pytest.mark.parametrize("name", registry.list_families())
def test_every_critic_says_one_number_an_image(name: str) -> None:
    game: Any = tiny(name)
    if "samples" not in game.abilities:
        return
    z, labels = game.draw(range(5))
    images = game.sample(z=z, labels=labels)
    game.train()
    scores = game.criticise(images, labels)
    assert scores.shape == (5,) and scores.isfinite().all()
    assert all(getattr(game, player).training for player in game.networks()), "and nothing has changed"
    alone = torch.cat(
        [game.criticise(images[i : i + 1], None if labels is None else labels[i : i + 1]) for i in range(5)]
    )
    assert close(alone, scores, 1e-4, 1e-3), "an image's score is its own"


def test_samples_are_ranked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    game: Any = tiny("acgan")
    write_model(game, tmp_path / "m", {})
    words = ["sample", str(tmp_path / "m"), "--seeds", "0-4", "--labels", "0,1,2,0,1", "--rank-by", "critic"]
    assert cli.main([*words, "--out", str(tmp_path / "ranked.png")]) == 0
    said = [line.split() for line in capsys.readouterr().out.splitlines()[:-1]]
    values = [float(line[2]) for line in said]
    assert values == sorted(values, reverse=True) and {line[1] for line in said} == {f"{i}:" for i in range(5)}
    model: Any = ganzoo.load(tmp_path / "m")
    with pytest.raises(BadArgument, match="ACGAN was loaded without its critic; load it with players=True"):
        model.criticise(model.sample(2), [0, 1])
