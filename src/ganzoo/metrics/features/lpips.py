"""LPIPS as a feature network: features whose squared Euclidean distance is the learned perceptual distance.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018 (arXiv 1801.03924),
equation 1: d(x, y) = Σ_l 1/(H_l W_l) Σ_{hw} |w_l ⊙ (ŷ_l - x̂_l)|², with features ŷ_l of VGG16 normalised a position.
The published weights multiply the squares and are not negative, so their roots, divided by √(H_l W_l), go into the
features.
"""

import hashlib
import importlib.util
import io
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import vgg  # type: ignore[import-untyped]

from ganzoo.types import GanzooError

_TAPS: Final = (3, 8, 15, 22, 29)  # relu1_2, relu2_2, relu3_3, relu4_3, relu5_3 in torchvision's vgg16().features
_WIDTHS: Final = (64, 128, 256, 512, 512)
_HEADS: Final = "functional/image/lpips_models/vgg.pth"  # the authors' linear weights, carried by torchmetrics
_HEADS_SHA256: Final = "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868"


class VggLpips(nn.Module):
    """VGG16 and the linear weights of LPIPS; the names are torchvision's, so that its file loads with strict keys."""

    def __init__(self) -> None:
        super().__init__()
        self.features: nn.Sequential = vgg.make_layers(vgg.cfgs["D"])
        with torch.device("meta"):  # never used: it is in the file of weights, and not worth filling with numbers
            unused = vgg.VGG(nn.Sequential(), init_weights=False).classifier
        self.classifier: nn.Sequential = unused.to_empty(device="cpu")
        for number, weight in enumerate(read_heads()):
            self.register_buffer(f"head{number}", weight, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Features `(N, d)` of normalised images `(N, 3, H, W)`; d grows with H and W.

        Images above 256 pixels are averaged down by a whole factor, as in NVIDIA's path length.
        """
        factor = max(1, images.shape[2] // 256)
        x = F.avg_pool2d(images, factor) if factor > 1 else images
        found: list[Tensor] = []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in _TAPS:
                unit = x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)
                weight = getattr(self, f"head{len(found)}").view(1, -1, 1, 1)
                found.append((unit * (weight / (x.shape[2] * x.shape[3])).sqrt()).flatten(1))
            if len(found) == len(_TAPS):
                break
        return torch.cat(found, dim=1)


def read_heads() -> list[Tensor]:
    """The linear weights of the five levels, each `(channels,)`, none negative."""
    found = importlib.util.find_spec("torchmetrics")
    places = [Path(root) / _HEADS for root in (found.submodule_search_locations or [] if found else [])]
    content = next((place.read_bytes() for place in places if place.is_file()), b"")
    if hashlib.sha256(content).hexdigest() != _HEADS_SHA256:
        raise GanzooError("torchmetrics does not carry LPIPS's published weights for VGG; install torchmetrics 1.9.")
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    heads = [state[f"lin{level}.model.1.weight"].flatten() for level in range(len(_WIDTHS))]
    assert [len(head) for head in heads] == list(_WIDTHS)
    return heads
