from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from helpers import fit, tiny
from torch import Tensor

from ganzoo.families.stylegan3 import StyleGAN3, networks
from ganzoo.objectives.augment import ADA
from ganzoo.types import BadArgument, Batch


def game_of(**arguments: Any) -> Any:
    """A tiny game whose w and mean of w are not nearly 0."""
    made: Any = tiny("stylegan3", **arguments)
    torch.manual_seed(1)
    with torch.no_grad():
        made.generator.mapping.mean.normal_()
        for layer in made.generator.mapping.layers:
            layer.bias.normal_(std=100)
    return made


def batch_of(game: Any, n: int = 4) -> Batch:
    torch.manual_seed(2)
    labels = None if game.classes is None else torch.arange(n) % game.classes
    return Batch(torch.randn(n, *game.shape).clamp(-1, 1), labels)


def test_the_configurations() -> None:
    """Section 3.2: R has kernels of 1, radial filters except in critically sampled layers, and twice the maps."""
    sizes: dict[str, Any] = {"size": 16, "latent": 8, "style": 8, "discriminator_widths": [8, 8, 8]}
    with torch.device("meta"):
        t, r = (StyleGAN3(configuration=c, **sizes) for c in ("t", "r"))
    for game, kernel, maps, sides in ((t, 3, 512, {1}), (r, 1, 1024, {1, 2})):
        layers = [layer for layer in game.generator.synthesis.layers if isinstance(layer, networks.SynthesisLayer)]
        assert [tuple(layer.weight.shape[2:]) for layer in layers] == [(kernel, kernel)] * 14 + [(1, 1)]
        assert layers[0].weight.shape[0] == maps and t.blur == 0 and r.blur == 10
        assert {layer.down_filter.dim() for layer in layers[:12] if layer.down_filter is not None} == {max(sides)}
        assert {layer.down_filter.dim() for layer in layers[12:] if layer.down_filter is not None} == {1}
        assert game.generator.synthesis.count == 16


@pytest.mark.parametrize("gamma", [2.0, 0.0])
def test_the_discriminators_adam_makes_room_for_its_lazy_penalty(gamma: float) -> None:
    game = tiny("stylegan3", gamma=gamma, r1_every=16)
    made = {name: player.optimizer(player.parameters()).defaults for name, player in game.players().items()}
    c = 16 / 17 if gamma else 1
    assert made["discriminator"]["lr"] == pytest.approx(0.002 * c)
    assert made["discriminator"]["betas"] == pytest.approx((0, 0.99**c))
    assert made["generator"]["lr"] == 0.0025 and made["generator"]["betas"] == (0, 0.99)


def test_losses_by_their_formulas() -> None:
    """With D's answers known: softplus of each, and R1 of a linear critic, whose gradient is its weight."""
    game = game_of(gamma=3.0, r1_every=5, magnitude_half_life=1.6e7)
    batch = batch_of(game)
    weight = torch.linspace(-1, 1, 64).reshape(1, 8, 8)

    class Critic(torch.nn.Module):
        def forward(self, x: Tensor, labels: Any = None, parts: int = 1) -> Tensor:
            return (x * weight).sum((1, 2, 3))[:, None]

    game.discriminator = Critic()
    assert game.r1_loss(batch).item() == pytest.approx(3 * 5 * 0.5 * float(weight.square().sum()), rel=1e-5)
    torch.manual_seed(3)
    made = game.generator_loss(batch)
    torch.manual_seed(3)
    fake = game.generator(torch.randn(4, game.latent))
    expected = torch.log1p(torch.exp(-(fake * weight).sum((1, 2, 3)))).mean()
    assert made.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.manual_seed(3)
    real = torch.log1p(torch.exp(-(batch.images * weight).sum((1, 2, 3)))).mean()
    fake = torch.log1p(torch.exp((fake * weight).sum((1, 2, 3)))).mean()
    assert game.discriminator_loss(batch).item() == pytest.approx((real + fake).item(), rel=1e-5)


def test_magnitudes_and_the_mean_of_w_follow_while_the_discriminator_moves() -> None:
    game = game_of(magnitude_half_life=8.0)
    seen: list[tuple[str, bool, float]] = []
    forward = game.generator.forward

    def watched(*args: Any, **kwargs: Any) -> Tensor:
        seen.append(("d" if not torch.is_grad_enabled() else "g", "track" in kwargs, kwargs.get("track", 0.0)))
        result: Tensor = forward(*args, **kwargs)
        return result

    game.generator.forward = watched
    before = {k: v.clone() for k, v in game.generator.named_buffers()}
    fit(game, 1, batch_size=4)
    # 4 of a half-life of 8 images: the new weighs 1 - 0.5^0.5
    assert seen == [("d", True, pytest.approx(1 - math.sqrt(0.5))), ("g", False, 0.0)]
    changed = {k for k, v in game.generator.named_buffers() if not torch.equal(v, before[k])}
    assert changed == {k for k in before if k.endswith(("magnitude", "mapping.mean"))}


def test_the_blur_fades() -> None:
    game = game_of(configuration="r", size=16, blur=2.0, blur_images=1000.0)
    images = torch.randn(2, *game.shape)
    for images_seen, sigma in ((0, 2.0), (250, 1.5), (999, 0.002), (1000, 0.0), (5000, 0.0)):
        game.images_seen = images_seen
        assert torch.equal(game.seen(images), networks.blurred(images, sigma))
    assert torch.equal(game.seen(images), images)
    game.images_seen = 0
    flat = game.seen(torch.ones(1, *game.shape))
    assert flat[0, 0, 8, 8] == pytest.approx(1, abs=1e-5), "a plain picture stays plain inside"
    batch = batch_of(game)
    for loss in (game.generator_loss, game.r1_loss):
        blurred = loss(batch)
        game.images_seen, before = 10**6, game.images_seen
        assert blurred != loss(batch), "every loss sees blurred pictures"
        game.images_seen = before


