"""What sampling and translating have in common with no paper: streams of random numbers, checked requests, and sides.

Pure functions; the abilities put them together. torch is imported where it is used: exported models do without.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ganzoo.data.classes import class_index
from ganzoo.types import BadArgument, BadModelFolder, Condition

if TYPE_CHECKING:
    from torch import Tensor

_SLACK = 1e-3  # how far a rounding error may carry a pixel beyond 1; an eighth of an 8-bit level


def streams(seeds: Sequence[int]) -> list[np.random.RandomState]:
    """One stream of random numbers a seed."""
    check_seeds(seeds)
    return [np.random.RandomState(seed) for seed in seeds]


def seeds_for(n: int | None, seed: int, seeds: Sequence[int] | None, z: Tensor | None) -> Sequence[int]:
    """One seed an image, from whatever says how many there are.

    Raises:
        BadArgument: for no number of images, two that differ, or a seed out of range.
    """
    if n is not None and (not isinstance(n, int) or isinstance(n, bool)):
        raise BadArgument(f"{n!r} samples were asked for; a whole number is expected")
    check_seeds([seed])
    counts = [
        count
        for count in (n, None if seeds is None else len(seeds), None if z is None else len(z))
        if count is not None
    ]
    if not counts:
        raise BadArgument("it is not said how many samples; give n, seeds or z")
    if len(set(counts)) > 1:
        raise BadArgument(f"n, seeds and z are of {' and '.join(map(str, counts))} samples; give one number")
    if counts[0] < 1:
        raise BadArgument(f"{counts[0]} samples were asked for; at least 1 is expected")
    chosen = range(seed, seed + counts[0]) if seeds is None else [*seeds]
    check_seeds((chosen[0], chosen[-1]) if isinstance(chosen, range) else chosen)
    return chosen


def check_seeds(seeds: Sequence[int]) -> None:
    """Holds seeds against numpy's range."""
    for seed in seeds:
        if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
            raise BadArgument(f"seed {seed} is out of range; seeds run from 0 to {2**32 - 1}")


def check_options(name: str, hook: Callable[..., Any], options: dict[str, Any], own: Sequence[str] = ()) -> None:
    """Holds options against the keyword-only arguments of a family's hook."""
    parameters = inspect.signature(hook).parameters.values()
    known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in own]
    for option in options:
        if option not in known:
            has = f"its options are {', '.join(known)}" if known else "leave it out"
            raise BadArgument(f"{name} has no {option}; {has}")


def with_labels(condition: Condition, labels: Tensor | None) -> Condition:
    """The condition with labels, where there are any."""
    return condition if labels is None else replace(condition, labels=labels)


def check_condition(condition: Condition, n: int) -> None:
    """Holds a condition against the number of images.

    Raises:
        BadArgument: if it has another number of rows, or something else than tensors.
    """
    from torch import Tensor

    for name, values in vars(condition).items():
        if values is None:
            continue
        if not isinstance(values, Tensor):
            raise BadArgument(f"{name} of the condition is a {type(values).__name__}; a tensor is expected")
        if values.dim() == 0 or len(values) != n:
            found = f"{len(values)} rows" if values.dim() else "no rows"
            raise BadArgument(f"{name} of the condition has {found} for {n} images; give one an image")


def labels_for(
    labels: Sequence[int | str] | Tensor | int | str,
    n: int,
    classes: int | None,
    vectors: bool,
    names: Sequence[str] | None,
    family: str,
) -> Tensor:
    """The labels of n images, checked.

    Args:
        labels: classes by index or name, one for all or one an image, or vectors `(n, classes)`.
        n: how many images.
        classes: of the family.
        vectors: whether the family takes vectors.
        names: of the classes, where they have some.
        family: the name of its class.

    Returns:
        `(n,)` int64, or `(n, classes)` float32, on the CPU.

    Raises:
        BadArgument: for a family without classes, another shape, a name that is none, or a label out of range.
    """
    import torch

    if classes is None:
        raise BadArgument(f"{family} has no classes, so no labels can be given")
    if isinstance(labels, str):
        labels = class_index(labels, names)
    elif not isinstance(labels, (torch.Tensor, int)):
        labels = [class_index(each, names) if isinstance(each, str) else each for each in labels]
    tensor = torch.as_tensor(labels).cpu()
    if vectors and tensor.dim() > 0 and (tensor.dim() == 2 or tensor.is_floating_point()):
        return _vectors(tensor, n, classes)
    tensor = tensor.expand(n) if tensor.dim() == 0 else tensor
    if tensor.dim() != 1 or len(tensor) not in (1, n) or tensor.is_floating_point() or tensor.is_complex():
        raise BadArgument(f"labels have shape {tuple(tensor.shape)}; {n} class indices, or one, are expected")
    if not bool(((tensor >= 0) & (tensor < classes)).all()):
        worst = int(tensor[(tensor < 0) | (tensor >= classes)][0])
        raise BadArgument(f"label {worst} is out of range; classes run from 0 to {classes - 1}")
    return tensor.expand(n).long()


