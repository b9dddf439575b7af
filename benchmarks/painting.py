r"""Masked editing: strokes on held-out pictures, and what becomes of them and of the rest of the picture.

    OMP_NUM_THREADS=1 python benchmarks/painting.py runs/introspective-ian-fashion-mnist/last bigan-fashion-mnist \
        --out docs/latent.md --picture docs/pictures/latent/painted.png

Models that encode are given photographs of their data's test split and a stroke on each, a rectangle of the opposite
light. `latent.paint` looks for the latent whose picture has the stroke's color and is otherwise as it was, from the
encoder's code on, and takes only the change over (Brock et al. 2017, section 2.1). The table says how much of the way
to the stroke's color its pixels went, and how far all others moved, as a mean absolute difference of pixels in [-1, 1];
then both of the generator's own picture at that latent, without the mask; and how far that is without any stroke, as
the encoder's code gives it. The picture shows photographs, strokes, what is drawn of the codes, and what was painted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import measured
import numpy as np
import torch
from torch import Tensor

import ganzoo
from ganzoo import latent
from ganzoo.media.levels import to_float
from ganzoo.media.medium import save_grid
from ganzoo.media.provenance import made_by
from ganzoo.zoo.evaluating import source_of

HEADS = ("model", "way", "elsewhere", "way, no mask", "elsewhere, no mask", "elsewhere, no stroke")
SHOWN = 12


def stroke(x: Tensor, rng: np.random.RandomState) -> tuple[Tensor, Tensor]:
    """A rectangle on a picture `(C, H, W)`: its color `(C, H, W)`, black or white, and its place `(H, W)`."""
    high, wide = max(1, x.shape[1] // 8), max(1, x.shape[2] // 4)
    top, left = rng.randint(x.shape[1] // 4, 3 * x.shape[1] // 4 - high), rng.randint(0, x.shape[2] - wide)
    mask = torch.zeros(x.shape[1:])
    mask[top : top + high, left : left + wide] = 1
    light = 1.0 if float(x[:, mask > 0].mean()) < 0 else -1.0
    return torch.full_like(x, light), mask


def painted(model: Any, count: int, steps: int) -> tuple[Tensor, Tensor]:
    """Photographs, strokes, of codes, painted, and of their latents `(count, 5, C, H, W)`; places `(count, H, W)`."""
    test = source_of(model, None).open("test")
    rng = np.random.RandomState(0)
    some = rng.permutation(len(test))[:count]
    found, masks = [], []
    for x in to_float(torch.from_numpy(test.values[some])):
        color, mask = stroke(x, rng)
        code = latent.encoded(model, x[None])
        to, after = latent.paint(model, code, color, mask, steps, photo=x)
        strokes = torch.where(mask > 0, color, x)
        found.append(torch.stack([x, strokes, latent.images(model, code)[0], after[0], latent.images(model, to)[0]]))
        masks.append(mask)
    return torch.stack(found), torch.stack(masks)


def figures(rows: Tensor, masks: Tensor) -> list[float]:
    """The five means of the table over the pictures of `painted`."""
    x, strokes, code, after, own = rows.unbind(1)
    inside, outside = masks[:, None].expand_as(x) > 0, masks[:, None].expand_as(x) == 0

    def far(one: Tensor, other: Tensor, where: Tensor) -> float:
        return float((one - other)[where].abs().double().mean())

    begun = far(x, strokes, inside)
    ways = [1 - far(each, strokes, inside) / begun for each in (after, own)]
    moved = [far(each, x, outside) for each in (after, own, code)]
    return [ways[0], moved[0], ways[1], moved[1], moved[2]]


def main() -> None:
    parser = measured.parser(__doc__)
    parser.add_argument("models", nargs="+", help="names or folders of models that encode")
    parser.add_argument("--count", type=int, default=48, help="pictures")
    parser.add_argument("--steps", type=int, default=100, help="of the search")
    parser.add_argument("--picture", type=Path, help="where to draw the first model's")
    given = parser.parse_args()
    measured.quiet()
    lines = [f"| {' | '.join(HEADS)} |", "|---" * len(HEADS) + "|"]
    for i, name in enumerate(given.models):
        model: Any = ganzoo.load(name)
        rows, masks = painted(model, given.count, given.steps)
        cells = " | ".join(f"{value:.3f}" for value in figures(rows, masks))
        lines.append(f"| {model.card.name} | {cells} |")
        print(lines[-1], flush=True)
        if given.picture is not None and i == 0:
            shown = rows[:SHOWN, :4].transpose(0, 1)
            with made_by(model, composite=True):
                save_grid(shown.flatten(0, 1).clamp(-1, 1), given.picture, columns=shown.shape[1])
    measured.show("\n".join(lines), given.out)


if __name__ == "__main__":
    main()
