"""What ships: a wheel is built, unpacked, and used from an empty folder, as in an installation without a checkout.

An editable install would hide a forgotten file, since recipes and checkpoints then lie beside the sources.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]

# What a folder of the checkout becomes in the wheel.
SHIPPED = {"src/ganzoo": "ganzoo", "recipes": "ganzoo/recipes", "checkpoints": "ganzoo/checkpoints"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    # the backend itself, without the isolated environment that a frontend would fill from an index
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def facts(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the unpacked package says of itself, asked in a process of its own in an empty folder."""
    answers: dict[str, Any] = ask(
        unpacked,
        tmp_path_factory.mktemp("empty"),
        """
import importlib.metadata, json, sys
import ganzoo
entries = ganzoo.list_models()
print(json.dumps({
    "file": ganzoo.__file__,
    "version": ganzoo.__version__,
    "metadata": importlib.metadata.version("lightning-ganzoo"),
    "families": ganzoo.list_families(),
    "models": entries,
    "info": {entry["name"]: ganzoo.info(entry["name"]) for entry in entries},
    "torch": "torch" in sys.modules,
}))
""",
    )
    return answers


def ask(unpacked: Path, empty: Path, script: str) -> Any:
    assert not any(empty.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=empty,
        env={**os.environ, "PYTHONPATH": str(unpacked), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def files_below(folder: Path) -> dict[str, Path]:
    return {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }


def test_the_wheel_holds_every_file_that_ships_and_no_other(wheel: Path) -> None:
    expected = {
        f"{target}/{name}": path
        for source, target in SHIPPED.items()
        for name, path in files_below(ROOT / source).items()
    }
    assert "ganzoo/py.typed" in expected and "ganzoo/zoo/catalogue.toml" in expected
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        assert names == set(expected)
        for name, path in expected.items():
            assert archive.read(name) == path.read_bytes(), name
        (licence,) = (name for name in archive.namelist() if name.endswith(".dist-info/licenses/LICENSE"))
        assert b"Apache License" in archive.read(licence)


def test_the_unpacked_package_is_the_one_that_answers(facts: dict[str, Any], unpacked: Path) -> None:
    assert Path(facts["file"]) == unpacked / "ganzoo" / "__init__.py"
    assert facts["version"] == facts["metadata"]
    assert not facts["torch"]


def test_shipped_models_are_found(facts: dict[str, Any]) -> None:
    in_checkout = sorted(path.parent.name for path in (ROOT / "checkpoints").glob("*/config.json"))
    assert in_checkout, "no model ships: train one into checkpoints/"
    assert [entry["name"] for entry in facts["models"] if entry["status"] == "shipped"] == in_checkout


def test_the_catalogue_is_found(facts: dict[str, Any]) -> None:
    listed = {entry["name"] for entry in facts["models"] if entry["status"] in ("hosted", "convert", "planned")}
    assert listed, "catalogue.toml lists models that do not ship"
    assert set(facts["info"]) >= listed


def test_families_are_found(facts: dict[str, Any]) -> None:
    in_checkout = sorted(path.stem for path in (ROOT / "src/ganzoo/families").glob("[a-z]*"))
    assert facts["families"] == in_checkout


def test_recipes_are_found(facts: dict[str, Any], unpacked: Path) -> None:
    shipped = [entry["name"] for entry in facts["models"] if entry["status"] == "shipped"]
    for name in shipped:
        recipe = facts["info"][name]["recipe"]  # recipes/<family>/<dataset>.yaml
        assert (unpacked / "ganzoo" / recipe).is_file(), f"{name} says that it was trained by {recipe}"


def test_a_recipe_is_found_from_an_empty_folder(unpacked: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ganzoo", "train", "recipes/dcgan/digits.yaml", "--dry-run"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(unpacked), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "generator" in done.stdout


def test_a_shipped_model_samples(facts: dict[str, Any], unpacked: Path, tmp_path: Path) -> None:
    names = [entry["name"] for entry in facts["models"] if entry["status"] == "shipped" and entry["resolution"]]
    assert names, "no model of images ships: train one into checkpoints/"
    name = names[0]
    drawn = ask(
        unpacked,
        tmp_path,
        f"""
import json
import ganzoo
images = ganzoo.load({name!r}).sample(3, seed=0)
print(json.dumps({{
    "file": ganzoo.__file__,
    "shape": list(images.shape),
    "dtype": str(images.dtype),
    "low": images.min().item(),
    "high": images.max().item(),
    "distinct": len(images.flatten(1).unique(dim=0)),
}}))
""",
    )
    resolution = facts["info"][name]["resolution"]
    assert Path(drawn["file"]).is_relative_to(unpacked)
    assert len(drawn["shape"]) == 4 and drawn["shape"][0] == 3 and drawn["shape"][2:] == [resolution] * 2
    assert drawn["dtype"] == "torch.float32"
    assert -1 <= drawn["low"] < drawn["high"] <= 1 and drawn["distinct"] == 3
