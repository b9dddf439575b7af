"""What a run is, as its folder says: `recipe.yaml`, written once, and what was changed since in `changes.jsonl`.

A recipe is a table of sections: `model` and `data` (a class and its arguments), `engine`, `run`, `trainer`, `init_from`
and `seed_everything`. Keys are written with dots: `model.init_args.lr`.
"""

import dataclasses
import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ganzoo.files import atomic
from ganzoo.types import BadArgument, BadModelFolder

RECIPE, CHANGES = "recipe.yaml", "changes.jsonl"

_MADE: Final = "<made in Python: "

# What may change from one start of a run to the next: how long, on what, what is shown and what is measured at the end
FREE: Final = frozenset(
    {
        "data.init_args.root",  # the content must be the same: `training.run` compares its hash
        "data.init_args.targets",
        "data.init_args.workers",
        "engine.log_every",
        *(f"run.{name}" for name in ("folder", "license", "logger", "preview_every", "protocols", "push")),
        *(f"run.{name}" for name in ("save_every", "score_every")),
        *(f"trainer.{name}" for name in ("accelerator", "devices", "num_nodes", "strategy", "max_steps", "max_time")),
        *(f"trainer.{name}" for name in ("callbacks", "logger", "log_every_n_steps", "profiler", "default_root_dir")),
        *(f"watch.{name}" for name in ("rollback", "slower", "findings")),
        *(f"trainer.enable_{name}" for name in ("checkpointing", "progress_bar", "model_summary")),
    }
)


def plain(value: Any) -> Any:
    """A value as YAML and JSON have it; of an object that is no such value, that it was made, and its class."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value) if isinstance(value, (Path, datetime.timedelta)) else f"{_MADE}{name_of(type(value))}>"


def is_made(value: Any) -> bool:
    """Whether a plain value stands for an object that was made in Python, and that no recipe can make."""
    return isinstance(value, str) and value.startswith(_MADE)


def name_of(cls: type) -> str:
    """A class by its module and name."""
    return f"{cls.__module__}.{cls.__qualname__}"


def flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a recipe by their whole keys."""
    found: dict[str, Any] = {}
    for section, value in table.items():
        for key, entry in value.items() if isinstance(value, Mapping) else [("", value)]:
            if key == "init_args" and isinstance(entry, Mapping):
                found |= {f"{section}.init_args.{name}": argument for name, argument in entry.items()}
            else:
                found[f"{section}.{key}".rstrip(".")] = entry
    return found


def put(table: dict[str, Any], key: str, value: Any) -> None:
    """Sets an entry by its whole key."""
    *sections, last = key.split(".")
    for section in sections:
        inner = table.get(section)
        if not isinstance(inner, dict):
            inner = table[section] = {} if inner is None else {"class_path": inner}
        table = inner
    table[last] = value


def changed(recorded: dict[str, Any], wanted: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What differs from the run as it is, of what is wanted now."""
    old = flat(recorded)
    new = {key: plain(value) for key, value in wanted.items()}
    differing = {key: value for key, value in new.items() if old.get(key) != value}
    for key, value in differing.items():
        if key not in FREE:
            raise BadArgument(
                f"{key} is {value}, and {old.get(key)} in the run in {folder}, which goes on as it began; leave it "
                "out, or begin another run with --init_from"
            )
    return differing


def write_recipe(folder: Path, table: Mapping[str, Any]) -> None:
    """Writes a run's recipe."""
    import yaml

    with atomic(folder / RECIPE) as part:
        part.write_text(yaml.safe_dump(dict(table), sort_keys=False, allow_unicode=True), encoding="utf-8")


def append_changes(folder: Path, step: int, changes: Mapping[str, Any]) -> None:
    """Adds a line to a run's changes: the step at which it went on, and the new values by their whole keys."""
    path = folder / CHANGES
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    with atomic(path) as part:
        part.write_text(before + json.dumps({"step": step, "time": now, "changes": changes}) + "\n", encoding="utf-8")


def apply_changes(folder: Path, table: dict[str, Any]) -> None:
    """Puts the changes of a run, in their order, into its recipe."""
    path = folder / CHANGES
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path.exists() else (), 1):
        try:
            for key, value in json.loads(line)["changes"].items():
                put(table, key, value)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BadModelFolder(f"{path}: line {number} is no line of changes") from None