@pytest.mark.parametrize("says", [1.0, -1.0])
def test_ada_follows_the_discriminators_overfitting(says: float) -> None:
    game = game_of(augment="ada", augment_images=100)
    assert isinstance(game.augment, ADA) and "augment" not in game.networks()
    with torch.no_grad():
        game.augment.p.fill_(0.5)
        game.discriminator.head.out.weight.zero_()
        game.discriminator.head.out.bias.fill_(50 * says)
    fit(game, 4, batch_size=4)
    # 16 real images of 100: p moves by their share, up where D takes all for real (r_t = 1 > 0.6)
    assert game.augment.p.item() == pytest.approx(0.5 + 0.16 * says, abs=1e-5)
    assert game.augment.r_t.item() == says


@pytest.mark.parametrize("augment", ["ada", "diff"])
def test_every_loss_sees_augmented_pictures(augment: str) -> None:
    plain, augmented = game_of(), game_of(augment=augment)
    if augment == "ada":
        augmented.augment.p.fill_(1.0)
    batch = batch_of(plain)
    for name in ("generator_loss", "r1_loss"):
        values = []
        for game in (plain, augmented):
            torch.manual_seed(4)
            loss = getattr(game, name)(batch)
            loss.backward()
            values.append(loss.item())
        assert values[0] != values[1] and all(map(math.isfinite, values)), name
    assert all(p.grad is not None for p in augmented.generator.synthesis.layers.parameters())


# --------------------------------------------------------------------------------------------------------- pictures


def test_truncation_pulls_towards_the_mean() -> None:
    game = game_of()
    z = torch.randn(3, game.latent)
    mean, w = game.generator.mapping.mean, game.map(z)
    assert w.shape == (3, 5, 6) and torch.equal(w[:, 0], w[:, 4]) and w.std() > 0.1
    assert torch.allclose(game.map(z, truncation=0.25), mean + 0.25 * (w - mean), atol=1e-5)
    assert torch.allclose(game.map(z, truncation=0), mean.expand_as(w))
    first = game.map(z, truncation=0.25, truncation_cutoff=2)
    assert torch.allclose(first[:, :2], (mean + 0.25 * (w - mean))[:, :2], atol=1e-5)
    assert torch.equal(first[:, 2:], w[:, 2:])
    drawn = game.draw(range(3))[0]
    expected = game.synthesize(game.map(drawn, truncation=0.5, truncation_cutoff=3)).clamp(-1, 1)
    assert torch.allclose(game.sample(3, truncation=0.5, truncation_cutoff=3), expected, atol=1e-5)


def test_noise_is_an_option_without_effect() -> None:
    game = game_of()
    one = game.sample(2, noise="random")
    for noise in ("const", "none"):
        assert torch.equal(game.sample(2, noise=noise), one)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"truncation": float("nan")}, "truncation is nan; a number up to 1e6"),
        ({"truncation": "much"}, "truncation is much"),
        ({"truncation_cutoff": 6}, "truncation_cutoff is 6; a number of layers from 0 to 5"),
        ({"truncation_cutoff": -1}, "truncation_cutoff is -1"),
        ({"noise": "loud"}, "noise is 'loud'; random, const or none"),
    ],
)
def test_wrong_options(options: dict[str, Any], said: str) -> None:
    game = game_of()
    with pytest.raises(BadArgument, match=said):
        game.sample(1, **options)
    if "noise" not in options:
        with pytest.raises(BadArgument, match=said):
            game.map(torch.zeros(1, game.latent), **options)
    else:
        with pytest.raises(BadArgument, match=said):
            game.synthesize(torch.zeros(1, 5, 6), **options)


def test_wrong_latents() -> None:
    game = game_of()
    with pytest.raises(BadArgument, match=r"z has shape \(2, 5\); \(N, 6\) is expected"):
        game.map(torch.zeros(2, 5))
    with pytest.raises(BadArgument, match=r"ws has shape \(2, 4, 6\); \(N, 5, 6\) is expected"):
        game.synthesize(torch.zeros(2, 4, 6))


def test_labels_as_indices_and_as_vectors() -> None:
    game = game_of(classes=3)
    assert game.sample(4, labels=[0, 1, 2, 0]).shape == (4, *game.shape)
    vectors = torch.nn.functional.one_hot(torch.tensor([2, 0]), 3).float()
    assert torch.equal(game.sample(2, labels=vectors), game.sample(2, labels=[2, 0]))
    assert not torch.equal(game.sample(2, labels=vectors), game.sample(2, labels=[1, 0]))
    z = torch.randn(2, game.latent)
    between = game.map(z, torch.tensor([[0.5, 0.5, 0.0]] * 2))
    assert not torch.equal(between, game.map(z, [0, 0]))
    fit(game, 2)


def test_a_user_places_the_picture() -> None:
    """What `transform` says moves what `sample` draws, and is kept with the model."""
    game = game_of(size=16, layers=4)
    game.start_averages()
    before = game.sample(1, seed=2)
    game.averaged.synthesis.input.transform[0, 2] = -4 / 16
    moved = game.sample(1, seed=2)
    inside = moved[..., 2:-2, 6:-2] - before[..., 2:-2, 2:-6]
    assert inside.abs().max() < 0.1 * (moved - before).abs().max(), "four pixels to the right"
    assert "generator.synthesis.input.transform" in game.inference_tensors()
