"""`ganzoo convert`: make a model folder of an authors' checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser
from ganzoo.types import BadArgument

if TYPE_CHECKING:
    from argparse import ArgumentParser

HELP = "make a model folder of an authors' checkpoint"


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo convert",
        description="Makes a model folder of an authors' checkpoint. Nothing in the file is imported or executed.",
        epilog=(
            "examples:\n"
            "  ganzoo convert stylegan2-ffhq-256x256.pkl --to models/ffhq-256\n"
            "  ganzoo convert network-snapshot.pkl --family stylegan3 --to models/mine --license apache-2.0\n"
            "  ganzoo convert netG.pth netD.pth --to models/mine\n"
            "  ganzoo convert --list"
        ),
    )
    made.add_argument("file", type=str, nargs="?", default=None, help="the checkpoint: .pkl, .pt, .pth, .bin, ...")
    made.add_argument("more", type=str, nargs="*", help="further files of its authors, such as the discriminator's")
    made.add_argument("--to", type=str, default=None, help="the folder to write")
    made.add_argument("--family", type=str, default=None, help="refuse a checkpoint of another family")
    made.add_argument("--generator", type=str, default="ema", help="ema (the moving average) or live")
    made.add_argument("--license", type=str, default=None, help="of the weights, for the model's card")
    made.add_argument("--list", action="store_true", help="show which layouts are read")
    return made


def run(arguments: Any) -> int:
    """Converts, and says what was found."""
    if arguments.list:
        return _list()
    if arguments.file is None or arguments.to is None:
        raise BadArgument(f"{'file' if arguments.file is None else '--to'} is missing; `ganzoo convert --help`")
    from ganzoo.folder import SAMPLES, ModelFolder
    from ganzoo.zoo.converting import convert

    if arguments.generator not in ("ema", "live"):
        raise BadArgument(f"--generator is {arguments.generator}; ema or live is expected")
    facts = {"license": arguments.license} if arguments.license else {}
    folder = convert(
        Path(arguments.file),
        arguments.family,
        to=arguments.to,
        generator=arguments.generator,
        more=arguments.more,
        facts=facts,
    )
    opened = ModelFolder(folder)
    shape = "x".join(str(side) for side in opened.config["shape"])
    samples = f"; {SAMPLES} shows what it makes" if opened.has(SAMPLES) else ""
    print(f"{opened.config['converted']['layout']}: {opened.config['title']}, {shape}, in {folder}{samples}")
    return 0


def _list() -> int:
    """Prints every layout, by family."""
    from rich.console import Console
    from rich.table import Table

    from ganzoo.layouts import listing

    table = Table(box=None, header_style="bold")
    for column in ("family", "layout", "files"):
        table.add_column(column)
    for row in listing():
        table.add_row(row["family"], row["layout"], "several" if row["more"] else "one")
    Console().print(table)
    return 0
