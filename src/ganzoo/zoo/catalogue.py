"""The catalogue: every model that ganzoo knows, shipped, published elsewhere, or to be trained from a recipe.

Shipped models are found from their folders, models without weights from their recipes, and all others stand in
`catalogue.toml`. Nothing here imports torch, and nothing opens a connection.
"""

from __future__ import annotations

import difflib
import fnmatch
import functools
import json
import re
import tomllib
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganzoo import files
from ganzoo import folder as folders
from ganzoo.game import registry
from ganzoo.types import BadArgument, UnknownName, nearest

STATUSES = ("shipped", "hosted", "convert", "recipe", "planned")
UNPINNED = "unpinned"
_CATALOGUE = Path(__file__).with_name("catalogue.toml")
TABLES = Path(__file__).with_name("families.json")
_NAME = re.compile(r"[a-z0-9]+([-.][a-z0-9]+)*")


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
    title: str = ""
    url: str = ""
    commercial: bool = False
    redistribute: str = "no"


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

    @property
    def pinned(self) -> bool:
        """Whether the whole sha256 is known."""
        return len(self.sha256) == 64


@dataclass(frozen=True)
class Published:
    """A score that others published, by their own protocol."""

    metric: str
    value: float
    protocol: str
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
        revision: 40 hexadecimal digits, or `unpinned`.
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
            return f"hf://{self.repo}" + ("" if self.revision == UNPINNED else f"@{self.revision}")
        if self.package:
            return f"the package {self.package}"
        return self.address + next(iter(self.files), "")

    def summary(self) -> dict[str, Any]:
        """What a list shows of the model, as plain JSON values."""
        return {
            "name": self.name,
            "family": self.family,
            "status": self.status,
            "task": self.task,
            "data": self.data,
            "resolution": self.resolution,
            "license": self.license,
            "size": self.size,
            "where": self.where(),
        }

    def facts(self) -> dict[str, Any]:
        """Everything, as plain JSON values."""
        facts = self.summary()
        if self.terms is not None:
            facts["terms"] = vars(self.terms)
        if self.paper is not None:
            facts["paper"] = vars(self.paper)
        if self.files:
            facts["files"] = {n: {"sha256": f.sha256 or UNPINNED, "size": f.size} for n, f in self.files.items()}
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
    """The models whose name or alias matches a pattern, sorted by name.

    Args:
        pattern: shell-style, such as `style*`.
    """
    return [
        entry
        for _, entry in sorted(_all().items())
        if any(fnmatch.fnmatchcase(name, pattern) for name in (entry.name, *entry.aliases))
    ]


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


def info(name: str) -> dict[str, Any]:
    """All that is known of one model, as plain JSON values.

    Raises:
        UnknownName: if there is none of this name.
    """
    return find(name).facts()


def find(name: str) -> Entry:
    """Looks a model up by its name or an alias.

    Raises:
        UnknownName: if there is none; the text names the nearest ones.
    """
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
    titles = {name: facts["title"] for name, facts in tables()["families"].items()} | registry.titles()
    known = {_bare(each): name for name in registry.list_families() for each in (name, titles.get(name, name))}
    return known.get(_bare(text), text)


def _bare(name: str) -> str:
    return re.sub(r"[-_]", "", name.lower())


def reported() -> list[dict[str, Any]]:
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
            task, pixels = facts.get("task", "unconditional"), _resolution(facts)
            found[name] = Entry(name, recipe.parent.name, "recipe", task, recipe.stem, pixels, recipe=recipe)
    return found


# ------------------------------------------------------------------------------------------- folders and recipes


def recipes() -> dict[str, Path]:
    """The recipes by the name of the model that they train; those that need a user's own data train none."""
    root = files.resource_folder("recipes")
    paths = [] if root is None else sorted(root.glob("*/*.yaml"))
    return {
        f"{path.parent.name.replace('_', '-')}-{path.stem}": path
        for path in paths
        if path.stem != "folder" and not path.stem.startswith("finetune")
    }


def recipe_name(path: Path) -> str:
    """How a recipe of the package is called on the command line: `recipes/<family>/<dataset>.yaml`."""
    return "/".join(path.parts[-3:])


