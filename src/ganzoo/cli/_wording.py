"""What the parser says, in one line: the key, the value and what is expected.

jsonargparse explains a wrong value with the whole tree of types that it tried. The leaf that concerns the user is found
here; a message of an unknown form is cut to one line as it is.
"""

from __future__ import annotations

import difflib
import inspect
import re
import sys
from collections.abc import Iterable
from textwrap import dedent

_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "list": "a list",
    "tuple": "a list",
    "dict": "a table",
    "NoneType": "null",
}


def of_recipe(message: str, keys: Iterable[str] = ()) -> str:
    """A complaint about a key of a recipe.

    Args:
        message: the parser's, of any number of lines.
        keys: all keys that the recipe could have, such as `trainer.max_steps`.
    """
    return _explain(_dedented(message), "", "", sorted(keys))


def of_option(message: str, options: Iterable[str] = ()) -> str:
    """A complaint about an option of the command line."""
    unknown = re.match(r"unrecognized arguments: (\S+)(.*)", message, re.DOTALL)
    if unknown and unknown[1].startswith("-"):
        name = unknown[1].partition("=")[0]
        return f"there is no option {name}{_near(name, options)}"
    if unknown:
        return f"there is no place for {_short((unknown[1] + unknown[2]).strip())}"
    required = re.match(r"the following arguments are required: (.*)", message)
    if required:
        return f"{required[1]} is missing"
    text = _explain(_dedented(message), "", "", [])
    key = re.match(r"(\w+) is ", text)
    return f"--{text}" if key and f"--{key[1]}" in set(options) else text


def _dedented(text: str) -> str:
    return dedent(text).strip("\n")


def _explain(text: str, key: str, path: str, keys: list[str]) -> str:
    """Descends to the innermost complaint; `key` and `path` are the key and the class that lead to it."""
    named = re.match(r'(?:Parser key|Key) "([^"]+)":\s*?\n?', text)
    if named:
        return _explain(_dedented(text[named.end() :]), _join(key, named[1]), path, keys)
    within = re.match(r"Problem with given class_path '([^']+)':\s*", text)
    if within:
        return _explain(_dedented(text[within.end() :]), key, within[1], keys)
    union = re.search(r"^Errors:\n(.*?)(?:^Given value type:.*?^Given value: (.*)|\Z)", text, re.DOTALL | re.MULTILINE)
    if union:
        return _of_union(union[1], union[2] or "", key, path, keys)
    foreign = re.search(r"Importing '([\w.]+)' is not allowed", text)
    if foreign:
        return _unknown_class(foreign[1], key, foreign=True)
    wrong = re.search(r"Expected an? (.+?)\. Got value: (.*)", text, re.DOTALL)
    if wrong:
        return f"{key} is {_short(wrong[2])}; {_type(wrong[1])} is expected"
    unknown = re.match(r"Option '([^']+)' is not accepted|Group '[^']+' does not accept option '([^']+)'", text)
    if unknown:
        return _unknown_key(unknown[1], unknown[2], text, key, path, keys)
    extra = re.match(r"unrecognized arguments: (.*)", text, re.DOTALL)
    if extra and extra[1].startswith("--"):
        name = re.split(r"[ =]", extra[1][2:])[0]
        return f"there is no key {name}{_near_key(name, keys)}"
    if extra:
        return f"there is no place for {_short(extra[1])}; keys are set by --KEY VALUE"
    if "allocate memory" in text or "out of memory" in text:
        return f"{key or 'model'}: networks of this size do not fit into the memory"
    if path:  # the class itself complained
        return f"{key}: {path.rpartition('.')[2]}: {_short(text)}"
    return f"{key}: {_short(text)}" if key else _short(text)


