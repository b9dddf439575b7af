"""`ganzoo train`: a recipe becomes a model."""

from __future__ import annotations

import shlex
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo.types import BadArgument, GanzooError, reason

if TYPE_CHECKING:
    from ganzoo.training.timing import Timing
    from ganzoo.zoo.runs import Plan

HELP = "train a model from a recipe"
SECONDS = 20.0  # that a dry run may take for its timing

_USAGE = """usage: ganzoo train RECIPE [--dry-run] [--SECTION.KEY VALUE ...]
       ganzoo train RUN --resume [--SECTION.KEY VALUE ...]

Trains what a recipe says. A recipe is a YAML file; every key of it can be set anew on the command line.

  RECIPE             a file, or the name of one that ganzoo brings, such as dcgan/digits
  RUN                the folder of a run, which holds its recipe
  --dry-run          print the resolved recipe, the networks' sizes and an estimate of the time; train nothing
  --resume           go on with the run in the folder, as it began; how long, on what and what is shown may change
  --help             this text; with a RECIPE, every key of its sections

sections:
  model              the family (class_path) and its arguments (init_args)
  data               the data source and its arguments
  init_from          a model to start every player from: fine-tuning; {generator: MODEL} for one network alone
  engine             seed, accumulate, clip, warmup, decay, average, compile, log_every
  adapt              freeze, freeze_critic, rank, augment, apa, lecam, consistency, top_k, r1, ...: fitting to few data
  watch              rollback, slower: back to the last good checkpoint when a run fails
  run                folder, previews, saving, logger (wandb or tensorboard), protocols to score at the end
  trainer            Lightning's Trainer: max_steps (generator updates), precision, devices, ...

examples:
  ganzoo train recipes/dcgan/digits.yaml
  ganzoo train dcgan/fashion-mnist --trainer.max_steps 2000 --run.folder runs/short
  ganzoo train runs/short --resume --trainer.max_steps 4000
  ganzoo train dcgan/finetune-folder --data.init_args.root photos/
  torchrun --nproc-per-node 8 -m ganzoo train wgan_gp/fashion-mnist

A recipe can name the classes of ganzoo, and Lightning's callbacks, loggers and their like; nothing else is imported,
unless GANZOO_IMPORT names your own modules: their families and data sources can then be used as well.

A run writes into its folder: recipe.yaml, which says all of it; last.ckpt to go on from, and previous.ckpt; the model
folder last, log.jsonl, previews/, reals.png.
ctrl-C lets the batch finish, saves, and says how to go on."""


def run_raw(given: list[str]) -> int:
    """Reads the recipe and the overrides, and trains."""
    if not given or (given[0] in ("-h", "--help") and len(given) == 1):
        print(_USAGE)
        return 0 if given else 2
    target, rest = given[0], given[1:]
    if target.startswith("-"):
        raise BadArgument(f"a recipe is expected before {target}; `ganzoo train --help` shows an example")
    if "-h" in rest or "--help" in rest:
        print(explain(target, [word for word in rest if word not in ("-h", "--help", "--dry-run", "--resume")]))
        return 0
    flags = {flag: flag in rest for flag in ("--dry-run", "--resume")}
    from ganzoo.zoo.runs import plan_of

    plan = plan_of(target, [word for word in rest if word not in flags], resume=flags["--resume"])
    if flags["--dry-run"]:
        describe(plan)
        return 0
    return train(plan)


def train(plan: Plan) -> int:
    """Trains, measures and pushes, and says so; 130 when a person interrupted."""
    from ganzoo.training.run import Interrupted

    try:
        trained = plan.train()
    except Interrupted as stopped:
        if stopped.main:
            again = shlex.join(["ganzoo", "train", str(stopped.folder), "--resume"])
            print(f"\ninterrupted at step {stopped.step}, saved; go on with: {again}", flush=True)
        return 130
    if not trained.main:
        return 0
    print(f"trained {trained.steps} steps on {trained.images_seen} images; the model is in {trained.model}")
    if plan.run.protocols:
        from ganzoo.cli.evaluate import bar, table

        with bar() as progress:
            found = plan.score(trained, progress)
        table(found)
    _explain(trained.folder)
    url = plan.push()
    if url is not None:
        print(f"pushed to {url}")
    return 0


def _explain(folder: Path) -> None:
    """Writes the run's page; a run is worth more than that."""
    from ganzoo.training.report import report

    try:
        print(f"how it went: {report(folder)}")
    except (GanzooError, OSError) as error:
        print(f"ganzoo: the report was not written: {reason(error)}", file=sys.stderr)


def explain(target: str, words: list[str]) -> str:
    """The keys of a recipe's family and data, of the engine and of the run, with their values and what they mean."""
    from ganzoo.zoo.recipes import keys

    width = 28
    lines = [f"usage: ganzoo train {target} [--KEY VALUE ...]"]
    for title, entries in keys(target, words).items():
        lines += ["", f"{title}:"]
        for key, value, meaning in entries:
            name = f"  --{key} "
            text = textwrap.wrap(f"{meaning} [{value}]".strip(), 120 - width - 2, break_long_words=False)
            first = [f"{name:<{width}}{text[0]}"] if len(name) < width else [name.rstrip(), " " * width + text[0]]
            lines += [*first, *(" " * width + rest for rest in text[1:])]
    return "\n".join(
        [*lines, "", "and trainer.KEY, for every option of Lightning's Trainer, such as --trainer.devices 2"]
    )


def describe(plan: Plan) -> None:
    """Prints the resolved recipe, the networks' sizes and an estimate of the time."""
    import yaml

    from ganzoo.training.run import new_trainer, quiet
    from ganzoo.training.timing import time_step

    with quiet():
        world = new_trainer(plan.trainer, plan.folder).world_size
    print(yaml.safe_dump(plan.table, sort_keys=False, allow_unicode=True))
    for name in plan.game.networks():
        network = getattr(plan.game, name)
        print(f"# {name}: {sum(p.numel() for p in network.parameters()):,} parameters")
    batch = plan.data.batch_size
    print(f"# batch: {batch} a process on {world} process{'es' if world > 1 else ''}, {batch * world} in all")
    print(f"# timing: steps on this machine, for {SECONDS:.0f} s at most; nothing is written", flush=True)
    trainer = plan.table["trainer"]
    with quiet():
        timing = time_step(plan.game, plan.data, trainer["accelerator"], trainer["precision"], SECONDS)
    print(f"# time: {_estimate(timing, trainer['max_steps'])}")


def _estimate(timing: Timing, steps: int) -> str:
    """What a person wants to know of a timing."""
    if timing.seconds is None:
        return f"not one step was done in {SECONDS:.0f} s, here and now"
    least = "" if timing.whole else "at least "
    whole = (
        f"about {_duration(timing.seconds * steps)} for {steps} steps" if steps > 0 else "without end (max_steps is -1)"
    )
    rest = "" if timing.whole else "; not every kind of step came in time, such as a lazy penalty's"
    return f"{least}{timing.seconds * 1e3:.0f} ms a step here and now, {whole}{rest}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
