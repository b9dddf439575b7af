"""What commands that make pictures of pictures share: which those are, where what they make goes, and what failed."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.types import BadArgument, BadData

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from PIL import Image


def add_inputs(made: ArgumentParser, out: str) -> None:
    """The arguments of a command that makes pictures of pictures by a model; `out` is where by default."""
    made.add_argument("model", type=str, help="a name, hf://org/repo[@revision], or a folder")
    made.add_argument(
        "inputs", type=str, nargs="+", help="pictures, folders of them, or patterns in quotes", metavar="INPUT"
    )
    made.add_argument("--out", type=str, default=out, help=f"a folder (default: {out})")


def out_of(arguments: Any) -> Path:
    """The folder that a command writes to.

    Raises:
        BadArgument: if it is a file.
    """
    out = Path(arguments.out)
    if out.exists() and not out.is_dir():
        raise BadArgument(f"--out is {out}, which is a file; give a folder")
    return out


def report(failed: list[tuple[str, str]], done: str) -> int:
    """Lists what failed, one line each, and gives the exit status; `done` says what the others were."""
    if failed:
        print(f"ganzoo: {len(failed)} {'was' if len(failed) == 1 else 'were'} not {done}:", file=sys.stderr)
    for name, reason in failed:
        print(f"  {name}: {reason}", file=sys.stderr)
    return 1 if failed else 0


@dataclass
class Jobs:
    """What to work on, and what cannot be.

    Args:
        pairs: inputs and where what is made of them goes.
        failed: inputs that there are none of, and why.
    """

    pairs: list[tuple[Path, Path]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)


def plan(inputs: Sequence[str], out: Path) -> Jobs:
    """Finds the pictures, each once, names what becomes of them, and says where a name was taken already.

    Raises:
        BadArgument: if one would overwrite an input.
    """
    jobs, taken, seen = Jobs(), dict[str, tuple[Path, Path]](), set[Path]()
    for text in inputs:
        try:
            found = list(sources(text, out))
        except BadData as error:
            jobs.failed.append((text, str(error).removeprefix(f"{text}: ")))
            continue
        for source, name in found:
            if real(source) in seen:
                continue
            seen.add(real(source))
            stem = name.parent / name.stem
            target = first = out / f"{stem}.png"
            count = 1
            while _key(target) in taken:
                count += 1
                target = out / f"{stem}-{count}.png"
            if count > 1:
                other, origin = taken[_key(first)]
                why = f"because {other} is what becomes of {origin}"
                print(f"ganzoo: {source}: goes to {target}, {why}", file=sys.stderr)
            taken[_key(target)] = target, source
            jobs.pairs.append((source, target))
    for target, source in taken.values():
        if real(target) in seen:
            raise BadArgument(f"{source}: what becomes of it would overwrite {target}, an input; give another --out")
    return jobs


def real(path: Path) -> Path:
    """Where a path leads, as `resolve` says it; a link to itself, at which that fails, is left as it is."""
    return Path(os.path.realpath(path))


def _key(target: Path) -> str:
    """What is the same of names that are one file where case is not told apart."""
    return str(target).casefold()


def sources(text: str, out: Path) -> Iterator[tuple[Path, Path]]:
    """The pictures that a word of the command line names, each with its name below the folder of results.

    Raises:
        BadData: if there are none.
    """
    from ganzoo.data.conversion import walk

    path = Path(text).expanduser()
    if path.is_dir():
        names, others = walk(path)
        # Results of an earlier time, in a folder within, are none of the pictures
        own = real(out)
        kept = [name for name in names if real(path) == own or own not in real(path / name).parents]
        if not kept:
            what = f"none of its {others} files has the suffix of a picture" if others else "it is empty"
            raise BadData(f"{text}: holds no picture ({what})")
        yield from ((path / name, Path(name)) for name in kept)
    elif path.exists() or not glob.has_magic(text):
        if not path.exists():
            raise BadData(f"{text}: there is no such file, nor folder; a picture, a folder or a pattern is expected")
        yield path, Path(path.name)
    else:
        names = sorted(name for name in glob.glob(str(path), recursive=True) if Path(name).is_file())
        if not names:
            raise BadData(f"{text}: no file has a name of this pattern")
        fixed = path.parts[: next(i for i, part in enumerate(path.parts) if glob.has_magic(part))]
        for name in names:
            yield Path(name), Path(name).relative_to(Path(*fixed))


def decoded(source: Path, **options: Any) -> Image.Image:
    """A file's picture.

    Raises:
        Unreadable: saying why there is none.
    """
    from ganzoo.data.decoding import Unreadable, decode

    if not source.is_file():
        raise Unreadable("it is no file; a picture is expected")
    try:
        return decode(source.read_bytes(), **options)
    except OSError as error:
        raise Unreadable(f"it cannot be read ({error.strerror or error})") from None
    except MemoryError:
        raise Unreadable("it does not fit into the memory") from None


@contextmanager
def progress(total: int, doing: str) -> Iterator[Callable[[int], None]]:
    """A progress bar on the error stream, where that is a terminal and there is more than one picture."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=total < 2 or not console.is_terminal) as bar:
        task = bar.add_task(doing, total=total)
        yield lambda n: bar.advance(task, n)
