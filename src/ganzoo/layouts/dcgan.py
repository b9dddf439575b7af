"""DCGANs in the layout of PyTorch's example: one `main` of transposed convolutions, ReLU and batch normalization.

Dozens of programs store their generator so, some under a key of their own. Such a generator draws z from the normal
distribution, and its discriminator ends in a sigmoid, which is ganzoo's loss's part. A layer of dropout after the first
ReLU, which a trained generator passes over, moves the numbers of the layers behind it by one; so there may be none.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor

from ganzoo.layouts.containers import Contents
from ganzoo.layouts.layout import Converted, Layout, Ledger, open_ledger
from ganzoo.nn import dcgan
from ganzoo.types import BadArgument


def _generator(contents: Contents) -> str | None:
    """The module that is a generator of this layout."""
    for key in contents.generators("main.0.weight"):
        tensors = contents.modules[key].tensors
        weights = [name for name in tensors if re.fullmatch(r"main\.\d+\.weight", name)]
        only = all(re.fullmatch(r"main\.\d+\.\w+", name) for name in tensors)
        if only and len(weights) > 2 and len(weights) % 2 and _projects(tensors[weights[0]], tensors[weights[-1]]):
            return key
    return None


def _projects(first: Tensor, last: Tensor) -> bool:
    """Whether these are transposed convolutions from z and to an image; a discriminator's last gives one score."""
    shapes = [tuple(weight.shape) for weight in (first, last)]
    (latent, wide, start, _), (narrow, *_) = shapes if [*map(len, shapes)] == [4, 4] else [(0, 0, 0, 0)] * 2
    return latent > 4 and wide >= 16 and 2 <= start <= 7 and wide >= narrow > 1


def _layers(ledger: Ledger) -> tuple[list[int], list[int]]:
    """The numbers of the convolutions and of the normalizations between them."""
    numbers = sorted(int(name.split(".")[1]) for name in ledger.names(r"main\.\d+\.weight"))
    convolutions = [i for i in numbers if len(ledger.shape(f"main.{i}.weight")) == 4]
    return convolutions, [i for i in numbers if i not in convolutions]


def _normalization(ledger: Ledger, theirs: int, ours: str, width: int) -> dict[str, Tensor]:
    """A BatchNorm's tensors; old files lack the count of batches."""
    parts = ("weight", "bias", "running_mean", "running_var")
    made = {f"{ours}.{part}": ledger.take(f"main.{theirs}.{part}", (width,)) for part in parts}
    count = f"main.{theirs}.num_batches_tracked"
    return made | {f"{ours}.num_batches_tracked": ledger.take(count, ()) if count in ledger else torch.tensor(0)}


def _is_eyes(contents: Contents) -> bool:
    """The one published generator of the layout that has classes beside z, which its tensors' shapes cannot tell."""
    key = _generator(contents)
    shapes = {} if key is None else {name: tuple(t.shape) for name, t in contents.modules[key].tensors.items()}
    dropout = "main.4.weight" in shapes and "main.3.weight" not in shapes
    return (
        dropout and shapes.get("main.0.weight") == (108, 1024, 4, 4) and shapes.get("main.16.weight") == (64, 3, 4, 4)
    )


def _from_eyes(contents: Contents) -> Converted:
    return _convert(contents, classes=8)


def _convert(contents: Contents, classes: int = 0) -> Converted:
    key = _generator(contents)
    assert key is not None
    made: dict[str, Tensor] = {}
    with open_ledger(contents, key) as ledger:
        convolutions, norms = _layers(ledger)
        if len(norms) != len(convolutions) - 1:
            raise ledger.error(f"has {len(norms)} normalizations between {len(convolutions)} convolutions")
        inputs, _, start, _ = ledger.shape(f"main.{convolutions[0]}.weight")
        before, width = inputs, 0
        for place, theirs in enumerate(convolutions):
            side = start if place == 0 else 4
            made[f"main.{3 * place}.weight"] = weight = ledger.take(f"main.{theirs}.weight", (before, -1, side, side))
            if place < len(norms):
                made |= _normalization(ledger, norms[place], f"main.{3 * place + 1}", weight.shape[1])
                width = weight.shape[1]
            before = weight.shape[1]
    size = start * 2 ** (len(convolutions) - 1)
    try:
        if dcgan.plan(size)[0] != start:
            raise BadArgument(f"{size} pixels do not begin at {start}")
    except BadArgument as error:
        raise ledger.error(f"makes images that the family does not: {error}") from None
    arguments = {"size": size, "channels": before, "latent": inputs - classes, "prior": "normal", "width": width}
    inference = {f"generator.{name}": value for name, value in made.items()}
    if classes:
        return Converted("conditional_dcgan", {**arguments, "classes": classes}, inference, None)
    return Converted("dcgan", arguments, inference, None)


def _discriminator(contents: Contents, made: Converted) -> Converted:
    """Adds the discriminator from a file of its own."""
    found: dict[str, Tensor] = {}
    with Ledger(contents, "the discriminator", contents.alone("a discriminator of DCGAN").tensors) as ledger:
        convolutions, norms = _layers(ledger)
        if len(convolutions) < 2 or len(norms) != len(convolutions) - 2:
            raise ledger.error("is no discriminator of DCGAN: strided convolutions with normalizations between them")
        for place, theirs in enumerate(convolutions[:-1]):
            ours = f"features.{0 if place == 0 else 3 * place - 1}"
            found[f"{ours}.weight"] = weight = ledger.take(f"main.{theirs}.weight", (-1, -1, 4, 4))
            if place:
                found |= _normalization(ledger, norms[place - 1], f"features.{3 * place}", weight.shape[0])
        found["head.weight"] = ledger.take(f"main.{convolutions[-1]}.weight", (1, -1, -1, -1))
    if found["features.0.weight"].shape[0] != made.arguments["width"]:
        raise ledger.error(
            f"is {found['features.0.weight'].shape[0]} feature maps wide and the generator "
            f"{made.arguments['width']}; the family has one width for both"
        )
    return made.joined("discriminator", found)


LAYOUTS = (
    Layout("omniart-eye-generator's conditional DCGAN (.pth)", "conditional_dcgan", _is_eyes, _from_eyes),
    Layout("DCGAN of PyTorch's example (.pth)", "dcgan", lambda c: _generator(c) is not None, _convert, _discriminator),
)
