"""DCGANs in the layout of PyTorch's example, a `main` of transposed convolutions, and pytorch_GAN_zoo's.

Dozens of programs store their generator so, some under a key of their own. Such a generator draws z from the normal
distribution, and its discriminator ends in a sigmoid, which is ganzoo's loss's part. A layer of dropout after the first
ReLU, which a trained generator passes over, moves the numbers of the layers behind it by one; so there may be none.
"""

import re
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ganzoo.layouts.containers import Contents
from ganzoo.layouts.layout import Converted, Layout, Ledger, marked, open_ledger
from ganzoo.nn import dcgan
from ganzoo.types import BadArgument


def _layers(ledger: Ledger) -> tuple[list[str], list[str]]:
    """The convolutions and the normalizations between them, in their order."""
    numbers = sorted(int(name.split(".")[1]) for name in ledger.names(r"main\.\d+\.weight"))
    convolutions = [i for i in numbers if len(ledger.shape(f"main.{i}.weight")) == 4]
    return [f"main.{i}" for i in convolutions], [f"main.{i}" for i in numbers if i not in convolutions]


def _normalization(ledger: Ledger, theirs: str, ours: str, width: int) -> dict[str, Tensor]:
    """A BatchNorm's tensors; old files lack the count of batches."""
    parts = ("weight", "bias", "running_mean", "running_var")
    made = {f"{ours}.{part}": ledger.take(f"{theirs}.{part}", (width,)) for part in parts}
    count = f"{theirs}.num_batches_tracked"
    return made | {f"{ours}.num_batches_tracked": ledger.take(count, ()) if count in ledger else torch.tensor(0)}


def _generator(ledger: Ledger, convolutions: list[str], norms: list[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The family's arguments and the generator's tensors."""
    if len(norms) != len(convolutions) - 1:
        raise ledger.error(f"has {len(norms)} normalizations between {len(convolutions)} convolutions")
    made: dict[str, Tensor] = {}
    latent, _, start, _ = ledger.shape(f"{convolutions[0]}.weight")
    before, width = latent, 0
    for place, theirs in enumerate(convolutions):
        side = start if place == 0 else 4
        made[f"main.{3 * place}.weight"] = weight = ledger.take(f"{theirs}.weight", (before, -1, side, side))
        before = weight.shape[1]
        if place < len(norms):
            width = before
            made |= _normalization(ledger, norms[place], f"main.{3 * place + 1}", width)
    size = start * 2 ** (len(convolutions) - 1)
    try:
        if dcgan.plan(size)[0] != start:
            raise BadArgument(f"{size} pixels do not begin at {start}")
    except BadArgument as error:
        raise ledger.error(f"makes images that the family does not: {error}") from None
    return {"size": size, "channels": before, "latent": latent, "prior": "normal", "width": width}, made


def _discriminator(ledger: Ledger, convolutions: list[str], norms: list[str]) -> dict[str, Tensor]:
    """The discriminator's tensors."""
    if len(convolutions) < 2 or len(norms) != len(convolutions) - 2:
        raise ledger.error("is no discriminator of DCGAN: strided convolutions with normalizations between them")
    made: dict[str, Tensor] = {}
    for place, theirs in enumerate(convolutions[:-1]):
        ours = f"features.{0 if place == 0 else 3 * place - 1}"
        made[f"{ours}.weight"] = weight = ledger.take(f"{theirs}.weight", (-1, -1, 4, 4))
        if place:
            made |= _normalization(ledger, norms[place - 1], f"features.{3 * place}", weight.shape[0])
    made["head.weight"] = ledger.take(f"{convolutions[-1]}.weight", (1, -1, -1, -1))
    return made


# PyTorch's example


def _place(contents: Contents) -> str | None:
    """The module that is a generator of the example's layout."""
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


def _is_eyes(contents: Contents) -> bool:
    """The one published generator of the layout that has classes beside z, which its tensors' shapes cannot tell."""
    key = _place(contents)
    shapes = {} if key is None else {name: tuple(t.shape) for name, t in contents.modules[key].tensors.items()}
    dropout = "main.4.weight" in shapes and "main.3.weight" not in shapes
    return (
        dropout and shapes.get("main.0.weight") == (108, 1024, 4, 4) and shapes.get("main.16.weight") == (64, 3, 4, 4)
    )


def _from_eyes(contents: Contents) -> Converted:
    return _convert(contents, classes=8)


def _convert(contents: Contents, classes: int = 0) -> Converted:
    key = _place(contents)
    assert key is not None
    with open_ledger(contents, key) as ledger:
        arguments, made = _generator(ledger, *_layers(ledger))
    inference = {f"generator.{name}": value for name, value in made.items()}
    if classes:
        arguments |= {"latent": arguments["latent"] - classes, "classes": classes}
        return Converted("conditional_dcgan", arguments, inference)
    return Converted("dcgan", arguments, inference)


def _join(contents: Contents, made: Converted) -> Converted:
    """Adds the discriminator from a file of its own."""
    contents.alone("a discriminator of DCGAN")
    with open_ledger(contents, next(iter(contents.modules))) as ledger:
        found = _discriminator(ledger, *_layers(ledger))
    return _together(made, found)


def _together(made: Converted, found: dict[str, Tensor]) -> Converted:
    return made.joined("discriminator", found, discriminator_width=len(found["features.0.weight"]))


# pytorch_GAN_zoo


def _from_gan_zoo(contents: Contents) -> Converted:
    """avgG, netG and netD.

    Only parameters are averaged there, and nothing is ever evaluated: avgG's statistics are no average of anything, and
    the authors' pictures are normalized by their own batch.
    """
    keys, made = contents.generators("formatLayer.weight"), dict[str, dict[str, Tensor]]()
    for key in keys:
        with open_ledger(contents, key) as ledger:
            count = len(ledger.names(r"main\.convTranspose\d+\.weight"))
            middle = [f"main.convTranspose{i}" for i in range(1, count + 1)]
            norms = [f"main.batchNorm{i}" for i in range(count + 1)]
            arguments, made[key] = _generator(ledger, ["formatLayer", *middle, "main.outlayer"], norms)
    inference = {f"generator.{name}": value for name, value in made[keys[0]].items()}
    converted = Converted("dcgan", arguments, inference, None, {"converted_from": GAN_ZOO})
    if "D" not in contents.modules:
        return converted
    with open_ledger(contents, "D") as ledger:  # its convolutions are counted down, and called transposed too
        count = len(ledger.names(r"main\.convTranspose\d+\.weight"))
        layers = [f"main.convTranspose{i}" for i in reversed(range(count))]
        norms = [f"main.batchNorm{i}" for i in reversed(range(count - 1))]
        found = _discriminator(ledger, [*layers, "decisionLayer"], norms)
    live = {f"generator.{name}": value for name, value in made.get("G", made[keys[0]]).items()}
    return replace(_together(replace(converted, inference=live), found), inference=inference)


GAN_ZOO = "pytorch_GAN_zoo DCGAN"

LAYOUTS = (
    Layout("omniart-eye-generator's conditional DCGAN (.pth)", "conditional_dcgan", _is_eyes, _from_eyes),
    Layout("DCGAN of PyTorch's example (.pth)", "dcgan", lambda c: _place(c) is not None, _convert, _join),
    Layout(GAN_ZOO, "dcgan", marked("formatLayer.weight", "main.outlayer.weight"), _from_gan_zoo),
)
