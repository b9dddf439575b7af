"""The gallery has one row a family, and says what the families' files and the models' folders say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hub_tools import model_files, write_files

from ganzoo import folder as checkpoint
from ganzoo.game import registry
from ganzoo.types import BadModelFolder
from ganzoo.zoo import gallery

FAMILIES = Path(gallery.__file__).resolve().parents[1] / "families"


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


def test_every_family_has_a_row_with_what_its_registration_says() -> None:
    rows = {row.name: row for row in gallery.rows()}
    files = {path.stem for path in FAMILIES.glob("*.py")} - {"__init__"}
    assert set(rows) == files
    for name, row in rows.items():
        family = registry.family(name)
        said = (row.title, row.idea, row.task, row.year, row.url)
        assert said == (family.title, family.idea, family.task, family.year, family.url)
        assert row.loss, f"{name}.py has no formula in its docstring: indent it by four spaces"
    assert [row.year for row in gallery.rows()] == sorted(row.year for row in rows.values())


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


def test_formulas_are_the_indented_lines() -> None:
    text = "Idea.\n\nWords:\n\n    L_D = a | b        L_G = c,        z ~ N    (eq. 4)\n      + d\n\nMore    words."
    assert gallery.formulas(text) == ("L_D = a | b", "L_G = c", "z ~ N", "+ d")


def test_a_file_that_registers_nothing_is_no_family(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text('"""Words.\n\n    x = 1\n"""\n\nclass Thing:\n    """Nothing."""\n')
    assert gallery.read(tmp_path / "helper.py") is None


def test_an_unreadable_folder_is_named(root: Path) -> None:
    (root / "checkpoints" / "dcgan-small" / checkpoint.CONFIG).write_bytes(b"{")
    with pytest.raises(BadModelFolder, match=r"dcgan-small.config\.json"):
        gallery.render()
