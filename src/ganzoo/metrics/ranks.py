"""Work shared among ranks: who does which part, and how the parts come together in order.

Work is cut into chunks of consecutive samples, and rank r of w takes the chunks r, r + w, r + 2w, ... Nothing is
padded, no sample is done twice, and a chunk holds the same samples however many ranks there are, so that w ranks
compute bit for bit what one does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Value = TypeVar("Value")


def rank_and_world() -> tuple[int, int]:
    """This process's rank and how many there are; 0 and 1 without torch.distributed."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def chunks(n: int, size: int, rank: int, world: int) -> list[range]:
    """The samples of each of a rank's chunks of `size` out of `n`."""
    return [range(start, min(start + size, n)) for start in range(rank * size, n, world * size)]


def join(parts: list[Tensor], n: int, size: int) -> Tensor:
    """All ranks' rows in the order of the samples, on every rank.

    Args:
        parts: `(rows, ...)` of each of this rank's chunks, which may be none where there are few samples.
        n: samples of all ranks.
        size: of a chunk.

    Returns:
        `(n, ...)`.
    """
    _, world = rank_and_world()
    if world == 1:
        return torch.cat(parts)
    shape, dtype = from_first((parts[0].shape[1:], parts[0].dtype) if parts else (torch.Size(), torch.float32))
    rows = [[i for chunk in chunks(n, size, rank, world) for i in chunk] for rank in range(world)]
    # gathering needs equal shapes; what is added is dropped below, so it is never taken for a sample
    padded = torch.zeros((max(map(len, rows)), *shape), dtype=dtype, device=_device())
    if parts:
        local = torch.cat(parts)
        padded[: len(local)] = local
    gathered = [torch.empty_like(padded) for _ in range(world)]
    dist.all_gather(gathered, padded)
    home = parts[0].device if parts else padded.device
    whole = torch.empty((n, *shape), dtype=dtype, device=home)
    for part, own in zip(gathered, rows, strict=True):
        whole[torch.tensor(own, dtype=torch.int64, device=home)] = part[: len(own)].to(home)
    return whole


@contextmanager
def together() -> Iterator[None]:
    """An error in the block on any rank is raised on every rank: none is left waiting for one that has failed."""
    error: Exception | None = None
    try:
        yield
    except Exception as caught:
        error = caught
    _, world = rank_and_world()
    if world > 1:
        errors: list[Exception | None] = [None] * world
        dist.all_gather_object(errors, error)
        error = error or next((each for each in errors if each is not None), None)
    if error is not None:
        raise error


def from_first(value: Value | Exception) -> Value:
    """Rank 0's value, on every rank; an exception is raised on every rank."""
    _, world = rank_and_world()
    if world > 1:
        held: list[Any] = [value]
        dist.broadcast_object_list(held, src=0, device=_device())
        value = held[0]
    if isinstance(value, Exception):
        raise value
    return value


def _device() -> torch.device:
    """NCCL moves tensors of a GPU only, Gloo those of the CPU."""
    cuda = "nccl" in dist.get_backend()
    return torch.device("cuda", torch.cuda.current_device()) if cuda else torch.device("cpu")
