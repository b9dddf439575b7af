"""`ganzoo.train`: a run is begun or goes on, from a recipe, a run's folder, or objects made in Python."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo import schema
from ganzoo.types import BadArgument, BadData
from ganzoo.zoo import recipes
from ganzoo.zoo.helpers import resolve_helpers
from ganzoo.zoo.transfer import start_from

if TYPE_CHECKING:
    from ganzoo.data.batch import Data
    from ganzoo.game.adaptation import Adapt
    from ganzoo.game.engine import Engine
    from ganzoo.game.game import Game
    from ganzoo.metrics.evaluate import Progress, Score
    from ganzoo.training.doctor import Watching
    from ganzoo.training.run import Run, Trained


_FEW = 10  # samples


@schema.checked
def train(
    game_or_run: Game | str | Path,
    data: Data | str | Path | None = None,
    *,
    folder: str | Path | None = None,
    resume: bool = False,
    engine: Engine | Mapping[str, Any] | None = None,
    adapt: Adapt | Mapping[str, Any] | None = None,
    watch: Watching | Mapping[str, Any] | None = None,
    **options: Any,
) -> Trained:
    """Trains a model into a folder, or goes on with a run; what `ganzoo train` does.

    Args:
        game_or_run: a game, from the weights that it has; or a recipe's file or name; or a run's folder.
        data: to train on: a source, a source's name, or a folder of pictures; of a recipe or a run None for its own.
        folder: of the run; `runs/<family>` where None, or what the recipe says.
        resume: whether to go on with the run in the folder.
        engine: options that no paper is about, by name or as an `Engine`; of a game, its own where None.
        adapt: what is done beside the paper's algorithm, by name or as an `Adapt`.
        watch: what is done about a run that fails, by name or as a `Watching`.
        **options: of the run (`save_every`, `preview_every`, `license`, `protocols`, ..., see `Run`) and of Lightning's
            Trainer (`max_steps`, `devices`, `precision`, `callbacks`, ...).

    Returns:
        Where the run and its model are, and how far it came.

    Raises:
        BadArgument: for what cannot be trained, and for a run that would not go on as it began; nothing is written.
        TrainingStopped: if training cannot go on; the last save stays.
        KeyboardInterrupt: on ctrl-C, after saving.
    """
    from ganzoo.training import record
    from ganzoo.training.run import Run

    options = dict(options)
    own = {each.name for each in fields(Run)} - {"folder"}
    if not isinstance(options.get("logger", ""), str):  # an object is the Trainer's
        own.discard("logger")
    given = {f"run.{name}": options.pop(name) for name in [*options] if name in own}
    if "batch_size" in options and isinstance(data, (str, Path)):
        given["data.init_args.batch_size"] = options.pop("batch_size")
    objects: dict[str, Any] = {f"trainer.{k}": v for k, v in options.items() if record.plain(v) != v}
    given |= {f"trainer.{name}": value for name, value in options.items() if f"trainer.{name}" not in objects}
    if folder is not None:
        given["run.folder"] = str(folder)
    if engine is not None:
        named = engine if isinstance(engine, Mapping) else vars(engine)
        given |= {f"engine.{name}": value for name, value in named.items()}
        if "seed" in named:
            given["seed_everything"] = given.pop("engine.seed")
    for section, chosen in (("adapt", adapt), ("watch", watch)):
        if chosen is not None:
            values = record.plain(chosen if isinstance(chosen, Mapping) else vars(chosen))
            given |= {f"{section}.{name}": value for name, value in values.items()}
    if isinstance(game_or_run, (str, Path)):
        plan = plan_of(game_or_run, given, resume, data=data, objects=objects)
    else:
        plan = plan_of_game(game_or_run, data, given, resume, objects)
    trained = plan.train()
    if trained.main:
        plan.score(trained)
        plan.push()
    return trained


@dataclass
class Plan:
    """A run that was checked and is ready to begin, or to go on.

    Args:
        table: the whole run, as its `recipe.yaml` keeps it.
        folder: of the run.
        game: to train.
        data: to train on.
        run: what is shown, saved and measured.
        watching: what is done about a run that fails.
        trainer: options of Lightning's Trainer.
        changes: what differs from the run as it was, where it goes on.
        origin: the recipe's name for the cards.
        resume: whether it goes on.
        notes: what a person should know of the recipe, a line each.
    """

    table: dict[str, Any]
    folder: Path
    game: Game
    data: Data
    run: Run
    watching: Watching
    trainer: dict[str, Any]
    changes: dict[str, Any]
    origin: str | None
    resume: bool
    notes: list[str]

    def train(self) -> Trained:
        """Trains, or goes on; scores that the model or the data do not suit are refused before."""
        from lightning.pytorch.utilities import rank_zero_only

        from ganzoo.metrics.evaluate import check
        from ganzoo.training.run import train
        from ganzoo.training.scores import subject_of

        for note in self.notes if getattr(rank_zero_only, "rank", 0) == 0 else ():
            print(note, flush=True)
        keys = [*self.run.protocols, *([self.run.score] if self.run.score else [])]
        if keys:
            check(subject_of(self.game), self.data, keys)
        return train(
            self.game,
            self.data,
            self.folder,
            run=self.run,
            recipe=self.table,
            watching=self.watching,
            changes=self.changes,
            origin=self.origin,
            resume=self.resume,
            **self.trainer,
        )

    def score(self, trained: Trained, progress: Progress | None = None) -> list[Score]:
        """Measures the protocols that the run names, and writes them into its model's folder."""
        from ganzoo.zoo.evaluating import score

        return score(trained.model, self.run.protocols, progress) if self.run.protocols else []

    def push(self) -> str | None:
        """Pushes the best model where the run says so, and gives its address."""
        from functools import partial

        from ganzoo.training.pushing import push_best
        from ganzoo.zoo.sharing import push

        if self.run.push is None:
            return None
        repo, _, tag = self.run.push.partition("@")
        done: Any = push_best(self.folder, partial(push, repo_id=repo, license=self.run.license, tag=tag or None))
        return str(done["url"])


