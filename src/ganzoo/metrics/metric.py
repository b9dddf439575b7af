"""A metric is one object: `@metric` above the function that computes it.

All else follows from it: how its keys are read, written and checked, what it asks of a model and of a network, whether
more is better, what stands beside its value, and what is measured when nobody says what. A metric is one file in
`metrics/functional/`; files there are found by themselves.

The signature is the schema. Parameters of the names in `INPUTS` are what is compared; a metric without one that it
requires is not computed. `seed` is the protocol's. Every other parameter is a setting of the metric's own, which stands
in its keys after an underscore: type, range and default are the parameter's.
"""

import importlib
import inspect
import pkgutil
import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Final, Literal, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from ganzoo.schema import Positive as Positive
from ganzoo.schema import parts
from ganzoo.types import BadArgument, UnknownName, nearest

Function = TypeVar("Function", bound=Callable[..., Any])

# What may be compared, as `evaluate.py` finds it: features `(n, d)` of real images and of generated ones, class
# probabilities `(n, classes)` of the generated, the classes `(n,)` that they were made for or that are right, those of
# the real images, the classes' names; of translations, the classes that they started from, those classes' names, and
# what a classifier says of what they started from; of what a classifier learns, the held-out images and their classes;
# the shape of all; for two domains, features are lists of them; for a path, what it runs through.
INPUTS: Final = frozenset(
    {"real", "generated", "probabilities", "labels", "real_labels", "names", "own", "paths", "distance", "n"}
    | {"batch_size", "sources", "source_names", "before", "held", "held_labels", "shape"}
)

# What a metric may need of a model, with what is said of a model that lacks it; a need's first word decides how inputs
# are made
LACKS: Final = {
    "samples": "draws no samples of its own",
    "translates": "does not translate",
    "depicts": "draws nothing of captions",
    "fills": "fills no holes",
    "styles": "translates a picture in one way alone",
    "upscales": "does not enlarge",
    "encodes": "has no encoder",
    "reconstructs": "has no encoder",
    "classifies": "has no classifier",
    "views": "draws in one domain only",
    "paths": "has no latents to follow a path through",
    "teaches": "draws no samples of the data's classes, so that nothing can be learned from them",
    "pairs": "has no counterparts to be held against",
    "classes": "takes no labels, and the metric needs the labels that images were made for",
}

# The settings beside `seed` and its own that a metric can depend on, by what it needs first
_SETTINGS: Final = {
    "samples": {"split", "labels", "truncation", "weights", "rounding", "resizer"},
    "translates": {"split", "to", "rounding", "resizer"},
    "depicts": {"split", "rounding", "resizer"},
    "fills": {"split", "rounding"},
    "styles": {"split", "rounding", "resizer"},
    "upscales": {"split", "rounding", "resizer"},
    "encodes": {"split"},
    "reconstructs": {"split", "rounding"},
    "classifies": {"split"},
    "views": {"split", "rounding"},
    "paths": {"resizer"},
    "teaches": {"split", "labels", "truncation", "weights", "rounding"},
}
MIXTURES: Final = ("ring", "grid")
COPY: Final = "copy of the input"
BICUBIC: Final = "bicubic"
MEAN: Final = "mean of what is around"
OTHER: Final = "another picture"


@dataclass(frozen=True)
class Result:
    """What a metric's function may return instead of a number, or of a named tuple of numbers.

    Args:
        value: the number.
        spread: its standard deviation over subsets or splits.
        details: what else is worth knowing, plain JSON.
        parts: further numbers, which are scores of their own: `KEY/PART`.
    """

    value: float
    spread: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, float] = field(default_factory=dict)


class Value(NamedTuple):
    """One number of a metric, before it is a score."""

    part: str  # empty for a metric's only or main number
    value: float
    spread: float | None = None
    details: Mapping[str, Any] = types.MappingProxyType({})


