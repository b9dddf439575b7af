"""`ganzoo explore`: a page to play with models on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser, refuse
from ganzoo.types import BadArgument

if TYPE_CHECKING:
    from argparse import ArgumentParser

HELP = "a page to play with models on"


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo explore",
        description="Serves a page on this machine alone: samples, directions, mixing, walks, translation.",
        epilog=(
            "examples:\n"
            "  ganzoo explore\n"
            "  ganzoo explore stylegan2-fashion-mnist --port 8000\n"
            "  ganzoo explore hf://someone/my-gan --space my-space/    # a Hugging Face Space of the same page\n"
            "  ganzoo explore --judge fashion-mnist dcgan-fashion-mnist lsgan-fashion-mnist    # who can tell?"
        ),
    )
    made.add_argument("model", type=str, nargs="*", help="shown first, beside all that ship")
    made.add_argument("--port", type=int, default=None, help="of the page (default: 7860)")
    made.add_argument("--space", type=str, default=None, help="write a Hugging Face Space there, and serve nothing")
    made.add_argument(
        "--judge",
        type=str,
        default=None,
        metavar="REAL",
        help="people tell a data set's or folder's pictures from made ones",
    )
    made.add_argument(
        "--judged", type=str, default=None, help="where each answer of --judge goes (default: judged.jsonl)"
    )
    made.add_argument("--pictures", type=int, default=None, help="of a session (default: 450 timed, 100 without limit)")
    return made


def run(arguments: Any) -> int:
    """Serves until it is interrupted, or writes a Space."""
    if arguments.judge is not None and arguments.space is not None:
        raise BadArgument("--judge keeps answers on this machine, which no Space does; leave --space out")
    for name in ("pictures", "judged") if arguments.judge is None else ():
        if getattr(arguments, name) is not None:
            raise BadArgument(f"--{name} belongs to --judge; name the real pictures with it")
    if arguments.space is not None:
        refuse(arguments, "--space", "port")
        from ganzoo.app.space import write_space

        print(f"a Space in {write_space(arguments.space, arguments.model)}; push it with git or `hf upload`")
        return 0
    port = 7860 if arguments.port is None else arguments.port
    if not 0 < port < 2**16:
        raise BadArgument(f"--port is {port}; 1 to {2**16 - 1} are expected")
    if arguments.judge is not None:
        return _judge(arguments, port)
    from ganzoo.app.page import check_port, launch, page
    from ganzoo.zoo.loading import locate

    check_port(port)  # before its address is told
    for model in arguments.model:
        locate(model, None, None, players=False)  # what cannot be had is said before a page is there
    print(f"http://127.0.0.1:{port} (ctrl-C ends it)", flush=True)
    launch(page(arguments.model), port, quiet=True)
    return 0


def _judge(arguments: Any, port: int) -> int:
    """Serves HYPE's page."""
    from ganzoo.app.judge import Judging
    from ganzoo.app.page import check_port, judge_page

    check_port(port)  # before models are loaded
    judged = arguments.judged or "judged.jsonl"
    judging = Judging(arguments.judge, arguments.model, judged, arguments.pictures)
    print(f"http://127.0.0.1:{port} (ctrl-C ends it); answers go to {judged}", flush=True)
    judge_page(judging, port)
    return 0
