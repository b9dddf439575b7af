"""DDGAN's checkpoints: parity with the authors' code, other sizes, and files that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny
from parity_files import answers, distance, fixture
from torch import Tensor

import ganzoo
from ganzoo.layouts import open_file, recognise
from ganzoo.layouts.ddgan import _BLOCK, _LOOK, _names
from ganzoo.types import BadCheckpoint
from ganzoo.zoo.converting import convert

LIMIT = 1e-4  # of the fixtures' README


def test_parity_with_the_authors_code(tmp_path: Path) -> None:
    arrays, facts = answers("ddgan.cifar_like")
    given = {name: torch.from_numpy(value) for name, value in arrays.items()}
    critic = fixture("ddgan.cifar_like.pth.D.pth")
    convert(fixture("ddgan.cifar_like.pth"), to=tmp_path / "model", more=[critic], pictures=False)
    game: Any = ganzoo.load(tmp_path / "model", players=True).eval()
    assert game.arguments["multipliers"] == facts["cfg"]["ch_mult"] and game.arguments["size"] == 32
    with torch.no_grad():
        assert distance(game.averaged(given["x_t"], given["t"], given["z"]), arrays["x_0"]) < LIMIT
        scores = game.discriminator(given["d_x"], given["d_t"], given["d_x_t"])
        assert distance(scores[:, None], arrays["d_out"]) < LIMIT
    for ours, theirs in zip(game.diffusion.coefficients, ("mean_coef1", "mean_coef2", "variance"), strict=True):
        ours = torch.tensor(ours) ** (2 if theirs == "variance" else 1)
        assert distance(ours, arrays[f"posterior_{theirs}"]) < 1e-5
    # All of the sampling: what is drawn for a picture, in the order of its use
    drawn = [given["x_init"]]
    for i in range(4):
        drawn += [given[f"chain_z_{i}"], given[f"chain_noise_{i}"]]
    z = torch.cat([each.flatten(1) for each in drawn[:-1]], 1)
    assert z.shape[1] == game.latent
    with torch.no_grad():
        assert distance(game(z), arrays["chain"]) < LIMIT


def theirs(generator: Any, attended: list[int]) -> dict[str, Tensor]:
    """A generator's tensors under the authors' names."""
    levels, blocks = len(generator.down), len(generator.down[0].blocks)
    places = {name: i for i, name in enumerate(_names(levels, blocks, attended))}
    parts = {ours: other for other, ours in (_BLOCK | _LOOK).items()}
    made: dict[str, Tensor] = {}
    for name, value in generator.state_dict().items():
        *path, last = name.split(".")
        if path[0] == "mapping":
            made[f"module.z_transform.{2 * int(path[1]) + 1}.{last}"] = value
            continue
        cut = next(k for k in range(len(path), 0, -1) if ".".join(path[:k]) in places)
        ours, inner = ".".join(path[:cut]), ".".join(path[cut:])
        other = parts.get(inner, {"norm": "GroupNorm_0"}.get(inner, "Conv2d_0" if ours.startswith("pyramid") else ""))
        if other.startswith("NIN"):
            last, value = ("W", value[:, :, 0, 0].T) if last == "weight" else ("b", value)
        made[".".join(filter(None, ("module.all_modules", str(places[ours]), other, last)))] = value
    return made


SIZES: tuple[tuple[dict[str, Any], list[int]], ...] = (
    ({"size": 32, "multipliers": [1, 2, 2], "blocks": 2}, [1]),
    ({"size": 16, "multipliers": [2, 1], "blocks": 1, "channels": 3}, [0]),
    ({"size": 64, "multipliers": [1, 1, 3, 2], "blocks": 1, "mapping_layers": 1}, [2]),
    ({"size": 32, "multipliers": [1, 4], "blocks": 3}, [1]),
)


@pytest.mark.parametrize(("sizes", "attended"), SIZES)
def test_other_sizes_come_back_as_they_were(sizes: dict[str, Any], attended: list[int], tmp_path: Path) -> None:
    game: Any = tiny("ddgan", attended=[16], **sizes).eval()
    with torch.no_grad():
        for parameter in game.parameters():
            parameter.add_(0.1 * torch.rand_like(parameter))
    torch.save(theirs(game.generator, attended), tmp_path / "g.pth")
    convert(tmp_path / "g.pth", to=tmp_path / "model", pictures=False)
    again: Any = ganzoo.load(tmp_path / "model")
    for name in ("size", "channels", "latent", "width", "multipliers", "blocks", "attended", "style", "mapping_layers"):
        assert again.arguments[name] == game.arguments[name], name
    z = game.draw(range(2))[0]
    assert torch.equal(again(z), game(z))


def damaged(tmp_path: Path, change: Any) -> Path:
    table = theirs(tiny("ddgan", attended=[16], size=32).generator, [1])
    change(table)
    torch.save(table, tmp_path / "g.pth")
    return tmp_path / "g.pth"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("module.all_modules.3.Conv_1.weight"), "lacks generator.down.0.blocks.0.conv2.weight"),
        (lambda t: t.update({"module.extra": torch.zeros(1)}), "does not know: 'extra'"),
        (lambda t: t.pop("module.all_modules.24.weight"), "lacks generator.last.weight"),
        (lambda t: t.update({"module.all_modules.2.weight": torch.zeros(4)}), r"of shape \[4\]; 4 sides"),
        (lambda t: t.update({"module.all_modules.7.NIN_0.W": torch.zeros(8)}), r"of shape \[8\]; 2 sides"),
    ],
)
def test_what_is_wrong_with_a_generator_is_said(change: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=said):
        convert(damaged(tmp_path, change), to=tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_generator_that_attends_nowhere_does_not_say_its_size(tmp_path: Path) -> None:
    torch.save(theirs(tiny("ddgan", attended=[999], size=32).generator, []), tmp_path / "g.pth")
    contents = open_file(tmp_path / "g.pth")
    with pytest.raises(BadCheckpoint, match="attends at 0 resolutions; one is expected, of 16 pixels"):
        recognise(contents).convert(contents)
