from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from helpers import close, tiny
from torch import Tensor, nn

from ganzoo.families.catgan import entropy
from ganzoo.types import Batch


class Says(nn.Module):
    """Logits of data, and then of samples, in turn."""

    def __init__(self, *said: Tensor) -> None:
        super().__init__()
        self.said = list(said)

    def forward(self, x: Tensor) -> Tensor:
        return self.said.pop(0)


def game(*said: Tensor, **arguments: Any) -> Any:
    made: Any = tiny("catgan", classes=3, **arguments)
    made.discriminator = Says(*said)
    made.record = lambda **values: None
    return made


def shannon(p: Any) -> float:
    return float(-sum(v * math.log(v) for v in p if v > 0))


def test_entropy() -> None:
    assert entropy(torch.tensor([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]])).tolist() == pytest.approx([1.5 * math.log(2), 0])
    p = torch.tensor([1.0, 0.0], requires_grad=True)
    entropy(p.softmax(0) * 0 + p).backward()
    assert p.grad is not None and p.grad.isfinite().all()


def test_the_losses_written_out() -> None:
    rng = np.random.RandomState(0)
    logits = [rng.randn(4, 3) * 2, rng.randn(4, 3)]
    real, fake = (np.exp(v) / np.exp(v).sum(1, keepdims=True) for v in logits)
    labels = torch.tensor([2, -1, 0, -1])
    terms = [
        -shannon(real.mean(0)),
        sum(map(shannon, real)) / 4,
        -sum(map(shannon, fake)) / 4,
        -0.7 * (math.log(real[0, 2]) + math.log(real[2, 0])) / 2,
    ]
    said = [torch.from_numpy(v) for v in logits]
    batch = Batch(torch.zeros(4, 1, 8, 8), labels=labels)
    assert game(*said, supervision=0.7).discriminator_loss(batch).item() == pytest.approx(sum(terms), rel=1e-5)
    assert game(*said, supervision=0.0).discriminator_loss(batch).item() == pytest.approx(sum(terms[:3]), rel=1e-5)
    wanted = -shannon(fake.mean(0)) + sum(map(shannon, fake)) / 4
    assert game(said[1]).generator_loss(batch).item() == pytest.approx(wanted, rel=1e-5)


def test_the_best_of_all_discriminators() -> None:
    """Sure of data, balanced, and at a loss about samples: 2 log K below 0; no labels known costs nothing."""
    sure, unsure = 100 * torch.eye(3).repeat(2, 1), torch.zeros(6, 3)
    batch = Batch(torch.zeros(6, 1, 8, 8), labels=torch.full((6,), -1))
    assert game(sure, unsure).discriminator_loss(batch).item() == pytest.approx(-2 * math.log(3), rel=1e-5)
    assert game(sure).realness(batch.images, None).tolist() == pytest.approx([0] * 6, abs=1e-5)


def test_noise_is_for_training_alone() -> None:
    made: Any = tiny("catgan")
    x = torch.randn(4, 1, 8, 8)
    assert not torch.equal(made.discriminator(x), made.discriminator(x))
    made.eval()
    assert close(made.discriminator(x), made.discriminator(x), 0.0) and made.classify(x).shape == (4, 10)


def test_labels_count_as_classes_only_where_they_are_learned_from() -> None:
    assert tiny("catgan", classes=7).taught == 7 and tiny("catgan", classes=7, supervision=0.0).taught is None
