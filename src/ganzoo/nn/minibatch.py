"""Minibatch discrimination (Salimans et al. 2016, "Improved Techniques for Training GANs", arXiv:1606.03498)."""

import torch
from torch import Tensor, nn

from ganzoo.nn.weight_norm import Mean


class MinibatchDiscrimination(nn.Module):
    """How near each sample is to the others of its batch: o(x_i)_b = sum_j exp(-|M_ib - M_jb|_1), M_i = f(x_i) T.

    As in the authors' code, T is weight-normalized, j = i is left out, and a bias is added.

    Args:
        features: A, of f.
        kernels: B.
        size: C, of a kernel.
    """

    def __init__(self, features: int, kernels: int, size: int) -> None:
        super().__init__()
        self.tensor = nn.Parameter(torch.randn(features, kernels, size) * 0.05)
        self.log_scale = nn.Parameter(torch.zeros(kernels, size))
        self.bias = nn.Parameter(torch.full((kernels,), -1.0))

    def distances(self, f: Tensor) -> Tensor:
        """L1 distances `(N, N, kernels)`; out of reach from a sample to itself."""
        scale = self.log_scale.exp() / self.tensor.square().sum(0).sqrt()
        m = torch.einsum("na,abc->nbc", f, self.tensor * scale).float()
        return (m[:, None] - m[None]).abs().sum(3) + 1e6 * torch.eye(len(f), device=f.device)[:, :, None]

    def forward(self, f: Tensor) -> Tensor:
        """Maps `(N, features)` to `(N, features + kernels)`."""
        return torch.cat([f, (self.distances(f).neg().exp().sum(1) + self.bias).to(f)], 1)

    @torch.no_grad()
    def initialize(self, f: Tensor, mean: Mean = lambda value: value) -> Tensor:
        """Chooses scale and bias so that a first batch's nearest neighbours are at 2 and o is 0 on average.

        Args:
            f: the batch `(N, features)`.
            mean: over all ranks.

        Returns:
            What comes out, `(N, features + kernels)`.
        """
        self.log_scale.sub_((0.5 * mean(self.distances(f).amin(1).mean(0))).clamp(min=1e-8).log()[:, None])
        self.bias.zero_()
        self.bias.sub_(mean(self(f)[:, f.shape[1] :].mean(0)))
        return self(f)
