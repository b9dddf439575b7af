"""What a perceptual loss looks at: the feature maps of a feature network, through which gradients flow.

Johnson et al. 2016, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", arXiv:1603.08155, section
3.2. A distance in them is named by the network that they are of.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.metrics.features.network import FeatureNetwork, feature_network
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


class Perceptual:
    """Features whose squared Euclidean distance is a perceptual one; gradients flow.

    In `vgg16_lpips` it is LPIPS. In any other network it is sum_l 1/(h_l w_l) sum_hw |y_l - x_l|^2 over its feature
    maps, each position's of length 1, without LPIPS's learned weights: a distance of its own, called by the network's
    name.

    Args:
        name: of a feature network, whose weights are found as a metric's are.
        device: where it computes.
    """

    def __init__(self, name: str, device: torch.device | str = "cpu") -> None:
        network = feature_network(name, device)
        self.name, self._least, self.learned = name, network.description.size, not network.description.dimension
        self._maps = None if self.learned else FeatureMaps(network).to(device)
        self._network = network

    def __call__(self, images: Tensor) -> Tensor:
        """Features `(N, d)` of images `(N, C, H, W)` around [-1, 1], which are seen at 256 pixels at most."""
        side = min(max(images.shape[-1], self._least), 256)
        if side < images.shape[-1]:
            images = F.interpolate(images, (side, side), mode="area")
        elif side > images.shape[-1]:
            images = F.interpolate(images, (side, side), mode="bilinear")
        if self._maps is None:
            seen = self._network.description
            x = ((images + 1) * 127.5).expand(-1, seen.channels, -1, -1)
            return self._network.module((x - self._network.offset) / self._network.scale)
        maps = [x / (x.square().sum(1, keepdim=True) + 1e-10).sqrt() for x in self._maps(images)]
        return torch.cat([(x / (x.shape[2] * x.shape[3]) ** 0.5).flatten(1) for x in maps], 1)
