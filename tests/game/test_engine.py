"""The options of a run, against closed forms."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import fit, same, tensors, tiny
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import nn

from ganzoo.game.engine import Absent, Engine, MovingAverage, Player, adams, stream_seed
from ganzoo.types import BadArgument, TrainingStopped


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"seed": -1}, "engine.seed is -1"),
        ({"accumulate": 0}, "engine.accumulate is 0"),
        ({"warmup": -5}, "engine.warmup is -5"),
        ({"log_every": 0}, "engine.log_every is 0"),
        ({"clip": 0.0}, "engine.clip is 0.0"),
        ({"clip": float("nan")}, "engine.clip is nan"),
        ({"decay": (5, 5)}, r"engine.decay is \(5, 5\)"),
        ({"decay": (-1, 5)}, r"engine.decay is \(-1, 5\)"),
        ({"average": 0.0}, "engine.average is 0.0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], wrong: str) -> None:
    with pytest.raises(BadArgument, match=wrong):
        Engine(**options)


def test_rates_are_constant_unless_said() -> None:
    assert [Engine().rate(images) for images in (1, 1000, 10**9)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("images", "factor"),
    [(0, 0.0), (50, 0.5), (100, 1.0), (150, 1.0), (200, 1.0), (250, 0.75), (400, 0.0), (10**6, 0.0)],
)
def test_rates_rise_and_fall_linearly(images: int, factor: float) -> None:
    assert Engine(warmup=100, decay=(200, 400)).rate(images) == pytest.approx(factor)


def test_rates_of_a_warmup_that_reaches_into_the_decay_multiply() -> None:
    assert Engine(warmup=100, decay=(50, 150)).rate(75) == pytest.approx(0.75 * 0.75)


def test_random_streams_do_not_meet() -> None:
    seeds = [stream_seed(s, b, m, r) for s in (0, 1, 7) for b in range(40) for m in range(4) for r in range(3)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**64 for seed in seeds)
    torch.manual_seed(max(seeds))  # torch takes the whole range


def test_a_stream_is_the_same_for_ever() -> None:
    # numpy promises SeedSequence's numbers (NEP 19), so a checkpoint of one version goes on in the next
    assert stream_seed(0, 1, 1, 0) == 3108398236813484367
    assert stream_seed(3, 12345678901, 2, 7) == stream_seed(3, 12345678901, 2, 7)


def test_a_players_parameters_stand_once_and_in_order() -> None:
    one, other = nn.Linear(2, 2), nn.Linear(2, 2)
    tied = nn.Sequential(one, other, one)
    expected = [one.weight, one.bias, other.weight, other.bias]
    found = Player((tied, other), torch.optim.Adam).parameters()
    assert len(found) == 4 and all(a is b for a, b in zip(found, expected, strict=True))
    assert len(Player(one, torch.optim.Adam).parameters()) == 2


def test_two_players_have_adams_with_rates_of_their_own() -> None:
    made = {name: adam([nn.Parameter(torch.zeros(1))]) for name, adam in adams(1e-4, 4e-4, (0.0, 0.9), 1e-6).items()}
    assert list(made) == ["discriminator", "generator"], "the order in which they move"
    assert [adam.defaults["lr"] for adam in made.values()] == [4e-4, 1e-4]
    assert all((adam.defaults["betas"], adam.defaults["eps"]) == ((0.0, 0.9), 1e-6) for adam in made.values())


def test_the_moving_average_is_the_closed_form() -> None:
    live = nn.Linear(3, 2)
    average = MovingAverage(live)
    expected = live.weight.detach().clone()
    for beta in (0.9, 0.5, 0.999, 0.0):
        with torch.no_grad():
            live.weight.normal_()
        average.update(live, beta)
        expected = beta * expected + (1 - beta) * live.weight.detach()
        assert isinstance(average.module, nn.Linear)
        assert torch.allclose(average.module.weight, expected, atol=1e-6)
    assert not any(parameter.requires_grad for parameter in average.parameters())


def test_the_moving_average_copies_buffers_of_every_type() -> None:
    live = nn.BatchNorm1d(2)
    average = MovingAverage(live)
    for _ in range(3):
        live(torch.randn(8, 2))
    average.update(live, 0.9)
    assert isinstance(average.module, nn.BatchNorm1d)
    for name, buffer in live.named_buffers():
        assert torch.equal(average.module.get_buffer(name), buffer), name
    assert int(average.module.get_buffer("num_batches_tracked")) == 3


def test_a_fresh_average_is_the_live_module_and_no_alias() -> None:
    live = nn.Linear(2, 2)
    average = MovingAverage(live)
    assert isinstance(average.module, nn.Linear)
    assert torch.equal(average.module.weight, live.weight)
    with torch.no_grad():
        live.weight.add_(1)
    assert not torch.equal(average.module.weight, live.weight)


def test_a_network_that_was_not_loaded_says_how_to_load_it() -> None:
    with pytest.raises(BadArgument, match=r"the critic was not loaded; .*players=True"):
        Absent("critic")(torch.zeros(1))


def hungry(game: Any, most: int, after: int = 0) -> Any:
    """A game on a device whose memory holds so many samples of a move, from some batch on."""
    for name in ("critic_loss", "discriminator_loss", "generator_loss"):
        loss = getattr(game, name, None)
        if loss is None:
            continue

        def fails(batch: Any, *rest: Any, loss: Any = loss) -> torch.Tensor:
            value: torch.Tensor = loss(batch, *rest)
            if len(batch) > most and game.batches_seen > after:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory (a test)")
            return value

        fails.__name__ = name
        setattr(game, name, fails)
    return game


@pytest.mark.parametrize("name", ["gan", "r3gan"])
def test_a_move_without_memory_is_done_again_in_slices(name: str) -> None:
    game, sliced = tiny(name), tiny(name)
    game.engine.shrink, sliced.engine.accumulate, sliced.engine.shrink = True, 2, True
    fit(hungry(game, 2), 3)
    fit(sliced, 3)
    assert game._slices == 2 and game.latest["slices"] == 2
    assert not same(tensors(game), tensors(sliced)), "as if it had been so from the first"
    assert game.latest["discriminator_loss"] == sliced.latest["discriminator_loss"], "counted once"


def test_without_memory_for_one_sample_it_says_so() -> None:
    game: Any = tiny("gan")
    game.engine.shrink = True
    with pytest.raises(TrainingStopped, match="not the memory for single samples"):
        fit(hungry(game, 0), 2)
    plain: Any = tiny("gan")
    with pytest.raises(torch.cuda.OutOfMemoryError):
        fit(hungry(plain, 0), 2)


def test_what_players_share_is_not_made_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory (a test)")

    game: Any = tiny("cut")
    game.engine.shrink = True
    game.generator.forward = fails
    with pytest.raises(TrainingStopped, match="not the memory for what players share"):
        fit(game, 2)
    game = tiny("cut")
    game.engine.shrink, shared = True, torch.autograd.backward

    def joint(tensors: Any, *rest: Any, **named: Any) -> Any:
        return fails() if isinstance(tensors, list) else shared(tensors, *rest, **named)

    monkeypatch.setattr(torch.autograd, "backward", joint)
    with pytest.raises(TrainingStopped, match="not the memory to go back through what players share"):
        fit(game, 2)


def test_another_rank_s_want_of_memory_is_this_one_s_too(monkeypatch: pytest.MonkeyPatch) -> None:
    game, sliced = tiny("gan"), tiny("gan")
    game.engine.shrink = sliced.engine.shrink = True
    sliced.engine.accumulate = 2
    answers = iter([True])
    monkeypatch.setattr(
        SingleDeviceStrategy, "reduce_boolean_decision", lambda self, decision, all=True: next(answers, decision)
    )
    fit(game, 2)
    fit(sliced, 2)
    assert game._slices == 2 and not same(tensors(game), tensors(sliced))


@pytest.mark.parametrize("name", ["dcgan", "stylegan2", "cgan_pd"])
def test_slices_are_refused_where_layers_see_the_batch(name: str) -> None:
    game = tiny(name)
    game.engine.shrink = True
    with pytest.raises(BadArgument, match="look at a batch as a whole"):
        fit(game, 1)
