"""DualGAN: its losses, written out; clipped critics; what it shows, with and without a way back."""

from __future__ import annotations

from typing import Any

import torch
from helpers import Noise, close, fit, pictures, stirred, tiny

from ganzoo.types import Batch


def test_the_losses_are_the_papers() -> None:
    game: Any = stirred(tiny("dualgan", channels=3, source_channels=1, cycle=7.0, source_cycle=3.0)).eval()
    u, v = pictures(4, (1, 8, 8)), pictures(4, (3, 8, 8), 10)
    batch = Batch(u, targets=v)
    made_v, made_u = game.generator(u), game.inverse(v)
    wanted = game.critic(made_v).mean() - game.critic(v).mean()
    wanted = wanted + game.inverse_critic(made_u).mean() - game.inverse_critic(u).mean()
    assert close(game.critics_loss(batch), wanted)
    back = 3 * (game.inverse(made_v) - u).abs().mean() + 7 * (game.generator(made_u) - v).abs().mean()
    wanted = back - game.critic(made_v).mean() - game.inverse_critic(made_u).mean()
    assert close(game.generators_loss(batch), wanted)
    assert tiny("dualgan", cycle=7.0).source_cycle == 7.0


def test_critics_are_clipped_and_move_more_often() -> None:
    game: Any = tiny("dualgan", clip=0.03, n_critic=2)
    fit(game, 2)
    weights = torch.cat([p.flatten() for c in (game.critic, game.inverse_critic) for p in c.parameters()])
    assert float(weights.abs().max()) <= 0.03 and game.batches_seen == 4 and game.global_step == 2


def test_dropout_is_alive_and_follows_the_seed() -> None:
    game: Any = stirred(tiny("dualgan", size=64))  # dropout begins at the fifth halving
    x = pictures(1, (1, 64, 64))
    one, other = (game.translate(x, seed=seed) for seed in (0, 1))
    assert not close(one, other, 1e-4) and torch.equal(one, game.translate(x))
    assert torch.equal(game.translate(x, noise=False), game.translate(x, seed=1, noise=False))


def test_what_translations_show() -> None:
    """Of every family with two domains: there, back where there is a way, and the pairs."""
    split = Noise((3, 8, 8), targets=(1, 8, 8), paired=True).open("test")
    game: Any = tiny("dualgan", source_channels=3)
    shown = game.pictures(split)["translations"]
    assert shown.shape == (8, 4, 3, 8, 8)
    there = game.translate(shown[:, 0])
    assert close(shown[:, 1], there.expand(-1, 3, -1, -1)) and close(shown[:, 2], game.translate(there, to="a"))
    assert torch.equal(shown[:, 3, 0], shown[:, 3, 2])
    plain = Noise((3, 8, 8), targets=(3, 8, 8)).open("test")
    assert tiny("cut", channels=3).pictures(plain)["translations"].shape == (8, 2, 3, 8, 8)
    assert game.pictures(None) == {} and game.pictures(Noise((3, 8, 8)).open("test")) == {}
