"""What a perceptual loss looks at: the feature maps of a feature network, through which gradients flow.

Johnson et al. 2016, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", arXiv:1603.08155, section
3.2. A distance in them is named by the network that they are of.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.metrics.features.network import FeatureNetwork
from ganzoo.types import BadArgument


class FeatureMaps(nn.Module):
    """The last feature maps at each resolution of a network of convolutions.

    Args:
        network: with a sequence of layers, `features` or `trunk`, as its feature maps' origin.

    Raises:
        BadArgument: for a network without one.
    """

    offset: Tensor
    scale: Tensor

    def __init__(self, network: FeatureNetwork) -> None:
        super().__init__()
        module: Any = network.module
        layers = getattr(module, "features", getattr(module, "trunk", None))
        if not isinstance(layers, nn.Sequential):
            raise BadArgument(f"the network {network.description.name} has no feature maps; choose one of convolutions")
        self.layers, self.channels = layers, network.description.channels
        for name, values in (("offset", network.description.offset), ("scale", network.description.scale)):
            self.register_buffer(name, torch.tensor(values)[:, None, None])

    def forward(self, images: Tensor, activated: bool = True) -> list[Tensor]:
        """Feature maps `(N, C, h, w)`, from the finest to the coarsest.

        Args:
            images: `(N, 1 or 3, H, W)` around [-1, 1], at the size at which the network is to see them.
            activated: whether maps are taken behind a ReLU that ends a resolution, and what the last pooling makes of
                them; else before it (Wang 2018, arXiv:1809.00219, section 3.3).

        Raises:
            BadArgument: if the network takes other channels; grey images are repeated.
        """
        if images.shape[1] not in {1, self.channels}:
            raise BadArgument(f"images have {images.shape[1]} channels, and the feature network takes {self.channels}")
        x = ((images + 1) * 127.5).expand(-1, self.channels, -1, -1)
        x = raw = (x - self.offset) / self.scale
        found: list[Tensor] = []
        for i, layer in enumerate(self.layers):
            relu = isinstance(layer, nn.ReLU)
            y = layer(x) if not relu or activated else F.relu(x)  # not in place, where x is wanted
            if i and y.shape[-1] < x.shape[-1]:
                found.append(x if activated else raw)
            x, raw = y, x if relu else y
        pooled = not activated and isinstance(self.layers[-1], nn.MaxPool2d)
        return found if pooled else [*found, x if activated else raw]
