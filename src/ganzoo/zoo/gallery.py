"""The gallery: docs/gallery.md, one row a family, derived from the families' files and the shipped models' folders.

Families are read as text: importing them would import torch.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganzoo import files
from ganzoo import folder as folders
from ganzoo.types import BadModelFolder

GALLERY = "docs/gallery.md"
_WIDTH = 200  # pixels of a picture in the table
_SCORES = 6  # of a model in the table, at most


@dataclass(frozen=True)
class Row:
    """What a family's file says of it.

    Args:
        name: the file's.
        title: the class's name, as the paper writes its method.
        idea: the first line of the class's docstring.
        loss: the formulas of the module's docstring, one a line.
        task: as handed to `register`.
        year: of the paper.
        url: where it can be read.
    """

    name: str
    title: str
    idea: str
    loss: tuple[str, ...]
    task: str
    year: int
    url: str


def rows() -> list[Row]:
    """Every family that has a file, by the year of its paper, then by its name."""
    folder = Path(__file__).resolve().parents[1] / "families"
    found = [row for path in sorted(folder.glob("*.py")) if (row := read(path)) is not None]
    return sorted(found, key=lambda row: (row.year, row.name))


def read(path: Path) -> Row | None:
    """What a family's file says; None for a file that registers no family."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        for call in node.decorator_list:
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "register":
                said = {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg is not None}
                idea = (ast.get_docstring(node) or "").strip().split("\n")[0]
                task = said.get("task", "unconditional")
                loss = formulas(ast.get_docstring(tree) or "")
                return Row(path.stem, node.name, idea, loss, task, said["year"], said["url"])
    return None


def formulas(text: str) -> tuple[str, ...]:
    """The indented lines of a docstring, which are its formulas; several on one line stand far apart."""
    lines = [line.strip() for line in text.split("\n") if line.startswith("    ")]
    parts = [part.rstrip(",") for line in lines for part in re.split(r" {4,}", line)]
    return tuple(part for part in parts if part and not re.fullmatch(r"\(eqs?\..*\)", part))


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
        "the model that stands below them, the largest one that is shipped; images a second were counted while it "
        "trained, on the hardware of its card. A score's key names its protocol, and only equal keys compare; "
        "[comparison.md](comparison.md) sets families side by side at an equal budget.",
        "",
        "| family | idea | loss | samples | scores | images/s | recipe |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows():
        cells = (_family(row), row.idea, _loss(row), *_model(row, shown.get(row.name, [])))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _family(row: Row) -> str:
    return f"[{row.title}]({row.url})<br>{row.year}, {row.task}"


def _loss(row: Row) -> str:
    return "<br>".join(f"`{formula}`" for formula in row.loss)


def _model(row: Row, models: list[tuple[str, dict[str, Any]]]) -> tuple[str, str, str, str]:
    """Samples, scores, images a second and recipe of a family's largest shipped model."""
    if not models:
        return "", "", "", _recipe(row, {})
    name, config = models[0]
    folder = f"../checkpoints/{name}"
    picture = f'<a href="{folder}/README.md"><img src="{folder}/{folders.SAMPLES}" width="{_WIDTH}" alt="{name}"></a>'
    links = "<br>".join(f"[{other}](../checkpoints/{other}/README.md)" for other, _ in models)
    scores = [f"`{s['key']}` {s['value']:.4g}" for s in config["results"][:_SCORES]]
    speed = config.get("images_per_second")
    return (
        f"{picture}<br>{links}",
        "<br>".join(scores),
        f"{speed:,.0f}" if isinstance(speed, (int, float)) else "",
        _recipe(row, config),
    )


def _recipe(row: Row, config: dict[str, Any]) -> str:
    """The recipe that trained the model, or the family's first."""
    training = config.get("training")
    name = training.get("recipe") if isinstance(training, dict) else None
    root = files.resource_folder("recipes")
    if root is None:
        return ""
    there = sorted(path.relative_to(root).as_posix() for path in (root / row.name).glob("*.yaml"))
    chosen = name if name in there else next(iter(there), None)
    return "" if chosen is None else f"[{chosen}](../recipes/{chosen})"


def _models() -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """The shipped models of each family with their configuration and `results`, those of the largest pictures first."""
    found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for name, folder in folders.shipped_folders().items():
        config = _json(folder / folders.CONFIG)
        results = _json(folder / folders.RESULTS) if (folder / folders.RESULTS).is_file() else []
        scores = [s for s in results if isinstance(s, dict) and isinstance(s.get("value"), (int, float))]
        found.setdefault(str(config.get("family")), []).append((name, {**config, "results": scores}))
    for models in found.values():
        models.sort(key=lambda model: (-_pixels(model[1]), model[0]))
    return found


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadModelFolder(f"{path}: not readable as JSON: {error}") from None


def _pixels(config: dict[str, Any]) -> int:
    """Of a picture's side; 0 for a model of points."""
    shape: Iterable[int] = config.get("shape") or ()
    sides = list(shape)
    return sides[-1] if len(sides) == 3 else 0
