"""`ganzoo list`: what the zoo offers."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser

if TYPE_CHECKING:
    from argparse import ArgumentParser

HELP = "list models, families, or recipes"


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo list",
        description="Lists the models of the zoo.",
        epilog="examples:\n  ganzoo list\n  ganzoo list 'style*' --json\n  ganzoo list --task translation\n"
        "  ganzoo list --families '*gan'\n  ganzoo list --recipes 'stylegan*'",
    )
    made.add_argument("pattern", type=str, nargs="?", default="*", help="a shell pattern on the name")
    made.add_argument("--family", type=str, help="only models of this family, such as stylegan2")
    made.add_argument("--task", type=str, help="only models of this task, such as conditional")
    made.add_argument("--status", type=str, help="only shipped, hosted, convert or recipe")
    made.add_argument("--json", action="store_true", help="print JSON")
    made.add_argument("--families", action="store_true", help="list the families instead")
    made.add_argument("--recipes", action="store_true", help="list the recipes instead, which `ganzoo train` takes")
    return made


def run(arguments: Any) -> int:
    """Prints the list; 1 when nothing matches the pattern."""
    from ganzoo.game.registry import list_families
    from ganzoo.types import BadArgument
    from ganzoo.zoo.catalogue import list_models

    asked = {key: getattr(arguments, key) for key in ("family", "task", "status")}
    chosen = [f"--{key}" for key, value in asked.items() if value]
    if (arguments.families or arguments.recipes) and chosen:
        raise BadArgument(f"{chosen[0]} chooses among models; leave it out with --families or --recipes")
    if arguments.families:
        names = [name for name in list_families() if fnmatchcase(name, arguments.pattern)]
        said = "\n".join(names or [f"no family matches {arguments.pattern!r}"])
        print(json.dumps(names, indent=2) if arguments.json else said)
        return 0 if names else 1
    if arguments.recipes:
        return _recipes(arguments.pattern, arguments.json)
    found = list_models(arguments.pattern, **asked)
    if arguments.json:
        print(json.dumps(found, indent=2))
    elif found:
        _table(found)
    else:
        said = ", ".join([repr(arguments.pattern), *(f"{key} {value}" for key, value in asked.items() if value)])
        print(f"no model matches {said}; `ganzoo list` shows all")
    return 0 if found else 1


def _recipes(pattern: str, as_json: bool) -> int:
    from ganzoo.zoo import recipes

    found = {name: recipes.headline(path) for name, path in recipes.brought().items() if fnmatchcase(name, pattern)}
    width = max(map(len, found), default=0)
    lines = [f"{name.ljust(width)}  {said}" for name, said in found.items()]
    print(json.dumps(found, indent=2) if as_json else "\n".join(lines or [f"no recipe matches {pattern!r}"]))
    return 0 if found else 1


def _table(found: list[dict[str, Any]]) -> None:
    columns = ("name", "family", "task", "resolution", "status", "license")
    rows = [columns, *(tuple(str(entry.get(column) or "-") for column in columns) for entry in found)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
