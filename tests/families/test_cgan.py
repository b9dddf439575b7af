from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers import fit, tiny
from torch import nn

from ganzoo.game import registry
from ganzoo.types import BadData, Batch


def test_the_papers_networks() -> None:
    """Section 4.1: 200 and 1000 rectifiers, 1200 in common; maxout of 240 x 5 and 50 x 5, then 240 x 4."""
    with torch.device("meta"):
        game: Any = registry.family("cgan").cls()
    sizes = {name: tuple(p.shape) for name, p in game.named_parameters() if name.endswith("weight")}
    assert sizes == {
        "generator.noise.weight": (200, 100),
        "generator.label.weight": (1000, 10),
        "generator.joint.weight": (1200, 1200),
        "generator.pixels.weight": (784, 1200),
        "discriminator.image.linear.weight": (240 * 5, 784),
        "discriminator.label.linear.weight": (50 * 5, 10),
        "discriminator.joint.linear.weight": (240 * 4, 290),
        "discriminator.score.weight": (1, 240),
    }
    assert [m.p for m in game.modules() if isinstance(m, nn.Dropout)] == [0.5, 0.5]


def test_the_discriminator_against_loops() -> None:
    """One logit, unit by unit and piece by piece, in plain Python."""
    game: Any = tiny("cgan").eval()
    net, x, label = game.discriminator, torch.rand(1, 1, 8, 8) * 2 - 1, 3

    def maxout(layer: Any, inputs: list[float]) -> list[float]:
        weight, bias, pieces = layer.linear.weight.tolist(), layer.linear.bias.tolist(), layer.pieces
        maps = [sum(w * v for w, v in zip(row, inputs, strict=True)) + b for row, b in zip(weight, bias, strict=True)]
        return [max(maps[i : i + pieces]) for i in range(0, len(maps), pieces)]

    image = maxout(net.image, [(v + 1) / 2 for v in x.flatten().tolist()])
    both = image + maxout(net.label, [float(i == label) for i in range(10)])
    assert (len(image), len(both)) == (6, 9)
    score = sum(w * v for w, v in zip(net.score.weight[0].tolist(), maxout(net.joint, both), strict=True))
    expected = score + net.score.bias.item()
    assert net(x, torch.tensor([label])).item() == pytest.approx(expected, abs=1e-5)


def test_the_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eq. 2, with the labels of the batch on both sides."""
    game: Any = tiny("cgan").eval()
    z = torch.rand(5, 6)
    monkeypatch.setattr(game, "noise", lambda batch: z)
    batch = Batch(torch.rand(5, 1, 8, 8) * 2 - 1, torch.tensor([0, 3, 3, 9, 5]))
    real = game.discriminator(batch.images, batch.labels)
    fake = game.discriminator(game.generator(z, batch.labels), batch.labels)
    assert torch.allclose(game.discriminator_loss(batch), F.softplus(-real).mean() + F.softplus(fake).mean())
    assert torch.allclose(game.generator_loss(batch), F.softplus(-fake).mean())
    with pytest.raises(BadData, match="learns from labels"):
        game.discriminator_loss(Batch(batch.images))


def test_the_schedules() -> None:
    """0.1 falls by 1.00004 an update of 100 images, to 1e-6; momentum rises in a line."""
    game: Any = tiny("cgan")
    rate = game.players()["generator"].schedule
    assert rate(0) == 1 and rate(100) == pytest.approx(1 / 1.00004)
    assert rate(100 * 50_000) == pytest.approx(math.exp(-2), rel=1e-3)
    assert 0.1 * rate(10**9) == pytest.approx(1e-6)
    game = tiny("cgan", rise=16)
    fit(game, 2)  # two batches of four: half of the way
    for optimizer in game.trainer.optimizers:
        (group,) = optimizer.param_groups
        assert group["momentum"] == pytest.approx(0.6) and group["lr"] == pytest.approx(0.1, rel=1e-3)
    fit(game, 5)
    assert game.trainer.optimizers[0].param_groups[0]["momentum"] == pytest.approx(0.7), "and stays there"
    adam = tiny("cgan", betas=[0.5, 0.999]).players()["generator"].optimizer([nn.Parameter(torch.zeros(1))])
    assert isinstance(adam, torch.optim.Adam)


def test_pixels_fill_the_range_and_z_has_variance_1() -> None:
    game: Any = tiny("cgan", latent=50)
    game.generator.pixels.bias.data[:2] = torch.tensor([-40.0, 40.0])
    assert game.sample(1).flatten()[:2].tolist() == [-1, 1]
    for z in (game.draw(range(100))[0], game.noise(Batch(torch.zeros(64, 1, 8, 8)))):
        assert -math.sqrt(3) <= z.min() < -1.6 and 1.6 < z.max() <= math.sqrt(3)
        assert abs(float(z.var()) - 1) < 0.05 and abs(float(z.mean())) < 0.05


def test_weights_on_labels_begin_larger_than_the_others() -> None:
    game: Any = registry.family("cgan").cls()
    for name, weight in game.named_parameters():
        bound = 0.0 if name.endswith("bias") else 0.3 if ".label." in name else 0.05
        assert weight.abs().max() <= bound and (not bound or weight.abs().max() > 0.9 * bound), name
