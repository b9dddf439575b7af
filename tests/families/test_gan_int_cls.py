"""GAN-INT-CLS: its losses, written out; sentences between two; the paper's networks."""

from __future__ import annotations

from typing import Any

import torch
from helpers import close, fit, pictures, stirred, tiny

from ganzoo.families.gan_int_cls import GANINTCLS
from ganzoo.types import Batch, Condition


def test_the_losses_are_the_papers() -> None:
    game: Any = stirred(tiny("gan_int_cls", channels=3, interpolation=0.7)).eval()
    x, t = pictures(4, (3, 8, 8)), torch.randn(4, 7)
    data = Batch(x, condition=Condition(text=t))
    torch.manual_seed(0)
    found = game.discriminator_loss(data)
    torch.manual_seed(0)
    fake = game.generator(torch.randn(4, 6), t)

    def judge(images: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        return game.discriminator(images, text).sigmoid()

    wrong = (1 - judge(x, torch.cat([t[-1:], t[:-1]]))).log().mean() + (1 - judge(fake, t)).log().mean()
    assert close(found, -judge(x, t).log().mean() - wrong / 2)
    torch.manual_seed(0)
    found = game.generator_loss(data)
    torch.manual_seed(0)
    fake = game.generator(torch.randn(4, 6), t)
    between = 0.5 * t + 0.5 * torch.cat([t[-1:], t[:-1]])
    second = game.generator(torch.randn(4, 6), between)
    assert close(found, -judge(fake, t).log().mean() - 0.7 * judge(second, between).log().mean())
    game.interpolation = 0.0
    torch.manual_seed(0)
    assert close(game.generator_loss(data), -judge(fake, t).log().mean())


def test_sentences_count_for_both_players_and_it_trains() -> None:
    game: Any = tiny("gan_int_cls", captions=["a red hat", "long hair"])
    fit(game, 2)
    one, other = game.depict(["a red hat", "long hair"]), game.depict(["long hair", "a red hat"])
    assert not torch.equal(one, other)
    x = pictures(2, (1, 8, 8))
    assert not torch.equal(game.discriminator(x, torch.zeros(2, 7)), game.discriminator(x, torch.ones(2, 7)))


def test_the_papers_networks() -> None:
    with torch.device("meta"):
        game = GANINTCLS()
        z, text = torch.empty(2, 100), torch.empty(2, 1024)
        image = game.generator(z, text)
    assert image.shape == (2, 3, 64, 64) and game.discriminator(image, text).shape == (2,)
    assert game.discriminator.joint[0].in_channels == 512 + 128
