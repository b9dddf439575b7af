"""Scores while training: a named protocol every so many images, its curve, and the best model by it."""

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor

from ganzoo.data.batch import Data
from ganzoo.folder import write_model
from ganzoo.game.abilities import Samples
from ganzoo.game.game import Game
from ganzoo.game.registry import check_arguments, family_of
from ganzoo.media.charts import curve
from ganzoo.metrics.evaluate import check, measure
from ganzoo.metrics.functional.path import Paths
from ganzoo.metrics.protocol import protocol
from ganzoo.metrics.subject import Subject, cannot
from ganzoo.training.reports import say
from ganzoo.training.saving import held_out, unless_full
from ganzoo.types import BadArgument

BEST = "best"


class Scores(L.Callback):
    """Measures the averaged generator every so many real images, keeps the best model in `best`, draws `scores.png`.

    The first number of the protocol decides what is best.

    Where the disk is full, a warning is given; the next model that is better than the one in `best` is kept then.

    Raises:
        BadArgument: for a protocol of which it cannot be said whether more or less is better.
    """

    def __init__(self, folder: Path, key: str, every: int, facts: dict[str, Any]) -> None:
        self.folder, self.every, self.facts = folder, every, facts
        self.protocol = protocol(key)
        if self.protocol.of.better is None:
            raise BadArgument(f"run.score is {key}; a score of which less or more is better is expected")
        self.images: list[int] = []
        self.values: list[float] = []
        self.sign = 1 if self.protocol.of.better == "lower" else -1
        self.kept = math.inf  # the score of the model in `best`, less being better

    def state_dict(self) -> dict[str, Any]:
        """The curve so far."""
        return {"images": list(self.images), "values": list(self.values), "kept": self.kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the curve back."""
        self.images, self.values = list(state_dict["images"]), list(state_dict["values"])
        kept = state_dict.get("kept", min((self.sign * value for value in self.values), default=math.inf))
        self.kept = min(self.kept, kept)  # of the models that a run which went back had, the best stays

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Refuses a protocol that does not suit the model or the data, before there is anything to lose."""
        assert isinstance(pl_module, Game)
        check(subject_of(pl_module), trainer.datamodule, [self.protocol])  # type: ignore[attr-defined]

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
        """Measures when it is time."""
        assert isinstance(pl_module, Game)
        if pl_module.images_seen - (self.images[-1] if self.images else 0) >= self.every:
            self._measure(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measures the last model, unless a person or the system stopped the run, which goes on later."""
        assert isinstance(pl_module, Game)
        interrupted = any(getattr(each, "interrupted", False) for each in trainer.callbacks)  # type: ignore[attr-defined]
        if not interrupted and (not self.images or self.images[-1] != pl_module.images_seen):
            self._measure(trainer, pl_module)

    def _measure(self, trainer: L.Trainer, game: Game) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, Data)
        game.finalize()
        with game.synchronized():
            found = measure(subject_of(game), data, [self.protocol], device=game.device, floors=False)
        key, value = found[0].key, found[0].value
        best = self.sign * value < self.kept
        self.images.append(game.images_seen)
        self.values.append(value)
        for logger in trainer.loggers:
            logger.log_metrics({score.key: score.value for score in found}, step=trainer.global_step)
        if best:
            facts = {**self.facts, "images_seen": game.images_seen, "steps": trainer.global_step}
            with unless_full(self.folder / BEST, "the next better model is kept") as done:
                write_model(game, self.folder / BEST, facts, real=held_out(data))
            self.kept = self.sign * value if trainer.strategy.broadcast(bool(done)) else self.kept
        if trainer.is_global_zero:
            say(f"step {trainer.global_step}: {key} {value:.4g}{', the best so far' if best else ''}")
            if len(self.values) > 1:
                series = {key: (self.images, self.values)}
                with unless_full(self.folder / "scores.png", "the next measurement draws it"):
                    curve(series, self.folder / "scores.png", x_label="images seen", y_label=key)


def subject_of(game: Game) -> Subject:
    """What a model can do, as metrics see it."""

    def sample(n: int, *, view: int | None = None, **named: Any) -> Tensor:
        return game.sample(n, **named, **({} if view is None else {"domain": view}))

    def untrained() -> Callable[..., Tensor]:
        entry = family_of(type(game))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            fresh: Game = entry.cls(**check_arguments(entry, game.arguments))
        return fresh.to(game.device).eval().translate

    def live() -> Callable[..., Tensor]:
        twin = copy.deepcopy(game)
        twin._averages.clear()
        return twin.sample

    samples, translates = (name in game.abilities for name in ("samples", "translates"))
    return Subject(
        sample=sample if samples else cannot,
        translate=getattr(game, "translate", cannot),
        depict=getattr(game, "depict", cannot),
        upscale=getattr(game, "upscale", cannot),
        reduce=getattr(game, "reduced", cannot),
        bicubic=getattr(game, "interpolated", cannot),
        encode=getattr(game, "encode", cannot),
        reconstruct=getattr(game, "reconstruct", cannot),
        classify=getattr(game, "classify", cannot),
        classes=game.classes,
        labelled=game.labelled,
        domains=getattr(game, "domains", ()),
        crops=getattr(game, "crops", cannot),
        styles=getattr(game, "in_styles", False),
        back=getattr(game, "back", None),
        views=getattr(game, "views", 1),
        live=live if samples else cannot,
        untrained=untrained if translates else cannot,
        paths=(lambda: paths_of(game)) if samples else cannot,
    )


def paths_of(game: Game) -> Paths:
    """The latents that a path length runs through: z, and w where the family maps z to one; noise inputs are constant.

    Raises:
        BadArgument: for a conditional model, of which no path length is defined here: its paths would cross classes.
    """
    if game.classes is not None:
        raise BadArgument(f"path lengths (ppl) are of unconditional models, and {type(game).__name__} has classes")

    assert isinstance(game, Samples)

    def latents(m: int, first: int) -> Tensor:
        return game.draw(range(first, first + m))[0].to(game.device)

    def synthesize(z: Tensor) -> Tensor:
        with game.inferring():
            return game(z)

    mapping, synthesize_w = (getattr(game, name, None) for name in ("map", "synthesize"))
    if mapping is None or synthesize_w is None:
        return Paths(latents, synthesize)
    return Paths(latents, lambda z: synthesize_w(mapping(z)), mapping, synthesize_w)