def _from_folder(name: str, folder: Path) -> Entry:
    config, _ = folders.peek(folder)
    paper, data = config.get("paper") or {}, config.get("data") or {}
    return Entry(
        name=name,
        family=config["family"],
        status="shipped",
        task=config.get("task", "unconditional"),
        data=str(data.get("name") or data.get("source") or ""),
        resolution=_resolution(config),
        terms=_terms_of(config),
        paper=Paper(paper["title"], paper["year"], paper["url"]) if paper else None,
        folder=folder,
        recipe=recipes().get(name),
    )


def _terms_of(config: dict[str, Any]) -> Terms | None:
    license = config.get("license")
    free = {"apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0"}
    return None if license is None else Terms(license, license, "", license in free, "yes" if license in free else "no")


def _resolution(config: dict[str, Any]) -> int | None:
    shape = config.get("shape")
    if isinstance(shape, list) and len(shape) == 3:
        return int(shape[-1])
    size = config.get("arguments", {}).get("size")
    return size if isinstance(size, int) else None


@functools.cache
def tables() -> dict[str, Any]:
    """What `ganzoo cards` wrote of families and recipes, whose own files cannot be read without importing torch."""
    return json.loads(TABLES.read_text(encoding="utf-8"))


# ------------------------------------------------------------------------------------------------ catalogue.toml

# The type of each key, and whether it must be there.
_TERMS = {
    "license": (str, True),
    "title": (str, True),
    "url": (str, True),
    "commercial": (bool, True),
    "redistribute": (str, True),
}
_PAPER = {"title": (str, True), "year": (int, True), "url": (str, True)}
_SCORE = {"metric": (str, True), "value": (float, True), "protocol": (str, True), "source": (str, True)}
_REPORTED = {
    "family": (str, True),
    "data": (str, True),
    "metric": (str, True),
    "value": (float, True),
    "by": (str, True),
    "source": (str, True),
}
_FILE = {"sha256": (str, True), "size": (object, True)}
_MODEL = {
    "family": (str, True),
    "status": (str, True),
    "task": (str, True),
    "data": (str, True),
    "resolution": (int, False),
    "paper": (str, True),
    "terms": (str, True),
    "files": (dict, True),
    "address": (str, False),
    "repo": (str, False),
    "revision": (str, False),
    "package": (str, False),
    "scores": (list, False),
    "aliases": (list, False),
    "replaced_by": (str, False),
    "note": (str, False),
}
_TOP = {
    "format": (int, True),
    "terms": (dict, True),
    "papers": (dict, True),
    "groups": (dict, True),
    "reported": (list, False),
}


@functools.cache
def _read(path: Path) -> tuple[dict[str, Entry], list[dict[str, Any]]]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise BadArgument(f"{path.name}: not readable as TOML: {error}") from None
    _check(table, _TOP, path.name)
    if table["format"] != 1:
        raise BadArgument(f"{path.name}: format {table['format']}; this ganzoo reads format 1")
    terms = {key: Terms(**_check(value, _TERMS, f"terms.{key}")) for key, value in table["terms"].items()}
    papers = {key: Paper(**_check(value, _PAPER, f"papers.{key}")) for key, value in table["papers"].items()}
    entries: dict[str, Entry] = {}
    for key, group in table["groups"].items():
        shared = {name: value for name, value in group.items() if name != "models"}
        for name, own in group.get("models", {}).items():
            if name in entries:
                raise BadArgument(f"{path.name}: {name} stands in two groups")
            entries[name] = _entry(name, {**shared, **own}, terms, papers)
        if not group.get("models"):
            raise BadArgument(f"{path.name}: group {key} has no models")
    _check_names(entries)
    for number, value in enumerate(table.get("reported", [])):
        _check(value, _REPORTED, f"reported {number + 1}")
    return entries, table.get("reported", [])


def _check(value: Any, schema: dict[str, tuple[type, bool]], where: str) -> dict[str, Any]:
    """Checks a table's keys and the types of its values."""
    if not isinstance(value, dict):
        raise BadArgument(f"catalogue.toml: {where} is no table")
    for key, given in value.items():
        if key not in schema:
            close = difflib.get_close_matches(key, schema, n=1)
            hint = f"did you mean {close[0]}?" if close else f"the keys are {', '.join(schema)}"
            raise BadArgument(f"catalogue.toml: {where}: there is no key {key!r}; {hint}")
        wanted = schema[key][0]
        right = isinstance(given, (int, float) if wanted is float else wanted)
        if not right or (isinstance(given, bool) and wanted not in (bool, object)):
            raise BadArgument(f"catalogue.toml: {where}: {key} is {given!r}; expected {_CALLED.get(wanted, wanted)}")
    for key, (_, required) in schema.items():
        if required and key not in value:
            raise BadArgument(f"catalogue.toml: {where}: {key} is missing")
    return value


