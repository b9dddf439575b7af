"""Data parallelism for games: one all-reduce a move, of the mover's gradients alone.

Lightning's `ddp` wraps the whole module: with several players it must search for unused parameters, and every backward
reduces all players' gradients. Here nothing is wrapped. The ranks start equal, and `reduce_gradients` averages the
gradients of one player in one flat buffer, whatever number of backwards, slices or second derivatives made them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed
from lightning.fabric.utilities.distributed import _set_num_threads_if_needed
from lightning.pytorch.strategies import DDPStrategy, StrategyRegistry
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher

NAME = "ddp_game"


class _Launcher(_SubprocessScriptLauncher):
    """Starts the other ranks; Lightning's own kills this process, without a word, when one of them fails."""

    def launch(self, function: Callable[..., Any], *args: Any, trainer: Any = None, **kwargs: Any) -> Any:
        """Starts the other ranks and calls a function in this one."""
        self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        if not self.cluster_environment.creates_processes_externally:
            self._call_children_scripts()
        _set_num_threads_if_needed(num_processes=self.num_processes)
        return function(*args, **kwargs)


class GameDDP(DDPStrategy):
    """DDP whose gradients are reduced by `Game.move`, between the backward and the step."""

    strategy_name = NAME

    @property
    def restore_checkpoint_after_setup(self) -> bool:
        """Checkpoints are restored after the ranks were made equal, because each takes back what was its own."""
        return True

    def _configure_launcher(self) -> None:
        super()._configure_launcher()
        if type(self._launcher) is _SubprocessScriptLauncher:
            assert self.cluster_environment is not None
            self._launcher = _Launcher(self.cluster_environment, self.num_processes, self.num_nodes)

    def configure_ddp(self) -> None:
        """Copies rank 0's parameters and buffers to all ranks; wraps nothing."""
        assert self.model is not None
        for tensor in (*self.model.parameters(), *self.model.buffers()):
            torch.distributed.broadcast(tensor.detach(), src=0)

    def reduce_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Averages the gradients of these parameters over all ranks, in one all-reduce.

        A parameter without a gradient on any rank keeps None: to Adam a zero and None are different things. Behind the
        gradients the buffer carries a flag a parameter; it is read, which makes the host wait, only for parameters that
        have no gradient on this rank.
        """
        if torch.distributed.get_world_size() == 1 or not parameters:
            return
        device = parameters[0].device
        lengths = [parameter.numel() for parameter in parameters]
        pieces = [
            torch.zeros(length, device=device) if parameter.grad is None else parameter.grad.flatten().float()
            for parameter, length in zip(parameters, lengths, strict=True)
        ]
        flags = torch.tensor([float(parameter.grad is not None) for parameter in parameters]).to(device)
        buffer = torch.cat([*pieces, flags])
        torch.distributed.all_reduce(buffer)
        *averages, flags = buffer.split([*lengths, len(parameters)])
        torch._foreach_div_(averages, float(torch.distributed.get_world_size()))
        absent = [parameter.grad is None for parameter in parameters]
        anywhere = flags.tolist() if any(absent) else [1.0] * len(parameters)
        for parameter, average, missing, count in zip(parameters, averages, absent, anywhere, strict=True):
            if not missing:
                parameter.grad.copy_(average.view_as(parameter))  # type: ignore[union-attr]
            elif count > 0:
                # Laid out like the parameter, because fused optimizers walk the two side by side in memory
                parameter.grad = torch.empty_like(parameter).copy_(average.view_as(parameter))


def register() -> None:
    """Registers the strategy with Lightning, so that `Trainer(strategy="ddp_game")` finds it."""
    if NAME not in StrategyRegistry:
        StrategyRegistry.register(NAME, GameDDP, description="DDP for games: one all-reduce a move")


def parallel(devices: object, accelerator: object, nodes: int) -> bool:
    """Whether a Trainer with these arguments will run on several processes: then the strategy is `ddp_game`.

    Args:
        devices: of the Trainer: a number, a list, a string or `auto`.
        accelerator: of the Trainer.
        nodes: number of machines.
    """
    import os

    if nodes > 1 or any(int(os.environ.get(name) or 1) > 1 for name in ("WORLD_SIZE", "SLURM_NTASKS")):
        return True
    if isinstance(devices, (list, tuple)):
        return len(devices) > 1
    text = str(devices)
    if text in ("auto", "-1"):
        return accelerator in ("auto", "gpu", "cuda") and torch.cuda.device_count() > 1
    if "," in text:
        return len([piece for piece in text.split(",") if piece.strip()]) > 1
    return text.isdecimal() and int(text) > 1


def launched() -> tuple[int, int] | None:
    """Processes a machine and number of machines that torchrun or SLURM started; None where neither did."""
    import os

    def number(name: str) -> int:
        text = os.environ.get(name, "")
        return int(text) if text.isdecimal() else 0

    here = number("LOCAL_WORLD_SIZE") or number("SLURM_NTASKS_PER_NODE")
    whole = number("WORLD_SIZE") or number("SLURM_NTASKS")
    return (here, whole // here) if here and whole > 1 and whole % here == 0 else None


register()
