"""`ganzoo train`: a recipe becomes a model."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ganzoo.cli import _wording, import_own
from ganzoo.types import BadArgument, BadData, TrainingStopped

if TYPE_CHECKING:
    from ganzoo.data.batch import Images
    from ganzoo.game.game import Game

HELP = "train a model from a recipe"

# Whose classes a recipe may name
_CLASSES = (
    "ganzoo.families",
    "ganzoo.data",
    "ganzoo.training",
    "lightning.pytorch.callbacks",
    "lightning.pytorch.loggers",
    "lightning.pytorch.profilers",
    "lightning.pytorch.strategies",
    "lightning.pytorch.plugins",
)

_USAGE = """usage: ganzoo train RECIPE [--dry-run] [--resume] [--SECTION.KEY VALUE ...]

Trains what a recipe says. A recipe is a YAML file; every key of it can be set anew on the command line.

  RECIPE             a file, or the name of one that ganzoo brings, such as dcgan/digits
  --dry-run          print the resolved recipe, the networks' sizes and an estimate of the time; train nothing
  --resume           go on with the run in the recipe's folder
  --help             this text; with a RECIPE, every key of its sections

sections:
  model              the family (class_path) and its arguments (init_args)
  data               the data source and its arguments
  init_from          a model to start every player from: fine-tuning
  engine             seed, accumulate, clip, warmup, decay, average, compile, log_every
  run                folder, previews, saving, logger (wandb or tensorboard), protocols to score at the end
  trainer            Lightning's Trainer: max_steps (generator updates), precision, devices, ...

examples:
  ganzoo train recipes/dcgan/digits.yaml
  ganzoo train dcgan/fashion-mnist --trainer.max_steps 2000 --run.folder runs/short
  ganzoo train dcgan/finetune-folder --data.init_args.root photos/
  torchrun --nproc-per-node 8 -m ganzoo train wgan_gp/fashion-mnist

A recipe can name the classes of ganzoo, and Lightning's callbacks, loggers and their like; nothing else is imported,
unless GANZOO_IMPORT names your own modules: their families and data sources can then be used as well.

A run writes into its folder: last.ckpt to go on from, the model folder last, log.jsonl, previews/, reals.png,
recipe.yaml.
ctrl-C lets the batch finish, saves, and says how to go on."""


@dataclass
class Run:
    """Where a run writes, and what it shows.

    Args:
        folder: of the run; `runs/<name>` where None.
        name: of the model; the recipe's `<family>-<file name>` where None.
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
    preview_every: int = 500
    save_every: int = 1000
    logger: Literal["wandb", "tensorboard"] | None = None
    storage: Literal["float32", "float16"] = "float32"
    score: str | None = None
    score_every: int = 100_000
    protocols: list[str] = field(default_factory=list)
    push: str | None = None

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if self.push is not None and not self.license:
            raise BadArgument(f"run.push is {self.push!r} and run.license is not given; say under which license")
        for name in ("preview_every", "save_every", "score_every"):
            if getattr(self, name) < 1:
                raise BadArgument(f"run.{name} is {getattr(self, name)}; at least 1 is expected")


def run_raw(given: list[str]) -> int:
    """Reads the recipe and the overrides, and trains."""
    if not given or (given[0] in ("-h", "--help") and len(given) == 1):
        print(_USAGE)
        return 0 if given else 2
    recipe, rest = given[0], given[1:]
    if recipe.startswith("-"):
        raise BadArgument(f"a recipe is expected before {recipe}; `ganzoo train --help` shows an example")
    path = find_recipe(recipe)
    flags = {flag: flag in rest for flag in ("--dry-run", "--resume")}
    rest = [word for word in rest if word not in flags]
    session = Session(path, rest)
    if flags["--dry-run"]:
        session.describe()
        return 0
    return session.train(resume=flags["--resume"])


def find_recipe(text: str) -> Path:
    """A recipe by its path, or by its name among those that ganzoo brings.

    Raises:
        BadArgument: if there is none; the text names the nearest.
    """
    from ganzoo.files import resource_folder

    path = Path(text)
    if path.is_file():
        return path
    root = resource_folder("recipes")
    brought = {} if root is None else {str(p.relative_to(root).with_suffix("")): p for p in root.glob("*/*.yaml")}
    name = text.removeprefix("recipes/").removesuffix(".yaml")
    if name in brought:
        return brought[name]
    close = difflib.get_close_matches(name, brought, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(sorted(brought))}"
    raise BadArgument(f"there is no recipe {text}; {hint}")


