from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from helpers import fit, tiny, trainer

import ganzoo
from ganzoo.data.batch import Images
from ganzoo.data.digits import Digits
from ganzoo.types import BadArgument, Batch


def game(**arguments: Any) -> Any:
    return tiny("bigan", **arguments)


def test_one_player_is_generator_and_encoder() -> None:
    bigan = game()
    owned = {name: {id(p) for p in player.parameters()} for name, player in bigan.players().items()}
    assert owned["generator"] == {id(p) for n in (bigan.generator, bigan.encoder) for p in n.parameters()}
    assert owned["discriminator"] == {id(p) for p in bigan.discriminator.parameters()}
    before = {name: p.detach().clone() for name, p in bigan.named_parameters()}
    fit(bigan, 2)  # D's head begins at 0, so that the others feel it from the second update on
    assert not [name for name, p in bigan.named_parameters() if torch.equal(p, before[name])]


def test_losses_in_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """D's loss with labels 1 for (x, E(x)) and 0 for (G(z), z); the other player's with the labels exchanged."""
    bigan = game()
    encoded, generated = torch.tensor([[0.3], [-1.2]]), torch.tensor([[0.7], [2.0]])
    monkeypatch.setattr(bigan, "scores", lambda batch: (encoded, generated))

    def log_sigmoid(values: torch.Tensor) -> float:
        return sum(math.log(1 / (1 + math.exp(-float(v)))) for v in values.flatten()) / len(values)

    batch = Batch(torch.zeros(2, *bigan.shape))
    assert bigan.discriminator_loss(batch).item() == pytest.approx(-log_sigmoid(encoded) - log_sigmoid(-generated))
    assert bigan.generator_loss(batch).item() == pytest.approx(-log_sigmoid(generated) - log_sigmoid(-encoded))


@pytest.mark.parametrize("width", [0, 4])
def test_the_discriminator_reads_pairs(width: int) -> None:
    """Its answer changes with the image alone, and with the latent alone; E's code and G's z are what it is given."""
    bigan = game(width=width)
    bigan.eval()
    with torch.no_grad():
        bigan.discriminator.last.weight.normal_()
        x, z = torch.rand(4, *bigan.shape), torch.rand(4, bigan.latent)
        whole = bigan.discriminator(x, z)
        assert not torch.allclose(whole, bigan.discriminator(x.flip(0), z), atol=1e-6)
        assert not torch.allclose(whole, bigan.discriminator(x, z.flip(0)), atol=1e-6)
        torch.manual_seed(3)
        encoded, generated = bigan.scores(Batch(x))
        torch.manual_seed(3)
        z = torch.empty(4, bigan.latent).uniform_(-1, 1)
        assert torch.allclose(encoded, bigan.discriminator(x, bigan.encoder(x)))
        assert torch.allclose(generated, bigan.discriminator(bigan.generator(z), z))


@pytest.mark.parametrize("width", [0, 4])
def test_the_latent_comes_into_every_layer_of_the_generator(width: int) -> None:
    generator = game(width=width, size=16).generator.eval()
    z, other = torch.rand(2, 6), torch.rand(2, 6)
    with torch.no_grad():
        h = generator.first(z)
        assert len(generator.maps) == (1 if width else 0)
        for layer in (generator.second, *generator.maps):
            added = layer.latent(other)
            added = added if layer.flat else added[:, :, None, None]
            by_hand = layer.map(h) + added
            by_hand = torch.relu(by_hand / math.sqrt(1 + 1e-5))  # a fresh network's statistics: mean 0, variance 1
            assert torch.allclose(layer(h, other), by_hand, atol=1e-6)
            h = by_hand.unflatten(1, generator.start) if layer is generator.second else by_hand


def test_the_papers_networks() -> None:
    """The authors' code: for permutation-invariant MNIST, and with convolutions for the same 28 pixels."""
    with torch.device("meta"):
        games: list[Any] = [ganzoo.create("bigan"), ganzoo.create("bigan", width=64)]

    def shapes(network: torch.nn.Module) -> list[tuple[int, ...]]:
        return [tuple(p.shape) for p in network.parameters()]

    z = (1024, 50)
    assert shapes(games[0].generator) == [z, (1024, 1024), z, (784, 1024)]
    assert shapes(games[0].encoder) == [(1024, 784), (1024, 1024), (50, 1024)]
    assert shapes(games[0].discriminator) == [(1024, 784), (1024, 1024), z, (1, 1024)]
    assert shapes(games[1].generator) == [
        z, (6272, 1024), (6272, 50), (128, 64, 5, 5), (64, 50), (64, 1, 5, 5)
    ]  # fmt: skip
    assert shapes(games[1].encoder) == [(64, 1, 5, 5), (128, 64, 5, 5), (1024, 6272), (50, 1024)]
    assert shapes(games[1].discriminator) == [
        (64, 1, 5, 5), (128, 64, 5, 5), (128, 50), (1024, 6272), z, (1, 1024)
    ]  # fmt: skip


def test_encode() -> None:
    bigan = game()
    fit(bigan, 2)
    images = torch.rand(7, *bigan.shape) * 2 - 1
    bigan.train()
    codes = bigan.encode(images)
    assert codes.shape == (7, bigan.latent) and codes.dtype == torch.float32 and codes.abs().max() <= 1
    assert torch.allclose(bigan.encode(images, batch_size=2), codes, atol=1e-6)
    assert torch.allclose(bigan.encode(images[3:4]), codes[3:4], atol=1e-6), "an image's code is its own"
    assert bigan.encoder.training
    for wrong in (images[0], images[:, :, 1:], images.expand(-1, 3, -1, -1)):
        with pytest.raises(BadArgument, match=r"images have shape .*; \(n, \*\(1, 8, 8\)\) is expected"):
            bigan.encode(wrong)


def test_pictures_are_images_above_their_reconstructions() -> None:
    bigan = game()
    fit(bigan, 2)
    assert bigan.pictures(None) == {}
    values = np.random.RandomState(0).randint(0, 256, (48, *bigan.shape)).astype(np.uint8)
    table = bigan.pictures(Images("noise", values))["reconstructions"]
    assert table.shape == (4, 12, *bigan.shape) and table.abs().max() <= 1
    shown = torch.from_numpy(values[::2]).float() / 127.5 - 1
    assert torch.allclose(table[[0, 2]].flatten(0, 1), shown, atol=1e-6)
    bigan.eval()
    with torch.no_grad():
        made = bigan.generator(bigan.encoder(shown))
    assert torch.allclose(table[[1, 3]].flatten(0, 1), made, atol=1e-5)


@pytest.mark.nightly
def test_the_encoder_learns_to_invert_the_generator() -> None:
    """Theorem 2, as far as a short training goes: codes of samples come nearer to their z than to those of others."""
    bigan: Any = tiny("bigan", width=0, features=128, latent=4, lr=1e-3)
    trainer(1500).fit(bigan, Digits(batch_size=64))
    z = bigan.draw(range(200))[0]
    codes = bigan.encode(bigan.sample(200))
    own, others = (codes - z).square().sum(1).mean(), (codes - z.roll(1, 0)).square().sum(1).mean()
    assert own < 0.5 * others
