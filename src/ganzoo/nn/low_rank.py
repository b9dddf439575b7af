"""Low-rank adapters: a network learns a small change of each of its weights, which is added to it at the end.

Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models", arXiv:2106.09685: W + B A with A `(r, n)` and B
`(m, r)`, of which W `(m, n)` keeps its values and B begins at 0 (section 4.1).
"""

import math

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


def add_adapters(network: nn.Module, rank: int) -> int:
    """Gives an adapter to every weight of a network that is larger than it; these weights keep their values.

    What is smaller, such as biases, gains and the last layer's weight, learns as before.

    Args:
        network: changed in place; what it computes is what it was.
        rank: of the adapters.

    Returns:
        How many weights got one.
    """
    count = 0
    for module in list(network.modules()):
        weight = module._parameters.get("weight")
        if weight is None or weight.dim() < 2:
            continue
        if rank * (len(weight) + weight[0].numel()) < weight.numel():
            weight.requires_grad_(False)
            parametrize.register_parametrization(module, "weight", LowRank(weight.detach(), rank))
            count += 1
    return count


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
