from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import close, tiny
from torch import nn

from ganzoo.types import Batch


def on_a_line(weight: float, penalty: float, fakes: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A game of numbers with D(v) = w v."""
    game: Any = tiny("geometric_gan", shape=[1], penalty=penalty)
    game.discriminator = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Flatten(0))
    game.discriminator[0].weight.data.fill_(weight)
    monkeypatch.setattr(game, "generator", nn.Identity())
    monkeypatch.setattr(game, "noise", lambda batch: fakes)
    return game


@pytest.mark.parametrize(("penalty", "a"), [(0.1, 0.5), (2.0, 0.5)])
def test_the_hyperplane_of_two_points(penalty: float, a: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of data at a and samples at -a the SVM has w = min(1/a, 2a/penalty), the hard one's unless it costs."""
    best = min(1 / a, 2 * a / penalty)
    data, fakes = Batch(torch.full((3, 1), a)), torch.full((3, 1), -a)
    found = [
        on_a_line(w, penalty, fakes, monkeypatch).discriminator_loss(data).item()
        for w in (0.9 * best, best, 1.1 * best)
    ]
    assert found[1] < found[0] and found[1] < found[2]
    assert found[1] == pytest.approx(0.5 * penalty * best**2 + 2 * max(0, 1 - best * a), rel=1e-5)


def test_samples_move_along_the_normal_whatever_their_side(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes = torch.tensor([[-3.0], [0.0], [5.0]], requires_grad=True)
    game = on_a_line(1.7, 0.0, fakes, monkeypatch)
    (gradient,) = torch.autograd.grad(game.generator_loss(Batch(fakes)), fakes)
    assert close(gradient, torch.full((3, 1), -1.7 / 3))


@pytest.mark.parametrize("shape", [[1, 8, 8], [2]])
def test_w_is_the_last_layers_weight(shape: list[int]) -> None:
    game: Any = tiny("geometric_gan", shape=shape)
    scores = game.discriminator(torch.randn(5, *shape))
    (gradient,) = torch.autograd.grad(scores.sum(), game.normal)
    assert gradient.shape == game.normal.shape and game.normal.numel() == game.normal[0].numel(), "one score"
    with torch.no_grad():
        before = game.discriminator(torch.ones(1, *shape))
        game.normal.mul_(2)
        bias = game.discriminator.layers[-1].bias if shape == [2] else 0.0
        assert close(game.discriminator(torch.ones(1, *shape)) - bias, 2 * (before - bias))
