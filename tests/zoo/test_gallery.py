"""The gallery has one row a family, and says what the families' files and the models' folders say."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hub_tools import model_files, write_files

from ganzoo import folder as checkpoint
from ganzoo.game import registry
from ganzoo.types import BadModelFolder
from ganzoo.zoo import gallery


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a small and a larger DCGAN, and no other model."""
    monkeypatch.setattr("ganzoo.files.resource_folder", lambda kind: tmp_path / kind)
    score = {"key": "fd10k_digits_cnn", "value": 1.23456}
    training = {"training": {"recipe": "dcgan/two.yaml"}}
    for name, size, more in (("dcgan-small", 8, {}), ("dcgan-large", 32, {"images_per_second": 1234.5, **training})):
        facts: dict[str, Any] = {"shape": [1, size, size], "name": name, **more}
        files = {**model_files(**facts), checkpoint.RESULTS: json.dumps([score, {"key": "broken"}]).encode()}
        write_files(tmp_path / "checkpoints" / name, files)
    (tmp_path / "recipes" / "dcgan").mkdir(parents=True)
    (tmp_path / "recipes" / "wgan").mkdir()
    for name in ("dcgan/one.yaml", "dcgan/two.yaml", "wgan/only.yaml"):
        (tmp_path / "recipes" / name).touch()
    return tmp_path


def line(text: str, title: str) -> str:
    [found] = [row for row in text.splitlines() if row.startswith(f"| [{title}](")]
    return found


def test_every_family_has_a_row_and_its_formulas_are_those_of_its_file() -> None:
    rows = gallery.rows()
    assert [row.name for row in sorted(rows, key=lambda row: row.name)] == registry.list_families()
    assert [row.year for row in rows] == sorted(row.year for row in rows)
    text = gallery.render()
    for row in rows:
        lesson = " ".join((sys.modules[row.cls.__module__].__doc__ or "").split())
        assert row.formula, f"{row.name}: give register the formula of each player's loss"
        for formula in row.formula:
            assert formula in lesson, f"{row.name}: {formula} is not in the module's docstring"
            assert f"`{formula}`".replace("|", "\\|") in line(text, row.method)


def test_tasks_are_the_models(root: Path) -> None:
    assert "2016<br>" not in gallery.render()
    for name, task in (("dcgan-small", "conditional"), ("dcgan-large", "unconditional")):
        path = root / "checkpoints" / name / checkpoint.CONFIG
        path.write_text(json.dumps({**json.loads(path.read_text()), "task": task}))
    assert "<br>2016, conditional, unconditional | " in line(gallery.render(), "DCGAN")


def test_a_row_shows_the_largest_shipped_model(root: Path) -> None:
    found = line(gallery.render(), "DCGAN")
    for part in (
        "`L_G = -E log D(G(z))`<br>`z ~ U[-1, 1]^100`",
        'href="../checkpoints/dcgan-large/README.md"><img src="../checkpoints/dcgan-large/samples.png"',
        "[dcgan-large](../checkpoints/dcgan-large/README.md)<br>[dcgan-small](../checkpoints/dcgan-small/README.md)",
        "| `fd10k_digits_cnn` 1.235 | 1,234 | [dcgan/two.yaml](../recipes/dcgan/two.yaml) |",
    ):
        assert part in found, part


def test_a_family_without_a_model_or_recipe_has_a_row_too(root: Path) -> None:
    text = gallery.render()
    assert line(text, "WGAN").endswith("|  |  |  | [wgan/only.yaml](../recipes/wgan/only.yaml) |")
    assert line(text, "GAN").endswith("|  |  |  |  |")
    columns = {row.replace("\\|", "").count("|") for row in text.splitlines() if row.startswith("|")}
    assert columns == {8}


def test_an_unreadable_folder_is_named(root: Path) -> None:
    (root / "checkpoints" / "dcgan-small" / checkpoint.CONFIG).write_bytes(b"{")
    with pytest.raises(BadModelFolder, match=r"dcgan-small.config\.json"):
        gallery.render()
