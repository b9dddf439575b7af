"""`ganzoo info`: all that is known of one model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser
from ganzoo.types import printable

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterator

HELP = "all that is known of one model"


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo info",
        description="Prints what is known of one model: family, paper, license, data, scores.",
        epilog="examples:\n  ganzoo info dcgan-fashion-mnist\n  ganzoo info runs/my-run --json",
    )
    made.add_argument("model", type=str, help="a model's name, or a model's or a run's folder")
    made.add_argument("--json", action="store_true", help="print JSON")
    return made


def run(arguments: Any) -> int:
    """Prints the facts."""
    from ganzoo.zoo.catalogue import info

    facts = info(arguments.model)
    if arguments.json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        print("\n".join(_lines(facts, "")))
    return 0


def _lines(value: dict[str, Any], indent: str) -> Iterator[str]:
    """Facts below one another, without those that are empty."""
    for key, entry in value.items():
        head = indent + printable(key)
        if isinstance(entry, dict):
            inner = list(_lines(entry, indent + "  "))
            yield from [f"{head}:", *inner] if inner else []
        elif isinstance(entry, list) and entry and all(isinstance(each, dict) for each in entry):
            yield f"{head}:"
            for each in entry:
                yield f"{indent}  - {printable(_short(each))}"
        elif entry not in (None, [], ""):
            yield f"{head}: {printable(', '.join(map(str, entry)) if isinstance(entry, list) else str(entry))}"


def _short(entry: dict[str, Any]) -> str:
    """One line for an entry of a table: a score's key and value, or whatever is short enough."""
    if "key" in entry and isinstance(entry.get("value"), (int, float)):
        spread = f" ± {entry['spread']:.4g}" if isinstance(entry.get("spread"), (int, float)) else ""
        return f"{entry['key']} {entry['value']:.4g}{spread}"
    return ", ".join(f"{key} {value}" for key, value in entry.items() if not isinstance(value, (dict, list)))
