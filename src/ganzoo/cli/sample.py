"""`ganzoo sample`: pictures from a model."""

from __future__ import annotations

import gc
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser, refuse
from ganzoo.types import BadArgument, Condition

if TYPE_CHECKING:
    from argparse import ArgumentParser

HELP = "draw pictures from a model"


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo sample",
        description="Draws samples. The picture of a seed is the same whatever else is drawn with it.",
        epilog=(
            "examples:\n"
            "  ganzoo sample dcgan-fashion-mnist --seeds 0-15 --out grid.png\n"
            "  ganzoo sample infogan-fashion-mnist --seeds 0-9 --labels 0-9 --out codes.png\n"
            "  ganzoo sample acgan-fashion-mnist --seeds 0-9 --labels boot --out boots.png\n"
            "  ganzoo sample dcgan-fashion-mnist --seeds 0-99 --out pictures/\n"
            "  ganzoo sample dcgan-fashion-mnist --seeds 0-63 --rank-by critic --out best-first.png\n"
            "  ganzoo sample stylegan2-ffhq --seeds 85,100 --truncation 0.7 --noise const --out faces/\n"
            "  ganzoo sample dfgan-avatars --seeds 0-3 --caption 'a smiling old person with glasses'\n"
            "  ganzoo sample dcgan.onnx --seeds 0-15 --out grid.png"
        ),
    )
    made.add_argument(
        "model", type=str, help="a name, hf://org/repo[@revision], a folder, or a file of `ganzoo export`"
    )
    made.add_argument("--seeds", type=str, default="0-15", help="such as 0-15,20 (default: 0-15)")
    made.add_argument(
        "--out", type=str, default="samples.png", help="a .png (.jpg, .tiff, ...) for a grid, else a folder"
    )
    made.add_argument("--columns", type=int, default=None, help="of the grid")
    made.add_argument("--rank-by", choices=["critic"], default=None, help="by its own critic, the most real first")
    made.add_argument("--caption", type=str, default=None, help="what is to be seen, where the model draws captions")
    return with_sampling(made)


def with_sampling(made: ArgumentParser) -> ArgumentParser:
    """The options of every command that draws."""
    made.add_argument("--labels", type=str, default=None, help="one class for all or one a seed, such as boot or 0-9")
    made.add_argument("--truncation", type=float, default=None, help="where the family defines one")
    made.add_argument("--truncation-cutoff", type=int, default=None, help="layers from this one on are not truncated")
    made.add_argument("--noise", type=str, default=None, help="random, const or none, where there are noise inputs")
    made.add_argument("--batch-size", type=int, default=None, help="pictures made at a time")
    made.add_argument("--device", type=str, default=None, help="cpu, cuda, mps; the best there is by default")
    return made


def labels_of(arguments: Any, seeds: int) -> list[int | str] | None:
    """The classes that --labels lists.

    Raises:
        BadArgument: for as many as are neither one nor one a seed.
    """
    from ganzoo.data.classes import class_list

    labels = None if arguments.labels is None else class_list(arguments.labels)
    if labels is not None and len(labels) not in (1, seeds):
        raise BadArgument(f"--labels gives {len(labels)} classes for {seeds} seeds; give one, or one a seed")
    return labels


def options_of(arguments: Any) -> dict[str, Any]:
    """What a family's `render` is to be told."""
    named = ("truncation", "truncation_cutoff", "noise")
    return {name: getattr(arguments, name) for name in named if getattr(arguments, name) is not None}


def loaded(arguments: Any, players: bool = False) -> Any:
    """The model, on the device that was asked for."""
    gc.disable()  # looking for garbage among all that the imports make takes a tenth of the whole command
    try:
        from ganzoo.zoo.loading import load

        return load(arguments.model, device=arguments.device or best_device(), players=players)
    finally:
        gc.enable()