def _start_of(recipe: dict[str, Any], overrides: list[str]) -> list[str]:
    """Where a run starts from a model, words that give that model's arguments, which the recipe then overrides."""
    import json

    from ganzoo.zoo.loading import recipe_of

    source = recipe.get("init_from")
    for place, word in enumerate(overrides):
        if word.partition("=")[0] == "--init_from":
            source = word.partition("=")[2] or "".join(overrides[place + 1 : place + 2])
    if not isinstance(source, str) or source in ("null", ""):
        return []
    title, arguments = recipe_of(source)
    return ["--model", json.dumps({"class_path": title, "init_args": arguments})]


class Session:
    """A recipe with its overrides, resolved, ready to train.

    Args:
        recipe: the YAML file.
        overrides: words of the command line after it.

    Raises:
        BadArgument: for an unknown key or a value of the wrong type: one line with the key, the value and the type.
    """

    def __init__(self, recipe: Path, overrides: list[str]) -> None:
        written = read_recipe(recipe)  # before the imports that take seconds
        _quiet()
        from argparse import ArgumentError

        from jsonargparse import set_parsing_settings
        from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

        from ganzoo import data
        from ganzoo.data.batch import Data
        from ganzoo.game import registry
        from ganzoo.game.engine import Engine
        from ganzoo.game.game import Game
        from ganzoo.game.registry import list_families
        from ganzoo.game.strategy import NAME, launched, parallel
        from ganzoo.zoo.loading import initialise

        for family in list_families():
            registry.family(family)
        for source in data.sources():
            data.source(source)
        # A recipe may come from somebody else: what it names is not imported unless it stands here
        set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=[*_CLASSES, *import_own()])
        parsers: list[LightningArgumentParser] = []

        class _CLI(LightningCLI):
            def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
                parsers.append(parser)
                parser.add_argument("--init_from", type=str | None, default=None, help="a model to start from")
                parser.add_dataclass_arguments(Engine, "engine")
                parser.add_dataclass_arguments(Run, "run")

            def before_instantiate_classes(self) -> None:
                _check_model(self.config.model)
                trainer = self.config.trainer
                started = launched()
                if trainer.devices == "auto" and started is not None:
                    trainer.devices, trainer.num_nodes = started
                if trainer.strategy == "auto" and parallel(trainer.devices, trainer.accelerator, trainer.num_nodes):
                    trainer.strategy = NAME

        def complain(message: str) -> BadArgument:
            keys = parsers[0].get_defaults().keys() if parsers else ()
            return BadArgument(f"{recipe}: {_wording.of_recipe(message, keys)}")

        self.recipe = recipe
        start = _start_of(written, overrides)
        try:
            self.cli = _CLI(
                Game,
                Data,
                subclass_mode_model=True,
                subclass_mode_data=True,
                auto_configure_optimizers=False,
                save_config_callback=None,
                run=False,
                seed_everything_default=0,
                args=[*start, "--config", str(recipe), *overrides],
                parser_kwargs={"exit_on_error": False, "allow_abbrev": False, "prog": "ganzoo train RECIPE"},
                trainer_defaults={
                    "max_steps": 10_000,
                    "use_distributed_sampler": False,
                    "enable_checkpointing": False,
                    "enable_progress_bar": False,
                    "enable_model_summary": False,
                    "logger": False,
                    "num_sanity_val_steps": 0,
                },
            )
        except ArgumentError as error:
            raise complain(error.message) from None
        except BadArgument as error:
            raise BadArgument(f"{recipe}: {error}") from None
        except (TypeError, ValueError, OSError, RuntimeError) as error:
            raise complain(str(error)) from None
        config = self.cli.config_init
        self.config = self.cli.config
        self.game: Game = self.cli.model
        self.data: Any = self.cli.datamodule
        self.run: Run = config.run
        self.game.engine = config.engine
        if self.game.engine.seed not in (0, int(self.config.seed_everything)):
            raise BadArgument(f"{recipe}: engine.seed is {self.game.engine.seed}; set a run's seed by seed_everything")
        if type(self.data).read is Data.read:
            raise BadArgument(f"{recipe}: data is the base class; there are {', '.join(data.sources())}")
        self.game.engine.seed = int(self.config.seed_everything)
        self.name = self.run.name or f"{recipe.parent.name}-{recipe.stem}".replace("_", "-")
        self.folder = Path(self.run.folder or f"runs/{self.name}")
        if self.config.init_from is not None:
            initialise(self.game, self.config.init_from)
        images = self.data.open("train")
        _check_data(recipe, self.game, images)
        self.facts = {
            "name": self.name,
            "license": self.run.license,
            "storage": self.run.storage,
            "data": {
                "source": self.config.data.class_path.rpartition(".")[2],
                "arguments": _plain(self.config.data.init_args),
                "split": "train",
                "name": images.name,
                "license": images.license,
                "samples": len(images),
                "digest": images.digest,
            },
            "training": {
                "recipe": f"{recipe.parent.name}/{recipe.name}",
                "init_from": self.config.init_from,
                "engine": _plain(self.config.engine),
                "batch_size": self.data.batch_size,
                "precision": str(self.config.trainer.precision or "32-true"),
                "max_steps": self.config.trainer.max_steps,
            },
        }

    def train(self, resume: bool) -> int:
        """Trains, saves and scores; 130 when a person interrupted."""
        import torch

        from ganzoo.files import atomic
        from ganzoo.folder import settle
        from ganzoo.training.previews import Previews
        from ganzoo.training.reports import Bar, JsonLines
        from ganzoo.training.saving import FOLDER, LAST, AtomicIO, Saver
        from ganzoo.training.scores import BEST, Scores

        last = self.folder / LAST
        if last.exists() and not resume:
            raise BadArgument(f"{self.folder} already holds a run; go on with --resume, or give another --run.folder")
        if resume and not last.exists():
            raise BadArgument(f"{self.folder} holds no {LAST} to go on from; leave --resume out")
        settle(self.folder / FOLDER)
        self.folder.mkdir(parents=True, exist_ok=True)
        trainer = self.cli.trainer
        saver = Saver(self.folder, self.run.save_every, self.facts)
        scores = []
        if self.run.score is not None:
            scores = [Scores(self.folder, self.run.score, self.run.score_every, self.facts)]
        previews = Previews(self.folder, self.run.preview_every)
        trainer.callbacks += [previews, *scores, saver, Bar()]  # type: ignore[attr-defined]
        after = _step_of(last) if resume else -1
        trainer.loggers = [JsonLines(self.folder, after), *self._loggers()]
        trainer.strategy.checkpoint_io = AtomicIO()
        if trainer.is_global_zero:
            with atomic(self.folder / "recipe.yaml") as part:
                part.write_text(self.cli.parser.dump(self.config, skip_none=False))
            how = "going on" if resume else "training"
            print(f"{how}: {self.name}, {_count(self.game)} parameters, in {self.folder}", flush=True)
        try:
            trainer.fit(self.game, self.data, ckpt_path=last if resume else None, weights_only=True)
        except TrainingStopped as stopped:
            raise TrainingStopped(f"{stopped} ({last if last.exists() else 'there is none yet'})") from None
        if torch.distributed.is_initialized():  # what follows is one process's work; measuring asks all ranks
            torch.distributed.destroy_process_group()
        if not trainer.is_global_zero:
            return 0
        again = f"ganzoo train {self.recipe} --resume --run.folder {self.folder}"
        if saver.interrupted:
            print(f"\ninterrupted at step {trainer.global_step}, saved; go on with: {again}", flush=True)
            return 130
        model = self.folder / (BEST if scores else FOLDER)
        print(f"trained {trainer.global_step} steps on {self.game.images_seen} images; the model is in {model}")
        if self.run.protocols:
            from ganzoo.cli.evaluate import bar, table
            from ganzoo.zoo.evaluating import score

            with bar() as progress:
                found = score(model, self.run.protocols, progress)
            table(found)
        if self.run.push is not None:
            self._push(self.run.push)
        return 0

    def _push(self, where: str) -> None:
        from functools import partial

        from ganzoo.training.pushing import push_best
        from ganzoo.zoo.sharing import push

        repo, _, tag = where.partition("@")
        done: Any = push_best(self.folder, partial(push, repo_id=repo, license=self.run.license, tag=tag or None))
        print(f"pushed to {done['url']}")

    def describe(self) -> None:
        """Prints the resolved recipe, the networks' sizes and an estimate of the time."""
        print(self.cli.parser.dump(self.config, skip_none=False))
        for name in self.game.networks():
            network = getattr(self.game, name)
            print(f"# {name}: {sum(p.numel() for p in network.parameters()):,} parameters")
        world = self.cli.trainer.world_size
        batch = self.data.batch_size
        print(f"# batch: {batch} a process on {world} process{'es' if world > 1 else ''}, {batch * world} in all")
        seconds = self._seconds_a_step()
        steps = self.cli.trainer.max_steps
        print(
            f"# time: {seconds * 1e3:.0f} ms a step, about {_duration(seconds * steps)} for {steps} steps, here and now"
        )

    def _seconds_a_step(self) -> float:
        """Times a few steps of a throw-away run."""
        import time

        import lightning as L

        class Clock(L.Callback):
            ticks: list[float] = []  # noqa: RUF012

            def on_train_batch_end(self, trainer: L.Trainer, *rest: Any) -> None:
                if trainer.global_step > len(self.ticks) - 1:
                    self.ticks.append(time.perf_counter())

        clock = Clock()
        options = {"accelerator": self.config.trainer.accelerator, "precision": self.config.trainer.precision}
        trainer = L.Trainer(
            **options,
            devices=1,
            max_steps=8,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            callbacks=[clock],
        )
        trainer.fit(self.game, self.data)
        return (clock.ticks[-1] - clock.ticks[2]) / (len(clock.ticks) - 3)

    def _loggers(self) -> Iterable[Any]:
        if self.run.logger == "wandb":
            try:
                from lightning.pytorch.loggers import WandbLogger

                return [WandbLogger(project="ganzoo", name=self.name, save_dir=self.folder)]
            except ModuleNotFoundError:
                raise BadArgument("run.logger is wandb, which is not installed; pip install 'ganzoo[wandb]'") from None
        if self.run.logger == "tensorboard":
            try:
                from lightning.pytorch.loggers import TensorBoardLogger

                return [TensorBoardLogger(self.folder, name="tensorboard", version="")]
            except ModuleNotFoundError:
                advice = "pip install 'ganzoo[tensorboard]'"
                raise BadArgument(f"run.logger is tensorboard, which is not installed; {advice}") from None
        return []


