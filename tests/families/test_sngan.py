"""SNGAN, the projection cGAN and SAGAN: their losses by the papers' formulas, and who is normalized."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from helpers import fit, tiny
from torch import Tensor, nn

from ganzoo.game import registry
from ganzoo.nn.spectral import Normalized
from ganzoo.types import BadData, Batch

NAMES = ("sngan", "cgan_pd", "sagan")
every_one = pytest.mark.parametrize("name", NAMES)


def batch_of(game: Any, n: int = 6) -> Batch:
    torch.manual_seed(1)
    labels = None if game.classes is None else torch.arange(n) % game.classes
    return Batch(torch.rand(n, *game.shape) * 2 - 1, labels)


@every_one
def test_the_losses_are_the_hinge_of_real_and_drawn_labels(name: str) -> None:
    game: Any = tiny(name).eval()
    with torch.no_grad():  # scores on both sides of the hinges
        game.discriminator.score.bias += 0.9
    batch = batch_of(game)
    torch.manual_seed(7)
    drawn: Any = game.latents_and_labels(batch) if game.labelled else (game.noise(batch),)
    drawn = drawn if isinstance(drawn, tuple) else (drawn,)
    real = game.discriminator(batch.images, *([] if game.classes is None else [batch.labels]))
    fake = game.discriminator(game.generator(*drawn), *drawn[1:])
    expected = torch.clamp(1 - real, min=0).mean() + torch.clamp(1 + fake, min=0).mean()
    assert real.shape == (6,) and not torch.allclose(expected, torch.tensor(2.0), atol=1e-4)
    torch.manual_seed(7)
    assert torch.allclose(game.discriminator_loss(batch), expected, atol=1e-5)
    # SNGAN's generator and the projection cGAN's are judged by twice as many, as in their authors' code
    torch.manual_seed(7)
    more: Any = Batch(torch.empty(6 if name == "sagan" else 12, *game.shape))
    drawn = game.latents_and_labels(more) if game.labelled else (game.noise(more),)
    fake = game.discriminator(game.generator(*drawn), *drawn[1:])
    torch.manual_seed(7)
    assert torch.allclose(game.generator_loss(batch), -fake.mean(), atol=1e-6)


@every_one
def test_a_move_is_one_step_of_the_power_method(name: str) -> None:
    game: Any = tiny(name)
    calls: list[str] = []
    game.discriminator.register_forward_hook(lambda *_: calls.append("pass"))
    game.discriminator_loss(batch_of(game))
    assert calls == ["pass"], "real and generated samples go through together"


@every_one
def test_which_player_is_normalized(name: str) -> None:
    game: Any = tiny(name)

    def normalized(network: nn.Module) -> set[bool]:
        found = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
        return {isinstance(m, Normalized) for m in found}

    assert normalized(game.discriminator) == {True}
    assert normalized(game.generator) == {name == "sagan"}
    assert (game.discriminator.projection is None) == (name == "sngan")
    if name != "sngan":
        assert isinstance(game.discriminator.projection, Normalized)


@pytest.mark.parametrize("name", NAMES[1:])
def test_they_learn_from_labels_and_say_when_there_are_none(name: str) -> None:
    game: Any = tiny(name)
    assert game.labelled and game.classes == 10
    with pytest.raises(BadData, match="labels"):
        game.discriminator_loss(Batch(torch.rand(4, *game.shape)))
    z, labels = game.latents_and_labels(batch_of(game, 200))
    assert z.shape == (200, game.latent) and set(labels.tolist()) == set(range(10))
    images = [game.discriminator(torch.rand(2, *game.shape), torch.tensor([0, k])) for k in (0, 1)]
    assert not torch.equal(images[0][1], images[1][1])


@pytest.mark.parametrize(("name", "moves"), [("sngan", 4 + 2), ("cgan_pd", 4 + 2), ("sagan", 2 + 2)])
def test_whose_turn_it_is(name: str, moves: int) -> None:
    game: Any = tiny(name)  # n_critic is 2
    played: list[str] = []
    move = game.move

    def noted(player: str, *rest: Any, **options: Any) -> None:
        played.append(player)
        move(player, *rest, **options)

    game.move = noted
    fit(game, 2)
    assert len(played) == moves and played.count("generator") == 2


@pytest.mark.parametrize(
    ("name", "arguments", "rates"),
    [
        ("sagan", {}, (4e-4, 1e-4)),
        ("sngan", {}, (2e-4, 2e-4)),
        ("sngan", {"lr": 1e-3}, (1e-3, 1e-3)),
        ("cgan_pd", {"discriminator_lr": 3e-3}, (3e-3, 2e-4)),
    ],
)
def test_two_time_scales(name: str, arguments: dict[str, float], rates: tuple[float, float]) -> None:
    players = tiny(name, **arguments).players()
    found = [
        players[player].optimizer([nn.Parameter(torch.zeros(1))]).defaults["lr"]
        for player in ("discriminator", "generator")
    ]
    assert found == [*rates]


@pytest.mark.parametrize("name", ["sngan", "cgan_pd"])
def test_both_players_move_against_the_same_samples_where_they_are_reused(name: str) -> None:
    game: Any = tiny(name, reuse=True)  # n_critic is 2: the first of two moves of D draws its own samples
    drawn: list[Tensor] = []
    judged: list[Tensor] = []
    game.generator.register_forward_hook(lambda m, i, o: drawn.append(o.detach().clone()))
    game.discriminator.register_forward_hook(lambda m, i, o: judged.append(i[0].detach().clone()))
    before = [p.detach().clone() for p in game.generator.parameters()]
    fit(game, 1)
    half = len(drawn[0])
    assert [len(x) for x in drawn] == [half, half] and [len(x) for x in judged] == [2 * half, 2 * half, half]
    for images, scored in zip([drawn[0], drawn[1], drawn[1]], judged, strict=True):
        assert torch.equal(images, scored[-half:])
    assert all(not torch.equal(a, b) for a, b in zip(before, game.generator.parameters(), strict=True)), "it learns"


def test_the_size_of_sagans_discriminator() -> None:
    """A block of the authors' code has 3 x 3 kernels from its input's feature maps to its output's, and among these."""
    with torch.device("meta"):
        games: list[Any] = [registry.family("sagan").cls(wide=wide) for wide in (True, False)]
    found = [sum(p.numel() for p in game.discriminator.parameters()) for game in games]
    pairs = [*pairwise((64, 128, 256, 512, 1024, 1024))]
    first = (9 * 3 * 64 + 64) + (9 * 64 * 64 + 64) + (3 * 64 + 64)
    shortcuts = sum(i * o + o for i, o in pairs if i != o)
    blocks = sum((9 * i * o + o) + (9 * o * o + o) for i, o in pairs)
    attention = 2 * 128 * 16 + 2 * 128 * 64 + 1  # 16 feature maps of queries and keys, 64 of values, and gamma
    assert found[0] == first + shortcuts + blocks + attention + (1024 + 1) + 10 * 1024 == 38_449_858
    assert found[0] - found[1] == sum((9 * o * o + o) - (9 * i * i + i) for i, o in pairs)


