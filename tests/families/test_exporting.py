"""Every family's generator traced and exported by torch: the same pictures as here."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from helpers import pictures, stirred, tiny
from torch import Tensor, nn

from ganzoo.game import registry
from ganzoo.types import Condition

FAMILIES = registry.list_families()

every_family = pytest.mark.parametrize("name", FAMILIES)


class Exported(nn.Module):
    """A model's generator, and the way through it from latents, or images, to images.

    Gradients are asked for: who exports a model need not know that they must not be.
    """

    def __init__(self, game: Any) -> None:
        super().__init__()
        self.network = game.averaged
        self.networks = nn.ModuleList(game.average_module(name) for name in game.inference)
        if "translates" in game.abilities:
            self.way: Any = game.program().run  # what searches does without
        elif "upscales" in game.abilities:
            self.way = self.network.forward
        elif "styled" in game.abilities:  # noise would be drawn anew at each call
            self.way = lambda z, *labels: self.network.synthesis(self.network.mapping(z, *labels), "const")
        else:
            self.way = lambda z, *labels: game.generate(z, Condition(*labels))

    def forward(self, *given: Tensor) -> Any:
        return self.way(*given)


def prepared(name: str) -> tuple[Exported, tuple[Tensor, ...], tuple[Tensor, ...]]:
    """A tiny model in evaluation mode, with noise that counts, and two inputs for it."""
    game: Any = stirred(tiny(name).eval())
    if game.abilities & {"translates", "upscales"}:
        return Exported(game), (pictures(2, game.input_shape),), (pictures(2, game.input_shape, 2),)
    one, other = (tuple(x for x in game.draw(range(n, n + 2)) if x is not None) for n in (0, 2))
    return Exported(game), one, other


def same(made: Any, expected: Any) -> None:
    assert made.shape == expected.shape and expected.std() > 0
    assert (made - expected).abs().max() < 1e-5 * expected.abs().max().clamp(min=0.01)


@every_family
def test_a_trace_draws_the_same(name: str) -> None:
    network, one, other = prepared(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(network, one, check_trace=False)
    assert "PythonOp" not in str(traced.inlined_graph), "nothing but torch's own operations"
    same(traced(*other), network(*other))


@every_family
def test_an_export_draws_the_same(name: str) -> None:
    network, one, other = prepared(name)
    with torch.no_grad():
        exported = torch.export.export(network, one).module()
        same(exported(*other), network(*other))
