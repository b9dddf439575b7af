"""A few dozen emoji in both styles, which come with the tests (tests/data/emoji/ATTRIBUTION.md), as prepared data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from ganzoo.data import emoji

FILES = Path(__file__).parent / "data" / "emoji"


def prepared(folder: Path) -> Path:
    """Writes what `ganzoo data emoji` would, of these few, and gives the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    table = json.loads((FILES / "emoji.json").read_text(encoding="utf-8"))
    for style in emoji.STYLES:
        pictures = []
        for row in table:
            with Image.open(FILES / style / f"{row['code']}.png") as picture:
                pictures.append(np.asarray(picture).transpose(2, 0, 1))
        emoji._write(folder, style, np.stack(pictures), table)
    return folder
