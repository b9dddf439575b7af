"""A PyTorch Lightning model zoo of generative adversarial networks with pretrained checkpoints.

    import ganzoo

    model = ganzoo.load("dcgan-fashion-mnist")
    images = model.sample(16, seed=0)
    ganzoo.save_grid(images, "grid.png")

The public names are loaded when they are first used; importing the package does not import torch.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's, whose import would be most of the time that importing this package takes

if TYPE_CHECKING:
    from typing import Any

    from ganzoo.api import convert as convert
    from ganzoo.api import create as create
    from ganzoo.api import evaluate as evaluate
    from ganzoo.api import families as families
    from ganzoo.api import info as info
    from ganzoo.api import load as load
    from ganzoo.api import models as models
    from ganzoo.api import pull as pull
    from ganzoo.api import push as push
    from ganzoo.api import verify as verify
    from ganzoo.data.pictures import save_grid as save_grid
    from ganzoo.data.pictures import to_pil as to_pil
    from ganzoo.types import GanzooError as GanzooError

__version__ = "0.1.0"

_PUBLIC = {
    **dict.fromkeys(
        ("convert", "create", "evaluate", "families", "info", "load", "models", "pull", "push", "verify"), "ganzoo.api"
    ),
    **dict.fromkeys(("save_grid", "to_pil"), "ganzoo.data.pictures"),
    "GanzooError": "ganzoo.types",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'ganzoo' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
