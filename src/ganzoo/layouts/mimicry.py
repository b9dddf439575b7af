"""mimicry's checkpoints: SNGAN, SSGAN, InfoMax-GAN, the projection cGAN and SAGAN, a `.pth` for each network.

A generator's tensors tell its widths; how many of the discriminator's blocks halve the side, and where self-attention
stands, are what mimicry has at that size. Weights under torch's spectral normalization come with both singular vectors.
mimicry's own layers (the last two of the cGAN) keep one and take a step of the power method whenever they run: here
that step is taken once. The generators of mimicry's unconditional models (SNGAN, SSGAN, InfoMax-GAN, WGAN-GP, DCGAN)
are one network: alone it is read as SNGAN's unless the family is said, and the discriminator's file says which of the
first three it is. The discriminators of the last two are not read.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from torch import Tensor

from ganzoo.layouts.containers import Contents
from ganzoo.layouts.layout import Converted, Layout, Ledger
from ganzoo.layouts.pickles import quoted
from ganzoo.nn.spectral import power_iteration

# By side of the image: how many widths the discriminator has, and how many of its blocks halve the side
_DISCRIMINATORS = {32: (4, 2), 48: (5, 4), 64: (5, 5), 128: (6, 5)}
# By side of the image: sides of the feature maps that self-attention looks over
_ATTENTION = {32: (16, 8), 128: (32, 32)}
_BATCH_NORM = ("running_mean", "running_var", "num_batches_tracked")
# The families whose generator is SNGAN's, and what the discriminators of the others are known by
_UNCONDITIONAL = {"sngan": "", "ssgan": r"l_y\..*", "infomax_gan": r"local_nrkhs_a\..*"}
ATTENTION = tuple(f"attn_block.{name}" for name in ("theta", "phi", "g", "o", "gamma"))


def _open(contents: Contents, part: str) -> Ledger:
    return Ledger(contents, part, contents.alone("one network of mimicry").tensors)


def _family(contents: Contents) -> str | None:
    """Whose generator a file holds."""
    if contents.having("l1.weight", "block2.b2.running_mean", "block2.c_sc.weight"):
        return "sngan"
    conditional = contents.having("l1.weight_orig", "block2.b2.bn.running_mean", "attn_block.gamma")
    return "sagan" if conditional else "cgan_pd" if contents.having("l1.weight", "block2.b2.bn.running_mean") else None


def _is(family: str) -> Any:
    generator = "sngan" if family in _UNCONDITIONAL else family
    return lambda contents: _family(contents) == generator


class Maker:
    """Takes layers out of a ledger and keeps them under new names."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.made: dict[str, Tensor] = {}

    def layer(self, theirs: str, ours: str, shape: tuple[int, ...], *, spectral: bool, bias: bool = True) -> Tensor:
        """A convolution, a linear map or an embedding; gives its weight."""
        take = self.ledger.take
        outputs: int
        if not spectral:
            weight = take(f"{theirs}.weight", shape).float()
        elif f"{theirs}.weight_orig" in self.ledger:
            weight = take(f"{theirs}.weight_orig", shape).float()
            self.made[f"{ours}.u"] = take(f"{theirs}.weight_u", (len(weight),)).float()
            self.made[f"{ours}.v"] = take(f"{theirs}.weight_v", (weight[0].numel(),)).float()
        elif f"{theirs}.sn_u" in self.ledger:
            weight = take(f"{theirs}.weight", shape).float()
            u = take(f"{theirs}.sn_u", (1, len(weight))).float()[0]
            take(f"{theirs}.sn_sigma", (1,))  # the last estimate, which nothing uses
            self.made[f"{ours}.u"], self.made[f"{ours}.v"] = power_iteration(weight, u)
        else:
            found = "is not under spectral normalization" if f"{theirs}.weight" in self.ledger else "is not there"
            raise self.ledger.error(f"has another architecture: the layer {theirs!r} {found}; expected SNGAN's and kin")
        outputs = len(weight)
        if bias:
            self.made[f"{ours}.bias"] = take(f"{theirs}.bias", (outputs,)).float()
        self.made[f"{ours}.weight"] = weight
        return weight

    def norm(self, theirs: str, ours: str, width: int, classes: int = 0) -> int:
        """Batch normalization, with gains and biases by class where there are any; gives the number of classes."""
        take = self.ledger.take
        if not classes:
            for name in ("weight", "bias"):
                self.made[f"{ours}.{name}"] = take(f"{theirs}.{name}", (width,)).float()
        else:
            table = take(f"{theirs}.embed.weight", (classes, 2 * width)).float()
            classes = len(table)
            self.made[f"{ours}.gain.weight"], self.made[f"{ours}.bias.weight"] = table.split(width, 1)
        inner, outer = (f"{theirs}.bn", f"{ours}.norm") if classes else (theirs, ours)
        for name in _BATCH_NORM:
            value = take(f"{inner}.{name}", () if name == "num_batches_tracked" else (width,))
            self.made[f"{outer}.{name}"] = value if name == "num_batches_tracked" else value.float()
        return classes

    def attention(self, width: int, names: Sequence[str] = ATTENTION) -> None:
        """Self-attention over feature maps of a width, from layers called query, key, value, output and gamma so."""
        narrow, half = width // 8, width // 2
        shapes = {"query": (narrow, width), "key": (narrow, width), "value": (half, width), "out": (width, half)}
        for theirs, (ours, shape) in zip(names, shapes.items(), strict=False):
            self.layer(theirs, f"attention.{ours}", (*shape, 1, 1), spectral=True, bias=False)
        gamma = self.ledger.take(names[-1]).float()
        if gamma.numel() != 1:
            raise self.ledger.error(f"has {quoted(names[-1])} of shape {[*gamma.shape]}; expected one number")
        self.made["attention.gamma"] = gamma.reshape(())

    def named(self, network: str) -> dict[str, Tensor]:
        """The tensors under a network's name."""
        return {f"{network}.{name}": value.contiguous() for name, value in self.made.items()}


