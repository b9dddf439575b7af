"""Floor 8: the command line. One file a command; each has `HELP`, `parser()` and `run(arguments)`.

Commands exit 0 when done, 1 when something failed, 2 for wrong usage, 130 when interrupted. No traceback reaches a
person for what they did: errors that ganzoo raises on purpose are one line. `GANZOO_TRACEBACK=1` shows the whole.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import pkgutil
import re
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

_EXAMPLES = """examples:
  ganzoo list 'dcgan*'
  ganzoo sample dcgan-fashion-mnist --seeds 0-15 --out grid.png
  ganzoo train recipes/dcgan/digits.yaml
  ganzoo evaluate dcgan-digits

`ganzoo COMMAND --help` says more about a command."""


def commands() -> list[str]:
    """The names of the commands: the files of this package."""
    return sorted(module.name.strip("_") for module in pkgutil.iter_modules(__path__) if module.name[0] != "_")


def _command(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{name}")


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are exceptions, so that `main` prints them in one line."""

    def error(self, message: str) -> NoReturn:
        """Says in one line what is wrong.

        Raises:
            BadArgument: always.
        """
        from ganzoo.types import BadArgument

        raise BadArgument(f"{self._complaint(message)}; `{self.prog} --help` shows examples")

    def _complaint(self, message: str) -> str:
        """What argparse says, with the nearest option, and types as a person calls them."""
        from ganzoo.schema import near

        if match := re.match(r"unrecognized arguments: (-\S+)", message):
            name = match[1].partition("=")[0]
            return f"there is no option {name}{near(name, self._option_string_actions)}"
        if match := re.match(r"unrecognized arguments: (.*)", message):
            return f"there is no place for {match[1][:160]}"
        if match := re.match(r"the following arguments are required: (.*)", message):
            return f"{match[1]} is missing"
        if match := re.match(r"argument (\S+): invalid (\w+) value: '(.*)'$", message):
            return f"{match[1]} is {match[3]}; {_TYPES.get(match[2], match[2])} is expected"
        if match := re.match(r"argument (\S+): invalid choice: '(.*)' \(choose from (.*)\)$", message):
            return f"{match[1]} is {match[2]}; {match[3].replace(', ', ' or ').replace(chr(39), '')} is expected"
        return message.removeprefix("argument ")


_TYPES = {"int": "a whole number", "float": "a number"}


def new_parser(**settings: Any) -> argparse.ArgumentParser:
    """A parser of a command; its options have hyphens, and may be written with underscores."""
    return _Parser(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **settings)


def refuse(arguments: argparse.Namespace, beside: str, *names: str) -> None:
    """Refuses options that would be ignored.

    Args:
        arguments: the parsed ones; an option that nobody gave is None.
        beside: what makes them useless, such as `--run`.
        names: of the options, with underscores.

    Raises:
        BadArgument: for the first that was given.
    """
    for name in names:
        if getattr(arguments, name) is not None:
            from ganzoo.types import BadArgument

            raise BadArgument(f"--{name.replace('_', '-')} does nothing beside {beside}; leave one of them out")


def import_own() -> list[str]:
    """Imports the user's own modules, which GANZOO_IMPORT names, so that their families and data sources can be used.

    Raises:
        BadArgument: if one cannot be imported.
    """
    names = [name.strip() for name in os.environ.get("GANZOO_IMPORT", "").split(",") if name.strip()]
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            from ganzoo.types import BadArgument

            advice = "is its folder in PYTHONPATH?"
            raise BadArgument(f"GANZOO_IMPORT names {name!r}, which cannot be imported ({error}); {advice}") from None
    return names


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and gives the exit status."""
    # Once its command was imported, `list` is that module here
    given = [*(sys.argv[1:] if arguments is None else arguments)]
    with warnings.catch_warnings():
        warnings.showwarning = _say
        return _main(given)


def _say(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    """Prints a warning of ganzoo's as one line, without code; those of other libraries are for programmers."""
    own = Path(__file__).parents[1] in Path(filename).parents
    if own or os.environ.get("GANZOO_TRACEBACK") == "1":
        with suppress(OSError):  # into a file on a disk that is full, which may be what it says
            print(f"ganzoo: {' '.join(str(message).split())}", file=sys.stderr, flush=True)


def _main(given: list[str]) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # where the terminal has no such letter as ±
    try:
        status = _run(given)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt as stopped:
        print(f"ganzoo: {' '.join(map(str, stopped.args)) or 'interrupted'}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `ganzoo list | head` is no failure
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as stop:  # --help
        return stop.code if isinstance(stop.code, int) else 2
    except Exception as error:
        if os.environ.get("GANZOO_TRACEBACK") == "1":
            raise
        return _report(error)


def _run(given: list[str]) -> int:
    if not given or given[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if given else 2
    if given[0] == "--version":
        from ganzoo.types import VERSION

        print(f"ganzoo {VERSION}")
        return 0
    name, rest = given[0], given[1:]
    if name not in commands():
        from ganzoo.types import UnknownName, nearest

        hint = nearest(name, commands()).replace("`ganzoo list`", "`ganzoo --help`")
        raise UnknownName(f"there is no command {name!r}{hint}")
    import_own()
    command = _command(name)
    if hasattr(command, "run_raw"):  # a command with a parser of its own
        return int(command.run_raw(rest) or 0)
    return int(command.run(command.parser().parse_args([_hyphens(word) for word in rest])) or 0)


def _hyphens(word: str) -> str:
    """An option with hyphens where somebody wrote underscores."""
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value if name.startswith("--") else word


def _help() -> str:
    lines = ["usage: ganzoo COMMAND ...", "", "A model zoo of generative adversarial networks.", "", "commands:"]
    lines += [f"  {name:<10} {_command(name).HELP}" for name in commands()]
    return "\n".join([*lines, "", _EXAMPLES])


def _report(error: Exception) -> int:
    """Prints an error as one line; where nobody foresaw it, with how to see the whole."""
    from ganzoo.types import BadArgument, GanzooError, UnknownName, printable

    if isinstance(error, GanzooError):
        print(f"ganzoo: {error}", file=sys.stderr)
        return 2 if isinstance(error, (UnknownName, BadArgument)) else 1
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        print(f"ganzoo: {printable(f'{where}{error.strerror or error}')}", file=sys.stderr)
        return 1
    text = printable(" ".join(f"{type(error).__name__}: {error}".split()))
    print(f"ganzoo: unexpected {text[:300]} (GANZOO_TRACEBACK=1 shows where; please report it)", file=sys.stderr)
    return 1
