"""Styles: what every family with a style-based generator can do, whatever the family."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import tiny

from ganzoo.game import registry
from ganzoo.game.abilities.styled import Styled
from ganzoo.types import BadArgument

STYLED = [name for name in registry.list_families() if issubclass(registry.family(name).cls, Styled)]
every_styled = pytest.mark.parametrize("name", STYLED)


def test_there_are_some() -> None:
    assert len(STYLED) >= 3
    assert all({"samples", "styled"} <= tiny(name).abilities for name in STYLED)


@every_styled
def test_sampling_is_mapping_and_synthesis(name: str) -> None:
    game: Any = tiny(name)
    z, labels = game.draw([3, 4])
    ws = game.map(z, labels)
    assert ws.shape[:2] == (2, game.averaged.synthesis.count)
    images = game.synthesize(ws, noise="none").clamp(-1, 1)
    assert torch.allclose(game.sample(2, seed=3, noise="none"), images, atol=1e-5)
    narrow = game.map(z, labels, truncation=0.0)
    assert torch.allclose(narrow[0], narrow[1], atol=1e-6), "with psi = 0 all are the mean"
    half = game.map(z, labels, truncation=0.0, truncation_cutoff=1)
    assert torch.equal(half[:, 1:], ws[:, 1:]) and torch.allclose(half[:, 0], narrow[:, 0], atol=1e-6)


@every_styled
def test_mixing_takes_some_layers_from_the_columns(name: str) -> None:
    game: Any = tiny(name)
    count = game.averaged.synthesis.count
    rows, columns = (game.sample(2, seed=seed, noise="const") for seed in (3, 8))
    assert torch.allclose(game.mix([3, 4], [8, 9], [])[:, 1], rows, atol=1e-5), "none of the layers"
    assert torch.allclose(game.mix([3, 4], [8, 9], range(count))[1], columns, atol=1e-5), "all of them"
    coarse = game.mix([3, 4], [8, 9])
    assert torch.equal(coarse, game.mix([3, 4], [8, 9], list(type(game).coarse)[:count]))
    assert coarse.shape == (2, 2, *game.shape) and coarse.abs().max() <= 1
    with pytest.raises(BadArgument, match=f"layer {count} is out of range; the layers of w run from 0 to {count - 1}"):
        game.mix([1], [2], [count])


@every_styled
def test_what_cannot_be(name: str) -> None:
    game: Any = tiny(name)
    z, labels = game.draw([3])
    with pytest.raises(BadArgument, match=r"z has shape \(1, 3\); \(N, \d+\) is expected"):
        game.map(torch.zeros(1, 3))
    with pytest.raises(BadArgument, match="truncation is inf; a number up to 1e6 is expected"):
        game.map(z, labels, truncation=float("inf"))
    with pytest.raises(BadArgument, match="truncation_cutoff is -1; a number of layers from 0 to"):
        game.map(z, labels, truncation_cutoff=-1)
    ws = game.map(z, labels)
    with pytest.raises(BadArgument, match="noise is 'some'; random, const or none is expected"):
        game.synthesize(ws, noise="some")
    with pytest.raises(BadArgument, match="noise is 'some'; random, const or none is expected"):
        game.sample(1, noise="some")
