"""Helpers by their names: feature networks and models, checked, or an error in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from avatar_files import pictures, prepared
from helpers import Noise, tiny
from torch import nn

import ganzoo
from ganzoo.data.avatars import Avatars
from ganzoo.folder import write_model
from ganzoo.game.helpers import Helper
from ganzoo.metrics.features.network import NETWORKS
from ganzoo.metrics.features.perceptual import FeatureMaps
from ganzoo.types import BadArgument, UnknownName
from ganzoo.zoo.helpers import classifier, resolve_helpers


def student(**arguments: Any) -> Any:
    """A tiny student whose helpers are not given."""
    game: Any = tiny("mobilestylegan", **arguments)
    for helper in game.helpers.values():
        helper._network = None
    return game


def test_a_model_and_a_feature_network_are_found_by_their_names(tmp_path: Path) -> None:
    teacher: Any = tiny("stylegan2", size=16, widths=[4, 4, 4])
    teacher.start_averages()
    with torch.no_grad():
        teacher.averaged.synthesis.blocks[0].constant.add_(1)  # it is the average that teaches
    write_model(teacher, tmp_path / "teacher", {})
    game = student(teacher=str(tmp_path / "teacher"), perceptual="fashion_mnist_cnn")
    resolve_helpers(game)
    ours, theirs = game.teacher.network.state_dict(), teacher.averaged.state_dict()
    assert all(torch.equal(ours[key], value) for key, value in theirs.items())
    assert type(game.features.network) is FeatureMaps
    for helper in game.helpers.values():
        assert not helper.network.training and not any(p.requires_grad for p in helper.network.parameters())
    given: nn.Module = nn.Linear(1, 1)
    game.features.give(given)
    resolve_helpers(game)
    assert game.features.network is given, "what somebody gave stays"


def test_the_sha256_of_the_weights_is_checked(tmp_path: Path) -> None:
    write_model(tiny("stylegan2", size=16, widths=[4, 4, 4]), tmp_path / "teacher", {})
    provenance = ganzoo.load(tmp_path / "teacher").provenance
    assert provenance is not None
    digest = provenance["sha256"]["model.safetensors"]
    game = student(teacher=str(tmp_path / "teacher"), teacher_sha256=digest, perceptual=None)
    resolve_helpers(game)
    assert game.teacher.given
    game = student(teacher=str(tmp_path / "teacher"), teacher_sha256="0" * 64, perceptual=None)
    with pytest.raises(
        BadArgument, match=rf"teacher .*: the sha256 of its weights is {digest[:12]}..., not 000000000000"
    ):
        resolve_helpers(game)
    game = student(perceptual=None)
    game.teacher = Helper("digits_cnn", NETWORKS["digits_cnn"].sha256)
    resolve_helpers(game)
    game.teacher = Helper("digits_cnn", "1" * 64)
    with pytest.raises(BadArgument, match="the sha256 of its weights is"):
        resolve_helpers(game)


def test_what_is_not_to_be_had_is_one_line(tmp_path: Path) -> None:
    for name, said in (
        ("stylegan2-fashion-mnisst", "did you mean stylegan2-fashion-mnist"),
        (str(tmp_path), "no manifest|holds no"),
    ):
        with pytest.raises(BadArgument, match=said) as error:
            resolve_helpers(student(teacher=name, perceptual=None))
        assert str(error.value).startswith(f"teacher {name}: ") and "\n" not in str(error.value)


def test_training_finds_them(tmp_path: Path) -> None:
    write_model(tiny("stylegan2", size=16, widths=[4, 4, 4]), tmp_path / "teacher", {})
    game = student(teacher=str(tmp_path / "teacher"), perceptual="fashion_mnist_cnn", perceptual_size=16)
    done = ganzoo.train(game, Noise((1, 16, 16)), folder=tmp_path / "run", max_steps=1, accelerator="cpu")
    assert ganzoo.load(done.model).arguments["teacher"] == str(tmp_path / "teacher")


def test_several_classifiers_tell_combinations(tmp_path: Path) -> None:
    tell, names = classifier("avatars_beard+avatars_eyewear")
    images = torch.from_numpy(pictures("lorelei")).float() / 127.5 - 1
    found = tell(images)
    assert found.sum(1).tolist() == pytest.approx([1.0] * 40)
    rows = Avatars("lorelei", root=str(prepared(tmp_path))).table("all")
    assert names is not None and [names[k] for k in found.argmax(1)] == [f"{r['beard']} {r['eyewear']}" for r in rows]
    with pytest.raises(BadArgument, match="the classes of digits_cnn have no names"):
        classifier("avatars_beard+digits_cnn")
    with pytest.raises(BadArgument, match="the network points tells no classes"):
        classifier("points+avatars_beard")
    with pytest.raises(UnknownName, match="under the name 'nothing'; networks that do are inception, mobilenet_v2"):
        classifier("nothing")
    with pytest.raises(UnknownName, match="did you mean fashion_mnist_cnn"):
        classifier("fashion_mnist")


def test_clothes_have_names() -> None:
    tell, names = classifier("fashion_mnist_cnn")
    model: Any = ganzoo.load("cgan-pd-fashion-mnist")
    assert names == model.class_names
    labels = [i % 10 for i in range(60)]
    found = tell(model.sample(60, labels=labels)).argmax(1)
    assert (found == torch.tensor(labels)).double().mean() > 0.7, "in the order of the network's outputs"
