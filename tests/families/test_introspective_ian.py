"""IAN: its losses and layers in closed form, the trunk that the game alone shapes, and what the encoder finds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import close, fit, stirred, tiny

import ganzoo
from ganzoo.data.batch import Images
from ganzoo.families.introspective_ian import Colors, Multiscale
from ganzoo.types import Batch


def batch_of(game: Any, n: int = 4) -> Batch:
    torch.manual_seed(1)
    return Batch(torch.rand(n, *game.shape) * 2 - 1)


def test_the_authors_networks() -> None:
    with torch.device("meta"):
        game: Any = ganzoo.create("introspective_ian")

    def shapes(network: torch.nn.Module) -> list[tuple[int, ...]]:
        return [tuple(p.shape) for name, p in network.named_parameters() if p.dim() > 1 and "shares" not in name]

    assert shapes(game.discriminator.trunk) == [
        (128, 3, 5, 5), (256, 128, 5, 5), (512, 256, 5, 5), (1024, 512, 5, 5)
    ]  # fmt: skip
    assert game.discriminator.minibatch.tensor.shape == (1024, 500, 5)
    assert game.discriminator.last.weight.shape == (3, 1524)
    assert shapes(game.encoder) == [(1000, 1024 * 16), (200, 1000)]
    assert shapes(game.generator.layers) == [
        (512, 512, 5, 5), (512, 512, 3, 3), (512, 512, 3, 3), (512, 256, 5, 5), (256, 256, 3, 3), (256, 256, 3, 3),
        (256, 128, 5, 5), (128, 128, 3, 3), (128, 128, 3, 3), (128, 128, 5, 5),
    ]  # fmt: skip
    blocks = [m.dilations for m in game.generator.layers.modules() if isinstance(m, Multiscale)]
    assert blocks == [(0, 1, 2)] * 2 + [(0, 1, 2, 3)] * 4
    assert shapes(game.generator.colors) == [(2, 128, 3, 3)] * 3 + [(2, 2, 3, 3), (2, 4, 3, 3)]


def test_one_filter_at_several_dilations_by_hand() -> None:
    torch.manual_seed(0)
    layer = Multiscale(3, 2, (0, 1, 2)).double()
    with torch.no_grad():
        layer.weight.normal_()
        layer.shares.normal_()
    x = torch.randn(1, 3, 9, 9, dtype=torch.float64)
    padded = F.pad(x, (2, 2, 2, 2))
    found = torch.zeros(1, 2, 9, 9, dtype=torch.float64)
    for share, dilation in zip(layer.shares, (0, 1, 2), strict=True):
        for i in range(3):
            for j in range(3):
                top, left = 2 + dilation * (i - 1), 2 + dilation * (j - 1)  # at 0 all nine fall on the same point
                weight = layer.weight[:, :, i, j] / (1 if dilation else 9)
                tap = torch.einsum("oi,nihw->nohw", weight, padded[:, :, top : top + 9, left : left + 9])
                found += share[None, :, None, None] * tap
    assert close(layer(x), found, 1e-12)


def test_a_channel_is_the_mean_of_a_beta_and_sees_those_before_it() -> None:
    torch.manual_seed(0)
    colors = Colors(4, 3)
    with torch.no_grad():
        for parameter in colors.parameters():
            parameter.normal_(0, 0.1)
    h = torch.randn(2, 4, 5, 5)
    red = colors.own[0](h).sigmoid()
    green = (colors.own[1](h) + colors.before[0](red)).sigmoid()
    blue = (colors.own[2](h) + colors.before[1](torch.cat([red, green], 1))).sigmoid()
    by_hand = torch.stack([2 * a[:, 0] / (a[:, 0] + a[:, 1]) - 1 for a in (red, green, blue)], 1)
    found = colors(h)
    assert found.shape == (2, 3, 5, 5) and close(found, by_hand, 1e-5) and found.abs().max() <= 1


def test_orthonormal_filters_cost_nothing() -> None:
    game: Any = tiny("introspective_ian", width=2)
    layers = [m for m in game.discriminator.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.ConvTranspose2d))]
    with torch.no_grad():
        for layer in layers:
            torch.nn.init.orthogonal_(layer.weight.view(len(layer.weight), -1))
    assert game.orthogonality(game.discriminator).item() < 1e-6
    with torch.no_grad():
        layers[0].weight.mul_(3)  # W W^T is 9 on the diagonal of two filters
    assert game.orthogonality(game.discriminator).item() == pytest.approx(1e-3 * 2 * 8, rel=1e-4)


def test_a_transposed_layers_filters_are_its_outputs() -> None:
    game: Any = tiny("introspective_ian", width=2)
    total = 0.0
    for layer in game.generator.modules():
        if isinstance(layer, (torch.nn.ConvTranspose2d, Multiscale)):
            turned = isinstance(layer, torch.nn.ConvTranspose2d)
            outputs = layer.weight.shape[1 if turned else 0]
            for a in range(outputs):
                for b in range(outputs):
                    one, other = (layer.weight[:, k] if turned else layer.weight[k] for k in (a, b))
                    total += abs(float((one * other).sum().detach()) - (a == b))
    assert game.orthogonality(game.generator).item() == pytest.approx(1e-3 * total, rel=1e-4)


def test_the_ternary_loss_in_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    game: Any = tiny("introspective_ian", orthogonal=0.0)
    batch, logits = batch_of(game), [[0.3, -1.0, 0.5], [2.0, 0.1, -0.4], [-0.7, 0.2, 1.1]]
    given = [torch.tensor([each] * 4) for each in logits]
    inner, shown = game.discriminator.forward, []

    def scored(x: torch.Tensor) -> Any:
        shown.append(x)
        return given[len(shown) - 1], inner(x)[1]

    monkeypatch.setattr(game.discriminator, "forward", scored)

    def cost(row: list[float], which: int) -> float:
        return math.log(sum(math.exp(v) for v in row)) - row[which]

    expected = sum(cost(row, which) for which, row in enumerate(logits))
    assert game.discriminator_loss(batch).item() == pytest.approx(expected, rel=1e-5)
    assert torch.equal(shown[0], batch.images) and not shown[1].requires_grad and not shown[2].requires_grad


def test_what_the_generator_is_to_bring_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """With everything fixed, in closed form: two classes of fakes to pass for real, pixels, features and KL."""
    game: Any = stirred(tiny("introspective_ian", orthogonal=0.0)).eval()
    batch = batch_of(game)
    monkeypatch.setattr(game, "record", lambda **_: None)
    with torch.no_grad():
        torch.manual_seed(5)
        found = game.generator_loss(batch).item()
        torch.manual_seed(5)
        features = game.discriminator.features(batch.images)
        mean, log_deviation = game.encoder(features[-1])
        back = game.generator(mean + log_deviation.exp() * torch.randn(4, 6))
        fake = game.generator(torch.randn(4, 6))
        told = [game.discriminator(x) for x in (back, fake)]
        passed = sum(-logits.softmax(1)[:, 0].log().mean() for logits, _ in told)
        pixels = 3 * 2 * (back - batch.images).abs().mean()
        seen = sum((a - b).square().mean() for a, b in zip(told[0][1], features, strict=True)) / len(features)
        q = torch.distributions.Normal(mean, log_deviation.exp())
        divergence = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).mean()
    assert found == pytest.approx(float(passed + pixels + seen + divergence), rel=1e-4)


def test_the_discriminator_sees_nothing_that_is_not_augmented_where_anything_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    game, shown = tiny("introspective_ian").eval(), []
    monkeypatch.setattr(game, "seen", lambda images: images + 3)
    monkeypatch.setattr(game, "noise", lambda batch: torch.zeros(len(batch), game.latent))
    monkeypatch.setattr(game, "record", lambda **values: None)
    game.discriminator.register_forward_pre_hook(lambda m, inputs: shown.append(inputs[0].detach()))
    game.generator_loss(batch_of(game))
    game.discriminator_loss(batch_of(game))
    assert len(shown) == 2 + 3 and all(x.min() >= 2 for x in shown)


def test_the_trunk_learns_by_the_game_alone() -> None:
    game: Any = tiny("introspective_ian")
    owned = {name: {id(p) for p in player.parameters()} for name, player in game.players().items()}
    assert owned["discriminator"] == {id(p) for p in game.discriminator.parameters()}
    assert owned["generator"] == {id(p) for n in (game.generator, game.encoder) for p in n.parameters()}
    before = {name: p.detach().clone() for name, p in game.named_parameters()}
    fit(game, 2)
    assert not [name for name, value in before.items() if torch.equal(game.get_parameter(name), value)]


def test_codes_are_means_and_their_pictures_are_shown() -> None:
    game: Any = tiny("introspective_ian")
    fit(game, 2)
    values = np.random.RandomState(0).randint(0, 256, (48, *game.shape)).astype(np.uint8)
    shown = torch.from_numpy(values[::2]).float() / 127.5 - 1
    codes = game.encode(shown)
    assert torch.allclose(game.encode(shown, batch_size=5), codes, atol=1e-6), "an image's code is its own"
    game.eval()
    with torch.no_grad():
        assert close(codes, game.encoder(game.discriminator.features(shown)[-1])[0], 1e-6)
    table = game.pictures(Images("noise", values))["reconstructions"]
    assert torch.allclose(table[[1, 3]].flatten(0, 1), game.sample(z=codes), atol=1e-6)
