"""The Inception network of 2015 that FID, KID and the Inception Score are defined with.

Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2016 (arXiv 1512.00567), in the
TensorFlow graph of 2015-12-05, which differs from the paper and from torchvision's port: average pooling does not
count the padding, the last block pools by maximum, and there are 1008 logits. All else is torchvision's, with whose
names the published PyTorch weights load; `tests/metrics/features/test_inception.py` proves the architecture against
torch-fidelity's on random weights.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import inception as parts  # type: ignore[import-untyped]


class Unit(nn.Sequential):
    """Convolution without bias, BatchNorm with ε = 0.001, ReLU: torchvision's unit, in a form that can be folded."""

    def __init__(self, inputs: int, outputs: int, **named: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, bias=False, **named)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """`(N, inputs, H, W)` to `(N, outputs, H', W')`."""
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Uncounted(nn.Conv2d):
    """A 1x1 convolution of averages over 3x3 pixels that counted the padding, as if they had not."""

    def forward(self, x: Tensor) -> Tensor:
        """`(N, inputs, H, W)` to `(N, outputs, H, W)`."""
        counted = F.avg_pool2d(torch.ones_like(x[:1, :1]), 3, stride=1, padding=1)
        return self._conv_forward(x / counted, self.weight, self.bias)


class Last(parts.InceptionE):  # type: ignore[misc]
    """The 8x8 block with split convolutions (figure 7) that pools by maximum."""

    def forward(self, x: Tensor) -> Tensor:
        """`(N, 2048, H, W)` to `(N, 2048, H, W)`."""
        *branches, _ = self._forward(x)
        return torch.cat([*branches, self.branch_pool(F.max_pool2d(x, 3, stride=1, padding=1))], 1)


class Inception(parts.Inception3):  # type: ignore[misc]
    """The whole network, with random weights until a state dict is loaded.

    The features are the 2048 spatial averages after the last block (`pool_3:0` in the graph). The logits leave out the
    bias, as the Inception Score's graph does (torch-fidelity's `logits_unbiased`).
    """

    dimension = 2048

    def __init__(self) -> None:
        blocks = [getattr(parts, f"Inception{name}") for name in ("A", "B", "C", "D", "E", "Aux")]
        units = [Unit, *(partial(block, conv_block=Unit) for block in blocks)]
        super().__init__(1008, aux_logits=False, inception_blocks=units, init_weights=False)
        self.Mixed_7c = Last(2048, conv_block=Unit)
        for name, block in self.named_children():
            if hasattr(block, "branch_pool") and name != "Mixed_7c":
                own = block.branch_pool.conv
                block.branch_pool.conv = Uncounted(own.in_channels, own.out_channels, 1, bias=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features `(N, 2048)` and logits `(N, 1008)` of images `(N, 3, 299, 299)`, scaled by (x - 128) / 128."""
        x = images
        for name, block in self.named_children():
            if name in {"avgpool", "dropout", "fc"}:
                break
            x = block(x)
        features = x.mean(dim=(2, 3))
        return features, features @ self.fc.weight.T
