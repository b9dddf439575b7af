"""A family is its file, its recipes, its tests and its shipped models: without three of them, all the others go on."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ganzoo.game.registry import list_families

ROOT = Path(__file__).resolve().parents[1]
GONE = ("cyclegan", "infogan", "sngan")  # a translation, one with codes, and one of many with a common network

# Run in the copy: everything imports, the zoo lists, the cards agree, and what is left draws
CHECKS = """
import importlib, pkgutil, sys
from pathlib import Path

import ganzoo
from ganzoo.cli import main
from ganzoo.game import registry
from ganzoo.folder import shipped_folders

root, gone = Path(sys.argv[1]), sys.argv[2:]
assert Path(ganzoo.__file__).is_relative_to(root), ganzoo.__file__
for module in pkgutil.walk_packages(ganzoo.__path__, "ganzoo."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
assert not set(gone) & set(registry.list_families())
for name in registry.list_families():
    registry.family(name)
for name in gone:
    try:
        ganzoo.create(name)
    except ganzoo.GanzooError as error:
        assert f"there is no family {name!r}" in str(error)
    else:
        raise AssertionError(name)
for model in ganzoo.list_models():
    ganzoo.info(model["name"])
assert main(["list"]) == 0
assert main(["cards"]) == 0 and main(["cards", "--check"]) == 0
name = sorted(name for name in shipped_folders() if name.startswith("dcgan"))[0]
assert ganzoo.load(name).sample(1).isfinite().all()
from importlinter.cli import lint_imports
assert lint_imports(config_filename=str(root / "pyproject.toml"), no_cache=True) == 0
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree without three families."""
    copy = tmp_path_factory.mktemp("copy")
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in ("src", "recipes", "checkpoints", "docs", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "MODEL_CARDS.md"):
        shutil.copy(ROOT / name, copy / name)
    for name in GONE:
        (copy / "src" / "ganzoo" / "families" / f"{name}.py").unlink()
        (copy / "tests" / "families" / f"test_{name}.py").unlink(missing_ok=True)
        shutil.rmtree(copy / "recipes" / name)
        for folder in (copy / "checkpoints").glob(f"{name.replace('_', '-')}-*"):
            shutil.rmtree(folder)
    return copy


def test_nothing_else_breaks(copy: Path) -> None:
    assert set(GONE) <= set(list_families())
    environment = {**os.environ, "PYTHONPATH": str(copy / "src"), "OMP_NUM_THREADS": "1", "HOME": str(copy)}
    done = subprocess.run(
        [sys.executable, "-c", CHECKS, str(copy), *GONE],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]


def test_no_other_code_or_test_imports_a_family(copy: Path) -> None:
    """The families' own tests and their converters' aside."""
    for path in sorted([*(copy / "src").rglob("*.py"), *(copy / "tests").rglob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.", *(f"{node.module}.{alias.name}." for alias in node.names)]
            elif isinstance(node, ast.Import):
                names = [f"{alias.name}." for alias in node.names]
            for gone in GONE:
                assert not any(f"ganzoo.families.{gone}." in name for name in names), (
                    f"{path.relative_to(copy)}: {gone}"
                )
