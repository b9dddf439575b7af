from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from helpers import tiny

from ganzoo.game import registry
from ganzoo.nn import dcgan
from ganzoo.types import Batch


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_priors(kind: str) -> None:
    game: Any = tiny("infogan", incompressible=5, continuous=3, categories=4, noise=kind)
    drawn, labels = game.draw(range(500))
    noise, category, codes = game.latents_and_labels(Batch(torch.zeros(500, *game.shape)))
    assert torch.equal(noise[:, 5:], codes)
    for z, y in ((drawn, labels), (noise, category)):
        assert z.shape == (500, 8) and y is not None
        deviation = {"uniform": 1 / math.sqrt(3), "normal": 1.0}[kind]
        assert abs(z[:, :5].std().item() - deviation) < 0.05 and (z[:, :5].abs().max() > 2) == (kind == "normal")
        assert z[:, 5:].abs().max() <= 1 and abs(z[:, 5:].std().item() - 1 / math.sqrt(3)) < 0.03, "the codes uniform"
        assert y.dtype == torch.int64 and torch.bincount(y, minlength=4).min() > 80
    assert torch.equal(game.draw([3], labels=2)[0], game.draw([3])[0]), "a label that is given changes no latent"


def test_vary_changes_one_code_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    game: Any = tiny("infogan", incompressible=5, continuous=2, categories=3)
    given: list[tuple[torch.Tensor, Any]] = []
    generate = game.generate

    def spied(z: torch.Tensor, condition: Any) -> Any:
        given.append((z, condition))
        return generate(z, condition)

    monkeypatch.setattr(game, "generate", spied)
    values = [-2.0, 0.0, 1.5]
    images = game.vary([4, 9], code=0, values=values, category=1)
    assert images.shape == (2, 3, *game.shape)
    ((z, condition),) = given
    own = game.draw([4, 9])[0]
    rows = z.reshape(2, 3, 7)
    assert rows[:, :, 5].tolist() == [values, values]
    others = [i for i in range(7) if i != 5]
    assert torch.equal(rows[:, :, others], own[:, None, others].expand(2, 3, 6))
    assert condition.labels.tolist() == [1] * 6
    assert torch.allclose(images[1, 2], game.vary([9], 0, [1.5], category=1)[0, 0], atol=1e-7)
    assert torch.equal(game.vary([4], 0, [float(own[0, 5])])[0, 0], game.sample(1, seed=4)[0])
    assert not torch.allclose(images[1, 2], images[1, 1], atol=1e-6)


def test_q_moves_with_the_discriminator() -> None:
    game: Any = tiny("infogan")
    owned = {name: {id(p) for p in player.parameters()} for name, player in game.players().items()}
    for module in (game.recogniser, game.discriminator):
        assert {id(p) for p in module.parameters()} <= owned["discriminator"]
    assert owned["generator"] == {id(p) for p in game.generator.parameters()}


def test_the_information_reaches_both_players() -> None:
    """With weight w the gradient of either loss is that of weight 0 less w times the information's."""
    gradients = {}
    for weight in (0.0, 2.0):
        game: Any = tiny("infogan", weight=weight, dense=12)
        game.record = lambda **values: None
        batch = Batch(torch.rand(6, *game.shape) * 2 - 1)
        for loss, networks in (
            (game.discriminator_loss, (game.discriminator, game.recogniser)),
            (game.generator_loss, (game.generator,)),
        ):
            torch.manual_seed(0)
            parameters = [p for network in networks for p in network.parameters()]
            found = torch.autograd.grad(loss(batch), parameters, allow_unused=True)
            flat = torch.cat([torch.zeros_like(p).flatten() if g is None else g.flatten()
                              for p, g in zip(parameters, found, strict=True)])  # fmt: skip
            gradients[weight, loss.__name__] = flat
        q = sum(p.numel() for p in game.recogniser.parameters())
        assert bool(gradients[weight, "discriminator_loss"][-q:].any()) == (weight > 0), "only the term teaches Q"
    game = tiny("infogan", weight=2.0, dense=12)
    torch.manual_seed(0)
    z, category, codes = game.latents_and_labels(batch)
    information = game.information(game.discriminator.features(game.generate_live(z, category)), category, codes)
    alone = torch.autograd.grad(information, list(game.generator.parameters()))
    change = gradients[2.0, "generator_loss"] - gradients[0.0, "generator_loss"]
    expected = -2 * torch.cat([g.flatten() for g in alone])
    assert (change - expected).norm() < 1e-3 * expected.norm() and expected.norm() > 1e-5


def test_information_in_closed_form() -> None:
    """Where Q knows the codes it is their entropy; where Q is uniform and its means 0, what is left of the codes."""
    game: Any = tiny("infogan", categories=3, continuous=2)
    category, codes = torch.tensor([0, 2]), torch.tensor([[0.5, -0.5], [1.0, 0.0]])
    sure = 50 * torch.nn.functional.one_hot(category, 3).float()
    game.recogniser = _Fixed(sure, codes)
    assert game.information(torch.zeros(2), category, codes).item() == pytest.approx(math.log(3))
    game.recogniser = _Fixed(torch.zeros(2, 3), torch.zeros(2, 2))
    assert game.information(torch.zeros(2), category, codes).item() == pytest.approx(-0.5 * (0.5 + 1.0) / 2)


class _Fixed(torch.nn.Module):
    def __init__(self, logits: torch.Tensor, means: torch.Tensor) -> None:
        super().__init__()
        self.answer = logits, means

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.answer


def test_the_networks_sizes_and_slopes_are_those_of_appendix_c() -> None:
    """By hand, for MNIST: 74 inputs, a side of 7 with 128 feature maps, 64 at 14 pixels, fully connected 1024."""
    game: Any = registry.family("infogan").cls()
    found = {name: sum(p.numel() for p in getattr(game, name).parameters()) for name in game.networks()}
    flat = 7 * 7 * 128
    assert found == {
        "generator": 74 * 1024 + 2 * 1024 + 1024 * flat + 2 * flat + 128 * 64 * 16 + 2 * 64 + 64 * 16 + 1,
        "discriminator": 64 * 16 + 64 + 64 * 128 * 16 + 2 * 128 + flat * 1024 + 2 * 1024 + 1024 + 1,
        "recogniser": 1024 * 128 + 2 * 128 + 128 * 12 + 12,
    }
    slopes = {m.negative_slope for m in game.modules() if isinstance(m, torch.nn.LeakyReLU)}
    assert slopes == {0.1}
    normalized = [
        sum(isinstance(m, kind) for m in game.modules()) for kind in (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)
    ]
    assert normalized == [2 + 1 + 1, 1 + 1]


def test_q_reads_the_features_that_the_score_is_made_of() -> None:
    game: Any = tiny("infogan").eval()
    scores, features = game.discriminator(torch.rand(3, *game.shape), with_features=True)
    assert features.shape == (3, *game.discriminator.feature_shape)
    assert torch.equal(scores, game.discriminator.head(features).squeeze(1))


def test_dcgans_networks_where_nothing_is_fully_connected() -> None:
    game: Any = tiny("infogan", dense=0)
    assert isinstance(game.generator, dcgan.Generator) and isinstance(game.discriminator, dcgan.Discriminator)
    assert game.sample(2).shape == (2, *game.shape)
