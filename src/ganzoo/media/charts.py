"""Charts of training: lines over a common axis, by matplotlib, which is imported only where something is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from ganzoo.media.medium import write_picture
from ganzoo.types import BadArgument

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# the colours of Okabe and Ito (2008), told apart by colour-blind readers, without their yellow
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#3c3c3c")
_BESIDE: Final = 4  # names of lines that stand in a row
_DPI: Final = 100
_TEXT: Final = "#464c58"
_RULE: Final = "#e2e5eb"


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
        y_label: beside the vertical axis.
        smooth: the number of neighbours that a moving average joins; the values themselves stay as a faint line.
        size: width and height in pixels.

    Returns:
        The chart, in mode RGB.

    Raises:
        BadArgument: if there is no finite value, x and y differ in length, x is not finite, or `smooth` is below 1.
    """
    lines = {name: _series(name, *values) for name, values in series.items()}
    if not any(np.isfinite(y).any() for _, y in lines.values()):
        raise BadArgument("There is no finite value to draw; give at least one series with numbers.")
    if smooth < 1:
        raise BadArgument(f"smooth={smooth}: give the number of neighbours to average, 1 for none.")
    rows = -(-len(lines) // _BESIDE)
    top = 8 + 18 * rows + (26 if title else 0)
    figure, axes = chart(size, left=78 if y_label else 60, top=top, right=28, bottom=56 if x_label else 36)
    for k, (name, (x, y)) in enumerate(lines.items()):
        look: dict[str, Any] = {"color": COLOURS[k % len(COLOURS)], "marker": "o" if len(x) == 1 else None}
        if smooth > 1:
            axes.plot(x, y, alpha=0.28, linewidth=0.8, zorder=1, **look)
        axes.plot(x, _averaged(y, smooth), linewidth=1.8, zorder=2, label=_plain(name), **look)
    axes.margins(x=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="y", color=_RULE)
    axes.tick_params(axis="y", length=0)
    if title:
        figure.text(axes.get_position().x0, 1 - 12 / size[1], _plain(title), size=13, color="#181c24", va="top")
    axes.set_xlabel(_plain(x_label))
    axes.set_ylabel(_plain(y_label))
    if list(lines) != [y_label]:
        look = {"ncols": min(len(lines), _BESIDE), "frameon": False, "labelcolor": _TEXT, "labelspacing": 0.2}
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2, **look)
    picture = drawn(figure)
    if path is not None:
        write_picture(picture, path)
    return picture


def chart(size: tuple[int, int], left: int, top: int, right: int, bottom: int) -> tuple[Figure, Axes]:
    """An empty chart of `size` pixels, whose axes leave margins of as many pixels."""
    from matplotlib.figure import Figure  # and not pyplot, which keeps every figure

    width, height = size
    figure = Figure((width / _DPI, height / _DPI), dpi=_DPI)
    axes = figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    )
    axes.tick_params(labelsize=9, colors=_TEXT)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set_color(_TEXT)
    axes.spines[:].set_color("#acb2bd")
    return figure, axes


def panels(rows: int, columns: int, size: tuple[int, int], **shared: Any) -> tuple[Figure, list[Axes]]:
    """Empty axes in a grid, row by row, on a figure of `size` pixels; `shared` goes to matplotlib's `subplots`."""
    from matplotlib.figure import Figure

    figure = Figure((size[0] / _DPI, size[1] / _DPI), dpi=_DPI, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, **shared)
    for axes in grid.flat:
        axes.tick_params(labelsize=8, colors=_TEXT)
        axes.spines[:].set_color("#acb2bd")
        axes.title.set_size(10)
        for axis in (axes.xaxis, axes.yaxis):
            axis.label.set_color(_TEXT)
            axis.label.set_size(9)
    return figure, list(grid.flat)


def drawn(figure: Figure) -> Image.Image:
    """A figure's pixels, in mode RGB; its numbers are written 20k, 3M and 1e-05 where they are large or small."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.ticker import EngFormatter, Formatter, ScalarFormatter, StrMethodFormatter

    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            largest = float(np.abs(axis.get_view_interval()).max())
            form: Formatter = ScalarFormatter(useOffset=False)
            if largest >= 5000:
                form = EngFormatter(sep="")
            elif largest < 1e-3 or axis.get_scale() == "log":
                form = StrMethodFormatter("{x:g}")
            axis.set_major_formatter(form)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _series(name: str, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    across, up = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if across.ndim != 1 or across.shape != up.shape:
        raise BadArgument(f"Series {name!r}: x and y must have one length, not shapes {across.shape} and {up.shape}.")
    if not np.isfinite(across).all():
        raise BadArgument(f"Series {name!r}: x must be finite, but holds {across[~np.isfinite(across)][0]:g}.")
    return across, np.where(np.isfinite(up), up, np.nan)


def _averaged(values: npt.NDArray[np.float64], neighbours: int) -> npt.NDArray[np.float64]:
    """The mean of the finite values in a window of `neighbours`, shorter at the ends; gaps stay gaps."""
    finite = np.isfinite(values).astype(np.float64)
    before = np.pad(np.stack([finite, np.where(finite > 0, values, 0)]).cumsum(1), ((0, 0), (1, 0)))
    middle = np.arange(len(values))
    low = np.maximum(middle - (neighbours - 1) // 2, 0)
    high = np.minimum(middle + neighbours // 2 + 1, len(values))
    counts, sums = before[:, high] - before[:, low]
    return np.where(finite > 0, sums / np.maximum(counts, 1), np.nan)


def _plain(text: str) -> str:
    """Text in which matplotlib looks for no formulas."""
    return text.replace("$", r"\$")
