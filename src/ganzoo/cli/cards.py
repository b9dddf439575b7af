"""`ganzoo cards`: the cards of the zoo's own models."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser

if TYPE_CHECKING:
    from argparse import ArgumentParser

HELP = "render MODEL_CARDS.md, the gallery and the cards of the shipped models"


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo cards",
        description="Renders MODEL_CARDS.md, docs/gallery.md and every shipped model's README.md from the catalogue, "
        "the families' files, the model folders and the recipes. Runs in a checkout.",
        epilog="examples:\n  ganzoo cards\n  ganzoo cards --check",
    )
    made.add_argument("--check", action="store_true", help="write nothing; exit 1 when a card is out of date")
    return made


def run(arguments: Any) -> int:
    """Prints what was written, or what is out of date."""
    from ganzoo.zoo.cards import update

    drifted = update(check=arguments.check)
    for path in drifted:
        print(f"{path}: out of date; run `ganzoo cards`" if arguments.check else path, file=_out(arguments.check))
    return 1 if drifted and arguments.check else 0


def _out(check: bool) -> Any:
    return sys.stderr if check else sys.stdout
