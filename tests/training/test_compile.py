"""The engine's `compile`: the networks are compiled indeed, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from helpers import fit, make, tiny
from torch import Tensor, fx, nn

from ganzoo.game.game import Game
from ganzoo.game.registry import list_families

_WEIGHTED = ("conv", "linear", "batch_norm")  # operations that have parameters


class Counting:
    """A backend that runs what it is given as it is, and notes the parameters that reach it."""

    def __init__(self) -> None:
        self.graphs = 0
        self.operations = 0

    def __call__(self, graph: fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        self.graphs += 1
        self.operations += sum(any(word in str(node.target) for word in _WEIGHTED) for node in graph.graph.nodes)
        return graph.forward


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def weighted(network: nn.Module) -> int:
    return sum(
        isinstance(m, (nn.modules.conv._ConvNd, nn.Linear, nn.modules.batchnorm._BatchNorm)) for m in network.modules()
    )


def losses_of(game: Game, steps: int) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    record = game.record

    def kept(**values: Tensor) -> None:
        found.extend((name, float(value)) for name, value in values.items())
        record(**values)

    game.record = kept  # type: ignore[method-assign]
    fit(game, steps)
    return found


# Tracing their networks takes ten seconds and more a family; others with the same layers stay
LONG = {"began", "biggan", "cgan_pd", "sagan", "stylegan", "stylegan3"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.nightly] if name in LONG else []) for name in list_families()]
)
def test_a_compiled_run_is_the_run(name: str) -> None:
    # Second derivatives included, which torch.compile cannot do: WGAN-GP's penalty, the unrolled GAN's steps ahead
    plain, compiled = tiny(name), tiny(name)
    compiled.engine.compile = "aot_eager"
    keys = list(plain.state_dict())
    one, other = losses_of(plain, 2), losses_of(compiled, 2)
    assert [entry[0] for entry in one] == [entry[0] for entry in other]
    for (key, value), (_, again) in zip(one, other, strict=True):
        share = 1e-3 if key.endswith("_gradient") else None  # a norm of many roundings
        assert value == pytest.approx(again, rel=share, abs=1e-5), key
    assert [key for key in compiled.state_dict() if not key.startswith("_averages.")] == keys
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= len(compiled.networks())
    assert torch.allclose(make(plain, 2, seed=1), make(compiled, 2, seed=1), atol=2e-3)  # Adam enlarges rounding


@pytest.mark.parametrize("name", list_families())
def test_every_network_is_compiled_whole(name: str) -> None:
    # torch 2.13 compiled nothing of a bare nn.Sequential, without a word
    game = tiny(name)
    calls: dict[nn.Module, tuple[Any, ...]] = {}

    def keep(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        calls[module] = inputs

    def called(module: nn.Module) -> list[nn.Module]:
        """The network, or those of its parts that are called, as LAPGAN's levels are."""
        return [module] if module in calls else [each for part in module.children() for each in called(part)]

    hooks = [
        module.register_forward_pre_hook(keep) for name in game.networks() for module in getattr(game, name).modules()
    ]
    fit(game, 2)
    for hook in hooks:
        hook.remove()
    for network in game.networks():
        assert called(getattr(game, network)), network
        for module in called(getattr(game, network)):
            backend = Counting()
            module.compile(backend=backend)
            module(*_detached(calls[module]))
            assert backend.graphs >= 1, network
            assert backend.operations >= weighted(module), f"{network}: parts of it run uncompiled"


def _detached(inputs: Any) -> Any:
    """Inputs, or lists of them, outside the graph they came from."""
    return inputs.detach() if isinstance(inputs, Tensor) else [_detached(value) for value in inputs]


def test_samples_and_previews_are_made_eagerly() -> None:
    game = tiny("dcgan")
    game.engine.compile = "eager"
    fit(game, 1)
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    game.sample(3)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == before > 0
