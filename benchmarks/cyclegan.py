"""CycleGAN's training step beside the common implementation, in one process.

    OMP_NUM_THREADS=1 python benchmarks/cyclegan.py --peer ../pytorch-CycleGAN-and-pix2pix

The peer is a checkout of github.com/junyanz/pytorch-CycleGAN-and-pix2pix, which is not part of this repository; without
it nothing is measured. It runs its own model class: networks, losses, image pools and optimizers, as it comes. Both
sides have equal networks, batch and losses (identity loss and pools included), and float32. Ours trains as it always
does, under `Game` and Lightning, so its time includes the engine's.

A step of the one and a step of the other take turns, so that a busy machine slows both, and each is timed by the
processor time of this process (on CUDA by the clock, with the device waited for). The ratio of each pair of steps is
one measurement; its median and its quartiles are printed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import logging
import statistics
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import numpy as np
import torch

from ganzoo.data.batch import Data, Images
from ganzoo.families.cyclegan import CycleGAN
from ganzoo.types import Batch


class Random(Data):
    """Random pictures of two domains."""

    def __init__(self, shape: tuple[int, ...], batch_size: int) -> None:
        super().__init__(batch_size)
        self.sample_shape = shape

    def read(self, split: str) -> Images:
        """The same pictures for every split."""
        values, targets = np.random.RandomState(0).randint(0, 256, (2, 64, *self.sample_shape)).astype(np.uint8)
        return Images("random", values, split=split, targets=targets, paired=False)


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


class Turns(L.Callback):
    """Runs a step of the peer with the same pictures after each of ours, and times both."""

    def __init__(self, peer: Any) -> None:
        self.peer = peer
        self.ours: list[float] = []
        self.theirs: list[float] = []
        self.begun = 0.0

    def clock(self, device: torch.device) -> float:
        """Seconds of this process; on CUDA of the clock, once the device is done."""
        if device.type == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Batch, index: int) -> None:
        """Ours begins."""
        self.begun = self.clock(module.device)

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Batch, index: int
    ) -> None:
        """Ours ends; the peer's turn."""
        self.ours.append(self.clock(module.device) - self.begun)
        given: dict[str, Any] = {"A": batch.images, "B": batch.targets, "A_paths": [], "B_paths": []}
        begun = self.clock(module.device)
        self.peer.set_input(given)
        self.peer.optimize_parameters()
        self.theirs.append(self.clock(module.device) - begun)


def measure(folder: Path, size: int, width: int, blocks: int, batch: int, steps: int) -> None:
    """Trains both for so many steps and prints the ratio."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    game = CycleGAN(size=size, width=width, blocks=blocks, discriminator_width=width)
    turns = Turns(peer(folder, width, blocks, device))
    for mine, other in (("generator", "netG_A"), ("discriminator", "netD_A")):
        counts = [sum(p.numel() for p in m.parameters()) for m in (getattr(game, mine), getattr(turns.peer, other))]
        assert counts[0] == counts[1], f"the networks differ: {counts} parameters"
    warm = 2
    trainer = L.Trainer(
        max_steps=steps + warm,
        accelerator=device.type,
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[turns],
    )
    trainer.fit(game, Random(game.shape, batch))
    ours, theirs = turns.ours[warm:], turns.theirs[warm:]
    ratios = sorted(their / our for our, their in zip(ours, theirs, strict=True))
    low, middle, high = statistics.quantiles(ratios, n=4)
    what = f"{size} px, width {width}, {blocks} blocks, batch {batch}"
    print(
        f"{what:<40} ours {batch / statistics.median(ours):8.2f} images/s   peer "
        f"{batch / statistics.median(theirs):8.2f}   ratio {middle:.2f} (quartiles {low:.2f} to {high:.2f}, "
        f"{len(ratios)} pairs of steps)",
        flush=True,
    )


def main() -> None:
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    parser = argparse.ArgumentParser(description="CycleGAN beside the common implementation")
    parser.add_argument("--peer", type=Path, help="a checkout of github.com/junyanz/pytorch-CycleGAN-and-pix2pix")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=6, choices=(6, 9))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20)
    given = parser.parse_args()
    if given.peer is None or not (given.peer / "models" / "cycle_gan_model.py").is_file():
        print(
            f"skipped: --peer is {given.peer}; a checkout of github.com/junyanz/pytorch-CycleGAN-and-pix2pix is needed"
        )
        return
    measure(given.peer, given.size, given.width, given.blocks, given.batch, given.steps)


if __name__ == "__main__":
    main()
