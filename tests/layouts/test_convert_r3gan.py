"""R3GAN's checkpoints: parity with the authors' code, other sizes, and files that do not fit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny
from parity_files import answers, distance, fixture
from torch import Tensor

import ganzoo
from ganzoo.types import BadCheckpoint
from ganzoo.zoo.converting import convert

LIMIT = 1e-4  # of the fixtures' README


def test_parity_with_the_authors_code(tmp_path: Path) -> None:
    arrays, facts = answers("r3gan.uncond")
    convert(fixture("r3gan.uncond.pkl"), to=tmp_path / "model")
    game: Any = ganzoo.load(tmp_path / "model", players=True)
    with torch.no_grad():
        assert distance(game.averaged(torch.from_numpy(arrays["z"])), arrays["img"]) < LIMIT
        assert distance(game.discriminator(torch.from_numpy(arrays["d_in"])), arrays["d_out"]) < LIMIT
    assert game.arguments["widths"] == facts["cfg"]["w"] and game.arguments["depths"] == facts["cfg"]["blk"]
    assert game.arguments["groups"] == facts["cfg"]["card"]


def theirs(network: torch.nn.Module) -> dict[str, Tensor]:
    """A network's tensors under the authors' names."""
    made: dict[str, Tensor] = {}
    ends = {"to_image": "AggregationLayer.Layer", "from_image": "ExtractionLayer.Layer"}
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    for name, value in network.state_dict().items():
        if name == "embedding.weight":
            made["Model.EmbeddingLayer.weight"] = value.T
            continue
        name = re.sub(r"stages\.(\d+)\.(\d+)\.", r"MainLayers.\1.Layers.\2.", name)
        name = re.sub(r"conv(\d)\.bias", r"NonLinearity\1.Bias", name)
        name = re.sub(r"conv(\d?)\.weight", r"LinearLayer\1.Layer.weight", name)
        name = name.replace("linear", "LinearLayer")
        if name.endswith("basis"):
            critic = hasattr(network, "from_image")
            name, value = (
                name.replace("basis", "Basis.weight" if critic else "Basis"),
                value[:, None] if critic else value,
            )
        for ours, other in ends.items():
            name = name.replace(ours, other)
        made[f"Model.{name}"] = value
    for name in [*made]:
        if re.search(r"\d\.LinearLayer\.Layer", name):  # a transition's: its filter is stored beside it
            made[name.replace("LinearLayer.Layer.weight", "Resampler.Kernel")] = torch.outer(taps, taps)
    return made


def written(folder: Path, **arguments: Any) -> tuple[Any, Path]:
    """A game and the file that the authors' code would write of it."""
    sizes = {"size": 16, "widths": [8, 6, 4], "groups": [2, 3, 1], "depths": [2, 1, 3], "channels": 3}
    game: Any = tiny("r3gan", **{**sizes, **arguments})
    with torch.no_grad():
        for parameter in game.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    generator, critic = theirs(game.generator), theirs(game.discriminator)
    state = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1.0}]}
    live = {name: value + 0.01 for name, value in generator.items() if "Kernel" not in name}
    networks = {"G": {**generator, **live}, "D": critic, "G_ema": generator}
    torch.save({**networks, "cur_nimg": 5, "D_opt_state": state, "G_opt_state": state}, folder / "made.pkl")
    return game.eval(), folder / "made.pkl"


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"classes": 3, "embedding": 2, "discriminator_embedding": 5},
        {"size": 8, "widths": [4, 4], "groups": [1, 1], "depths": [1, 1], "expansion": 3, "channels": 1},
    ],
)
def test_other_configurations(arguments: dict[str, Any], tmp_path: Path) -> None:
    game, path = written(tmp_path, **arguments)
    convert(path, to=tmp_path / "model", pictures=False)
    again: Any = ganzoo.load(tmp_path / "model", players=True)
    names = ("size", "channels", "latent", "classes", "widths", "groups", "depths", "expansion")
    assert {name: again.arguments[name] for name in names} == {name: game.arguments[name] for name in names}
    for ours, wanted in ((again.averaged, game.generator), (again.discriminator, game.discriminator)):
        state = wanted.state_dict()
        assert all(torch.equal(value, state[key]) for key, value in ours.state_dict().items())
    basis = again.generator.stages[0][0].basis
    assert torch.equal(basis, game.generator.stages[0][0].basis + 0.01), "the live generator is another"


def spoiled(path: Path, network: str, change: Any) -> Path:
    tree = torch.load(path, weights_only=True)
    change(tree[network])
    torch.save(tree, path)
    return path


KERNEL = "Model.MainLayers.1.Layers.0.Resampler.Kernel"
WIDE = "Model.MainLayers.1.Layers.1.LinearLayer2.Layer.weight"


@pytest.mark.parametrize(
    ("network", "change", "said"),
    [
        (
            "G_ema",
            lambda t: t.pop("Model.AggregationLayer.Layer.weight"),
            "lacks 'Model.AggregationLayer.Layer.weight'",
        ),
        ("G_ema", lambda t: t.update(more=torch.zeros(1)), "does not know: 'more'"),
        ("G_ema", lambda t: t.update({KERNEL: torch.ones(4, 4)}), "another filter than"),
        ("G_ema", lambda t: t.update({KERNEL: torch.ones(6, 6)}), r"is \[6, 6\]; expected \[4, 4\]"),
        ("G_ema", lambda t: t.update({WIDE: torch.zeros(12, 5, 3, 3)}), "a block of 6, 12 and 5 feature maps"),
        ("G_ema", lambda t: t.update({WIDE: torch.zeros(18, 6, 3, 3)}), r"expand by \[2, 3\]"),
        ("G_ema", lambda t: t.update({WIDE: torch.zeros(0, 4, 3, 3)}), "4 sides are expected"),
        ("G_ema", lambda t: [t.pop(k) for k in [*t] if "Layers.1." in k and "MainLayers.1" in k], r"stages \[0, 2\]"),
        (
            "D",
            lambda t: t.update({WIDE.replace("1.Lin", "0.Lin"): torch.zeros(12, 12, 3, 3)}),
            r"has groups \[2, 1, 1\] where the generator has",
        ),
        ("G", lambda t: t.update({WIDE: torch.zeros(12, 12, 3, 3)}), "is of another architecture than G_ema"),
    ],
)
def test_files_that_do_not_fit_are_named(network: str, change: Any, said: str, tmp_path: Path) -> None:
    _, path = written(tmp_path)
    with pytest.raises(BadCheckpoint, match=said) as error:
        convert(spoiled(path, network, change), to=tmp_path / "model")
    assert "\n" not in str(error.value) and not (tmp_path / "model").exists()
