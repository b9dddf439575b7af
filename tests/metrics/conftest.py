from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features of real images are kept in a folder of the test's own, so that every test computes what it compares."""
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