@dataclass(frozen=True)
class Setting:
    """What a protocol can set: a name, a type with its range, and a default (`inspect.Parameter.empty` for none)."""

    name: str
    kind: Any
    default: Any

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.kind)

    def checked(self, value: Any) -> Any:
        """A value of the type and in the range."""
        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            raise BadArgument(f"A protocol with {self.name}={value!r}: {error.errors()[0]['msg']}.") from None

    @cached_property
    def words(self) -> dict[str, Any] | None:
        """How a key writes each value of a closed list; None for another type."""
        literals = [value for each in parts(self.kind) if get_origin(each) is Literal for value in get_args(each)]
        return {value.replace("_", "-"): value for value in literals if value} or None

    @cached_property
    def number(self) -> type[int] | type[float] | None:
        """Of which kind, where it is a number."""
        return next((kind for kind in (int, float) if kind in parts(self.kind)), None)

    @property
    def pattern(self) -> str:
        """What a key may say."""
        numbers = {int: r"\d+", float: r"\d+(?:\.\d+)?(?:e-?\d+)?", None: "[a-z0-9][a-z0-9-]*"}
        return "|".join(self.words) if self.words else numbers[self.number]

    def write(self, value: Any) -> str:
        """A value as it stands in a key."""
        return value.replace("_", "-") if self.words else str(value)

    def read(self, text: str) -> Any:
        """The value that `write` wrote."""
        return self.words[text] if self.words else (self.number or str)(text)


@dataclass(frozen=True)
class Option:
    """One part of a key.

    Args:
        form: text with settings in braces, such as `{subsets}x{subset_size}`; a flag, which changes a setting that is
            on or off, has no braces.
        settings: in the order of the form.
        always: whether it stands in every key of the metric.
    """

    form: str
    settings: tuple[Setting, ...]
    always: bool = False

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What a key says of it."""
        text = re.escape(self.form)
        for setting in self.settings:
            text = text.replace(re.escape(f"{{{setting.name}}}"), f"(?P<{setting.name}>{setting.pattern})")
        return re.compile(text)

    def read(self, part: str) -> dict[str, Any] | None:
        """The settings that a part of a key says; None where it says something else."""
        found = self.pattern.fullmatch(part)
        if found is None:
            return None
        return {s.name: s.read(found[s.name]) if found.groupdict() else not s.default for s in self.settings}

    def write(self, values: Mapping[str, Any]) -> str:
        """The part of a key; empty where all is at its default."""
        if not self.always and all(values[s.name] == s.default for s in self.settings):
            return ""
        return self.form.format(**{s.name: s.write(values[s.name]) for s in self.settings})


@dataclass(frozen=True, eq=False)
class Metric:
    """What is known of a metric; see `metric`, which makes it."""

    name: str
    title: str
    function: Callable[..., Any]
    better: Literal["lower", "higher"] | None
    needs: Mapping[str, Sequence[str]]
    options: tuple[Option, ...]
    of: Callable[..., Any] | None
    networks: tuple[str, ...]
    beside: tuple[str, ...]
    whole: bool
    held_out: bool
    called: Mapping[str, str]
    without: frozenset[str]

    @cached_property
    def inputs(self) -> dict[str, bool]:
        """What is compared, and whether the metric cannot do without."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default is p.empty for p in parameters if p.name in INPUTS}

    @cached_property
    def settings(self) -> dict[str, Setting]:
        """The metric's own, by name."""
        return {setting.name: setting for option in self.options for setting in option.settings}

    def depends_on(self, network: str) -> frozenset[str]:
        """The settings that change its value in a network's features, its own among them."""
        found = {"seed", *self.settings}.union(*(_SETTINGS[need.split()[0]] for need in self.needs))
        if "samples" in (need.split()[0] for need in self.needs) and "real" in self.inputs:
            found |= {"flips"} if self.whole else {"flips", "full"}
        if network in {"pixels", "model"}:  # there is nothing to resize, and real images have 8 bits
            found -= {"resizer"} if network == "pixels" else {"resizer", "rounding"}
        if network in {"points", *MIXTURES}:
            found -= {"flips", "rounding", "resizer"}
        return frozenset(found) - self.without

    def need(self, able: frozenset[str]) -> str:
        """What it needs, of several the first that a model with these abilities has."""
        missing = [[word for word in need.split() if word not in able] for need in self.needs]
        for need, lacks in zip(self.needs, missing, strict=True):
            if not lacks:
                return need
        raise BadArgument(f"this model {LACKS[min(missing, key=len)[0]]}")

    def prepared(self, name: str, features: Any) -> Any:
        """An input as the function takes it: what `of` makes of features, once for all that a set is compared with."""
        return features if self.of is None or name not in {"real", "generated"} else self.of(features)

    def values(self, inputs: Mapping[str, Any], settings: Mapping[str, Any]) -> list[Value] | None:
        """The numbers for inputs that are `prepared`; None where one is missing that the metric cannot do without."""
        given = {name: inputs[name] for name in self.inputs if inputs.get(name) is not None}
        if any(needed and name not in given for name, needed in self.inputs.items()):
            return None
        own = [name for name in ("seed", *self.settings) if name in inspect.signature(self.function).parameters]
        found = self.function(**given, **{name: settings[name] for name in own})
        if isinstance(found, Result):
            parts = [Value(part, value) for part, value in found.parts.items()]
            return [Value("", found.value, found.spread, found.details), *parts]
        return [Value(p, v) for p, v in found._asdict().items()] if hasattr(found, "_asdict") else [Value("", found)]


