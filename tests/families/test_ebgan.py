from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers import tiny

from ganzoo.families.ebgan import pulling_away
from ganzoo.types import BadArgument, Batch


def test_pulling_away_pair_by_pair() -> None:
    codes = np.random.RandomState(0).randn(5, 7)
    total = 0.0
    for i in range(5):
        for j in range(5):
            if i != j:
                cosine = codes[i] @ codes[j] / np.linalg.norm(codes[i]) / np.linalg.norm(codes[j])
                total += cosine**2
    assert pulling_away(torch.from_numpy(codes)).item() == pytest.approx(total / 20, rel=1e-5)
    assert pulling_away(torch.eye(4)).item() == 0, "orthogonal codes"
    assert pulling_away(torch.ones(4, 3)).item() == pytest.approx(1), "one code for all"
    assert pulling_away(torch.ones(1, 3)).item() == pytest.approx(0, abs=1e-6)


def test_pulling_away_is_as_exact_in_bf16() -> None:
    codes = torch.randn(64, 4096, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        found = pulling_away(codes)
    assert found.item() == pytest.approx(pulling_away(codes.double()).item(), rel=1e-3)


def test_the_losses_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum of squared errors, and the margin, image by image."""
    game: Any = tiny("ebgan", pulling=0.7).eval()
    batch, z = Batch(torch.rand(4, 1, 8, 8) * 2 - 1), torch.randn(4, 6)
    monkeypatch.setattr(game, "noise", lambda batch: z)
    monkeypatch.setattr(game, "record", lambda **values: None)
    with torch.no_grad():
        game.generator.main[-2].weight.mul_(torch.linspace(1, 40, 16).view_as(game.generator.main[-2].weight[0]))
        fake = game.generator(z)
        errors = [(v - game.discriminator.decoder(game.discriminator.encoder(v))) ** 2 for v in (batch.images, fake)]
        real, made = (error.numpy().sum((1, 2, 3)) for error in errors)
        codes = game.discriminator.encoder(fake).flatten(1)
    game.margin = margin = float(np.sort(made)[1:3].mean())  # two samples on either side
    wanted = real.mean() + np.maximum(0, margin - made).mean()
    assert game.discriminator_loss(batch).item() == pytest.approx(wanted, rel=1e-5)
    assert game.generator_loss(batch).item() == pytest.approx(made.mean() + 0.7 * pulling_away(codes).item(), rel=1e-5)
    assert game.realness(batch.images, None).tolist() == pytest.approx((-real).tolist(), rel=1e-5)


def test_beyond_the_margin_samples_teach_d_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    gradients = []
    for margin in (0.0, 1e6):
        game: Any = tiny("ebgan", margin=margin).eval()
        monkeypatch.setattr(game, "record", lambda **values: None)
        batch = Batch(torch.zeros(4, 1, 8, 8))  # reconstructed as they are: no gradient from data
        torch.manual_seed(0)
        game.discriminator_loss(batch).backward()
        weight = game.discriminator.encoder[0].weight.grad
        gradients.append(0.0 if weight is None else weight.norm().item())
    assert gradients[0] == 0 < gradients[1]


def test_sides_that_cannot_be_halved() -> None:
    with pytest.raises(BadArgument, match="size is 12 and downsamplings 3; a multiple of 8 is expected"):
        tiny("ebgan", size=12, downsamplings=3)
