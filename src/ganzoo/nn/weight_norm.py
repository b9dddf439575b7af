"""Affine layers whose weights' norms are parameters of their own (Salimans and Kingma 2016, arXiv:1602.07868)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Mean = Callable[[Tensor], Tensor]  # the mean of a tensor over all ranks


class WeightNormLinear(nn.Module):
    """`x -> g v / |v| x + b`, unit by unit (eq. 2).

    Args:
        inputs: features in.
        outputs: features out.
        learn_scale: whether g learns, rather than v and b alone.
        noise: deviation of normal noise that is added to x in training.
        deviation: of v at first.
    """

    scale: Tensor

    def __init__(
        self, inputs: int, outputs: int, learn_scale: bool = False, noise: float = 0.0, deviation: float = 0.1
    ) -> None:
        super().__init__()
        self.noise = noise
        self.direction = nn.Parameter(torch.randn(outputs, inputs) * deviation)
        self.bias = nn.Parameter(torch.zeros(outputs))
        if learn_scale:
            self.scale = nn.Parameter(torch.ones(outputs, 1))
        else:
            self.register_buffer("scale", torch.ones(outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, inputs)` to `(N, outputs)`."""
        if self.training and self.noise:
            x = x + self.noise * torch.randn_like(x)
        return F.linear(x, self.weight, self.bias)

    @property
    def weight(self) -> Tensor:
        """`g v / |v|` `(outputs, inputs)`."""
        norm = self.direction.square().sum(1, keepdim=True).add(1e-6).sqrt()
        return self.direction * (self.scale / norm)

    @torch.no_grad()
    def initialize(self, x: Tensor, mean: Mean = lambda value: value) -> Tensor:
        """Chooses g and b so that what comes out for a first batch has mean 0 and variance 1 (section 3).

        Args:
            x: the batch `(N, inputs)`; the noise counts with its expected variance.
            mean: over all ranks.

        Returns:
            What comes out without the noise, `(N, outputs)`.
        """
        self.scale.fill_(1)
        out = F.linear(x, self.weight)
        centre = mean(out.mean(0))
        deviation = (mean((out - centre).square().mean(0)) + self.noise**2 + 1e-8).sqrt()
        self.scale.div_(deviation[:, None])
        self.bias.copy_(-centre / deviation)
        return (out - centre) / deviation
