"""Nearest: sheets, and what the shipped models show."""

from __future__ import annotations

import torch

from ganzoo.data.digits import Digits
from ganzoo.latent.nearest import neighbours
from ganzoo.lectures import nearest
from ganzoo.media.levels import to_float


def test_a_sheet_lays_pictures_out_row_by_row() -> None:
    pictures = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 1, 8, 8)
    laid = nearest.sheet(pictures, 3)
    assert laid.shape == (20, 30)
    assert [[float(laid[10 * r + 5, 10 * c + 5]) for c in range(3)] for r in range(2)] == [[0, 1, 2], [3, 4, 5]]


def test_the_last_column_is_the_nearest_by_hand() -> None:
    real = Digits().open("train")
    sample = nearest.model("gan-digits").sample(1, seed=0)
    pixels = to_float(real.batch(range(len(real))).images)
    by_hand = int((pixels - sample).flatten(1).norm(dim=1).argmin())
    assert neighbours(sample, real, 1)[2].item() == by_hand
    picture, said = nearest.draw_figure(rows=2, columns=3)
    assert picture.width > 600 and "gan-digits" in said


def test_sheets_are_sorted_by_the_critic() -> None:
    _, said = nearest.draw_sheets(n=64, shown=8)
    for line in said.splitlines()[-2:]:
        best, _, worst = (float(cell) for cell in line.strip("| ").split("|")[1:])
        assert best > worst


def test_copies_lie_nearer_than_held_out_pictures() -> None:
    _, said = nearest.draw_distances(n=60)
    medians = {line.split("|")[1].strip(): float(line.split("|")[2]) for line in said.splitlines()[2:]}
    assert medians["by heart: training digits, noised"] < 0.5 * medians["held-out digits"]
