"""CycleGAN's training step beside the common implementation, in one process.

    OMP_NUM_THREADS=1 python benchmarks/cyclegan.py --peer ../pytorch-CycleGAN-and-pix2pix

The peer is a checkout of github.com/junyanz/pytorch-CycleGAN-and-pix2pix, which is not part of this repository; without
it nothing is measured. It runs its own model class: networks, losses, image pools and optimizers, as it comes. Both
sides have equal networks, batch and losses (identity loss and pools included), and float32. Ours trains as it always
does, under `Game` and Lightning, so its time includes the engine's. See `beside`; on CUDA time is the clock's, with the
device waited for.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from beside import Random, arguments, by_turns, report

from ganzoo.families.cyclegan import CycleGAN
from ganzoo.types import Batch


def peer(folder: Path, width: int, blocks: int, device: torch.device) -> Any:
    """The common implementation's model, as its own options make it.

    Args:
        folder: the checkout.
        width: feature maps of generators and discriminators.
        blocks: residual blocks, 6 or 9.
        device: to train on.
    """
    sys.path.insert(0, str(folder))
    model: Any = importlib.import_module("models.cycle_gan_model")
    options = SimpleNamespace(
        isTrain=True, checkpoints_dir="", name="", preprocess="none", direction="AtoB",
        gpu_ids=[] if device.type == "cpu" else [0], device=device,
        input_nc=3, output_nc=3, ngf=width, ndf=width, netG=f"resnet_{blocks}blocks", netD="basic", n_layers_D=3,
        norm="instance", no_dropout=True, init_type="normal", init_gain=0.02,
        lambda_identity=0.5, lambda_A=10.0, lambda_B=10.0, pool_size=50, gan_mode="lsgan", no_lsgan=False,
        lr=2e-4, beta1=0.5,
    )  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        return model.CycleGANModel(options)


def main() -> None:
    numbers = {"size": 64, "width": 64, "blocks": 6, "batch": 1, "steps": 20, "warmup": 2}
    file = "models/cycle_gan_model.py"
    given = arguments(__doc__, "github.com/junyanz/pytorch-CycleGAN-and-pix2pix", file, **numbers)
    if given is None:
        return
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    game = CycleGAN(size=given.size, width=given.width, blocks=given.blocks, discriminator_width=given.width)
    model = peer(given.peer, given.width, given.blocks, device)
    for mine, other in (("generator", "netG_A"), ("discriminator", "netD_A")):
        counts = [sum(p.numel() for p in m.parameters()) for m in (getattr(game, mine), getattr(model, other))]
        assert counts[0] == counts[1], f"the networks differ: {counts} parameters"

    def step(batch: Batch) -> None:
        model.set_input({"A": batch.images, "B": batch.targets, "A_paths": [], "B_paths": []})
        model.optimize_parameters()

    data = Random(game.shape, given.batch, targets=True)
    ours, theirs = by_turns(game, data, step, steps=given.steps, warmup=given.warmup)
    report("training / the common implementation", ours, theirs, given.batch)


if __name__ == "__main__":
    main()
