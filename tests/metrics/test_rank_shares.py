import itertools

import pytest
import torch

from ganzoo.metrics.ranks import chunks, from_first, join, rank_and_world, together


@pytest.mark.parametrize("n, size, world", [(10, 3, 2), (10, 3, 5), (1, 4, 3), (0, 4, 2), (12, 4, 3)])
def test_the_chunks_of_all_ranks_are_every_sample_once(n: int, size: int, world: int) -> None:
    whole = [list(chunk) for chunk in chunks(n, size, 0, 1)]
    parts = [[list(chunk) for chunk in chunks(n, size, rank, world)] for rank in range(world)]
    assert sorted(itertools.chain(*itertools.chain(*parts))) == list(range(n))
    assert sorted(itertools.chain(*parts)) == whole  # a chunk holds the same samples on any number of ranks


def test_one_process_needs_no_group() -> None:
    assert rank_and_world() == (0, 1)
    rows = torch.arange(6).view(3, 2)
    assert torch.equal(join([rows[:2], rows[2:]], 3, 2), rows)
    assert from_first("mine") == "mine"
    with pytest.raises(KeyError):
        from_first(KeyError("said by rank 0"))
    with pytest.raises(ZeroDivisionError), together():
        _ = 1 // 0
