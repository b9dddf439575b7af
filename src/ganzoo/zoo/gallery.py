"""What `ganzoo cards` derives from the families: docs/gallery.md, and the table that listings read.

Facts of families and recipes are known when their code is imported, which imports torch; listings must not, so the
facts that they need stand in `families.json`.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ganzoo import files
from ganzoo import folder as folders
from ganzoo.game import registry
from ganzoo.game.registry import Family
from ganzoo.zoo import catalogue

GALLERY = "docs/gallery.md"
_WIDTH = 200  # pixels of a picture in the table
_SCORES = 6  # of a model in the table, at most


def rows() -> list[Family]:
    """Every family, by the year of its paper, then by its name."""
    return sorted(map(registry.family, registry.list_families()), key=lambda row: (row.year, row.name))


def tabulate() -> dict[str, Any]:
    """What listings say of families and of the models that recipes train: `families` and `recipes`, by name."""
    families = {
        row.name: {key: getattr(row, key) for key in ("title", "method", "idea", "paper", "year", "url")}
        for row in sorted(rows(), key=lambda row: row.name)
    }
    return {"families": families, "recipes": {n: _trained(path) for n, path in sorted(catalogue.recipes().items())}}


def _trained(path: Path) -> dict[str, Any]:
    """Task and shape of the model that a recipe of the package trains, made on no memory."""
    import torch
    import yaml

    model = yaml.safe_load(path.read_text(encoding="utf-8"))["model"]
    family = registry.family(path.parent.name)
    with torch.device("meta"):
        game = family.cls(**registry.check_arguments(family, model.get("init_args", {})))
    return {"family": family.name, "task": family.task_of(game.classes), "shape": list(game.shape)}


def render() -> str:
    """Markdown of the whole page: a pure function of the files of a checkout."""
    shown = _models()
    lines = [
        "# Gallery",
        "",
        "One family a row, by the year of its paper. Made by `ganzoo cards` from the families' files and the shipped "
        "models' folders; do not edit it by hand.",
        "",
        "Loss: what each player minimises, as its family's file writes it. Samples, scores and images a second are of "
        "the model named first below the samples; images a second were counted while it trained, on the hardware of "
        "its card. A score's key names metric, number of images and feature network ([what each means]"
        "(metrics/README.md)); only equal keys compare. [comparison.md](comparison.md) sets families side by side at "
        "an equal budget.",
        "",
        "| family | idea | loss | samples | scores | images/s | recipe |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows():
        models = shown.get(row.name, [])
        tasks = sorted({str(config["task"]) for _, config in models if config.get("task")})
        what = f"[{row.method}]({row.url})<br>{', '.join([str(row.year), *tasks])}"
        loss = "<br>".join(f"`{formula}`" for formula in row.formula)
        lines.append(table_row([what, row.idea, loss, *_model(row, models)]))
    return "\n".join(lines) + "\n"


def table_row(cells: Iterable[str]) -> str:
    """A row of a table in Markdown."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _model(row: Family, models: list[tuple[str, dict[str, Any]]]) -> tuple[str, str, str, str]:
    """Samples, scores, images a second and recipe of a family's largest shipped model."""
    if not models:
        return "", "", "", _recipe(row, {})
    name, config = models[0]
    folder, width = f"../checkpoints/{name}", _width(folders.shipped_folders()[name] / folders.SAMPLES)
    picture = f'<a href="{folder}/README.md"><img src="{folder}/{folders.SAMPLES}" width="{width}" alt="{name}"></a>'
    links = "<br>".join(f"[{other}](../checkpoints/{other}/README.md)" for other, _ in models)
    scores = [f"`{s['key']}` {s['value']:.4g}" for s in config["results"][:_SCORES]]
    speed = config.get("images_per_second")
    return (
        f"{picture}<br>{links}",
        "<br>".join(scores),
        f"{speed:,.0f}" if isinstance(speed, (int, float)) else "",
        _recipe(row, config),
    )


def _width(path: Path) -> int:
    """Pixels of a picture in the table; twice as many for a strip, whose details would vanish."""
    from PIL import Image

    if not path.is_file():
        return _WIDTH
    with Image.open(path) as picture:
        return _WIDTH * (2 if picture.width > 2 * picture.height else 1)


def _recipe(row: Family, config: dict[str, Any]) -> str:
    """The recipe that trained the model, or the family's first."""
    name = config.get("training", {}).get("recipe")
    root = files.resource_folder("recipes")
    if root is None:
        return ""
    there = sorted(path.relative_to(root).as_posix() for path in (root / row.name).glob("*.yaml"))
    chosen = name if name in there else next(iter(there), None)
    return "" if chosen is None else f"[{chosen}](../recipes/{chosen})"


def _models() -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """The shipped models of each family with their configuration and `results`.

    Those of the largest pictures come first, and of these the one whose data most other models share.
    """
    found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for name, folder in folders.shipped_folders().items():
        config, results = folders.peek(folder)
        scores = [score for score in results if isinstance(score["value"], (int, float))]
        found.setdefault(str(config.get("family")), []).append((name, {**config, "results": scores}))
    shared = Counter(_data(config) for models in found.values() for _, config in models)
    for models in found.values():
        models.sort(key=lambda model: (-(catalogue.resolution(model[1]) or 0), -shared[_data(model[1])], model[0]))
    return found


def _data(config: dict[str, Any]) -> str:
    return str(config.get("data", {}).get("name"))
