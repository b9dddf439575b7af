"""Adam as the authors' code of improved GAN computes it."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn


class RootAdam(torch.optim.Optimizer):
    """Adam whose eps stands under the root: theta <- theta - lr m / sqrt(v + eps), with both moments corrected.

    Torch's sqrt(v) + eps counts where gradients are below 1e-8; with the same eps this one does below 1e-4, where those
    of feature matching soon are: their steps shrink with them.

    Args:
        params: parameters.
        lr: learning rate.
        betas: decay rates of the moments.
        eps: is added to the second moment.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float, betas: tuple[float, float], eps: float = 1e-8
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; gradients stand in the parameters, or are made by `closure`, whose loss is given back."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)
        return loss

    def _move(self, parameter: nn.Parameter, gradient: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)  # on the CPU, as in torch's own optimizers
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        first, second = group["betas"]
        step = float(state["step"])
        state["exp_avg"].lerp_(gradient, 1 - first)
        state["exp_avg_sq"].lerp_(gradient.square(), 1 - second)
        root = (state["exp_avg_sq"] / (1 - second**step) + group["eps"]).sqrt()
        parameter.addcdiv_(state["exp_avg"], root, value=-group["lr"] / (1 - first**step))
