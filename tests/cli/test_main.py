"""The command line as a person meets it: one line for what they did wrong, the right exit status, no traceback."""

from __future__ import annotations

import importlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import tiny

import ganzoo
from ganzoo import cli
from ganzoo.folder import write_model
from ganzoo.game import registry
from ganzoo.types import BadArgument, GanzooError
from ganzoo.zoo import recipes

SOURCE = str(Path(ganzoo.__file__).parents[1])


def said(capsys: pytest.CaptureFixture[str], *words: str, status: int = 2) -> str:
    """The one line on the error stream of a command that fails."""
    assert cli.main(words) == status
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("ganzoo: ") and err.count("\n") == 1 and len(err) < 500, err
    assert "unexpected" not in err and "Traceback" not in err
    return err.removeprefix("ganzoo: ").strip()


def process(*words: str, code: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *(["-c", code] if code else ["-m", "ganzoo"]), *words]
    environment = {**os.environ, "PYTHONPATH": SOURCE, "OMP_NUM_THREADS": "1", **variables}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


# ------------------------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["lsit"], "there is no command 'lsit'; did you mean list?"),
        (["quux"], "there is no command 'quux'; `ganzoo --help` shows what there is"),
        (["list", "--jsn"], "there is no option --jsn; did you mean --json?; `ganzoo list --help` shows examples"),
        (["list", "--js"], "there is no option --js; did you mean --json?; `ganzoo list --help` shows examples"),
        (["list", "a", "b"], "there is no place for b; `ganzoo list --help` shows examples"),
        (["info"], "model is missing; `ganzoo info --help` shows examples"),
        (["sample"], "model is missing; `ganzoo sample --help` shows examples"),
        (["verify"], "model is missing; `ganzoo verify --help` shows examples"),
        (["sample", "x", "--truncation", "abc"],
         "--truncation is abc; a number is expected; `ganzoo sample --help` shows examples"),
        (["sample", "x", "--batch_size", "1.5"],
         "--batch-size is 1.5; a whole number is expected; `ganzoo sample --help` shows examples"),
        (["sample", "x", "--seeds", "1-"], "--seeds is '1-'; numbers and ranges are expected, such as 0-15,20"),
        (["sample", "x", "--seeds", "3-1"], "--seeds: the range 3-1 runs backwards"),
        (["sample", "x", "--seeds", "0-999999999999"],
         "--seeds asks for over a million samples; draw them in parts"),
        (["sample", "x", "--labels", "0,1,2"], "--labels gives 3 classes for 16 seeds; give one, or one a seed"),
        (["sample", "dcgan-digits", "--columns", "0"], "--columns is 0; at least 1 is expected"),
        (["evaluate"], "name a model, or a folder with --generated; `ganzoo evaluate --help` shows examples"),
        (["evaluate", "x", "--generated", "y"],
         "name a model, or a folder with --generated; `ganzoo evaluate --help` shows examples"),
        (["evaluate", "--generated", "y"], "--generated needs --data to compare with, and has no card to --write"),
        (["train", "--dry-run"], "a recipe is expected before --dry-run; `ganzoo train --help` shows an example"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line(words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, *words) == line


@pytest.mark.parametrize("command", ["info", "sample", "verify", "evaluate", "pull"])
def test_a_misspelt_model_has_near_names(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = said(capsys, command, "wgan-gp-fashion-mnits")
    assert line.startswith("there is no model 'wgan-gp-fashion-mnits'; did you mean wgan-gp-fashion-mnist")


def test_a_folder_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("sample", "verify"):
        assert said(capsys, command, f"{tmp_path}/x", status=1) == f"{tmp_path}/x: there is no such folder"
        assert said(capsys, command, str(tmp_path), status=1).startswith(f"{tmp_path}: holds no manifest.json")


def test_a_pattern_that_matches_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "no-such-*"]) == 1
    assert "no model matches 'no-such-*'" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------- what they print


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {name} " in text for name in cli.commands()) and "examples:" in text
    for name in cli.commands():
        assert cli.main([name, "--help"]) == 0
        text = capsys.readouterr().out
        assert (
            "usage: ganzoo " + name in text and "examples:\n" in text and f"ganzoo {name}" in text.split("examples:")[1]
        )


def test_no_command_shows_the_help_and_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "usage: ganzoo COMMAND" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"ganzoo {ganzoo.__version__}\n"


