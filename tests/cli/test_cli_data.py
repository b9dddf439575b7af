"""`ganzoo data`: what it prints, where it writes, and what it says of wrong usage."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from ganzoo import cli
from ganzoo.data import emoji, mnist


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, str | None]]:
    """What was asked to be prepared, and where."""
    asked: list[tuple[str, str | None]] = []

    def prepare(style: str, folder: str | None = None, say: Callable[[str], None] = print) -> Path:
        say(f"{style}: on the way")
        asked.append((style, folder))
        return tmp_path if folder is None else Path(folder)

    monkeypatch.setattr(emoji, "prepare", prepare)
    monkeypatch.setattr(mnist, "prepare", partial(prepare, "mnist"))
    return asked


def test_both_styles_or_one(
    prepared: list[tuple[str, str | None]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["data", "emoji"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path}\n" and err == "google: on the way\ntwitter: on the way\n"
    assert prepared == [("google", None), ("twitter", None)]
    assert cli.main(["data", "emoji", "--style", "twitter", "--out", str(tmp_path / "a")]) == 0
    assert prepared[2:] == [("twitter", str(tmp_path / "a"))]
    assert capsys.readouterr().out == f"{tmp_path / 'a'}\n"


def test_a_data_set_without_styles(
    prepared: list[tuple[str, str | None]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["data", "mnist"]) == 0 and cli.main(["data", "mnist", "--out", str(tmp_path / "a")]) == 0
    assert capsys.readouterr().out == f"{tmp_path}\n{tmp_path / 'a'}\n"
    assert prepared == [("mnist", None), ("mnist", str(tmp_path / "a"))]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "name is missing; `ganzoo data --help` shows examples"),
        (["emojis"], "there is no data set 'emojis' to prepare; there are avatars, emoji, icons and mnist"),
        (["emoji", "--style", "apple"], "--style is apple; emoji has the styles google, twitter"),
        (["mnist", "--style", "google"], "--style is google; mnist has no styles, only avatars and emoji have"),
        (["emoji", "--styel", "google"],
         "there is no option --styel; did you mean --style?; `ganzoo data --help` shows examples"),
    ],
)  # fmt: skip
def test_wrong_usage(
    words: list[str], line: str, prepared: list[tuple[str, str | None]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["data", *words]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"ganzoo: {line}\n") and not prepared


def test_out_that_is_a_file(
    tmp_path: Path, prepared: list[tuple[str, str | None]], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert cli.main(["data", "emoji", "--out", str(tmp_path / "file")]) == 2
    assert capsys.readouterr().err == f"ganzoo: --out is {tmp_path / 'file'}, which is a file; give a folder\n"
    assert not prepared


def test_a_failure_is_one_line_and_status_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main(["data", "emoji", "--style", "google", "--out", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines()[0].startswith("google: fetching emoji-datasource-google@16.0.0 through npm")
    assert err.splitlines()[1:] == [
        "ganzoo: npm is not on this machine, and fetches emoji-datasource-google@16.0.0; install it (Debian: apt "
        "install npm)."
    ]


def test_interruption_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*words: object, **settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("subprocess.run", interrupted)
    monkeypatch.setattr("shutil.which", lambda name: "npm")
    assert cli.main(["data", "emoji", "--style", "google", "--out", str(tmp_path / "out")]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "ganzoo: interrupted"
    assert not list((tmp_path / "out").iterdir())
