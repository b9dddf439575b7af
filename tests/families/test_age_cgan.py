"""Age-cGAN: its losses, written out; two phases; the search for a face, by pixels and by a network; ages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers import Maps, close, fit, pictures, stirred, tiny

import ganzoo
from ganzoo.folder import write_model
from ganzoo.game.helpers import Helper
from ganzoo.metrics.features.network import feature_network
from ganzoo.types import BadArgument, Batch


def test_the_losses_are_the_papers() -> None:
    game: Any = stirred(tiny("age_cgan", channels=3)).eval()
    x, ages = pictures(4, (3, 8, 8)), torch.tensor([5, 0, 2, 2])
    y = F.one_hot(ages, 6).float()
    torch.manual_seed(0)
    z = torch.randn(4, 6)
    fake = game.generator(torch.cat([z, y], 1))
    real, made = (game.discriminator(each, y).sigmoid() for each in (x, fake))
    torch.manual_seed(0)
    assert close(game.discriminator_loss(Batch(x, ages)), -(real.log() + (1 - made).log()).mean())
    torch.manual_seed(0)
    assert close(game.generator_loss(Batch(x, ages)), -made.log().mean())
    torch.manual_seed(0)
    assert close(game.encoder_loss(Batch(x, ages)), (game.encoder(fake) - z).square().mean())


def test_the_encoder_learns_once_the_gan_is_done() -> None:
    game: Any = tiny("age_cgan")
    fit(game, 1)
    before = {key: value.clone() for key, value in game.player_tensors().items()}
    fit(game, 3)
    moved = {key.split(".")[0] for key, value in game.player_tensors().items() if not torch.equal(value, before[key])}
    assert moved == {"encoder"} and game.leads == "encoder"


def test_the_search_finds_a_drawn_face() -> None:
    """Of a face that the generator drew there is a latent at distance 0."""
    game: Any = stirred(tiny("age_cgan", width=16, search_steps=60)).eval()
    z = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
    faces = game.sample(z=z, labels=[1, 4])
    far = []
    for steps in (0, 60):
        game.search_steps = steps
        found = torch.cat([game.found(faces[i : i + 1], group, True)[0] for i, group in enumerate((1, 4))])
        far.append((game.sample(z=found, labels=[1, 4]) - faces).flatten(1).norm(dim=1))
    assert (far[1] < 0.05 * far[0]).all()
    aged = game.translate(faces[1:], to="class-0", age="class-4")
    assert close(aged, game.sample(z=found[1:], labels=0), 1e-3)


def test_an_age_is_that_of_the_nearest_first_guess() -> None:
    game: Any = stirred(tiny("age_cgan")).eval()
    x = pictures(5, (1, 8, 8))
    guesses = torch.stack([game.sample(z=game.encode(x), labels=k) for k in range(6)], 1)
    wanted = (guesses - x[:, None]).flatten(2).norm(dim=2).argmin(1)
    z, ages = game.found(x, None, False)
    assert torch.equal(ages, wanted) and close(z, game.encode(x))
    one_by_one = torch.cat([game.reconstruct(x[i : i + 1]) for i in range(5)])
    assert close(game.reconstruct(x), one_by_one, 1e-4)
    with pytest.raises(BadArgument, match="does not translate to 'old'"):
        game.translate(x, to="class-0", age="old")


def test_the_search_is_by_what_the_network_sees() -> None:
    game: Any = stirred(tiny("age_cgan", channels=3, identity=None, search_steps=8))
    with torch.no_grad():
        for weight in game.generator.parameters():
            weight.mul_(8)
    game.by_identity = True
    game.recognition = Helper("maps")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        game.recognition.give(Maps(3))
    x = pictures(2, (3, 8, 8))
    wanted = game.embedding(x)
    assert close(wanted, game.recognition.network.layer(x).relu()[:, :, ::2, ::2].mean((2, 3)))
    far = []
    for search in (False, True):
        with game.inferring():
            z, ages = game.found(x, 0, search)
        far.append((game.embedding(game.sample(z=z, labels=ages)) - wanted).norm(dim=1))
    assert (far[1] < far[0]).all()


def test_a_loaded_model_has_its_network(tmp_path: Path) -> None:
    given = {"size": 32, "width": 4, "layers": 2, "encoder_width": 4, "discriminator_width": 4}
    game: Any = ganzoo.create("age_cgan", **given, classes=3, latent=6, identity="avatars_age", search_steps=2)
    write_model(game, tmp_path / "model", {})
    loaded: Any = ganzoo.load(tmp_path / "model")
    x = pictures(2, (3, 32, 32))
    assert close(loaded.embedding(x), feature_network("avatars_age")(x), 1e-4)
    assert loaded.translate(x).shape == x.shape
