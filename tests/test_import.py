from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ganzoo

SOURCE = Path(ganzoo.__file__).parent


def test_importing_the_package_does_no_work() -> None:
    """`-X importtime` sees what is imported: ganzoo alone, besides what Python had already."""
    code = "import sys; before = set(sys.modules); import ganzoo; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        env={"PYTHONPATH": str(SOURCE.parent)},
    )
    assert set(done.stdout.split()) <= {"ganzoo", "__future__"}
    seen = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines()]
    assert "ganzoo" in seen and "torch" not in seen


def test_the_rooms_below_the_families_import_none() -> None:
    """Only `registry.family` may, by name; everything else finds families through it."""
    for path in SOURCE.rglob("*.py"):
        if "families" in path.parts:
            continue
        lines = [line for line in path.read_text().splitlines() if "import" in line and "ganzoo.families" in line]
        assert not [line for line in lines if line.lstrip().startswith(("from", "import"))], path


def test_every_room_says_what_it_is_for() -> None:
    for path in SOURCE.rglob("__init__.py"):
        text = path.read_text()
        assert text.startswith('"""') and len(text.split('"""')[1]) > 20, f"{path.parent.name} has no docstring"
