"""StarGAN: parity, its losses, attributes and masks, and domains by their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers import close, fit, pictures, tiny
from parity_files import answers, distance, fixture

import ganzoo
from ganzoo.types import BadArgument, BadCheckpoint, Batch
from ganzoo.zoo.converting import convert


def test_parity_of_both_networks(tmp_path: Path) -> None:
    arrays, _ = answers("stargan.c5")
    more = [fixture("stargan.c5.pth.D.pth")]
    convert(fixture("stargan.c5.pth"), "stargan", to=tmp_path / "model", more=more, pictures=False)
    game: Any = ganzoo.load(tmp_path / "model", players=True)
    assert game.shape == (3, 32, 32) and game.arguments["layers"] == 3
    x, c = (torch.from_numpy(arrays[key]) for key in ("x", "c"))
    with torch.no_grad():
        made = game.generator(x, c)
        assert distance(made, arrays["y_train_mode"]) < 1e-4  # the authors' inference
        score, logits = game.discriminator(x)
    assert distance(score, arrays["d_src"]) < 1e-4 and distance(logits, arrays["d_cls"]) < 1e-4
    one = game.translate(x[:1].clamp(-1, 1), wanted=arrays["c"][0].tolist())
    assert distance(one, game.generator(x[:1].clamp(-1, 1), c[:1])) < 1e-4


def test_a_discriminator_of_another_game_is_refused(tmp_path: Path) -> None:
    game: Any = tiny("stargan", channels=3)
    theirs = {f"main.{k.removeprefix('main.')}": v for k, v in game.discriminator.state_dict().items() if "main" in k}
    theirs |= {"conv1.weight": game.discriminator.source.weight, "conv2.weight": torch.zeros(7, 16, 1, 1)}
    torch.save(theirs, tmp_path / "D.ckpt")
    with pytest.raises(BadCheckpoint, match="tells 7 domains; expected 3 and 5"):
        convert(fixture("stargan.c5.pth"), to=tmp_path / "model", more=[tmp_path / "D.ckpt"])


def test_the_losses_are_those_of_the_paper() -> None:
    game: Any = tiny("stargan", channels=3)
    data = Batch(pictures(6, (3, 8, 8)), torch.tensor([0, 1, 2, 3, 4, 0]))
    torch.manual_seed(0)
    found = game.generator_loss(data)
    torch.manual_seed(0)
    wanted = torch.randint(5, (6,))
    c, own = (F.one_hot(each, 5).float() for each in (wanted, game.labels_of(data)))
    fake = game.generator(data.images, c)
    score, logits = game.discriminator(fake)
    cycle = (game.generator(fake, own) - data.images).abs().mean()
    aim = -score.mean() - logits.log_softmax(1)[range(6), wanted].mean() + 10 * cycle
    assert close(found, aim)
    game.penalty = 0.0
    torch.manual_seed(0)
    found = game.discriminator_loss(data)
    real, logits = game.discriminator(data.images)
    assert close(found, score.mean() - real.mean() - logits.log_softmax(1)[range(6), data.labels].mean())


def test_attributes_are_those_of_another_image() -> None:
    game: Any = tiny("stargan", classes=3)
    labels = torch.tensor([[1.0, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, 0]])
    data = Batch(pictures(4, (1, 8, 8)), labels)
    rows = {tuple(row) for row in labels.tolist()}
    drawn = {tuple(row) for _ in range(20) for row in game.target(data).tolist()}
    assert drawn == rows
    logits = torch.randn(4, 3)
    wanted = F.binary_cross_entropy_with_logits(logits, labels, reduction="none").sum(1).mean()
    assert close(game.misclassified(logits, data, labels), wanted)


def test_of_several_data_sets_what_the_mask_knows_is_judged() -> None:
    game: Any = tiny("stargan", classes=7, parts=[3, 2], channels=3)
    labels = torch.tensor([[1.0, 0, 1, 0, 0, 1, 0], [0, 0, 0, 1, 0, 0, 1]])
    data = Batch(pictures(2, (3, 8, 8)), labels)
    assert game.discriminator(data.images)[1].shape == (2, 5)
    logits = torch.randn(2, 5)
    each = F.binary_cross_entropy_with_logits(logits, labels[:, :5], reduction="none")
    assert close(game.misclassified(logits, data, labels), (each[0, :3].sum() + each[1, 3:].sum()) / 2)
    for k, place in ((1, 5), (4, 6)):
        vector = [float(i in (k, place)) for i in range(7)]
        x = pictures(1, (3, 8, 8))
        assert torch.equal(game.translate(x, to=f"class-{k}"), game.translate(x, wanted=vector))
    assert torch.isfinite(game.discriminator_loss(data) + game.generator_loss(data))


def test_domains_have_names() -> None:
    game: Any = tiny("stargan", classes=2, names=["day", "night"])
    x = pictures(2, (1, 8, 8))
    assert game.domains == ("day", "night") and not torch.equal(*(game.translate(x, to=to) for to in game.domains))
    fit(game, 2)
    for given, said in (
        ({"names": ["day"]}, "1 names for 5 domains"),
        ({"parts": [2, 2]}, r"parts are \(2, 2\) and classes 5; 6 are expected"),
        ({"size": 12}, "size is 12; a multiple of 8"),
    ):
        with pytest.raises(BadArgument, match=said):
            tiny("stargan", **given)
    with pytest.raises(BadArgument, match="3 numbers are wanted; StarGAN expects 2"):
        game.translate(x, wanted=[0.0, 1.0, 0.0])
