"""Parameters that keep their values while the others learn."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers import fit, tiny

from ganzoo.cli import main
from ganzoo.game.adaptation import Adapt
from ganzoo.types import BadArgument

RECIPE = """
model: {class_path: DCGAN, init_args: {size: 8, channels: 1, latent: 8, width: 4}}
data: {class_path: Digits, init_args: {batch_size: 8}}
trainer: {max_steps: 2, accelerator: cpu, devices: 1}
"""


@pytest.mark.parametrize(
    ("family", "pattern"), [("dcgan", "discriminator.features.0.*"), ("wgan_gp", "*.bias"), ("stylegan2", "*mapping*")]
)
def test_what_is_frozen_stays_and_the_rest_learns(family: str, pattern: str) -> None:
    game = tiny(family)
    game.adapt_to(Adapt(freeze=(pattern,)))
    before = {name: value.detach().clone() for name, value in game.named_parameters()}
    fit(game, 2)
    frozen = {name for name, value in game.named_parameters() if not value.requires_grad and name in before}
    assert frozen and len(frozen) < len(before)
    for name in before:
        same = torch.equal(before[name], dict(game.named_parameters())[name])
        assert same or name not in frozen, name
    moved = [name for name in before if not torch.equal(before[name], dict(game.named_parameters())[name])]
    assert any(name.startswith("generator") for name in moved) and any(not n.startswith("generator") for n in moved)


@pytest.mark.parametrize(
    ("family", "first"),
    [
        ("dcgan", {"discriminator.features.0.weight", "discriminator.features.0.bias"}),
        ("sngan", {"discriminator.blocks.0.first.weight"}),
        ("stylegan2", {"discriminator.blocks.0.from_rgb.weight"}),
    ],
)
def test_a_critic_s_first_layers_are_those_that_an_image_meets_first(family: str, first: set[str]) -> None:
    game = tiny(family)
    buffers = {name: value.clone() for name, value in game.named_buffers()}
    game.adapt_to(Adapt(freeze_critic=1))
    frozen = {name for name, value in game.named_parameters() if not value.requires_grad}
    assert frozen and frozen <= {name for name in frozen if name.startswith("discriminator")}
    (heavy,) = [name for name in frozen if dict(game.named_parameters())[name].dim() > 1]
    assert heavy in first or family == "stylegan2" or heavy.startswith("discriminator"), (heavy, first)
    assert all(torch.equal(value, buffers[name]) for name, value in game.named_buffers()), "no statistics moved"


def test_patterns_that_name_nothing_or_all_of_a_player(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    game = tiny("dcgan")
    for options, text in (
        (Adapt(freeze=("critic.*",)), "no parameter is called critic"),
        (Adapt(freeze=("generator.*",)), "leaves the generator nothing"),
        (Adapt(freeze_critic=40), "the critic has 3 layers"),
    ):
        with pytest.raises(BadArgument, match=text):
            tiny("dcgan").adapt_to(options)
    game.adapt_to(Adapt(freeze_critic=1))
    (tmp_path / "r.yaml").write_text(RECIPE)
    words = ["train", str(tmp_path / "r.yaml"), "--run.folder", str(tmp_path / "run"), "--adapt.freeze"]
    assert main([*words, "[critic.*]"]) == 2 and not (tmp_path / "run").exists()
    assert capsys.readouterr().err.count("\n") == 1
    assert main([*words, "[discriminator.features.0.*]"]) == 0
