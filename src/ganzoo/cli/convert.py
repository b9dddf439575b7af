"""`ganzoo convert`: make a model folder of an authors' checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser
from ganzoo.types import BadArgument

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

HELP = "make a model folder of an authors' checkpoint"


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo convert",
        description="Makes a model folder of an authors' checkpoint. Nothing in the file is imported or executed.",
        epilog=(
            "examples:\n"
            "  ganzoo convert stylegan2-ffhq-256x256.pkl --to models/ffhq-256\n"
            "  ganzoo convert network-snapshot.pkl --family stylegan3 --to models/mine --licence apache-2.0"
        ),
    )
    made.add_argument("file", type=str, help="the checkpoint: .pkl, .pt, .pth, .bin")
    made.add_argument("--to", type=str, required=True, help="the folder to write")
    made.add_argument("--family", type=str, default=None, help="refuse a checkpoint of another family")
    made.add_argument("--generator", type=str, default="ema", help="ema (the moving average) or live")
    made.add_argument("--licence", type=str, default=None, help="of the weights, for the model's card")
    return made


def run(arguments: Any) -> int:
    """Converts, and says what was found."""
    from ganzoo import api
    from ganzoo.zoo.checkpoint import ModelFolder

    if arguments.generator not in ("ema", "live"):
        raise BadArgument(f"--generator is {arguments.generator}; ema or live is expected")
    facts = {"licence": arguments.licence} if arguments.licence else {}
    folder = api.convert(
        Path(arguments.file), arguments.family, to=arguments.to, generator=arguments.generator, facts=facts
    )
    config = ModelFolder(folder).config
    shape = "x".join(str(side) for side in config["shape"])
    print(f"{config['converted']['layout']}: {config['title']}, {shape}, in {folder}")
    return 0