def test_list_and_info_print_what_python_gives(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "dcgan*", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == ganzoo.list_models("dcgan*") and found
    assert all({"name", "family", "status", "task", "resolution", "license"} <= entry.keys() for entry in found)
    name = found[0]["name"]
    assert cli.main(["info", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == ganzoo.info(name)
    assert cli.main(["info", name]) == 0
    assert f"name: {name}" in capsys.readouterr().out
    assert cli.main(["list", "--families"]) == 0
    assert capsys.readouterr().out.split() == ganzoo.list_families()
    assert cli.main(["list", "bigg*", "--families"]) == 0 and capsys.readouterr().out == "biggan\n"
    assert cli.main(["list", "quux", "--families"]) == 1
    assert capsys.readouterr().out == "no family matches 'quux'\n"
    assert cli.main(["list", "--json", "--family", "StyleGAN2", "--task", "conditional", "--status", "shipped"]) == 0
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)] == ["stylegan2-fashion-mnist"]
    assert cli.main(["list", "--task", "divination"]) == 1
    assert capsys.readouterr().out == "no model matches '*', task divination; `ganzoo list` shows all\n"


def test_the_recipes_are_listed_with_what_they_say_of_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "--recipes", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == recipes.brought().keys() and all(found.values())
    assert cli.main(["list", "dcgan/d*", "--recipes"]) == 0
    assert capsys.readouterr().out == "dcgan/digits  DCGAN on the 8x8 digits of scikit-learn\n"
    assert cli.main(["list", "quux", "--recipes"]) == 1
    assert capsys.readouterr().out == "no recipe matches 'quux'\n"
    for which in ("--recipes", "--families"):
        assert "--status chooses among models" in said(capsys, "list", which, "--status", "shipped")


def test_info_says_nothing_of_what_is_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = {
        "name": "mine",
        "training": {"adapt": {}, "engine": {"warmup": 0, "compile": False, "inner": {"x": None}}},
    }
    write_model(tiny("dcgan"), tmp_path, config)
    assert cli.main(["info", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "adapt" not in shown and "inner" not in shown
    assert "  training:\n    engine:\n      warmup: 0\n      compile: False\n" in shown


def test_info_of_folders_and_of_loaded_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = {"name": "mine \x1b[2J", "license": "mit", "note\u202e": ["\x9b1m"], "data": {"name": "photos"}}
    write_model(tiny("dcgan"), tmp_path / "run" / "last", config, [{"key": "fd", "value": 1.5}])
    facts = ganzoo.info(tmp_path / "run")
    assert facts == ganzoo.info(str(tmp_path / "run" / "last"))
    said = [facts[key] for key in ("family", "task", "license", "data", "resolution", "where")]
    assert said == ["dcgan", "unconditional", "mit", "photos", 8, str(tmp_path / "run" / "last")]
    assert cli.main(["info", str(tmp_path / "run")]) == 0
    text = capsys.readouterr().out
    assert "fd 1.5" in text and r"name: mine \x1b[2J" in text and r"note\u202e: \x9b1m" in text
    assert not {*text} & {"\x1b", "\x9b", "\u202e"}, "nothing that steers the terminal"
    loaded = ganzoo.info(ganzoo.load(tmp_path / "run"))
    assert loaded.items() >= {"name": config["name"], "where": "loaded", "results": facts["results"]}.items()
    assert ganzoo.info(tiny("stylegan2", classes=3)).items() >= {"task": "conditional", "resolution": 8}.items()
    assert ganzoo.info("stylegan2-fashion-mnist")["task"] == "conditional"


# --------------------------------------------------------------------------------------------- errors nobody foresaw


def test_an_unforeseen_error_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(pattern: str, **asked: str) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr("ganzoo.zoo.catalogue.list_models", broken)
    monkeypatch.delenv("GANZOO_TRACEBACK", raising=False)
    assert cli.main(["list"]) == 1
    err = capsys.readouterr().err
    assert (
        err.startswith("ganzoo: unexpected ZeroDivisionError: two lines (GANZOO_TRACEBACK=1") and err.count("\n") == 1
    )
    monkeypatch.setenv("GANZOO_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        cli.main(["list"])


def test_interruption_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(pattern: str, **asked: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ganzoo.zoo.catalogue.list_models", interrupted)
    assert cli.main(["list"]) == 130
    assert capsys.readouterr().err == "ganzoo: interrupted\n"


def test_a_file_that_cannot_be_written_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(pattern: str, **asked: str) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "x"))

    monkeypatch.setattr("ganzoo.zoo.catalogue.list_models", full)
    assert said(capsys, "list", status=1) == f"{tmp_path / 'x'}: No space left on device"


def test_a_pipe_that_closes_is_no_failure() -> None:
    code = "import sys; from ganzoo.cli import main; sys.exit(main(['list', '--json']))"
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=environment) as running:  # fmt: skip
        assert running.stdout is not None and running.stderr is not None
        running.stdout.close()
        assert running.wait(timeout=300) == 0
        assert running.stderr.read() == b""


# ----------------------------------------------------------------------------------------------- the user's own code

FAMILY = """
from ganzoo.game.abilities import Samples
from ganzoo.game.registry import register

@register(paper="Mine", year=2026, url="https://example.org")
class Mine(Samples):
    "Mine."

    def players(self): ...
    def training_step(self, batch, batch_idx): ...
"""


def test_ones_own_module_is_imported_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my_own_gan.py").write_text(FAMILY)
    monkeypatch.syspath_prepend(tmp_path)
    assert cli.main(["list", "--families"]) == 0 and "my_own_gan" not in capsys.readouterr().out
    monkeypatch.setenv("GANZOO_IMPORT", "my_own_gan")
    try:
        assert cli.main(["list", "--families"]) == 0 and "my_own_gan" in capsys.readouterr().out.split()
    finally:
        registry._registered.pop("my_own_gan", None)
        sys.modules.pop("my_own_gan", None)
    monkeypatch.setenv("GANZOO_IMPORT", "no_such_module")
    assert said(capsys, "list").startswith("GANZOO_IMPORT names 'no_such_module', which cannot be imported")


def test_ones_own_family_cannot_take_anothers_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wgan.py").write_text(FAMILY)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BadArgument, match=r"wgan.Mine: there is a family 'wgan' already; rename the file"):
        importlib.import_module("wgan")
    assert registry.family("wgan").title == "WGAN"


# ------------------------------------------------------------------------------------------------------- without torch


HEAVY = ("torch", "lightning", "torchvision", "pydantic", "sklearn", "numpy")


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import ganzoo", (*HEAVY, "jsonargparse", "typing", "dataclasses")),
        ("import ganzoo; ganzoo.list_families(); ganzoo.list_models(); ganzoo.info('dcgan-fashion-mnist')", HEAVY),
        ("from ganzoo.cli import main; main(['--help'])", (*HEAVY, "jsonargparse")),
        ("from ganzoo.cli import main; [main(c) for c in (['list'], ['info', 'dcgan-digits'], ['list', '--families'])]",
         HEAVY),
        ("from ganzoo.cli import main; [main([c, '--help']) for c in ('sample', 'train', 'evaluate', 'pull')]", HEAVY),
        ("from ganzoo.cli import main; assert main(['pull', 'no-such-model']) == 2", HEAVY),
    ],
)  # fmt: skip
def test_what_needs_no_torch_does_not_import_it(code: str, heavy: tuple[str, ...]) -> None:
    check = f"import sys; before = set(sys.modules); {code}\nprint(sorted(set(sys.modules) - before), file=sys.stderr)"
    done = process(code=check)
    assert done.returncode == 0, done.stderr
    imported = {name.strip(" '") for name in done.stderr.splitlines()[-1].strip("[]").split(",")}
    assert "ganzoo" in imported and not imported & set(heavy)


def test_the_public_names() -> None:
    assert set(dir(ganzoo)) >= set(ganzoo.__all__)
    for name in ganzoo.__all__:
        found = getattr(ganzoo, name)
        assert getattr(found, "__module__", found.__name__).startswith("ganzoo.")
    assert ganzoo.GanzooError is GanzooError
    with pytest.raises(AttributeError, match="has no attribute 'laod'"):
        ganzoo.laod  # noqa: B018


def test_a_package_does_not_hide_the_function_of_its_name() -> None:
    before = process(code="import ganzoo; print(ganzoo.list_families())").stdout
    after = process(code="import ganzoo, ganzoo.families as package; print(ganzoo.list_families()); package.__path__")
    assert before == after.stdout and "dcgan" in before, after.stderr


def test_a_second_command_in_one_process(capsys: pytest.CaptureFixture[str]) -> None:
    """`ganzoo.cli.list` must not hide the builtin for those that come after it."""
    assert cli.main(["list", "--families"]) == 0
    assert cli.main(["list", "--families"]) == 0


def test_output_that_cannot_be_encoded_is_no_traceback() -> None:
    done = process("info", "dcgan-fashion-mnist", PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert isinstance(io.StringIO(done.stdout).readline(), str)
