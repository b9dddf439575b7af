"""Pictures of what a translating model does: inputs beside what it makes of them, to look at and to check it by."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ganzoo.data.batch import Images
from ganzoo.game.game import Game
from ganzoo.media.images import grid
from ganzoo.media.levels import to_float, to_uint8
from ganzoo.types import BadModelFolder

GOLDEN: Final = 4  # inputs of each direction in a golden picture
_TOLERANCE: Final = 2  # 8-bit levels, between machines


def shown(game: Game) -> int:
    """How many inputs a picture shows: 8, and fewer of large ones, of which a model folder cannot hold many."""
    return 8 if game.shape[-1] <= 128 else 4


def inputs(game: Game, real: Images | None, n: int, direction: str | None = None) -> Tensor:
    """Pictures that a direction can start from, in 8-bit levels.

    Args:
        game: the model.
        real: the opened test split; where there is none, or none of this direction's channels, smooth random fields.
        n: at most how many.
        direction: one of the model's; the first where None.

    Returns:
        `(n, C, H, W)` float32 in [-1, 1], spread over the split.
    """
    start, _ = game.shapes_of(direction)
    values = None if real is None else real.values if direction in (None, game.directions[0]) else real.targets
    if values is None or values.ndim != 4 or values.shape[1] != start[0] or not len(values):
        return to_float(to_uint8(_fields(start, n)))
    wanted = min(n, len(values))
    return to_float(torch.from_numpy(values[[i * len(values) // wanted for i in range(wanted)]]))


def table(game: Game, real: Images | None, n: int) -> Tensor:
    """Inputs, what the first direction makes of them, and their counterparts where the split holds pairs.

    Returns:
        `(n, columns, C, H, W)` in [-1, 1], grey repeated where colours stand beside it.
    """
    given = inputs(game, real, n)
    columns = [given, game.translate(given)]
    if real is not None and real.targets is not None and real.paired:
        wanted = len(given)
        columns.append(to_float(torch.from_numpy(real.targets[[i * len(real) // wanted for i in range(wanted)]])))
    return side_by_side(columns)


def side_by_side(columns: list[Tensor]) -> Tensor:
    """Joins `(n, C, H, W)` to `(n, columns, C, H, W)`, grey repeated where colours stand beside it."""
    most = max(column.shape[1] for column in columns)
    return torch.stack([column.expand(-1, most, -1, -1) for column in columns], 1)


def draw_golden(game: Game, real: Images | None) -> Image.Image:
    """A row of inputs and below it a row of what becomes of them, for each direction, at their own size."""
    rows: list[Tensor] = []
    for direction in game.directions:
        given = inputs(game, real, GOLDEN, direction)
        rows += [given, game.translate(given, direction=direction)]
    columns = min(len(row) for row in rows)
    joined = side_by_side([row[:columns] for row in rows]).transpose(0, 1).flatten(0, 1)
    return grid(joined, columns=columns, padding=0, scale=1)


def compare_golden(game: Game, path: Path) -> int:
    """Translates the inputs of a golden picture again; PNG keeps them to the bit.

    Returns:
        The largest difference in 8-bit levels.

    Raises:
        BadModelFolder: if there is no such picture in the file, or what it shows is not what the model makes.
    """
    _, height, width = game.source_shape
    tall = 2 * len(game.directions) * height
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            columns = picture.width // width
            if picture.height != tall or picture.width % width or not 1 <= columns <= 64:
                found = f"{picture.width}x{picture.height} pixels"
                raise BadModelFolder(
                    f"{path}: {found} are no golden picture of this model, which is {tall} pixels high"
                )
            pixels = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # Pillow's, for a bad file
        raise BadModelFolder(f"{path}: no readable picture: {error}") from None
    rows = pixels.unflatten(1, (-1, height)).unflatten(3, (columns, width)).permute(1, 3, 0, 2, 4)
    worst = 0
    for i, direction in enumerate(game.directions):
        start, end = game.shapes_of(direction)
        made = game.translate(to_float(rows[2 * i, :, : start[0]]), direction=direction)
        worst = max(worst, int((to_uint8(made).int() - rows[2 * i + 1, :, : end[0]].int()).abs().max()))
    if worst > _TOLERANCE:
        raise BadModelFolder(f"{path}: the model makes other pictures than the golden ones, by {worst} levels of 255")
    return worst


def _fields(shape: tuple[int, ...], n: int) -> Tensor:
    """Smooth random fields `(n, *shape)` in [-1, 1], each from its number."""
    coarse = np.stack([np.random.RandomState(i).uniform(-1, 1, (shape[0], 4, 4)) for i in range(n)])
    smooth = functional.interpolate(torch.from_numpy(coarse), shape[1:], mode="bicubic", align_corners=True)
    return smooth.clamp_(-1, 1).float()
