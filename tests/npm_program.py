"""A program that stands in for npm and hands out packages made here."""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path

import pytest

from ganzoo.data.npm import integrity

Members = dict[str, bytes | tarfile.TarInfo]


class Npm:
    """The program `npm`, the only one on the path, that copies packages out of a folder.

    Args:
        folder: an empty one.
        monkeypatch: changes the path.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        (folder / "bin").mkdir()
        self.program(
            "here = sys.argv[sys.argv.index('--pack-destination') + 1]\n"
            f"name = sys.argv[-1].replace('@', '-') + '.tgz'\nshutil.copy({str(folder)!r} + '/' + name, here)\n"
        )
        monkeypatch.setenv("PATH", str(folder / "bin"))

    def program(self, text: str) -> None:
        """Replaces the program."""
        path = self.folder / "bin" / "npm"
        path.write_text(f"#!{sys.executable}\nimport shutil, sys\n{text}")
        path.chmod(0o755)

    def pack(self, package: str, contents: Members) -> tuple[Path, str]:
        """Makes a package such as `name@1.0.0`; gives its file, and its sum in npm's notation."""
        path = self.folder / f"{package.replace('@', '-')}.tgz"
        with tarfile.open(path, "w:gz", compresslevel=1) as packed:
            for name, content in contents.items():
                if isinstance(content, tarfile.TarInfo):
                    packed.addfile(content)
                    continue
                info = tarfile.TarInfo(name)
                info.size = len(content)
                packed.addfile(info, io.BytesIO(content))
        return path, integrity(path)
