"""Two ranks against each other and against one process. What the ranks did stands in `ranks.py`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import Decoupled, Gradients, close, fit, noise_by_sample, tiny

from ganzoo.game.registry import list_families

Found = list[dict[str, Any]]


@pytest.mark.parametrize("name", list_families())
def test_parameters_and_optimizers_are_bitwise_equal_after_20_steps(ranks: Found, name: str) -> None:
    assert ranks[0][f"{name} state"] == ranks[1][f"{name} state"]
    assert ranks[0][f"{name} step"] == 20


@pytest.mark.parametrize("name", list_families())
def test_statistics_are_equal_once_synchronised(ranks: Found, name: str) -> None:
    assert ranks[0][f"{name} buffers"] == ranks[1][f"{name} buffers"]


@pytest.mark.parametrize("name", list_families())
@pytest.mark.parametrize("accumulate", [1, 2])
def test_gradients_equal_those_of_one_process_on_the_joined_batch(ranks: Found, name: str, accumulate: int) -> None:
    game, gradients = tiny(name), Gradients()
    if game.coupled:
        pytest.skip("the loss couples the samples of a batch, so parts of it have other gradients by design")
    with noise_by_sample(game, first=0):
        fit(game, 1, Decoupled(), gradients, batch_size=8)
    found = ranks[0][f"{name} gradients {accumulate}"]
    assert found.keys() == gradients.found.keys() and len(found) >= 4
    largest = max(float(g.norm()) for g in gradients.found.values())
    assert largest > 0
    for key, one in gradients.found.items():
        # Float32 sums in another order; later moves start from parameters that differ by as much. What cancels to
        # nothing, as of a bias before instance normalization, is held against the largest of the gradients
        assert close(found[key], one, 1e-3, at_least=0.02 * largest), key


def test_a_control_is_one_for_all_ranks(ranks: Found) -> None:
    """BEGAN's k, which is no statistic: it follows the errors on both ranks' samples."""
    assert ranks[0]["k"] > 0
    assert torch.equal(ranks[0]["k"], ranks[1]["k"])


@pytest.mark.parametrize("name", ["dcgan", "wgan_gp"])
def test_a_run_resumed_on_two_ranks_is_the_run(ranks: Found, name: str) -> None:
    for rank in ranks:
        assert rank[f"{name} whole"] == rank[f"{name} resumed"]


def test_not_a_number_on_one_rank_is_survived_by_all(ranks: Found) -> None:
    assert ranks[0]["poisoned"] == ranks[1]["poisoned"]
    for rank in ranks:
        assert rank["poisoned finite"]
        assert rank["poisoned skipped"] == {"discriminator": 2, "generator": 0}


def test_one_all_reduce_a_move(ranks: Found) -> None:
    assert ranks[0]["reductions"] == 6  # three batches, two players


def test_frozen_and_idle_parameters_stay(ranks: Found) -> None:
    for rank in ranks:
        assert rank["frozen"]
        assert rank["idle"]


def test_a_parameter_that_one_rank_uses_moves_on_both(ranks: Found) -> None:
    # Two steps of Adam with a constant gradient of 1/2: each moves by the learning rate
    for rank in ranks:
        assert torch.allclose(rank["uneven"], torch.full((3,), 1 - 2 * 2e-4), atol=1e-6)


def test_lightnings_own_ddp_is_refused_with_advice(ranks: Found) -> None:
    assert "ddp_game" in ranks[0]["plain ddp"]