_CALLED: dict[type, str] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a table",
    list: "a list",
}


def _entry(name: str, value: dict[str, Any], terms: dict[str, Terms], papers: dict[str, Paper]) -> Entry:
    _check(value, _MODEL, name)
    if not _NAME.fullmatch(name):
        raise BadArgument(f"catalogue.toml: {name!r} is no model name; use lower case, digits and single hyphens")
    if value["status"] not in ("hosted", "convert", "planned"):
        raise BadArgument(f"catalogue.toml: {name}: status is {value['status']!r}; expected hosted, convert or planned")
    for key, known in (("terms", terms), ("paper", papers)):
        if value[key] not in known:
            raise BadArgument(f"catalogue.toml: {name}: {key} {value[key]!r} is not defined; add it above")
    _check_place(name, value)
    files = {file: _file(f"{name}: {file}", pin) for file, pin in value["files"].items()}
    if not all(re.fullmatch(r"\w[\w.-]*", file) for file in files):
        raise BadArgument(f"catalogue.toml: {name}: files has {list(files)}; expected plain file names")
    if not files:
        raise BadArgument(f"catalogue.toml: {name}: files is empty; name at least one")
    scores = tuple(Published(**_check(score, _SCORE, f"{name}: scores")) for score in value.get("scores", []))
    own = {"terms": terms[value["terms"]], "paper": papers[value["paper"]], "files": files, "scores": scores}
    return Entry(name=name, **{**value, **own, "aliases": tuple(value.get("aliases", []))})


def _check_place(name: str, value: dict[str, Any]) -> None:
    address, repo, package = (value.get(key, "") for key in ("address", "repo", "package"))
    if sum(map(bool, (address, repo, package))) != 1:
        raise BadArgument(f"catalogue.toml: {name}: give either an address, a repo or a package")
    if package and not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*==\d+(\.\d+)*", package):
        raise BadArgument(f"catalogue.toml: {name}: package is {package!r}; expected name==version")
    if address and not re.fullmatch(r"https?://[^/\s]+/\S*", address):
        raise BadArgument(f"catalogue.toml: {name}: address is {address!r}; expected https://...")
    if repo and not re.fullmatch(r"[0-9a-f]{40}|unpinned", value.get("revision", "")):
        raise BadArgument(
            f"catalogue.toml: {name}: revision is {value.get('revision')!r}; expected 40 hexadecimal digits or unpinned"
        )
    if value["status"] == "hosted" and not (repo and value["revision"] != UNPINNED):
        raise BadArgument(f"catalogue.toml: {name}: a hosted model needs a repo and a pinned revision")


def _file(where: str, value: Any) -> File:
    _check(value, _FILE, where)
    sha256, size = value["sha256"], value["size"]
    if sha256 != UNPINNED and not re.fullmatch(r"[0-9a-f]{64}|[0-9a-f]{8,63}\*", sha256):
        raise BadArgument(f"catalogue.toml: {where}: sha256 is {sha256!r}; expected 64 hexadecimal digits, or unpinned")
    if size != UNPINNED and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
        raise BadArgument(f"catalogue.toml: {where}: size is {size!r}; expected a number of bytes, or unpinned")
    return File("" if sha256 == UNPINNED else sha256.rstrip("*"), None if size == UNPINNED else size)


def _check_names(entries: dict[str, Entry]) -> None:
    taken = set(entries)
    for entry in entries.values():
        for alias in entry.aliases:
            if not isinstance(alias, str) or alias in taken:
                raise BadArgument(f"catalogue.toml: {entry.name}: alias {alias!r} is taken, or no name")
            taken.add(alias)
        if entry.replaced_by and entry.replaced_by not in entries:
            raise BadArgument(f"catalogue.toml: {entry.name}: replaced_by {entry.replaced_by!r} is no model")
