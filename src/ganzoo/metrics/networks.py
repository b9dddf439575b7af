"""What the names of feature networks stand for. Importing this module does not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ganzoo.metrics.names import nearest
from ganzoo.types import UnknownName

_IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)  # of values in [0, 1], as torchvision documents its weights
_IMAGENET_STD: Final = (0.229, 0.224, 0.225)
_LPIPS_SHIFT: Final = (-0.030, -0.088, -0.188)  # of values in [-1, 1], in the authors' scaling layer
_LPIPS_SCALE: Final = (0.458, 0.448, 0.450)


@dataclass(frozen=True)
class Description:
    """All that a network's name stands for; the values that a score records.

    Args:
        name: in a protocol's key: small letters, digits and underscores.
        sha256: of the file of weights; empty where there are none.
        dimension: length d of a feature vector; 0 where it depends on the images' size.
        size: height and width that images are brought to; 0 leaves them as they are.
        channels: colour channels that the network takes (grey images are repeated); 0 for points of the plane.
        resizer: the filter, see `ganzoo.metrics.resize`; empty where nothing is resized.
        offset: subtracted from values in 0..255, a channel.
        scale: then divided by, a channel.
        classes: how many class probabilities it gives; 0 for none.
    """

    name: str
    sha256: str
    dimension: int
    size: int
    channels: int
    resizer: str
    offset: tuple[float, ...]
    scale: tuple[float, ...]
    classes: int = 0


NETWORKS: Final[dict[str, Description]] = {
    each.name: each
    for each in (
        Description(
            name="inception",
            sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            dimension=2048,
            size=299,
            channels=3,
            resizer="tf_bilinear",
            offset=(128.0,) * 3,
            scale=(128.0,) * 3,
            classes=1008,
        ),
        Description(
            name="mobilenet_v2",
            sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
            dimension=1280,
            size=96,
            channels=3,
            resizer="pil_bicubic",
            offset=tuple(255 * m for m in _IMAGENET_MEAN),
            scale=tuple(255 * s for s in _IMAGENET_STD),
            classes=1000,
        ),
        Description(
            name="fashion_mnist_cnn",
            sha256="19a4815790f51d8a2024640cd865af9aec8a07b10817329f34ecad1eb2ba10ff",
            dimension=128,
            size=32,
            channels=1,
            resizer="pil_bicubic",
            offset=(127.5,),
            scale=(127.5,),
            classes=10,
        ),
        Description(
            name="digits_cnn",
            sha256="1840397c7ee2f86716ac70547e0e3853af22dd762302c7ba2cb33f4e9d5aa742",
            dimension=64,
            size=8,
            channels=1,
            resizer="pil_bicubic",
            offset=(127.5,),
            scale=(127.5,),
            classes=10,
        ),
        Description(
            name="vgg16_lpips",
            sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
            dimension=0,  # grows with the images
            size=0,
            channels=3,
            resizer="",
            offset=tuple(127.5 * (1 + shift) for shift in _LPIPS_SHIFT),
            scale=tuple(127.5 * scale for scale in _LPIPS_SCALE),
        ),
        Description(
            name="points", sha256="", dimension=2, size=0, channels=0, resizer="", offset=(), scale=(), classes=0
        ),
    )
}


def describe(name: str) -> Description:
    """What a network's name stands for, without building it.

    Raises:
        UnknownName: if there is none of that name; the text names the nearest.
    """
    if name not in NETWORKS:
        raise UnknownName(f"There is no feature network {name!r}; {nearest(name, NETWORKS)}")
    return NETWORKS[name]
