"""Floor 3: where real data come from; `batch.py` holds the contract, every other source stands in a file of its own.

Sources are found by themselves: every class of this package's modules that derives from `Data` and reads, those whose
names begin with an underscore aside. Importing this module, and listing the sources, does not import torch.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

from ganzoo.types import UnknownName, letters, nearest, quoted

if TYPE_CHECKING:
    from ganzoo.data.batch import Data

__all__ = ["source", "sources"]


def sources() -> list[str]:
    """The class names of all sources, in alphabetical order, such as `FashionMNIST`."""
    return sorted(_modules())


def source(name: str) -> type[Data]:
    """The source of a name; case, hyphens and underscores do not matter (`fashion-mnist` is `FashionMNIST`)."""
    found = next((each for each in _modules() if letters(each) == letters(name)), None)
    if found is None:
        there = f"there are {', '.join(sources())}"
        raise UnknownName(f"there is no data source {quoted(name)}{nearest(name, sources(), there)}")
    return cast("type[Data]", getattr(importlib.import_module(_modules()[found]), found))


@cache
def _modules() -> dict[str, str]:
    """The module of each source, read from the modules' text: importing them would bring torch and take seconds."""
    bases: dict[str, list[str]] = {}
    found, reading = {}, set()
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        spec = find_spec(module.name)
        text = getattr(spec.loader, "get_source", lambda _: None)(module.name) if spec else None
        for node in ast.parse(text or "").body:
            if isinstance(node, ast.ClassDef):
                bases[node.name] = [base.id for base in node.bases if isinstance(base, ast.Name)]
                found[node.name] = module.name
                if any(isinstance(each, ast.FunctionDef) and each.name == "read" for each in node.body):
                    reading.add(node.name)

    def above(name: str) -> list[str]:
        return [name, *(each for base in bases.get(name, ()) for each in above(base))]

    return {
        name: module
        for name, module in found.items()
        if name[0] != "_" and "Data" in above(name)[1:] and not reading.isdisjoint({*above(name)} - {"Data"})
    }
