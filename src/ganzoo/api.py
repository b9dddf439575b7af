"""Floor 6: the few functions that join catalogue, families and metrics; the only door that the command line uses.

`model` is everywhere the same thing: a name from the catalogue, `hf://org/repo[@revision]`, a folder, or a loaded model.
Importing this module does not import torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.types import BadArgument, BadModelFolder, Card, GanzooError, UnknownName
from ganzoo.zoo import checkpoint as folders
from ganzoo.zoo import registry

if TYPE_CHECKING:
    import torch

    from ganzoo.data.batch import Images
    from ganzoo.training.game import Game

    Model = str | Path | Game


def families() -> list[str]:
    """The names of all families, sorted."""
    return registry.families()


def models(pattern: str = "*") -> list[dict[str, Any]]:
    """What the zoo offers, sorted by name.

    Args:
        pattern: a shell pattern on the name, such as `style*`.

    Returns:
        A dict a model with at least `name`, `family`, `status`, `task`, `resolution` and `license`.
    """
    from ganzoo.zoo import catalogue

    return catalogue.models(pattern)


def info(name: str) -> dict[str, Any]:
    """All that is known of one model, without loading it.

    Raises:
        UnknownName: if there is none of this name.
    """
    from ganzoo.zoo import catalogue

    return catalogue.info(name)


def create(family: str, **arguments: Any) -> Game:
    """A family with fresh random weights.

    Args:
        family: its name, such as `wgan_gp`.
        **arguments: of the family's constructor.

    Raises:
        UnknownName: if there is no such family.
        BadArgument: for an argument that the family does not have, or of the wrong type.
    """
    entry = registry.family(family.replace("-", "_"))
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in arguments.items()}
    return entry.cls(**registry.check_arguments(entry, plain))  # type: ignore[no-any-return]


def load(
    model: Model,
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    players: bool = False,
    revision: str | None = None,
    offline: bool | None = None,
) -> Game:
    """Loads a model in evaluation mode, ready to sample.

    Args:
        model: a name, `hf://org/repo[@revision]`, a folder, or a loaded model.
        device: where to; the CPU by default.
        dtype: of the weights; float32 by default.
        players: whether to load every player with its live weights, for training on.
        revision: of a repository on the Hub: a branch, a tag or a commit.
        offline: True to use the cache only; None for what `HF_HUB_OFFLINE` says.

    Returns:
        The model; `.card` says what it is, `.provenance` where it came from.

    Raises:
        UnknownName: if there is no model of this name; the text names the nearest.
        BadModelFolder: if a file is missing, damaged or does not fit the family; nothing is half-loaded.
    """
    import torch

    from ganzoo.training.game import Game

    if isinstance(model, Game):
        return model
    folder, provenance = _locate(model, revision, offline, players)
    game = _build(folder, players, dtype)
    game.provenance = {**provenance, "sha256": folder.hashes()}
    game.card = _card(folder)
    game.eval()
    # Lightning took the meta device, on which the family was made, for the module's own
    return game.to(device or "cpu", dtype or torch.float32)


def _locate(
    model: str | Path, revision: str | None, offline: bool | None, players: bool
) -> tuple[folders.ModelFolder, dict[str, Any]]:
    """The checked folder of a model, and where it came from."""
    text = str(model)
    shipped = folders.shipped_folders()
    if text in shipped:
        return folders.ModelFolder(shipped[text]), {"from": "shipped", "name": text}
    path = Path(text)
    if not text.startswith("hf://") and (isinstance(model, Path) or path.is_dir() or "/" in text or "\\" in text):
        for candidate in (path, path / "best", path / "last"):  # a run's folder holds its models
            folders.settle(candidate)
            if (candidate / folders.MANIFEST).is_file():
                return folders.ModelFolder(candidate), {"from": "folder", "path": str(candidate)}
        if not path.is_dir():
            raise BadModelFolder(f"{path}: there is no such folder")
        raise BadModelFolder(f"{path}: holds no {folders.MANIFEST}; this is not a model folder of ganzoo")
    from ganzoo.zoo import hub

    return hub.locate(text, revision=revision, offline=offline, players=players)


def _build(folder: folders.ModelFolder, players: bool, dtype: torch.dtype | None) -> Game:
    """Makes the family on no memory, holds the file's tensors against it, and puts them in."""
    import torch

    from ganzoo.training.engine import Absent, MovingAverage

    config = folder.config
    try:
        entry = registry.family(config["family"])
        arguments = registry.check_arguments(entry, config["arguments"])
    except (UnknownName, BadArgument) as error:
        raise BadModelFolder(f"{folder.path / folders.CONFIG}: {error}") from None
    try:
        with torch.device("meta"):
            game: Game = entry.cls(**arguments)
    except GanzooError as error:
        raise BadModelFolder(f"{folder.path / folders.CONFIG}: {error}") from None
    except (RuntimeError, ValueError, OverflowError, IndexError, ZeroDivisionError, TypeError, AssertionError) as error:
        reason = str(error).split("\n")[0]
        raise BadModelFolder(f"{folder.path / folders.CONFIG}: the arguments make no {entry.name}: {reason}") from None

    inference = {name: getattr(game, name) for name in game.inference}
    _fill(inference, folder, folders.MODEL, dtype)
    if players:
        live = {name: getattr(game, name) for name in game.networks()}
        if config.get("averaged"):
            for name in game.averages:
                game._averages[name] = MovingAverage(live[name])
        _fill(live, folder, folders.PLAYERS, dtype)
    else:
        for name in game.networks():
            if name not in game.inference:
                setattr(game, name, Absent(name))
    left = [name for name, tensor in game.state_dict().items() if tensor.is_meta]
    if left:
        raise BadModelFolder(f"{folder.path}: {left[0]} is in no file of the folder")
    return game


