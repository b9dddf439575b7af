"""A Hugging Face Space of the page: three small files, to be pushed as they are."""

from __future__ import annotations

from pathlib import Path

from ganzoo import files, folder
from ganzoo.types import VERSION, BadArgument
from ganzoo.zoo import catalogue

_APP = '''"""The page of `ganzoo explore`; written by `ganzoo explore --space`."""

from contextlib import suppress

from ganzoo.app.page import page, theme
from ganzoo.metrics.features.network import feature_network
from ganzoo.types import GanzooError

with suppress(GanzooError):  # 14 MB, fetched once: projections are searched in its features, and are refused without
    feature_network("mobilenet_v2")
page({models!r}).launch(theme=theme(), ssr_mode=False, max_file_size="16mb")
'''

_README = """---
title: ganzoo
sdk: gradio
app_file: app.py
pinned: false
license: apache-2.0
---

Generative adversarial networks to look at, mix, walk through and translate with. Written by `ganzoo explore --space`.
"""


def write_space(target: str | Path, models: list[str]) -> Path:
    """Writes the Space.

    Args:
        target: a new or empty folder.
        models: shown first, beside all that ship.

    Raises:
        BadArgument: for a folder that holds something, or a model that is only on this machine or has no weights.
        UnknownName: for a name that is no model's.
    """
    path = Path(target)
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise BadArgument(f"{path}: something is there already; name a new folder")
    for model in models:
        if not model.startswith("hf://"):
            _check(model)
    for name, text in {
        "app.py": _APP.format(models=models),
        "requirements.txt": f"lightning-ganzoo[app]=={VERSION}\n",
        "README.md": _README,
    }.items():
        with files.atomic(path / name) as part:
            part.write_text(text, encoding="utf-8")
    return path


def _check(model: str) -> None:
    """Whether a Space has what a name or a path stands for here."""
    here = folder.find(model)
    if here is None:
        if catalogue.find(model).status not in ("shipped", "hosted", "convert"):
            raise BadArgument(f"{model} has no published weights, without which a Space shows nothing; leave it out")
    elif here not in folder.shipped_folders().values():
        raise BadArgument(f"{here}: a Space cannot reach this folder; `ganzoo push` it and name hf://org/repo")
