"""Making a model folder of an authors' checkpoint."""

from __future__ import annotations

import math
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from ganzoo import files
from ganzoo import folder as folders
from ganzoo.game import registry
from ganzoo.types import BadArgument

if TYPE_CHECKING:
    import torch

    from ganzoo.game.game import Game
    from ganzoo.layouts import Contents, Converted
    from ganzoo.zoo.catalogue import Entry

_SAMPLES: Final = 16  # pictures of a converted model, at most,
_PIXELS: Final = 2**22  # with this many pixels, at most,
_SECONDS: Final = 10.0  # in this time, at most


def convert(
    file: str | Path,
    family: str | None = None,
    *,
    to: str | Path,
    generator: Literal["ema", "live"] = "ema",
    discriminator: str | Path | None = None,
    facts: dict[str, Any] | None = None,
    pictures: bool = True,
) -> Path:
    """Makes a model folder of an authors' checkpoint, reading it symbolically: nothing in it is imported or executed.

    Args:
        file: the checkpoint, such as NVIDIA's `.pkl`, rosinality's `.pt` or genforce's `.pth`.
        family: refuse other families than this.
        to: the folder to write; a model folder that stands there is exchanged as a whole.
        generator: which generator `load` gives: the moving average, or the live one.
        discriminator: the file of the discriminator (or critic), where its authors keep it in one of its own; with it
            the model can be trained on.
        facts: what `config.json` says beside what the file does: `license`, `data`, `name`.
        pictures: whether to draw samples into the folder, where that takes seconds.

    Returns:
        The folder.

    Raises:
        BadCheckpoint: if a file cannot be read, is of no known layout, or lacks or has too many tensors. Nothing is
            written then.
        BadArgument: if there is no live generator in the file, `to` is no model folder, or a discriminator is given
            where the layout has none in a file of its own.
    """
    from ganzoo.layouts import open_file, recognise
    from ganzoo.zoo import cards

    target = Path(to)
    if target.is_dir() and any(target.iterdir()) and not (target / folders.MANIFEST).is_file():
        raise BadArgument(f"{target}: holds other things than a model; name a new folder")
    if target.exists() and not target.is_dir():
        raise BadArgument(f"{target}: a file stands there; name a new folder")
    contents = open_file(Path(file))
    layout = recognise(contents, None if family is None else registry.family(family.replace("-", "_")).name)
    made = layout.convert(contents)
    second = None
    if discriminator is not None:
        if layout.discriminator is None:
            raise BadArgument(
                f"{discriminator}: {layout.name}, which {contents.path.name} is, has no discriminator in a file of its "
                "own; leave discriminator out"
            )
        second = open_file(Path(discriminator))
        made = layout.discriminator(second, made)
    game = _check_converted(made, contents, second)
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
        if discriminator is not None:
            source["discriminator"] = Path(discriminator).name
        config = folders.describe(game, {**made.facts, "converted": source, **(facts or {})})
        averaged = config["averaged"] and generator == "ema"
        files.write_json(fresh / folders.CONFIG, {**config, "averaged": averaged})
        files.write_json(fresh / folders.RESULTS, [])
        if pictures:
            _draw(game, inference, fresh, Path(file))
            text = cards.render_card(fresh, address=str(target))
            (fresh / folders.CARD).write_text(text, encoding="utf-8")
    return target


def _draw(game: Game, tensors: dict[str, torch.Tensor], folder: Path, file: Path) -> None:
    """Draws what the converted model makes, as many pictures as take a few seconds; none of a large model.

    A model is converted whether or not its pictures can be drawn.
    """
    import torch

    from ganzoo.game.engine import Absent

    try:
        folders.put({name: getattr(game, name) for name in game.inference}, tensors, file)
        for name in game.networks():
            if name not in game.inference:
                setattr(game, name, Absent(name))
        game.eval().to(torch.device("cpu"))
        count = _SAMPLES
        if not game.only_translates:
            started = time.perf_counter()
            game.sample(1, seed=0)
            affordable = int(_SECONDS / (time.perf_counter() - started))
            count = min(_SAMPLES, _PIXELS // math.prod(game.shape[1:]), affordable)
        if count >= folders.GOLDEN_SEEDS:
            folders.draw_pictures(game, folder, count=count)
    except Exception as error:  # of the family's own code, or for want of memory
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        warnings.warn(f"{file}: converted, but no samples could be drawn: {reason}", stacklevel=3)


def _check_converted(made: Converted, contents: Contents, second: Contents | None) -> Game:
    """The family, on no memory, into which the converted tensors fit strictly."""
    import torch

    from ganzoo.layouts import check_shapes
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
        check_shapes(second or contents, made.players, game.player_tensors())
    return game


def convert_entry(file: Path, entry: Entry, folder: Path) -> Path:
    """Converts the file of a model in the catalogue, with what the catalogue says of it."""
    facts: dict[str, Any] = {"name": entry.name, "data": {"name": entry.data}, "license": entry.license or None}
    if entry.terms is not None:
        facts["terms"] = {k: getattr(entry.terms, k) for k in ("title", "url", "commercial", "redistribute")}
    return convert(file, entry.family, to=folder, facts=facts, pictures=False)
