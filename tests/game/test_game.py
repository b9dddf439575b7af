"""The engine's promises on one process: who moves, what counts, what is drawn, and that a resumed run is the run."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from helpers import data_for, fit, make, same, tensors, tiny, trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor, nn
from toys import Scale, Spoil, Toy, Watch

from ganzoo.game.engine import Engine
from ganzoo.game.game import Game
from ganzoo.game.registry import list_families
from ganzoo.nn.attention import SelfAttention
from ganzoo.training.checkpoints import AtomicIO
from ganzoo.training.reports import JsonLines
from ganzoo.training.saving import Saver
from ganzoo.types import BadArgument, BadModelFolder, Batch, TrainingStopped

every_family = pytest.mark.parametrize("name", list_families())


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def names_of(game: Game, player: str) -> set[str]:
    mine = {id(parameter) for parameter in game.players()[player].parameters()}
    return {name for name, parameter in game.named_parameters() if id(parameter) in mine}


# -------------------------------------------------------------------------------------------------- who moves


@every_family
def test_a_move_changes_the_parameters_of_its_player_alone(name: str) -> None:
    game, watch = tiny(name), Watch()
    for module in game.modules():
        if isinstance(module, SelfAttention):  # begins closed, so that nothing behind it would move at first
            nn.init.constant_(module.gamma, 0.5)
    for key, parameter in game.named_parameters():  # and so do blocks of R3GAN, DF-GAN and, nearly, of DDGAN
        if (parameter.dim() > 1 or key.endswith("gamma")) and parameter.abs().max() < 1e-4:
            nn.init.normal_(parameter, 0.0, 0.1)
    made = fit(game, 2, watch)
    parameters = dict(game.named_parameters())
    order = list(game.players())
    assert {player for player, _ in watch.changed} == set(order)
    for (player, changed), counted in zip(watch.changed, watch.counted, strict=True):
        mine = names_of(game, player)
        moved = {entry for entry in changed if entry in parameters}
        # A penalty on gradients may not depend on every bias, and within a hinge's margin both halves of the batch pull
        # a score by as much
        still = {entry for entry in mine - moved if not (counted and entry.endswith("bias"))}
        assert moved <= mine and moved and not (counted and still), (
            f"{player} moved {sorted(moved ^ mine)} too many or too few"
        )
        states = {entry for entry in changed if entry.startswith("optimizer")}
        assert all(entry.startswith(f"optimizer {order.index(player)},") for entry in states)
    players = game.players().values()
    assert all(parameter.requires_grad for player in players for parameter in player.parameters())
    assert made.global_step == 2


@every_family
def test_what_a_user_froze_stays_frozen(name: str) -> None:
    game = tiny(name)
    frozen = {player: seat.parameters()[0].requires_grad_(False) for player, seat in game.players().items()}
    before = {player: parameter.clone() for player, parameter in frozen.items()}
    watch = Watch()
    fit(game, 2, watch)
    assert any(changed for _, changed in watch.changed)
    for player, parameter in frozen.items():
        assert torch.equal(parameter, before[player]), player
        assert not parameter.requires_grad and parameter.grad is None


def test_a_parameter_of_two_players_is_refused() -> None:
    game = Toy()
    game.critic = game.generator
    with pytest.raises(BadArgument, match="Toy: a parameter belongs to two players"):
        fit(game, 1)


def test_an_unknown_player_is_refused_by_name() -> None:
    game = Toy()
    game.training_step = lambda batch, batch_idx: game.move("crtic", game.critic_loss, batch)  # type: ignore[method-assign]
    with pytest.raises(BadArgument, match="'crtic'; the players are critic, generator"):
        fit(game, 1)


def test_an_optimizer_whose_form_a_family_chose_keeps_it() -> None:
    game = Toy(optimizer=partial(torch.optim.Adam, lr=1e-3, fused=False))
    made = fit(game, 1)
    assert not made.optimizers[0].param_groups[0]["fused"]
    made = fit(Toy(optimizer=partial(torch.optim.Adam, lr=1e-3)), 1)
    assert made.optimizers[0].param_groups[0]["fused"]


# -------------------------------------------------------------------------------------------------- what counts


@pytest.mark.parametrize("n_critic", [1, 3])
def test_global_step_counts_the_generators_updates(n_critic: int, tmp_path: Path) -> None:
    game = tiny("wgan", n_critic=n_critic)
    made = fit(game, 4, logger=JsonLines(tmp_path), plugins=[AtomicIO()])
    made.save_checkpoint(tmp_path / "a.ckpt")
    assert (made.global_step, game.batches_seen, game.images_seen) == (4, 4 * n_critic, 16 * n_critic)
    saved = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert saved["global_step"] == 4
    written = lines(tmp_path)
    assert [line["step"] for line in written] == [1, 2, 3, 4]
    for line in written:
        assert line["batches_seen"] == line["step"] * n_critic
        assert line["images_seen"] == 4 * line["batches_seen"]
        assert {"critic_loss", "generator_loss", "images_per_second"} <= line.keys()
    assert saved["ganzoo"]["batches_seen"] == written[-1]["batches_seen"]


@every_family
def test_global_step_is_the_number_of_the_leaders_moves(name: str) -> None:
    game, watch = tiny(name), Watch()
    leaders = {game.leads}
    made = fit(game, 3, watch)
    leaders |= {game.leads}  # f-AnoGAN's is the generator, and then the encoder
    updates = [player for (player, _), counted in zip(watch.changed, watch.counted, strict=True) if counted]
    assert made.global_step == sum(player in leaders for player in updates) == 3


def test_a_move_that_does_not_count_moves_and_does_not_count(tmp_path: Path) -> None:
    game, watch = Toy(lazy=2), Watch()
    made = fit(game, 4, watch, logger=JsonLines(tmp_path))
    assert made.global_step == 4 and game.batches_seen == 4
    assert [player for player, _ in watch.changed] == [
        *("critic", "generator"),
        *("critic", "critic", "generator", "generator"),
        *("critic", "generator"),
        *("critic", "critic", "generator", "generator"),
    ]
    assert all(changed for _, changed in watch.changed)
    assert "generator_penalty_loss" in lines(tmp_path)[1]


def test_the_hooks_of_lightning_that_counting_rests_on() -> None:
    # Private names of Lightning's: when this fails, look at Game._step
    seen: list[tuple[int, int]] = []

    class Asks(Toy):
        def training_step(self, batch: Batch, batch_idx: int) -> None:
            wrapped = self.optimizers()
            assert isinstance(wrapped, list)
            assert all(isinstance(optimizer, LightningOptimizer) for optimizer in wrapped)
            before = self.global_step
            self.move("critic", self.critic_loss, batch)
            between = self.global_step
            wrapped[0]._on_before_step()
            wrapped[0]._on_after_step()
            seen.append((between - before, self.global_step - between))
            self.move("generator", self.generator_loss, batch)

    made = fit(Asks(), 4)
    assert seen == [(0, 1), (0, 1)] and made.global_step == 4


def test_turns_follow_the_batches_and_not_the_process(tmp_path: Path) -> None:
    game = Toy(n_critic=3)
    made = fit(game, 1, plugins=[AtomicIO()])
    made.save_checkpoint(tmp_path / "a.ckpt")
    rest = Toy(n_critic=3)
    fit(rest, 2, ckpt=tmp_path / "a.ckpt")
    assert rest.batches_seen == 6 and len(rest.weights) == 1


# -------------------------------------------------------------------------------------------------- resuming


def options() -> Engine:
    return Engine(seed=5, accumulate=2, clip=5.0, warmup=12, decay=(20, 400), average=60.0, log_every=3)


@every_family
def test_a_resumed_run_is_the_run(name: str, tmp_path: Path) -> None:
    runs = {}
    for part, steps, ckpt in (("whole", 20, None), ("half", 10, None), ("rest", 20, tmp_path / "half.ckpt")):
        game = tiny(name)
        game.engine = options()
        made = fit(game, steps, ckpt=ckpt, logger=JsonLines(tmp_path / part), plugins=[AtomicIO()])
        made.save_checkpoint(tmp_path / f"{part}.ckpt")
        runs[part] = tensors(game)
    torch.load(tmp_path / "half.ckpt", weights_only=True)
    assert same(runs["whole"], runs["half"]), "the second half changes nothing: the test sees nothing"
    assert same(runs["whole"], runs["rest"]) == []
    # Every line of the second half, but the first, whose means began before the interruption
    whole, rest = (
        [{**line, "images_per_second": 0, "waiting": 0} for line in lines(tmp_path / part)]
        for part in ("whole", "rest")
    )
    assert [line["step"] for line in whole] == [3, 6, 9, 12, 15, 18]
    assert [line["step"] for line in rest] == [12, 15, 18]
    assert whole[4:] == rest[1:]


def test_what_a_rank_holds_of_its_own_comes_back(tmp_path: Path) -> None:
    game = Toy()
    made = fit(game, 3, plugins=[AtomicIO()])
    made.save_checkpoint(tmp_path / "a.ckpt")
    pool = game.pool.clone()
    assert bool(pool.any())

    class Look(Callback):
        def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            assert isinstance(pl_module, Toy)
            assert torch.equal(pl_module.pool, pool)

    rest, whole = Toy(), Toy()
    fit(rest, 6, Look(), ckpt=tmp_path / "a.ckpt")
    fit(whole, 6)
    assert torch.equal(rest.pool, whole.pool)


@pytest.mark.parametrize(("first", "second"), [(False, True), (True, False)])
def test_a_checkpoint_of_another_memory_layout_goes_on_the_same(first: bool, second: bool, tmp_path: Path) -> None:
    # A fused step walks a parameter and its moments side by side in memory
    runs = []
    for layout in (second, first):
        game = tiny("dcgan")
        game.engine.channels_last = layout
        made = fit(game, 3, plugins=[AtomicIO()])
        made.save_checkpoint(tmp_path / "a.ckpt")
        rest = tiny("dcgan")
        rest.engine.channels_last = second
        fit(rest, 4, ckpt=tmp_path / "a.ckpt")
        runs.append(tensors(rest))
    for name, value in runs[0].items():  # a convolution sums in another order in another layout
        assert torch.allclose(value.float(), runs[1][name].float(), rtol=1e-2, atol=2e-4), name


def test_a_checkpoint_of_another_game_is_refused_by_name(tmp_path: Path) -> None:
    made = fit(tiny("dcgan"), 1, plugins=[AtomicIO()])
    made.save_checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(BadModelFolder, match=r"tensor generator\.main\.0\.weight has shape"):
        fit(tiny("dcgan", width=8), 2, ckpt=tmp_path / "a.ckpt")
    game = tiny("dcgan")
    game.engine.average = 10.0
    with pytest.raises(BadModelFolder, match=r"tensor _averages\.\S+ is missing"):
        fit(game, 2, ckpt=tmp_path / "a.ckpt")


# -------------------------------------------------------------------------------------------------- randomness


def test_no_two_moves_share_their_noise_and_the_seed_changes_all() -> None:
    drawn = []
    for seed in (0, 0, 1):
        game = Toy(n_critic=2)
        game.engine.seed = seed
        fit(game, 10)
        drawn.append(game.drawn)
    assert len(set(drawn[0])) == len(drawn[0]) == 20 + 20 + 10  # batches, critic's moves, generator's moves
    assert drawn[0] == drawn[1]
    assert not set(drawn[0]) & set(drawn[2])


def test_a_resumed_run_draws_what_the_run_would_have(tmp_path: Path) -> None:
    whole, half, rest = Toy(), Toy(), Toy()
    fit(whole, 8)
    made = fit(half, 4, plugins=[AtomicIO()])
    made.save_checkpoint(tmp_path / "a.ckpt")
    torch.manual_seed(99)  # what the process drew before is of no account
    fit(rest, 8, ckpt=tmp_path / "a.ckpt")
    assert half.drawn + rest.drawn == whole.drawn


# -------------------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("accumulate", [2, 3, 4, 5, 9])
def test_accumulated_gradients_are_the_whole_batchs(accumulate: int) -> None:
    whole, sliced = Toy(), Toy()
    sliced.engine.accumulate = accumulate
    lengths: list[int] = []
    loss = sliced.critic_loss

    def counted(batch: Batch) -> Tensor:
        lengths.append(len(batch.images))
        return loss(batch)

    sliced.critic_loss = counted  # type: ignore[method-assign]
    fit(whole, 3, batch_size=5)
    fit(sliced, 3, batch_size=5)
    assert torch.allclose(whole.critic.weight, sliced.critic.weight, atol=1e-6)
    assert sum(lengths) == 15 and min(lengths) >= 1 and len(lengths) == 3 * min(accumulate, 5)
    assert max(lengths) - min(lengths) <= 1
    expected = torch.ones(2) - torch.stack(whole.means).sum(0)
    assert torch.allclose(whole.critic.weight, expected, atol=1e-6)


def test_what_cannot_be_sliced_together_is_refused() -> None:
    class Uneven(Toy):
        def training_step(self, batch: Batch, batch_idx: int) -> None:
            self.move("generator", self.weighed, batch, torch.ones(3), 2.0)

        def weighed(self, batch: Batch, three: Tensor, factor: float) -> Tensor:
            return self.generator_loss(batch) * three.mean() * factor

    fit(Uneven(), 1)
    game = Uneven()
    game.engine.accumulate = 2
    with pytest.raises(BadArgument, match=r"lengths \[4, 3\]"):
        fit(game, 1)


def test_labels_and_plain_values_are_sliced_and_handed_on() -> None:
    seen: list[tuple[Any, ...]] = []

    class Labelled(Toy):
        def training_step(self, batch: Batch, batch_idx: int) -> None:
            labelled = Batch(batch.images, torch.arange(5), batch.images + 1)
            self.move("generator", self.look, labelled, torch.arange(5), "word", torch.tensor(7.0))

        def look(self, batch: Batch, numbers: Tensor, word: str, scalar: Tensor) -> Tensor:
            assert batch.labels is not None and batch.targets is not None
            assert torch.equal(batch.targets, batch.images + 1)
            seen.append((batch.labels.tolist(), numbers.tolist(), word, float(scalar)))
            return self.generator_loss(batch)

    game = Labelled()
    game.engine.accumulate = 2
    fit(game, 1, batch_size=5)
    assert seen == [([0, 1], [0, 1], "word", 7.0), ([2, 3, 4], [2, 3, 4], "word", 7.0)]


def test_clipping_is_the_closed_form() -> None:
    game = Toy()
    game.engine.clip = 0.7
    fit(game, 5)
    expected = torch.ones(2)
    norms = [float(mean.norm()) for mean in game.means]
    assert min(norms) < 0.7 < max(norms), "the bound must matter for some of the batches only"
    for mean, norm in zip(game.means, norms, strict=True):
        expected = expected - mean * min(1.0, 0.7 / norm)
    assert torch.allclose(game.critic.weight, expected, atol=1e-5)


def test_the_learning_rate_follows_the_engine_and_the_player() -> None:
    game = Toy(schedule=lambda images: 0.5 if images > 12 else 1.0)
    game.engine.warmup, game.engine.decay = 16, (24, 40)
    fit(game, 9)
    # Batches of 4: after the n-th, 4 n images; up to 16 rising, from 24 to 40 falling
    factors = [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    critic, generator = torch.ones(2), torch.ones(2)
    for i, (mean, factor) in enumerate(zip(game.means, factors, strict=True)):
        critic = critic - factor * mean
        generator = generator - factor * (0.5 if i >= 3 else 1.0) * mean
    assert torch.allclose(game.critic.weight, critic, atol=1e-6)
    assert torch.allclose(game.generator.weight, generator, atol=1e-6)


# -------------------------------------------------------------------------------------------------- moving average


@pytest.mark.parametrize("n_critic", [1, 3])
@pytest.mark.parametrize("rampup", [None, 0.5])
def test_the_moving_average_is_the_closed_form_in_images(n_critic: int, rampup: float | None) -> None:
    game = Toy(n_critic=n_critic)
    game.engine.average, game.engine.rampup = 30.0, rampup
    fit(game, 8)
    expected, seen = torch.ones(2), 0
    for i, weight in enumerate(game.weights, 1):
        images = 4 * n_critic * i
        half_life = 30.0 if rampup is None else min(30.0, rampup * images)
        share = 0.5 ** ((images - seen) / half_life)
        expected, seen = share * expected + (1 - share) * weight, images
    assert isinstance(game.averaged, Scale)
    assert torch.allclose(game.averaged.weight, expected, atol=1e-6)
    assert not torch.allclose(game.averaged.weight, game.generator.weight, atol=1e-3)


@every_family
def test_there_is_a_moving_average_where_the_paper_has_one(name: str) -> None:
    game = tiny(name)
    fit(game, 1)
    assert (game.averaged is game.generator) == (type(game).average_half_life is None)


@every_family
def test_the_average_has_the_live_buffers_and_makes_the_samples(name: str) -> None:
    game: Any = tiny(name)
    game.engine.average = 20.0
    fit(game, 3)
    averaged = dict(game.averaged.named_buffers())
    for key, buffer in game.generator.named_buffers():
        assert torch.equal(buffer, averaged[key]) and buffer is not averaged[key], key
    modes = {key: module.training for key, module in game.named_modules()}
    state = torch.get_rng_state()
    images = make(game, 3, seed=5)
    assert {key: module.training for key, module in game.named_modules()} == modes
    assert game.training
    assert torch.equal(torch.get_rng_state(), state)
    assert images.shape == (3, *game.shape)
    with torch.no_grad():
        for parameter in game.generator.parameters():
            parameter.zero_()
    assert torch.equal(make(game, 3, seed=5), images)
    assert torch.allclose(make(game, 1, seed=7), images[2:], atol=1e-5)
    with torch.no_grad():
        for parameter in game.averaged.parameters():
            parameter.zero_()
    assert not torch.equal(make(game, 3, seed=5), images)


# -------------------------------------------------------------------------------------------------- not finite


@every_family
def test_a_move_that_is_not_finite_changes_nothing(name: str) -> None:
    # At its first move an optimizer has no state, and later it has
    game, watch = tiny(name), Watch()
    game.engine.clip = 1.0
    fit(game, 3, watch, Spoil({1, 2, 4, 6} if "n_critic" in game.arguments else {1, 3}))
    assert {player for player, changed in watch.changed if not changed} == set(game.players())
    skipped = {player: int(mover.skipped) for player, mover in game._states.items()}
    for player, count in skipped.items():
        untouched = sum(not changed for mover, changed in watch.changed if mover == player)
        assert untouched == count > 0, player
    assert sum(bool(changed) for _, changed in watch.changed) == len(watch.changed) - sum(skipped.values())
    assert all(bool(torch.isfinite(value).all()) for value in tensors(game).values())


@pytest.mark.parametrize(
    "optimizer",
    [
        partial(torch.optim.SGD, lr=0.1, momentum=0.9),
        partial(torch.optim.Adam, lr=0.1),
        partial(torch.optim.AdamW, lr=0.1),
        partial(torch.optim.Adagrad, lr=0.1),
        partial(torch.optim.RMSprop, lr=0.1),
    ],
)
def test_a_skipped_move_is_a_move_that_was_not_made(optimizer: Any) -> None:
    # Against the optimizer by itself on the batches that were finite
    game = Toy(optimizer=optimizer)
    fit(game, 6, Spoil({1, 4}))
    weight = nn.Parameter(torch.ones(2))
    alone = optimizer([weight])
    for batch, mean in enumerate(game.means, 1):
        if batch not in (1, 4):
            weight.grad = mean.clone()
            alone.step()
    assert torch.allclose(game.critic.weight, weight, atol=1e-6)
    assert torch.allclose(game.generator.weight, weight, atol=1e-6)


def test_nineteen_in_a_row_are_survived_and_twenty_stop_the_run(tmp_path: Path) -> None:
    game = Toy()
    fit(game, 60, Spoil({*range(5, 24), *range(25, 44)}, "critic"))
    assert {name: int(mover.skipped) for name, mover in game._states.items()} == {"critic": 38, "generator": 0}

    other = tiny("gan")
    made = trainer(60, Saver(tmp_path, 3, {}), Spoil(range(5, 60), "discriminator"), plugins=[AtomicIO()])
    with pytest.raises(
        TrainingStopped, match=r"discriminator's gradients were not finite in 20 moves in a row, at step 23"
    ):
        made.fit(other, data_for(other))
    rest = tiny("gan")
    fit(rest, 25, ckpt=tmp_path / "last.ckpt")
    assert all(bool(torch.isfinite(parameter).all()) for parameter in rest.parameters())


def test_the_count_of_skipped_moves_survives_resuming_and_is_logged(tmp_path: Path) -> None:
    made = fit(Toy(), 4, Spoil({2, 3}, "generator"), plugins=[AtomicIO()], logger=JsonLines(tmp_path / "one"))
    made.save_checkpoint(tmp_path / "a.ckpt")
    assert [line.get("generator_skipped") for line in lines(tmp_path / "one")] == [None, 1, 2, 2]
    assert lines(tmp_path / "one")[1]["generator_loss"] is None  # JSON has no NaN
    rest = Toy()
    fit(rest, 6, Spoil({6}, "generator"), ckpt=tmp_path / "a.ckpt", logger=JsonLines(tmp_path / "two"))
    assert [line.get("generator_skipped") for line in lines(tmp_path / "two")] == [2, 3]


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    class Overflow(Callback):
        """As a step of finite gradients and a huge learning rate does."""

        def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
            if trainer.global_step == 4:
                with torch.no_grad():
                    next(pl_module.parameters())[0] = float("inf")

    game = tiny("gan")
    made = trainer(10, Overflow(), Saver(tmp_path, 3, {}), plugins=[AtomicIO()])
    with pytest.raises(TrainingStopped, match="no longer finite at step 6, so they were not saved"):
        made.fit(game, data_for(game))
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 3
    assert all(bool(torch.isfinite(value).all()) for value in saved["state_dict"].values())


# -------------------------------------------------------------------------------------------------- precision


def half(scale: float) -> MixedPrecision:
    return MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=scale))


class Steep(Toy):
    """Its scaled gradients overflow while the scale is large."""

    def critic_loss(self, batch: Batch) -> Tensor:
        return super().critic_loss(batch) * 100

    def generator_loss(self, batch: Batch) -> Tensor:
        return super().generator_loss(batch) * 100


def test_a_scaler_that_looks_for_its_scale_is_not_counted() -> None:
    game, watch = Steep(optimizer=partial(torch.optim.SGD, lr=0.01)), Watch()
    made = fit(game, 20, watch, plugins=[half(2.0**127)])
    waited = sum(not changed for _, changed in watch.changed)
    assert 2 <= waited < 30, "the scale must have been too large at first"
    assert all(int(mover.skipped) == 0 for mover in game._states.values())
    assert made.global_step == 20
    # Unscaled, the gradients are what they would be without a scaler
    expected = torch.ones(2)
    moves = [bool(changed) for player, changed in watch.changed if player == "critic"]
    for mean, moved in zip(game.means, moves, strict=True):
        expected = expected - mean * moved
    assert torch.allclose(game.critic.weight, expected, atol=1e-4)


def test_clipping_sees_unscaled_gradients() -> None:
    scaled, plain = Toy(), Toy()
    for game in (scaled, plain):
        game.engine.clip = 0.25
    fit(scaled, 5, plugins=[half(2.0**10)])
    fit(plain, 5)
    assert torch.allclose(scaled.critic.weight, plain.critic.weight, atol=1e-5)


def test_a_scaler_that_finds_no_scale_stops_the_run() -> None:
    with pytest.raises(TrainingStopped, match=r"loss scale of 16-bit training fell to 5\.0e-01"):
        fit(Toy(), 20, Spoil(range(2, 30)), plugins=[half(8.0)])


def test_a_first_step_that_a_scaler_skips_leaves_no_momentum(monkeypatch: pytest.MonkeyPatch) -> None:
    game = Steep(optimizer=partial(torch.optim.SGD, lr=0.01, momentum=0.9))
    empty = torch.empty_like
    monkeypatch.setattr(torch, "empty_like", lambda *a, **k: empty(*a, **k).fill_(1e30))  # as memory may be
    fit(game, 20, plugins=[half(2.0**127)])
    assert all(float(value.abs().max()) < 1e3 for value in game.parameters())


def test_the_scale_survives_resuming(tmp_path: Path) -> None:
    runs = []
    for part, steps, ckpt in (("whole", 12, None), ("half", 6, None), ("rest", 12, tmp_path / "half.ckpt")):
        game = Steep(optimizer=partial(torch.optim.Adam, lr=0.1))
        made = fit(game, steps, ckpt=ckpt, plugins=[half(2.0**127), AtomicIO()])
        made.save_checkpoint(tmp_path / f"{part}.ckpt")
        runs.append(tensors(game))
    assert same(runs[0], runs[2]) == []


@every_family
def test_training_in_bfloat16_is_finite_and_keeps_float32_weights(name: str) -> None:
    game, watch = tiny(name), Watch()
    fit(game, 2, watch, precision="bf16-mixed")
    assert all(changed for _, changed in watch.changed), "no move may be skipped"
    for key, value in tensors(game).items():
        assert bool(torch.isfinite(value).all()), key
        assert not value.is_floating_point() or value.dtype == torch.float32, key
    assert all(math.isfinite(value) for value in game.latest.values())


# -------------------------------------------------------------------------------------------------- no waiting


@pytest.mark.parametrize("optimizer", [partial(torch.optim.Adam, lr=0.1), partial(torch.optim.SGD, lr=0.1)])
def test_a_fused_move_reads_nothing_on_the_host(no_sync: Any, optimizer: Any) -> None:
    # As on an accelerator, where a look at a value makes the host wait
    class Elsewhere(Toy):
        _at_hand = False

        def training_step(self, batch: Batch, batch_idx: int) -> None:
            if self.batches_seen == 1:  # an optimizer's first step may wait
                super().training_step(batch, batch_idx)
            else:
                with no_sync:
                    self.move("critic", self.critic_loss, batch)
                    self.move("generator", self.generator_loss, batch)

        def critic_loss(self, batch: Batch) -> Tensor:
            return self.critic(batch.images).sum(1).mean()

        def generator_loss(self, batch: Batch) -> Tensor:
            return self.generator(batch.images).sum(1).mean()

    game = Elsewhere(optimizer=optimizer)
    game.engine = Engine(log_every=1000, average=10.0, clip=1.0)
    fit(game, 6, Spoil({4}, "critic"))
    assert {name: int(mover.skipped) for name, mover in game._states.items()} == {"critic": 1, "generator": 0}


def test_twenty_in_a_row_stop_the_run_where_counts_are_looked_at_rarely() -> None:
    class Elsewhere(Toy):
        _at_hand = False

    game = Elsewhere(optimizer=partial(torch.optim.Adam, lr=0.1))
    game.engine.log_every = 50
    with pytest.raises(TrainingStopped, match="the generator's gradients"):
        fit(game, 200, Spoil(range(5, 26), "generator"))  # in a row once, and finite again when looked at
    assert game.batches_seen == 50
