"""DiscoGAN: its losses, written out; whose batch it is; its networks' sizes, and bad input."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import close, fit, pictures, stirred, tiny

from ganzoo.families.discogan import DiscoGAN, Generator
from ganzoo.types import BadArgument, Batch


def data(game: Any, n: int = 4) -> Batch:
    return Batch(pictures(n, game.source_shape), targets=pictures(n, game.shape, 10))


def test_the_losses_are_the_papers_and_its_codes() -> None:
    game: Any = stirred(tiny("discogan", channels=3, reconstruction=0.4, curriculum=100))
    batch = data(game)
    a, b = batch.images, batch.targets
    assert a is not None and b is not None
    made_b, made_a = game.generator(a), game.inverse(b)
    adversarial = features = back = torch.zeros(())
    for judge, real, fake in ((game.discriminator, b, made_b), (game.inverse_discriminator, a, made_a)):
        adversarial = adversarial - judge(fake)[0].sigmoid().log().mean()
        for one, other in zip(judge(real)[1], judge(fake)[1], strict=True):
            features = features + torch.nn.functional.hinge_embedding_loss(
                (one.mean(0) - other.mean(0)) ** 2, torch.ones(one.shape[1:])
            )
    for there, image in ((game.inverse(made_b), a), (game.generator(made_a), b)):
        back = back + ((there + 1) / 2 - (image + 1) / 2).square().mean()  # in [0, 1]
    assert float(features) > 0
    game_part = 0.1 * adversarial + 0.9 * features
    assert close(game.generators_loss(batch), 0.99 * game_part + 0.01 * back)
    game.images_seen = 100
    assert close(game.generators_loss(batch), 0.6 * game_part + 0.4 * back)
    wanted = torch.zeros(())
    for judge, real, fake in ((game.discriminator, b, made_b), (game.inverse_discriminator, a, made_a)):
        wanted = wanted - judge(real)[0].sigmoid().log().mean() / 2 - (1 - judge(fake)[0].sigmoid()).log().mean() / 2
    assert close(game.discriminators_loss(batch), wanted)


def test_a_third_of_the_batches_is_the_discriminators() -> None:
    game: Any = tiny("discogan", every=3)
    moved: list[str] = []
    move = game.move

    def noted(player: str, *given: Any) -> None:
        moved.append(player[:1])
        move(player, *given)

    game.move = noted
    fit(game, 4)
    assert "".join(moved) == "dggdgg" and game.batches_seen == 6


def test_the_papers_networks() -> None:
    with torch.device("meta"):
        game = DiscoGAN()
        wide = Generator(3, 3, 64, 4, 100)
    assert sum(isinstance(m, torch.nn.ConvTranspose2d) for m in game.generator.modules()) == 4
    assert [tuple(f.shape[1:]) for f in game.discriminator(torch.empty(2, 3, 64, 64, device="meta"))[1]] == [
        *((128, 16, 16), (256, 8, 8), (512, 4, 4))
    ]
    assert wide(torch.empty(2, 3, 64, 64, device="meta")).shape == (2, 3, 64, 64)
    assert [m.out_channels for m in wide.modules() if isinstance(m, torch.nn.Conv2d)] == [64, 128, 256, 512, 100]


def test_there_and_back_in_pictures_and_bad_input() -> None:
    game: Any = tiny("discogan", source_channels=3)
    x = pictures(2, (3, 16, 16))
    assert game.translate(game.translate(x), to="a").shape == x.shape
    for given, said in (({"size": 24}, "size is 24; a power of 2"), ({"every": 1}, "every is 1; at least 2")):
        with pytest.raises(BadArgument, match=said):
            tiny("discogan", **given)
    with pytest.raises(BadArgument, match="sides of 8 pixels; at least 16"):
        tiny("discogan", channels=3, bottleneck=5).translate(x[:, :, :8])
