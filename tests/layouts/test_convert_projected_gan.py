"""Projected GANs' checkpoints: parity with the authors' code of generators and critics, and files that do not fit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from parity_files import answers, distance, fixture

import ganzoo
from ganzoo.families.projected_gan import Critics
from ganzoo.layouts import open_file, recognise
from ganzoo.types import BadCheckpoint
from ganzoo.zoo.converting import convert

LIMIT = 1e-4  # of the fixtures' README
both = pytest.mark.parametrize("name", ["projected_gan.fastgan", "projected_gan.fastgan_lite"])


@both
def test_parity_of_the_generator(name: str, tmp_path: Path) -> None:
    arrays, facts = answers(name)
    convert(fixture(f"{name}.pkl"), to=tmp_path / "model", pictures=False)
    game: Any = ganzoo.load(tmp_path / "model")
    assert game.arguments["lite"] == facts["g_kwargs"]["synthesis_kwargs"]["lite"]
    z = torch.from_numpy(arrays["z"])
    with torch.no_grad():
        assert distance(game(z), arrays["img_noise0"]) < LIMIT
        if "img_noise" in arrays:
            noise = [torch.from_numpy(arrays[f"noise_{i}"]) for i in range(len(game.generator.sizes))]
            assert distance(game.generator(z[:1], noise), arrays["img_noise"]) < LIMIT


@both
def test_parity_of_the_critics(name: str) -> None:
    """Of given feature maps: the fixture's discriminator is without the network that makes them."""
    arrays, facts = answers(name)
    sizes, found = facts["d"], open_file(fixture(f"{name}.pkl")).modules["D"].tensors
    least = sizes["resolutions"][-1] // 8 // 2
    critics: Any = Critics(sizes["channels"], sizes["ndf"], sizes["separable"], least)
    ours = critics.state_dict()
    theirs: dict[str, list[str]] = {}  # each critic's tensors in their order, which is that of its layers
    for key in found:
        theirs.setdefault(re.sub(r"(\.mini_discs\.\d+)\..*", r"\1", key), []).append(key)
    renamed: dict[str, torch.Tensor] = {}
    for keys in theirs.values():
        critic = keys[0].split(".")[2]
        layers = [layer for layer in critics.critics[int(critic)] if [*layer.parameters()]]
        places = [i for i, layer in enumerate(critics.critics[int(critic)]) if [*layer.parameters()]]
        owners = [*dict.fromkeys(key.rpartition(".")[0] for key in keys)]
        assert len(owners) == len(layers)
        for owner, place in zip(owners, places, strict=True):
            for key in (key for key in keys if key.rpartition(".")[0] == owner):
                last = key.rpartition(".")[2]
                last = {"weight_orig": "weight", "weight_u": "u", "weight_v": "v"}.get(last, last)
                renamed[f"critics.{critic}.{place}.{last}"] = found[key]
    assert renamed.keys() == ours.keys()
    maps = [torch.from_numpy(arrays[f"feat_{i}"]) for i in range(len(sizes["channels"]))]
    for mode, wanted in ((False, "d_out_eval"), (True, "d_out_train")):
        critics.load_state_dict(renamed)
        with torch.no_grad():
            assert distance(critics.train(mode)(maps), arrays[wanted]) < LIMIT, wanted


def spoiled(path: Path, change: Any) -> Any:
    contents = open_file(path)
    for key in ("G", "G_ema"):
        change(contents.modules[key])
    return contents


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m.tensors.pop("synthesis.feat_8.1.weight_u"), "lacks 'synthesis.feat_8.1.weight_u'"),
        (lambda m: m.tensors.update({"synthesis.more": torch.zeros(1)}), "does not know: 'synthesis.more'"),
        (lambda m: m.tensors.update({"synthesis.embed.weight": torch.zeros(1000, 3)}), "is conditional"),
        (lambda m: m.tensors.update({"synthesis.to_big.weight_orig": torch.zeros(3)}), "4 sides are expected"),
        (lambda m: m.constants.update(img_resolution="big"), "img_resolution is 'big'"),
    ],
)
def test_files_that_do_not_fit_are_named(change: Any, said: str) -> None:
    contents = spoiled(fixture("projected_gan.fastgan.pkl"), change)
    with pytest.raises(BadCheckpoint, match=said):
        recognise(contents).convert(contents)
