"""What samples are good for: classifiers that learn from real images, from a model's samples, and from both.

    OMP_NUM_THREADS=1 python benchmarks/teaching.py --folder runs/teaching --out docs/augmentation_by_samples.md

Measures the classification accuracy score (Ravuri and Vinyals 2019) of every shipped conditional model, beside few and
many labelled real images: about a minute of one core a model. A model that is in the folder is not measured again
unless its weights are others, so that a run that was stopped goes on, and a retrained model is measured anew.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import measured

import ganzoo
from ganzoo import files
from ganzoo.zoo.evaluating import measure

REALS = (100, 1000, 5000)
KEYS = {reals: f"cas5k_pixels_test{f'_{reals}reals' if reals != 5000 else ''}" for reals in REALS}


def scores(name: str) -> dict[str, Any]:
    """The scores of a model by key, and the minutes of a core; nothing for one that draws no classes of the data."""
    began, model = time.process_time(), ganzoo.load(name)
    if model.classes is None or not model.labelled or "samples" not in model.abilities:
        return {}
    rows = measure(model, protocol=[*KEYS.values()], floors=False)
    found = {"data": rows[0].data, "scores": {score.key: score.value for score in rows}}
    return found | {"minutes": (time.process_time() - began) / 60}


def table(rows: dict[str, dict[str, Any]]) -> str:
    """A row a model, by data and then by what its samples alone teach, with what real images teach above."""
    heads = ["model", "samples alone", *(f"{reals:,} real" for reals in REALS), "minutes"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for data in sorted({row["data"] for row in rows.values()}):
        of = {name: row for name, row in rows.items() if row["data"] == data}
        real = next(iter(of.values()))["scores"]
        plain = [f"{100 * real[KEYS[reals] + '/real']:.1f}" for reals in REALS]
        lines.append(f"| *{data}: real images alone* | | {' | '.join(plain)} | |")
        for name, row in sorted(of.items(), key=lambda item: -item[1]["scores"][KEYS[5000]]):
            cells = [f"{100 * row['scores'][KEYS[5000]]:.1f}"]
            for reals in REALS:
                both, alone = (100 * row["scores"][f"{KEYS[reals]}/{part}"] for part in ("both", "real"))
                cells.append(f"{both:.1f} ({both - alone:+.1f})")
            lines.append(f"| {name} | {' | '.join(cells)} | {row['minutes']:.1f} |")
    return "\n".join(lines)


def main(given: Sequence[str] | None = None) -> None:
    parser = measured.parser(__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where the figures of each model are kept")
    parser.add_argument("--models", nargs="*", help="names or folders; by default all shipped conditional ones")
    parser.add_argument("--show", action="store_true", help="measure nothing, and write what is in the folder")
    arguments = parser.parse_args(given)
    measured.quiet()
    rows: dict[str, dict[str, Any]] = {}
    for name in arguments.models or [card["name"] for card in ganzoo.list_models(status="shipped")]:
        weights = files.sha256(Path(ganzoo.pull(name)) / "model.safetensors")
        file = arguments.folder / f"{Path(name).name}-{weights[:12]}.json"
        if row := measured.once(file, partial(scores, name), anew=not arguments.show):
            rows[Path(name).name] = row
    measured.show(table(rows), arguments.out)


if __name__ == "__main__":
    main()
