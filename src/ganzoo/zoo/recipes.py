"""Recipes: what a run is made of, as a YAML file of LightningCLI's form, read, checked, completed, and made.

A recipe names a family and a data source by their classes, Lightning's callbacks and their like, and nothing else.
Names are looked up among the classes that are loaded: no name is ever imported, so a recipe may come from a stranger. A
class of one's own is found when its module was imported, which the command line does for those of GANZOO_IMPORT.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from ganzoo import data, files, schema
from ganzoo.folder import home_of
from ganzoo.game import registry
from ganzoo.training import record
from ganzoo.types import BadArgument, nearest, reason

if TYPE_CHECKING:
    from ganzoo.data.batch import Data
    from ganzoo.game.game import Game

SECTIONS: Final = ("seed_everything", "init_from", "model", "data", "trainer", "engine", "adapt", "watch", "run")
_CLASSES: Final = ("model", "data")  # the sections that name a class
_OWN: Final = "set GANZOO_IMPORT to the name of your own module to use its classes"
_MEANT: Final = {  # what people write elsewhere
    "seed": "seed_everything",
    "epochs": "trainer.max_steps",
    "steps": "trainer.max_steps",
    "gpus": "trainer.devices",
    "out": "run.folder",
    "output": "run.folder",
}


class Word(str):
    """A value from the command line: a number, a list or the like where the key takes one, and text elsewhere."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-4 is a number, as in YAML 1.2."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def find(text: str) -> Path:
    """A recipe by its path, or by its name among those that ganzoo brings."""
    path = Path(text)
    if path.is_file():
        return path
    if path.is_dir():
        raise BadArgument(f"{text} is a folder without a recipe.yaml, so it holds no run")
    known, name = brought(), text.removeprefix("recipes/").removesuffix(".yaml")
    if name in known:
        return known[name]
    raise BadArgument(f"there is no recipe {text}{nearest(name, known, '`ganzoo list --recipes` shows what there is')}")


def brought() -> dict[str, Path]:
    """The recipes that ganzoo brings, by their names, such as dcgan/digits."""
    root = files.resource_folder("recipes")
    found = [] if root is None else sorted(root.glob("*/*.yaml"))
    return {f"{path.parent.name}/{path.stem}": path for path in found}


def headline(path: Path) -> str:
    """What a recipe says of itself: its comment's first sentence."""
    lines = path.read_text(encoding="utf-8").splitlines()
    said = " ".join(line.removeprefix("#").strip() for line in itertools.takewhile(lambda x: x.startswith("# "), lines))
    return said.partition(". ")[0].rstrip(".:")


