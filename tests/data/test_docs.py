"""What docs/data.md and docs/translation.md say of the sources' options."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ganzoo.data import source, sources

DOCS = Path(__file__).resolve().parents[2] / "docs"


def options() -> list[tuple[str, dict[str, Any]]]:
    """The sources that the pages' YAML configures, in order; a block without a class goes on with the last one's."""
    found = []
    for page in ("data.md", "translation.md"):
        name = ""
        for block in re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text(), re.DOTALL):
            name = (re.findall(r"class_path: (\w+)", block) or [name])[0]
            if "class_path" in block:
                found.append((name, yaml.safe_load(block)["data"]["init_args"]))
            else:
                found += [(name, yaml.safe_load(line)["init_args"]) for line in block.splitlines()]
    return found


def test_every_option_that_is_shown_exists() -> None:
    shown = options()
    assert {name for name, _ in shown} == {"Folder", "TorchVision", "HuggingFace", "Pairs", "Unpaired"} and len(
        shown
    ) > 8
    for name, arguments in shown:
        assert arguments.keys() <= set(inspect.signature(source(name)).parameters), name


@pytest.mark.parametrize("name", sources())
def test_every_source_is_in_the_table(name: str) -> None:
    assert f"`{name}`" in (DOCS / "data.md").read_text().partition("\nEvery source")[0]
