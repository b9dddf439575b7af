"""Networks of pytorch-CycleGAN-and-pix2pix, each of which lies in a file of its own.

A file does not say how its network was trained: a generator of residual blocks is taken for CycleGAN's first, and a
U-Net for pix2pix's. What joins it tells more: another generator is the inverse; a discriminator of two images at once
makes it pix2pix's; one of a single image is D_A, which judges what the first generator makes, and a second one D_B.
Instance normalization has neither parameters nor statistics that count: what old files carry of the latter is left out.
Where there are gains without statistics, it is instance normalization with learned gains, as other programs with the
same layers have it; where there are not even biases, there is none (`--norm none`).
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ganzoo.layouts.containers import Contents
from ganzoo.layouts.layout import Converted, Layout, Ledger
from ganzoo.types import BadCheckpoint

CYCLEGAN = "pytorch-CycleGAN-and-pix2pix, a generator of residual blocks (.pth)"
PAIRED = "pytorch-CycleGAN-and-pix2pix, a generator of residual blocks trained on pairs (.pth)"
PIX2PIX = "pytorch-CycleGAN-and-pix2pix, a U-Net (.pth)"

_BLOCK = r"model\.(\d+)\.(conv_block|block)\.1\.weight"


def _open(contents: Contents, part: str) -> Ledger:
    return Ledger(contents, f"the {part}", contents.alone(f"a {part} of pytorch-CycleGAN-and-pix2pix").tensors)


class _Layers:
    """Takes a network's layers from a ledger, of one normalization throughout.

    Args:
        ledger: of the network's tensors.
        convolution: the name of a convolution, and
        norm: of the normalization after it, which show the kind of all.
    """

    def __init__(self, ledger: Ledger, convolution: str, norm: str) -> None:
        self.ledger = ledger
        self.made: dict[str, Tensor] = {}
        if f"{norm}.weight" in ledger:
            self.normalization = "batch" if f"{norm}.running_mean" in ledger else "instance-affine"
        else:
            self.normalization = "instance" if f"{convolution}.bias" in ledger else "none"

    def convolution(
        self, theirs: str, ours: str, shape: tuple[int, ...], bias: bool | None = None, up: bool = False
    ) -> int:
        """Takes a convolution; gives its number of outputs. Its bias stands where instance normalization follows."""
        weight = self.ledger.take(f"{theirs}.weight", shape)
        self.made[f"{ours}.weight"] = weight
        outputs = weight.shape[1 if up else 0]
        if self.normalization.startswith("instance") if bias is None else bias:
            self.made[f"{ours}.bias"] = self.ledger.take(f"{theirs}.bias", (outputs,))
        return outputs

    def norm(self, theirs: str, ours: str, width: int) -> None:
        """Takes a normalization."""
        ledger, made = self.ledger, self.made
        if self.normalization in ("instance", "none"):
            ledger.ignore(rf"{re.escape(theirs)}\.(running_mean|running_var|num_batches_tracked)")
            return
        parts = (
            ("weight", "bias", "running_mean", "running_var") if self.normalization == "batch" else ("weight", "bias")
        )
        made |= {f"{ours}.{part}": ledger.take(f"{theirs}.{part}", (width,)) for part in parts}
        if self.normalization == "batch":  # old files lack the count
            count = f"{theirs}.num_batches_tracked"
            made[f"{ours}.num_batches_tracked"] = ledger.take(count, ()) if count in ledger else torch.tensor(0)


# CycleGAN


def _is_resnet(contents: Contents) -> bool:
    for key in contents.having("model.1.weight"):
        tensors = contents.modules[key].tensors
        first, blocks = tensors["model.1.weight"], any(re.fullmatch(_BLOCK, name) for name in tensors)
        if first.ndim == 4 and first.shape[-1] == 7 and blocks:
            return True
    return False


def _resnet(contents: Contents) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The arguments that a generator of residual blocks tells, and its tensors."""
    with _open(contents, "generator") as ledger:
        found = [match for name in ledger if (match := re.fullmatch(_BLOCK, name))]
        blocks, block = len(found), found[0][2]
        dropout = f"model.10.{block}.6.weight" in ledger and len(ledger.shape(f"model.10.{block}.6.weight")) == 4
        second = 6 if dropout else 5
        layers = _Layers(ledger, f"model.10.{block}.1", "model.2")
        source = ledger.shape("model.1.weight")[1]
        width = layers.convolution("model.1", "down.1", (-1, source, 7, 7))
        layers.norm("model.2", "down.2", width)
        for number, inner in ((4, 2 * width), (7, 4 * width)):
            layers.convolution(f"model.{number}", f"down.{number}", (inner, inner // 2, 3, 3))
            layers.norm(f"model.{number + 1}", f"down.{number + 1}", inner)
        for i in range(blocks):
            for number, ours in ((1, 1), (second, 2)):
                theirs = f"model.{10 + i}.{block}"
                layers.convolution(f"{theirs}.{number}", f"blocks.{i}.conv{ours}", (4 * width, 4 * width, 3, 3))
                layers.norm(f"{theirs}.{number + 1}", f"blocks.{i}.norm{ours}", 4 * width)
        for number, outer in ((0, 2 * width), (3, width)):
            place = 10 + blocks + number
            layers.convolution(f"model.{place}", f"up.{number}", (2 * outer, outer, 3, 3), up=True)
            layers.norm(f"model.{place + 1}", f"up.{number + 1}", outer)
        channels = layers.convolution(f"model.{17 + blocks}", "up.7", (-1, width, 7, 7), bias=True)
    arguments = {
        "channels": channels,
        "source_channels": source,
        "width": width,
        "blocks": blocks,
        "normalization": layers.normalization,
        "dropout": dropout,
    }
    return arguments, layers.made


def _from_resnet(contents: Contents) -> Converted:
    arguments, made = _resnet(contents)
    if arguments["source_channels"] != arguments["channels"]:
        arguments["identity"] = 0.0  # of images that have other channels there is none
    arguments["both_ways"] = False
    return Converted("cyclegan", arguments, _named(made, "generator"), None, {"converted_from": CYCLEGAN})


def _join_resnet(contents: Contents, made: Converted) -> Converted:
    """Adds the inverse generator, or a discriminator, by what it is."""
    if _is_resnet(contents):
        return _join_inverse(contents, made)
    source, channels = (made.arguments[name] for name in ("source_channels", "channels"))
    with _open(contents, "discriminator") as ledger:
        given, sizes, tensors = _critic(ledger, made)
        if given == source + channels and made.family == "cyclegan" and made.players is None:
            return _as_pix2pix(made).joined("discriminator", tensors, **sizes)
        if any(made.arguments.get(name, value) != value for name, value in sizes.items()):
            raise ledger.error(f"has {sizes} and the other discriminator other sizes; the family has one for both")
        judged = "inverse_discriminator" if made.players is not None else "discriminator"
        expected = source if made.players is not None else channels
        if given != expected:
            raise ledger.error(f"takes {given} channels; expected {expected}, or {source + channels} of two images")
    return made.joined(judged, tensors, **sizes)


def _join_inverse(contents: Contents, made: Converted) -> Converted:
    arguments, tensors = _resnet(contents)
    wanted = {name: made.arguments[name] for name in arguments}
    wanted |= {"channels": wanted["source_channels"], "source_channels": wanted["channels"]}
    if arguments != wanted:
        raise BadCheckpoint(f"{contents.path}: is a generator of {arguments}; expected the inverse, of {wanted}")
    inference = made.inference | _named(tensors, "inverse")
    players = None if made.players is None else made.players | _named(tensors, "inverse")
    return replace(made, arguments=made.arguments | {"both_ways": True}, inference=inference, players=players)


def _as_pix2pix(made: Converted) -> Converted:
    """A generator of residual blocks that was trained on pairs."""
    arguments = {name: value for name, value in made.arguments.items() if name not in ("identity", "both_ways")}
    arguments |= {"architecture": "resnet"}
    return replace(made, family="pix2pix", arguments=arguments, facts={"converted_from": PAIRED})


# pix2pix


def _is_unet(contents: Contents) -> bool:
    keys = contents.having("model.model.0.weight", "model.model.1.model.1.weight")
    return any(contents.modules[key].tensors["model.model.0.weight"].ndim == 4 for key in keys)


def _from_unet(contents: Contents) -> Converted:
    with _open(contents, "generator") as ledger:
        places = ["model.model", "model.model.1.model"]  # the sequence of layers at each depth
        while f"{places[-1]}.3.model.1.weight" in ledger:
            places.append(f"{places[-1]}.3.model")
        depth = len(places)
        layers = _Layers(ledger, f"{places[-1]}.1", f"{places[-1]}.4")
        source = ledger.shape("model.model.0.weight")[1]
        width = layers.convolution("model.model.0", "down.0", (-1, source, 4, 4))
        widths = [width * min(2**i, 8) for i in range(depth)]
        for i, place in enumerate(places[1:], 1):
            innermost, outer, inner, ours = i == depth - 1, widths[i - 1], widths[i], depth - 1 - i
            halving = f"down.{i}" if innermost else f"down.{i}.0"
            layers.convolution(f"{place}.1", halving, (inner, outer, 4, 4))
            if not innermost:
                layers.norm(f"{place}.2", f"down.{i}.1", inner)
            number, inputs = (3, inner) if innermost else (5, 2 * inner)
            layers.convolution(f"{place}.{number}", f"up.{ours}.0", (inputs, outer, 4, 4), up=True)
            layers.norm(f"{place}.{number + 1}", f"up.{ours}.1", outer)
        channels = layers.convolution("model.model.3", f"up.{depth - 1}", (2 * width, -1, 4, 4), bias=True, up=True)
    arguments = {
        "size": max(2**depth, 32),  # at which such a network has a single innermost position
        "source_channels": source,
        "channels": channels,
        "width": width,
        "depth": depth,
        "normalization": layers.normalization,
    }
    return Converted("pix2pix", arguments, _named(layers.made, "generator"), None, {"converted_from": PIX2PIX})


def _join_pairs(contents: Contents, made: Converted) -> Converted:
    """Adds pix2pix's discriminator from a file of its own."""
    both = made.arguments["source_channels"] + made.arguments["channels"]
    with _open(contents, "discriminator") as ledger:
        given, sizes, tensors = _critic(ledger, made)
        if given != both:
            raise ledger.error(f"takes {given} channels; expected {both}, of two images")
    return made.joined("discriminator", tensors, **sizes)


def _critic(ledger: Ledger, made: Converted) -> tuple[int, dict[str, Any], dict[str, Tensor]]:
    """A discriminator's channels, its arguments, and its tensors; it judges patches, or pixels."""
    part = "net" if "net.0.weight" in ledger else "model"
    numbers = sorted(int(name.split(".")[1]) for name in ledger.names(rf"{part}\.\d+\.weight"))
    numbers = [i for i in numbers if len(ledger.shape(f"{part}.{i}.weight")) == 4]
    if numbers != [0, *range(2, 3 * len(numbers) - 3, 3)] or len(numbers) < 3:
        raise ledger.error("is no discriminator of patches or pixels: convolutions with normalizations between them")
    *inner, last = numbers[1:]
    layers = _Layers(ledger, f"{part}.2", f"{part}.3")
    if layers.normalization != made.arguments["normalization"]:
        raise ledger.error(
            f"has {layers.normalization} normalization and the generator {made.arguments['normalization']}; the "
            "family has one for both"
        )
    given = ledger.shape(f"{part}.0.weight")[1]
    side = 1 if part == "net" else 4
    before = width = layers.convolution(f"{part}.0", "main.0", (-1, given, side, side), bias=True)
    for i, number in enumerate(inner, 1):
        shape = (width * min(2**i, 8), before, side, side)
        before = layers.convolution(f"{part}.{number}", f"main.{number}", shape)
        layers.norm(f"{part}.{number + 1}", f"main.{number + 1}", before)
    bias = None if part == "net" else True
    layers.convolution(f"{part}.{last}", f"main.{last}", (1, before, side, side), bias=bias)
    return given, {"discriminator_width": width, "patch_layers": len(inner) if part == "model" else 0}, layers.made


def _named(tensors: Mapping[str, Tensor], network: str) -> dict[str, Tensor]:
    return {f"{network}.{name}": value for name, value in tensors.items()}


LAYOUTS = (
    Layout(CYCLEGAN, "cyclegan", _is_resnet, _from_resnet, _join_resnet),
    Layout(PAIRED, "pix2pix", _is_resnet, lambda contents: _as_pix2pix(_from_resnet(contents)), _join_pairs),
    Layout(PIX2PIX, "pix2pix", _is_unet, _from_unet, _join_pairs),
)
