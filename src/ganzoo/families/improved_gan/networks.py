"""Improved GAN's networks, and what in them remembers or compares: sections 3.2, 3.3 and 3.5 of arXiv:1606.03498."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ganzoo.nn.minibatch import MinibatchDiscrimination
from ganzoo.nn.reference import virtual_batch_norm
from ganzoo.nn.weight_norm import Mean, WeightNormLinear


class Normalization(nn.Module):
    """Batch normalization without a gain, virtual where there is a reference batch.

    Args:
        features: of a sample.
        reference: samples of the reference batch, which then stand last; 0 for batch normalization.
    """

    def __init__(self, features: int, reference: int = 0) -> None:
        super().__init__()
        self.reference = reference
        self.normalize = None if reference else nn.BatchNorm1d(features, affine=False)
        self.bias = nn.Parameter(torch.zeros(features))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, features)`, with the reference batch `(N + R, features)`, to the same shape."""
        out = virtual_batch_norm(x, self.reference).to(x) if self.normalize is None else self.normalize(x)
        return out + self.bias


class Generator(nn.Module):
    """Softplus layers, normalized without a gain; `reference` latents, chosen once, are the reference batch if any."""

    reference: Tensor

    def __init__(self, latent: int, shape: tuple[int, ...], hidden: Sequence[int], reference: int) -> None:
        super().__init__()
        self.shape = shape
        self.hidden = nn.Sequential()
        for a, b in pairwise([latent, *hidden]):
            self.hidden.extend([nn.Linear(a, b, bias=False), Normalization(b, reference), nn.Softplus()])
        self.last = WeightNormLinear(hidden[-1], math.prod(shape), learn_scale=True)
        self.register_buffer("reference", torch.rand(reference, latent))

    def forward(self, z: Tensor) -> Tensor:
        """Maps `(N, latent)` to `(N, C, H, W)` in [-1, 1]."""
        h = self.hidden(torch.cat([z, self.reference.to(z)]))
        return self.last(h[: z.shape[0]]).tanh().unflatten(1, self.shape)


class Discriminator(nn.Module):
    """Weight-normalized rectifiers, to which normal noise of so much deviation comes in training."""

    ready: Tensor

    def __init__(self, widths: Sequence[int], classes: int, noise: Sequence[float], kernels: tuple[int, int]) -> None:
        super().__init__()
        layers = zip(pairwise(widths), [noise[0], *[noise[1]] * len(widths)], strict=False)
        self.layers = nn.ModuleList(WeightNormLinear(a, b, noise=deviation) for (a, b), deviation in layers)
        self.minibatch = MinibatchDiscrimination(widths[-1], *kernels) if kernels[0] else None
        self.head = WeightNormLinear(widths[-1] + kernels[0], classes, learn_scale=True, noise=noise[1])
        self.register_buffer("ready", torch.tensor(False))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Maps `(N, C, H, W)` to logits `(N, K)` and the features f `(N, d)` of the last hidden layer."""
        h = x.flatten(1)
        for layer in self.layers:
            h = layer(h).relu()
        return self.head(h if self.minibatch is None else self.minibatch(h)), h

    def initialize(self, x: Tensor, mean: Mean) -> None:
        """Chooses scales and biases by a first batch, once, as the authors' code does."""
        with torch.autocast(x.device.type, enabled=False):
            h = x.flatten(1)
            for layer in self.layers:
                h = layer.initialize(h, mean).relu()  # type: ignore[operator]
            self.head.initialize(h if self.minibatch is None else self.minibatch.initialize(h, mean), mean)
        self.ready.fill_(True)


class History:
    """Historical averaging: what it costs to be far from the mean of all past parameters (section 3.3).

    Args:
        weight: of the term; at 0 nothing is kept.

    Attributes:
        means: by `network.parameter` the means, and by `network` how many values are in them.
    """

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.means: dict[str, Tensor] = {}

    @torch.no_grad()
    def observe(self, name: str, network: nn.Module) -> None:
        """Takes a network's parameters, as they are now, into the mean."""
        if not self.weight:
            return
        count = self.means[name] = self.means.get(name, torch.tensor(0.0)) + 1
        for key, parameter in network.named_parameters(name):
            mean = self.means.get(key, torch.zeros(())).to(parameter.device)
            self.means[key] = mean + (parameter - mean) / count.to(parameter.device)

    def term(self, name: str, network: nn.Module) -> Tensor | float:
        """The weighted squared distance |theta - 1/t sum theta[i]|^2, a scalar."""
        if not self.weight:
            return 0.0
        parts = [(p - self.means[key]).square().sum() for key, p in network.named_parameters(name)]
        return self.weight * torch.stack(parts).sum()
