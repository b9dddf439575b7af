"""Exports a model of every family to ONNX and writes the table of docs/export.md: `python docs/exports.py`.

Shipped models are taken where there are some, else fresh networks; faces where their package is installed.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import ganzoo

PAGE = Path(__file__).with_name("export.md")
SMALL: dict[str, dict[str, Any]] = {  # where the defaults are for large pictures
    "esrgan": {"blocks": 2, "size": 64, "perceptual": None},
    "lucidrains_stylegan2": {"size": 64},
    "r3gan": {"widths": [96, 96, 96, 96]},
    "stylegan": {"size": 32, "widths": [64, 64, 64, 64]},
    "stylegan3": {"size": 64, "channel_max": 64},
}


def model_of(family: str) -> tuple[str, Any]:
    """A model's name, and the model."""
    shipped = ganzoo.list_models(family=family, status="shipped")
    name = "mobilestylegan-ffhq" if family == "mobilestylegan" else shipped[0]["name"] if shipped else None
    return (name, ganzoo.load(name)) if name else ("fresh", ganzoo.create(family, **SMALL.get(family, {})).eval())


def main() -> None:
    """A row a family, the largest difference last."""
    rows = ["| family | model | MB | worst difference of a pixel |", "|---|---|---|---|"]
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for family in ganzoo.list_families():
            name, model = model_of(family)
            file = Path(folder) / f"{family}.onnx"
            found = ganzoo.export(model, file)["difference"]
            worst = max(worst, found)
            rows.append(f"| {family} | {name} | {file.stat().st_size / 1e6:.1f} | {found:.1e} |")
            print(rows[-1], flush=True)
            file.unlink()
    before, _, rest = PAGE.read_text().partition("<!-- table -->\n")
    after = rest.partition("<!-- end -->")[2]
    text = "\n".join([*rows, f"| | | | **{worst:.1e}** |"])
    PAGE.write_text(f"{before}<!-- table -->\n{text}\n<!-- end -->{after}")


if __name__ == "__main__":
    main()
