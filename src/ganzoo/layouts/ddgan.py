"""DDGAN's checkpoints: the averaged generator and, in a file of its own, the critic, as plain state dicts.

The generator's modules stand in one list in the order of their use, whose kinds say how many resolutions and blocks
there are. Nothing in the file says how large images are: as in all of the authors' networks the resolution at which
positions see each other has 16 pixels. Neither does it say how many steps there are: 4, as in the authors' networks of
pictures. Options that they did not publish with (other blocks, Fourier features, output skips) are refused.
"""

from __future__ import annotations

import re
from itertools import count
from typing import Any

from torch import Tensor

from ganzoo.layouts.containers import Contents
from ganzoo.layouts.layout import Converted, Layout, Ledger, marked

_FAMILY = "ddgan"
_NAME = "denoising diffusion GAN (.pth)"
_ATTENDED = 16
_MODULES = "all_modules"
# What a module is known by, among the names of its tensors
_KINDS = {
    "block": "GroupNorm_0.style.weight",
    "attention": "NIN_0.W",
    "pyramid": "Conv2d_0.weight",
}
_BLOCK = {
    "GroupNorm_0.style": "norm1.style",
    "Conv_0": "conv1",
    "Dense_0": "time",
    "GroupNorm_1.style": "norm2.style",
    "Conv_1": "conv2",
    "Conv_2": "shortcut",
}
_LOOK = {"NIN_0": "query", "NIN_1": "key", "NIN_2": "value", "NIN_3": "out"}


