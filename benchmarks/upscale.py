"""Enlarging with the RRDB network beside BasicSR's own module, in pixels a second of processor time.

    OMP_NUM_THREADS=1 python benchmarks/upscale.py --peer BasicSR

The peer is a checkout of github.com/XPixelGroup/BasicSR, of which `RRDBNet` is imported alone, without what else the
package imports. Both sides have the same network (before anything is measured, ours takes the peer's weights through
its own layout and must give the same picture), and enlarge one picture four times, in float32 without gradients. Ours
runs `upscale`, with its checks, tiles and clamping; the peer its module. Turns of the two alternate in one process.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

import torch
from beside import arguments, report, same
from torch import nn

from ganzoo.families.esrgan import ESRGAN
from ganzoo.layouts import open_file, recognise


def peer(folder: Path, blocks: int) -> nn.Module:
    """BasicSR's module."""
    for name in ("basicsr", "basicsr.archs", "basicsr.utils", "basicsr.ops", "basicsr.ops.dcn"):
        package: Any = types.ModuleType(name)
        package.__path__ = [str(folder.joinpath(*name.split(".")))]
        sys.modules[name] = package
        package.get_root_logger = package.modulated_deform_conv = None
        package.ModulatedDeformConvPack = nn.Module
    module: Any = importlib.import_module("basicsr.archs.rrdbnet_arch")
    network: nn.Module = module.RRDBNet(3, 3, num_block=blocks).eval()
    return network


def same_network(theirs: nn.Module, images: torch.Tensor) -> ESRGAN:
    """Ours with the peer's weights, once both have been seen to compute the same; pictures there are in [0, 1]."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "RRDB.pth")
        torch.save({"params_ema": theirs.state_dict()}, path)
        contents = open_file(path)
        made = recognise(contents, "esrgan").convert(contents)
    game = ESRGAN(**made.arguments, perceptual=None)
    game.generator.load_state_dict({k.removeprefix("generator."): v for k, v in made.inference.items()})
    with torch.no_grad():
        same([game.upscale(images)], [(2 * theirs((images + 1) / 2) - 1).clamp(-1, 1)])
    return game


def main() -> None:
    numbers = {"size": 64, "blocks": 23, "turns": 8}
    given = arguments(__doc__, "github.com/XPixelGroup/BasicSR", "basicsr/archs/rrdbnet_arch.py", **numbers)
    if given is None:
        return
    theirs = peer(given.peer, given.blocks)
    images = torch.rand(1, 3, given.size, given.size) * 2 - 1
    game = same_network(theirs, images)  # warms both up
    ours: list[float] = []
    other: list[float] = []
    for _ in range(given.turns):
        begun = time.process_time()
        game.upscale(images)
        ours.append(time.process_time() - begun)
        with torch.no_grad():
            theirs((images + 1) / 2)
        other.append(time.process_time() - begun - ours[-1])
    report("enlarging / BasicSR's module", ours, other, (4 * given.size) ** 2 / 1e6, "million pixels")


if __name__ == "__main__":
    main()