def plan_of(
    target: str | Path,
    given: Mapping[str, Any] | Sequence[str],
    resume: bool = False,
    *,
    data: Data | str | Path | None = None,
    objects: Mapping[str, Any] | None = None,
) -> Plan:
    """A run of a recipe, or of a run's folder.

    Args:
        target: a recipe's file or name, or a run's folder.
        given: what the recipe gets: values by keys, or the words of a command line.
        resume: whether to go on with the run in the folder.
        data: to train on instead of the recipe's.
        objects: of the Trainer, by keys, where they are no plain values.
    """
    from ganzoo.training.checkpoints import restarted
    from ganzoo.training.record import RECIPE

    is_run = (Path(target) / RECIPE).is_file()
    path = Path(target) / RECIPE if is_run else recipes.find(str(target))
    try:
        given = given if isinstance(given, Mapping) else recipes.parse(given)
        table = recipes.read(path)
        name = recipes.name_of(path)
        folder = path.parent if is_run else _folder_of(table, given, name)
        resume = resume or restarted(folder)
        draft = _Draft(table, dict(given), name, "/".join(path.absolute().parts[-2:]), resume, folder)
        draft.given.pop("run.folder", None)
        if data is not None:
            draft.take_data(data, table)
        if is_run:
            draft.origin = None
        elif resume:
            _check_same(table, _recorded(draft.folder), path, draft.folder)
            draft.notes = _differences(table, _recorded(draft.folder), draft.given, path)
        return draft.finish(objects or {})
    except (BadArgument, BadData) as error:
        text = str(error)
        raise type(error)(text if text.startswith(f"{path}: ") else f"{path}: {text}") from None


