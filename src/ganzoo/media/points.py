"""Points in the plane, drawn as ink around the real modes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from ganzoo.files import atomic
from ganzoo.media.charts import chart, drawn
from ganzoo.media.medium import Medium, Numbers, as_array, write_picture
from ganzoo.types import BadArgument

_INK: Final = "#18408c"
_MARK: Final = "#e66101"


class PointMedium(Medium):
    """Points `(x, y)`."""

    name = "point"
    form = "2"
    sheet = 4096
    suffix = ".csv"

    def fits(self, shape: tuple[int, ...]) -> bool:
        """One axis of two."""
        return shape == (2,)

    def check(self, samples: Numbers) -> npt.NDArray[np.float64]:
        """Points `(N, 2)` of finite numbers."""
        array = as_array(samples).astype(np.float64)
        if array.ndim != 2 or array.shape[1] != 2 or len(array) == 0:
            raise BadArgument(f"Points must have the shape (N, 2) with N of at least 1, not {array.shape}.")
        wrong = array[~np.isfinite(array)]
        if len(wrong):
            raise BadArgument(f"Points must be finite, but hold {wrong[0].item():g}.")
        return array

    def draw(self, samples: Numbers, columns: int | None = None) -> Image.Image:
        """Their scatter plot."""
        return scatter(samples)

    def write(self, sample: Numbers, path: str | Path) -> None:
        """A line of text: x, a comma, y."""
        x, y = self.check(sample[None])[0].tolist()
        try:
            with atomic(path) as part:
                part.write_text(f"{x!r},{y!r}\n")
        except OSError as error:
            raise BadArgument(f"{path}: cannot be written ({error.strerror or error}).") from error


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
    at = PointMedium().check(points)
    centres = None if reference is None else PointMedium().check(reference)
    if extent is None:
        reach = float(np.quantile(np.abs(at).max(1), 0.99)) if centres is None else float(np.abs(centres).max())
        extent = 1.25 * reach or 1.0
    if not 0 < extent < math.inf:
        raise BadArgument(f"extent={extent}: give half the side of the square to show, a positive number.")
    figure, axes = chart((size + 60, size + 50), left=44, top=16, right=16, bottom=34)
    axes.set(xlim=(-extent, extent), ylim=(-extent, extent), facecolor="#f8f9fb")
    # a lone point stays visible, and many do not drown in their sum
    axes.scatter(at[:, 0], at[:, 1], s=5, c=_INK, alpha=min(1.0, max(0.08, 20 / math.sqrt(len(at)))), linewidths=0)
    if centres is not None:
        axes.scatter(centres[:, 0], centres[:, 1], s=170, facecolors="none", edgecolors=_MARK, linewidths=1.2)
    outside = (np.abs(at) >= extent).any(1).mean()
    if outside:
        text = f"{100 * outside:.1f} % of the points lie outside"
        axes.text(0.985, 0.015, text, ha="right", va="bottom", transform=axes.transAxes, color="#464c58")
    picture = drawn(figure)
    if path is not None:
        write_picture(picture, path)
    return picture
