"""A run: a game is trained on data into a folder, which holds all that is needed to go on.

- `recipe.yaml`: the run, resolved and complete; written once.
- `changes.jsonl`: what was changed where the run went on, a line each time.
- `last.ckpt`: everything to go on from; `previous.ckpt`, the one before, in case the last is damaged.
- `last`: the model folder of the same step; `best`, where a score is measured while training.
- `log.jsonl`: losses and the like. `scores.png`, `reals.png` and `previews` show the run.
"""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities import rank_zero_only

from ganzoo import folder as folders
from ganzoo.data.batch import Data, Images
from ganzoo.game.adaptation import Adapt
from ganzoo.game.game import Game
from ganzoo.schema import Positive, check_ranges
from ganzoo.training import checkpoints, record, saving
from ganzoo.training.checkpoints import GOOD, LAST, PREVIOUS, WAITING, AtomicIO, Found
from ganzoo.training.doctor import Doctor, Relapse, Watching
from ganzoo.training.options import checked, for_trainer
from ganzoo.training.previews import Previews
from ganzoo.training.pushing import best_of
from ganzoo.training.reports import LOG, Bar, JsonLines, Patient, cut_log
from ganzoo.training.saving import FOLDER, Saver
from ganzoo.training.scores import Scores
from ganzoo.training.watch import Watch
from ganzoo.types import BadArgument, Diverged, TrainingStopped, check_strict

_LAUNCH = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # what a launch of ranks sets


@dataclass
class Run:
    """Where a run writes, and what it shows.

    Args:
        folder: of the run; `runs/<name>` where None.
        name: of the model; the recipe's where None.
        license: of the trained weights, an SPDX identifier; None until somebody chooses one.
        preview_every: generator updates between two pictures of samples.
        save_every: generator updates between two saves.
        logger: besides log.jsonl, which is always written.
        storage: float16 stores what inference needs in 16 bits; the players stay as they are.
        score: a protocol to measure while training, such as `fd2k_digits_cnn`; the best model by it is kept in `best`.
        score_every: images between two measurements.
        protocols: scores to measure when training ends, such as `fd10k_mobilenet_v2`.
        push: where on the Hub the best model goes when training ends: `org/name[@tag]`; needs a license.
    """

    folder: str | None = None
    name: str | None = None
    license: str | None = None
    preview_every: Positive = 500
    save_every: Positive = 1000
    logger: Literal["wandb", "tensorboard"] | None = None
    storage: Literal["float32", "float16"] = "float32"
    score: str | None = None
    score_every: Positive = 100_000
    protocols: list[str] = field(default_factory=list)
    push: str | None = None

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if self.push is not None and not self.license:
            raise BadArgument(f"run.push is {self.push!r} and run.license is not given; say under which license")
        check_ranges(type(self), vars(self), "run.")


@dataclass(frozen=True)
class Trained:
    """What a run has come to.

    Args:
        folder: of the run.
        model: the model folder in it that is worth keeping.
        steps: generator updates in all.
        images_seen: real images in all.
        main: whether this process is the first rank, to which prints and what follows belong.
    """

    folder: Path
    model: Path
    steps: int
    images_seen: int
    main: bool = True


class Interrupted(KeyboardInterrupt):
    """A person or the system stopped a run, which was saved and can go on.

    Attributes:
        folder: of the run.
        step: generator updates until then.
        main: whether this process is the first rank.
    """

    def __init__(self, folder: Path, step: int, main: bool) -> None:
        super().__init__(f"interrupted at step {step}, saved; ganzoo.train({str(folder)!r}, resume=True) goes on")
        self.folder, self.step, self.main = folder, step, main


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps Lightning's notices and the warnings of other libraries, which are for programmers, to itself."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(max(level, logging.WARNING))
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"(lightning|torch)\b")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@quiet()
def train(
    game: Game,
    data: Data,
    folder: Path,
    *,
    run: Run,
    recipe: dict[str, Any],
    watching: Watching | None = None,
    changes: Mapping[str, Any] | None = None,
    origin: str | None = None,
    resume: bool = False,
    **trainer: Any,
) -> Trained:
    """Trains a game, saves it, and shows how it goes. Every rank calls it.

    Args:
        game: to train, from the weights that it has; its `engine` says how.
        data: to train on.
        folder: of the run.
        run: what is shown, saved and measured.
        recipe: the whole run as `recipe.yaml` keeps it.
        watching: what is done about a run that fails.
        changes: what differs from the run as it was, where it goes on; by whole keys.
        origin: the name of the recipe it was made of, for `config.json`.
        resume: whether to go on with the run in the folder.
        **trainer: of Lightning's Trainer.

    Raises:
        BadArgument: before anything is written, for what cannot be trained, or a folder with a run, or without one.
        TrainingStopped: if training cannot go on; the last save stays.
        Interrupted: on ctrl-C and the system's signals, after saving.
    """
    options = checked(trainer)
    recipe["trainer"]["precision"] = options["precision"]
    images = data.open("train")
    game.check_data(images)
    found = _opened(folder, resume)
    facts = _facts(recipe, run, data, images, found.facts if found else {}, origin)
    if found is not None:
        _check_content(found, images)
        if found.complaint is not None and _main():
            warnings.warn(f"{found.complaint}; going on from {found.path.name}, of step {found.step}", stacklevel=1)
        if 0 <= options["max_steps"] <= found.step:
            return _finished(game, data, folder, found, facts, changes)
    watching = watching or Watching()
    scores = [] if run.score is None else [Scores(folder, run.score, run.score_every, facts)]
    while True:
        try:
            return _attempt(game, data, folder, run, recipe, watching, changes, facts, found, options, scores)
        except Relapse as relapse:
            failed = str(relapse)
        except Diverged as stopped:
            if not watching.rollback:
                raise
            failed = str(stopped)
        changes, found = _back(game, folder, watching, failed)
        facts["training"]["engine"] |= {"offset": game.engine.offset, "slowed": game.engine.slowed}


