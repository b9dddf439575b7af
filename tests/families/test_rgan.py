from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from helpers import tiny

from ganzoo.types import Batch


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_both_forms_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sections 4.1 and 4.2, sample by sample, of networks in evaluation mode."""
    batch, z = Batch(torch.rand(5, 1, 8, 8) * 2 - 1), torch.randn(5, 6)
    for variant in ("standard", "average"):
        game: Any = tiny("rgan", variant=variant).eval()
        with torch.no_grad():
            game.discriminator.head.weight.mul_(200)
        monkeypatch.setattr(game, "noise", lambda batch: z)
        real, fake = game.discriminator(batch.images).tolist(), game.discriminator(game.generator(z)).tolist()
        wanted = []
        for one, other in ((real, fake), (fake, real)):
            if variant == "standard":
                wanted.append(-sum(math.log(sigmoid(x - y)) for x, y in zip(one, other, strict=True)) / 5)
            else:
                first = sum(math.log(sigmoid(x - sum(other) / 5)) for x in one)
                second = sum(math.log(1 - sigmoid(y - sum(one) / 5)) for y in other)
                wanted.append(-(first + second) / 5)
        assert game.discriminator_loss(batch).item() == pytest.approx(wanted[0], rel=1e-4)
        assert game.generator_loss(batch).item() == pytest.approx(wanted[1], rel=1e-4)


def test_an_optimal_generator_leaves_the_comparison_open() -> None:
    """Where both kinds score alike each comparison is a coin's toss: log 2 a term."""
    scores = torch.full((4,), 1.7)
    assert tiny("rgan", variant="standard").against(scores, scores).item() == pytest.approx(math.log(2))
    assert tiny("rgan").against(scores, scores).item() == pytest.approx(2 * math.log(2))