def _generator(family: str) -> Any:
    return lambda contents: _convert(contents, family)


def _convert(contents: Contents, family: str) -> Converted:
    spectral, classes = family == "sagan", 0 if family in _UNCONDITIONAL else -1
    with _open(contents, "generator") as ledger:
        make = Maker(ledger)
        blocks = len(ledger.names(r"block\d+\.c1\.weight(_orig)?"))
        last, suffix = blocks + 2, "weight_orig" if spectral else "weight"
        names = [f"block{k}.c1.{suffix}" for k in range(2, last)] + [f"c{last}.{suffix}"]
        shapes = [ledger.shape(name) for name in names]
        widths = [shape[1] if len(shape) == 4 else 0 for shape in shapes]
        if min(widths) < 1:
            bad = widths.index(min(widths))
            raise ledger.error(f"has {quoted(names[bad])} of shape {[*shapes[bad]]}; expected 3 x 3 convolutions")
        projected, latent = make.layer("l1", "linear", (-1, -1), spectral=spectral).shape
        start = math.isqrt(projected // widths[0])
        if start**2 * widths[0] != projected or start < 1:
            raise ledger.error(f"projects to {projected} units, which make no square of {widths[0]} feature maps")
        for k, (inputs, outputs) in enumerate(pairwise(widths), 2):
            theirs, ours = f"block{k}", f"blocks.{k - 2}"
            make.layer(f"{theirs}.c1", f"{ours}.conv1", (outputs, inputs, 3, 3), spectral=spectral)
            make.layer(f"{theirs}.c2", f"{ours}.conv2", (outputs, outputs, 3, 3), spectral=spectral)
            make.layer(f"{theirs}.c_sc", f"{ours}.shortcut", (outputs, inputs, 1, 1), spectral=spectral)
            classes = make.norm(f"{theirs}.b1", f"{ours}.norm1", inputs, classes)
            classes = make.norm(f"{theirs}.b2", f"{ours}.norm2", outputs, classes)
        make.norm(f"b{last}", "norm", widths[-1])
        channels = len(make.layer(f"c{last}", "conv", (-1, widths[-1], 3, 3), spectral=spectral))
        size = start << blocks
        if size not in _DISCRIMINATORS:
            known = ", ".join(map(str, _DISCRIMINATORS))
            raise ledger.error(f"makes images of {size} pixels; mimicry's networks are for {known}")
        arguments: dict[str, Any] = {"size": size, "channels": channels, "latent": latent, "widths": widths}
        if classes:
            arguments["classes"] = classes
        if family == "sagan":
            if size not in _ATTENTION:
                raise ledger.error(f"makes images of {size} pixels; mimicry's SAGAN is for 32 and 128")
            own, other = _ATTENTION[size]
            make.attention(widths[(own // start).bit_length() - 1])
            arguments |= {"attention": own, "discriminator_attention": other, "wide": False}
    count, halving = _DISCRIMINATORS[size]
    # Until its file says: mimicry's defaults
    usual = [128] * 4 if size == 32 else [64 << min(level, 4) for level in range(count)]
    arguments |= {"discriminator_widths": usual, "downsamplings": halving} | _variant(family)
    facts = {"converted_from": _NAMES[family]} | _steps(contents)
    return Converted(family, arguments, make.named("generator"), None, facts)


def _steps(contents: Contents) -> dict[str, Any]:
    steps = contents.beside.get("global_step")
    return {"steps": steps} if type(steps) is int else {}


def _variant(family: str) -> dict[str, Any]:
    """The argument that says whose details are computed; InfoMax-GAN has no other than mimicry's."""
    return {} if family == "infomax_gan" else {"variant": "mimicry"}


def _with_discriminator(contents: Contents, converted: Converted) -> Converted:
    """Adds the discriminator of a second file."""
    count, halving = _DISCRIMINATORS[converted.arguments["size"]]
    with _open(contents, "discriminator") as ledger:
        make = Maker(ledger)
        if ledger.names(r"l1\.weight(_orig)?"):
            raise ledger.error("is a generator; expected a discriminator")
        converted = _named_by(ledger, converted)
        family, arguments = converted.family, converted.arguments
        blocks = len(ledger.names(r"(block\d+|(local|global)_feat_blocks\.\d+)\.c1\.weight(_orig)?"))
        if blocks != count:
            raise ledger.error(f"has {blocks} blocks; mimicry has {count} at {arguments['size']} pixels")
        names = [f"block{k}" for k in range(1, count + 1)]
        if family == "infomax_gan":
            names = [*(f"local_feat_blocks.{k}" for k in range(count - 1)), "global_feat_blocks.0"]
        first = names[0]
        width, channels = make.layer(f"{first}.c1", "first.conv1", (-1, -1, 3, 3), spectral=True).shape[:2]
        make.layer(f"{first}.c2", "first.conv2", (width, width, 3, 3), spectral=True)
        make.layer(f"{first}.c_sc", "first.shortcut", (width, channels, 1, 1), spectral=True)
        if channels != arguments["channels"]:
            raise ledger.error(f"takes {channels} channels, the generator makes {arguments['channels']}")
        widths = [width]
        for k, theirs in enumerate(names[1:], 2):
            ours = f"blocks.{k - 2}"
            make.layer(f"{theirs}.c1", f"{ours}.conv1", (width, width, 3, 3), spectral=True)
            below, width = width, len(make.layer(f"{theirs}.c2", f"{ours}.conv2", (-1, width, 3, 3), spectral=True))
            if k <= halving or below != width:
                make.layer(f"{theirs}.c_sc", f"{ours}.shortcut", (width, below, 1, 1), spectral=True)
            widths.append(width)
        last = f"l{5 if arguments['size'] in (32, 48) else count + 1}"
        make.layer("linear" if family == "infomax_gan" else last, "score", (1, width), spectral=True)
        further: dict[str, Any] = {"discriminator_widths": widths}
        if family == "ssgan":
            make.layer("l_y", "rotation", (4, width), spectral=True)
        elif family == "infomax_gan":
            further["space"] = _projections(make, widths)
        elif family != "sngan":
            make.layer("l_y", "projection", (arguments["classes"], width), spectral=True, bias=False)
        if family == "sagan":
            sides = [arguments["size"] >> min(level, halving) for level in range(1, count + 1)]
            make.attention(widths[sides.index(arguments["discriminator_attention"])])
    return converted.joined("discriminator", make.made, **further)


def _named_by(ledger: Ledger, converted: Converted) -> Converted:
    """The family whose generator is SNGAN's too, where this is its discriminator."""
    if converted.family not in _UNCONDITIONAL:
        return converted
    found = next((name for name, mark in _UNCONDITIONAL.items() if mark and ledger.names(mark)), "sngan")
    if converted.family not in ("sngan", found):
        raise ledger.error(f"is the discriminator of {_NAMES[found]}; expected that of {_NAMES[converted.family]}")
    arguments = {name: value for name, value in converted.arguments.items() if name != "variant"} | _variant(found)
    facts = converted.facts | {"converted_from": _NAMES[found]}
    return replace(converted, family=found, arguments=arguments, facts=facts)


def _projections(make: Maker, widths: Sequence[int]) -> int:
    """InfoMax-GAN's projections of local and global features; gives the dimensions of their space."""
    space = -1
    for part, inputs, kernel in (("local", widths[-2], (1, 1)), ("global", widths[-1], ())):
        ours = f"{part}_projection"
        make.layer(f"{part}_nrkhs_a", f"{ours}.hidden", (inputs, inputs, *kernel), spectral=True)
        space = len(make.layer(f"{part}_nrkhs_b", f"{ours}.out", (space, inputs, *kernel), spectral=True))
        make.layer(f"{part}_nrkhs_sc", f"{ours}.shortcut", (space, inputs, *kernel), spectral=True)
    return space


_NAMES = {
    "sngan": "mimicry SNGAN",
    "ssgan": "mimicry SSGAN",
    "infomax_gan": "mimicry InfoMax-GAN",
    "cgan_pd": "mimicry cGAN-PD",
    "sagan": "mimicry SAGAN",
}

LAYOUTS = tuple(
    Layout(name, family, _is(family), _generator(family), _with_discriminator) for family, name in _NAMES.items()
)