def _back(game: Game, folder: Path, watching: Watching, why: str) -> tuple[dict[str, Any], Found]:
    """Makes the last good checkpoint the last one, to go on from with other random numbers and slower.

    Raises:
        TrainingStopped: where there is none, or the run went back as often as it may.
    """
    if game.engine.offset >= watching.rollback:
        raise TrainingStopped(f"{why}; the run went back {game.engine.offset} times, as often as watch.rollback allows")
    if not (folder / GOOD).exists():
        raise TrainingStopped(
            f"{why}; there is no good checkpoint to go back to yet; lower run.save_every, or the rates"
        )
    game.engine.offset += 1
    game.engine.slowed *= watching.slower
    for name in (LAST, PREVIOUS):
        checkpoints.keep(folder / GOOD, folder / name)
    found = checkpoints.newest(folder)
    assert found is not None
    (folder / WAITING).unlink(missing_ok=True)  # of what failed
    game.forget()
    if (folder / LOG).exists():
        cut_log(folder / LOG, found.step)  # what failed is no past of what comes next
    if _main():
        say = f"back to step {found.step}, with offset {game.engine.offset} of the random streams"
        print(f"{say} and rates times {game.engine.slowed:g}: {why}", flush=True)
    return {"engine.offset": game.engine.offset, "engine.slowed": game.engine.slowed}, found


def _attempt(
    game: Game,
    data: Data,
    folder: Path,
    run: Run,
    recipe: dict[str, Any],
    watching: Watching,
    changes: Mapping[str, Any] | None,
    facts: dict[str, Any],
    found: Found | None,
    options: dict[str, Any],
    scores: list[Scores],
) -> Trained:
    """Trains until the end, or until it fails."""
    saver = Saver(folder, run.save_every, facts, recipe, changes, found)
    made = new_trainer(options, folder)
    if watching.rollback and made.world_size > 1:
        raise BadArgument(
            f"watch.rollback is {watching.rollback}, which one process can have, and there are {made.world_size}; "
            "set trainer.devices to 1"
        )
    bar = [] if made.progress_bar_callback is not None else [Bar(run.name or folder.name, str(folder))]
    doctor = Doctor(folder, run.preview_every, watching)
    made.callbacks += [Previews(folder, run.preview_every), doctor, *scores, saver, *bar]  # type: ignore[attr-defined]
    others = [Patient(logger) for logger in (*_loggers(run, folder), *made.loggers)]
    made.loggers = [JsonLines(folder, -1 if found is None else found.step), *others]
    _fit(made, game, data, folder, found)
    trained = Trained(folder, best_of(folder), made.global_step, game.images_seen, made.is_global_zero)
    if saver.interrupted:
        raise Interrupted(folder, trained.steps, trained.main)
    return trained


def _opened(folder: Path, resume: bool) -> Found | None:
    """The checkpoint to go on from; None for a run that begins."""
    if not resume:
        if any((folder / name).exists() for name in (LAST, PREVIOUS)):
            raise BadArgument(f"{folder} already holds a run; go on with --resume, or give another --run.folder")
        return None
    folders.settle(folder / FOLDER)
    found = checkpoints.newest(folder)
    if found is None:
        raise BadArgument(f"{folder} holds no {LAST} to go on from; leave --resume out")
    return found


def _check_content(found: Found, images: Images) -> None:
    """Refuses to go on with a run on other data than it began with."""
    recorded = found.facts.get("data", {}).get("digest")
    if recorded is not None and recorded != images.digest:
        raise BadArgument(
            f"the data {images.name} are not those that the run began with (sha256 {images.digest[:12]}... where it "
            f"had {recorded[:12]}...); give their folder, or begin another run with --init_from"
        )