def _fill(
    modules: dict[str, torch.nn.Module], folder: folders.ModelFolder, name: str, dtype: torch.dtype | None
) -> None:
    """Puts a file's tensors into modules, strictly."""
    import torch

    path = folder.check(name)
    wanted = {f"{m}.{key}": tuple(v.shape) for m, module in modules.items() for key, v in module.state_dict().items()}
    folders.check_strict(folders.shapes(path), wanted, path)
    tensors = folder.tensors(name)
    for m, module in modules.items():
        state = {key: tensors[f"{m}.{key}"] for key in module.state_dict()}
        floats = {key: v.to(dtype or torch.float32) if v.is_floating_point() else v for key, v in state.items()}
        module.load_state_dict(floats, strict=True, assign=True)


def _card(folder: folders.ModelFolder) -> Card:
    """What a model says of itself, from its configuration; a foreign folder may leave everything but the family out."""
    config = folder.config
    given = config.get("paper")
    paper: dict[str, Any] = given if isinstance(given, dict) else {}
    family = registry.family(config["family"])
    return Card(
        name=str(config.get("name", folder.path.name)),
        family=family.name,
        title=family.title,
        task=family.task,
        paper=str(paper.get("title", family.paper)),
        year=family.year,
        url=family.url,
        idea=family.idea,
        facts={**config, "results": folder.json(folders.RESULTS) if folder.has(folders.RESULTS) else []},
    )


def initialise(game: Game, model: Model) -> None:
    """Starts every player of a fresh model from another model: fine-tuning.

    Args:
        game: the fresh model, which is changed in place.
        model: of the same family, with all its players.

    Raises:
        BadArgument: naming the tensor that is missing or of another shape; nothing is changed then.
    """
    source = load(model, players=True)
    if type(source) is not type(game):
        raise BadArgument(
            f"init_from: {model} is a {type(source).__name__}, and the recipe trains a {type(game).__name__}"
        )
    wanted = {f"{n}.{k}": v for n in game.networks() for k, v in getattr(game, n).state_dict().items()}
    given = {f"{n}.{k}": v for n in source.networks() for k, v in getattr(source, n).state_dict().items()}
    for key in wanted.keys() | given.keys():
        if key not in given or key not in wanted:
            raise BadArgument(f"init_from: {key} is only in {'the recipe' if key in wanted else model}'s networks")
        if wanted[key].shape != given[key].shape:
            raise BadArgument(
                f"init_from: {key} has shape {tuple(given[key].shape)} in {model} and {tuple(wanted[key].shape)} in the "
                "recipe; give the recipe the model's sizes"
            )
    for name in game.networks():
        getattr(game, name).load_state_dict(getattr(source, name).state_dict())
    game.start_averages()
    for name in game._averages:
        game._averages[name].module.load_state_dict(source.average_module(name).state_dict())  # type: ignore[union-attr]


def verify(model: str | Path) -> dict[str, Any]:
    """Checks a model folder whole: hashes, configuration, names and shapes of all tensors, and the golden picture.

    The golden picture holds the first four samples; they are drawn again and must agree within two 8-bit levels.

    Returns:
        `files`: sha256 by file; `tensors`: how many; `golden`: the largest difference in 8-bit levels, None without one.

    Raises:
        BadModelFolder: for the first thing that is wrong.
    """
    import numpy as np
    from PIL import Image

    from ganzoo.data.pictures import grid

    folder, _ = _locate(model, None, None, players=True)
    for name in folder.hashes():
        folder.check(name)
    game = _build(folder, folder.has(folders.PLAYERS), None)
    game.eval()
    levels = None
    if folder.has(folders.GOLDEN):
        path = folder.check(folders.GOLDEN)
        with Image.open(path) as picture:
            kept = np.asarray(picture.convert("RGB"), dtype=np.int16)
        columns = max(1, round(kept.shape[1] / game.shape[2]))
        drawn = np.asarray(
            grid(game.sample(columns, seed=0), columns=columns, padding=0).convert("RGB"), dtype=np.int16
        )
        if drawn.shape != kept.shape:
            raise BadModelFolder(f"{path}: {kept.shape[1]}x{kept.shape[0]} pixels where the model draws {drawn.shape}")
        levels = int(np.abs(drawn - kept).max())
        if levels > 2:
            raise BadModelFolder(
                f"{path}: the model draws other pictures than the golden ones, by {levels} levels of 255"
            )
    return {"files": folder.hashes(), "tensors": len(game.state_dict()), "golden": levels}


