"""lucidrains' StyleGAN2: parity with the authors' code, and what a file may lack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from parity_files import answers, distance, fixture

import ganzoo
from ganzoo.types import BadCheckpoint

LIMIT = 1e-4  # of the fixtures' README
NAME = "lucidrains_stylegan2.a"


def test_parity_with_the_authors_code(tmp_path: Path) -> None:
    arrays, meta = answers(NAME)
    given = {key: torch.from_numpy(value) for key, value in arrays.items()}
    ganzoo.convert(fixture(f"{NAME}.pt"), to=tmp_path / "model", pictures=False)
    averaged: Any = ganzoo.load(tmp_path / "model").averaged
    game: Any = ganzoo.load(tmp_path / "model", players=True)
    noise = [given["noise"].permute(0, 3, 2, 1)]  # height and width change places there
    averaged.mapping.mean.copy_(given["w_avg"][0])
    with torch.no_grad():
        assert distance(averaged.mapping(given["z"])[:, 0], given["w"]) < LIMIT
        mixed = torch.stack([averaged.mapping(given[key])[:, 0] for key in ("z", "z2")], 1)
        ws = mixed.repeat_interleave(torch.tensor([meta["mix_layers"], meta["num_layers"] - meta["mix_layers"]]), 1)
        for image, theirs in (
            (averaged(given["z"], noise=noise), "img"),
            (averaged(given["z"], noise=noise, truncation=0.75), "img_psi075"),
            (averaged.synthesis(ws, noise), "img_mix"),
            (game.generator(given["z"], noise=noise), "img_G"),
        ):
            assert distance((image + 1) / 2, given[theirs]) < LIMIT, theirs
        assert distance(-game.discriminator(2 * given["d_in"] - 1), given["d_out"]) < LIMIT


def changed(change: Any, tmp_path: Path) -> Path:
    tree = torch.load(fixture(f"{NAME}.pt"), weights_only=True)
    change(tree["GAN"])
    torch.save(tree, tmp_path / "model_7.pt")
    return tmp_path / "model_7.pt"


def attentive(state: dict[str, torch.Tensor]) -> None:
    """With attention at the third resolution from the image's, and first feature maps made of w."""
    for part, place, width in (("G.attns", 1, 32), ("GE.attns", 1, 32), ("D.attn_blocks", 2, 32)):
        shapes: dict[str, tuple[int, ...]] = {f"{i}.fn.norm.{name}": (1, width, 1, 1) for i in (0, 1) for name in "gb"}
        shapes |= {"0.fn.fn.to_q.weight": (512, width, 1, 1), "0.fn.fn.to_kv.net.0.weight": (width, 1, 3, 3)}
        shapes |= {"0.fn.fn.to_kv.net.1.weight": (1024, width, 1, 1), "0.fn.fn.to_out.weight": (width, 512, 1, 1)}
        shapes |= {"0.fn.fn.to_out.bias": (width,), "1.fn.fn.0.weight": (2 * width, width, 1, 1)}
        shapes |= {
            "1.fn.fn.0.bias": (2 * width,),
            "1.fn.fn.2.weight": (width, 2 * width, 1, 1),
            "1.fn.fn.2.bias": (width,),
        }
        state |= {f"{part}.{place}.{name}": torch.randn(shape) for name, shape in shapes.items()}
    for part in ("G", "GE"):
        del state[f"{part}.initial_block"]
        state[f"{part}.to_initial_block.weight"] = torch.randn(32, 32, 4, 4)


def test_attention_first_maps_of_w_and_quantized_features(tmp_path: Path) -> None:
    ganzoo.convert(changed(attentive, tmp_path), to=tmp_path / "a", pictures=False)
    game: Any = ganzoo.load(tmp_path / "a", players=True)
    assert game.arguments["attended"] == [3] and not game.arguments["constant"]
    assert game.sample(1).isfinite().all() and game.card.facts["noise"].startswith("drawn from seed 0")
    file = changed(lambda state: state.update({"D.quantize_blocks.0.fn.embed": torch.zeros(8, 256)}), tmp_path)
    ganzoo.convert(file, to=tmp_path / "q", pictures=False)
    assert ganzoo.load(tmp_path / "q").sample(1).shape == (1, 3, 32, 32)
    assert not (tmp_path / "q" / "players.safetensors").exists(), "quantized features are in the discriminator alone"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda state: state.update({"GE.blocks.3.to_rgb.conv.weight": torch.zeros(4, 4, 1, 1)}), "of 4 channels"),
        (lambda state: state.pop("SE.net.4.weight"), "a mapping network SE whose layers are not 0, 2, 4"),
        (lambda state: state.update({"SE.net.2.weight": torch.zeros(9, 32)}), "layers are not all of 32 units"),
        (lambda state: state.update({"G.more": torch.zeros(1)}), "does not know: 'G.more'"),
        (lambda state: state.pop("GE.blocks.1.conv1.weight"), "lacks generator.synthesis.blocks.1.conv1.conv.weight"),
    ],
)
def test_what_is_wrong_is_said(change: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=says):
        ganzoo.convert(changed(change, tmp_path), to=tmp_path / "x")
