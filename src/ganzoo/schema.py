"""A signature as a schema: which arguments a class or a function takes, and values held against their types.

What a person wrote in a recipe, on a command line or in Python is checked here before anything is made of it, so that a
wrong value is one line that names the key, the value and what is expected.
"""

from __future__ import annotations

import functools
import inspect
import json
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from numbers import Integral
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MaxLen

from ganzoo.types import BadArgument, nearest

# Types of arguments with their ranges
Positive = Annotated[int, Ge(1)]  # a size, a width, a number of things
Count = Annotated[int, Ge(0)]  # a number of things, of which there may be none
Layers = Annotated[int, Ge(1), Le(64)]  # of a network, one after the other: a module each, so that there is a bound
Depth = Annotated[int, Ge(0), Le(64)]  # the same, where there may be none
Taps = Annotated[int, Ge(1), Le(64)]  # of a filter, or a factor between rates: the taps are computed
Domains = Annotated[int, Ge(1), Le(1024)]  # of a translation, each of which has a name
Sizes = Annotated[tuple[Positive, ...], MaxLen(32)]  # of layers, resolutions or an image: a size each
NonNegative = Annotated[float, Ge(0)]  # a learning rate, the weight of a term
Counts = Annotated[tuple[Count, ...], MaxLen(32)]  # of images seen, at which something changes
NonNegatives = Annotated[tuple[NonNegative, ...], MaxLen(32)]  # weights of several terms
Words = Annotated[tuple[str, ...], MaxLen(1024)]  # names
Probability = Annotated[float, Ge(0), Lt(1)]  # or a rate of decay, below 1
PositiveFloat = Annotated[float, Gt(0)]  # such as a divisor
Finite = Annotated[float, Gt(0), Lt(float("inf"))]  # the same of a length in the plane

_F = typing.TypeVar("_F", bound=Callable[..., Any])
_PLAIN: dict[str, tuple[Any, str]] = {  # what public functions write, its classes, and how errors call them
    "str": (str, "text"),
    "Path": (Path, "a path"),
    "Model": ((str, Path), "a name, a folder or hf://org/repo"),
    "bool": (bool, "True or False"),
    "int": (Integral, "a whole number"),
    "dict": (dict, "a dict"),
    "Mapping": (Mapping, "a dict"),
    "Sequence": (Iterable, "a list"),
    "None": (type(None), "None"),
    # floors above this one: held against the names of a value's classes
    "Game": (None, "a model"),
    "Data": (None, "a data source"),
    "Engine": (None, "an Engine"),
}
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_PYTHONS = ("is_instance_of", "is-instance", "callable_type", "iterable_type", "dataclass_type", "arguments_type")
_KINDS = {  # what pydantic's errors expect; of the objects of Python nothing is said
    **dict.fromkeys(_PYTHONS, ""),
    **dict.fromkeys(("int_type", "int_from_float"), "a whole number"),
    **dict.fromkeys(("tuple_type", "list_type"), "a list"),
    **dict.fromkeys(("time_delta_type", "time_delta_parsing"), "a time"),
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "dict_type": "a table",
    "literal_error": "{expected}",
    "too_long": "a list of at most {max_length}",
    "too_short": "a list of at least {min_length}",
    "greater_than_equal": "at least {ge:g}",
    "greater_than": "more than {gt:g}",
    "less_than_equal": "at most {le:g}",
    "less_than": "less than {lt:g}",
}


