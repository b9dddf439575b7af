"""The catalogue: every model that ganzoo knows, shipped, published elsewhere, or to be trained from a recipe.

Shipped models are found from their folders, models without weights from their recipes, and all others stand in
`catalogue.toml`. Nothing here imports torch, and nothing opens a connection.
"""

from __future__ import annotations

import fnmatch
import functools
import json
import re
import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo import files
from ganzoo import folder as folders
from ganzoo.game import registry
from ganzoo.schema import checked
from ganzoo.types import BadArgument, UnknownName, letters, nearest

if TYPE_CHECKING:
    from ganzoo.game.game import Game

    Model = str | Path | Game

_CATALOGUE = Path(__file__).with_name("catalogue.toml")
TABLES = Path(__file__).with_name("families.json")
_NAME = re.compile(r"[a-z0-9]+([-.][a-z0-9]+)*")
_OWN = ("folder", "finetune", "few")  # how recipes for a user's own data are called


@dataclass(frozen=True)
class Terms:
    """Under what the weights are published.

    Args:
        license: a short name, where there is one the Hub's (`bsd-3-clause`); `none` where nothing is stated.
        title: what to call it.
        url: its text.
        commercial: whether commercial use is allowed.
        redistribute: `yes`, `with-terms` (only together with the license and under its limits) or `no`.
    """

    license: str
    title: str
    url: str
    commercial: bool
    redistribute: str


@dataclass(frozen=True)
class Paper:
    """Where a model is described."""

    title: str
    year: int
    url: str


@dataclass(frozen=True)
class File:
    """What is known of a file before it is fetched.

    Args:
        sha256: 64 hexadecimal digits, or their start, or nothing where nobody published them.
        size: in bytes; None where it is not known.
    """

    sha256: str = ""
    size: int | None = None


@dataclass(frozen=True)
class Published:
    """A score that others published, by their own protocol."""

    metric: str
    value: float
    protocol: str
    source: str


@dataclass(frozen=True)
class Reported:
    """A score that others report for a model of the same family, on other data."""

    family: str
    data: str
    metric: str
    value: float
    by: str
    source: str


@dataclass(frozen=True)
class Entry:
    """A model of the catalogue.

    Args:
        name: `<family>-<dataset>[-<resolution>][-<variant>]`.
        family: the family's name; one that does not exist yet where the status is `planned`.
        status: `shipped`, `hosted`, `convert`, `recipe` or `planned`.
        task: unconditional, conditional, translation, ...
        data: what it was trained on.
        resolution: side of its images in pixels; None for points and where it is not known.
        terms: of the weights; None where there are none.
        paper: where it is described; None where its family's file says so.
        files: what to fetch, by name.
        address: what the files' names are appended to, for authors' own addresses.
        repo: `org/name` on the Hub.
        package: the package that carries the files, `name==version`.
        revision: 40 hexadecimal digits; none where nobody pinned one.
        scores: published ones.
        aliases: other names it is found under.
        replaced_by: a better model under a new name.
        note: a sentence for the cards.
        folder: of a shipped model.
        recipe: the file that trains it.
    """

    name: str
    family: str
    status: str
    task: str
    data: str
    resolution: int | None = None
    terms: Terms | None = None
    paper: Paper | None = None
    files: dict[str, File] = field(default_factory=dict)
    address: str = ""
    repo: str = ""
    revision: str = ""
    package: str = ""
    scores: tuple[Published, ...] = ()
    aliases: tuple[str, ...] = ()
    replaced_by: str = ""
    note: str = ""
    folder: Path | None = None
    recipe: Path | None = None

    @property
    def license(self) -> str:
        """The short name of the weights' license; empty where there are no weights."""
        return "" if self.terms is None else self.terms.license

    @property
    def size(self) -> int | None:
        """Bytes of all files together; None where one of them is not known."""
        if self.folder is not None:
            return sum(path.stat().st_size for path in self.folder.iterdir() if path.is_file())
        sizes = [file.size for file in self.files.values()]
        return None if not sizes or None in sizes else sum(size for size in sizes if size is not None)

    def where(self) -> str:
        """Where the model comes from, for people."""
        if self.status == "shipped":
            return "this package"
        if self.status == "recipe":
            return "" if self.recipe is None else recipe_name(self.recipe)
        if self.repo:
            return f"hf://{self.repo}" + (f"@{self.revision}" if self.revision else "")
        if self.package:
            return f"the package {self.package}"
        return self.address + next(iter(self.files), "")

    def summary(self) -> dict[str, Any]:
        """What a list shows of the model, as plain JSON values."""
        shown = ("name", "family", "status", "task", "data", "resolution", "license", "size")
        return {**{key: getattr(self, key) for key in shown}, "where": self.where()}

    def facts(self) -> dict[str, Any]:
        """Everything, as plain JSON values."""
        facts = self.summary()
        if self.terms is not None:
            facts["terms"] = vars(self.terms)
        if self.paper is not None:
            facts["paper"] = vars(self.paper)
        if self.files:
            facts["files"] = {n: {"sha256": f.sha256 or "unpinned", "size": f.size} for n, f in self.files.items()}
        if self.scores:
            facts["published_scores"] = [vars(score) for score in self.scores]
        for key in ("aliases", "replaced_by", "note"):
            if value := getattr(self, key):
                facts[key] = list(value) if isinstance(value, tuple) else value
        if self.recipe is not None:
            facts["recipe"] = recipe_name(self.recipe)
        if self.folder is not None:
            facts["config"], facts["results"] = folders.peek(self.folder)
        return facts


