"""What is measured, and the real images that it is measured against."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ganzoo.metrics.functional.path import Paths
from ganzoo.types import BadArgument


class _Images(Protocol):
    """What is asked of one split of the real images; `ganzoo.data.batch.Images` has it."""

    @property
    def name(self) -> str: ...
    @property
    def split(self) -> str: ...
    @property
    def values(self) -> npt.NDArray[Any]: ...  # uint8 (N, C, H, W), or float points (N, 2)
    @property
    def labels(self) -> npt.NDArray[np.int64] | None: ...
    @property
    def classes(self) -> tuple[str, ...] | None: ...
    @property
    def targets(self) -> npt.NDArray[np.uint8] | None: ...
    @property
    def paired(self) -> bool: ...  # whether the k-th target is the counterpart of the k-th image
    @property
    def texts(self) -> npt.NDArray[np.float32] | None: ...  # embeddings of captions (N, d)
    @property
    def digest(self) -> str: ...


class _Source(Protocol):
    """What is asked of a data set; `ganzoo.data.batch.Data` has it."""

    def open(self, split: str) -> _Images: ...


Images = _Images
Data = _Source | _Images | Mapping[str, _Images]
"""A data source, one split of it, or several splits by name."""


def cannot(*_: Any, **__: Any) -> Any:
    """Stands for what a model cannot do; never called, since protocols that need it are refused."""
    raise BadArgument("this model cannot do that.")


@dataclass(frozen=True)
class Subject:
    """What is measured: what a model can do, as plain functions.

    `sample(n, *, seed, batch_size)` gives `(n, C, H, W)` in [-1, 1], or points; sample i depends on `seed + i` (and its
    label) alone. It is given `labels=`, `truncation=` and `view=` where there are such.
    """

    sample: Callable[..., Tensor] = cannot
    translate: Callable[..., Tensor] = cannot  # (images, *, to, seed, batch_size); `to`: a domain, or one an image
    depict: Callable[..., Tensor] = cannot  # (texts (n, d), *, seed, batch_size): pictures of captions
    upscale: Callable[[Tensor], Tensor] = cannot  # small images to large ones,
    reduce: Callable[[Tensor], Tensor] = cannot  # large ones to small ones,
    bicubic: Callable[[Tensor], Tensor] = cannot  # and small ones to large ones by interpolation
    encode: Callable[[Tensor], Tensor] = cannot  # images (n, C, H, W) in [-1, 1] to encodings (n, d)
    reconstruct: Callable[[Tensor], Tensor] = cannot  # what comes back of such images from their encodings
    classify: Callable[[Tensor], Tensor] = cannot  # such images to logits (n, classes)
    classes: int | None = None  # of a conditional model; None for one that is given no labels
    labelled: bool = True  # whether they are the data's own classes
    domains: tuple[str, ...] = ()  # that it translates to, the first by default
    crops: Callable[[Tensor, str], Tensor] = cannot  # what fills holes of images: the `true`, the `filled`, the `mean`
    styles: bool = False  # whether a translation depends on its seed too
    back: str | None = None  # the domain of the data's own images, where it translates back to it
    views: int = 1  # how many pictures one latent gives
    live: Callable[[], Callable[..., Tensor]] = cannot  # makes `sample` with the live weights
    untrained: Callable[[], Callable[..., Tensor]] = cannot  # makes `translate` with fresh weights
    paths: Callable[[], Paths] = cannot  # makes the latents and generator for path lengths
    given: bool = False  # whether samples are images that are already there,
    made_for: Tensor | None = None  # and the labels (n,) that those were made for

    @property
    def abilities(self) -> frozenset[str]:
        """In the words of `metric.LACKS`."""
        held = {
            "samples": self.sample is not cannot,
            "translates": self.translate is not cannot,
            "depicts": self.depict is not cannot,
            "fills": self.crops is not cannot,
            "styles": self.styles,
            "upscales": self.upscale is not cannot,
            "encodes": self.encode is not cannot,
            "reconstructs": self.reconstruct is not cannot,
            "classifies": self.classify is not cannot,
            "classes": self.labelled and self.classes is not None,
            "views": self.views > 1,
            "paths": self.paths is not cannot,
            "teaches": self.sample is not cannot and self.labelled and self.classes is not None,
        }
        return frozenset(name for name, has in held.items() if has)
