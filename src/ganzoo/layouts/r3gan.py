"""R3GAN's checkpoints: modules pickled whole by the authors' code, whose sizes are read from their tensors.

`Model.MainLayers` are the stages of a network and their `Layers` the transition, to or from another resolution or the
basis, and the blocks. The filter of the resampling is the same everywhere and is made anew. The authors compute the
stages of many pixels in bfloat16, on a CPU too; here a converted model runs in float32, and so its pictures differ from
theirs by that rounding.
"""

import re
from typing import Any

import torch
from torch import Tensor

from ganzoo.layouts.containers import Contents
from ganzoo.layouts.layout import Converted, Layout, Ledger, marked, open_ledger

_FAMILY = "r3gan"
_NAME = "R3GAN (PyTorch)"
_STAGES = "Model.MainLayers"
_BASIS = f"{_STAGES}.0.Layers.0.Basis"
_LAYER = r"Model\.MainLayers\.(\d{1,2})\.Layers\.(\d{1,3})\."
_RULES = {
    rf"{_LAYER}LinearLayer([123])\.Layer\.weight": r"stages.\1.\2.conv\3.weight",
    rf"{_LAYER}NonLinearity([12])\.Bias": r"stages.\1.\2.conv\3.bias",
    rf"{_LAYER}LinearLayer\.Layer\.weight": r"stages.\1.\2.conv.weight",
    rf"{_LAYER}LinearLayer\.weight": r"stages.\1.\2.linear.weight",
    rf"{_LAYER}Basis": r"stages.\1.\2.basis",
    r"Model\.AggregationLayer\.Layer\.weight": "to_image.weight",
    r"Model\.ExtractionLayer\.Layer\.weight": "from_image.weight",
}

Made = tuple[dict[str, Any], dict[str, Tensor]]  # arguments of the family, and tensors under its names


def convert(contents: Contents) -> Converted:
    """The generator, averaged where there is such a one, and with the live one and the discriminator its players."""
    generators = contents.generators(_BASIS)
    arguments, averaged = _generator(contents, generators[0])
    inference = {f"generator.{name}": value for name, value in averaged.items()}
    made = Converted(_FAMILY, arguments, inference, None, {"converted_from": _NAME})
    if "D" not in contents.modules:
        return made
    live = averaged
    if "G" in generators[1:]:
        other, live = _generator(contents, "G")
        if other != arguments:
            raise Ledger(contents, "G", {}).error(f"is of another architecture than {generators[0]}")
    theirs, critic = _discriminator(contents)
    for name, value in theirs.items():
        if arguments.get(name, value) != value:
            raise Ledger(contents, "D", {}).error(f"has {name} {value} where the generator has {arguments[name]}")
    players = {f"generator.{name}": value for name, value in live.items()}
    return Converted(_FAMILY, arguments, inference, players, made.facts).joined("discriminator", critic, **theirs)


def _generator(contents: Contents, key: str) -> Made:
    with open_ledger(contents, key) as ledger:
        arguments = _stages(ledger)
        arguments["size"] = 4 << len(arguments["widths"]) - 1
        arguments["channels"] = ledger.sides("Model.AggregationLayer.Layer.weight", 4)[0]
        latent = ledger.sides(f"{_STAGES}.0.Layers.0.LinearLayer.weight", 2)[1]
        made, embedded = _tensors(ledger)
        arguments |= {"classes": embedded[0], "latent": latent - embedded[1]}
        if arguments["classes"]:
            arguments["embedding"] = embedded[1]
        if arguments["latent"] < 1:
            raise ledger.error(f"has a basis of {latent} numbers, all of them the label's; z is expected among them")
    return arguments, made


def _discriminator(contents: Contents) -> Made:
    with open_ledger(contents, "D") as ledger:
        arguments = {k: v if k == "expansion" else v[::-1] for k, v in _stages(ledger).items()}
        arguments["channels"] = ledger.sides("Model.ExtractionLayer.Layer.weight", 4)[1]
        made, (arguments["classes"], embedding) = _tensors(ledger)
        if embedding:
            arguments["discriminator_embedding"] = embedding
        name = next((name for name in made if name.endswith(".basis.weight")), "")
        if name:  # a convolution over all of the feature maps' pixels
            made[name.removesuffix(".weight")] = made.pop(name).squeeze(1)
    return arguments, made


def _stages(ledger: Ledger) -> dict[str, Any]:
    """Widths, groups and depths of the stages, in the file's order, and the expansion that their blocks have in common.

    What the tensors of one block per stage say is held against all others by the shapes that follow from it.
    """
    found: dict[int, dict[int, tuple[int, ...]]] = {}
    for name in ledger.names(rf"{_LAYER}LinearLayer2\.Layer\.weight"):
        stage, layer = (int(number) for number in re.findall(r"\d+", name)[:2])
        found.setdefault(stage, {})[layer] = ledger.sides(name, 4)
    if not found or sorted(found) != [*range(len(found))]:
        raise ledger.error(f"has blocks in the stages {sorted(found)}; 0, 1, 2, ... without a gap are expected")
    widths, groups, expansions = [], [], set()
    for stage in range(len(found)):
        layer, (inside, grouped, _, _) = next(iter(found[stage].items()))
        width = ledger.sides(f"{_STAGES}.{stage}.Layers.{layer}.LinearLayer1.Layer.weight", 4)[1]
        if inside % grouped or inside % width:
            raise ledger.error(f"has a block of {width}, {inside} and {grouped} feature maps in stage {stage}")
        widths.append(width)
        groups.append(inside // grouped)
        expansions.add(inside // width)
    if len(expansions) > 1:
        raise ledger.error(f"has blocks that expand by {sorted(expansions)}; one factor is expected")
    depths = [len(found[stage]) for stage in range(len(found))]
    return {"widths": widths, "groups": groups, "depths": depths, "expansion": expansions.pop()}


def _tensors(ledger: Ledger) -> tuple[dict[str, Tensor], tuple[int, int]]:
    """All tensors under ganzoo's names, and the classes and the length of an embedded one; 0 where there are none."""
    for name in ledger.names(rf"{_LAYER}Resampler\.Kernel"):
        kernel, taps = ledger.take(name, (4, 4)), torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        if not torch.allclose(kernel.float(), torch.outer(taps, taps)):
            raise ledger.error(f"resamples with another filter than [1, 3, 3, 1] in {name!r}")
    basis = rf"{_LAYER}Basis\.weight"
    made = ledger.rename({**_RULES, basis: r"stages.\1.\2.basis.weight"})
    if "Model.EmbeddingLayer.weight" not in ledger:
        return made, (0, 0)
    length, classes = ledger.sides("Model.EmbeddingLayer.weight", 2)
    made["embedding.weight"] = ledger.take("Model.EmbeddingLayer.weight").T.contiguous()
    return made, (classes, length)


LAYOUTS = (Layout(_NAME, _FAMILY, marked(_BASIS), convert),)
