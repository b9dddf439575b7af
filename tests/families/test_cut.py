"""CUT: parity of its three networks, the contrastive loss against a closed form, and FastCUT's mirrors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import close, fit, pictures, tiny
from parity_files import answers, distance, fixture

import ganzoo
from ganzoo.families.cut import Blur, flipped, patch_nce
from ganzoo.types import BadArgument, BadCheckpoint, Batch
from ganzoo.zoo.converting import convert


def test_parity_of_the_three_networks(tmp_path: Path) -> None:
    arrays, _ = answers("cut.resnet9")
    more = [fixture(f"cut.resnet9.pth.{part}.pth") for part in "DF"]
    convert(fixture("cut.resnet9.pth"), "cut", to=tmp_path / "model", more=more, pictures=False)
    game: Any = ganzoo.load(tmp_path / "model", players=True)
    x = torch.from_numpy(arrays["x"])
    with torch.no_grad():
        made = game.generator(x)
        assert distance(made, arrays["y"]) < 1e-4
        assert distance(game.discriminator(x), arrays["d_out"]) < 1e-4
        features = game.generator.features(x, game.nce_layers)
        for i in (0, 3, 4):
            assert distance(features[i], arrays[f"feat_{i}"]) < 1e-4
        found = game.projections(features, [torch.from_numpy(arrays[f"ids_{i}"]) for i in range(5)])
        for i, rows in enumerate(found):
            assert distance(rows.flatten(0, 1), arrays[f"f_{i}"]) < 1e-4
    assert distance(game.translate(x.clamp(-1, 1)), game.generator(x.clamp(-1, 1))) < 1e-4
    with pytest.raises(BadCheckpoint, match="CUT's discriminator or F is expected"):
        convert(more[0].with_name("cut.resnet9.pth"), to=tmp_path / "other", more=[fixture("stargan.c5.pth.D.pth")])


def test_patch_nce_is_the_papers() -> None:
    query, key = torch.randn(2, 5, 3), torch.randn(2, 5, 3)
    each = []
    for n in range(2):
        for s in range(5):
            scores = [torch.exp(query[n, s] @ key[n, t] / 0.5) for t in range(5)]
            each.append(-torch.log(scores[s] / torch.stack(scores).sum()))
    assert close(patch_nce(query, key, 0.5), torch.stack(each).mean())


def test_filters_keep_what_is_even_and_halve_and_double() -> None:
    even = torch.full((1, 2, 7, 10), 0.4)
    down, up = Blur()(even), Blur(up=True)(even)
    assert down.shape == (1, 2, 4, 5) and up.shape == (1, 2, 14, 20)
    assert torch.allclose(down, torch.tensor(0.4)) and torch.allclose(up, torch.tensor(0.4))


def test_the_losses_put_together() -> None:
    game: Any = tiny("cut", channels=3)
    data = Batch(pictures(2, (3, 8, 8)), targets=pictures(2, (3, 8, 8), 5))
    none = torch.zeros(2, dtype=torch.bool)
    assert not game.mirrored(data).any()
    made = game.made(data, none)
    assert close(made[:, 0], game.generator(data.images)) and close(made[:, 1], game.generator(data.targets))
    torch.manual_seed(0)
    found = game.generator_loss(data, made, none)
    torch.manual_seed(0)
    nce = game.contrast(data.images, made[:, 0], none), game.contrast(data.targets, made[:, 1], none)
    assert close(found, (game.discriminator(made[:, 0]) - 1).square().mean() + (nce[0] + nce[1]) / 2)
    real, fake = game.discriminator(data.targets), game.discriminator(made[:, 0])
    assert close(game.discriminator_loss(data, made), ((real - 1).square().mean() + fake.square().mean()) / 2)


def test_a_copy_contrasts_less_than_another_image() -> None:
    game: Any = tiny("cut", channels=3, size=16)
    x, none = pictures(2, (3, 16, 16)), torch.zeros(2, dtype=torch.bool)
    assert game.contrast(x, x, none) < game.contrast(x, x.flip(2), none)
    fast: Any = tiny("cut", channels=3, size=16, fast=True)
    both = torch.tensor([True, False])
    assert fast.contrast(x, flipped(x, both), both) < fast.contrast(x, flipped(x, both), none)


def test_fast_cut_mirrors_half_and_has_no_identity() -> None:
    game: Any = tiny("cut", fast=True)
    data = Batch(pictures(400, (1, 8, 8)), targets=pictures(400, (1, 8, 8)))
    which = game.mirrored(data)
    assert 0.35 < which.float().mean() < 0.65
    assert game.weight == 10 and game.made(data.part(0, 4), which[:4]).shape == (4, 1, 1, 8, 8)
    fit(game, 2)


def test_sizes_that_cannot_be() -> None:
    for given, said in (
        ({"size": 10}, "size is 10; a multiple of 4"),
        ({"nce_layers": [0, 30]}, r"nce_layers are \(0, 30\); numbers from 0 to 12 that rise"),
        ({"nce_layers": []}, "numbers from 0"),
        ({"nce_layers": [4, 0]}, "that rise"),
    ):
        with pytest.raises(BadArgument, match=said):
            tiny("cut", **given)
    with pytest.raises(BadArgument, match="sides of 4 pixels; at least 8"):
        tiny("cut").translate(torch.zeros(1, 1, 4, 4))
