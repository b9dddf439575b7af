"""IcGAN: its losses, written out; two phases; edits, groups, other sides; what a classifier sees of edits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import Noise, close, fit, pictures, stirred, tiny

from ganzoo.data.batch import Images
from ganzoo.metrics.evaluate import measure
from ganzoo.training.scores import subject_of
from ganzoo.types import BadArgument, Batch, Condition


def test_the_losses_are_the_papers() -> None:
    game: Any = stirred(tiny("icgan", channels=3)).eval()
    x, labels = pictures(4, (3, 8, 8)), torch.tensor([[1, 0, 1], [0, 1, 0], [1, 0, 0], [0, 1, 1]])
    y = torch.where(labels == 1, 1.0, -1.0)
    batch = Batch(x, labels)
    torch.manual_seed(0)
    z = game.noise(batch)
    fake = game.generator(torch.cat([z, y], 1))
    real, other, made = (game.discriminator(*each).sigmoid() for each in ((x, y), (x, y[[3, 0, 1, 2]]), (fake, y)))
    torch.manual_seed(0)
    wanted = -real.log().mean() - ((1 - other).log().mean() + (1 - made).log().mean()) / 2
    assert close(game.discriminator_loss(batch), wanted)
    torch.manual_seed(0)
    assert close(game.generator_loss(batch), -made.log().mean())
    torch.manual_seed(0)
    assert close(game.encoder_loss(batch), (game.encoder(fake) - z).square().mean())
    assert close(game.label_encoder_loss(batch), (game.label_encoder(x) - y).square().mean())
    assert torch.equal(game.own(Batch(x, torch.tensor([2, 0, 1, 1]))), 2 * F.one_hot(torch.tensor([2, 0, 1, 1])) - 1.0)


def test_the_discriminator_hears_of_attributes_behind_its_first_layer() -> None:
    game: Any = tiny("icgan")
    assert game.discriminator.first[0].in_channels == 1 and game.discriminator.main[0].in_channels == 4 + 3


def test_the_encoders_learn_once_the_gan_is_done() -> None:
    game: Any = tiny("icgan")
    states: list[dict[str, torch.Tensor]] = []
    for steps in (1, 3):
        fit(game, steps)
        states.append({key: value.clone() for key, value in game.player_tensors().items()})
    moved = {key.split(".")[0] for key, value in states[1].items() if not torch.equal(value, states[0][key])}
    assert moved == {"encoder", "label_encoder"} and game.leads == "encoder"


def test_an_edit_changes_one_group_of_attributes_alone() -> None:
    game: Any = stirred(tiny("icgan", names=["short", "long", "beard"])).eval()
    x = pictures(6, (1, 8, 8))
    z, y = game.encoder(x), game.attributes(x)
    assert set(y.unique().tolist()) <= {-1.0, 1.0} and (y[:, :2].sum(1) == 0).all(), "one of two holds"
    for to, first, wanted in (("long", 0, [-1.0, 1.0]), ("short", 0, [1.0, -1.0]), ("beard", 2, [1.0])):
        changed = y.clone()
        changed[:, first : first + len(wanted)] = torch.tensor(wanted)
        expected = game.generator(torch.cat([z, changed], 1)).clamp(-1, 1)
        assert close(game.translate(x, to=to), expected)
    shaved = torch.cat([y[:, :2], -torch.ones(6, 1)], 1)
    assert close(game.translate(x, to="beard", off=True), game.generator(torch.cat([z, shaved], 1)))
    assert close(game.reconstruct(x), game.generator(torch.cat([z, y], 1)))


def test_large_pictures_are_seen_small() -> None:
    game: Any = stirred(tiny("icgan"))
    x = pictures(2, (1, 8, 8))
    large = F.interpolate(x, (16, 24))
    made = game.translate(large)
    again = F.interpolate(
        game.translate(F.interpolate(large, (8, 8), mode="bilinear", antialias=True)), (16, 24), mode="bilinear"
    )
    assert made.shape == large.shape and close(made, again)


def test_samples_have_one_attribute_of_each_group() -> None:
    game: Any = tiny("icgan")
    _, labels = game.draw(range(100))
    assert (labels[:, :2].sum(1) == 1).all() and 20 < labels[:, 2].sum() < 80
    given = game.sample(1, condition=Condition(torch.tensor([[1.0, 0.0, 1.0]])))
    assert torch.equal(given, game.sample(1, labels=torch.tensor([[1.0, 0.0, 1.0]])))


def test_wrong_attributes() -> None:
    with pytest.raises(BadArgument, match=r"groups are .*, of 5 attributes; 3 are expected"):
        tiny("icgan", groups=[2, 3])
    with pytest.raises(BadArgument, match="there are 2 names for 3 attributes"):
        tiny("icgan", names=["a", "b"])


class _Faces(Noise):
    def read(self, split: str) -> Images:
        made = super().read(split)
        assert made.labels is not None
        return Images("faces", made.values, F.one_hot(torch.from_numpy(made.labels), 3).numpy(), made.classes, split)


def test_a_classifier_judges_the_attributes_that_it_knows_and_what_stays() -> None:
    """By hand, from the same translations: right where it knows the domain, unchanged where it does not."""
    from ganzoo.media.levels import to_float, to_uint8
    from ganzoo.metrics.features.network import feature_network

    game: Any = stirred(tiny("icgan", channels=3, names=["beard", "no-beard", "old"]))
    data = _Faces((3, 8, 8), n=12, classes=3)
    keys = ["acc12_avatars_beard_test_uniform", "kept12_avatars_beard_test", "moved12_pixels_test", "rec12_pixels_test"]
    scores = {score.key: score for score in measure(subject_of(game), data, keys, floors=False)}
    real = data.open("test")
    order = torch.from_numpy(np.random.RandomState(0).permutation(12))
    x = to_float(torch.from_numpy(real.values))[order]
    to = [game.domains[i % 3] for i in range(12)]
    made = game.translate(x, to=to)
    tell = feature_network("avatars_beard")
    now, before = (tell.probabilities(to_float(to_uint8(each))).argmax(1) for each in (made, x))
    wanted = torch.tensor([1, 0, -1] * 4)  # no-beard is the classifier's first class
    assert scores[keys[0]].value == pytest.approx(float((now == wanted)[wanted >= 0].double().mean()))
    assert scores[keys[1]].value == pytest.approx(float((now == before)[wanted < 0].double().mean()))
    assert scores[keys[2]].value == pytest.approx(float((made - x).flatten(1).norm(dim=1).mean()), rel=1e-2)
    assert scores[keys[3]].value == pytest.approx(float((game.reconstruct(x) - x).abs().mean()), rel=1e-2)
    with pytest.raises(BadArgument, match="tells smiling, serious, and the domains are beard"):
        measure(subject_of(game), data, ["acc12_avatars_mouth_test_uniform"])
