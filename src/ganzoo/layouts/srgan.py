"""SRGAN's networks as BasicSR has them: `MSRResNet`, and the discriminator of one score that joins it."""

from __future__ import annotations

import math
from typing import Any

from ganzoo.layouts.containers import Contents
from ganzoo.layouts.esrgan import take_vgg
from ganzoo.layouts.layout import Converted, Layout, marked, open_ledger
from ganzoo.types import BadCheckpoint

NAME = "SRGAN's or SRResNet's generator in BasicSR (MSRResNet, .pth)"
_MARKS = ("conv_first.weight", "body.0.conv1.weight", "upconv1.weight")


def _convert(contents: Contents) -> Converted:
    (key,) = contents.having(*_MARKS)
    with open_ledger(contents, key) as ledger:
        width, channels, *_ = ledger.shape("conv_first.weight")
        blocks, ups = len(ledger.names(r"body\.\d+\.conv1\.weight")), len(ledger.names(r"upconv\d\.weight"))
        factor = math.isqrt(ledger.shape("upconv1.weight")[0] // width)
        made = ledger.rename(
            {
                r"conv_(first|last)\.(\w+)": r"generator.\1.\2",
                r"conv_hr\.(\w+)": r"generator.high.\1",
                r"upconv1\.(\w+)": r"generator.up.0.0.\1",
                r"upconv2\.(\w+)": r"generator.up.1.0.\1",
                r"body\.(\d+)\.conv1\.(\w+)": r"generator.blocks.\1.main.0.\2",
                r"body\.(\d+)\.conv2\.(\w+)": r"generator.blocks.\1.main.3.\2",
            }
        )
    scale = factor**ups
    sizes: dict[str, Any] = {"channels": channels, "scale": scale, "width": width, "blocks": blocks}
    sizes["size"] = 16 * scale  # on which nothing of the generator depends
    return Converted("srgan", {"network": "msrresnet", **sizes}, made, None, {"converted_from": NAME})


def _join(contents: Contents, made: Converted) -> Converted:
    """Adds the discriminator from a file of its own."""
    key = next(iter(contents.having("conv0_0.weight", "linear1.weight")), None)
    if key is None:
        raise BadCheckpoint(f"{contents.path}: holds {contents.describe()}; BasicSR's discriminator is expected")
    with open_ledger(contents, key) as ledger:
        sizes, tensors = take_vgg(ledger)
    sizes |= {"units": len(tensors["head.0.bias"]), "halvings": (sizes["size"] // 4).bit_length() - 1}
    return made.joined("discriminator", tensors, **sizes)


LAYOUTS = (Layout(NAME, "srgan", marked(*_MARKS), _convert, _join),)
