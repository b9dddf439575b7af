"""`ganzoo push`: upload a model to the Hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser
from ganzoo.types import BadArgument, printable

if TYPE_CHECKING:
    from argparse import ArgumentParser

HELP = "upload a model to the Hub"


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo push",
        description="Uploads a model in one commit, having loaded back what it is about to upload. Log in first with "
        "`hf auth login`, or set HF_TOKEN.",
        epilog="examples:\n  ganzoo push runs/my-run/last me/my-gan --license apache-2.0\n"
        "  ganzoo push dcgan-digits me/dcgan-digits --tag v1 --private\n"
        "  ganzoo push runs/my-run/last me/my-gan --license mit --dry-run\n"
        "  ganzoo push --shipped my-org --tag v0.2.0",
    )
    made.add_argument("model", type=str, nargs="?", help="a name, hf://org/repo[@revision], or a folder")
    made.add_argument("repo", type=str, nargs="?", help="org/name on the Hub; made when it does not exist")
    made.add_argument("--shipped", type=str, metavar="ORG", help="push every shipped model to ORG/<its name> instead")
    made.add_argument(
        "--license",
        type=str,
        help="of the weights, such as apache-2.0; not to be given where the model has one, as the shipped ones do",
    )
    made.add_argument("--private", action="store_true", help="make a new repository private")
    made.add_argument("--tag", type=str, help="a new name for the commit, such as v1")
    made.add_argument("--message", type=str, help="of the commit")
    made.add_argument("--dry-run", action="store_true", help="say what would be uploaded, and do nothing")
    return made


def run(arguments: Any) -> int:
    """Prints the files, and where they are now."""
    from ganzoo.zoo.catalogue import list_models
    from ganzoo.zoo.sharing import push

    if (arguments.shipped is None) != (arguments.model is not None and arguments.repo is not None):
        raise BadArgument("give a model and a repository, or --shipped ORG; `ganzoo push --help` shows examples")
    pushes = [(arguments.model, arguments.repo, arguments.license)]
    if arguments.shipped is not None:
        names = [entry["name"] for entry in list_models(status="shipped")]
        pushes = [(name, f"{arguments.shipped}/{name}", arguments.license) for name in names]
    for model, repo, license in pushes:
        done = push(
            model,
            repo,
            license=license,
            private=arguments.private,
            tag=arguments.tag,
            message=arguments.message,
            dry_run=arguments.dry_run,
        )
        _print(done)
    return 0


def _print(done: dict[str, Any]) -> None:
    for name, size in done["files"].items():
        print(f"{size:>12,}  {name}")
    tag = f" as {done['tag']}" if done["tag"] else ""
    if "commit" in done:
        print(f"pushed to {printable(done['url'])}{tag}, license {done['license']}")
        print(f'load it: ganzoo.load("hf://{done["repo"]}@{done["tag"] or done["commit"]}")')
    else:
        print(f"would be pushed to {done['repo']}{tag}, license {done['license']}, with a card; nothing was sent")
