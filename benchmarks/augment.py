"""What ADA costs: the chain of transforms, its derivative, and R1 through it, beside NVIDIA's own where it is at hand.

    OMP_NUM_THREADS=1 python benchmarks/augment.py --peer ../stylegan3

The peer is a checkout of NVIDIA's stylegan3 or stylegan2-ada-pytorch, whose reference operations run on the CPU;
without one only ganzoo is timed. Both sides apply blitting, geometry and colour at the same p to like images, and take
turns in one process, so that a busy machine slows both; each is timed by the processor time of this process.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganzoo.objectives.augment import ADA

Augment = Callable[[Tensor], Tensor]
_THEIRS = (
    "xflip rotate90 xint scale rotate aniso xfrac brightness contrast lumaflip hue saturation".split()  # noqa: SIM905
)


def peer(path: Path, p: float) -> Augment:
    """NVIDIA's pipeline at a fixed p."""
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))
    if "pkg_resources" not in sys.modules and importlib.util.find_spec("pkg_resources") is None:
        from packaging.version import parse  # all that the peer uses of older setuptools

        shim: Any = types.ModuleType("pkg_resources")
        shim.parse_version = parse
        sys.modules["pkg_resources"] = shim
    module: Any = importlib.import_module("training.augment")
    pipe = module.AugmentPipe(**dict.fromkeys(_THEIRS, 1))
    pipe.p.fill_(p)
    made: Augment = pipe
    return made


def forward(augment: Augment, images: Tensor) -> None:
    """Images only."""
    with torch.no_grad():
        augment(images)


def backward(augment: Augment, images: Tensor) -> None:
    """And their gradient."""
    images = images.requires_grad_()
    augment(images).square().sum().backward()


def penalty(augment: Augment, images: Tensor) -> None:
    """And the gradient of a gradient's norm."""
    images = images.requires_grad_()
    (gradient,) = torch.autograd.grad(augment(images).tanh().sum(), images, create_graph=True)
    gradient.square().sum().backward()


def main() -> None:
    """Prints a line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, help="a checkout of NVIDIA's stylegan3 or stylegan2-ada-pytorch")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(f"{'px':>4} {'p':>4}  {'what':<9}{'ganzoo':>14}{'peer':>14}{'ratio':>8}   (ms of processor time an image)")
    for size in given.sizes:
        count = max(1, 1024 // size)
        for p in (0.0, 0.2, 0.6):
            sides: list[Augment] = [ADA(p=p)]
            if given.peer is not None:
                sides.append(peer(given.peer, p))
            for step in (forward, backward, penalty):
                times: list[list[float]] = [[] for _ in sides]
                for _ in range(given.rounds + 1):
                    for side, mine in zip(sides, times, strict=True):
                        images = torch.randn(count, 3, size, size)
                        began = time.process_time()
                        step(side, images)
                        mine.append((time.process_time() - began) / count * 1e3)
                medians = [statistics.median(mine[1:]) for mine in times]
                line = f"{size:>4} {p:>4}  {step.__name__:<9}{medians[0]:>14.2f}"
                print(line + (f"{medians[1]:>14.2f}{medians[1] / medians[0]:>8.2f}" if len(medians) > 1 else ""))


if __name__ == "__main__":
    main()
