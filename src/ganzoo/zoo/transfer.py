"""Starting a fresh model from another's weights: all of them, what fits of other data, or chosen networks alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ganzoo.types import BadArgument
from ganzoo.zoo.loading import holds_players, load

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.game.game import Game
    from ganzoo.zoo.loading import Model

_OF_DATA: Final = {"shape", "size", "channels", "source_channels", "classes"}  # arguments that other data change


def start_from(game: Game, source: Model | Mapping[str, Model]) -> list[str]:
    """Starts a fresh model from another one: fine-tuning.

    Where the two differ in their data's size, channels or classes, what fits is taken: a tensor of the same name whole
    where its shape is the same, and where one or two dimensions differ its leading part (of the embeddings of ten
    classes the first seven). The rest stays as it was made. Any other difference is refused.

    Args:
        game: the fresh model, which is changed in place.
        source: a model of the same family with all its players; or by network, such as `{"generator": "sngan-..."}`,
            from where to take that one alone; what samples are drawn with, such as the generator, is there in a model
            without players too, as its moving average.

    Returns:
        A line for a person: what was taken whole, in part, and not at all; nothing where all of it was taken.

    Raises:
        BadArgument: naming the tensor or network that does not fit; nothing is changed then.
    """
    names = game.networks()
    wanted: dict[str, Model] = dict(source) if isinstance(source, Mapping) else dict.fromkeys(names, source)
    unknown = next((name for name in wanted if name not in names), None)
    if unknown is not None or not wanted:
        raise BadArgument(f"init_from: there is no network {unknown}; {type(game).__name__} has {', '.join(names)}")
    needed: dict[int, set[str]] = {}
    for name, model in wanted.items():
        needed.setdefault(id(model), set()).add(name)
    found = {id(model): _loaded(model, needed[id(model)] <= set(game.inference)) for model in wanted.values()}
    sources = {name: found[id(model)] for name, model in wanted.items()}
    taken: dict[str, dict[str, Tensor]] = {}
    ledger: dict[str, list[str]] = {"whole": [], "in part": [], "new": []}
    for name, other in sources.items():
        if type(other) is not type(game):
            raise BadArgument(
                f"init_from: {wanted[name]} is a {type(other).__name__}, and the recipe trains a {type(game).__name__}"
            )
        taken[name] = _fitting(game, other, name, wanted[name], ledger)
    for name, tensors in taken.items():
        getattr(game, name).load_state_dict(tensors)
    averaged = [name for name in type(game).averages if name in sources]
    game.resumed_half_life = sources[averaged[0]].resumed_half_life if averaged else None
    game.start_averages()
    for name in set(averaged) & game._averages.keys():
        average: Any = game._averages[name]
        average.module.load_state_dict(_fitting(game, sources[name], name, wanted[name], averaged=True))
    left = [name for name in names if name not in sources]
    if not left and not ledger["in part"] and not ledger["new"]:
        return []
    parts = [f"{len(keys)} tensors {how}{_some(keys)}" for how, keys in ledger.items() if keys]
    return [f"init_from: {', '.join(parts)}" + (f"; {', '.join(left)} begin anew" if left else "")]


def _loaded(model: Model, drawing: bool) -> Game:
    """A model with all its players; as it is where networks alone are asked for that samples are drawn with."""
    return load(model, players=not drawing or holds_players(model))


def _fitting(
    game: Game, other: Game, name: str, model: Model, ledger: dict[str, list[str]] | None = None, averaged: bool = False
) -> dict[str, Tensor]:
    """A network's tensors as they begin: the other model's where they fit, its own elsewhere."""
    own = {key: value.clone() for key, value in getattr(game, name).state_dict().items()}
    given = (other.average_module(name) if averaged else getattr(other, name)).state_dict()
    differing = {key for key in game.arguments if game.arguments[key] != other.arguments.get(key)} & _OF_DATA
    for key in dict.fromkeys([*own, *given]):
        same = key in own and key in given and own[key].shape == given[key].shape
        if not same and not differing:
            _refuse(f"{name}.{key}", own.get(key), given.get(key), model)
        if key not in own:
            continue
        how = "whole" if same else "new"
        if same:
            own[key] = given[key]
        elif key in given and own[key].dim() == given[key].dim() > 0:
            unequal = [a != b for a, b in zip(own[key].shape, given[key].shape, strict=True)]
            if sum(unequal) <= 2:
                part = tuple(slice(min(a, b)) for a, b in zip(own[key].shape, given[key].shape, strict=True))
                own[key][part] = given[key][part]
                how = "in part"
        if ledger is not None:
            ledger[how].append(f"{name}.{key}")
    return own


def _refuse(key: str, own: Tensor | None, given: Tensor | None, model: Model) -> None:
    """Says which tensor does not fit."""
    if own is None or given is None:
        raise BadArgument(f"init_from: {key} is only in {model if own is None else 'the recipe'}'s networks")
    raise BadArgument(
        f"init_from: {key} has shape {tuple(given.shape)} in {model} and {tuple(own.shape)} in the recipe; give the "
        "recipe the model's sizes"
    )


def _some(keys: list[str]) -> str:
    """The first of few names."""
    return "" if len(keys) > 12 else f" ({', '.join(keys)})"
