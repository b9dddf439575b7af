"""Low-rank adapters: a network learns a small change of each of its weights, which is added to it at the end.

Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models", arXiv:2106.09685: W + B A with A `(r, n)` and B
`(m, r)`, of which W `(m, n)` keeps its values and B begins at 0 (section 4.1).
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRank(nn.Module):
    """What stands beside one weight: W + B A, W as a matrix of all of its sides but the first.

    A is drawn from N(0, 1/r), so that a first step of Adam, which moves each value of B by the learning rate, moves W
    about as far as a step on W itself would.

    Args:
        weight: `(m, ...)`.
        rank: r.
    """

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        rows, columns = len(weight), weight[0].numel()
        self.down = nn.Parameter(torch.randn(rank, columns).to(weight) / math.sqrt(rank))
        self.up = nn.Parameter(weight.new_zeros(rows, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with its change."""
        return weight + (self.up @ self.down).view(weight.shape)


def adaptable(network: nn.Module, rank: int, still: Collection[int] = ()) -> Iterator[str]:
    """The layers of a network whose `weight` is larger than an adapter of it, and learns.

    Args:
        network: with the layers.
        rank: of the adapters.
        still: the `id` of each parameter that is to keep its values.
    """
    for name, module in network.named_modules():
        weight = module._parameters.get("weight")
        if weight is None or weight.dim() < 2 or not weight.requires_grad or id(weight) in still:
            continue
        if rank * (len(weight) + weight[0].numel()) < weight.numel():
            yield name


def add_adapters(network: nn.Module, rank: int, layers: Iterable[str]) -> None:
    """Gives an adapter to the `weight` of each of a network's layers; these weights keep their values.

    What is smaller, such as biases, gains and the last layer's weight, learns as before.

    Args:
        network: changed in place; what it computes is what it was.
        rank: of the adapters.
        layers: their names.
    """
    for name in layers:
        module = network.get_submodule(name)
        weight: Any = module.weight
        weight.requires_grad_(False)
        parametrize.register_parametrization(module, "weight", LowRank(weight.detach(), rank))


def merged(network: nn.Module) -> dict[str, Tensor]:
    """The state of a network as it would be without adapters: each weight with its change."""
    state = network.state_dict()
    for prefix, module in network.named_modules():
        if parametrize.is_parametrized(module, "weight"):
            prefix = f"{prefix}." if prefix else ""
            inner = f"{prefix}parametrizations.weight."
            state = {key: value for key, value in state.items() if not key.startswith(inner)}
            state[f"{prefix}weight"] = module.weight.detach()
    return state


@contextmanager
def holding(network: nn.Module, state: Mapping[str, Tensor]) -> Iterator[None]:
    """Puts another state, with the names of `merged`, into a network for a while."""
    own = {key: value.clone() for key, value in network.state_dict().items()}
    whole = dict(state)
    for prefix, module in network.named_modules():
        if parametrize.is_parametrized(module, "weight"):
            prefix = f"{prefix}." if prefix else ""
            inner = f"{prefix}parametrizations.weight."
            whole[f"{inner}original"] = whole.pop(f"{prefix}weight")
            whole |= {key: torch.zeros_like(value) for key, value in own.items() if key.startswith(f"{inner}0.")}
    try:
        _copy(whole, network)
        yield
    finally:
        _copy(own, network)


@torch.no_grad()
def _copy(state: Mapping[str, Tensor], network: nn.Module) -> None:
    for key, value in network.state_dict().items():
        value.copy_(state[key])


def size(network: nn.Module) -> int:
    """How many parameters a network has, without adapters."""
    ends = (".0.up", ".0.down")
    return sum(value.numel() for key, value in network.named_parameters() if not key.endswith(ends))
