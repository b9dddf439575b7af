"""Pushing the best model of a run when training ends."""

from collections.abc import Callable
from pathlib import Path

import lightning as L

from ganzoo import folder as folders
from ganzoo.training.saving import FOLDER
from ganzoo.training.scores import BEST
from ganzoo.types import HubError


def best_of(run: Path) -> Path:
    """The model folder of a run that is worth keeping: the best by its score, or the last where none was measured."""
    return run / BEST if (run / BEST / folders.MANIFEST).is_file() else run / FOLDER


class PushBest(L.Callback):
    """Pushes the best model folder of a run when training ends; it must stand after the callbacks that save.

    Args:
        folder: of the run.
        push: is given the model folder, such as `functools.partial(ganzoo.push, repo_id="me/my-gan", license="mit")`.
    """

    def __init__(self, folder: Path, push: Callable[[Path], object]) -> None:
        self.folder, self.push = folder, push

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Pushes, on the first rank."""
        if trainer.is_global_zero:
            push_best(self.folder, self.push)


def push_best(folder: Path, push: Callable[[Path], object]) -> object:
    """Pushes the best model of a run's folder and gives what `push` gives.

    Raises:
        HubError: if that fails; a run that took days says where its model is.
    """
    model = best_of(folder)
    try:
        return push(model)
    except HubError as error:
        raise HubError(f"{error}; the model is safe in {model}, and `ganzoo push {model}` sends it later") from None
