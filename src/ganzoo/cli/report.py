"""`ganzoo report`: a run explained on one page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser

if TYPE_CHECKING:
    from argparse import ArgumentParser

HELP = "a run explained on one page of HTML"


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo report",
        description="Writes a run's page: recipe, losses, samples over time, scores, what is wrong, what next.",
        epilog="examples:\n  ganzoo report runs/my-run\n  ganzoo report runs/my-run --out report.html",
    )
    made.add_argument("run", help="a run's folder")
    made.add_argument("--out", help="the file [report.html in the run's folder]")
    return made


def run(arguments: Any) -> int:
    """Writes the page and says where."""
    from ganzoo.training.report import report

    print(report(arguments.run, arguments.out))
    return 0