def _of_union(block: str, value: str, key: str, path: str, keys: list[str]) -> str:
    """The complaint of the first alternative that says more than that it was not meant."""
    nested = re.match(r"NestedArg\(key='([^']+)', val=(.*)\)\s*$", value, re.DOTALL)
    wanted: list[str] = []
    for item in _items(block):
        if item.startswith("Problem with given class_path"):
            return _explain(item, key, path, keys)
        name = re.match(r"Expected a dot import path string: (.*)", item)
        foreign = re.match(r"Import path ([\w.]+) does not correspond", item)
        if name or foreign:
            return _unknown_class(name[1] if name else foreign[1] if foreign else "", key, bool(foreign))
        if item.startswith("Expected an instantiatable class"):
            return f"{key} is the base class{_near('', _classes(key))}"
        if item.startswith(("Not a valid subclass", "argument of type")):
            return f"{key} is {_short(value)}; a class_path with its init_args is expected"
        plain = re.match(r"Expected an? ([^\n]+)$", item)
        if plain is None:
            return _explain(item, key, path, keys)
        wanted.append(_type(plain[1].partition(". Got value")[0]))
    if nested:
        key, value = _join(key, nested[1]), nested[2]
    return f"{key} is {_short(value)}; {' or '.join(dict.fromkeys(' or '.join(wanted).split(' or ')))} is expected"


def _items(block: str) -> list[str]:
    """The items of a list whose items may have several lines."""
    text = _dedented(block)
    return [_dedented(" " * 2 + item) for item in re.split(r"^- ", text, flags=re.MULTILINE)[1:]]


def _unknown_key(own: str | None, grouped: str | None, text: str, key: str, path: str, keys: list[str]) -> str:
    if grouped is not None:
        group = text.partition("'")[2].partition("'")[0]
        return f"there is no key {group}.{grouped}{_near_key(f'{group}.{grouped}', keys)}"
    assert own is not None
    if path:
        cls = path.rpartition(".")[2]
        return f"{_join(key, own)}: {cls} has no argument {own!r}{_near(own, _arguments(path))}"
    return f"there is no key {_join(key, own)}{_near_key(_join(key, own), keys)}"


def _unknown_class(given: str, key: str, foreign: bool) -> str:
    what = {"model": "family", "data": "data source"}.get(key.partition(".")[0], "class")
    if foreign or "." in given:
        own = "set GANZOO_IMPORT to the name of your own module to use its classes"
        return f"{key} is {_short(given)}, which is no {what} of ganzoo; {own}"
    return f"{key}: there is no {what} {_short(repr(given))}{_near(given, _classes(key))}"


def _classes(key: str) -> list[str]:
    """The classes that a section of a recipe can name."""
    from ganzoo import data
    from ganzoo.game import registry

    kinds = {"model": [registry.family(name).title for name in registry.list_families()], "data": data.sources()}
    return kinds.get(key.partition(".")[0], [])


def _arguments(path: str) -> list[str]:
    """The arguments of a class that is already imported."""
    module, _, name = path.rpartition(".")
    cls = getattr(sys.modules.get(module), name, None)
    return list(inspect.signature(cls).parameters) if cls is not None else []


def _near_key(name: str, keys: list[str]) -> str:
    """A clause with the nearest keys of the same section."""
    section, dot, own = name.rpartition(".")
    known = [key.removeprefix(section + dot) for key in keys if key.startswith(section + dot)]
    return _near(own, {each.partition(".")[0] for each in known})


def _near(name: str, known: Iterable[str]) -> str:
    """A clause with the known names nearest to a name, whatever their case; all of them where they are few."""
    table = {_plain(each): each for each in known}
    same = [_plain(name)] if _plain(name) in table else None
    close = same or difflib.get_close_matches(_plain(name), table, n=3, cutoff=0.6)
    if close:
        return f"; did you mean {' or '.join(table[each] for each in close)}?"
    return f"; there are {', '.join(sorted(table.values()))}" if 0 < len(table) <= 16 else ""


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _join(key: str, own: str) -> str:
    return f"{key}.{own}" if key else own


def _type(text: str) -> str:
    cls = re.fullmatch(r"<class '([\w.]+)'>", text.strip())
    if cls:
        return _TYPES.get(cls[1], cls[1].rpartition(".")[2])
    literal = re.fullmatch(r"(?:typing\.)?Literal\[(.*)\]", text.strip())
    if literal:
        return " or ".join(piece.strip().strip("'\"") for piece in literal[1].split(","))
    count = re.fullmatch(r"tuple with (\d+) elements?", text.strip())
    return f"a list of {count[1]}" if count else _short(text)


def _short(text: str) -> str:
    """On one line, of at most 160 characters."""
    line = " ".join(text.split())
    return line if len(line) <= 160 else line[:157] + "..."
