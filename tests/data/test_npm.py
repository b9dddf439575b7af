"""Packages from npm: what its client brings, fails to bring, or brings instead."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from npm_program import Npm

from ganzoo.data.npm import fetched, integrity
from ganzoo.types import BadData


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Npm:
    (tmp_path / "into").mkdir()
    return Npm(tmp_path, monkeypatch)


def refused(into: Path, expected: str = "sha512-x") -> str:
    """The one line for a package that does not come; nothing is left over."""
    with pytest.raises(BadData) as caught, fetched("name@1.0.0", expected, into):
        pytest.fail("it came")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    assert not list(into.iterdir())
    return str(caught.value)


def test_a_package_is_there_for_a_while(npm: Npm, tmp_path: Path) -> None:
    path, expected = npm.pack("name@1.0.0", {"package/a.txt": b"content"})
    assert expected == "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    with fetched("name@1.0.0", expected, tmp_path / "into") as package:
        assert package.read_bytes() == path.read_bytes() and integrity(package) == expected
    assert not list((tmp_path / "into").iterdir())


def test_another_package_is_not_read(npm: Npm, tmp_path: Path) -> None:
    _, found = npm.pack("name@1.0.0", {"package/a.txt": b"content"})
    text = refused(tmp_path / "into", "sha512-" + "A" * 86 + "==")
    assert text == f"name@1.0.0: npm brought {found[:23]}..., not sha512-{'A' * 16}...; nothing was read."


def test_without_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refused(tmp_path) == (
        "npm is not on this machine, and fetches name@1.0.0; install it (Debian: apt install npm)."
    )


@pytest.mark.parametrize(
    ("program", "complaint"),
    [
        ("sys.stderr.write('npm warn Unknown user config\\nnpm error code E404\\nnpm error 404 Not Found - GET x\\n"
         "npm error A complete log of this run can be found in: y')\nsys.exit(1)", "404 Not Found - GET x"),
        ("sys.exit(3)", "exit status 3"),
        ("", "exit status 0"),  # it brought nothing
        ("sys.stderr.write('npm error ' + 'x' * 5000)\nsys.exit(1)", "x" * 200),
    ],
)  # fmt: skip
def test_npm_that_fails(npm: Npm, tmp_path: Path, program: str, complaint: str) -> None:
    npm.program(program)
    assert refused(tmp_path / "into") == f"npm could not fetch name@1.0.0 ({complaint}); is the network there?"


def test_npm_that_cannot_be_run(npm: Npm, tmp_path: Path) -> None:
    (tmp_path / "bin" / "npm").write_text("#!/nowhere/at/all\n")
    assert "npm cannot be run (No such file or directory)" in refused(tmp_path / "into")
