"""Programs that stand in for npm and Node.js where pictures are drawn."""

from __future__ import annotations

import sys
from pathlib import Path

import npm_program
import pytest
from npm_program import Members

from ganzoo.data import drawing


class Programs(npm_program.Npm):
    """npm, that hands out packages made here, and a Node.js that draws the k-th job in the grey level k."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder, monkeypatch)
        program = folder / "bin" / "npm"
        program.write_text(
            program.read_text().replace("sys.argv[-1].replace(", "sys.argv[-1].replace('/', '-').replace(")
        )
        grey = "b''.join(bytes([k % 256]) * 3 * size**2 for k in range(n))"
        self.node(f"size = int(sys.argv[2])\nopen('pixels', 'wb').write({grey})")
        for name in ("RENDERER", "MAKER"):
            package, _ = getattr(drawing, name)
            monkeypatch.setattr(drawing, name, (package, self.hand_out(package)))

    def node(self, text: str) -> None:
        """Replaces the program that draws."""
        path = self.folder / "bin" / "node"
        path.write_text(
            f"#!{sys.executable}\nimport os, sys\nn = len(open('jobs').readlines())\n"
            f"assert os.path.isfile('node_modules/@resvg/resvg-wasm/a')\n{text}"
        )
        path.chmod(0o755)

    def hand_out(self, package: str, contents: Members | None = None) -> str:
        """Has a package ready, and gives its sum."""
        return self.pack(package.replace("/", "-"), contents or {"package/a": b"content"})[1]
