"""Forty avatars in each style, which come with the tests (tests/data/avatars/ATTRIBUTION.md), as prepared data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from ganzoo.data.avatars import STYLES, drawn, files

SHEETS = Path(__file__).parent / "data" / "avatars"
COUNT = 40


def pictures(style: str) -> npt.NDArray[np.uint8]:
    """Those of a style `(40, 3, 64, 64)`."""
    with Image.open(SHEETS / f"{style}.png") as sheet:
        values = np.asarray(sheet.convert("RGB"))
    return values.reshape(4, 64, 10, 64, 3).transpose(0, 2, 4, 1, 3).reshape(COUNT, 3, 64, 64)


def prepared(folder: Path) -> Path:
    """Writes what `ganzoo data avatars` would, of these few, and gives the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for style in STYLES:
        _, columns = drawn(style, COUNT)
        files(style, str(folder)).write(pictures(style), {"count": COUNT, "avatars": columns})
    return folder