def _facts(
    recipe: Mapping[str, Any], run: Run, data: Data, images: Images, before: Mapping[str, Any], origin: str | None
) -> dict[str, Any]:
    """What `config.json` says of the run."""
    return {
        "name": run.name,
        "license": run.license,
        "storage": run.storage,
        "data": {
            "source": str(recipe["data"]["class_path"]).rpartition(".")[2],
            "arguments": recipe["data"]["init_args"],
            "split": "train",
            "name": images.name,
            "license": images.license,
            "samples": len(images),
            "digest": images.digest,
        },
        "training": {
            "recipe": before.get("training", {}).get("recipe", origin),
            "init_from": recipe.get("init_from"),
            "engine": {key: value for key, value in recipe["engine"].items() if key != "seed"}
            | {"seed": recipe["seed_everything"]},
            "adapt": {
                key: value for key, value in recipe.get("adapt", {}).items() if value != record.plain(Adapt())[key]
            },
            "batch_size": data.batch_size,
            "precision": recipe["trainer"]["precision"],
            "max_steps": recipe["trainer"]["max_steps"],
        },
    }


def _main() -> bool:
    """Whether this process is the first rank, before there are any."""
    return bool(getattr(rank_zero_only, "rank", 0) == 0)


def _finished(
    game: Game, data: Data, folder: Path, found: Found, facts: dict[str, Any], changes: Mapping[str, Any] | None
) -> Trained:
    """Writes what a kill kept from being written after the last step; there is nothing to train any more."""
    main = _main()
    game.start_averages()
    state = found.table["state_dict"]
    wanted = {key: tuple(value.shape) for key, value in game.state_dict().items()}
    check_strict({key: tuple(value.shape) for key, value in state.items()}, wanted, found.path)
    game.load_state_dict(state)
    game.images_seen = int(found.table["ganzoo"]["images_seen"])
    if main:
        saving.begin(folder, None, changes, found)
        if saving.saved_step(folder / FOLDER) != found.step:
            saving.write_last(game, data, folder, facts, found.step)
    return Trained(folder, best_of(folder), found.step, game.images_seen, main)


def new_trainer(options: Mapping[str, Any], folder: Path) -> L.Trainer:
    """Lightning's Trainer for a run."""
    made, loggers = for_trainer(options, folder)
    try:
        trainer = L.Trainer(**made)
    except (MisconfigurationException, ModuleNotFoundError, RuntimeError, TypeError, ValueError) as error:
        raise BadArgument(f"trainer: {_first_sentence(error)}") from None
    trainer.loggers = loggers
    trainer.strategy.checkpoint_io = AtomicIO()
    return trainer


def _loggers(run: Run, folder: Path) -> list[Any]:
    """The logger that a run asks for besides its own."""
    from lightning.pytorch import loggers

    try:
        if run.logger == "wandb":
            return [loggers.WandbLogger(project="ganzoo", name=run.name, save_dir=folder)]
        if run.logger == "tensorboard":
            return [loggers.TensorBoardLogger(folder, name="tensorboard", version="")]
    except ModuleNotFoundError:
        advice = f"pip install 'lightning-ganzoo[{run.logger}]'"
        raise BadArgument(f"run.logger is {run.logger}, which is not installed; {advice}") from None
    return []


def _fit(trainer: L.Trainer, game: Game, data: Data, folder: Path, found: Found | None) -> None:
    """Lightning's fit, whose ends are told in ganzoo's words."""
    last, watch = folder / LAST, Watch(folder)
    launched = {name: os.environ.get(name) for name in _LAUNCH}
    trainer.callbacks.insert(0, watch)  # type: ignore[attr-defined]
    watch.start(trainer)
    try:
        trainer.fit(game, data, ckpt_path=None if found is None else found.path, weights_only=True)
    except TrainingStopped as stopped:
        raise type(stopped)(f"{stopped} ({last if last.exists() else 'there is none yet'})") from None
    except MisconfigurationException as error:
        raise BadArgument(f"trainer: {_first_sentence(error)}") from None
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):  # Lightning's answer to a second ctrl-C
            raise KeyboardInterrupt from None
        raise
    except Exception:
        if watch.said:  # why
            raise SystemExit(1) from None
        raise
    finally:
        watch.stop()
        for (
            name,
            value,
        ) in launched.items():  # left by Lightning, they make a next run wait for ranks
            os.environ.pop(name, None)
            os.environ |= {} if value is None else {name: value}
    if torch.distributed.is_initialized():  # what follows is one process's work
        torch.distributed.destroy_process_group()


def _first_sentence(error: Exception) -> str:
    """The first sentence of another library's error, on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.split(". ")[0].rstrip(".")[:200]