def entries(pattern: str = "*") -> list[Entry]:
    """The models whose name or alias matches a pattern, sorted by name."""
    return [
        entry
        for _, entry in sorted(_all().items())
        if any(fnmatch.fnmatchcase(name, pattern) for name in (entry.name, *entry.aliases))
    ]


@checked
def list_models(
    pattern: str = "*", *, family: str | None = None, task: str | None = None, status: str | None = None
) -> list[dict[str, Any]]:
    """What the zoo offers, sorted by name.

    Args:
        pattern: a shell pattern on the name, such as `style*`.
        family: only models of this family.
        task: only models of this task, such as `conditional`.
        status: only models of this status, such as `shipped`.

    Returns:
        A dict a model with at least `name`, `family`, `status`, `task`, `resolution` and `license`.
    """
    wanted = {"family": family and family_name(family), "task": task, "status": status}
    rows = (entry.summary() for entry in entries(pattern))
    return [row for row in rows if all(value is None or row[key] == value for key, value in wanted.items())]


@checked
def info(model: Model) -> dict[str, Any]:
    """All that is known of one model, as plain JSON values.

    Args:
        model: a name of the zoo, a model's or a run's folder, or a loaded model.

    Raises:
        UnknownName: if there is none of this name.
        BadModelFolder: if the folder holds no model.
    """
    if not isinstance(model, (str, Path)):
        known = {} if model.card is None else {"name": model.card.name, **model.card.facts}
        config = {**folders.describe(model, {}), **known}
        return _local(config, config.pop("results", []), "loaded", type(model).__name__)
    path = folders.find(model)
    if path is None or path in folders.shipped_folders().values():
        return find(str(model)).facts()
    return _local(*folders.peek(path), str(path), path.name)


def _local(config: dict[str, Any], results: list[dict[str, Any]], where: str, name: str) -> dict[str, Any]:
    """What a configuration says; a stranger's may leave anything out."""
    return {
        "name": config.get("name", name),
        **{key: config.get(key) for key in ("family", "task", "license")},
        "data": config.get("data", {}).get("name"),
        "resolution": resolution(config),
        "where": where,
        "config": config,
        "results": results,
    }


