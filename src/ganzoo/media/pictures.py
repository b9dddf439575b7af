"""Pictures: grids of images, points in the plane, and curves of training, with numpy and Pillow alone.

Every picture that is saved is written whole or not at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ganzoo.files import atomic
from ganzoo.media.levels import to_uint8
from ganzoo.types import BadArgument

Numbers = Tensor | npt.NDArray[Any]

TILE: Final = 64  # pixels that a picture in a grid has at least, small ones being enlarged

_Colour = tuple[int, int, int]
_WHITE: Final[_Colour] = (255, 255, 255)
_PAPER: Final[_Colour] = (248, 249, 251)
_RULE: Final[_Colour] = (226, 229, 235)
_FRAME: Final[_Colour] = (172, 178, 189)
_TEXT: Final[_Colour] = (70, 76, 88)
_INK: Final[_Colour] = (24, 64, 140)
_MARK: Final[_Colour] = (230, 97, 1)
# the colours of Okabe and Ito (2008), told apart by colour-blind readers, without their yellow
_SERIES: Final[tuple[_Colour, ...]] = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (230, 159, 0),
    (60, 60, 60),
)
_FINE: Final = 3  # lines are drawn this much larger and then reduced, which smooths their edges
_SLACK: Final = 1e-3  # how far a rounding error may carry a pixel beyond 1; an eighth of a level


def to_pil(images: Numbers) -> list[Image.Image]:
    """Turns images into Pillow's, in mode `L` or `RGB`.

    Args:
        images: `(N, C, H, W)` with 1 or 3 channels, floats in [-1, 1] or uint8.

    Returns:
        N pictures of H x W pixels.

    Raises:
        BadArgument: for another shape or type, and for values outside the range, NaN among them.
    """
    return [Image.fromarray(picture) for picture in _pixels(images)]


def grid(images: Numbers, columns: int | None = None, padding: int = 2, scale: int | None = None) -> Image.Image:
    """Lays images out row by row on white.

    Args:
        images: `(N, C, H, W)` as for `to_pil`, at least one.
        columns: how many stand side by side; by default as many as make the grid square.
        padding: pixels between and around the images.
        scale: the whole factor by which each is enlarged, without smoothing; by default the smallest that makes the
            shorter side at least 64 pixels (`TILE`), so that an 8x8 digit can be seen.

    Raises:
        BadArgument: as `to_pil`, and for no images, `columns` or `scale` below 1, or negative `padding`.
    """
    pixels = _pixels(images)
    if len(pixels) == 0:
        raise BadArgument("There is no image to lay out; give at least one.")
    count, height, width = pixels.shape[:3]
    columns = math.ceil(math.sqrt(count)) if columns is None else columns
    scale = max(1, math.ceil(TILE / min(height, width))) if scale is None else scale
    if columns < 1 or padding < 0 or scale < 1:
        raise BadArgument(f"A grid of columns={columns}, padding={padding}, scale={scale} cannot be laid out.")
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    pixels = pixels.repeat(scale, axis=1).repeat(scale, axis=2)
    across, down = width * scale + padding, height * scale + padding
    canvas = np.full((rows * down + padding, columns * across + padding, *pixels.shape[3:]), 255, np.uint8)
    for i, picture in enumerate(pixels):
        top, left = padding + i // columns * down, padding + i % columns * across
        canvas[top : top + height * scale, left : left + width * scale] = picture
    return Image.fromarray(canvas)


def save_grid(images: Numbers, path: str | Path, columns: int | None = None) -> None:
    """Writes `grid(images, columns)`, or for points `(N, 2)` their `scatter`, to a file.

    Small images are enlarged by a whole factor, without smoothing, until they measure 64 pixels.

    Args:
        images: `(N, C, H, W)` floats in [-1, 1] or uint8, or points `(N, 2)`.
        path: the file; its suffix is the format (`.png`, `.jpg`, `.webp`, ...). Missing folders are made.
        columns: how many stand side by side.

    Raises:
        BadArgument: as `grid`; if the suffix is no format that Pillow writes; if the file cannot be written.
    """
    if images.ndim == 2:
        scatter(images, path)
    else:
        _save(grid(images, columns), path)


def scatter(
    points: Numbers,
    path: str | Path | None = None,
    extent: float | None = None,
    reference: Numbers | None = None,
    size: int = 512,
) -> Image.Image:
    """Draws points in the plane as ink that darkens where they are dense, with rings around the real modes.

    Args:
        points: `(N, 2)`, x and y.
        path: where to write the picture; None only returns it.
        extent: half the side of the square around the origin that is shown; by default it holds `reference` with a
            quarter to spare, and without it 99 of 100 points. The share of points left outside is written below.
        reference: `(K, 2)` centres of the real modes.
        size: of the square in pixels, the margin with the numbers aside.

    Returns:
        The picture, in mode RGB.

    Raises:
        BadArgument: for another shape, no points, values that are not finite, or an extent that is not positive.
    """
    at = _points("points", points)
    centres = None if reference is None else _points("reference", reference)
    if extent is None:
        reach = float(np.quantile(np.abs(at).max(1), 0.99)) if centres is None else float(np.abs(centres).max())
        extent = 1.25 * reach or 1.0
    if not 0 < extent < math.inf:
        raise BadArgument(f"extent={extent}: give half the side of the square to show, a positive number.")

    inside = at[(np.abs(at) < extent).all(1)]
    density = _blurred(inside, extent, 2 * size, sigma=2.0)
    # a lone point stays visible, and many do not drown in their sum: the exponent grows with the root of the density
    lone = 1 / (2 * math.pi * 2.0**2)
    strength = 1 - np.exp(-0.55 * np.sqrt(density / lone * min(1.0, 3000 / len(at))))[..., None]
    ink = np.array(_PAPER) * (1 - strength) + np.array(_INK) * strength
    field = Image.fromarray(ink.round().astype(np.uint8)).resize((size, size), Image.Resampling.BOX)

    left, top, right, bottom = 44, 16, 16, 34
    fine = Image.new("RGB", ((left + size + right) * _FINE, (top + size + bottom) * _FINE), _WHITE)
    fine.paste(field.resize((size * _FINE, size * _FINE), Image.Resampling.BICUBIC), (left * _FINE, top * _FINE))
    draw = ImageDraw.Draw(fine)

    def place(x: float, y: float) -> tuple[float, float]:
        return left + (x / extent + 1) / 2 * size, top + (1 - y / extent) / 2 * size

    marks = [mark for mark in _ticks(-extent, extent, 5) if abs(mark) < 0.98 * extent]
    for mark in marks:
        across, down = place(mark, mark)
        _line(draw, [(across, top + size), (across, top + size + 4)], _FRAME, 1)
        _line(draw, [(left - 4, down), (left, down)], _FRAME, 1)
    corners = [(left, top), (left + size, top), (left + size, top + size), (left, top + size), (left, top)]
    _line(draw, corners, _FRAME, 1)
    for x, y in () if centres is None else centres:
        if max(abs(x), abs(y)) < extent:
            across, down = place(x, y)
            box = [(value + way * 9) * _FINE for way in (-1, 1) for value in (across, down)]
            draw.ellipse(box, outline=_MARK, width=round(1.5 * _FINE))
    for mark, text in zip(marks, _texts(marks), strict=True):
        across, down = place(mark, mark)
        _write(draw, (across, top + size + 8), text, 12, "ma")
        _write(draw, (left - 8, down), text, 12, "rm")
    if len(inside) < len(at):
        share = 100 * (1 - len(inside) / len(at))
        _write(draw, (left + size - 8, top + size - 8), f"{share:.1f} % of the points lie outside", 12, "rb")
    picture = fine.resize((fine.width // _FINE, fine.height // _FINE), Image.Resampling.BOX)
    if path is not None:
        _save(picture, path)
    return picture


def curve(
    series: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]],
    path: str | Path | None = None,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    smooth: int = 1,
    size: tuple[int, int] = (960, 540),
) -> Image.Image:
    """Draws lines over a common axis, such as the players' losses over the generator's updates.

    Args:
        series: by name, the x and y values `(n,)` of each line; where y is not finite the line has a gap.
        path: where to write the chart; None only returns it.
        title: above the chart.
        x_label: below the horizontal axis.
        y_label: above the vertical axis.
        smooth: the number of neighbours that a moving average joins; the values themselves stay as a faint line.
        size: width and height in pixels.

    Returns:
        The chart, in mode RGB.

    Raises:
        BadArgument: if there is no finite value, x and y differ in length, x is not finite, or `smooth` is below 1.
    """
    lines = {name: _series(name, *values) for name, values in series.items()}
    finite = [(x[np.isfinite(y)], y[np.isfinite(y)]) for x, y in lines.values()]
    if not any(len(x) for x, _ in finite):
        raise BadArgument("There is no finite value to draw; give at least one series with numbers.")
    if smooth < 1:
        raise BadArgument(f"smooth={smooth}: give the number of neighbours to average, 1 for none.")
    x_low, x_high = _span(np.concatenate([x for x, _ in finite]), 0.0)
    y_low, y_high = _span(np.concatenate([y for _, y in finite]), 0.05)

    width, height = size
    y_marks = [mark for mark in _ticks(y_low, y_high, 6) if y_low <= mark <= y_high]
    x_marks = [mark for mark in _ticks(x_low, x_high, 7) if x_low <= mark <= x_high]
    y_texts, x_texts = _texts(y_marks), _texts(x_marks)
    left = 28 + math.ceil(max(_length(text, 13) for text in y_texts))
    right, bottom = width - 28, height - (58 if x_label else 38)
    legend = _legend(list(lines), left, right)
    top = 22 + (34 if title else 0) + (22 * (1 + legend[-1][1])) + (22 if y_label else 0)

    def place(x: float, y: float) -> tuple[float, float]:
        across = left + (x - x_low) / (x_high - x_low) * (right - left)
        return across, bottom - (y - y_low) / (y_high - y_low) * (bottom - top)

    fine = Image.new("RGB", (width * _FINE, height * _FINE), _WHITE)
    draw = ImageDraw.Draw(fine)
    for mark in y_marks:
        _line(draw, [place(x_low, mark), place(x_high, mark)], _RULE, 1)
    for mark in x_marks:
        across, _ = place(mark, y_low)
        _line(draw, [(across, bottom), (across, bottom + 5)], _FRAME, 1)
    _line(draw, [(left, bottom), (right, bottom)], _FRAME, 1)
    colours = [_SERIES[k % len(_SERIES)] for k in range(len(lines))]
    if smooth > 1:  # all the faint lines lie below all the others
        for colour, (x, y) in zip(colours, lines.values(), strict=True):
            red, green, blue = (round(0.28 * part + 0.72 * 255) for part in colour)
            _path(draw, x, y, place, (red, green, blue), 1)
    for colour, (x, y) in zip(colours, lines.values(), strict=True):
        _path(draw, x, _averaged(y, smooth), place, colour, 2)
    height_now = 20
    if title:
        _write(draw, (left, height_now), title, 19, "la", (24, 28, 36))
        height_now += 34
    for name, colour, (across, row) in zip(lines, colours, legend, strict=True):
        middle = height_now + 8 + 22 * row
        _line(draw, [(across, middle), (across + 20, middle)], colour, 4)
        _write(draw, (across + 28, middle), name, 14, "lm")
    if y_label:
        _write(draw, (left, top - 12), y_label, 13, "ls")
    for mark, text in zip(y_marks, y_texts, strict=True):
        _write(draw, (left - 10, place(x_low, mark)[1]), text, 13, "rm")
    for mark, text in zip(x_marks, x_texts, strict=True):
        _write(draw, (place(mark, y_low)[0], bottom + 10), text, 13, "ma")
    if x_label:
        _write(draw, ((left + right) / 2, height - 12), x_label, 13, "ms")
    picture = fine.resize(size, Image.Resampling.BOX)
    if path is not None:
        _save(picture, path)
    return picture


def _pixels(images: Numbers) -> npt.NDArray[np.uint8]:
    """Checked uint8 `(N, H, W, 3)`, or `(N, H, W)` for one channel."""
    tensor = _tensor(images)
    shape = tuple(tensor.shape)
    if tensor.ndim != 4 or shape[1] not in (1, 3) or 0 in shape[2:]:
        raise BadArgument(f"Images must have the shape (N, C, H, W) with 1 or 3 channels, not {shape}.")
    if tensor.is_floating_point():
        wrong = tensor[~(tensor.abs() <= 1 + _SLACK)]  # so written, it finds NaN too
        if len(wrong):
            raise BadArgument(f"Images must lie in [-1, 1], but hold {wrong[0].item():g}; scale or clamp them first.")
    elif tensor.dtype != torch.uint8:
        raise BadArgument(f"Images must be floats in [-1, 1] or uint8, not {tensor.dtype}.")
    pixels: npt.NDArray[np.uint8] = to_uint8(tensor).permute(0, 2, 3, 1).contiguous().numpy()
    return pixels[..., 0] if shape[1] == 1 else pixels


def _tensor(numbers: Numbers) -> Tensor:
    # an array mapped from a file is read-only, which torch warns of: it is copied
    return numbers.detach().cpu() if isinstance(numbers, Tensor) else torch.from_numpy(np.array(numbers))


def _points(name: str, points: Numbers) -> npt.NDArray[np.float64]:
    tensor = _tensor(points).to(torch.float64)
    if tensor.ndim != 2 or tensor.shape[1] != 2 or len(tensor) == 0:
        raise BadArgument(f"{name} must have the shape (N, 2) with N of at least 1, not {tuple(tensor.shape)}.")
    wrong = tensor[~tensor.isfinite()]
    if len(wrong):
        raise BadArgument(f"{name} must be finite, but hold {wrong[0].item():g}.")
    array: npt.NDArray[np.float64] = tensor.numpy()
    return array


def _series(name: str, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    across, up = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if across.ndim != 1 or across.shape != up.shape:
        raise BadArgument(f"Series {name!r}: x and y must have one length, not shapes {across.shape} and {up.shape}.")
    if not np.isfinite(across).all():
        raise BadArgument(f"Series {name!r}: x must be finite, but holds {across[~np.isfinite(across)][0]:g}.")
    return across, up


def _blurred(points: npt.NDArray[np.float64], extent: float, size: int, sigma: float) -> npt.NDArray[np.float64]:
    """A histogram `(size, size)`, first row on top, of points in the open square, smoothed by a Gaussian."""
    cells = np.floor((points / extent + 1) / 2 * size).astype(np.int64).clip(0, size - 1)
    flat = (size - 1 - cells[:, 1]) * size + cells[:, 0]
    density = np.bincount(flat, minlength=size * size).reshape(size, size).astype(np.float64)
    reach = math.ceil(3 * sigma)
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    for _ in range(2):  # the Gaussian is separable: along the columns, then along the rows
        padded = np.pad(density, ((reach, reach), (0, 0)))
        density = np.asarray(sum(w * padded[k : k + size] for k, w in enumerate(weights))).T
    return density


def _span(values: npt.NDArray[np.float64], margin: float) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    if low == high:
        half = abs(low) / 10 or 1.0
        return low - half, high + half
    return low - margin * (high - low), high + margin * (high - low)


def _ticks(low: float, high: float, count: int) -> list[float]:
    """Multiples of 1, 2, 2.5 or 5 times a power of ten that cover the span, about `count` of them."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    return [k * step for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _texts(marks: Sequence[float]) -> list[str]:
    """Numbers with the digits that tell neighbours apart, in thousands or millions where they are large."""
    top = max(abs(mark) for mark in marks)
    unit, letter = (1e9, "G") if top >= 1e9 else (1e6, "M") if top >= 1e6 else (1e3, "k") if top >= 5e3 else (1.0, "")
    if 0 < top < 1e-3:
        return [f"{mark:.2g}" for mark in marks]
    for digits in range(8):
        texts = [f"{mark / unit + 0.0:.{digits}f}" for mark in marks]
        if all(math.isclose(float(t), m / unit, abs_tol=1e-6 * top / unit) for t, m in zip(texts, marks, strict=True)):
            break
    return [text + letter if float(text) else "0" for text in texts]