def plan_of_game(
    game: Game,
    data: Data | str | Path | None,
    given: Mapping[str, Any],
    resume: bool = False,
    objects: Mapping[str, Any] | None = None,
) -> Plan:
    """A run of a game that was made in Python."""
    from ganzoo.game.registry import family_of
    from ganzoo.training import record

    family = family_of(type(game))
    if game.provenance is not None:
        game.train_on()
    table = {
        "seed_everything": game.engine.seed,
        "init_from": _origin_of(game),
        "model": {"class_path": family.title, "init_args": record.plain(game.arguments)},
        "engine": {key: value for key, value in record.plain(game.engine).items() if key != "seed"},
    }
    draft = _Draft(table, dict(given), family.name.replace("_", "-"), None, resume=resume, game=game)
    draft.folder = _folder_of(table, given, draft.name)
    draft.given.pop("run.folder", None)
    if data is not None:
        draft.take_data(data, table)
    elif not resume:
        raise BadArgument("data is missing; give a source, its name, or a folder of pictures")
    return draft.finish(objects or {})


@dataclass
class _Draft:
    """What is known of a run before it is resolved."""

    table: dict[str, Any]
    given: dict[str, Any]
    name: str
    origin: str | None
    resume: bool
    folder: Path = Path()
    game: Game | None = None
    data: Data | None = None
    notes: list[str] = field(default_factory=list)

    def take_data(self, data: Data | str | Path, table: Mapping[str, Any]) -> None:
        """Puts data that somebody gave in the place of the recipe's."""
        from ganzoo.data.batch import Data
        from ganzoo.training import record

        if isinstance(data, Data):
            self.data = data
            self.table["data"] = {
                "class_path": recipes.data_name(type(data)),
                "init_args": record.plain(data.arguments),
            }
            return
        folder = Path(data).is_dir()
        cls: Any = recipes.class_of("data", "Folder" if folder else source_name(str(data)))
        self.given["data.class_path"] = cls.__name__
        if folder:
            self.given["data.init_args.root"] = str(data)
        before = table.get("data")
        own = before.get("init_args") or {} if isinstance(before, Mapping) else {}
        for key, value in self._sizes().items():
            if key in schema.parameters(cls) and key not in own:
                self.given.setdefault(f"data.init_args.{key}", value)

    def _sizes(self) -> dict[str, Any]:
        """The side and the channels of the pictures that the model learns from."""
        if self.game is not None:
            shape = self.game.input_shape
            return {"size": shape[-1], "channels": shape[0]} if len(shape) == 3 else {}
        model = self.table.get("model")
        arguments = model.get("init_args") or {} if isinstance(model, Mapping) else {}
        return {key: arguments[key] for key in ("size", "channels") if key in arguments}

    def finish(self, objects: Mapping[str, Any]) -> Plan:
        """Resolves, makes what is not made yet, and holds all of it against each other."""
        from ganzoo.game.engine import RAMPUP
        from ganzoo.training import precision, record
        from ganzoo.training.doctor import Watching
        from ganzoo.training.options import checked
        from ganzoo.training.run import Run

        kept = {name for name, made in (("model", self.game), ("data", self.data)) if made is not None}
        if self.resume and self.given.get("trainer.precision") == precision.AUTO:
            self.given.pop("trainer.precision")  # it was resolved when the run began
        recorded = recipes.resolve(_recorded(self.folder), self.name, False, {"model", "data"}) if self.resume else None
        table = copy.deepcopy(self.table if recorded is None else recorded)
        keys = recipes.overlay(table, {**self.given, **{key: record.plain(value) for key, value in objects.items()}})
        for section in kept:
            other = next((key for key in self.given if key.startswith(f"{section}.")), None)
            if other is not None:
                raise BadArgument(f"{other} is given beside a {section} that was made already; make it with that")
            table[section] = self.table[section]
            keys |= {key for key in record.flat(self.table) if key.startswith(f"{section}.")}
        table = recipes.resolve(table, self.name, not self.resume and self.game is None, kept)
        table["run"]["folder"] = str(self.folder)
        if table["engine"]["rampup"] == "auto":
            loaded = self.game is not None and self.game.provenance is not None
            table["engine"]["rampup"] = None if loaded or table["init_from"] is not None else RAMPUP
        trainer = recipes.make_trainer(table) | {key.partition(".")[2]: value for key, value in objects.items()}
        asked, accelerator = trainer["precision"], trainer.get("accelerator", "auto")
        table["trainer"]["precision"] = trainer["precision"] = chosen = checked(trainer)["precision"]
        cost = precision.cost_of(chosen, accelerator)
        self.notes += [f"trainer.precision is auto: {chosen} here"] if asked == precision.AUTO else []
        self.notes += [cost] if cost is not None else []
        changes: dict[str, Any] = {}
        if recorded is not None:
            flat = record.flat(table)
            changes = record.changed(recorded, {key: flat[key] for key in keys if key in flat}, self.folder)
        game, data = self._made(table)
        images = data.open("train")
        game.check_data(images)
        if len(images) < _FEW:
            self.notes.append(f"{images.name} has {len(images)} samples, which a model soon knows by heart; add some")
        run = recipes.make(Run, table["run"], "run")
        watching = recipes.make(Watching, table["watch"], "watch")
        return Plan(
            table, self.folder, game, data, run, watching, trainer, changes, self.origin, self.resume, self.notes
        )

    def _made(self, table: Mapping[str, Any]) -> tuple[Game, Data]:
        """The game and the data, with the weights to start from."""
        import lightning

        from ganzoo.game.adaptation import Adapt
        from ganzoo.game.engine import Engine

        lightning.seed_everything(table["seed_everything"], workers=True, verbose=False)
        game = self.game or recipes.make_game(table)
        game.engine = recipes.make(Engine, table["engine"], "engine")
        if table["init_from"] is not None and self.game is None and not self.resume:
            self.notes += start_from(game, table["init_from"])
        resolve_helpers(game)
        game.adapt_to(recipes.make(Adapt, table["adapt"], "adapt"))
        return game, self.data or recipes.make_data(table)