def find(name: str) -> Entry:
    """Looks a model up by its name or an alias."""
    known = _all()
    entry = known.get(name) or next((entry for entry in known.values() if name in entry.aliases), None)
    if entry is None:
        names = [*known, *(alias for entry in known.values() for alias in entry.aliases)]
        raise UnknownName(f"there is no model {name!r}{nearest(name, names)}")
    if entry.replaced_by:
        warnings.warn(f"{entry.name} was replaced by {entry.replaced_by}", stacklevel=2)
    return entry


def family_name(text: str) -> str:
    """A family's name by its file's or its class's, in any case, with - or _, as in `wgan-gp` or `WGANGP`.

    What is no family's name is given back as it is, for the registry to refuse.
    """
    text = str(text)
    titles = {name: facts["title"] for name, facts in tables()["families"].items()} | registry.titles()
    known = {letters(each): name for name in registry.list_families() for each in (name, titles.get(name, name))}
    return known.get(letters(text), text)


def licenses() -> frozenset[str]:
    """The licenses that the Hub knows by name; SPDX's identifiers in small letters, and those of weights."""
    return frozenset(tomllib.loads(_CATALOGUE.read_text(encoding="utf-8"))["licenses"])


def reported() -> list[Reported]:
    """Scores that others report for models of the same families, on other data and by their own protocols."""
    return _read(_CATALOGUE)[1]


def _all() -> dict[str, Entry]:
    listed, shipped = _read(_CATALOGUE)[0], folders.shipped_folders()
    found = {name: _from_folder(name, folder) for name, folder in shipped.items()}
    for name, entry in listed.items():
        if name in found:
            raise BadArgument(f"catalogue.toml: {name} is a shipped model, found from its folder; remove the entry")
        found[name] = entry
    for name, recipe in recipes().items():
        if name not in found:
            facts = tables()["recipes"].get(name, {})
            task, pixels = facts.get("task", "unconditional"), resolution(facts)
            data = re.sub(r"-\d+$", "", recipe.stem)  # its pixels stand beside it
            found[name] = Entry(name, recipe.parent.name, "recipe", task, data, pixels, recipe=recipe)
    return found


# ------------------------------------------------------------------------------------------- folders and recipes


def recipes() -> dict[str, Path]:
    """The recipes by the name of the model that they train; those that need a user's own data train none."""
    root = files.resource_folder("recipes")
    paths = [] if root is None else sorted(root.glob("*/*.yaml"))
    return {
        f"{path.parent.name.replace('_', '-')}-{path.stem}": path for path in paths if not path.stem.startswith(_OWN)
    }


def recipe_name(path: Path) -> str:
    """How a recipe of the package is called on the command line: `recipes/<family>/<dataset>.yaml`."""
    return "/".join(path.parts[-3:])


def _from_folder(name: str, folder: Path) -> Entry:
    config, _ = folders.peek(folder)
    paper, data = config.get("paper"), config.get("data", {})
    return Entry(
        name=name,
        family=config["family"],
        status="shipped",
        task=config.get("task", "unconditional"),
        data=str(data.get("name") or data.get("source") or ""),
        resolution=resolution(config),
        terms=_terms_of(config),
        paper=Paper(paper["title"], paper["year"], paper["url"]) if paper else None,
        folder=folder,
        recipe=recipes().get(name),
    )


def _terms_of(config: dict[str, Any]) -> Terms | None:
    license = config.get("license")
    free = {"apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0"}
    return None if license is None else Terms(license, license, "", license in free, "yes" if license in free else "no")


def resolution(config: dict[str, Any]) -> int | None:
    """The side of a model's images in pixels, by its configuration; None for points."""
    shape = config.get("shape", ())
    return shape[-1] if len(shape) == 3 else None


@functools.cache
def tables() -> dict[str, Any]:
    """What `ganzoo cards` wrote of families and recipes, whose own files cannot be read without importing torch."""
    return json.loads(TABLES.read_text(encoding="utf-8"))


# ------------------------------------------------------------------------------------------------ catalogue.toml


