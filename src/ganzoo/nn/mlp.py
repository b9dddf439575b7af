"""Multilayer perceptrons, as the first GANs had them."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


class Maxout(nn.Module):
    """A maxout layer (Goodfellow 2013, arXiv:1302.4389): the largest of several affine maps, unit by unit.

    Args:
        inputs: features in.
        outputs: features out.
        pieces: affine maps a unit.
    """

    def __init__(self, inputs: int, outputs: int, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces
        self.linear = nn.Linear(inputs, outputs * pieces)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, inputs)` to `(N, outputs)`."""
        return self.linear(x).unflatten(1, (-1, self.pieces)).amax(2)


class MLP(nn.Module):
    """Affine maps with an activation between them.

    Args:
        inputs: shape of a sample that comes in.
        outputs: shape of a sample that goes out.
        hidden: width of each hidden layer.
        activation: makes the module after each hidden layer.
        last: a module after the last affine map; None for none.
        dropout: probability with which hidden features are dropped in training; inputs 0.4 times that, as in
            the code of Goodfellow 2014.
        pieces: above 1, hidden layers are maxout layers and `activation` is not used.
        scale: inputs are divided by it.
        batch_norm: whether hidden features are normalized before the activation.
    """

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: Sequence[int],
        hidden: Sequence[int],
        activation: Callable[[], nn.Module] = nn.ReLU,
        last: nn.Module | None = None,
        dropout: float = 0.0,
        pieces: int = 1,
        scale: float = 1.0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        widths = [_numel(inputs), *hidden]
        layers: list[nn.Module] = [nn.Flatten()]
        for i, (width, following) in enumerate(zip(widths, hidden, strict=False)):
            if dropout:
                layers.append(nn.Dropout(dropout if i else 0.4 * dropout))
            if pieces > 1:
                layers.append(Maxout(width, following, pieces))
            elif batch_norm:
                layers += [nn.Linear(width, following, bias=False), nn.BatchNorm1d(following), activation()]
            else:
                layers += [nn.Linear(width, following), activation()]
        if dropout:
            layers.append(nn.Dropout(dropout))
        layers.append(nn.Linear(widths[-1], _numel(outputs)))
        if last is not None:
            layers.append(last)
        self.layers = nn.Sequential(*layers)
        self.outputs = tuple(outputs)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, *inputs)` to `(N, *outputs)`."""
        return self.layers(x / self.scale).reshape(-1, *self.outputs)


def _numel(shape: Sequence[int]) -> int:
    return int(torch.Size(shape).numel())
