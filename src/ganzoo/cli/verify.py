"""`ganzoo verify`: is a model whole?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser

if TYPE_CHECKING:
    from argparse import ArgumentParser

HELP = "check a model's files and its pictures"


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo verify",
        description="Checks hashes, configuration, every tensor's name and shape, and draws the golden picture again.",
        epilog="examples:\n  ganzoo verify dcgan-fashion-mnist\n  ganzoo verify runs/dcgan-digits/last",
    )
    made.add_argument("model", type=str, nargs="+", help="names, hf://org/repo[@revision], or folders")
    return made


def run(arguments: Any) -> int:
    """Prints a line a model."""
    from ganzoo.zoo.sharing import verify

    for model in arguments.model:
        found = verify(model)
        golden = "no golden picture" if found["golden"] is None else f"golden picture within {found['golden']} levels"
        print(f"{model}: {len(found['files'])} files whole, {found['tensors']} tensors fit, {golden}")
    return 0
