"""Self-attention over the positions of feature maps (Zhang et al. 2019, arXiv:1805.08318, section 3).

As in the authors' code and in BigGAN: keys and values are pooled to half the side, the values are half as wide as the
input, and the convolutions of 1 x 1 have no bias.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """y = x + gamma o, where o at every position is a mean of values that its query chose (eqs. 1 to 3).

    Args:
        width: feature maps of the input and the output.
        conv: makes the convolutions, with the arguments of `torch.nn.Conv2d`; normalized ones such as
            `spectral.spectral_layers().conv`.
    """

    def __init__(self, width: int, conv: Callable[..., nn.Conv2d] = nn.Conv2d) -> None:
        super().__init__()
        narrow, half = max(width // 8, 1), max(width // 2, 1)
        self.query = conv(width, narrow, 1, bias=False)
        self.key = conv(width, narrow, 1, bias=False)
        self.value = conv(width, half, 1, bias=False)
        self.out = conv(half, width, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))  # the network begins with what is near (section 3)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, width, H, W)` to the same shape; the sides are at least 2."""
        value = F.max_pool2d(self.value(x), 2).flatten(2)
        found = torch.bmm(value, self.attention(x).to(value.dtype).transpose(1, 2))
        y: Tensor = x + self.gamma * self.out(found.unflatten(2, x.shape[2:]))
        return y

    def attention(self, x: Tensor) -> Tensor:
        """How much each position looks at each pooled one (eq. 1).

        Args:
            x: `(N, width, H, W)`.

        Returns:
            `(N, H * W, (H // 2) * (W // 2))`, each row a distribution.
        """
        query = self.query(x).flatten(2)
        key = F.max_pool2d(self.key(x), 2).flatten(2)
        return torch.bmm(query.transpose(1, 2), key).softmax(2)
