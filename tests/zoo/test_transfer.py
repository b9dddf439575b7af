"""Starting from a model of other classes, channels or sizes, and from chosen networks of several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import fit, tiny

import ganzoo
from ganzoo.cli import main
from ganzoo.folder import write_manifest, write_model
from ganzoo.types import BadArgument, BadModelFolder
from ganzoo.zoo.transfer import start_from


def trained(folder: Path, family: str, **arguments: Any) -> Any:
    torch.manual_seed(1)
    game = tiny(family, **arguments)
    fit(game, 2)
    write_model(game, folder, {})
    return game


def test_a_conditional_model_learns_other_classes(tmp_path: Path) -> None:
    source = trained(tmp_path / "ten", "cgan_pd", classes=10)
    game = tiny("cgan_pd", classes=7)
    own, given = game.player_tensors(), source.player_tensors()
    (said,) = start_from(game, tmp_path / "ten")
    by_class = [key for key in own if own[key].shape != given[key].shape]
    assert by_class and f"{len(by_class)} tensors in part" in said
    for key, value in game.player_tensors().items():
        wanted = given[key][:7] if key in by_class else given[key]
        assert torch.equal(value, wanted), key
    fit(game, 2)
    assert game.sample(7, labels=list(range(7))).isfinite().all()


def test_colour_from_grey_takes_what_is_the_same(tmp_path: Path) -> None:
    source = trained(tmp_path / "grey", "dcgan", channels=1)
    game = tiny("dcgan", channels=3)
    before = {key: value.clone() for key, value in game.player_tensors().items()}
    (said,) = start_from(game, tmp_path / "grey")
    assert "2 tensors in part (generator.main.6.weight, discriminator.features.0.weight)" in said
    for key, value in source.player_tensors().items():
        after = game.player_tensors()[key]
        if value.shape == after.shape:
            assert torch.equal(after, value)
        else:
            assert torch.equal(after[:, :1], value) and torch.equal(after[:, 1:], before[key][:, 1:])
    fit(game, 1)


def test_larger_pictures_keep_the_layers_that_they_share(tmp_path: Path) -> None:
    trained(tmp_path / "small", "stylegan2", size=8)
    game = tiny("stylegan2", size=16, widths=[4, 4, 4])
    (said,) = start_from(game, tmp_path / "small")
    assert "tensors whole" in said and "tensors new" in said
    fit(game, 1)
    assert game.sample(2).shape[-1] == 16


def test_one_network_alone(tmp_path: Path) -> None:
    source = trained(tmp_path / "source", "dcgan")
    game = tiny("dcgan")
    before = {key: value.clone() for key, value in game.player_tensors().items()}
    (said,) = start_from(game, {"generator": tmp_path / "source"})
    assert said.endswith("discriminator begin anew")
    for key, value in game.player_tensors().items():
        wanted = source.player_tensors() if key.startswith("generator") else before
        assert torch.equal(value, wanted[key])


def test_a_generator_alone_needs_no_players(tmp_path: Path) -> None:
    source = trained(tmp_path / "source", "dcgan")
    (tmp_path / "source" / "players.safetensors").unlink()
    write_manifest(tmp_path / "source")
    game = tiny("dcgan")
    with pytest.raises(BadModelFolder, match=r"init_from: \{generator: MODEL\}"):
        start_from(game, tmp_path / "source")
    with pytest.raises(BadModelFolder, match=r"holds no players\.safetensors"):
        start_from(game, {"discriminator": tmp_path / "source"})
    (said,) = start_from(game, {"generator": tmp_path / "source"})
    assert said.endswith("discriminator begin anew")
    for average in (game.generator, game.averaged):
        for key, value in source.averaged.state_dict().items():
            assert torch.equal(average.state_dict()[key], value), key
    fit(game, 1)


def test_a_recipe_names_networks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained(tmp_path / "source", "dcgan")
    game = tiny("dcgan")
    model = "".join(f"    {key}: {value}\n" for key, value in game.arguments.items() if value is not None)
    (tmp_path / "r.yaml").write_text(
        f"init_from: {{generator: {tmp_path / 'source'}}}\nmodel:\n  class_path: DCGAN\n  init_args:\n{model}"
        "data: {class_path: Digits}\ntrainer: {max_steps: 1, accelerator: cpu, devices: 1}\n"
    )
    assert main(["train", str(tmp_path / "r.yaml"), "--run.folder", str(tmp_path / "run")]) == 0
    assert "init_from: " in capsys.readouterr().out
    assert ganzoo.load(tmp_path / "run").card.facts["training"]["init_from"] == {  # type: ignore[union-attr]
        "generator": str(tmp_path / "source")
    }


def test_what_does_not_fit_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    trained(tmp_path / "wide", "dcgan", width=12)
    game = tiny("dcgan")
    before = {key: value.clone() for key, value in game.player_tensors().items()}
    for source, text in (
        (tmp_path / "wide", "give the recipe the model's sizes"),
        ({"generater": tmp_path / "wide"}, "there is no network generater; DCGAN has generator, discriminator"),
        ({}, "there is no network None"),
    ):
        with pytest.raises(BadArgument, match=text):
            start_from(game, source)
    assert all(torch.equal(before[key], value) for key, value in game.player_tensors().items())
