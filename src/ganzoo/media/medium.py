"""What a model makes is a medium: one class says what its samples are, and how they are checked, drawn and written.

The media are the subclasses of `Medium` in this package's modules, and in any other module that was imported.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from ganzoo.files import atomic
from ganzoo.media.provenance import marks, remembered
from ganzoo.schema import checked
from ganzoo.types import BadArgument

if TYPE_CHECKING:
    from torch import Tensor

Numbers: TypeAlias = "Tensor | npt.NDArray[Any]"
N = TypeVar("N", "Tensor", npt.NDArray[Any])


class Medium(ABC):
    """A kind of samples; a subclass is found by itself.

    Attributes:
        name: of one sample, such as `image`.
        form: the axes of one sample, for people: `C, H, W`.
        value_range: the lowest and the highest value of a sample; None where every finite number is one.
        stored: numpy's type of the samples in a data set: `uint8` for 256 levels, which become floats in [-1, 1].
        sheet: how many samples a picture for people shows.
        suffix: of the file that `write` makes of one sample.
    """

    name: ClassVar[str]
    form: ClassVar[str]
    value_range: ClassVar[tuple[float, float] | None] = None
    stored: ClassVar[str] = "float32"
    sheet: ClassVar[int] = 64
    suffix: ClassVar[str]

    @abstractmethod
    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether a sample of this shape is of this medium."""

    @abstractmethod
    def check(self, samples: Numbers) -> npt.NDArray[Any]:
        """The samples `(N, *shape)` as an array.

        Raises:
            BadArgument: for another shape, type or range than the medium's.
        """

    @abstractmethod
    def draw(self, samples: Numbers, columns: int | None = None) -> Image.Image:
        """One picture of the samples `(N, *shape)`, for people; `columns` of them side by side where that has a sense.

        Raises:
            BadArgument: as `check`, and for no samples.
        """

    def frame(self, sample: Numbers) -> Image.Image:
        """One sample `shape` as a picture of a film."""
        return self.draw(sample[None])

    @abstractmethod
    def write(self, sample: Numbers, path: str | Path) -> None:
        """Writes one sample `shape` to a file, whole or not at all; its usual ending is `suffix`.

        Raises:
            BadArgument: as `check`, and if the file cannot be written.
        """

    def limit(self, samples: N) -> N:
        """What a network made, as samples of this medium: clamped to `value_range`."""
        return samples if self.value_range is None else samples.clip(*self.value_range)


def medium_of(shape: Sequence[int], n: int | str = "N") -> Medium:
    """The medium that has samples of a shape: `(C, H, W)` is an image, `(2,)` a point.

    Args:
        shape: of one sample.
        n: how many there are, for the error.

    Raises:
        BadArgument: if there is none.
    """
    for medium in media():
        if medium.fits(tuple(shape)):
            return medium
    known = " or ".join(f"{each.name}s (N, {each.form})" for each in media())
    raise BadArgument(f"Samples must be {known}, not ({', '.join(map(str, (n, *shape)))}).")


def media() -> list[Medium]:
    """All media that there are."""
    _import_own()
    return [medium() for medium in Medium.__subclasses__()]


@cache
def _import_own() -> None:
    for module in pkgutil.iter_modules([str(Path(__file__).parent)], f"{__package__}."):
        importlib.import_module(module.name)


@checked
def save_grid(samples: Numbers, path: str | Path, columns: int | None = None) -> None:
    """Draws samples for people and writes the picture to a file, whole or not at all.

    Images are laid out in rows, small ones enlarged by a whole factor, without smoothing, until they measure 64 pixels;
    points are drawn in the plane. The file says that a model made it (`provenance`; GANZOO_PROVENANCE=0 leaves it out).

    Args:
        samples: images `(N, C, H, W)`, floats in [-1, 1] or uint8; or points `(N, 2)`.
        path: the file; its suffix is the format (`.png`, `.jpg`, `.webp`, ...). Missing folders are made.
        columns: how many images stand side by side.

    Raises:
        BadArgument: for other samples, and values out of range; if the suffix is no format that Pillow writes; if the
            file cannot be written.
    """
    form = _format_of(Path(path))  # before anything is drawn
    given = as_array(samples)
    with remembered(samples):
        write_picture(medium_of(given.shape[1:], len(given)).draw(given, columns), path, form, made=True)


def as_array(samples: Numbers) -> npt.NDArray[Any]:
    """Samples as an array; torch is imported only for what may be torch's.

    Raises:
        BadArgument: for anything but a tensor or an array of numbers, with an axis of samples.
    """
    if isinstance(samples, np.ndarray) and samples.ndim:
        return samples
    import torch

    if not isinstance(samples, torch.Tensor) or samples.ndim < 1:
        found = " ".join(repr(samples).split())[:40]
        raise BadArgument(f"Samples are a tensor or an array (N, ...), not {type(samples).__name__} {found}.")
    tensor = samples.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def write_picture(
    picture: Image.Image, path: str | Path, form: str | None = None, *, made: bool = False, **options: Any
) -> None:
    """Writes a picture in a format, by default that of the path's suffix, whole or not at all.

    Args:
        picture: any.
        path: the file.
        form: the format, as Pillow calls it.
        made: whether it is a model's, which the file then says (see `provenance`).
        **options: of Pillow's `save`.

    Raises:
        BadArgument: if the suffix is no format that Pillow writes, or the file cannot be written.
    """
    path = Path(path)
    check_picture(path)
    form = form or _format_of(path)
    try:
        with atomic(path) as part:
            picture.save(part, format=form, **(marks(form) if made else {}), **options)
    except OSError as error:
        raise BadArgument(f"{path}: cannot be written ({error.strerror or error}).") from error
    except BadArgument:
        raise
    except Exception as error:  # what a format cannot hold, Pillow's many encoders say in many ways
        raise BadArgument(f"{path}: {form} cannot hold this picture ({error}); try .png.") from error


def is_picture(path: str | Path) -> bool:
    """Whether the path's suffix is that of a format that pictures are written in."""
    Image.init()
    return Image.registered_extensions().get(Path(path).suffix.lower()) in Image.SAVE


def check_picture(path: str | Path) -> None:
    """Whether a picture can be written there; asked before what takes long.

    Raises:
        BadArgument: if its suffix is no format that Pillow writes, or it is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise BadArgument(f"{path}: is a folder; give the name of a file in it.")
    _format_of(path)


def _format_of(path: Path) -> str:
    if not is_picture(path):
        raise BadArgument(f"{path}: no picture is written as {path.suffix or 'a file without suffix'!r}; try .png.")
    return Image.registered_extensions()[path.suffix.lower()]