def read_recipe(recipe: Path) -> dict[str, Any]:
    """The table that a file holds, if it is a recipe at all.

    Raises:
        BadArgument: if it is no text, no YAML, or no table of keys.
    """
    import yaml

    try:
        value = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise BadArgument(f"{recipe}: not a text file; a recipe is YAML") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f"line {mark.line + 1}: "
        problem = getattr(error, "problem", None) or str(error).split("\n")[0]
        raise BadArgument(f"{recipe}: not YAML: {where}{problem}") from None
    except RecursionError:
        raise BadArgument(f"{recipe}: nested too deeply to be a recipe") from None
    if not isinstance(value, dict) or not (isinstance(value.get("model"), (dict, str)) or value.get("init_from")):
        raise BadArgument(f"{recipe}: not a recipe; it has no key `model`, which says what to train")
    return value


def _check_model(model: Any) -> None:
    """Holds the model's arguments against its family's signature, as `create` and `load` do."""
    from ganzoo.game import registry

    title = model.class_path.rpartition(".")[2]
    entries = [registry.family(name) for name in registry.list_families()]
    entry = next((e for e in entries if f"{e.cls.__module__}.{e.cls.__qualname__}" == model.class_path), None)
    if entry is None:
        raise BadArgument(f"model is {title}, which is not registered; put @register above the class")
    try:
        registry.check_arguments(entry, _plain(model.init_args))
    except BadArgument as error:
        raise BadArgument(str(error).replace(f"{entry.name}: ", "model.", 1)) from None


