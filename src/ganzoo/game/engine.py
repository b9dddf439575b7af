"""How a run is driven, apart from what the paper says: the options of every recipe, and the moving average."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import nn

from ganzoo.schema import Count, Positive, PositiveFloat, check_ranges
from ganzoo.types import BadArgument

Parameters = Iterable[nn.Parameter]
RAMPUP = 0.05


@dataclass
class Player:
    """One player: the modules whose parameters it moves, and how.

    Args:
        modules: a module or several.
        optimizer: makes the optimizer from parameters, such as `partial(torch.optim.Adam, lr=2e-4)`.
        schedule: the factor on the learning rate after so many images seen, where the paper gives one.
    """

    modules: nn.Module | tuple[nn.Module, ...]
    optimizer: Callable[[Parameters], torch.optim.Optimizer]
    schedule: Callable[[int], float] | None = None

    def parameters(self) -> list[nn.Parameter]:
        """The player's parameters, each once, in a fixed order."""
        modules = (self.modules,) if isinstance(self.modules, nn.Module) else self.modules
        return list(dict.fromkeys(parameter for module in modules for parameter in module.parameters()))


def adams(
    generator: float, discriminator: float, betas: tuple[float, float], eps: float = 1e-8
) -> dict[str, Callable[[Parameters], torch.optim.Optimizer]]:
    """An Adam for each of two players, with learning rates of their own (Heusel et al. 2017, arXiv:1706.08500)."""
    rates = {"discriminator": discriminator, "generator": generator}
    return {name: partial(torch.optim.Adam, lr=lr, betas=betas, eps=eps) for name, lr in rates.items()}


@dataclass
class Engine:
    """The options of a run that no paper is about.

    Args:
        seed: of everything random in training.
        accumulate: slices into which a move divides its batch; gradients are averaged over them.
        clip: the largest norm of a move's gradient; None for no clipping.
        warmup: images over which learning rates rise linearly from 0.
        decay: learning rates fall linearly to 0 between these two counts of images; None for constant ones.
        average: half-life of the generator's moving average in images; `paper` for what the family's paper does (often
            none), None for none.
        rampup: the half-life is at most this share of the images seen (StyleGAN2-ADA's code); None for none; `auto`
            for 0.05, and for none where a model is trained on that was trained before, whose average is worth keeping.
        compile: compile the networks for the main moves; `True` for torch's default backend, or a backend's name.
        channels_last: keep convolutions' tensors with the channels innermost, which is faster on CPUs and on CUDA.
        log_every: generator updates between two lines of the log.
        simultaneous: every player's gradient is taken where the others were when the batch began, as in Goodfellow's
            tutorial (2016, arXiv:1701.00160, section 3.2), whatever the order of their moves; else they alternate.
        generator_steps: updates of the generator to each of its moves, each with noise of its own; papers have one.
        shrink: where a device has not the memory for a move, do it again with its batch in twice as many slices, on all
            ranks alike, and so from then on: the gradients stay those of the whole batch.
        offset: of the random streams, for which a run that was rolled back draws anew; `watch.rollback` counts it.
        slowed: a factor on every learning rate, as rolling back left it.
    """

    seed: Count = 0
    accumulate: Positive = 1
    clip: PositiveFloat | None = None
    warmup: Count = 0
    decay: tuple[int, int] | None = None
    average: PositiveFloat | Literal["paper"] | None = "paper"
    rampup: float | Literal["auto"] | None = "auto"
    compile: bool | str = False
    channels_last: bool = True
    log_every: Positive = 50
    simultaneous: bool = False
    generator_steps: Positive = 1
    shrink: bool = False
    offset: Count = 0
    slowed: PositiveFloat = 1.0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        check_ranges(type(self), vars(self), "engine.")
        if self.decay is not None and not 0 <= self.decay[0] < self.decay[1]:
            raise BadArgument(f"engine.decay is {self.decay}; two rising counts of images are expected, or null")

    def rampup_of(self, trained: bool) -> float | None:
        """The share for a model that was trained before, or one that was not."""
        if self.rampup == "auto":
            return None if trained else RAMPUP
        return self.rampup

    def rate(self, images_seen: int) -> float:
        """The factor on every learning rate after so many images."""
        factor = self.slowed * (min(1.0, images_seen / self.warmup) if self.warmup else 1.0)
        if self.decay is not None:
            start, end = self.decay
            factor *= min(1.0, max(0.0, (end - images_seen) / (end - start)))
        return factor


def stream_seed(seed: int, batch: int, move: int, rank: int, offset: int = 0) -> int:
    """The seed of one move's random stream, a function of where the move stands in the run and of nothing else.

    A resumed run draws what the uninterrupted one would have, and no two moves share their noise. A run that was rolled
    back has an offset: the same stream would fail again.
    """
    place = (seed, batch, move, rank, offset) if offset else (seed, batch, move, rank)
    low, high = np.random.SeedSequence(place).generate_state(2)
    return int(low) | int(high) << 32


def begin_stream(seed: int, device: torch.device) -> None:
    """Seeds torch's random numbers on the CPU and on one device.

    `torch.manual_seed` seeds every device there might be, and formats a traceback for each that has not been used yet:
    that took longer than all else that the engine does in a move.
    """
    if device.type not in ("cpu", "cuda"):
        torch.manual_seed(seed)
        return
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(seed)


class MovingAverage(nn.Module):
    """The exponential moving average of a module, with its half-life in images.

    `θ' ← β θ' + (1 - β) θ` with `β = 0.5^(images / half-life)`; buffers are copied.
    """

    def __init__(self, live: nn.Module) -> None:
        super().__init__()
        import copy

        self.module = copy.deepcopy(live).requires_grad_(False)

    @torch.no_grad()
    def update(self, live: nn.Module, beta: float) -> None:
        """Moves the average towards `live` by the share `1 - beta`."""
        averages = [parameter.detach() for parameter in self.module.parameters()]
        currents = [parameter.detach() for parameter in live.parameters()]
        torch._foreach_lerp_(averages, currents, 1.0 - beta)
        for average, current in zip(self.module.buffers(), live.buffers(), strict=True):
            average.copy_(current)


class Absent(nn.Module):
    """Stands where a network was not loaded; using it says so."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, *args: object, **kwargs: object) -> None:
        """Says how to load the network."""
        raise BadArgument(f"the {self.name} was not loaded; ganzoo.load(..., players=True) brings every player")
