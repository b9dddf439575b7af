"""Finding a model by whatever names it, and loading it: to sample from, or to train on."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo import folder as folders
from ganzoo.folder import build, card_of, whole
from ganzoo.game import registry
from ganzoo.schema import checked
from ganzoo.types import BadArgument, BadModelFolder, GanzooError, UnknownName
from ganzoo.zoo import catalogue

if TYPE_CHECKING:
    import torch

    from ganzoo.game.game import Game

    Model = str | Path | Game
    Device = str | int | torch.device


def create(family: str, **arguments: Any) -> Game:
    """A family with fresh random weights.

    Args:
        family: its file's name or its class's, in any case, with - or _: `wgan_gp`, `WGAN-GP`.
        **arguments: of the family's constructor.

    Raises:
        UnknownName: if there is no such family.
        BadArgument: for an argument that the family does not have, or of the wrong type.
    """
    entry = registry.family(catalogue.family_name(family))
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in arguments.items()}
    return _consulting(entry.cls(**registry.check_arguments(entry, plain)))


def _consulting(game: Game) -> Game:
    """The game with the helpers that its inference looks through, where they are found."""
    if game.consults:
        from ganzoo.zoo.helpers import resolve_helpers  # which loads models in turn

        with suppress(GanzooError):  # who asks for what needs one is told that it is not there
            resolve_helpers(game)
    return game


@checked
def load(
    model: Model,
    *,
    device: Device | None = None,
    dtype: torch.dtype | None = None,
    players: bool = False,
    revision: str | None = None,
    offline: bool | None = None,
) -> Game:
    """Loads a model in evaluation mode, ready to sample.

    Args:
        model: a name, `hf://org/repo[@revision]`, a folder, or a loaded model.
        device: where to, such as `cuda` or the number of an accelerator; the CPU by default.
        dtype: of the weights; float32 by default.
        players: whether to load every player with its live weights, for training on.
        revision: of a repository on the Hub: a branch, a tag or a commit.
        offline: True to use the cache only; None for what `HF_HUB_OFFLINE` says.

    Returns:
        The model; `.card` says what it is, `.provenance` where it came from.

    Raises:
        UnknownName: if there is no model of this name; the text names the nearest.
        BadArgument: if there is no such device, or a loaded model cannot become what is asked for.
        BadModelFolder: if a file is missing, damaged or does not fit the family; nothing is half-loaded.
    """
    import torch

    from ganzoo.game.game import Game

    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise BadArgument(f"dtype is {dtype}; a type of floating-point numbers is expected, such as torch.float16")
    if isinstance(model, Game):
        return _adapted(model, device, dtype, players, revision)
    folder, provenance = locate(model, revision, offline, players)
    game = build(folder, players, dtype)
    hashes = folder.hashes()
    game.provenance = {**provenance, "sha256": hashes, "weights_sha256": hashes.get(folders.MODEL)}
    game.card = card_of(folder, game)
    _consulting(game)
    # Lightning took the meta device, on which the family was made, for the module's own
    return _moved(game.eval(), "cpu" if device is None else device, dtype or torch.float32)


def _adapted(game: Game, device: Device | None, dtype: torch.dtype | None, players: bool, revision: str | None) -> Game:
    """A loaded model as it is asked for; what it cannot be is refused, and what is not asked for stays."""
    if players and not whole(game):
        raise BadArgument(f"{type(game).__name__} was loaded without its players; load it by name with players=True")
    if revision is not None:
        raise BadArgument(f"revision is {revision!r} of a model that is loaded already; load it by name")
    return game if device is None and dtype is None else _moved(game, game.device if device is None else device, dtype)


def _moved(game: Game, device: Device, dtype: torch.dtype | None) -> Game:
    import torch

    try:
        number = str(device).isdecimal()  # of an accelerator, on a command line too
        return game.to(device=torch.device(int(str(device)) if number else device), dtype=dtype)
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:  # for a device that is none or not there
        reason = str(error).split("\n")[0]
        raise BadArgument(f"device is {device}; cpu, cuda or mps is expected, where there is one ({reason})") from None


def locate(
    model: str | Path, revision: str | None, offline: bool | None, players: bool
) -> tuple[folders.ModelFolder, dict[str, Any]]:
    """The checked folder of a model, and where it came from."""
    path = folders.find(model)
    if path is not None:
        ours = path in folders.shipped_folders().values()
        where = {"from": "shipped", "name": path.name} if ours else {"from": "folder", "path": str(path)}
        return folders.ModelFolder(path), where
    from ganzoo.zoo import hub

    return hub.locate(str(model), revision=revision, offline=offline, players=players)


def holds_players(model: Model) -> bool:
    """Whether a model has all its players, so that training can go on from it."""
    from ganzoo.game.game import Game

    if isinstance(model, Game):
        return folders.whole(model)
    return locate(model, None, None, players=True)[0].has(folders.PLAYERS)


def recipe_of(model: str | Path) -> tuple[str, dict[str, Any]]:
    """The class and the constructor's arguments of a model, as a recipe names them; plain values, checked."""
    folder, _ = locate(model, None, None, players=True)
    try:
        entry = registry.family(folder.config["family"])
        registry.check_arguments(entry, folder.config["arguments"])
    except (UnknownName, BadArgument) as error:
        raise BadModelFolder(f"{folder.path / folders.CONFIG}: {error}") from None
    return entry.title, dict(folder.config["arguments"])