_REGISTERED: Final[dict[str, Metric]] = {}


def metric(
    name: str,
    title: str,
    *,
    better: Literal["lower", "higher"] | None,
    needs: str | Mapping[str, Sequence[str]] = "samples",
    forms: Sequence[str] = (),
    always: Sequence[str] = (),
    of: Callable[..., Any] | None = None,
    networks: Sequence[str] = (),
    beside: Sequence[str] = ("floor", "ceiling"),
    whole: bool = False,
    held_out: bool = False,
    called: Mapping[str, str] = types.MappingProxyType({}),
    without: Sequence[str] = (),
) -> Callable[[Function], Function]:
    """Registers the function below as a metric, and leaves it as it is.

    Args:
        name: with which keys begin: small letters.
        title: what it is, with its source.
        better: whether less or more is better; None where neither can be said. Of several numbers the first counts.
        needs: words of `LACKS` that a model must have, the first being what is measured of it; or several such needs,
            each with the keys that are measured where nobody names any: what follows the metric's name, with
            `{features}`, `{classifier}` and `{mixture}` for the networks that suit the data.
        forms: how a key writes the metric's own settings, such as `{subsets}x{subset_size}` or, for a flag, `ends`;
            `NAME{NAME}` for those that no form names.
        always: settings that every key names.
        of: what is made of features, once a set, before sets are compared; the features themselves if None.
        networks: what keys may name instead of a feature network: `pixels`, `model` (its own encoder or classifier), or
            the mixtures.
        beside: what a value is to be held against, measured alike; see `evaluate.py` for what there is.
        whole: whether it compares with all real images of the split, rather than as many as are generated.
        held_out: whether its images must not be those of the training split.
        called: another name of its keys, by network.
        without: settings that it does not depend on although metrics of its kind do.
    """

    def register(function: Function) -> Function:
        before = _REGISTERED.get(name)
        if before is not None and before.function.__qualname__ != function.__qualname__:
            raise BadArgument(f"There is a metric {name!r} already ({before.title}); give yours another name.")
        hints = get_type_hints(function, include_extras=True)
        own = {
            parameter.name: Setting(parameter.name, hints[parameter.name], parameter.default)
            for parameter in inspect.signature(function).parameters.values()
            if parameter.name not in {*INPUTS, "seed"}
        }
        named = {form: re.findall(r"{(\w+)}", form) or [form] for form in forms}
        rest = set(own) - {setting for settings in named.values() for setting in settings}
        named |= {f"{setting}{{{setting}}}": [setting] for setting in own if setting in rest}
        options = tuple(
            Option(form, tuple(own[setting] for setting in settings), any(setting in always for setting in settings))
            for form, settings in named.items()
        )
        given = {needs: ()} if isinstance(needs, str) else dict(needs)
        _REGISTERED[name] = Metric(
            *(name, title, function, better, given, options, of, tuple(networks), tuple(beside), whole, held_out),
            *(called, frozenset(without)),
        )
        return function

    return register


def metrics() -> dict[str, Metric]:
    """All metrics by name: those of `metrics/functional/`, and the user's own."""
    _find()
    return dict(_REGISTERED)


def named(name: str) -> Metric:
    """The metric of a name."""
    _find()
    if name not in _REGISTERED:
        raise UnknownName(f"There is no metric {name!r}{nearest(name, _REGISTERED, f'there are {known()}')}")
    return _REGISTERED[name]


def known() -> str:
    """The names of all metrics, for a message."""
    return ", ".join(metrics())


@cache
def _find() -> None:
    from ganzoo.metrics import functional

    for module in pkgutil.iter_modules(functional.__path__):
        importlib.import_module(f"{functional.__name__}.{module.name}")
