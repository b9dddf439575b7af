from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import Gradients, fit, tensors, tiny
from lightning.pytorch.callbacks import Callback
from torch import nn

from ganzoo.families.began import Equilibrium
from ganzoo.types import BadArgument, Batch


def test_k_and_m_by_hand() -> None:
    """k + lambda (gamma L(x) - L(G)), held in [0, 1], and M = L(x) + |gamma L(x) - L(G)|, over errors of all kinds."""
    state, k = Equilibrium().double(), 0.0
    for update, (real, fake) in enumerate([(1.0, 0.1), (0.8, 0.2), (0.5, 0.9), (0.4, 9.0), (0.9, 0.0), (9.0, 0.0)]):
        measure = state.advance(torch.tensor(real).double(), torch.tensor(fake).double(), 0.5, 0.3, update)
        k = min(max(k + 0.3 * (0.5 * real - fake), 0.0), 1.0)
        assert state.k.item() == pytest.approx(k)
        assert measure.item() == pytest.approx(real + abs(0.5 * real - fake))
    assert k == 1 and int(state.updates) == 6
    state.advance(torch.tensor(float("nan")), torch.tensor(1.0), 0.5, 0.3, 6)
    assert state.k.item() == 1, "a move that was skipped does not spoil k"


def test_the_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    game: Any = tiny("began")
    z = torch.rand(5, 6) * 2 - 1
    monkeypatch.setattr(game, "noise", lambda batch: z)
    game.equilibrium.k.fill_(0.3)
    batch = Batch(torch.rand(5, 1, 8, 8) * 2 - 1)
    fake = game.generator(z)
    on_data = float((batch.images - game.discriminator(batch.images)).abs().sum()) / (5 * 64)
    on_samples = float((fake - game.discriminator(fake)).abs().sum()) / (5 * 64)
    assert game.discriminator_loss(batch).item() == pytest.approx(on_data - 0.3 * on_samples, rel=1e-5)
    assert game.generator_loss(batch).item() == pytest.approx(on_samples, rel=1e-5)
    assert [[e.item() for e in found] for found in (game.real_errors, game.fake_errors)] == [
        [pytest.approx(on_data)],
        [pytest.approx(on_samples)],
    ]


class Watched(Callback):
    """k after each batch, and what the log was told."""

    def __init__(self) -> None:
        self.k: list[float] = []
        self.errors: list[tuple[float, float]] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self.k.append(pl_module.equilibrium.k.item())
        real, fake = (float(torch.stack(found).mean()) for found in (pl_module.real_errors, pl_module.fake_errors))
        self.errors.append((real, fake))


def test_training_moves_k_by_the_errors_of_its_moves() -> None:
    for accumulate in (1, 2):
        game, watched = tiny("began", gain=0.5, gamma=0.9), Watched()
        game.engine.accumulate = accumulate
        fit(game, 4, watched)
        k = 0.0
        for found, (real, fake) in zip(watched.k, watched.errors, strict=True):
            k = min(max(k + 0.5 * (0.9 * real - fake), 0.0), 1.0)
            assert found == pytest.approx(k, abs=1e-6)
        assert k > 0 and game.latest["k"] == pytest.approx(k)
        assert game.latest["measure"] == pytest.approx(real + abs(0.9 * real - fake), rel=1e-5)


def test_no_k_no_gradient_of_samples_in_the_discriminator() -> None:
    """At k = 0 the discriminator learns from data alone: with the generator's part doubled nothing changes."""
    found = []
    for factor in (1.0, 2.0):
        game, gradients = tiny("began", gain=0.0), Gradients()
        game.generator[-1].weight.data.mul_(factor)
        fit(game, 1, gradients)
        found.append({k: g for k, g in gradients.found.items() if "discriminator" in k})
    assert found[0] and all(torch.equal(g, found[1][key]) for key, g in found[0].items())


def test_the_learning_rate_is_halved_when_m_stalls() -> None:
    game: Any = tiny("began", patience=2, lr=0.0)
    fit(game, 8)
    # Looks at updates 2, 4, 6 and 8; nothing learns, so but for a lucky batch M stays, and the first has no before
    assert 2 <= game.halvings <= 3
    rate = game.players()["generator"].schedule(0)
    assert rate == 0.5**game.halvings
    other: Any = tiny("began")
    other.load_rank_state(game.rank_state())
    assert (other.halvings, other.previous_mean) == (game.halvings, game.previous_mean)
    fresh: Any = tiny("began").players()["generator"]
    assert fresh.schedule(0) == 1


def test_the_curve_is_drawn_and_travels_with_the_model(tmp_path: Any) -> None:
    import ganzoo
    from ganzoo.folder import write_model

    game: Any = tiny("began")
    assert game.pictures(None) == {}
    fit(game, 3)
    (table,) = game.pictures(None).values()
    assert table.shape[:3] == (1, 1, 3) and table.min() >= -1 and table.max() <= 1 and table.std() > 0.05
    write_model(game, tmp_path / "model", {})
    assert (tmp_path / "model" / "convergence.png").exists()
    loaded: Any = ganzoo.load(tmp_path / "model")
    assert torch.equal(loaded.pictures(None)["convergence"], table)
    assert torch.equal(loaded.equilibrium.k, game.equilibrium.k)


def test_the_papers_networks() -> None:
    """Figure 1 at 64 pixels with n = 128: the encoder's maps grow by n, the decoder's stay."""
    with torch.device("meta"):
        game: Any = tiny("began", size=64, channels=3, width=128, latent=64)
    encoder, decoder = game.discriminator
    maps = [(m.out_channels, m.stride[0]) for m in encoder if isinstance(m, nn.Conv2d)]
    assert maps == [(128, 1), (128, 1), (128, 1), (128, 2), (256, 1), (256, 1), (256, 2), (384, 1), (384, 1),
                    (384, 2), (512, 1), (512, 1)]  # fmt: skip
    assert encoder[-1].in_features == 8 * 8 * 512 and encoder[-1].out_features == 64
    assert [m.out_channels for m in decoder if isinstance(m, nn.Conv2d)] == [128] * 8 + [3]
    assert {k: v.shape for k, v in decoder.state_dict().items()} == {
        k: v.shape for k, v in game.generator.state_dict().items()
    }
    assert game.discriminator(torch.empty(2, 3, 64, 64, device="meta")).shape == (2, 3, 64, 64)


@pytest.mark.parametrize("size", [8, 28, 32, 48])
def test_any_size(size: int) -> None:
    game: Any = tiny("began", size=size)
    assert game.discriminator(game.sample(2)).shape == (2, 1, size, size)


def test_a_size_that_cannot_be() -> None:
    with pytest.raises(BadArgument, match="image size is 33"):
        tiny("began", size=33)


def test_the_run_goes_on_where_it_stopped(tmp_path: Any) -> None:
    whole: Any = tiny("began", gain=0.5)
    fit(whole, 4)
    half: Any = tiny("began", gain=0.5)
    fit(half, 2).save_checkpoint(tmp_path / "half.ckpt")
    resumed: Any = tiny("began", gain=0.5)
    fit(resumed, 4, ckpt=tmp_path / "half.ckpt")
    for key, value in tensors(whole).items():
        assert torch.equal(value, tensors(resumed)[key]), key