def _vectors(tensor: Tensor, n: int, classes: int) -> Tensor:
    """Labels as vectors: one for all images, or one an image."""
    import torch

    tensor = tensor[None] if tensor.dim() == 1 else tensor
    if tuple(tensor.shape) not in ((1, classes), (n, classes)):
        raise BadArgument(f"label vectors have shape {tuple(tensor.shape)}; ({n}, {classes}) is expected")
    if not bool(torch.isfinite(tensor).all()):
        raise BadArgument("label vectors hold values that are not finite")
    return tensor.float().expand(n, -1)


def at_a_time(batch_size: int | None, sides: Sequence[int]) -> int:
    """How many images are made at a time: a million pixels' worth, and at most 64, where nobody says."""
    if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
        raise BadArgument(f"batch size is {batch_size}; at least 1 is expected")
    return batch_size or max(1, min(64, 2**20 // max(math.prod(sides), 1)))


def check_images(images: Tensor, channels: int, stride: int, name: str) -> None:
    """Holds images against what a network takes.

    Raises:
        BadArgument: unless they are `(n, channels, H, W)` floats in [-1, 1], at least one, with sides of at least
            `stride`.
    """
    shape = tuple(images.shape)
    if len(shape) != 4 or shape[1] != channels or shape[0] < 1:
        raise BadArgument(f"images have shape {shape}; {name} expects (n, {channels}, H, W) with n of at least 1")
    if min(shape[2:]) < stride:
        raise BadArgument(f"images have {shape[2]}x{shape[3]} pixels; {name} expects sides of at least {stride}")
    if not images.is_floating_point():
        raise BadArgument(f"images are {images.dtype}; floats in [-1, 1] are expected: x / 127.5 - 1 of 8-bit levels")
    wrong = images[~(images.abs() <= 1 + _SLACK)]  # so written, it finds NaN too
    if len(wrong):
        raise BadArgument(f"images hold {wrong[0].item():g}; values in [-1, 1] are expected, so scale or clamp them")


def pad(images: Tensor, stride: int) -> Tensor:
    """Reflects images at their borders until both sides are multiples of `stride`.

    The original stays in the middle; where the difference is odd, the extra row or column is at the bottom or right.

    Args:
        images: `(n, C, H, W)` with sides of at least `stride`.
        stride: of the network.
    """
    from torch.nn import functional

    height, width = images.shape[2:]
    down, across = -height % stride, -width % stride
    if not (down or across):
        return images
    return functional.pad(images, (across // 2, across - across // 2, down // 2, down - down // 2), mode="reflect")


def crop(images: Tensor, height: int, width: int) -> Tensor:
    """Takes the middle that `pad` kept the original in."""
    top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
    return images[:, :, top : top + height, left : left + width]


def at_sides(images: Tensor, sides: Sequence[int], network: Callable[[Tensor], Tensor]) -> Tensor:
    """What a network of images of certain sides makes of others, resized to these and back; of its own, untouched.

    Args:
        images: `(n, C, H, W)`.
        sides: that the network takes and gives.
        network: of images of these sides.
    """
    from torch.nn.functional import interpolate

    given = tuple(images.shape[2:])
    if given == tuple(sides):
        return network(images)
    small = interpolate(images, tuple(sides), mode="bilinear", antialias=True).clamp(-1, 1)
    return interpolate(network(small), given, mode="bilinear", antialias=True)


def spread(of: int, n: int) -> list[int]:
    """At most n numbers, spread evenly over the first `of`."""
    n = min(n, of)
    return [i * of // n for i in range(n)]


def fields(shape: tuple[int, ...], n: int) -> Tensor:
    """Smooth random fields `(n, *shape)` in [-1, 1], each from its number."""
    import torch
    from torch.nn import functional

    coarse = np.stack([np.random.RandomState(i).uniform(-1, 1, (shape[0], 4, 4)) for i in range(n)])
    smooth = functional.interpolate(torch.from_numpy(coarse), shape[1:], mode="bicubic", align_corners=True)
    return smooth.clamp_(-1, 1).float()


def side_by_side(columns: list[Tensor]) -> Tensor:
    """Joins `(n, C, H, W)` to `(n, columns, C, H, W)`, grey repeated where colours stand beside it."""
    import torch

    most = max(column.shape[1] for column in columns)
    return torch.stack([column.expand(-1, most, -1, -1) for column in columns], 1)


def read_golden(path: Path) -> npt.NDArray[np.int16]:
    """The pixels `(H, W, 3)` of a golden picture."""
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            return np.array(picture.convert("RGB"), dtype=np.int16)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # Pillow's, for a bad file
        raise BadModelFolder(f"{path}: no readable picture: {error}") from None


def compare_golden(path: Path, kept: npt.NDArray[np.int16], made: npt.NDArray[np.int16]) -> int:
    """The largest difference between two pictures in 8-bit levels.

    Raises:
        BadModelFolder: for another size, or more than two levels, which machines may differ by.
    """
    if kept.shape != made.shape:
        raise BadModelFolder(f"{path}: {kept.shape} pixels where the model makes {made.shape}")
    levels = int(np.abs(kept - made).max())
    if levels > 2:
        raise BadModelFolder(f"{path}: the model makes other pictures than the golden ones, by {levels} levels of 255")
    return levels