def run(arguments: Any) -> int:
    """Draws, and says where the pictures are."""
    seeds = numbers(arguments.seeds, "--seeds")
    labels = labels_of(arguments, len(seeds))
    out = Path(arguments.out)
    if not arguments.out:
        raise BadArgument("--out is empty; a picture such as samples.png, or a folder, is expected")
    if arguments.columns is not None and arguments.columns < 1:
        raise BadArgument(f"--columns is {arguments.columns}; at least 1 is expected")

    from ganzoo.media.medium import is_picture, medium_of, save_grid
    from ganzoo.media.provenance import made_by

    if not is_picture(out):
        refuse(arguments, f"--out {out}, a folder", "columns")
        if out.suffix and not out.is_dir():
            raise BadArgument(f"--out is {out}; no picture is written as {out.suffix}: try .png, or name a folder")
        seed, times = Counter(seeds).most_common(1)[0]
        if times > 1:
            raise BadArgument(f"--seeds has {seed} twice, and a folder one file for it; name a picture, such as x.png")
    exported, rank = arguments.model.endswith(".onnx"), arguments.rank_by is not None
    if exported and rank:
        raise BadArgument(f"{arguments.model} has no critic to --rank-by; name the model that it was exported from")
    model = _exported(arguments) if exported else loaded(arguments, players=rank)
    options = {**options_of(arguments), "batch_size": arguments.batch_size}
    import numpy as np

    text = None
    if arguments.caption is not None:
        if "depicts" not in getattr(model, "abilities", ()):
            raise BadArgument(f"--caption: {arguments.model} draws nothing of captions; leave it out")
        text = model.embedded([arguments.caption])

    pictures, apart = [], not is_picture(out) and not rank
    medium = medium_of(model.shape)
    parts = _runs(seeds, 64 if model.shape[-1] <= 128 else 4)
    with progress(len(seeds), len(parts) > 1) as advance:
        for run_of_seeds in parts:
            part = None
            if labels is not None:
                part = labels if len(labels) == 1 else [labels[i] for i, _ in run_of_seeds]
            chosen = [seed for _, seed in run_of_seeds]
            if text is not None:
                options["condition"] = Condition(text=text.expand(len(chosen), -1))
            made = np.asarray(model.sample(seeds=chosen, labels=part, **options))
            if apart:  # as they come: what is written is not lost, nor held
                _write(model, medium, chosen, made, out)
            else:
                pictures.append(made)
            advance(len(run_of_seeds))
    if not apart:
        images = np.concatenate(pictures)
        if rank:
            seeds, images = ranked(model, seeds, labels, images)
        if is_picture(out):
            with made_by(model, seeds):
                save_grid(images, out, columns=arguments.columns)
        else:
            _write(model, medium, seeds, images, out)
    print(f"{len(seeds)} samples of {arguments.model} in {out}")
    return 0


def _write(model: Any, medium: Any, seeds: list[int], images: Any, out: Path) -> None:
    """A file each seed."""
    from ganzoo.media.provenance import made_by

    for seed, image in zip(seeds, images, strict=True):
        with made_by(model, [seed]):
            medium.write(image, out / f"{seed:06d}{medium.suffix}")


def _exported(arguments: Any) -> Any:
    """A model that `ganzoo export` wrote, which is drawn from without torch.

    Raises:
        BadArgument: for another device than the CPU.
    """
    from ganzoo.runtimes.running import ExportedModel

    if arguments.device not in (None, "cpu"):
        raise BadArgument(f"--device is {arguments.device}; a file .onnx is run on the CPU")
    return ExportedModel(arguments.model)


def ranked(model: Any, seeds: list[int], labels: Any, images: Any) -> tuple[list[int], Any]:
    """Samples by what the model's own critic says of them, the most real first; prints it."""
    import torch

    scores = model.criticise(torch.from_numpy(images), model.draw(seeds, labels)[1]).tolist()
    order = sorted(range(len(seeds)), key=lambda i: -scores[i])
    for i in order:
        print(f"seed {seeds[i]}: {scores[i]:.4g}")
    return [seeds[i] for i in order], images[order]


def best_device() -> str:
    """`cuda`, `mps` or `cpu`, the first that is there."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def numbers(text: str, option: str) -> list[int]:
    """Reads `0-15,20` as the numbers 0 to 15 and 20.

    Raises:
        BadArgument: for anything else, an empty range, or more than a million numbers.
    """
    found: list[int] = []
    for piece in text.split(","):
        first, dash, last = piece.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise BadArgument(f"{option} is {text!r}; numbers and ranges are expected, such as 0-15,20")
        start, stop = int(first), int(last if dash else first)
        if stop < start:
            raise BadArgument(f"{option}: the range {piece.strip()} runs backwards")
        if stop - start + len(found) >= 1_000_000:
            raise BadArgument(f"{option} asks for over a million samples; draw them in parts")
        found.extend(range(start, stop + 1))
    return found


def _runs(seeds: list[int], longest: int) -> list[list[tuple[int, int]]]:
    """Splits seeds into runs of consecutive ones, each with its place in the list."""
    keyed = itertools.groupby(enumerate(seeds), lambda pair: pair[1] - pair[0])
    whole = [list(group) for _, group in keyed]
    return [run[start : start + longest] for run in whole for start in range(0, len(run), longest)]


@contextmanager
def progress(total: int, shown: bool, label: str = "sampling") -> Iterator[Callable[[int], None]]:
    """A progress bar on the error stream."""
    if not shown:
        yield lambda n: None
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=total)
        yield lambda n: bar.advance(task, n)
