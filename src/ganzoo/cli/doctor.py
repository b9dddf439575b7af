"""`ganzoo doctor`: what is wrong with a run, with its figure and the next thing to try."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser

if TYPE_CHECKING:
    from argparse import ArgumentParser

HELP = "what is wrong with a run, and what to try next"


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo doctor",
        description="Looks through a run's log and previews for collapse, explosion, a critic that has won, and more.",
        epilog="examples:\n  ganzoo doctor runs/my-run",
    )
    made.add_argument("run", help="a run's folder")
    return made


def run(arguments: Any) -> int:
    """Prints the findings; 1 where there are any."""
    from ganzoo.training.doctor import findings, healthy, read_log, same_previews

    folder = Path(arguments.run)
    rows = read_log(folder)
    found = findings(rows, same_previews(folder))
    for finding in found:
        print(finding)
    if not found:
        print(healthy(rows))
    return int(bool(found))
