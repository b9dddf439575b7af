"""Scores while training: measured when due, the best model kept, the curve drawn and carried on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import tiny, trainer
from PIL import Image
from torch import Tensor
from toys import Toy

from ganzoo.data.digits import Digits
from ganzoo.metrics import feature_distance, feature_network, perceptual_path_length
from ganzoo.metrics.measuring import measure
from ganzoo.training.game import Game
from ganzoo.training.scores import BEST, Scores, paths_of
from ganzoo.types import BadArgument
from ganzoo.zoo.checkpoint import MODEL, ModelFolder

KEY = "fd100_digits_cnn"


def digits() -> Game:
    return tiny("dcgan", size=8, channels=1)


def run(steps: int, callback: Scores) -> Game:
    game = digits()
    trainer(steps, callback).fit(game, Digits(batch_size=8))
    return game


def test_it_measures_every_so_many_images_and_at_the_end(tmp_path: Path) -> None:
    scores = Scores(tmp_path, KEY, 24, {})
    game = run(7, scores)
    assert scores.images == [24, 48, 56]
    again = measure(game.sample, Digits().open("train"), [KEY], floors=False)[0]
    assert scores.values[-1] == pytest.approx(again.value, rel=1e-6)


@pytest.mark.parametrize("key, best", [("fd100_digits_cnn", 16), ("is100_digits_cnn", 24)])
def test_the_best_model_is_kept_and_a_worse_one_is_not(
    key: str, best: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [0.5, 0.4, 0.9, 0.6]  # less is better of the first metric, more of the second
    scores = Scores(tmp_path, key, 8, {"licence": "apache-2.0"})
    monkeypatch.setattr(
        "ganzoo.training.scores.measure",
        lambda *args, **options: [SimpleNamespace(key=key, value=given[len(scores.values)])],
    )
    run(4, scores)
    assert scores.values == given
    kept = ModelFolder(tmp_path / BEST)
    assert kept.config["images_seen"] == best and kept.config["licence"] == "apache-2.0"
    assert kept.tensors(MODEL)


def test_the_curve_is_drawn_logged_and_carried_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = Scores(tmp_path, KEY, 8, {})
    run(2, scores)
    with Image.open(tmp_path / "scores.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 0
    assert f"step 1: {KEY} " in capsys.readouterr().out
    later = Scores(tmp_path, KEY, 8, {})
    later.load_state_dict(scores.state_dict())
    assert (later.images, later.values) == (scores.images, scores.values)


def test_a_metric_without_a_direction_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match=r"run\.score is nn100_digits_cnn"):
        Scores(tmp_path, "nn100_digits_cnn", 8, {})


def test_path_lengths_follow_the_models_own_latents() -> None:
    game = digits()
    paths = paths_of(game)
    assert torch.equal(paths.latents(3, 5), game.draw([5, 6, 7])[0])
    assert torch.equal(game.limit(paths.synthesize(paths.latents(3, 5))), game.sample(3, seed=5))
    assert paths.mapping is None
    found = measure(game.sample, Digits().open("train"), ["ppl20_digits_cnn_z_eps0.01"], paths=paths, floors=False)[0]
    distance = feature_distance(feature_network("digits_cnn"))
    expected = perceptual_path_length(paths.synthesize, paths.latents, distance, n=20, epsilon=0.01)
    assert found.value == pytest.approx(expected.mean, rel=1e-4)


def test_path_lengths_in_w_go_through_the_mapping() -> None:
    class Mapped(Toy):
        def map(self, z: Tensor) -> Tensor:
            return 2 * z

        def synthesize(self, ws: Tensor) -> Tensor:
            return ws + 1

    paths = paths_of(Mapped())
    assert paths.mapping is not None and paths.synthesize_w is not None
    z = torch.randn(2, 2)
    assert torch.equal(paths.mapping(z), 2 * z) and torch.equal(paths.synthesize_w(z), z + 1)
    assert torch.equal(paths.synthesize(z), 2 * z + 1)


def test_a_conditional_models_path_length_is_refused() -> None:
    with pytest.raises(BadArgument, match=r"\(ppl\) are of unconditional models, and InfoGAN has classes"):
        paths_of(tiny("infogan"))
