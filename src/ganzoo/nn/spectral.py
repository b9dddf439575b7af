"""Layers under spectral normalization (Miyato et al. 2018, arXiv:1802.05957).

The weight of a layer, as a matrix of one row an output, is divided by an estimate of its largest singular value, so
that the layer is about 1-Lipschitz (eq. 8). The estimate is u' W v, where u and v follow the singular vectors by one
step of the power method at every forward pass in training mode (Algorithm 1 and appendix A); gradients flow through W
alone (eq. 12). In evaluation mode nothing moves, and the stored vectors serve.

`spectral_layers` and `PLAIN` are sets of layers of which a network takes one, so that whether it is normalized is one
argument. After a network has set its weights anew it calls `follow_weights`: until then u and v belong to other ones.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def power_iteration(weight: Tensor, u: Tensor, eps: float = 1e-12, iterations: int = 1) -> tuple[Tensor, Tensor]:
    """Steps of the power method: v = W'u / ||W'u||, then u = Wv / ||Wv||.

    Args:
        weight: a matrix `(m, n)`, or what becomes one when all sides but the first are flattened.
        u: `(m,)`, where the steps begin.
        eps: norms count as at least this.
        iterations: number of steps.

    Returns:
        u `(m,)` and v `(n,)`, approximately the first singular vectors; no gradient flows through them.
    """
    with torch.no_grad():
        matrix = weight.detach().flatten(1)
        if matrix.is_meta:  # nothing to compute; torch would import its reference implementations for it, which is slow
            return torch.empty_like(matrix[:, 0]), torch.empty_like(matrix[0])
        v = u
        for _ in range(iterations):
            v = F.normalize(torch.mv(matrix.T, u), dim=0, eps=eps)
            u = F.normalize(torch.mv(matrix, v), dim=0, eps=eps)
    return u, v


class Normalized(nn.Module):
    """What the layers under spectral normalization have in common; `u` and `v` are saved with the weight.

    A layer's forward pass in training mode moves `u` and `v`, and twice within one loss moves them twice: give a critic
    the real and the generated samples in one call where nothing else depends on the batch.

    Args:
        *args: of the layer in torch that follows among the bases.
        eps: norms within the power method count as at least this.
        iterations: steps of the power method a forward pass.
        refine: evaluation takes the steps too, without keeping them, as in BigGAN's code.
        **kwargs: of the layer in torch, as well.
    """

    weight: Tensor
    u: Tensor
    v: Tensor

    def __init__(
        self, *args: Any, eps: float = 1e-12, iterations: int = 1, refine: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.eps, self.iterations, self.refine = eps, iterations, refine
        u, v = power_iteration(self.weight, torch.randn(self.weight.shape[0], device=self.weight.device), eps)
        self.register_buffer("u", u)
        self.register_buffer("v", v)

    def normalized_weight(self) -> Tensor:
        """The weight divided by the estimate of its spectral norm; moves u and v in training mode."""
        weight = self.weight
        # A matrix with its columns in the order of the memory is no copy of the weight
        last = weight.dim() == 4 and weight.is_contiguous(memory_format=torch.channels_last)
        # The product of a matrix and a vector costs next to nothing, and 16 bits are too few for it
        with torch.autocast(weight.device.type, enabled=False):
            wide = torch.promote_types(weight.dtype, torch.float32)
            matrix = (weight.permute(0, 2, 3, 1) if last else weight).to(wide).flatten(1)
            u, v = self.u.to(wide), self.v.to(wide)
            stored = v.view(weight.shape[1:]).permute(1, 2, 0) if last else v
            v = stored.flatten()
            if self.training or self.refine:
                u, v = power_iteration(matrix, u, self.eps, self.iterations)
            if self.training:
                with torch.no_grad():
                    self.u.copy_(u)
                    self.v.copy_((v.view(stored.shape).permute(2, 0, 1) if last else v).flatten())
            sigma = torch.dot(u, torch.mv(matrix, v))
            # Half the passes of a quotient's gradient
            normalized: Tensor = weight * sigma.reciprocal().to(weight.dtype)
        return normalized


class Conv2d(Normalized, nn.Conv2d):
    """A convolution whose weight `(outputs, inputs * kernel)` has spectral norm 1.

    The arguments are `torch.nn.Conv2d`'s and those of `Normalized`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, in_channels, H, W)` to `(N, out_channels, H', W')`."""
        y: Tensor = self._conv_forward(x, self.normalized_weight(), self.bias)
        return y


class Linear(Normalized, nn.Linear):
    """A linear map whose weight `(outputs, inputs)` has spectral norm 1.

    The arguments are `torch.nn.Linear`'s and those of `Normalized`.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Maps `(N, in_features)` to `(N, out_features)`."""
        return F.linear(input, self.normalized_weight(), self.bias)


class Embedding(Normalized, nn.Embedding):
    """A table of vectors `(classes, length)` that has spectral norm 1 as a matrix.

    The arguments are `torch.nn.Embedding`'s and those of `Normalized`.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Maps class indices `(N,)` to vectors `(N, length)`."""
        return F.embedding(input, self.normalized_weight())


class Layers(NamedTuple):
    """The layers that a network is made of: normalized or not.

    Args:
        conv: makes a convolution, with the arguments of `torch.nn.Conv2d`.
        linear: makes a linear map, with the arguments of `torch.nn.Linear`.
        embedding: makes a table of vectors, with the arguments of `torch.nn.Embedding`.
    """

    conv: Callable[..., nn.Conv2d]
    linear: Callable[..., nn.Linear]
    embedding: Callable[..., nn.Embedding]


PLAIN = Layers(nn.Conv2d, nn.Linear, nn.Embedding)


def spectral_layers(eps: float = 1e-12, iterations: int = 1, refine: bool = False) -> Layers:
    """Layers under spectral normalization.

    Args:
        eps: norms within the power method count as at least this.
        iterations: steps of the power method a forward pass.
        refine: evaluation takes the steps too, without keeping them, as in BigGAN's code.
    """
    options: dict[str, Any] = {"eps": eps, "iterations": iterations, "refine": refine}
    return Layers(partial(Conv2d, **options), partial(Linear, **options), partial(Embedding, **options))


@torch.no_grad()
def follow_weights(network: nn.Module, iterations: int = 15) -> None:
    """Lets the singular vectors of a network's layers follow weights that were set anew.

    Args:
        network: holds layers under spectral normalization, or none.
        iterations: steps of the power method.
    """
    for module in network.modules():
        if isinstance(module, Normalized):
            u, v = power_iteration(module.weight, module.u, module.eps, iterations)
            module.u.copy_(u)
            module.v.copy_(v)
