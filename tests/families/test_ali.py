from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from helpers import close, data_for, fit, make, tiny

import ganzoo
from ganzoo.data.batch import Images
from ganzoo.families.ali import steps
from ganzoo.types import BadArgument, Batch


def test_the_steps_of_table_5() -> None:
    assert steps(32) == [(5, 1, 32), (4, 2, 28), (4, 1, 13), (4, 2, 10), (4, 1, 4)]


@pytest.mark.parametrize("size", [8, 9, 28, 31, 64])
def test_the_generator_goes_the_encoders_way_back_at_any_size(size: int) -> None:
    game: Any = tiny("ali", size=size, width=2)
    assert game.generator(torch.randn(2, 6)).shape == (2, 1, size, size)
    assert game.encoder(torch.randn(2, 1, size, size))[0].shape == (2, 6)


def test_the_papers_networks() -> None:
    """The shapes of the authors' code for CIFAR-10; its fully connected layers are convolutions of 1 x 1."""
    with torch.device("meta"):
        game: Any = ganzoo.create("ali")

    def shapes(network: torch.nn.Module) -> list[tuple[int, ...]]:
        return [tuple(p.shape) for p in network.parameters() if p.dim() in (2, 4)]

    assert shapes(game.encoder) == [
        (32, 3, 5, 5), (64, 32, 4, 4), (128, 64, 4, 4), (256, 128, 4, 4), (512, 256, 4, 4), (512, 512), (128, 512)
    ]  # fmt: skip
    assert shapes(game.generator) == [
        (64, 256, 4, 4), (256, 128, 4, 4), (128, 64, 4, 4), (64, 32, 4, 4), (32, 32, 5, 5), (32, 32, 1, 1),
        (3, 32, 1, 1),
    ]  # fmt: skip
    assert game.generator.bias.shape == (3, 32, 32)
    assert shapes(game.discriminator) == [
        (32, 3, 5, 5), (64, 16, 4, 4), (128, 32, 4, 4), (256, 64, 4, 4), (512, 128, 4, 4),
        (512, 64), (512, 256), (1024, 512), (1024, 512), (1, 512),
    ]  # fmt: skip


def test_a_fresh_generator_begins_with_the_mean_of_the_data_and_one_that_learned_goes_on() -> None:
    game: Any = tiny("ali", lr=0.0)
    fit(game, 1)
    values = data_for(game).open("train").values  # fewer than 500
    mean = torch.from_numpy(values).float().mean(0) / 127.5 - 1
    assert close(game.generator.bias.detach().tanh(), mean, 1e-5) and mean.abs().max() > 0.05
    assert close(make(game, 8).mean(0), mean, 0.05), "before anything is learned it draws that"
    with torch.no_grad():
        game.generator.bias.fill_(0.25)
    fit(game, 1)
    assert torch.equal(game.generator.bias.detach(), torch.full_like(mean, 0.25))


def test_maxout_takes_the_larger_of_neighbours() -> None:
    game: Any = tiny("ali").eval()
    layer, x = game.discriminator.latent[0], torch.randn(3, 6)
    found, outputs = layer(x), layer.layer(x)
    for i in range(found.shape[1]):
        assert torch.equal(found[:, i], torch.maximum(outputs[:, 2 * i], outputs[:, 2 * i + 1]))


def test_losses_in_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    game: Any = tiny("ali")
    encoded, generated = torch.tensor([0.3, -1.2]), torch.tensor([0.7, 2.0])
    monkeypatch.setattr(game, "scores", lambda batch: (encoded, generated))

    def softplus(values: list[float]) -> float:
        return sum(math.log(1 + math.exp(v)) for v in values) / len(values)

    batch = Batch(torch.zeros(2, *game.shape))
    assert game.discriminator_loss(batch).item() == pytest.approx(softplus([-0.3, 1.2]) + softplus([0.7, 2.0]))
    assert game.generator_loss(batch).item() == pytest.approx(softplus([0.3, -1.2]) + softplus([-0.7, -2.0]))


def test_the_encoder_draws_and_is_judged_by_its_draw() -> None:
    game: Any = tiny("ali").eval()
    batch = Batch(torch.rand(4, *game.shape) * 2 - 1)
    with torch.no_grad():
        for parameter in game.parameters():
            if parameter.dim() > 1:
                parameter.mul_(20)
        game.encoder.last.bias.copy_(torch.linspace(-1, 1, 12))
        torch.manual_seed(3)
        encoded, generated = game.scores(batch)
        torch.manual_seed(3)
        z, noise = torch.randn(4, 6), torch.randn(4, 6)
        mean, log_deviation = game.encoder(batch.images)
        assert close(encoded, game.discriminator(batch.images, mean + noise * log_deviation.exp()), 1e-5)
        assert close(generated, game.discriminator(game.generator(z), z), 1e-5)
        assert not close(encoded, game.discriminator(batch.images, mean), 1e-3)
    assert torch.equal(game.encode(batch.images), mean), "what is asked for has no chance in it"


def test_everything_learns_and_the_means_are_shown() -> None:
    game: Any = tiny("ali")
    before = {name: p.detach().clone() for name, p in game.named_parameters()}
    fit(game, 2)
    assert not [name for name, value in before.items() if torch.equal(game.get_parameter(name), value)]
    assert game.pictures(None) == {}
    values = np.random.RandomState(0).randint(0, 256, (48, *game.shape)).astype(np.uint8)
    table = game.pictures(Images("noise", values))["reconstructions"]
    shown = torch.from_numpy(values[::2]).float() / 127.5 - 1
    assert table.shape == (4, 12, *game.shape) and torch.allclose(table[[0, 2]].flatten(0, 1), shown, atol=1e-6)
    assert torch.allclose(table[[1, 3]].flatten(0, 1), game.sample(z=game.encode(shown)), atol=1e-6)


def test_what_the_critic_says_of_an_image_is_its_own_and_changes_nothing() -> None:
    game: Any = tiny("ali")
    game.engine.average = 1000
    fit(game, 1)
    images, before = torch.rand(3, *game.shape), {key: value.clone() for key, value in game.state_dict().items()}
    scores = game.criticise(images)
    assert torch.allclose(scores[:1], game.criticise(images[:1]), rtol=1e-5)
    assert all(torch.equal(value, before[key]) for key, value in game.state_dict().items())


def test_an_odd_width_is_named() -> None:
    with pytest.raises(BadArgument, match="width is 3 and size 8; an even width"):
        tiny("ali", width=3)
