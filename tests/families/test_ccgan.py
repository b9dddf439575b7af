"""CC-GAN: its losses, written out; holes and what is left alone; hints, classes, and the measure beside a mean fill."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import Noise, close, fit, pictures, stirred, tiny

from ganzoo.metrics.evaluate import measure
from ganzoo.training.scores import subject_of
from ganzoo.types import BadArgument, Batch


def test_the_losses_are_the_papers() -> None:
    game: Any = stirred(tiny("ccgan", channels=3, classification=0.5, adversarial=0.8, l2=2.0)).eval()
    x, y = pictures(4, (3, 8, 8)), torch.tensor([0, -1, 2, -1])
    torch.manual_seed(0)
    mask = game.holes(Batch(x))
    assert mask.shape == (4, 1, 8, 8) and mask.sum((1, 2, 3)).tolist() == [16.0] * 4
    fake = (1 - mask) * x + mask * game.generator((1 - mask) * x)
    real, classes = game.discriminator(x)
    score = game.discriminator(fake)[0]
    wanted = -real.sigmoid().log().mean() - (1 - score.sigmoid()).log().mean()
    told = -(classes.log_softmax(1)[0, 0] + classes.log_softmax(1)[2, 2]) / 2
    for labels, aim in ((y, wanted + 0.5 * told), (None, wanted), (torch.full((4,), -1), wanted)):
        torch.manual_seed(0)
        assert close(game.discriminator_loss(Batch(x, labels)), aim)
    distance = torch.stack([(fake - x)[i][:, mask[i, 0] > 0].square().mean() for i in range(4)]).mean()
    torch.manual_seed(0)
    assert close(game.generator_loss(Batch(x)), -0.8 * score.sigmoid().log().mean() + 2 * distance)


def test_holes_lie_anywhere_in_training() -> None:
    game: Any = tiny("ccgan", hole=3)
    masks = game.holes(Batch(pictures(300, (1, 8, 8))))
    assert bool((masks.sum((1, 2, 3)) == 9).all()) and bool((masks.mean(0) > 0).all())


def test_what_lies_around_a_hole_stays_and_what_lay_in_it_does_not_count() -> None:
    game: Any = stirred(tiny("ccgan"))
    x = pictures(2, (1, 8, 8))
    made = game.translate(x)
    inside = torch.zeros(8, 8, dtype=torch.bool)
    inside[2:6, 2:6] = True
    assert torch.equal(made[..., ~inside], x[..., ~inside]) and not torch.equal(made[..., inside], x[..., inside])
    other = torch.where(inside, -x, x)
    assert torch.equal(game.translate(other), made)
    moved = game.translate(x, hole=(0, 1, 2, 5))
    assert torch.equal(moved[:, :, 2:], x[:, :, 2:]) and not torch.equal(moved[:, :, :2, 1:6], x[:, :, :2, 1:6])
    hinted: Any = stirred(tiny("ccgan", hint=2))
    assert not close(hinted.translate(other)[..., inside], hinted.translate(x)[..., inside], 1e-3), "its small copy"
    wrong: tuple[Any, ...] = ((0, 0, 9, 1), (-1, 0, 2, 2), (0, 0, 0, 1), (1, 2, 3), 5, "abcd", (0.5, 0, 4, 4), ())
    for hole in wrong:
        with pytest.raises(BadArgument, match="hole is "):
            game.translate(x, hole=hole)
    for given, said in (
        ({"hole": 8}, "hole is 8; fewer than the 8"),
        ({"size": 12}, "size is 12"),
        ({"hint": 3}, "and of 3"),
    ):
        with pytest.raises(BadArgument, match=said):
            tiny("ccgan", **given)


def test_it_classifies_with_labels_hidden_or_none() -> None:
    game: Any = tiny("ccgan")
    fit(game, 2)
    assert game.classify(pictures(3, (1, 8, 8))).shape == (3, 3)
    game.check_data(Noise((1, 8, 8), classes=3).open("train"))
    game.check_data(Noise((1, 8, 8)).open("train"))


def test_the_hole_is_measured_beside_a_mean_fill() -> None:
    game: Any = tiny("ccgan")
    data = Noise((1, 8, 8))
    (found,) = measure(subject_of(game), data, ["fill64_pixels_test"])
    x = torch.from_numpy(data.open("test").values).float() / 127.5 - 1
    around = torch.ones(8, 8, dtype=torch.bool)
    around[2:6, 2:6] = False
    mean = x[:, :, around].mean(2)[:, :, None, None]
    wanted = (x[:, :, 2:6, 2:6] - mean).abs().mean()
    assert abs(found.references["mean of what is around"] - float(wanted)) < 0.01
    made = (game.translate(x) - x)[:, :, 2:6, 2:6].abs().mean()
    assert abs(found.value - float(made)) < 0.01
    assert game.pictures(data.open("test"))["holes"].shape == (8, 3, 1, 8, 8)