@functools.cache
def _read(path: Path) -> tuple[dict[str, Entry], list[Reported]]:
    """The file's models and what others report; it is ganzoo's own, and `check` has seen it."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    terms = {key: Terms(**value) for key, value in table["terms"].items()}
    papers = {key: Paper(**value) for key, value in table["papers"].items()}
    entries = {}
    for name, value in _models(table):
        made: dict[str, Any] = {
            "terms": terms[value["terms"]],
            "paper": papers[value["paper"]],
            "files": {file: File(**pin) for file, pin in value["files"].items()},
            "scores": tuple(Published(**score) for score in value.get("scores", [])),
            "aliases": tuple(value.get("aliases", [])),
        }
        entries[name] = Entry(name, **{**value, **made})
    return entries, [Reported(**row) for row in table.get("reported", [])]


def _models(table: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each model of the file by its name, with what its group says of all of its models."""
    for group in table["groups"].values():
        shared = {key: value for key, value in group.items() if key != "models"}
        for name, own in group["models"].items():
            yield name, {**shared, **own}


def check(path: Path = _CATALOGUE) -> None:
    """Holds catalogue.toml against what it may say; for `ganzoo cards`, since listings trust it.

    Raises:
        BadArgument: naming the first key that is missing, unknown, or has another value than it may.
    """
    from pydantic import TypeAdapter, ValidationError

    def valid(kind: Any, value: Any, where: str) -> Any:
        try:
            return TypeAdapter(kind).validate_json(json.dumps(value), strict=True, extra="forbid")
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, (where, *first["loc"])))
            raise BadArgument(f"{path.name}: {place}: {first['msg']}") from None

    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise BadArgument(f"{path.name}: not readable as TOML: {error}") from None
    shared = {"terms": dict[str, Terms], "papers": dict[str, Paper], "reported": list[Reported], "licenses": list[str]}
    known = {key: valid(kind, table.get(key, []), key) for key, kind in shared.items()}
    names = dict(_models(table))
    taken = {*names}
    for key in {*table} - {*shared, "groups"}:
        raise BadArgument(f"{path.name}: there is no key {key!r}")
    for name, value in names.items():
        for key, part in (("terms", "terms"), ("paper", "papers")):
            if value.get(key) not in known[part]:
                raise BadArgument(f"{path.name}: {name}: {key} {value.get(key)!r} is not defined; add it above")
        plain = {key: entry for key, entry in value.items() if key not in ("terms", "paper")}
        entry = valid(Entry, {**plain, "name": name}, name)
        pins = entry.files.values()
        for right, said in (
            (_NAME.fullmatch(name), "is no model name; use lower case, digits and single hyphens"),
            (entry.status in ("hosted", "convert", "planned"), f"status is {entry.status!r}"),
            (sum(map(bool, (entry.address, entry.repo, entry.package))) == 1, "give an address, a repo or a package"),
            (re.fullmatch(r"(https?://[^/\s]+/\S*)?", entry.address), "address: https://... is expected"),
            (re.fullmatch(r"([a-z0-9-]+==[\d.]+)?", entry.package), "package: name==version is expected"),
            (re.fullmatch(r"([0-9a-f]{40})?", entry.revision), "revision: 40 hexadecimal digits are expected"),
            (entry.status != "hosted" or entry.revision, "a hosted model needs a repo and a pinned revision"),
            (entry.files, "files is empty; name at least one"),
            (all(re.fullmatch(r"\w[\w.-]*", file) for file in entry.files), "files: plain file names are expected"),
            (all(re.fullmatch(r"([0-9a-f]{8,64})?", pin.sha256) for pin in pins), "sha256: 64 hexadecimal digits"),
            (all(pin.size is None or pin.size > 0 for pin in pins), "size: a number of bytes is expected"),
            (entry.replaced_by in {"", *names}, f"replaced_by {entry.replaced_by!r} is no model"),
            (taken.isdisjoint(entry.aliases), f"one of the aliases {[*entry.aliases]} is taken"),
        ):
            if not right:
                raise BadArgument(f"{path.name}: {name}: {said}")
        taken |= {*entry.aliases}
