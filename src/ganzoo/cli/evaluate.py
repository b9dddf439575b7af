"""`ganzoo evaluate`: scores, each named by its protocol."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser
from ganzoo.types import BadArgument

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from ganzoo.metrics.evaluate import Progress, Score

HELP = "measure a model, or a folder of pictures"


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo evaluate",
        description="Measures samples against real images. A score's key names all that changes its value.",
        epilog=(
            "examples:\n"
            "  ganzoo evaluate dcgan-fashion-mnist\n"
            "  ganzoo evaluate dcgan-digits --protocol fd10k_digits_cnn --protocol pr1k_digits_cnn_k3\n"
            "  ganzoo evaluate runs/my-run --write\n"
            "  ganzoo evaluate cyclegan-emoji --protocol top1k_mobilenet_v2_test\n"
            "  ganzoo evaluate runs/my-run/last --judged judged.jsonl --write  # what people said\n"
            "  ganzoo evaluate --generated pictures/ --data photos/ --protocol fd500_mobilenet_v2"
        ),
    )
    made.add_argument("model", type=str, nargs="?", default=None, help="a name, hf://org/repo[@revision], or a folder")
    made.add_argument("--protocol", type=str, action="append", default=None, help="such as fd10k_mobilenet_v2; repeat")
    made.add_argument("--data", type=str, default=None, help="a data source or a folder of pictures")
    made.add_argument("--generated", type=str, default=None, help="a folder of pictures instead of a model")
    made.add_argument("--judged", type=str, default=None, help="score people's answers in this file (HYPE) instead")
    made.add_argument("--size", type=int, default=None, help="side of the pictures of --generated and --data")
    made.add_argument("--bad", choices=["error", "skip"], default="error", help="pictures that cannot be read")
    made.add_argument("--json", action="store_true", help="print JSON")
    made.add_argument("--out", type=str, default=None, help="write the scores to this JSON file")
    made.add_argument("--write", action="store_true", help="write them into the model's folder and its card")
    made.add_argument("--batch-size", type=int, default=None, help="images at a time")
    made.add_argument("--device", type=str, default=None, help="cpu, cuda, mps; the best there is by default")
    return made


def run(arguments: Any) -> int:
    """Measures, with a progress bar, and prints a table."""
    if (arguments.model is None) == (arguments.generated is None):
        raise BadArgument("name a model, or a folder with --generated; `ganzoo evaluate --help` shows examples")
    if arguments.generated is not None and (arguments.data is None or arguments.write):
        raise BadArgument("--generated needs --data to compare with, and has no card to --write")
    if arguments.judged is not None and (arguments.model is None or arguments.protocol or arguments.data):
        raise BadArgument("--judged scores a model by answers, whose keys follow from them; leave the rest out")
    from ganzoo.cli.sample import best_device
    from ganzoo.files import write_json
    from ganzoo.zoo.evaluating import measure, measure_folder, measure_judged

    chosen = {"device": arguments.device or best_device(), "batch_size": arguments.batch_size, "bad": arguments.bad}
    with bar(quiet=arguments.json) as progress:
        if arguments.judged is not None:
            scores = measure_judged(arguments.model, arguments.judged, write=arguments.write)
        elif arguments.generated is None:
            scores = measure(
                *(arguments.model, arguments.data, arguments.protocol),
                **{**chosen, "write": arguments.write, "progress": progress},
            )
        else:
            scores = measure_folder(
                *(arguments.generated, arguments.data, arguments.protocol),
                **{**chosen, "size": arguments.size, "progress": progress},
            )
    rows = [entry.to_dict() for entry in scores]
    if arguments.out is not None:
        write_json(Path(arguments.out), rows)
    if arguments.json:
        print(json.dumps(rows, indent=2))
    else:
        table(scores)
    return 0


@contextmanager
def bar(quiet: bool = False) -> Iterator[Progress | None]:
    """Progress of measuring, on the error stream: a bar for a person, a line for each thing done in a log."""
    if quiet:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda what, done, total: print(f"{what}: {total}", file=sys.stderr) if done == total else None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bars = Bars(*columns, console=console, transient=True)
    tasks: dict[str, TaskID] = {}

    def progress(what: str, done: int, total: int) -> None:
        bars.start()  # not before there is something to show: an error stands on a line of its own
        if what not in tasks:
            tasks[what] = bars.add_task(what, total=total)
        bars.update(tasks[what], completed=done, total=total)

    try:
        yield progress
    finally:
        if tasks:
            bars.stop()


def table(scores: list[Score]) -> None:
    """Prints value, spread, floor and ceiling, count and seconds of each score, and what it is to be held against."""
    from rich.console import Console
    from rich.table import Table

    made = Table(box=None, header_style="bold")
    for column in ("protocol", "value", "±", "floor", "ceiling", "n", "seconds"):
        made.add_column(column, justify="left" if column == "protocol" else "right", no_wrap=True)
    for score in scores:
        numbers = (score.value, score.spread, score.floor, score.ceiling)
        cells = ["" if number is None else f"{number:.4g}" for number in numbers]
        made.add_row(score.key, *cells, str(score.n), f"{score.seconds:.1f}")
        if "interval" in score.details:
            made.add_row(
                f"  95 % of means of {score.details.get('resampled')}",
                _interval(score.details["interval"]),
                style="dim",
            )
        for what, number in score.references.items():
            made.add_row(f"  {what}", f"{number:.4g}", style="dim")
    Console().print(made)
    for score in scores:
        if sources := score.details.get("from"):
            grid = Table("from / to", *score.details["classes"], title=score.key, box=None, header_style="bold")
            for name, row in sources.items():
                grid.add_row(name, *(f"{row[to]:.4g}" if to in row else "" for to in score.details["classes"]))
            Console().print(grid)


def _interval(ends: Sequence[float]) -> str:
    return " to ".join(f"{end:.4g}" for end in ends)