@functools.cache
def parameters(of: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The named parameters of a class or function, with their annotations resolved."""
    hints: dict[str, Any] = {}
    for each in [vars(cls).get("__init__") for cls in reversed(inspect.getmro(of))] if inspect.isclass(of) else [of]:
        with suppress(
            NameError, TypeError
        ):  # a name that only type checkers import, or a class without code of its own
            hints |= typing.get_type_hints(each, include_extras=True)
    given = {name: p for name, p in inspect.signature(of).parameters.items() if p.kind not in _VARIADIC}
    return {
        name: parameter.replace(annotation=hints.get(name, parameter.annotation)) for name, parameter in given.items()
    }


def defaults(of: Callable[..., Any]) -> dict[str, Any]:
    """The arguments that may be left out, with their values, as plain JSON values where they are some."""
    found = {name: p.default for name, p in parameters(of).items() if p.default is not inspect.Parameter.empty}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def required(of: Callable[..., Any]) -> list[str]:
    """The arguments that may not be left out."""
    return [name for name, p in parameters(of).items() if p.default is inspect.Parameter.empty]


def meanings(of: type) -> dict[str, str]:
    """What each argument means, on one line, as the docstrings of a class and of those above it say."""
    from docstring_parser import DocstringStyle, parse

    found: dict[str, str] = {}
    for cls in reversed(of.__mro__):
        for each in parse(vars(cls).get("__doc__") or "", DocstringStyle.GOOGLE).params:
            found[each.arg_name] = " ".join((each.description or "").split())
    return found


@functools.cache
def _adapter(of: Callable[..., Any], name: str) -> Any:
    from pydantic import ConfigDict, TypeAdapter

    annotation = parameters(of)[name].annotation
    if annotation is inspect.Parameter.empty or isinstance(annotation, str):
        return TypeAdapter(Any)
    try:
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except Exception:  # a model or dataclass of pydantic's own, which brings its configuration
        return TypeAdapter(annotation)


def check(of: Callable[..., Any], name: str, value: Any, key: str, show: Callable[[Any], str] | None = None) -> Any:
    """A plain value, as the signature types it: a list becomes a tuple where it says so.

    Args:
        of: the class or function.
        name: of the argument.
        value: of plain JSON.
        key: under which a person gave it, for the error.
        show: how the error writes the value; by default as `short`.
    """
    from pydantic import ValidationError

    show = show or short
    try:
        return _adapter(of, name).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        wanted = _expected(error.errors(), parameters(of)[name].annotation)
        raise BadArgument(f"{key} is {show(value)}; {wanted}") from None
    except (TypeError, ValueError):  # no plain value: YAML has dates, and a caller in Python objects
        raise BadArgument(f"{key} is {show(value)}, which is no plain value") from None


def check_ranges(of: Callable[..., Any], given: Mapping[str, Any], section: str = "") -> None:
    """Holds the arguments whose annotations name a range or a choice against these; their types are mypy's to check."""
    for name, value in given.items():
        kinds = parts(parameters(of)[name].annotation) if name in parameters(of) else []
        if any(typing.get_origin(kind) is Literal or hasattr(kind, "__metadata__") for kind in kinds):
            check(of, name, value, f"{section}{name}")


def checked(of: _F) -> _F:
    """A public function that holds what it is given against its annotations, where those are of plain types.

    Raises:
        BadArgument: naming the argument, its value and what is expected; or an argument that is missing or unknown.
    """
    signature = inspect.signature(of)

    @functools.wraps(of)
    def call(*args: Any, **options: Any) -> Any:
        try:
            for name, value in signature.bind_partial(*args, **options).arguments.items():
                _hold(name, value, str(signature.parameters[name].annotation))
            signature.bind(*args, **options)
        except TypeError as error:
            raise BadArgument(f"{of.__name__}: {error}") from None
        return of(*args, **options)

    return typing.cast(_F, call)


def _hold(name: str, value: Any, annotation: str) -> None:
    kinds = re.sub(r"\[[^]]*]", "", annotation.replace("Model", "Game | Model")).split(" | ")
    if any(kind not in _PLAIN for kind in kinds):
        return  # its own code says more
    above = {cls.__name__ for cls in type(value).__mro__}
    if not any(isinstance(value, cls) if (cls := _PLAIN[kind][0]) else kind in above for kind in kinds):
        wanted = " or ".join(_PLAIN[kind][1] for kind in kinds if kind != "None")
        raise BadArgument(f"{name} is a {type(value).__name__}: {short(repr(value))}; {wanted} is expected")


def parts(kind: Any) -> list[Any]:
    """A type and all that it is made of."""
    return [kind, *(part for each in typing.get_args(kind) for part in parts(each))]


def _expected(errors: list[Any], annotation: Any) -> str:
    """What a value should have been, from pydantic's errors, one an alternative of a union, and the annotation."""
    inside = typing.get_args(annotation)
    if typing.get_origin(annotation) is tuple and errors[0]["type"] in ("missing", "too_long"):
        return f"a list of {len(inside)} is expected"
    wanted = list(dict.fromkeys(text for error in errors if (text := _kind(error))))
    wanted += ["null"] if type(None) in inside else []
    return f"{' or '.join(wanted) or 'another value'} is expected"


def _kind(error: Any) -> str:
    said = _KINDS.get(error["type"])
    if said is None:
        return f"{error['msg'][0].lower()}{error['msg'][1:]}"
    return said.format(**error.get("ctx", {})).replace("'", "")


def near(name: str, known: Iterable[str]) -> str:
    """A clause with the known names nearest to a name, whatever their case; all of them where they are few."""
    names = sorted(known)
    return nearest(name, names, f"there are {', '.join(names)}" if 0 < len(names) <= 20 else "")


def short(value: Any) -> str:
    """A value on one line of at most 160 characters."""
    line = " ".join(str("null" if value is None else str(value).lower() if isinstance(value, bool) else value).split())
    return line if len(line) <= 160 else line[:157] + "..."


def complete(of: Callable[..., Any], given: Mapping[str, Any], key: str, title: str | None = None) -> dict[str, Any]:
    """Plain values for every argument: those given, checked, and the defaults of the others.

    Args:
        of: the class or function.
        given: by argument.
        key: of the section, for errors.
        title: of a class that was chosen, for errors; None for a fixed section of a recipe.
    """
    known, found = parameters(of), defaults(of)
    for name, value in given.items():
        if name not in known:
            what = (
                f"there is no key {key}.{name}" if title is None else f"{key}.{name}: {title} has no argument {name!r}"
            )
            raise BadArgument(f"{what}{near(str(name), known)}")
        typed = check(of, name, value, f"{key}.{name}")
        found[name] = list(typed) if isinstance(typed, tuple) else typed
    missing = next((name for name in required(of) if name not in given), None)
    if missing is not None:
        at = f"{key}.{missing}" if title is None else f"{key}.init_args.{missing}"
        raise BadArgument(f"{title or key} needs {missing}: give --{at}")
    return found
