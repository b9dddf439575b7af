"""Scores while training: measured when due, the best model kept, the curve drawn and carried on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from helpers import tiny, trainer
from PIL import Image
from torch import Tensor
from toys import Toy

from ganzoo.data.batch import Data, Images
from ganzoo.data.digits import Digits
from ganzoo.folder import MODEL, ModelFolder
from ganzoo.game import registry
from ganzoo.game.game import Game
from ganzoo.metrics import Subject, feature_network, metrics, perceptual_path_length
from ganzoo.metrics import measure as measure_subject
from ganzoo.metrics.functional.path import feature_distance
from ganzoo.metrics.protocol import protocols_for
from ganzoo.training.scores import BEST, Scores, paths_of, subject_of
from ganzoo.types import BadArgument, BadData
from ganzoo.zoo.evaluating import measure

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
    again = measure_subject(Subject(game.sample), Digits().open("train"), [KEY], floors=False)[0]
    assert scores.values[-1] == pytest.approx(again.value, rel=1e-6)


@pytest.mark.parametrize("key, best", [("fd100_digits_cnn", 16), ("is100_digits_cnn", 24)])
def test_the_best_model_is_kept_and_a_worse_one_is_not(
    key: str, best: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [0.5, 0.4, 0.9, 0.6]  # less is better of the first metric, more of the second
    scores = Scores(tmp_path, key, 8, {"license": "apache-2.0"})
    monkeypatch.setattr(
        "ganzoo.training.scores.measure",
        lambda *args, **options: [SimpleNamespace(key=key, value=given[len(scores.values)])],
    )
    run(4, scores)
    assert scores.values == given
    kept = ModelFolder(tmp_path / BEST)
    assert kept.config["images_seen"] == best and kept.config["license"] == "apache-2.0"
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
    real = Digits().open("train")
    found = measure_subject(subject_of(game), real, ["ppl20_digits_cnn_z_eps0.01"])[0]
    expected = perceptual_path_length(paths, feature_distance(feature_network("digits_cnn")), n=20, epsilon=0.01)
    assert found.value == pytest.approx(expected.value, rel=1e-4)


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


# ---------------------------------------------------------------------------------------- what only some families can


class Both(Data):
    """Random labelled pairs for a game: of what it makes, or of what its translations start from and lead to."""

    def __init__(self, game: Game) -> None:
        super().__init__(4)
        self.first = tuple(game.input_shape)
        self.second = tuple(game.shape)
        self.count = game.classes or 3

    def read(self, split: str) -> Images:
        rng = np.random.RandomState(["train", "test", "all"].index(split))
        values, targets = (rng.randint(0, 256, (24, *shape)).astype(np.uint8) for shape in (self.first, self.second))
        labels = np.arange(24) % self.count
        return Images("both", values, labels, tuple(map(str, range(self.count))), split, targets=targets)


SMALL_KEYS = {
    "mae": "mae10_pixels_test",
    "psnr": "psnr10_pixels_test",
    "dist": "dist10_digits_cnn_test",
    "top": "top10_digits_cnn_test",
    "knn": "knn20_model_test_k1",
    "err": "err20_model_test",
    "agree": "agree10_pixels_all_k1",
}


@pytest.mark.parametrize("name", registry.list_families())
def test_what_a_family_can_do_is_measured_and_the_rest_is_refused(name: str) -> None:
    game = tiny(name)
    able = subject_of(game)
    chosen = {p.metric for p in protocols_for("both", able.abilities | {"pairs"}, able.domains)} & set(SMALL_KEYS)
    assert able.abilities >= game.abilities - {"styled", "adversarial", "detects", "noisy"}  # which no metric asks for
    assert ("paths" in able.abilities) == ("samples" in game.abilities)
    if len(game.shape) != 3:
        assert not chosen
        return
    data, keys = Both(game), [SMALL_KEYS[metric] for metric in SMALL_KEYS if metric in chosen]
    once = measure(game, data, keys) if keys else []
    assert [score.key for score in once] == keys
    assert all(np.isfinite([score.value, *score.references.values()]).all() for score in once)
    again = measure(game, data, keys, floors=False) if keys else []
    assert [score.value for score in again] == [score.value for score in once]
    assert not any(score.references for score in again)
    for score in once:
        if "untrained network" in score.references:  # and so is a game of `tiny`, with the same seed
            assert score.references["untrained network"] == score.value
    for metric in set(SMALL_KEYS) - chosen:
        with pytest.raises(BadArgument, match="this model"):
            measure(game, data, SMALL_KEYS[metric])


@pytest.mark.filterwarnings("ignore:The Fréchet distance of")
def test_protocols_of_several_splits_are_measured_at_once_in_their_order() -> None:
    keys = ["fd50_digits_cnn_test", "fd50_digits_cnn", "kid50_digits_cnn_test"]
    found = measure(digits(), Digits(), keys, floors=False)
    assert [score.key for score in found] == keys
    assert [score.split for score in found] == ["test", "train", "test"]
    assert found[0].value == measure(digits(), Digits(), keys[0], floors=False)[0].value


def test_a_score_of_a_task_decides_what_is_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    game = digits()
    monkeypatch.setattr(game, "encode", lambda images: images.flatten(1), raising=False)
    scores = Scores(tmp_path, "knn200_model_test_k1", 8, {})
    trainer(1, scores).fit(game, Digits(batch_size=8))
    [value] = measure(game, Digits(), "knn200_model_test_k1")
    assert scores.values[-1] == value.value == value.references["pixels"] > 0.8, "encodings that are the pixels"
    assert metrics()["knn"].better == "higher"


@pytest.mark.filterwarnings("ignore:The Fréchet distance of")
def test_data_without_test_pictures_are_scored_with_those_of_training(tmp_path: Path) -> None:
    values = Digits().open("train").values[:3]

    class Few(Data):
        """Three pictures, and none for testing."""

        def read(self, split: str) -> Images:
            if split == "test":
                raise BadData("few: no picture falls into the split test.")
            return Images("few", values, split=split)

    scores = Scores(tmp_path, "fd20_digits_cnn_test", 8, {})
    game = digits()
    trainer(2, scores).fit(game, Few(batch_size=4))
    assert len(scores.values) == 1
    [score] = measure(game, Few(), ["fd20_digits_cnn"])
    assert (score.split, score.n_real) == ("train", 3)
    assert score.value == pytest.approx(scores.values[0], rel=1e-6)
    with pytest.warns(UserWarning, match="fd20_digits_cnn is measured in place of fd20_digits_cnn_test"):
        assert [s.key for s in measure(game, Few(), ["fd20_digits_cnn_test"])] == ["fd20_digits_cnn"]


def test_a_protocol_that_the_model_does_not_suit_is_refused_before_training(tmp_path: Path) -> None:
    game = digits()
    with pytest.raises(BadArgument, match="mae20_pixels_test: this model does not translate"):
        trainer(1, Scores(tmp_path, "mae20_pixels_test", 8, {})).fit(game, Digits(batch_size=4))
    assert game.global_step == 0


def test_what_is_no_data_is_one_line() -> None:
    data: Any = torch.zeros(4, 1, 8, 8)
    with pytest.raises(BadArgument, match=r"^data is a Tensor; .* is expected [^\n]*$"):
        measure(digits(), data, KEY)
