"""Exports a model of every family to ONNX, for the table of docs/export.md: `python docs/exports.py [FAMILY ...]`.

Shipped models are taken where there are some, else fresh networks; faces where their package is installed. With names
of families only their rows are made anew.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import ganzoo

PAGE = Path(__file__).with_name("export.md")
SMALL: dict[str, dict[str, Any]] = {  # where the defaults are for large pictures
    "age_cgan": {"width": 16},
    "cut": {"size": 64},
    "cvae_gan": {"size": 64, "width": 16},
    "ddgan": {"width": 32},
    "dfgan": {"size": 64},
    "dualgan": {"size": 64, "width": 32},
    "esrgan": {"blocks": 2, "size": 64, "perceptual": None},
    "f_anogan": {"widths": [128, 128, 64, 32, 32]},
    "fastgan": {"size": 64, "width": 16},
    "idcgan": {"size": 64},
    "lucidrains_stylegan2": {"size": 64},
    "projected_gan": {"size": 64, "width": 16},
    "stargan": {"size": 64, "width": 32},
    "stargan_v2": {"size": 64, "max_width": 128},
    "stylegan": {"size": 32, "widths": [64, 64, 64, 64]},
    "stylegan3": {"size": 64, "channel_max": 64},
}
HEAD = ["| family | model | MB | worst difference of a pixel | largest pixel |", "|---|---|---|---|---|"]


def model_of(family: str) -> tuple[str, Any]:
    """A model's name, and the model."""
    shipped = ganzoo.list_models(family=family, status="shipped")
    name = "mobilestylegan-ffhq" if family == "mobilestylegan" else shipped[0]["name"] if shipped else None
    return (name, ganzoo.load(name)) if name else ("fresh", ganzoo.create(family, **SMALL.get(family, {})).eval())


def row(family: str, folder: Path) -> str:
    """A family's row."""
    name, model = model_of(family)
    file = folder / f"{family}.onnx"
    found = ganzoo.export(model, file)
    megabytes = file.stat().st_size / 1e6
    file.unlink()
    return f"| {family} | {name} | {megabytes:.1f} | {found['difference']:.1e} | {found['largest']:.1e} |"


def main(chosen: list[str]) -> None:
    """A row a family, the largest difference last; the page is written behind each."""
    known = ganzoo.list_families()
    before, _, rest = PAGE.read_text().partition("<!-- table -->\n")
    table, _, after = rest.partition("\n<!-- end -->")
    rows = {line.split("|")[1].strip(): line for line in table.splitlines()[len(HEAD) : -1]}
    with tempfile.TemporaryDirectory() as folder:
        for family in chosen or known:
            rows[family] = row(family, Path(folder))
            print(rows[family], flush=True)
            ordered = [rows[each] for each in known if each in rows]
            worst = max(float(line.split("|")[4]) for line in ordered)
            text = "\n".join([*HEAD, *ordered, f"| | | | **{worst:.1e}** | |"])
            PAGE.write_text(f"{before}<!-- table -->\n{text}\n<!-- end -->{after}")


if __name__ == "__main__":
    main(sys.argv[1:])
