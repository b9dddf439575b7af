"""Fidelity against diversity along the truncation: the trade of BigGAN's figures 2 and 16, measured.

    OMP_NUM_THREADS=1 python benchmarks/truncation.py biggan-fashion-mnist --out docs/pictures/biggan-truncation.png

For every truncation, and without one, as many samples are drawn as `--images` says, from the same seeds. Improved
precision and recall (Kynkäänniemi 2019) and the Fréchet distance to as many real images are measured in one feature
network, by ganzoo's named protocols, and printed as a table. The picture holds two charts: precision over recall, one
point a truncation, and the Fréchet distance over the truncation. What truncation means is up to the family; it lies
between 0 and 1 here.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import ganzoo
from ganzoo.metrics.protocol import protocol

TRUNCATIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def measure(model: str, truncations: tuple[float, ...], images: int, network: str, k: int) -> list[dict[str, float]]:
    """A row for each truncation, the last without one.

    Args:
        model: a name, an address or a folder.
        truncations: between 0 and 1.
        images: samples for each.
        network: of the features.
        k: neighbours of precision and recall.

    Returns:
        Rows of `truncation` (infinity for none), `precision`, `recall` and `distance`.
    """
    ends = [*(f"_psi{truncation:g}" for truncation in truncations), ""]
    asked = [(f"pr{images}_{network}_k{k}{end}", f"fd{images}_{network}{end}") for end in ends]
    keys = [tuple(protocol(key).key for key in pair) for pair in asked]
    scores = ganzoo.evaluate(model, protocol=[key for pair in keys for key in pair])
    return [
        {
            "truncation": truncation,
            "precision": scores[f"{shape}/precision"],
            "recall": scores[f"{shape}/recall"],
            "distance": scores[distance],
        }
        for truncation, (shape, distance) in zip((*truncations, float("inf")), keys, strict=True)
    ]


def draw(rows: list[dict[str, float]], title: str, network: str, path: Path) -> None:
    """Writes the two charts."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
    names = ["none" if row["truncation"] == float("inf") else f"{row['truncation']:g}" for row in rows]
    recalls, precisions = [row["recall"] for row in rows], [row["precision"] for row in rows]
    left.plot(recalls, precisions, marker="o", color="#1f5f8b")
    for name, recall, precision in zip(names, recalls, precisions, strict=True):
        left.annotate(name, (recall, precision), textcoords="offset points", xytext=(6, 4), fontsize=8)
    left.set(xlabel="recall (diversity)", ylabel="precision (fidelity)", title=title)
    right.plot(range(len(rows)), [row["distance"] for row in rows], marker="o", color="#b3541e")
    right.set_xticks(range(len(rows)), names)
    right.set(xlabel="truncation", ylabel=f"Fréchet distance ({network})", yscale="log")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> None:
    """Measures, prints and draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a name, an address or a folder")
    parser.add_argument("--out", type=Path, required=True, help="the picture to write; the numbers go beside it")
    parser.add_argument("--images", type=int, default=5000, help="samples for each truncation")
    parser.add_argument("--truncations", type=float, nargs="+", default=TRUNCATIONS, help="between 0 and 1")
    parser.add_argument("--network", default="mobilenet_v2", help="whose features are compared")
    parser.add_argument("-k", type=int, default=3, help="neighbours of precision and recall")
    options = parser.parse_args()
    rows = measure(options.model, tuple(options.truncations), options.images, options.network, options.k)
    print("truncation  precision  recall  distance")
    for row in rows:
        print("{truncation:10g}  {precision:9.3f}  {recall:6.3f}  {distance:8.2f}".format(**row))
    draw(rows, str(options.model), options.network, options.out)
    plain = [{**row, "truncation": None if row["truncation"] == float("inf") else row["truncation"]} for row in rows]
    options.out.with_suffix(".json").write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