def _legend(names: list[str], left: int, right: int) -> list[tuple[float, int]]:
    """Where each name's swatch begins, and in which row."""
    places, across, row = [], float(left), 0
    for name in names:
        width = 28 + _length(name, 14) + 24
        if across > left and across + width > right:
            across, row = float(left), row + 1
        places.append((across, row))
        across += width
    return places


def _averaged(values: npt.NDArray[np.float64], neighbours: int) -> npt.NDArray[np.float64]:
    """The mean of the finite values in a window of `neighbours`, shorter at the ends; gaps stay gaps."""
    finite = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(finite, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(finite)])
    middle = np.arange(len(values))
    low = np.maximum(middle - (neighbours - 1) // 2, 0)
    high = np.minimum(middle + neighbours // 2 + 1, len(values))
    mean = (sums[high] - sums[low]) / np.maximum(counts[high] - counts[low], 1)
    return np.where(finite, mean, np.nan)


def _path(
    draw: ImageDraw.ImageDraw,
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    place: Callable[[float, float], tuple[float, float]],
    colour: _Colour,
    width: float,
) -> None:
    """A line through the finite values, broken where one is missing; a lone value is a dot."""
    finite = np.isfinite(y)
    ends = np.flatnonzero(np.diff(np.concatenate([[False], finite, [False]]).astype(np.int8)))
    for start, stop in zip(ends[::2], ends[1::2], strict=True):
        corners = [place(a, b) for a, b in zip(x[start:stop], y[start:stop], strict=True)]
        if len(corners) == 1:
            across, down = corners[0]
            corners = [(across - width / 2, down), (across + width / 2, down)]
        _line(draw, corners, colour, width)


def _line(draw: ImageDraw.ImageDraw, corners: Sequence[tuple[float, float]], colour: _Colour, width: float) -> None:
    draw.line([(x * _FINE, y * _FINE) for x, y in corners], colour, round(width * _FINE), "curve")


def _write(
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    size: int,
    anchor: str,
    colour: _Colour = _TEXT,
) -> None:
    draw.text((at[0] * _FINE, at[1] * _FINE), text, colour, _font(size * _FINE), anchor)


def _length(text: str, size: int) -> float:
    return float(_font(size * _FINE).getlength(text)) / _FINE


@cache
def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def _save(picture: Image.Image, path: str | Path) -> None:
    path = Path(path)
    Image.init()
    form = Image.registered_extensions().get(path.suffix.lower())
    if form not in Image.SAVE:
        raise BadArgument(f"{path}: no picture is written as {path.suffix or 'a file without suffix'!r}; try .png.")
    if path.is_dir():
        raise BadArgument(f"{path}: is a folder; give the name of a file in it.")
    try:
        with atomic(path) as part:
            picture.save(part, format=form)
    except OSError as error:
        raise BadArgument(f"{path}: cannot be written ({error.strerror or error}).") from error
