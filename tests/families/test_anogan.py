"""AnoGAN and f-AnoGAN: what their scores are, and that strange pictures have higher ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers import benchmark, close, fit, tiny

from ganzoo.data.batch import Images
from ganzoo.types import BadArgument, Batch

both = pytest.mark.parametrize("name", ["anogan", "f_anogan"])


def lively(name: str, **arguments: Any) -> Any:
    game: Any = tiny(name, **arguments).eval()
    with torch.no_grad():
        for parameter in game.parameters():
            if parameter.dim() > 1:
                parameter.mul_(10 if name == "anogan" else 2)
    return game


def test_the_score_of_anogan_is_its_two_residuals_summed() -> None:
    """Equations 3 to 7, picture by picture."""
    game = lively("anogan", feature_weight=0.3)
    x, z = torch.rand(3, 1, 8, 8) * 2 - 1, torch.rand(3, 6) * 2 - 1
    with torch.no_grad():
        found, drawn = game.residual(x, z), game.generator(z)
        for i in range(3):
            f = [game.discriminator.features(each[i : i + 1]) for each in (x, drawn)]
            near, alike = (x[i] - drawn[i]).abs().sum(), (f[0] - f[1]).abs().sum()
            assert found[i].item() == pytest.approx((0.7 * near + 0.3 * alike).item(), rel=1e-4)
            assert alike > 1e-3


def test_anogan_searches_from_one_z_and_comes_nearer() -> None:
    game = lively("anogan", search_steps=60, search_rate=0.05, feature_weight=0.0)
    torch.manual_seed(0)
    with torch.no_grad():
        x = game.generator(torch.rand(4, 6) * 2 - 1)
        first = torch.from_numpy(np.random.RandomState(0).uniform(-1, 1, 6)).float().expand(4, -1)
        before = game.residual(x, first)
    assert (game.detect(x) < 0.8 * before).all()
    game.search_steps, game.search_rate = 1, 0.0
    assert close(game.detect(x), before, 1e-5)


def test_the_score_of_f_anogan_is_the_mean_residual_of_its_way_back() -> None:
    game = lively("f_anogan", kappa=0.5)
    x = torch.rand(3, 1, 8, 8) * 2 - 1
    with torch.no_grad():
        back = game.generator(game.encoder(x))
        f = [game.discriminator.features(each) for each in (x, back)]
        wanted = ((x - back) ** 2).mean((1, 2, 3)) + 0.5 * ((f[0] - f[1]) ** 2).mean(1)
    assert close(game.detect(x), wanted, 1e-5)
    assert game.encoder_loss(Batch(x)).item() == pytest.approx(wanted.mean().item(), rel=1e-5)


@both
def test_a_score_is_the_pictures_own(name: str) -> None:
    game = lively(name)
    x = torch.rand(5, 1, 8, 8) * 2 - 1
    scores = game.detect(x)
    assert scores.shape == (5,) and scores.std() > 0 and "detects" in game.abilities
    assert close(game.detect(x, batch_size=2), scores, 1e-4) and close(game.detect(x[3:4]), scores[3:4], 1e-4)
    with pytest.raises(BadArgument, match="images have shape"):
        game.detect(x[0])
    with pytest.raises(BadArgument, match="DCGAN scores no anomalies"):
        tiny("dcgan").detect(x)


def test_the_encoder_begins_when_the_gan_is_done_and_leaves_it_as_it_is() -> None:
    game: Any = tiny("f_anogan", gan_images=16)  # four batches of 4, of which every second moves the generator
    moves: list[tuple[str, bool]] = []
    move = game.move

    def noted(player: str, *rest: Any) -> None:
        moves.append((player, game.generator.training))
        move(player, *rest)

    game.move = noted
    fit(game, 2)
    kept = {k: v.clone() for k, v in {**game.generator.state_dict(), **game.discriminator.state_dict()}.items()}
    assert [player for player, _ in moves].count("generator") == 2 and ("encoder", False) not in moves
    fit(game, 5)
    assert moves[-3:] == [("encoder", False)] * 3
    after = {**game.generator.state_dict(), **game.discriminator.state_dict()}
    assert all(torch.equal(value, after[key]) for key, value in kept.items())


def test_pictures_stand_above_what_was_found_for_them() -> None:
    game = lively("anogan")
    assert game.pictures(None) == {}
    values = np.random.RandomState(0).randint(0, 256, (24, 1, 8, 8)).astype(np.uint8)
    table = game.pictures(Images("noise", values))["found"]
    shown = torch.from_numpy(values[::2]).float() / 127.5 - 1
    assert table.shape == (2, 12, 1, 8, 8) and torch.allclose(table[0], shown, atol=1e-6)
    assert torch.allclose(table[1], game.sample(z=game.each(game.found, shown, 12)), atol=1e-5)


def test_the_benchmarks_area_under_the_curve_is_the_share_of_pairs_in_order() -> None:
    rng = np.random.RandomState(0)
    strange = rng.randint(0, 2, 200).astype(bool)
    scores = np.round(rng.randn(200) + strange, 1)  # with ties
    pairs = [float(a > b) + 0.5 * float(a == b) for a in scores[strange] for b in scores[~strange]]
    assert benchmark("anomalies").auroc(scores, strange) == pytest.approx(sum(pairs) / len(pairs))


def test_the_benchmark_keeps_a_class_from_training_alone() -> None:
    data = benchmark("anomalies").Without(held_out=3)
    train, test = data.open("train"), data.open("test")
    assert train.labels is not None and test.labels is not None
    assert not (train.labels == 3).any() and len(train) == 54_000 and (test.labels == 3).sum() == 1000
