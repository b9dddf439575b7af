from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers import close, fit, tiny

from ganzoo.families.lapgan import down, pyramid, up
from ganzoo.types import BadArgument, Batch


def test_the_pyramid_makes_the_image_again() -> None:
    image = torch.randn(2, 3, 16, 16)
    levels = pyramid(image, 3)
    assert [level.shape[2] for level in levels] == [4, 8, 16]
    again = levels[0]
    for level in levels[1:]:
        again = up(again) + (level - up(again))
    assert close(again, image)
    assert close(down(image)[0, 0, 0, 0], image[0, 0, :2, :2].mean())
    assert close(up(torch.tensor([[[[0.0, 4.0]]]]))[0, 0, 0], torch.tensor([0.0, 1.0, 3.0, 4.0])), "halfway pixels"


def test_a_sample_goes_up_level_by_level() -> None:
    game: Any = tiny("lapgan").eval()
    assert game.latent == 6 + 4**2 + 8**2
    z = torch.rand(3, game.latent) * 2 - 1
    made = game.generator.levels(z)
    assert [level.shape[2] for level in made] == [2, 4, 8] and torch.equal(made[-1], game.generator(z))
    detail = game.generator.details[1](z[:, 6 + 16 :], up(made[1]))
    assert close(made[2], up(made[1]) + detail)
    shown = game.pictures(None)["levels"]
    assert shown.shape == (3, 10, 1, 8, 8)
    assert torch.equal(shown[0, 0, 0, :4, :4], shown[0, 0, 0, :1, :1].expand(4, 4)), "2 x 2 pixels, enlarged"
    assert close(shown[2], game.sample(10), 1e-4)


def test_levels_learn_apart_from_real_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss is the sum of the levels' own; each reaches its level alone."""
    game: Any = tiny("lapgan", dropout=0.0).eval()
    batch, z = Batch(torch.randn(4, 1, 8, 8)), torch.rand(4, game.latent)
    monkeypatch.setattr(game, "noise", lambda batch: z)
    first, second, third = z.split(game.generator.lengths, 1)
    two, four, eight = pyramid(batch.images, 3)
    g, d = game.generator, game.discriminator
    real = [d[0](two), d[1](four), d[2](eight)]
    made = [g.first(first), up(two) + g.details[0](second, up(two)), up(four) + g.details[1](third, up(four))]
    fake = [critic(image) for critic, image in zip(d, made, strict=True)]
    wanted = sum(F.softplus(-x).mean() + F.softplus(y).mean() for x, y in zip(real, fake, strict=True)) + torch.zeros(
        ()
    )
    assert game.discriminator_loss(batch).item() == pytest.approx(wanted.item(), rel=1e-5)
    wanted = sum(F.softplus(-y).mean() for y in fake) + torch.zeros(())
    assert game.generator_loss(batch).item() == pytest.approx(wanted.item(), rel=1e-5)
    assert close(game.realness(batch.images, None), real[0] + real[1] + real[2])
    F.softplus(-game.judged(game.imitated(batch))[1]).mean().backward()
    felt = {name.split(".layers")[0] for name, p in g.named_parameters() if p.grad is not None and p.grad.any()}
    assert felt == {"details.0"}


def test_momentum_rises_and_rates_fall() -> None:
    game: Any = tiny("lapgan")
    fit(game, 1)
    game.images_seen = 200 * 50_000
    players = game.players()
    assert players["generator"].schedule(50_000) == pytest.approx(1 / 1.0004)
    fit(game, 1)
    assert game.optimizer("generator").param_groups[0]["momentum"] == pytest.approx(0.66, abs=1e-3)
    assert "momentum" not in _groups(tiny("lapgan", betas=[0.5, 0.9]))


def _groups(game: Any) -> dict[str, Any]:
    fit(game, 1)
    group: dict[str, Any] = game.optimizer("generator").param_groups[0]
    return group


def test_sides_that_cannot_be_halved() -> None:
    with pytest.raises(BadArgument, match="size is 12 with 4 levels; a multiple of 8 is expected"):
        tiny("lapgan", size=12, levels=4)
