"""StarGAN's networks, a `.ckpt` each: `NNN-G.ckpt`, and `NNN-D.ckpt` that joins it.

The authors never leave training mode: an image's own statistics count, and the running ones are left out.
"""

from __future__ import annotations

from typing import Any

from ganzoo.layouts.containers import Contents
from ganzoo.layouts.layout import Converted, Layout, Ledger
from ganzoo.types import BadCheckpoint

NAME = "StarGAN (.ckpt)"


def _open(contents: Contents, part: str) -> Ledger:
    return Ledger(contents, f"the {part}", contents.alone(f"StarGAN's {part}").tensors)


def _recognises(contents: Contents) -> bool:
    return any(
        contents.modules[key].tensors["main.0.weight"].shape[2:] == (7, 7)
        for key in contents.having("main.0.weight", "main.1.running_mean", "main.9.main.0.weight")
    )


def _convert(contents: Contents) -> Converted:
    with _open(contents, "generator") as ledger:
        ledger.ignore(r".*\.(running_mean|running_var|num_batches_tracked)")
        blocks = len(ledger.names(r"main\.\d+\.main\.0\.weight"))
        last = f"main.{15 + blocks}.weight"
        width, inputs, *_ = ledger.shape("main.0.weight")
        channels = ledger.shape(last)[0]
        made = ledger.rename({r"(main\..*)": r"generator.\1"})
    arguments: dict[str, Any] = {"channels": channels, "classes": inputs - channels, "width": width, "blocks": blocks}
    return Converted("stargan", arguments, made, None, {"converted_from": NAME})


def _join(contents: Contents, made: Converted) -> Converted:
    """Adds the discriminator, which says at which size both were trained, and how many labels have no mask."""
    with _open(contents, "discriminator") as ledger:
        layers = len(ledger.names(r"main\.\d+\.weight"))
        width, channels, *_ = ledger.shape("main.0.weight")
        known, _, side, _ = ledger.shape("conv2.weight")
        tensors = ledger.rename({r"(main\..*)": r"\1", r"conv1\.(.*)": r"source.\1", r"conv2\.(.*)": r"domain.\1"})
    more = made.arguments["classes"] - known
    if channels != made.arguments["channels"] or more not in (0, 2):
        raise BadCheckpoint(
            f"{contents.path}: judges {channels} channels and tells {known} domains; expected "
            f"{made.arguments['channels']} and {made.arguments['classes']}, or two less of two data sets"
        )
    sizes: dict[str, Any] = {"size": side << layers, "discriminator_width": width, "layers": layers}
    if more:  # how the labels are shared out between the two is in neither file; CelebA's five come first there
        sizes["parts"] = [5, known - 5]
    return made.joined("discriminator", tensors, **sizes)


LAYOUTS = (Layout(NAME, "stargan", _recognises, _convert, _join),)
