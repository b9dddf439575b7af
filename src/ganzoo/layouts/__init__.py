"""Floor 4: official checkpoints in ganzoo's terms, without executing anything in them.

A file is opened symbolically (recorder.py, values.py, pickles.py), sorted into networks (containers.py), recognised as
one of the layouts of `layouts/<family>.py`, and converted by it:

    contents = open_file("network.pkl")
    converted = recognise(contents).convert(contents)
"""

import importlib
import pkgutil
from functools import cache
from typing import Any

from ganzoo.layouts import foreign
from ganzoo.layouts.containers import Contents, Module, Network, open_file
from ganzoo.layouts.layout import Converted, Layout, Ledger, check_shapes
from ganzoo.types import BadCheckpoint, letters

__all__ = [
    "Contents",
    "Converted",
    "Layout",
    "Ledger",
    "Module",
    "Network",
    "check_shapes",
    "layouts",
    "listing",
    "open_file",
    "recognise",
]


@cache
def layouts() -> tuple[Layout, ...]:
    """All layouts, found in the modules of this package that have `LAYOUTS`."""
    found: list[Layout] = []
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        found.extend(getattr(importlib.import_module(f"{__name__}.{module}"), "LAYOUTS", ()))
    return tuple(found)


def listing() -> list[dict[str, Any]]:
    """The layouts of authors' checkpoints that `convert` reads, by family.

    Returns:
        A dict a layout: `family`, `layout` (its name), and `more`: whether there are further files to join.
    """
    rows = ({"family": k.family, "layout": k.name, "more": k.join is not None} for k in layouts())
    return sorted(rows, key=lambda row: (row["family"], row["layout"]))


def recognise(contents: Contents, family: str | None = None) -> Layout:
    """Finds the layout of a file.

    Raises:
        BadCheckpoint: no layout fits; the text says what the file holds. Or one of another family does, or it holds
            what ganzoo is known not to read; the text names it.
    """
    if other := foreign.named(contents):
        raise BadCheckpoint(
            f"{contents.path}: holds {other}, which ganzoo does not read; `ganzoo convert --list` shows what is read"
        )
    fitting = [layout for layout in layouts() if layout.recognises(contents)]
    wanted = [layout for layout in fitting if family is None or letters(layout.family) == letters(family)]
    if wanted:
        return wanted[0]
    if fitting:
        found = fitting[0]
        raise BadCheckpoint(
            f"{contents.path}: is {found.name}, of the family {found.family}; expected one of the family {family}"
        )
    expected = f"no layout{'' if family is None else f' of {family}'} fits"
    raise BadCheckpoint(
        f"{contents.path}: holds {contents.describe()}; {expected}. `ganzoo convert --list` shows what is read"
    )
