"""Lets the tests of this directory find the hub, and gives them one."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hub_server import Hub


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A running hub with an empty data folder."""
    with Hub(tmp_path / "hub") as running:
        yield running