def test_sagans_attention_learns_in_both_players() -> None:
    game: Any = tiny("sagan")
    gammas = [network.attention.gamma.detach() for network in (game.generator, game.discriminator)]
    assert not any(gammas)
    fit(game, 3)
    assert all(gammas)


def test_attention_maps_are_those_of_the_generators_layer() -> None:
    game: Any = tiny("sagan", size=16, widths=[4, 4, 4], attention=8, discriminator_attention=8)
    with torch.no_grad():
        game.generator.attention.query.weight.mul_(30)
        game.generator.attention.gamma.fill_(1.0)
    z, labels = game.draw(range(3))
    images, shares = game.attention_maps(z, labels)
    assert torch.equal(images, game.sample(3)) and shares.shape == (3, 8, 8, 4, 4)
    assert torch.allclose(shares.sum((3, 4)), torch.ones(3, 8, 8))
    seen: list[Tensor] = []
    game.generator.attention.register_forward_hook(lambda m, i, o: seen.append(m.attention(i[0])))
    game.sample(3)
    assert torch.allclose(shares.reshape(3, 64, 16), seen[0], atol=1e-6)


def test_the_picture_of_attention_maps() -> None:
    game: Any = tiny("sagan", size=16, widths=[4, 4, 4], attention=8, discriminator_attention=8, channels=3)
    before = torch.get_rng_state()
    table = game.pictures(None)["attention-maps"]
    assert table.shape == (8, 6, 3, 16, 16) and table.min() >= -1 and table.max() <= 1
    assert torch.equal(table[:, 0], game.sample(8))
    assert torch.equal(table[0, 1, :, 7:9, 7:9], torch.ones(3, 2, 2)), "the query in the middle is marked"
    assert torch.equal(torch.get_rng_state(), before)
    for name in ("sngan", "cgan_pd"):
        assert tiny(name).pictures(None) == {}


@every_one
def test_mimicrys_variant_is_another_network_with_the_same_tensors(name: str) -> None:
    sizes = {"size": 16, "widths": [4, 4, 4], "discriminator_widths": [4, 6, 6], "downsamplings": 2}
    games: list[Any] = [tiny(name, variant=variant, **sizes).eval() for variant in ("paper", "mimicry")]
    games[1].load_state_dict(games[0].state_dict())
    z, labels = games[0].draw(range(2))
    given = (z,) if labels is None else (z, labels)
    images = [game.generator(*given) for game in games]
    assert not torch.allclose(images[0], images[1], atol=1e-4)
    scores = [game.discriminator(images[0], *given[1:]) for game in games]
    assert not torch.allclose(scores[0], scores[1], atol=1e-4)
