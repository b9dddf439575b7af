"""Making a model folder of an authors' checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ganzoo.types import BadArgument
from ganzoo.zoo import checkpoint as folders
from ganzoo.zoo import registry

if TYPE_CHECKING:
    from ganzoo.convert import Contents, Converted
    from ganzoo.training.game import Game
    from ganzoo.zoo.catalogue import Entry


def convert(
    file: str | Path,
    family: str | None = None,
    *,
    to: str | Path,
    generator: Literal["ema", "live"] = "ema",
    facts: dict[str, Any] | None = None,
) -> Path:
    """Makes a model folder of an authors' checkpoint, reading it symbolically: nothing in it is imported or executed.

    Args:
        file: the checkpoint, such as NVIDIA's `.pkl`, rosinality's `.pt` or genforce's `.pth`.
        family: refuse other families than this.
        to: the folder to write; a model folder that stands there is exchanged as a whole.
        generator: which generator `load` gives: the moving average, or the live one.
        facts: what `config.json` says beside what the file does: `licence`, `data`, `name`.

    Returns:
        The folder.

    Raises:
        BadCheckpoint: if the file cannot be read, is of no known layout, or lacks or has too many tensors. Nothing is
            written then.
        BadArgument: if there is no live generator in the file, or `to` is no model folder.
    """
    from ganzoo.convert import open_file, recognise
    from ganzoo.training.saving import describe

    target = Path(to)
    if target.is_dir() and any(target.iterdir()) and not (target / folders.MANIFEST).is_file():
        raise BadArgument(f"{target}: holds other things than a model; name a new folder")
    if target.exists() and not target.is_dir():
        raise BadArgument(f"{target}: a file stands there; name a new folder")
    contents = open_file(Path(file))
    layout = recognise(contents, None if family is None else registry.family(family.replace("-", "_")).name)
    made = layout.convert(contents)
    game = _check_converted(made, contents)
    inference = made.inference
    if generator == "live":
        if made.players is None:
            raise BadArgument(f"{file}: holds no live generator beside the averaged one; leave generator out")
        inference = {key: made.players[key] for key in made.inference}
    with folders.writing(target) as fresh:
        folders.write_tensors(fresh / folders.MODEL, inference)
        if made.players is not None:
            folders.write_tensors(fresh / folders.PLAYERS, made.players)
        source = {"layout": layout.name, "file": Path(file).name, "generator": generator}
        config = describe(game, {**made.facts, "converted": source, **(facts or {})})
        averaged = config["averaged"] and generator == "ema"
        folders.write_json(fresh / folders.CONFIG, {**config, "averaged": averaged})
        folders.write_json(fresh / folders.RESULTS, [])
    return target


def _check_converted(made: Converted, contents: Contents) -> Game:
    """The family, on no memory, into which the converted tensors fit strictly."""
    import torch

    from ganzoo.convert import check_shapes
    from ganzoo.types import BadCheckpoint

    entry = registry.family(made.family)
    try:
        arguments = registry.check_arguments(entry, made.arguments)
        with torch.device("meta"):
            game: Game = entry.cls(**arguments)
    except BadArgument as error:
        raise BadCheckpoint(f"{contents.path}: its sizes make no {entry.name}: {error}") from None
    check_shapes(contents, made.inference, game.inference_tensors())
    if made.players is not None:
        check_shapes(contents, made.players, game.player_tensors())
    return game


def convert_entry(file: Path, entry: Entry, folder: Path) -> Path:
    """Converts the file of a model in the catalogue, with what the catalogue says of it."""
    facts: dict[str, Any] = {"name": entry.name, "data": {"name": entry.data}, "licence": entry.license or None}
    if entry.terms is not None:
        facts["terms"] = {k: getattr(entry.terms, k) for k in ("title", "url", "commercial", "redistribute")}
    return convert(file, entry.family, to=folder, facts=facts)