def convert(contents: Contents) -> Converted:
    """The averaged generator; the sizes follow from the order of its modules and their shapes."""
    with Ledger(contents, "generator", contents.alone("a DDGAN's generator").tensors) as ledger:
        kinds = _kinds(ledger)
        levels, blocks, attended = _plan(ledger, kinds)
        width, channels = ledger.sides(f"{_MODULES}.2.weight", 4)[:2]
        names = _names(levels, blocks, attended)
        if len(names) != len(kinds):
            raise ledger.error(
                f"has {len(kinds)} modules; its {levels} resolutions of {blocks} blocks make {len(names)}"
            )
        made: dict[str, Tensor] = {}
        for i, ours in enumerate(names):
            _module(ledger, made, f"{_MODULES}.{i}", ours)
        mapping = len(ledger.names(r"z_transform\.\d+\.weight"))
        for i in range(mapping):
            made |= ledger.layer(f"z_transform.{2 * i + 1}", f"mapping.{i}", (-1, -1))
    if len(attended) != 1:
        raise ledger.error(f"attends at {len(attended)} resolutions; one is expected, of {_ATTENDED} pixels")
    multipliers = [len(made[f"down.{level}.blocks.0.conv1.weight"]) // width for level in range(levels)]
    arguments: dict[str, Any] = {
        "size": _ATTENDED << attended[0],
        "channels": channels,
        "latent": made["mapping.0.weight"].shape[1],
        "width": width,
        "multipliers": multipliers,
        "blocks": blocks,
        "attended": [_ATTENDED],
        "style": len(made["mapping.0.weight"]),
        "mapping_layers": mapping - 1,
    }
    tensors = {f"generator.{name}": value.contiguous() for name, value in made.items()}
    return Converted(_FAMILY, arguments, tensors, None, {"converted_from": _NAME})


def _kinds(ledger: Ledger) -> list[str]:
    """What each module of the list is: a block, attention, a step of the pyramid, or a plain layer."""
    found: list[str] = []
    for i in count():
        own = {name.removeprefix(f"{_MODULES}.{i}.") for name in ledger.names(rf"{_MODULES}\.{i}\..+")}
        if not own:
            return found
        found.append(next((kind for kind, mark in _KINDS.items() if mark in own), "layer"))
    raise AssertionError


def _plan(ledger: Ledger, kinds: list[str]) -> tuple[int, int, list[int]]:
    """How many resolutions there are, how many blocks at each, and at which of them positions see each other."""
    levels = kinds.count("pyramid") + 1
    if levels == 1 or kinds[:4] != ["layer", "layer", "layer", "block"]:
        raise ledger.error("has other modules than the published networks, such as Fourier features or no pyramid")
    blocks = kinds[3 : kinds.index("pyramid")].count("block") - 1  # the last one halves the side
    if blocks < 1:
        raise ledger.error("has no block before its first reduction")
    attended, at = [], 3
    for level in range(levels):
        here = kinds[at + 1 : at + 2] == ["attention"]
        attended += [level] if here else []
        at += blocks * (2 if here else 1) + 2
    return levels, blocks, attended


def _names(levels: int, blocks: int, attended: list[int]) -> list[str]:
    """Our names of the modules, in the order of the list."""
    names = ["time.0", "time.1", "first"]
    for level in range(levels):
        for i in range(blocks):
            names += [f"down.{level}.blocks.{i}"] + [f"down.{level}.attention.{i}"] * (level in attended)
        names += [f"down.{level}.onward", f"pyramid.{level}"] if level < levels - 1 else []
    names += ["middle.0", "middle.1", "middle.2"]
    for i, level in enumerate(reversed(range(levels))):
        names += [f"up.{i}.blocks.{k}" for k in range(blocks + 1)] + [f"up.{i}.attention.0"] * (level in attended)
        names += [f"up.{i}.onward"] * (level > 0)
    return [*names, "norm", "last"]


def _module(ledger: Ledger, made: dict[str, Tensor], theirs: str, ours: str) -> None:
    """One module of the list under our names."""
    for name in ledger.names(rf"{re.escape(theirs)}\..+"):
        *inner, last = name.removeprefix(f"{theirs}.").split(".")
        part = ".".join(inner)
        value = ledger.take(name).float()
        if part in _LOOK and last in ("W", "b"):  # a matrix of inputs and outputs, for every position
            if last == "W" and value.dim() != 2:
                raise ledger.error(f"has {name!r} of shape {list(value.shape)}; 2 sides are expected")
            made[f"{ours}.{_LOOK[part]}.{'weight' if last == 'W' else 'bias'}"] = (
                value.T[:, :, None, None] if last == "W" else value
            )
        elif part == "GroupNorm_0":
            made[f"{ours}.norm.{last}"] = value
        else:
            made[".".join(filter(None, (ours, _BLOCK.get(part, "" if part == "Conv2d_0" else part), last)))] = value


def join(contents: Contents, converted: Converted) -> Converted:
    """Adds the critic: four blocks, of which the last three halve the side, or for large images six that all do."""
    with Ledger(contents, "critic", contents.alone("a DDGAN's critic").tensors) as ledger:
        number = len(ledger.names(r"conv\d+\.dense_t1\.weight"))
        if number not in (4, 6):
            raise ledger.error(f"has {number} blocks; the authors' critics have 4 or 6")
        time, first = ledger.sides("t_embed.main.0.weight", 2)[0], ledger.sides("start_conv.weight", 4)
        if first[1] != 2 * converted.arguments["channels"]:
            raise ledger.error(f"takes {first[1] // 2} channels; the generator makes {converted.arguments['channels']}")
        widths = [first[0], *(ledger.sides(f"conv{i + 1}.conv1.0.weight", 4)[0] for i in range(number))]
        made = ledger.rename(
            {
                r"t_embed\.main\.0\.(\w+)": r"time.0.\1",
                r"t_embed\.main\.2\.(\w+)": r"time.1.\1",
                r"start_conv\.(\w+)": r"first.\1",
                **{
                    rf"conv{i + 1}\.{theirs}\.(\w+)": rf"blocks.{i}.{ours}.\1"
                    for i in range(number)
                    for theirs, ours in (
                        (r"conv1\.0", "conv1"),
                        (r"conv2\.0", "conv2"),
                        ("dense_t1", "time"),
                        (r"skip\.0", "shortcut"),
                    )
                },
                r"final_conv\.(\w+)": r"last.\1",
                r"end_linear\.(\w+)": r"score.\1",
            }
        )
    sizes = {"discriminator_widths": widths, "downsamplings": 3 if number == 4 else 6, "time_features": time}
    return converted.joined("discriminator", made, **sizes)


LAYOUTS = (Layout(_NAME, _FAMILY, marked(f"{_MODULES}.0.weight", "z_transform.1.weight"), convert, join),)