def _check_data(recipe: Path, game: Game, images: Images) -> None:
    """Holds the training split against what the model learns from.

    Raises:
        BadArgument: for other shapes or another number of classes.
        BadData: for data without the labels or targets that the family needs.
    """
    title = type(game).__name__
    made, given = tuple(game.shape), tuple(images.shape)
    if (game.directions or game.domains > 1) and images.targets is None:
        sources = "Pairs, Unpaired, EmojiPairs or DigitEdges"
        raise BadData(f"{recipe}: {title} learns two domains, and {images.name} has one; give data with two: {sources}")
    if game.only_translates and images.targets is not None:
        pairs = [("images", given, tuple(game.source_shape)), ("targets", images.targets.shape[1:], made)]
        for what, found, wanted in pairs:
            if found != wanted:
                advice = "give both the same size and channels"
                raise BadArgument(f"{recipe}: the data's {what} are {found} and {title} expects {wanted}; {advice}")
    elif given != made:
        raise BadArgument(
            f"{recipe}: the data are {given} and the model makes {made}; give both the same size and channels"
        )
    if game.labelled and images.classes is None:
        raise BadData(f"{recipe}: {title} learns from labels, and {images.name} has none; give data with classes")
    if game.labelled and images.classes is not None and len(images.classes) != game.classes:
        raise BadArgument(
            f"{recipe}: {images.name} has {len(images.classes)} classes and the model {game.classes}; set "
            f"model.init_args.classes to {len(images.classes)}"
        )


def _quiet() -> None:
    """Lightning's notices are for programmers."""
    import logging
    import warnings

    import lightning.pytorch  # noqa: F401  # importing it sets the levels anew

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning.*")
    warnings.filterwarnings("ignore", message=".*isinstance.treespec.*")


def _plain(value: Any) -> Any:
    """Namespaces and tuples as dicts and lists."""
    if hasattr(value, "as_dict"):
        value = value.as_dict()
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def _count(game: Game) -> str:
    return f"{sum(p.numel() for name in game.networks() for p in getattr(game, name).parameters()):,}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _step_of(checkpoint: Path) -> int:
    import torch

    return int(torch.load(checkpoint, map_location="cpu", weights_only=True)["global_step"])
