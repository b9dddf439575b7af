"""DF-GAN's file: `state_epoch_NNN.pth` with netG, netD and netC, which are one discriminator here."""

from __future__ import annotations

from typing import Any

from ganzoo.layouts.containers import Contents
from ganzoo.layouts.layout import Converted, Layout, open_ledger

NAME = "DF-GAN (.pth)"
_AFFINE = r"GBlocks\.(\d+)\.(fuse\d)\.affine(\d)\.fc_(gamma|beta)\.linear"


def _convert(contents: Contents) -> Converted:
    (key,) = contents.having("GBlocks.0.c1.weight", "fc.weight")
    arguments: dict[str, Any] = {}
    with open_ledger(contents, key) as ledger:
        arguments["latent"] = ledger.sides("fc.weight", 2)[1]
        joined = ledger.sides("GBlocks.0.fuse1.affine0.fc_gamma.linear1.weight", 2)[1]
        arguments["channels"], arguments["width"] = ledger.sides("to_rgb.1.weight", 4)[:2]
        arguments["size"] = 4 << len(ledger.names(r"GBlocks\.\d+\.c1\.weight"))
        arguments["text"] = joined - arguments["latent"]
        made = ledger.rename(
            {
                _AFFINE + r"1\.(\w+)": r"generator.blocks.\1.\2.\3.\4.0.\5",
                _AFFINE + r"2\.(\w+)": r"generator.blocks.\1.\2.\3.\4.2.\5",
                r"GBlocks\.(.*)": r"generator.blocks.\1",
                r"to_rgb\.1\.(\w+)": r"generator.to_rgb.\1",
                r"fc\.(\w+)": r"generator.fc.\1",
            }
        )
    found = Converted("dfgan", arguments, made, None, {"converted_from": NAME})
    image, joint = contents.having("conv_img.weight"), contents.having("joint_conv.0.weight")
    if not image or not joint:
        return found
    with open_ledger(contents, image[0]) as ledger:
        for name in ledger.names(r"DBlocks\.\d+\.conv_s\.weight"):
            if ledger.shape(name)[0] == ledger.shape(name)[1]:  # made, saved and never used
                ledger.ignore(name.replace(".", r"\.").removesuffix("weight") + "(weight|bias)")
        blocks = len(ledger.names(r"DBlocks\.\d+\.gamma"))
        tensors = ledger.rename({r"conv_img\.(\w+)": r"features.0.\1"})
        for i in range(blocks):
            tensors |= ledger.rename({rf"DBlocks\.{i}\.(.*)": rf"features.{i + 1}.\1"})
    with open_ledger(contents, joint[0]) as ledger:
        tensors |= ledger.rename({r"joint_conv\.(.*)": r"joint.\1"})
    return found.joined("discriminator", tensors)


def _recognises(contents: Contents) -> bool:
    return bool(contents.having("GBlocks.0.c1.weight", "fc.weight"))


LAYOUTS = (Layout(NAME, "dfgan", _recognises, _convert),)
