from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from helpers import fit, tiny

from ganzoo.families.infomax_gan import infonce
from ganzoo.nn.spectral import Normalized
from ganzoo.types import BadArgument, Batch


def by_hand(positions: torch.Tensor, wholes: torch.Tensor) -> float:
    """The authors' sum, term by term: a picture's other positions count with a score of -10."""
    n, _, count = positions.shape
    total = 0.0
    for i in range(n):
        others = [(positions[m, :, p] @ wholes[i]).item() if m != i else -10.0 for m in range(n) for p in range(count)]
        for p in range(count):
            own = (positions[i, :, p] @ wholes[i]).item()
            total -= own - math.log(sum(math.exp(score) for score in [own, *others]))
    return total / (n * count)


def test_infonce_is_the_sum_of_equation_7_term_by_term() -> None:
    torch.manual_seed(0)
    positions, wholes = torch.randn(5, 3, 4), torch.randn(5, 3)
    assert infonce(positions, wholes).item() == pytest.approx(by_hand(positions, wholes), rel=1e-5)


def test_a_picture_alone_costs_nothing() -> None:
    assert infonce(torch.randn(1, 4, 9), torch.randn(1, 4)).item() == 0


def test_infonce_is_low_where_a_picture_is_found_and_the_logarithm_of_their_number_where_none_is() -> None:
    axes = torch.eye(6)[:, :, None].expand(-1, -1, 4)
    assert infonce(20 * axes, torch.eye(6)).item() < 1e-6
    assert infonce(0 * axes, torch.eye(6)).item() == pytest.approx(math.log(1 + 5 * 4 + 4 * math.exp(-10)), rel=1e-5)


def test_the_losses_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    game: Any = tiny("infomax_gan", generator_weight=0.3, discriminator_weight=0.7, space=9).eval()
    batch, z = Batch(torch.rand(5, 1, 8, 8) * 2 - 1), torch.randn(5, 6)
    monkeypatch.setattr(game, "noise", lambda batch: z)
    fake = game.generator(z)
    (real_scores, *real_features), (fake_scores, *fake_features) = (
        game.discriminator(batch.images),
        game.discriminator(fake),
    )

    def contrast(local: torch.Tensor, whole: torch.Tensor) -> float:
        net = game.discriminator
        return by_hand(net.local_projection(local).flatten(2), net.global_projection(whole))

    hinge = torch.clamp(1 - real_scores, min=0).mean() + torch.clamp(1 + fake_scores, min=0).mean()
    assert game.discriminator_loss(batch).item() == pytest.approx(
        hinge.item() + 0.7 * contrast(*real_features), rel=1e-4
    )
    wanted = -fake_scores.mean().item() + 0.3 * contrast(*fake_features)
    assert game.generator_loss(batch).item() == pytest.approx(wanted, rel=1e-4)


def test_local_features_stand_before_the_last_block_and_behind_its_first_rectifier() -> None:
    game: Any = tiny("infomax_gan", discriminator_widths=[4, 5, 7], size=16, widths=[4, 4, 4], downsamplings=2).eval()
    net, x = game.discriminator, torch.rand(3, 1, 16, 16)
    with torch.no_grad():
        score, local, whole = net(x)
        h = net.blocks[0](net.first(x))
        assert torch.equal(local, h.relu()) and local.shape == (3, 5, 4, 4) and whole.shape == (3, 7)
        assert torch.allclose(whole, net.features(x), atol=1e-6) and torch.allclose(score, net.score(whole)[:, 0])


def test_both_projections_are_normalized_and_learn() -> None:
    game: Any = tiny("infomax_gan")
    layers = [m for m in game.discriminator.modules() if isinstance(m, (torch.nn.Linear, torch.nn.Conv2d))]
    assert all(isinstance(layer, Normalized) for layer in layers)
    before = {k: v.detach().clone() for k, v in game.discriminator.named_parameters() if "_projection" in k}
    fit(game, 1)
    assert len(before) == 12
    for name in ("local_projection.hidden.weight", "global_projection.shortcut.weight"):
        assert not torch.equal(before[name], game.discriminator.get_parameter(name))


def test_one_block_alone_has_no_local_features() -> None:
    with pytest.raises(BadArgument, match="discriminator_widths has 1 entries; at least 2 are expected"):
        tiny("infomax_gan", discriminator_widths=[4])
