"""Making a model folder of an authors' checkpoint."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from ganzoo import files
from ganzoo import folder as folders
from ganzoo.game import registry
from ganzoo.schema import checked
from ganzoo.types import BadArgument, BadCheckpoint, reason
from ganzoo.zoo import catalogue

if TYPE_CHECKING:
    from ganzoo.game.game import Game
    from ganzoo.layouts import Contents, Converted
    from ganzoo.zoo.catalogue import Entry

_SAMPLES: Final = 16  # pictures of a converted model, at most,
_PIXELS: Final = 2**22  # with this many pixels, at most,
_SECONDS: Final = 10.0  # in this time, at most


@checked
def convert(
    file: str | Path,
    family: str | None = None,
    *,
    to: str | Path,
    generator: Literal["ema", "live"] = "ema",
    more: Sequence[str | Path] = (),
    facts: dict[str, Any] | None = None,
    pictures: bool = True,
) -> Path:
    """Makes a model folder of an authors' checkpoint, reading it symbolically: nothing in it is imported or executed.

    Args:
        file: the checkpoint, such as NVIDIA's `.pkl`, rosinality's `.pt` or genforce's `.pth`.
        family: refuse other families than this.
        to: the folder to write; a model folder that stands there is exchanged as a whole.
        generator: which generator `load` gives: the moving average, or the live one.
        more: further files of the same authors, where they keep the discriminator (or critic) in a file of its own, or
            the networks of the other direction; with all of them the model can be trained on.
        facts: what `config.json` says beside what the file does: `license`, `data`, `name`.
        pictures: whether to draw samples into the folder, where that takes seconds.

    Returns:
        The folder.

    Raises:
        BadCheckpoint: if a file cannot be read, is of no known layout, or lacks or has too many tensors. Nothing is
            written then.
        BadArgument: if there is no live generator in the file, `to` is no model folder, or more files are
            given where the layout knows of none.
    """
    from ganzoo.layouts import open_file, recognise
    from ganzoo.zoo import cards

    target = Path(to)
    folders.check_free(target)
    if home := folders.home_of(Path(file)):
        raise BadArgument(f"{file}: a file of the model or run {home}, which is ganzoo's own; load that folder")
    contents = open_file(Path(file))
    layout = recognise(contents, None if family is None else registry.family(catalogue.family_name(family)).name)
    made = layout.convert(contents)
    source: dict[str, Any] = {"layout": layout.name, "file": Path(file).name, "generator": generator}
    opened = [contents]
    for further in more:
        if layout.join is None:
            raise BadArgument(
                f"{further}: {layout.name}, which {contents.path.name} is, lies in one file; leave this one out"
            )
        opened.append(open_file(Path(further)))
        made = layout.join(opened[-1], made)
        source["more"] = [other.path.name for other in opened[1:]]
        source["layout"] = made.facts.get("converted_from", layout.name)
    if family is not None and made.family != layout.family:  # which only a further file said
        raise BadCheckpoint(f"{opened[-1].path}: is of the family {made.family}; expected one of {layout.family}")
    game = _check_converted(made, opened)
    inference = made.inference
    if generator == "live":
        if made.players is None:
            raise BadArgument(f"{file}: holds no live generator beside the averaged one; leave generator out")
        inference = {key: made.players[key] for key in made.inference}
    both = made.players is not None and any(made.players[key] is not value for key, value in made.inference.items())
    averaged = generator == "ema" and (both or game.average_half_life is not None)
    folders.assemble(game, inference, made.players, averaged)
    count = _affordable(game, Path(file)) if pictures else 0
    folders.write_model(game, target, {**made.facts, "converted": source, **(facts or {})}, count=count)
    if pictures:
        with files.atomic(target / folders.CARD) as part:
            part.write_text(cards.render_card(target, address=str(target)), encoding="utf-8")
    return target


def _affordable(game: Game, file: Path) -> int:
    """How many samples take a few seconds to draw: none of a large model, or of one that fails to draw.

    A model is converted whether or not its pictures can be drawn.
    """
    import torch

    try:
        game.eval().to(torch.device("cpu"))
        started = time.perf_counter()
        game.preview(None, 1)
        affordable = int(_SECONDS / (time.perf_counter() - started))
        count = min(_SAMPLES, _PIXELS // math.prod(game.shape[1:]), affordable)
        return count if count >= 4 else 0  # as many as a golden picture shows
    except Exception as error:  # of the family's own code, or for want of memory
        warnings.warn(f"{file}: converted, but no samples could be drawn: {reason(error)}", stacklevel=3)
        return 0


def _check_converted(made: Converted, opened: Sequence[Contents]) -> Game:
    """The family, on no memory, into which the converted tensors fit strictly."""
    import torch

    from ganzoo.layouts import check_shapes

    entry = registry.family(made.family)
    try:
        arguments = registry.check_arguments(entry, made.arguments)
        with torch.device("meta"):
            game: Game = entry.cls(**arguments)
    except BadArgument as error:
        raise BadCheckpoint(f"{opened[0].path}: its sizes make no {entry.name}: {error}") from None
    check_shapes(opened[0], made.inference, game.inference_tensors())
    if made.players is not None:
        check_shapes(opened[-1], made.players, game.player_tensors())
    return game


def convert_entry(file: Path, entry: Entry, folder: Path) -> Path:
    """Converts the files of a model in the catalogue, the first one's converter first, with what it says of them.

    A configuration, and a graph's constants, are found beside the file that they belong to.
    """
    from ganzoo.layouts.containers import GRAPHS

    facts: dict[str, Any] = {"name": entry.name, "data": {"name": entry.data}, "license": entry.license or None}
    if entry.terms is not None:
        facts["terms"] = {k: getattr(entry.terms, k) for k in ("title", "url", "commercial", "redistribute")}
    beside = {Path(name).with_suffix(".bin").name for name in entry.files if name.endswith(GRAPHS)}
    names = [name for name in [*entry.files][1:] if name not in beside and not name.endswith(".json")]
    more = [file.with_name(name) for name in names]
    return convert(file, entry.family, to=folder, more=more, facts=facts, pictures=False)
