"""Run by torchrun as two processes: everything that tests want to know of two ranks, in one start of the interpreter.

Writes `rank<r>.pt`: a table of plain values and tensors.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import lightning as L
import torch
from helpers import Decoupled, Gradients, data_for, digest, fit, noise_by_sample, tensors, tiny
from lightning.pytorch.callbacks import Callback

from ganzoo.game.registry import list_families
from ganzoo.training.checkpoints import AtomicIO
from ganzoo.types import Batch

TWO: dict[str, Any] = {"devices": 2, "strategy": "ddp_game"}


class Poison(Callback):
    """Spoils one rank's batches."""

    def __init__(self, rank: int, batches: set[int]) -> None:
        self.rank, self.batches = rank, batches

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Batch, batch_idx: int) -> None:
        if trainer.global_rank == self.rank and batch_idx in self.batches:
            batch.images.fill_(float("nan"))


class Reductions(Callback):
    """Counts all-reduces in one batch."""

    def __init__(self) -> None:
        self.count = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        whole = trainer.strategy.reduce_gradients  # type: ignore[attr-defined]

        def counted(parameters: Any) -> None:
            self.count += 1
            whole(parameters)

        trainer.strategy.reduce_gradients = counted  # type: ignore[attr-defined]


def main(out: Path) -> None:
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    rank = -1
    game: Any
    for name in list_families():
        game = tiny(name)
        made = fit(game, 20, **TWO)
        rank = made.global_rank
        # Statistics of the local batch are each rank's own, and the mean of both when they are saved
        state = {n: v for n, v in tensors(game).items() if n in dict(game.named_parameters()) or "optimizer" in n}
        found[f"{name} state"] = digest(state)
        found[f"{name} step"] = made.global_step
        if name == "began":
            found["k"] = game.equilibrium.k.clone()
        with game.synchronized():
            found[f"{name} buffers"] = digest(dict(game.named_buffers()))

        for accumulate in (1, 2):
            game, gradients = tiny(name), Gradients()
            game.engine.accumulate = accumulate
            with noise_by_sample(game, first=4 * rank):
                fit(game, 1, Decoupled(), gradients, batch_size=4, **TWO)
            found[f"{name} gradients {accumulate}"] = gradients.found

    for name in ("dcgan", "wgan_gp"):
        whole = tiny(name, **({"width": 8} if name == "dcgan" else {}))
        whole.engine.average = 100.0
        fit(whole, 20, **TWO)
        half = tiny(name, **({"width": 8} if name == "dcgan" else {}))
        half.engine.average = 100.0
        made = fit(half, 10, plugins=[AtomicIO()], **TWO)
        made.save_checkpoint(out / f"{name}.ckpt")
        rest = tiny(name, **({"width": 8} if name == "dcgan" else {}))
        rest.engine.average = 100.0
        fit(rest, 20, ckpt=out / f"{name}.ckpt", **TWO)
        found[f"{name} whole"], found[f"{name} resumed"] = digest(tensors(whole)), digest(tensors(rest))

    game = tiny("dcgan")
    fit(game, 8, Poison(rank=1, batches={2, 5}), **TWO)
    found["poisoned"] = digest({n: v.detach() for n, v in game.named_parameters()})
    found["poisoned finite"] = all(bool(torch.isfinite(v).all()) for v in game.state_dict().values())
    found["poisoned skipped"] = {n: int(mover.skipped) for n, mover in game._states.items()}

    game = tiny("dcgan")
    frozen = next(game.generator.parameters()).requires_grad_(False)
    before = frozen.clone()
    idle = torch.nn.Parameter(torch.ones(3))
    game.generator.idle = idle  # no loss uses it
    reductions = Reductions()
    made = fit(game, 3, reductions, **TWO)
    found["frozen"] = torch.equal(frozen, before) and not frozen.requires_grad
    found["idle"] = idle.grad is None and idle not in made.optimizers[1].state
    found["reductions"] = reductions.count

    # A parameter that only one rank's loss uses moves on both
    game = tiny("dcgan")
    game.generator.uneven = torch.nn.Parameter(torch.ones(3))
    loss = game.generator_loss

    def uneven(*args: Any) -> Any:
        return loss(*args) + (game.generator.uneven.sum() if rank == 0 else 0)

    game.generator_loss = uneven
    fit(game, 2, **TWO)
    found["uneven"] = game.generator.uneven.detach().clone()

    made = L.Trainer(
        max_steps=1, accelerator="cpu", devices=2, strategy="ddp", logger=False, enable_checkpointing=False
    )
    try:
        game = tiny("dcgan")
        made.fit(game, data_for(game))
        found["plain ddp"] = ""
    except Exception as error:
        found["plain ddp"] = str(error)
    torch.save(found, out / f"rank{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
