"""The options of Lightning's Trainer: which a run may set, which are ganzoo's own, and why others are refused."""

import os
from collections.abc import Iterable, Mapping
from typing import Any, Final

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from lightning.pytorch.loggers import Logger

from ganzoo import schema
from ganzoo.game.strategy import NAME, launched, parallel
from ganzoo.training import precision
from ganzoo.training.record import plain
from ganzoo.types import BadArgument

DEFAULTS: Final[dict[str, Any]] = {
    "max_steps": 10_000,
    "precision": "32-true",
    "use_distributed_sampler": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "logger": False,
    "num_sanity_val_steps": 0,
}

# What Lightning's Trainer has and a game has not, with what to set instead
_REFUSED: Final = {
    **dict.fromkeys(("max_epochs", "min_epochs"), "training has no epochs; set trainer.max_steps"),
    "min_steps": "ctrl-C and a full disk could not end the run before; set trainer.max_steps",
    "accumulate_grad_batches": "each player accumulates by itself; set engine.accumulate",
    **dict.fromkeys(
        ("gradient_clip_val", "gradient_clip_algorithm"), "each player's gradient is clipped by itself; set engine.clip"
    ),
    "overfit_batches": "the data give batches without end; give data of so few samples",
    "fast_dev_run": "it leaves saving and logging out; use --dry-run, or trainer.max_steps",
    "barebones": "it leaves saving and logging out; time a run with --dry-run",
    "use_distributed_sampler": "the data give each rank its part already",
    "inference_mode": "nothing is validated in training; scores come from run.score",
    "reload_dataloaders_every_n_epochs": "training has no epochs, and data give batches without end",
}
_CHECKED_BELOW: Final = ("accelerator", "callbacks", "logger", "plugins", "precision", "profiler", "strategy")
_STRATEGIES: Final = ("auto", "single_device", NAME, "ddp_find_unused_parameters_true")

# Of Lightning's callbacks, those that a game can have; the others with what to do instead
_CALLBACKS: Final = (
    *("Timer", "ModelCheckpoint", "OnExceptionCheckpoint", "RichProgressBar", "TQDMProgressBar", "ModelSummary"),
    *("RichModelSummary", "LearningRateMonitor", "DeviceStatsMonitor"),
)
_INSTEAD: Final = {
    "EarlyStopping": "a game's losses do not say when it is done; run.score keeps the best model, and Timer ends a run",
    **dict.fromkeys(
        ("StochasticWeightAveraging", "WeightAveraging", "EMAWeightAveraging"),
        "the generator's moving average is engine.average",
    ),
    "GradientAccumulationScheduler": "set engine.accumulate",
    "LambdaCallback": "no recipe can name a function; set GANZOO_IMPORT to your own module, and name a callback of it",
}
_OTHERWISE: Final = "it was made for one optimizer and epochs, and a game has several players and no epochs"


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a run's Trainer.

    Args:
        given: by name; plain values, and objects where the Trainer takes some.

    Raises:
        BadArgument: naming an option that there is not, a value of another type, or what a game cannot have.
    """
    known = schema.parameters(L.Trainer.__init__)
    for name, value in given.items():
        if name not in known or name == "self":
            raise BadArgument(f"there is no key trainer.{name}{schema.near(name, [*known][1:])}")
        if plain(value) == value and name not in _CHECKED_BELOW:
            schema.check(L.Trainer.__init__, name, value, f"trainer.{name}")
        if name in _REFUSED and value != DEFAULTS.get(name, known[name].default):
            raise BadArgument(f"trainer.{name} is {schema.short(value)}; {_REFUSED[name]}")
    options = {**DEFAULTS, **given}
    _check_accelerator(options.get("accelerator", "auto"))
    devices, cores = str(options.get("devices", "auto")), max(os.cpu_count() or 1, 2)
    if devices.isdecimal() and int(devices) > cores and not torch.cuda.is_available():  # each would be a process
        raise BadArgument(f"trainer.devices is {devices}, each of them a process; at most {cores} make sense here")
    steps, strategy = options["max_steps"], options.get("strategy", "auto")
    if steps == 0 or steps < -1:
        raise BadArgument(f"trainer.max_steps is {steps}; at least 1 is expected, or -1 to train until ctrl-C")
    if isinstance(strategy, str) and strategy not in _STRATEGIES:
        one = f"auto is expected, or {NAME}, which reduces one player's gradients at a time"
        raise BadArgument(f"trainer.strategy is {strategy}; {one}")
    check_callbacks(_listed(options.get("callbacks")))
    if options["logger"] is True:
        raise BadArgument("trainer.logger is true; give run.logger wandb or tensorboard, or a logger")
    other = next((each for each in _listed(options["logger"] or []) if not isinstance(each, Logger)), None)
    if other is not None:
        raise BadArgument(f"trainer.logger has {schema.short(other)}, which is no logger")
    options["precision"] = precision.resolve(options["precision"], options.get("accelerator", "auto"))
    return options


def for_trainer(options: Mapping[str, Any], folder: Any) -> tuple[dict[str, Any], list[Any]]:
    """What Lightning's Trainer is made with, and the loggers that are put into it afterwards.

    Several processes get the strategy for games, and callbacks the flags that Lightning wants with them.
    """
    made = dict(options)
    devices, accelerator = made.get("devices", "auto"), made.get("accelerator", "auto")
    if devices == "auto" and (started := launched()) is not None:
        made["devices"], made["num_nodes"] = devices, _ = started
    if made.get("strategy", "auto") == "auto" and parallel(devices, accelerator, made.get("num_nodes", 1)):
        made["strategy"] = NAME
    made["callbacks"] = callbacks = _listed(made.get("callbacks"))
    for flag, kind in (("checkpointing", Checkpoint), ("progress_bar", ProgressBar)):
        made[f"enable_{flag}"] = made[f"enable_{flag}"] or any(isinstance(each, kind) for each in callbacks)
    made["default_root_dir"] = made.get("default_root_dir") or folder
    loggers = [] if isinstance(made["logger"], bool) else _listed(made["logger"])
    return {**made, "logger": False}, loggers


def check_callbacks(callbacks: Iterable[Any]) -> None:
    """Refuses callbacks of Lightning's that a game cannot have."""
    for each in callbacks:
        if not isinstance(each, L.Callback):
            raise BadArgument(f"trainer.callbacks has {schema.short(each)}, which is no callback")
        check_callback(type(each))
        name = type(each).__name__
        monitored = getattr(each, "monitor", None)
        if isinstance(each, Checkpoint) and monitored:
            raise BadArgument(
                f"trainer.callbacks has {name} with monitor {monitored}; losses are no scores: run.score keeps the "
                "best model"
            )


def check_callback(cls: type) -> None:
    """Refuses a class of callbacks that a game cannot have."""
    if cls.__module__.startswith("lightning.") and cls.__name__ not in _CALLBACKS:
        raise BadArgument(f"trainer.callbacks has {cls.__name__}: {_INSTEAD.get(cls.__name__, _OTHERWISE)}")


def _check_accelerator(name: Any) -> None:
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    known = {"auto": True, "cpu": True, "gpu": cuda or mps, "cuda": cuda, "mps": mps}
    if isinstance(name, str) and not known.get(name):
        why = "which is not there" if name in known else "which there is not"
        there = " or ".join(each for each, present in known.items() if present)
        raise BadArgument(f"trainer.accelerator is {name}, {why}; {there} is expected")


def _listed(value: Any) -> list[Any]:
    return [] if value is None else [*value] if isinstance(value, (list, tuple)) else [value]
