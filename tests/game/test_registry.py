from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ganzoo
from ganzoo.game import registry
from ganzoo.types import BadArgument, UnknownName, nearest


@pytest.fixture
def known() -> Iterator[None]:
    """The registry as it was, afterwards."""
    for name in registry.list_families():  # a module that is imported afterwards would not register again
        registry.family(name)
    before = dict(registry._registered)
    yield
    registry._registered.clear()
    registry._registered.update(before)


def test_families_are_the_files_and_none_is_imported() -> None:
    package = Path(inspect.getfile(ganzoo)).parent / "families"
    files = sorted(path.stem for path in package.glob("[a-z]*"))
    code = (
        "import sys; from ganzoo.game import registry; print(*registry.list_families()); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300,
                          env={"PYTHONPATH": str(package.parents[1])})  # fmt: skip
    names, torch = done.stdout.splitlines()
    assert (names.split(), torch) == (files, "False")
    assert registry.list_families() == files


def test_a_family_knows_its_paper() -> None:
    entry = registry.family("wgan_gp")
    assert (entry.title, entry.year, entry.url) == ("WGANGP", 2017, "https://arxiv.org/abs/1704.00028")
    assert registry.family_of(entry.cls) is entry
    assert entry.idea == (inspect.getdoc(entry.cls) or "").split("\n")[0]
    with pytest.raises(UnknownName, match="dict is not registered"):
        registry.family_of(dict)


@pytest.mark.parametrize(
    "name", ["os", "dcgan.DCGAN", "../dcgan", "ganzoo.families.dcgan", "__init__", "", "DCGAN", "x" * 9999]
)
def test_only_names_of_families_are_looked_up(name: str) -> None:
    with pytest.raises(UnknownName, match="there is no family") as caught:
        registry.family(name)
    assert len(str(caught.value)) < 400


def test_a_name_is_given_once(known: None) -> None:
    registry.family("wgan")
    register = registry.register(paper="", year=2026, url="")
    for module, said in (("elsewhere.wgan", "there is a family 'wgan' already"), ("ganzoo.families.wgan", "already")):
        with pytest.raises(BadArgument, match=said):
            register(type("Other", (), {"__module__": module}))
    again = type("WGAN", (), {"__module__": "ganzoo.families.wgan"})
    assert register(again) is again, "a module that is imported anew registers anew"
    own = register(type("Own", (), {"__module__": "mine.own_gan", "__doc__": "Mine."}))
    assert registry.family("own_gan").cls is own and "own_gan" in registry.list_families()


class Everything:
    def __init__(
        self,
        whole: int = 1,
        number: float = 1.0,
        truth: bool = False,
        text: str = "",
        pair: tuple[float, float] = (0.0, 0.0),
        many: tuple[int, ...] = (),
        maybe: int | None = None,
    ) -> None: ...


ENTRY = registry.Family("everything", Everything, "Everything", "Everything", "", 2026, "", "")


@pytest.mark.parametrize(
    ("given", "checked"),
    [
        ({"whole": 3}, 3),
        ({"number": 3}, 3.0),
        ({"number": 1e-4}, 1e-4),
        ({"truth": True}, True),
        ({"text": "x"}, "x"),
        ({"pair": [1, 2.5]}, (1.0, 2.5)),
        ({"many": [1, 2, 3]}, (1, 2, 3)),
        ({"many": []}, ()),
        ({"maybe": None}, None),
        ({"maybe": 4}, 4),
    ],
)
def test_json_values_become_what_the_signature_says(given: dict[str, Any], checked: Any) -> None:
    (found,) = registry.check_arguments(ENTRY, given).values()
    assert found == checked and type(found) is type(checked)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"whole": 1.5}, "whole is 1.5; a whole number is expected"),
        ({"whole": 1.0}, "whole is 1.0; a whole number is expected"),
        ({"whole": True}, "whole is True; a whole number is expected"),
        ({"whole": "1"}, "whole is '1'; a whole number is expected"),
        ({"whole": None}, "whole is None; a whole number is expected"),
        ({"whole": {"a": 1}}, r"whole is \{'a': 1\}; a whole number is expected"),
        ({"number": "1"}, "number is '1'; a number is expected"),
        ({"number": float("nan")}, "number is nan; "),
        ({"number": float("inf")}, "number is inf; "),
        ({"number": 2**24 + 1}, "numbers up to 16777216 make sense"),
        ({"truth": 1}, "truth is 1; true or false is expected"),
        ({"text": 1}, "text is 1; text is expected"),
        ({"pair": [1]}, r"pair is \[1\]; a list of 2 is expected"),
        ({"pair": [1, 2, 3]}, "a list of 2 is expected"),
        ({"pair": 1}, "pair is 1; a list is expected"),
        ({"pair": [1, "x"]}, "a number is expected"),
        ({"many": [0] * 1025}, "many has 1025 entries; lists up to 1024 make sense"),
        ({"many": [[1]]}, "a whole number is expected"),
        ({"many": [2**24 + 1]}, "numbers up to 16777216 make sense"),
        ({"wohle": 1}, "everything has no argument 'wohle'; did you mean whole"),
        ({"zzz": 1}, "has no argument 'zzz'; it has whole, number, truth, "),
        ({"self": 1}, "has no argument 'self'"),
        ({"text": "x" * 100_000, "whole": "y" * 100_000}, r"whole is 'yyy.*\.\.\.; a whole number is expected"),
    ],
)
def test_values_that_do_not_fit(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadArgument, match=said) as caught:
        registry.check_arguments(ENTRY, given)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_arguments_of_earlier_versions_are_passed_over_at_the_value_that_still_holds() -> None:
    entry = registry.family("dcgan")
    assert registry.check_arguments(entry, {"size": 8, "smoothing": 0.0, "classes": 0}) == {"size": 8}
    with pytest.raises(BadArgument, match="dcgan has no argument 'smoothing'"):
        registry.check_arguments(entry, {"smoothing": 0.1})


def test_near_names() -> None:
    assert nearest("wgna", ["wgan", "gan"]) == "; did you mean wgan?"
    assert nearest("quux", ["wgan"]) == "; `ganzoo list` shows what there is"
    assert nearest("quux", ["wgan"], "ask") == "; ask"