def read(path: Path) -> dict[str, Any]:
    """The table that a file holds, if it is a recipe at all.

    Raises:
        BadArgument: if it is no text, no YAML, or no table of keys.
    """
    try:
        value = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # a SafeLoader
    except UnicodeDecodeError:
        advice = f"; `ganzoo train {home} --resume` goes on with its run" if (home := home_of(path)) else ""
        raise BadArgument(f"{path}: not a text file, and a recipe is YAML{advice}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f"line {mark.line + 1}: "
        problem = getattr(error, "problem", None) or str(error).split("\n")[0]
        raise BadArgument(f"{path}: not YAML: {where}{problem}") from None
    except RecursionError:
        raise BadArgument(f"{path}: nested too deeply to be a recipe") from None
    if not isinstance(value, dict) or not (isinstance(value.get("model"), (dict, str)) or value.get("init_from")):
        raise BadArgument(f"{path}: not a recipe; it has no key `model`, which says what to train")
    run = value.get("run")
    if isinstance(run, dict) and "licence" in run:  # the word of ganzoo 0.1
        run["license"] = run.pop("licence")
    return value


def name_of(path: Path) -> str:
    """What a run of a recipe is called: `<family>-<file>` in a folder of recipes, and by its file alone elsewhere."""
    family = f"{path.parent.name}-" if path.absolute().parents[1].name == "recipes" else ""
    return f"{family}{path.stem}".replace("_", "-")


def parse(words: Iterable[str]) -> dict[str, Any]:
    """Keys and values from the words of a command line: `--KEY VALUE` and `--KEY=VALUE`."""
    given: dict[str, Any] = {}
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if not word.startswith("--") or word == "--":
            raise BadArgument(f"there is no place for {word[:160]}; keys are set by --KEY VALUE")
        key, equals, value = word[2:].partition("=")
        if not equals:
            if not waiting or waiting[0].startswith("--"):
                raise BadArgument(f"--{key} has no value; keys are set by --KEY VALUE")
            value = waiting.pop(0)
        given[key] = Word(value)
    return given


def overlay(table: dict[str, Any], given: Mapping[str, Any]) -> set[str]:
    """Sets keys of a recipe anew; a class's arguments may be named without `init_args`.

    Returns:
        The whole keys that were set.
    """
    whole: set[str] = set()
    for key, value in given.items():
        section, dot, rest = key.partition(".")
        if section == "config":
            if not Path(value).is_file():
                raise BadArgument(f"config: File does not exist: {str(value)!r}")
            whole |= overlay(table, record.flat(read(Path(value))))
            continue
        if section not in SECTIONS:
            raise BadArgument(f"there is no key {key}{_meant(key, table)}")
        loaded = _load(value)
        if not dot and section not in SECTIONS[:2]:
            inner = loaded if isinstance(loaded, dict) else {"class_path": str(value)}
            whole |= overlay(table, record.flat({section: inner}))
            continue
        if section in _CLASSES and rest.partition(".")[0] not in ("class_path", "init_args"):
            key = f"{section}.init_args.{rest}"
        if section in _CLASSES and rest == "class_path":
            _keep_known(table, section, str(value))
        if section == "seed_everything" and isinstance(table.get("engine"), dict):
            table["engine"].pop("seed", None)  # a resolved recipe says it there too
        record.put(table, key, value)
        whole.add(key)
    return whole


def _keep_known(table: dict[str, Any], section: str, name: str) -> None:
    """Where another class is chosen, keeps those of the old one's arguments that it has too."""
    inner = table.get(section)
    if not isinstance(inner, dict) or not isinstance(inner.get("init_args"), dict) or inner.get("class_path") == name:
        return
    known = schema.parameters(class_of(section, name))
    inner["init_args"] = {key: value for key, value in inner["init_args"].items() if key in known}


def _meant(key: str, table: Mapping[str, Any]) -> str:
    """A clause with the keys that somebody may have meant by one that there is not."""
    if key in _MEANT:
        return f"; did you mean --{_MEANT[key]}?"
    leaf = key.replace("-", "_")
    places = [f"--{place}" for place, names in _known(table).items() for name in (f"{place}.{leaf}",) if leaf in names]
    if places:
        return f"; did you mean {' or '.join(f'{place}.{leaf}' for place in places)}?"
    return schema.near(key.partition(".")[0], SECTIONS)


def _known(table: Mapping[str, Any]) -> dict[str, Iterable[str]]:
    """The keys of every section of a recipe."""
    from lightning import Trainer

    from ganzoo.game.adaptation import Adapt
    from ganzoo.game.engine import Engine
    from ganzoo.training.doctor import Watching
    from ganzoo.training.run import Run

    found: dict[str, Iterable[str]] = {}
    for section in _CLASSES:
        inner = table.get(section)
        name = inner.get("class_path") if isinstance(inner, dict) else inner
        try:
            found[f"{section}.init_args"] = schema.parameters(class_of(section, str(name)))
        except BadArgument:
            found[f"{section}.init_args"] = ()
    return found | {
        name: schema.parameters(of)
        for name, of in (("trainer", Trainer), ("engine", Engine), ("adapt", Adapt), ("watch", Watching), ("run", Run))
    }


def keys(target: str, words: Iterable[str]) -> dict[str, list[tuple[str, str, str]]]:
    """The keys of a recipe's sections, for a person: each with its value and what it means."""
    from ganzoo.game.adaptation import Adapt
    from ganzoo.game.engine import Engine
    from ganzoo.training.doctor import Watching
    from ganzoo.training.run import Run

    path = Path(target) / record.RECIPE if (Path(target) / record.RECIPE).is_file() else find(target)
    table = read(path)
    overlay(table, parse(words))
    found = {}
    for section, fixed in (
        ("model", None),
        ("data", None),
        ("engine", Engine),
        ("adapt", Adapt),
        ("watch", Watching),
        ("run", Run),
    ):
        inner = _section(table, section, fixed is None)
        of: Any = fixed or class_of(section, inner.get("class_path"))
        own, prefix = (inner, section) if fixed else (inner["init_args"], f"{section}.init_args")
        meanings = schema.meanings(of)
        entries = []
        for name, parameter in schema.parameters(of).items():
            value = own.get(name, parameter.default)
            here = "required" if value is parameter.empty else schema.short(value)
            entries.append((f"{prefix}.{name}", here, meanings.get(name, "")))
        found[section if fixed else f"{section} ({of.__name__})"] = entries
    return found


def resolve(
    table: Mapping[str, Any], name: str = "run", start: bool = True, made: Collection[str] = ()
) -> dict[str, Any]:
    """A recipe with every key that it leaves out: plain values, checked.

    Args:
        table: the recipe.
        name: of the run, where the recipe gives none.
        start: whether `init_from` still matters: its model's arguments then stand in for those that are left out.
        made: the sections of `model` and `data` whose objects are made already, which stand as they are.

    Raises:
        BadArgument: naming the key, its value and what is expected.
    """
    from lightning import Trainer

    from ganzoo.game.adaptation import Adapt
    from ganzoo.game.engine import Engine
    from ganzoo.training.doctor import Watching
    from ganzoo.training.options import DEFAULTS
    from ganzoo.training.run import Run

    for key in table:
        if key not in SECTIONS:
            raise BadArgument(f"there is no key {key}{_meant(str(key), table)}")
    seed = _load(table.get("seed_everything", 0))
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise BadArgument(f"seed_everything is {schema.short(seed)}; a whole number from 0 to {2**32 - 1} is expected")
    source = _load(table.get("init_from"))
    if source is not None and start and not isinstance(source, Mapping):
        table = {**table, "model": _of_source(table, str(source))}
    model = table["model"] if "model" in made else _resolved_model(table)
    data = table["data"] if "data" in made else _resolved_data(table)
    fixed = {"engine": Engine, "adapt": Adapt, "watch": Watching, "run": Run}
    engine, adapt, watch, run = (_settled(of, _section(table, key, False)) for key, of in fixed.items())
    frozen = engine.pop("freeze", None)  # where it stood in runs of an earlier version
    adapt = {"freeze": frozen, **adapt} if frozen else adapt
    if engine.get("seed", 0) not in (0, seed):
        raise BadArgument(f"engine.seed is {engine['seed']}; set a run's seed by seed_everything")
    trainer = _settled(Trainer, _section(table, "trainer", False))
    unknown = next((key for key in trainer if key not in schema.parameters(Trainer)), None)
    if unknown is not None:
        raise BadArgument(f"there is no key trainer.{unknown}{schema.near(unknown, schema.parameters(Trainer))}")
    run = schema.complete(Run, run, "run")
    run["protocols"] = run["protocols"] if isinstance(run["protocols"], list) else []
    run["name"] = run["name"] or name
    run["folder"] = run["folder"] or f"runs/{run['name']}"
    return {
        "seed_everything": seed,
        "init_from": source,
        "model": model,
        "data": data,
        "trainer": {**schema.defaults(Trainer), **DEFAULTS, **trainer},
        "engine": {**schema.complete(Engine, engine, "engine"), "seed": seed},
        "adapt": schema.complete(Adapt, adapt, "adapt"),
        "watch": schema.complete(Watching, watch, "watch"),
        "run": run,
    }


def _of_source(table: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The model's section over the arguments of the model to start from."""
    from ganzoo.zoo import loading

    title, arguments = loading.recipe_of(source)
    model = _section(table, "model")
    model.setdefault("class_path", title)
    cls = class_of("model", title)
    if class_of("model", model["class_path"]) is cls:
        model["init_args"] = {**arguments, **getattr(cls, "tuning", {}), **model["init_args"]}
    return model


def _resolved_model(table: Mapping[str, Any]) -> dict[str, Any]:
    model = _section(table, "model")
    entry = registry.family_of(class_of("model", model.get("class_path")))
    arguments = _settled(entry.cls, model["init_args"])
    complete = schema.complete(entry.cls, arguments, "model", entry.title)
    try:
        registry.check_arguments(entry, arguments)
    except BadArgument as error:
        raise BadArgument(str(error).replace(f"{entry.name}: ", "model.", 1)) from None
    return {"class_path": entry.title, "init_args": complete}


def _resolved_data(table: Mapping[str, Any]) -> dict[str, Any]:
    from ganzoo.data.batch import Data

    data = _section(table, "data")
    if data.get("class_path") is None:
        raise BadArgument(f"data is missing{schema.near('', _names('data'))}")
    cls = class_of("data", data["class_path"])
    if cls is Data:
        raise BadArgument(f"data is the base class{schema.near('', _names('data'))}")
    complete = schema.complete(cls, _settled(cls, data["init_args"]), "data", cls.__name__)
    return {"class_path": data_name(cls), "init_args": complete}


def data_name(cls: type) -> str:
    """How a recipe names a data source: by its class, with the module where it is not ganzoo's."""
    return cls.__name__ if cls.__name__ in _names("data") else record.name_of(cls)


def _section(table: Mapping[str, Any], section: str, named: bool = True) -> dict[str, Any]:
    """A section as a table of its own; the name of a class alone is a section too."""
    inner = _load(table.get(section))
    if named and isinstance(inner, str):
        inner = {"class_path": inner}
    if inner is None:
        inner = {}
    arguments = inner.get("init_args", {}) if isinstance(inner, dict) else None
    if not isinstance(inner, dict) or not isinstance({} if arguments is None else arguments, dict):
        what = "a class_path with its init_args" if named else "a table of keys"
        raise BadArgument(f"{section} is {schema.short(inner)}; {what} is expected")
    if not named:
        return {str(key): value for key, value in inner.items()}
    if record.is_made(inner.get("class_path")) or any(record.is_made(value) for value in (arguments or {}).values()):
        raise BadArgument(f"{section}: it was made in Python: give it again")
    other = next((key for key in inner if key not in ("class_path", "init_args")), None)
    if other is not None:
        raise BadArgument(f"there is no key {section}.{other}; did you mean {section}.init_args.{other}?")
    return {**{key: _load(value) for key, value in inner.items()}, "init_args": dict(arguments or {})}


def _settled(of: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Values whose words are what their arguments take."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        found[name] = parsed = _load(value)
        if isinstance(value, Word) and not isinstance(parsed, str) and name in schema.parameters(of):
            text = not _fits(of, name, parsed) and _fits(of, name, str(value))
            found[name] = str(value) if text else parsed
    return found


def _fits(of: Any, name: str, value: Any) -> bool:
    try:
        schema.check(of, name, value, name)
    except BadArgument:
        return False
    return True


def _load(value: Any) -> Any:
    """A word as YAML reads it; anything else as it is."""
    if not isinstance(value, Word):
        return value
    try:
        return yaml.load(value, _Loader)  # a SafeLoader
    except (yaml.YAMLError, RecursionError):
        return str(value)


# --------------------------------------------------------------------------------------------- classes by their names


def _names(section: str) -> list[str]:
    """The names that a section of a recipe can give."""
    if section == "data":
        return data.sources()
    return [registry.family(name).title for name in registry.list_families()]


def class_of(section: str, name: Any) -> type:
    """The family's or data source's class of a name, or of a module's path and a name."""
    from ganzoo.data.batch import Data

    if not isinstance(name, str):
        raise BadArgument(f"{section} is {schema.short(name)}; a class_path with its init_args is expected")
    if section == "model":
        known: Iterable[type] = [registry.family(each).cls for each in registry.list_families()]
    else:
        known = [Data, *(data.source(each) for each in data.sources()), *_loaded(Data)]
    return _one_of(known, name, section, {"model": "family", "data": "data source"}[section], _names(section))


def _one_of(known: Iterable[type], name: str, key: str, what: str, names: Iterable[str]) -> type:
    for cls in known:
        module, dot, own = name.rpartition(".")
        if own == cls.__name__ and (not dot or module == cls.__module__ or _public(module, cls)):
            return cls
    if "." in name:
        raise BadArgument(f"{key} is {schema.short(name)}, which is no {what} of ganzoo; {_OWN}")
    raise BadArgument(f"{key}: there is no {what} {schema.short(repr(name))}{schema.near(name, names)}")


def _public(module: str, cls: type) -> bool:
    """Whether a package that is loaded gives a class under its own name, as lightning.pytorch.callbacks does."""
    import sys

    return cls.__module__.startswith(f"{module}.") and getattr(sys.modules.get(module), cls.__name__, None) is cls


def _loaded(base: type) -> list[type]:
    """The classes that derive from one, as far as they are loaded."""
    direct: list[type] = base.__subclasses__()
    return [each for cls in direct for each in (cls, *_loaded(cls))]


def _kinds() -> dict[str, tuple[str, tuple[type, ...]]]:
    """What the Trainer takes as objects: what they are called, and the classes that they derive from."""
    from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
    from lightning.pytorch import accelerators, callbacks, loggers, plugins, profilers, strategies

    pluggable = (plugins.Precision, plugins.CheckpointIO, plugins.LayerSync, ClusterEnvironment)
    return {
        "callbacks": ("callback", (callbacks.Callback,)),
        "logger": ("logger", (loggers.Logger,)),
        "profiler": ("profiler", (profilers.Profiler,)),
        "strategy": ("strategy", (strategies.Strategy,)),
        "accelerator": ("accelerator", (accelerators.Accelerator,)),
        "plugins": ("plugin", pluggable),
    }


def _object(key: str, value: Any, folder: str) -> Any:
    """What a key of the Trainer names, made: one object, or several in a list; other values as they are.

    Loggers write into the run's folder.
    """
    from ganzoo.training.options import check_callback

    if isinstance(value, list):
        return [_object(key, each, folder) for each in value if not record.is_made(each)]
    if isinstance(value, str) and key in ("callbacks", "logger", "plugins"):
        value = {"class_path": value}
    if not isinstance(value, dict) or "class_path" not in value:
        return value
    what, bases = _kinds()[key]
    known: list[type] = [each for base in bases for each in _loaded(base)]
    name = str(value["class_path"])
    cls = _one_of(known, name, f"trainer.{key}", what, [each.__name__ for each in known])
    if key == "callbacks":
        check_callback(cls)
    given = value.get("init_args") or {}
    if not isinstance(given, dict):
        raise BadArgument(
            f"trainer.{key}: the init_args of {cls.__name__} are {schema.short(given)}; a table is expected"
        )
    if key == "logger" and "save_dir" in schema.parameters(cls):
        given = {"save_dir": folder, **given}
    arguments = schema.complete(cls, given, f"trainer.{key}", cls.__name__)
    try:
        return cls(
            **{argument: schema.check(cls, argument, arguments[argument], f"trainer.{key}") for argument in given}
        )
    except Exception as error:  # another library's own checks
        raise BadArgument(f"trainer.{key}: {cls.__name__}: {reason(error)}") from None


# ------------------------------------------------------------------------------------------------------------- making


def make_game(table: Mapping[str, Any]) -> Game:
    """The game of a resolved recipe, with fresh weights."""
    cls = class_of("model", table["model"]["class_path"])
    arguments = registry.check_arguments(registry.family_of(cls), table["model"]["init_args"])
    _check_size(cls, arguments)
    game: Game = cls(**arguments)
    return game


def _check_size(cls: Any, arguments: Mapping[str, Any]) -> None:
    """Refuses networks that this machine cannot hold, before it tries."""
    import torch

    try:
        with torch.device("meta"):
            size = 4e-9 * sum(parameter.numel() for parameter in cls(**arguments).parameters())
    except RuntimeError as error:  # sides whose product is no number of elements any more
        raise BadArgument(f"model: these networks cannot be made ({reason(error)}); lower their widths") from None
    if size > files.memory():
        raise BadArgument(
            f"model: the networks' weights take {size:,.0f} GB, and four times that in training; this machine has "
            f"{files.memory():.0f} GB; lower their widths"
        )


def make_data(table: Mapping[str, Any]) -> Data:
    """The data source of a resolved recipe."""
    source: Data = make(class_of("data", table["data"]["class_path"]), table["data"]["init_args"], "data")
    return source


def make_trainer(table: Mapping[str, Any]) -> dict[str, Any]:
    """The Trainer's options of a resolved recipe, with the objects that they name."""
    kinds = _kinds()
    given = {key: value for key, value in table["trainer"].items() if not record.is_made(value)}
    return {
        key: _object(key, value, str(table["run"]["folder"])) if key in kinds else value for key, value in given.items()
    }


def make(cls: Any, arguments: Mapping[str, Any], key: str) -> Any:
    """What a section of a resolved recipe says, such as the `Engine` or the `Run`."""
    return cls(**{name: schema.check(cls, name, value, f"{key}.{name}") for name, value in arguments.items()})
