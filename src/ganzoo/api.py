"""Floor 7: the public functions, joined; the only door that the command line uses.

`model` is everywhere the same: a name from the catalogue, `hf://org/repo[@revision]`, a folder, or a loaded model.
Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.actions.converting import convert, convert_entry
from ganzoo.actions.loading import initialise, load, recipe_of
from ganzoo.actions.scoring import measure, measure_folder, score
from ganzoo.actions.sharing import push, verify
from ganzoo.zoo import registry

if TYPE_CHECKING:
    import torch

    from ganzoo.actions.loading import Model
    from ganzoo.data.batch import Data
    from ganzoo.training.game import Game

__all__ = [
    "cards",
    "convert",
    "create",
    "evaluate",
    "families",
    "info",
    "initialise",
    "layouts",
    "load",
    "measure",
    "measure_folder",
    "models",
    "pull",
    "push",
    "recipe_of",
    "score",
    "verify",
]


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


def evaluate(
    model: Model,
    data: str | Path | Data | None = None,
    protocol: str | Sequence[str] | None = None,
    *,
    device: str | torch.device | None = None,
    batch_size: int | None = None,
) -> dict[str, float]:
    """Measures a model.

    Args:
        model: a name, `hf://org/repo[@revision]`, a folder, or a loaded model.
        data: the real images: a source's name, a folder of pictures, or a source; the training data if None.
        protocol: one or several keys, such as `fd10k_mobilenet_v2`; those that suit the data if None.
        device: where to compute.
        batch_size: images at a time.

    Returns:
        The scores by key. A key names its protocol, and where that gives several numbers, which one.
    """
    scores = measure(model, data, protocol, device=device, batch_size=batch_size, floors=False)
    return {score.key: score.value for score in scores}


def layouts() -> list[dict[str, Any]]:
    """The layouts of authors' checkpoints that `convert` reads, by family.

    Returns:
        A dict a layout: `family`, `layout` (its name), and `discriminator`: whether that may be in a file of its own.
    """
    from ganzoo.convert import layouts as known

    rows = ({"family": k.family, "layout": k.name, "discriminator": k.discriminator is not None} for k in known())
    return sorted(rows, key=lambda row: (row["family"], row["layout"]))


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

    return hub.pull(name, revision=revision, players=players, convert=convert_entry)


def cards(*, check: bool = False) -> list[str]:
    """Renders MODEL_CARDS.md, docs/gallery.md and the shipped models' README.md, in a checkout.

    Args:
        check: compare and write nothing.

    Returns:
        The files that were out of date or are missing, relative to the checkout.

    Raises:
        BadArgument: if ganzoo does not run from a checkout.
    """
    from ganzoo.zoo import cards as rendering

    return rendering.update(check=check)
