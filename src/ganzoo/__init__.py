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

    from ganzoo import latent as latent
    from ganzoo.folder import save as save
    from ganzoo.game.registry import list_families as list_families
    from ganzoo.media.images import to_pil as to_pil
    from ganzoo.media.medium import save_grid as save_grid
    from ganzoo.types import GanzooError as GanzooError
    from ganzoo.zoo.catalogue import info as info
    from ganzoo.zoo.catalogue import list_models as list_models
    from ganzoo.zoo.converting import convert as convert
    from ganzoo.zoo.evaluating import evaluate as evaluate
    from ganzoo.zoo.exporting import export as export
    from ganzoo.zoo.hub import pull as pull
    from ganzoo.zoo.loading import create as create
    from ganzoo.zoo.loading import load as load
    from ganzoo.zoo.runs import train as train
    from ganzoo.zoo.sharing import push as push
    from ganzoo.zoo.sharing import verify as verify

_HOME = {
    "GanzooError": "ganzoo.types",
    "__version__": "ganzoo.types",
    "convert": "ganzoo.zoo.converting",
    "create": "ganzoo.zoo.loading",
    "evaluate": "ganzoo.zoo.evaluating",
    "export": "ganzoo.zoo.exporting",
    "info": "ganzoo.zoo.catalogue",
    "list_families": "ganzoo.game.registry",
    "list_models": "ganzoo.zoo.catalogue",
    "load": "ganzoo.zoo.loading",
    "pull": "ganzoo.zoo.hub",
    "push": "ganzoo.zoo.sharing",
    "save": "ganzoo.folder",
    "save_grid": "ganzoo.media.medium",
    "to_pil": "ganzoo.media.images",
    "train": "ganzoo.zoo.runs",
    "verify": "ganzoo.zoo.sharing",
}

_ROOMS = ("latent",)  # whole rooms, reached by their own names

__all__ = sorted([*(name for name in _HOME if name != "__version__"), *_ROOMS])


def __getattr__(name: str) -> Any:
    if name not in _HOME and name not in _ROOMS:
        raise AttributeError(f"module 'ganzoo' has no attribute {name!r}")
    import importlib

    if name in _ROOMS:
        return importlib.import_module(f"ganzoo.{name}")
    return getattr(importlib.import_module(_HOME[name]), "VERSION" if name == "__version__" else name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, *_ROOMS})
