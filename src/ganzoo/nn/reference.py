"""Batch normalization by the statistics of a reference batch, chosen once, in place of those of a sample's batchmates.

Reference batch normalization (Goodfellow 2016, arXiv:1701.00160, section 4.4) normalizes every sample by the reference
batch alone; virtual batch normalization (Salimans 2016, arXiv:1606.03498, section 3.5) by the reference batch and the
sample itself. Either way the reference samples go through the network together with the others, and stand last.
"""

from functools import partial

import torch
from torch import Tensor, nn

EPSILON = 1e-5


def reference_batch_norm(x: Tensor, reference: int) -> Tensor:
    """Normalizes features `(N + R, d, ...)` by the mean and the variance of the last R, channel by channel.

    Args:
        x: the features of N samples and, after them, of the R of the reference batch.
        reference: R.

    Returns:
        As many, in float32 or wider.
    """
    x = _wide(x)
    mean, square = _moments(x[-reference:])
    return _normalized(x, mean.mean(0), square.mean(0))


def virtual_batch_norm(x: Tensor, reference: int) -> Tensor:
    """Normalizes features `(N + R, d, ...)`, of which the last R are the reference batch's, channel by channel.

    Each sample counts in its own statistics as one of R + 1, with the reference batch; the reference by itself alone.

    Args:
        x: the features of N samples and, after them, of the R of the reference batch.
        reference: R.

    Returns:
        As many, in float32 or wider.
    """
    x = _wide(x)
    own, last = x[:-reference], x[-reference:]
    share = 1 / (reference + 1)
    mean, square = (moment.mean(0) for moment in _moments(last))
    joined = ((1 - share) * whole + share * alone for whole, alone in zip((mean, square), _moments(own), strict=True))
    return torch.cat([_normalized(own, *joined), _normalized(last, mean, square)])


class ReferenceNorm(nn.Module):
    """A layer of batch normalization by a reference batch, with a gain and a bias.

    Args:
        features: channels.
        reference: samples of the reference batch, which stand last.
        virtual: whether a sample counts in its own statistics too.
    """

    def __init__(self, features: int, reference: int, virtual: bool = False) -> None:
        super().__init__()
        self.normalize = partial(virtual_batch_norm if virtual else reference_batch_norm, reference=reference)
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N + R, features, ...)` to the same shape."""
        gain, bias = (each.reshape(-1, *[1] * (x.ndim - 2)) for each in (self.weight, self.bias))
        return self.normalize(x).to(x) * gain + bias


class WithReference(nn.Module):
    """A network that is always shown its reference batch beside its input.

    Args:
        network: one whose layers of normalization are `ReferenceNorm`.
        reference: the reference batch `(R, ...)`, shaped like the network's input.
    """

    reference: Tensor

    def __init__(self, network: nn.Module, reference: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("reference", reference)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, ...)` as the network does; what became of the reference is left out."""
        return self.network(torch.cat([x, self.reference.to(x)]))[: len(x)]


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Means over a sample's positions of features `(N, d, ...)` and of their squares, `(N, d, 1, ...)` each."""
    positions = tuple(range(2, x.ndim))
    return (x.mean(positions, keepdim=True), x.square().mean(positions, keepdim=True)) if positions else (x, x.square())


def _normalized(x: Tensor, mean: Tensor, square: Tensor) -> Tensor:
    return (x - mean) / ((square - mean.square()).clamp(min=0) + EPSILON).sqrt()
