"""`ganzoo lecture`: what lectures on GANs show, as pictures and a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser

if TYPE_CHECKING:
    from argparse import ArgumentParser

HELP = "pictures and a page of what lectures show"


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo lecture",
        description=(
            "Makes a lecture's pictures and its page: the idea, the formula, the picture, the code that made it, and\n"
            "what to try. Seeds are fixed. Without a name it lists the lectures."
        ),
        epilog="examples:\n  ganzoo lecture\n  ganzoo lecture dynamics --out theory/",
    )
    made.add_argument("lecture", type=str, nargs="?", default=None, help="a name", metavar="NAME")
    made.add_argument("--out", type=str, default="theory", help="a folder (default: theory)")
    return made


def run(arguments: Any) -> int:
    """Lists the lectures, or gives one."""
    from pathlib import Path

    from ganzoo.lectures.lecture import give, lecture_of, list_lectures

    if arguments.lecture is None:
        for name in list_lectures():
            lecture = lecture_of(name)
            print(f"{name:<14} {lecture.title} ({len(lecture.parts)} pictures, {lecture.seconds} s)")
        return 0
    page = give(lecture_of(arguments.lecture), Path(arguments.out), lambda line: print(line, flush=True))
    print(f"{page} and its pictures are written")
    return 0
