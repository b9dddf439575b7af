"""CUT's networks, a `.pth` each: `latest_net_G.pth`, which `latest_net_D.pth` and `latest_net_F.pth` join.

Of the generators those with filters against aliasing both ways are read, the authors' default; without any they are
CycleGAN's. FastCUT's networks are the same.
"""

from __future__ import annotations

import re
from typing import Any

from ganzoo.layouts.containers import Contents
from ganzoo.layouts.layout import Converted, Layout, Ledger
from ganzoo.types import BadCheckpoint

NAME = "CUT or FastCUT (.pth)"
_BLOCK = r"model\.(\d+)\.conv_block\.(1|5)\.(weight|bias)"


def _open(contents: Contents, part: str) -> Ledger:
    return Ledger(contents, f"the {part}", contents.alone(f"CUT's {part}").tensors)


def _recognises(contents: Contents) -> bool:
    return bool(contents.having("model.1.weight", "model.7.filt"))


def _convert(contents: Contents) -> Converted:
    with _open(contents, "generator") as ledger:
        ledger.ignore(r"model\.\d+\.filt")
        blocks = len(ledger.names(r"model\.\d+\.conv_block\.1\.weight"))
        width, channels, *_ = ledger.shape("model.1.weight")
        made = ledger.rename(
            {_BLOCK: r"generator.main.\1.conv\2.\3", r"model\.(\d+)\.(weight|bias)": r"generator.main.\1.\2"}
        )
    made = {re.sub(r"\.conv5\.", ".conv2.", name): value for name, value in made.items()}
    arguments: dict[str, Any] = {"channels": channels, "width": width, "blocks": blocks}
    return Converted("cut", arguments, made, None, {"converted_from": NAME})


def _join(contents: Contents, made: Converted) -> Converted:
    """Adds the discriminator, or the projections."""
    if contents.having("mlp_0.0.weight"):
        with _open(contents, "projections") as ledger:
            length, _ = ledger.shape("mlp_0.0.weight")
            tensors = ledger.rename({r"mlp_(\d+)\.(\d)\.(\w+)": r"maps.\1.\2.\3"})
        return made.joined("projections", tensors, projection=length)
    with _open(contents, "discriminator") as ledger:
        if "model.2.filt" not in ledger:
            raise BadCheckpoint(f"{contents.path}: holds {contents.describe()}; CUT's discriminator or F is expected")
        ledger.ignore(r"model\.\d+\.filt")
        width = ledger.shape("model.0.weight")[0]
        tensors = ledger.rename({r"model\.(\d+)\.(weight|bias)": r"main.\1.\2"})
    layers = sum(name.endswith("weight") for name in tensors) - 2
    return made.joined("discriminator", tensors, discriminator_width=width, patch_layers=layers)


LAYOUTS = (Layout(NAME, "cut", _recognises, _convert, _join),)
