"""`ganzoo pull`: fetch models into the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser

if TYPE_CHECKING:
    from argparse import ArgumentParser

HELP = "fetch models into the cache"


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo pull",
        description="Fetches models into the cache (HF_HOME) and hashes every file; a damaged one is fetched again.",
        epilog="examples:\n  ganzoo pull stylegan2-ffhq\n  ganzoo pull hf://someone/my-gan@v1.2 --players",
    )
    made.add_argument("model", type=str, nargs="+", help="names, or hf://org/repo[@revision]")
    made.add_argument("--revision", type=str, help="a branch, tag or commit of the repository")
    made.add_argument("--players", action="store_true", help="fetch every player too, for training on")
    return made


def run(arguments: Any) -> int:
    """Prints each model's folder."""
    from ganzoo.zoo.hub import pull

    for model in arguments.model:
        print(pull(model, revision=arguments.revision, players=arguments.players))
    return 0
