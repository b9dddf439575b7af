"""From a checked model folder to a model: the family's networks, with the folder's tensors in them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo import folder as folders
from ganzoo.game import registry
from ganzoo.types import BadArgument, BadModelFolder, Card, GanzooError, UnknownName, check_strict

if TYPE_CHECKING:
    import torch

    from ganzoo.game.game import Game


def build(folder: folders.ModelFolder, players: bool, dtype: torch.dtype | None) -> Game:
    """Makes the family on no memory, holds the file's tensors against it, and puts them in."""
    import torch

    from ganzoo.game.engine import Absent, MovingAverage

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

    if players and not folder.has(folders.PLAYERS):
        raise BadModelFolder(f"{folder.path}: holds no {folders.PLAYERS}, from which training could go on")
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
    path = folder.check(name)
    wanted = {f"{m}.{key}": tuple(v.shape) for m, module in modules.items() for key, v in module.state_dict().items()}
    check_strict(folders.shapes(path), wanted, path)
    tensors = folder.tensors(name)
    put(modules, tensors, path, dtype)


def put(
    modules: dict[str, torch.nn.Module], tensors: dict[str, torch.Tensor], path: Path, dtype: torch.dtype | None = None
) -> None:
    """Puts tensors, whose names and shapes are known to fit, into modules, which then hold these very tensors.

    Args:
        modules: by name.
        tensors: "<module>.<name in its state dict>", at least all of the modules' own.
        path: where they are from, for error messages.
        dtype: of floating-point tensors; float32 where None.

    Raises:
        BadModelFolder: for a tensor of another kind of numbers than the module's.
    """
    import torch

    for m, module in modules.items():
        state = {key: tensors[f"{m}.{key}"] for key in module.state_dict()}
        for key, own in module.state_dict().items():
            given = state[key].dtype
            if not (given == own.dtype or (given.is_floating_point and own.is_floating_point())):
                raise BadModelFolder(f"{path}: tensor {m}.{key} is {given} where the family has {own.dtype}")
        floats = {key: v.to(dtype or torch.float32) if v.is_floating_point() else v for key, v in state.items()}
        module.load_state_dict(floats, strict=True, assign=True)


def card_of(folder: folders.ModelFolder) -> Card:
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


def whole(game: Game) -> bool:
    """Whether all players are there, rather than what inference needs."""
    from ganzoo.game.engine import Absent

    return not any(isinstance(getattr(game, name), Absent) for name in game.networks())


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