def source_name(text: str) -> str:
    """The class of a data source by its name, in any case, with hyphens or underscores."""
    from ganzoo import data

    return data.source(text).__name__


def _folder_of(table: Mapping[str, Any], given: Mapping[str, Any], name: str) -> Path:
    """Where a run writes."""
    own = table.get("run")
    run: Mapping[str, Any] = own if isinstance(own, Mapping) else {}
    folder = given.get("run.folder") or run.get("folder")
    return Path(str(folder or f"runs/{given.get('run.name') or run.get('name') or name}"))


def _recorded(folder: Path) -> dict[str, Any]:
    """The recipe of the run in a folder, with the changes since."""
    from ganzoo.training import record
    from ganzoo.training.checkpoints import LAST

    if not (folder / record.RECIPE).is_file():
        raise BadArgument(f"{folder} holds no {LAST} to go on from; leave --resume out")
    table = recipes.read(folder / record.RECIPE)
    record.apply_changes(folder, table)
    return table


def _check_same(table: Mapping[str, Any], recorded: Mapping[str, Any], path: Path, folder: Path) -> None:
    """Refuses a recipe that names another run's folder."""
    for section in ("model", "data"):
        names = [_class_name(each.get(section)) for each in (table, recorded)]
        if None not in names and names[0] != names[1]:
            raise BadArgument(
                f"the run in {folder} has {section} {names[1]}, and the recipe {names[0]}; `ganzoo train {folder} "
                "--resume` goes on with that run"
            )


def _class_name(section: Any) -> str | None:
    name = section.get("class_path") if isinstance(section, Mapping) else section
    return str(name).rpartition(".")[2] if name is not None else None


def _differences(
    table: Mapping[str, Any], recorded: Mapping[str, Any], given: Mapping[str, Any], path: Path
) -> list[str]:
    """What the recipe says otherwise than the run that goes on, in a line."""
    from ganzoo.training import record

    own, said = record.flat(recorded), []
    for key, value in record.flat(record.plain(table)).items():
        if key in own and own[key] != value and key not in given and not key.endswith(("class_path", "folder")):
            said.append(f"{key} {schema.short(own[key])}, where {path} has {schema.short(value)}")
    return [f"the run goes on with its own recipe: {'; '.join(said)}"] if said else []


def _origin_of(game: Game) -> str | None:
    """What a loaded model was loaded from, as `load` takes it."""
    provenance = game.provenance or {}
    found = provenance.get("name") or provenance.get("path") or provenance.get("repo")
    return None if found is None else str(found)
