"""The registry of families: one file a family, found by themselves.

A family's name is its file's name under `ganzoo/families/`, known without importing anything. A family's
class enters the registry when its module is imported and `@register` runs. Names from configurations are looked up here
and nowhere else: nothing that a configuration says is ever imported as a path.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ganzoo import schema
from ganzoo.types import BadArgument, UnknownName, nearest, quoted

_PACKAGE = "ganzoo.families"
_LARGEST = 2**24  # no argument of any family is larger; a configuration that says otherwise is hostile or wrong
_registered: dict[str, Family] = {}

T = TypeVar("T", bound=type)


@dataclass(frozen=True)
class Family:
    """A registered family and the paper it comes from.

    Args:
        name: the file's name.
        cls: the class, a subclass of `Game`.
        title: the class's name, by which a recipe names it.
        method: how the paper writes it, such as WGAN-GP.
        paper: authors and title of the paper.
        year: its year.
        url: where it can be read.
        idea: the paper's idea in a sentence, the first line of the class's docstring.
        formula: what each player minimises, a formula a line, as the module's docstring writes it.
        task: of every model of the family; None where a model is conditional when it has classes.
    """

    name: str
    cls: type
    title: str
    method: str
    paper: str
    year: int
    url: str
    idea: str
    formula: tuple[str, ...] = ()
    task: str | None = None

    def task_of(self, classes: int | None) -> str:
        """The task of a model with so many classes: a StyleGAN2 with classes is conditional, one without is not."""
        return self.task or ("conditional" if classes else "unconditional")


def register(
    *,
    paper: str,
    year: int,
    url: str,
    formula: tuple[str, ...] = (),
    task: str | None = None,
    method: str | None = None,
) -> Callable[[T], T]:
    """Enters a class into the registry under its module's name.

    Args:
        paper: authors and title.
        year: year of the paper.
        url: where it can be read.
        formula: what each player minimises, a formula a line, for the gallery.
        task: a tag for cards and listings, such as `translation`; by default `conditional` or `unconditional`, as a
            model has classes or none.
        method: how the paper writes its method's name; the class's name by default.
    """

    def enter(cls: T) -> T:
        name = cls.__module__.rpartition(".")[2]
        there = _registered.get(name)
        taken = there is not None and (there.cls.__module__, there.title) != (cls.__module__, cls.__name__)
        if taken or (cls.__module__ != f"{_PACKAGE}.{name}" and there is None and name in list_families()):
            raise BadArgument(f"{cls.__module__}.{cls.__name__}: there is a family {name!r} already; rename the file")
        idea = (inspect.getdoc(cls) or "").strip().split("\n")[0]
        _registered[name] = Family(
            name, cls, cls.__name__, method or cls.__name__, paper, year, url, idea, formula, task
        )
        return cls

    return enter


def list_families() -> list[str]:
    """The names of all families, sorted; imports none of them."""
    spec = importlib.util.find_spec(_PACKAGE)
    paths = [] if spec is None or spec.submodule_search_locations is None else spec.submodule_search_locations
    found = {module.name for module in pkgutil.iter_modules(paths) if not module.name.startswith("_")}
    return sorted(found | set(_registered))


def titles() -> dict[str, str]:
    """The classes' names of the families that were imported, by the families'."""
    return {name: entry.title for name, entry in _registered.items()}


def family(name: str) -> Family:
    """Looks a family up by its name, importing its file when that has not happened yet."""
    if name not in _registered:
        if name not in list_families():
            raise UnknownName(f"there is no family {quoted(name)}{nearest(name, list_families())}")
        importlib.import_module(f"{_PACKAGE}.{name}")
    return _registered[name]


def family_of(cls: type) -> Family:
    """The registered family of a class."""
    for entry in _registered.values():
        if entry.cls is cls:
            return entry
    raise UnknownName(f"{cls.__name__} is not registered; put @register above the class")


def check_arguments(entry: Family, arguments: dict[str, Any]) -> dict[str, Any]:
    """Checks JSON values against the signature of a family's class.

    Returns:
        The values as the signature types them (a JSON list becomes a tuple where the signature says so).

    Raises:
        BadArgument: for an unknown name, a value of the wrong type, or a number beyond any sensible size.
    """
    known, retired = schema.parameters(entry.cls), getattr(entry.cls, "retired", {})
    checked: dict[str, Any] = {}
    for name, value in arguments.items():
        if name not in known and (name, value) in retired.items():
            continue
        if name not in known:
            hint = nearest(name, known, f"it has {', '.join(known)}")
            raise BadArgument(f"{entry.name} has no argument {quoted(name)}{hint}")
        _check_size(entry.name, name, value)
        checked[name] = schema.check(entry.cls, name, value, f"{entry.name}: {name}", quoted)
    return checked


def _check_size(family: str, name: str, value: Any) -> None:
    if isinstance(value, (int, float)) and not abs(value) <= _LARGEST:  # also catches NaN
        raise BadArgument(f"{family}: {name} is {quoted(value)}; numbers up to {_LARGEST} make sense")
    if isinstance(value, list):
        if len(value) > 1024:
            raise BadArgument(f"{family}: {name} has {len(value)} entries; lists up to 1024 make sense")
        for entry in value:
            _check_size(family, name, entry)