def pull(name: str, *, revision: str | None = None, players: bool = False) -> Path:
    """Fetches a model into the cache and gives its folder; every file is hashed anew, and a damaged one fetched again.

    Args:
        name: of the catalogue, or `hf://org/repo[@revision]`.
        revision: of a repository on the Hub: a branch, a tag or a commit.
        players: whether to fetch the players' weights too, for training on.

    Raises:
        UnknownName: if there is no such model.
        HubError: if it cannot be fetched; the text says why, and what to do.
    """
    from ganzoo.zoo import hub

    return hub.pull(name, revision=revision, players=players)


def push(
    model: Model,
    repo_id: str,
    *,
    license: str | None = None,
    private: bool = False,
    tag: str | None = None,
    dry_run: bool = False,
    message: str | None = None,
) -> dict[str, Any]:
    """Uploads a model to the Hub in one commit, having loaded back what it is about to upload.

    Args:
        model: a name, a folder, or a loaded model.
        repo_id: `org/name`; made when it does not exist.
        license: of the weights, such as `apache-2.0`; always to be given, and the model's own where it has one.
        private: whether a new repository is private.
        tag: a new name for the commit.
        dry_run: say what would be uploaded, and open no connection.
        message: of the commit.

    Returns:
        `repo`, `license`, `private`, `tag`, `files` (bytes by name) and, unless it was a dry run, `commit` and `url`.

    Raises:
        BadArgument: without a licence, with another one than the model's, or for weights that must not be passed on.
        HubError: if the Hub refuses, or somebody pushed at the same time; then nothing was changed.
    """
    import tempfile

    from ganzoo.training.game import Game
    from ganzoo.zoo import hub

    with tempfile.TemporaryDirectory(prefix="ganzoo-") as temporary:
        if isinstance(model, Game):
            game, path = model, Path(temporary) / "model"
            _write(game, path)
        else:
            folder, _ = _locate(model, None, None, players=True)
            game, path = _build(folder, folder.has(folders.PLAYERS), None), folder.path
        return hub.push(
            path,
            repo_id,
            license=license,
            private=private,
            tag=tag,
            dry_run=dry_run,
            message=message,
            check=lambda staged: _compare(game, staged),
        )


def _write(game: Game, path: Path) -> None:
    """Writes a loaded model as a folder, with its scores where its weights are still those that were scored."""
    from ganzoo.training.saving import describe, draw_pictures

    facts = {} if game.card is None else {key: v for key, v in game.card.facts.items() if key != "results"}
    with folders.writing(path) as fresh:
        folders.write_tensors(fresh / folders.MODEL, game.inference_tensors())
        if _whole(game):
            folders.write_tensors(fresh / folders.PLAYERS, game.player_tensors())
        folders.write_json(fresh / folders.CONFIG, {**facts, **describe(game, {})})
        before = (game.provenance or {}).get("sha256", {}).get(folders.MODEL)
        scored = game.card is not None and folders.sha256(fresh / folders.MODEL) == before
        folders.write_json(fresh / folders.RESULTS, game.card.facts["results"] if scored and game.card else [])
        draw_pictures(game, fresh)


def _whole(game: Game) -> bool:
    """Whether all players are there, rather than what inference needs."""
    from ganzoo.training.engine import Absent

    return not any(isinstance(getattr(game, name), Absent) for name in game.networks())


def _compare(game: Game, folder: Path) -> None:
    """Loads a folder and holds its tensors against a model's.

    Raises:
        BadModelFolder: naming the first tensor that differs.
    """
    import torch

    model = folders.ModelFolder(folder)
    again = _build(model, model.has(folders.PLAYERS), None)
    pairs = [(again.inference_tensors(), game.inference_tensors())]
    if model.has(folders.PLAYERS):
        pairs.append((again.player_tensors(), game.player_tensors()))
    for loaded, kept in pairs:
        for key, tensor in kept.items():
            if not torch.equal(loaded[key].float(), tensor.detach().float().cpu()):
                raise BadModelFolder(f"{folder.name}: {key} is not what it was after being written and read back")


def cards(*, check: bool = False) -> list[str]:
    """Renders MODEL_CARDS.md and the shipped models' README.md, in a checkout.

    Args:
        check: compare and write nothing.

    Returns:
        The files that were out of date or are missing, relative to the checkout.

    Raises:
        BadArgument: if ganzoo does not run from a checkout.
    """
    from ganzoo.zoo import cards as rendering

    return rendering.update(check=check)
