"""A lecture: parts, each an idea, a formula, a picture, the code that made it and what to try; and the page of them."""

from __future__ import annotations

import inspect
import pkgutil
import textwrap
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from PIL import Image

from ganzoo import lectures
from ganzoo.files import atomic
from ganzoo.media.medium import write_picture
from ganzoo.types import BadArgument, UnknownName, nearest

_COLORS = 96  # of a picture's palette: charts and sheets of small pictures need no more, and pages stay light
_TOOLS = ("lecture", "playing")  # modules of this room that are no lectures


@dataclass(frozen=True)
class Part:
    """One picture of a lecture, and what is said of it.

    Args:
        name: of the picture's file.
        title: of the section.
        idea: in a few sentences.
        formula: its lines.
        draw: makes the picture, and says in a sentence or a table what was measured; its arguments have defaults.
        attempt: what to try next.
        code: the functions that make it and are worth reading, `draw` itself aside.
    """

    name: str
    title: str
    idea: str
    formula: tuple[str, ...]
    draw: Callable[..., tuple[Image.Image, str]]
    attempt: str
    code: tuple[Callable[..., Any] | type, ...] = ()


@dataclass(frozen=True)
class Lecture:
    """A page.

    Args:
        name: by which it is asked for.
        title: of the page.
        idea: in a few sentences.
        seconds: that one core takes for it, about.
        parts: in their order.
        papers: what to read.
    """

    name: str
    title: str
    idea: str
    seconds: int
    parts: tuple[Part, ...]
    papers: tuple[str, ...] = field(default=())


def list_lectures() -> list[str]:
    """The names of the lectures."""
    return sorted(module.name for module in pkgutil.iter_modules(lectures.__path__) if module.name not in _TOOLS)


def lecture_of(name: str) -> Lecture:
    """A lecture by its name.

    Raises:
        UnknownName: if there is none.
    """
    known = list_lectures()
    if name not in known:
        hint = nearest(name, known, "`ganzoo lecture` lists them")
        raise UnknownName(f"there is no lecture {name!r}{hint}")
    found: Lecture = import_module(f"ganzoo.lectures.{name}").LECTURE
    return found


def give(lecture: Lecture, folder: Path, say: Callable[[str], None] = print) -> Path:
    """Draws a lecture's pictures and writes its page, `<name>.md`, beside a folder of them, `<name>/`.

    Args:
        lecture: what to show.
        folder: where to.
        say: told what is done, a line a picture.

    Raises:
        BadArgument: for a folder that cannot be written to.
    """
    pictures = folder / lecture.name
    try:
        pictures.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadArgument(f"--out is {folder}: no folder can be made there ({error.strerror or error})") from None
    measured = {}
    for i, part in enumerate(lecture.parts, 1):
        begun = time.monotonic()
        picture, measured[part.name] = part.draw()
        write_picture(picture.quantize(_COLORS, dither=Image.Dither.NONE), pictures / f"{part.name}.png")
        say(f"{lecture.name} {i}/{len(lecture.parts)}: {part.title} ({time.monotonic() - begun:.0f} s)")
    page = folder / f"{lecture.name}.md"
    with atomic(page) as draft:
        draft.write_text(
            "\n".join([*head(lecture), *(line for p in lecture.parts for line in lines(lecture, p, measured))])
        )
    return page


def head(lecture: Lecture) -> list[str]:
    """The first lines of a page."""
    return [
        f"# {lecture.title}",
        "",
        *_wrapped(lecture.idea),
        "",
        f"`ganzoo lecture {lecture.name} --out DIR` makes this page, in about {lecture.seconds} seconds of one core.",
        *(["", *_wrapped(f"To read: {'; '.join(lecture.papers)}.")] if lecture.papers else []),
        "",
    ]


def lines(lecture: Lecture, part: Part, measured: dict[str, str]) -> list[str]:
    """The lines of one part, in the page's order."""
    made = "\n\n".join(inspect.getsource(each).rstrip() + "\n" for each in (*part.code, part.draw)).rstrip()
    return [
        f"## {part.title}",
        "",
        *_wrapped(part.idea),
        "",
        *_block("text", part.formula),
        "",
        f"![{part.title}]({lecture.name}/{part.name}.png)",
        "",
        *_measured(measured[part.name]),
        "",
        *_wrapped(f"**Try:** {part.attempt}"),
        "",
        "<details><summary>The code that made it</summary>",
        "",
        *_block("python", [made]),
        "",
        "</details>",
        "",
    ]


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A table in Markdown."""
    cells = [[*columns], *([str(value) for value in row] for row in rows)]
    cells.insert(1, ["---"] * len(cells[0]))
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


def _block(language: str, text: Iterable[str]) -> list[str]:
    return [f"```{language}", *text, "```"]


def _measured(text: str) -> list[str]:
    """What a part found: paragraphs in lines, and tables as they are."""
    parts = ([part] if part.startswith("|") else _wrapped(part) for part in text.split("\n\n"))
    return "\n\n".join("\n".join(part) for part in parts).split("\n")


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False)
