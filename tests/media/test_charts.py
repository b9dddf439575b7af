"""Charts are read back from their files and measured pixel by pixel."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganzoo.media.charts import chart, curve, drawn
from ganzoo.types import BadArgument


def columns_of(picture: Image.Image, colour: tuple[int, int, int]) -> dict[int, float]:
    """The mean row of a colour in each column of a chart, below the legend."""
    close = np.abs(np.asarray(picture).astype(int) - colour).max(-1) < 40
    close[:26] = False
    return {int(c): float(np.argwhere(close[:, c]).mean()) for c in np.flatnonzero(close.any(0))}


def test_a_curve_goes_through_its_values(tmp_path: Path) -> None:
    x = np.linspace(0, 100, 101)
    picture = curve({"rises": (x, x), "falls": (x, 100 - x)}, tmp_path / "curve.png", size=(600, 400))
    with Image.open(tmp_path / "curve.png") as saved:
        assert saved.size == (600, 400) and np.array_equal(np.asarray(saved), np.asarray(picture))
    rises, falls = columns_of(picture, (0, 114, 178)), columns_of(picture, (213, 94, 0))
    at = sorted(rises.keys() & falls.keys())
    assert len(at) > 450
    left, right = at[5], at[-5]
    middle = (3 * left + right) // 4  # away from the crossing, where one hides the other
    assert rises[left] > rises[middle] > rises[right] and falls[left] < falls[middle] < falls[right]
    for each in (rises, falls):
        assert abs(each[middle] - (3 * each[left] + each[right]) / 4) < 1.5, "straight"
    assert abs(rises[left] - falls[right]) < 6, "on one scale"


def test_a_gap_stays_a_gap() -> None:
    x = np.arange(100.0)
    y = np.where((x > 40) & (x < 60), np.nan, 0.5)
    y[0] = 0.0
    found = columns_of(curve({"a": (x, y)}, smooth=5, size=(600, 400)), (0, 114, 178))
    span = max(found) - min(found)
    inside = [c for c in found if 0.42 < (c - min(found)) / span < 0.58]
    assert inside == [] and len(found) > 350


def test_smoothing_shows_the_mean() -> None:
    x = np.arange(400.0)
    y = np.where(x % 2 == 0, 0.0, 1.0)
    found = columns_of(curve({"a": (x, y)}, smooth=100, size=(600, 400)), (0, 114, 178))
    rows = [row for c, row in found.items() if 150 < c < 500]
    assert max(rows) - min(rows) < 8, "the average of a zigzag is flat"


def test_charts_that_cannot_be_drawn() -> None:
    with pytest.raises(BadArgument, match="no finite value"):
        curve({})
    with pytest.raises(BadArgument, match="no finite value"):
        curve({"a": ([0, 1], [float("nan"), float("inf")])})
    with pytest.raises(BadArgument, match="'a': x and y"):
        curve({"a": ([0, 1], [0])})
    with pytest.raises(BadArgument, match="holds nan"):
        curve({"a": ([0, float("nan")], [0, 1])})
    with pytest.raises(BadArgument, match="smooth=0"):
        curve({"a": ([0, 1], [0, 1])}, smooth=0)
    assert curve({"flat": ([3], [0])}, title="t", x_label="x", y_label="y").size == (960, 540)


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (0, 1, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (-2.5, 2.5, ["−2", "−1", "0", "1", "2"]),
        (0, 20_000, ["0", "5k", "10k", "15k", "20k"]),
        (0, 3e6, ["0", "1M", "2M", "3M"]),
        (0.1, 0.101, ["0.1000", "0.1002", "0.1004", "0.1006", "0.1008", "0.1010"]),
        (0, 4e-5, ["0", "1e−05", "2e−05", "3e−05", "4e−05"]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, texts: list[str]) -> None:
    figure, axes = chart((300, 300), 60, 20, 20, 40)
    axes.set_ylim(low, high)
    drawn(figure)
    shown = [t.get_text() for t in axes.get_yticklabels() if low <= t.get_position()[1] <= high * (1 + 1e-9)]
    assert set(texts) <= set(shown) and len(shown) <= 11
    assert len(set(shown)) == len(shown), "digits tell neighbours apart"


def test_names_are_no_formulas() -> None:
    with_dollars, without = (curve({name: ([0, 1], [0, 1])}, title=name) for name in ("$a_1$ {", "a"))
    legend = (slice(0, 50), slice(0, 960))
    assert (np.asarray(with_dollars)[legend] < 200).sum() > (np.asarray(without)[legend] < 200).sum()


def test_a_chart_of_many_lines_has_room_for_their_names() -> None:
    nine = curve({f"the line number {k}": ([0, 1], [k, k]) for k in range(9)}, title="title", size=(960, 540))
    ink = (np.asarray(nine).min(-1) < 200).any(1)
    gaps = np.flatnonzero(~ink)
    assert ink[:100].any() and any(start in gaps for start in range(60, 110)), "the names end above the chart"


def test_matplotlib_is_imported_only_where_something_is_drawn() -> None:
    code = "import sys, ganzoo.media.charts, ganzoo.media.points; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=300).returncode == 0
