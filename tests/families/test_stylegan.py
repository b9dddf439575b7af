from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import Noise, fit, same, tensors, tiny, trainer

import ganzoo
from ganzoo.folder import write_model
from ganzoo.nn.growing import enlarge
from ganzoo.training.checkpoints import AtomicIO
from ganzoo.types import BadArgument, Batch

GROWING = {"size": 16, "widths": [6, 5, 4], "stabilise": 8, "transition": 16, "start": 4}


def made(**arguments: Any) -> Any:
    """A tiny StyleGAN whose biases, noise and constant are not the initial ones."""
    game: Any = tiny("stylegan", **(GROWING | arguments))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, value in game.generator.named_parameters():
            if name.endswith(("bias", "strength", "constant")):
                value.normal_(std=1.0 if name.endswith("constant") else 0.3)
        game.generator.mapping.mean.normal_()
    return game


@torch.no_grad()
def drawn(game: Any, ws: torch.Tensor, lod: float) -> torch.Tensor:
    game.generator.synthesis.grow(lod)
    images: torch.Tensor = game.generator.synthesis(ws, "const")
    return images


# ------------------------------------------------------------------------------------------------------ the generator


def test_adaptive_instance_normalisation() -> None:
    """Equation 1: each feature map leaves a layer with the mean y_b and the deviation |y_s| (the scale is 1 + it)."""
    game = made().double()
    layer = game.generator.synthesis.layers[3]
    x, w = torch.randn(3, 5, 8, 8).double(), torch.randn(3, 6).double()
    y = layer(x, w, "const")
    scale, shift = layer.affine(w).chunk(2, 1)
    assert torch.allclose(y.mean((2, 3)), shift)
    assert torch.allclose(y.std((2, 3), correction=0), (1 + scale).abs(), rtol=1e-5)


def test_noise_comes_between_the_convolution_and_the_activation() -> None:
    game = made().double()
    layer = game.generator.synthesis.layers[2]  # the one that doubles the resolution
    x, w, noise = (torch.randn(*shape).double() for shape in ((2, 6, 4, 4), (2, 6), (2, 1, 8, 8)))
    up = F.conv2d(enlarge(x), layer.conv.weight * 2**0.5 / 54**0.5, padding=1)
    blur = torch.tensor([1.0, 2.0, 1.0]).double()
    up = F.conv2d(up, (blur[:, None] * blur / 16).expand(5, 1, 3, 3), padding=1, groups=5)
    for given, added in ((noise, noise), ("const", layer.noise), ("none", 0.0)):
        y = F.leaky_relu(up + layer.strength[:, None, None] * added + layer.bias[:, None, None], 0.2)
        scale, shift = layer.affine(w)[:, :, None, None].chunk(2, 1)
        expected = F.instance_norm(y, eps=1e-8) * (scale + 1) + shift
        assert torch.allclose(layer(x, w, given), expected)


def test_the_mapping_network_normalises_z_and_the_label_together() -> None:
    game = made(classes=3).double()
    mapping = game.generator.mapping
    z, labels = torch.randn(4, 6).double(), torch.tensor([0, 2, 1, 1])
    x = torch.cat([z, mapping.label[labels]], 1)
    x = x / (x.square().mean(1, keepdim=True) + 1e-8).sqrt()
    for layer in mapping.layers:
        he = 2**0.5 / layer.weight.shape[1] ** 0.5
        x = F.leaky_relu(0.01 * he * x @ layer.weight.T + 0.01 * layer.bias, 0.2)
    ws = mapping(z, labels)
    assert ws.shape == (4, 6, 6) and torch.allclose(ws, x[:, None].expand(-1, 6, -1))


def test_a_level_of_detail_is_the_smaller_network_in_larger_pixels() -> None:
    whole, small = made(), made(size=8)
    state = whole.generator.state_dict()
    small.generator.load_state_dict({name: state[name] for name in small.generator.state_dict()})
    ws = torch.randn(2, 6, 6)
    lower = enlarge(drawn(small, ws[:, :4], 0.0))
    assert torch.allclose(drawn(whole, ws, 1.0), lower)
    assert torch.allclose(drawn(whole, ws, 0.3), 0.7 * drawn(whole, ws, 0.0) + 0.3 * lower, atol=1e-5)
    assert torch.allclose(drawn(whole, ws, 1 - 1e-6), lower, atol=1e-5)
    assert len(drawn(whole, ws, 2.0)[0].unique()) == 16
    with pytest.raises(BadArgument, match=r"ws has shape \(2, 4, 6\); \(N, 6, 6\) is expected"):
        drawn(whole, ws[:, :4], 0.0)


def test_a_part_of_the_images_is_made_from_two_latents() -> None:
    game = made()
    generator, z = game.generator, torch.randn(200, 6)
    own = generator.mapping(z)[:, 0]
    for lod, used in ((0.0, 6), (1.5, 4)):
        generator.synthesis.grow(lod)
        ws = generator.mixed(z, None, mixing=0.9)
        mine = (ws == own[:, None]).all(2)
        first = mine.long().sum(1)
        assert (mine == (torch.arange(6) < first[:, None])).all(), "from a layer on, all are the other's"
        assert set(first.tolist()) == set(range(1, used + 1)), "and every layer in use may be that one"
        assert 0.8 < float((first < used).float().mean()) < 0.98
    assert (generator.mixed(z, None, mixing=0.0) == own[:, None]).all()


# ---------------------------------------------------------------------------------------------------------- pictures


def test_truncation_pulls_early_layers_towards_the_mean() -> None:
    game = made()
    z = torch.randn(2, 6)
    ws, mean = game.map(z), game.averaged.mapping.mean
    pulled = game.map(z, truncation=0.7, truncation_cutoff=2)
    assert torch.allclose(pulled[:, :2], mean + 0.7 * (ws[:, :2] - mean), atol=1e-6)
    assert torch.equal(pulled[:, 2:], ws[:, 2:])
    assert torch.allclose(game.map(z, truncation=0.0), mean.expand(2, 6, 6))
    assert torch.equal(game.map(z, truncation=1.0), ws) and torch.equal(game.map(z, truncation_cutoff=2), ws)
    assert not torch.equal(game.sample(2, truncation=0.5), game.sample(2))


def test_random_noise_is_each_seeds_own() -> None:
    game = made()
    rng = np.random.RandomState(5)
    z = torch.from_numpy(rng.randn(1, 6)).float()
    noise = [torch.from_numpy(rng.randn(1, 1, side, side)).float() for side in (4, 4, 8, 8, 16, 16)]
    with torch.no_grad():
        expected = game.averaged.synthesis(game.map(z), noise)
    images = game.sample(3, seed=4)
    assert torch.allclose(images[1:2], expected.clamp(-1, 1), atol=1e-5)
    const = game.sample(3, seed=4, noise="const")
    assert torch.allclose(game.limit(game.synthesize(game.map(z)))[0], const[1], atol=1e-5)
    none = game.sample(3, seed=4, noise="none")
    assert not torch.allclose(const, images) and not torch.allclose(const, none)
    with torch.no_grad():
        for layer in game.generator.synthesis.layers:
            layer.strength.zero_()
    assert torch.allclose(game.sample(3, seed=4), game.sample(3, seed=4, noise="none"), atol=1e-6)


def test_styles_are_mixed_layer_by_layer() -> None:
    game = made()
    grid = game.mix([1, 2], [3], layers=range(2))
    assert grid.shape == (2, 1, 1, 16, 16)
    rows, columns = game.map(game.draw([1, 2])[0]), game.map(game.draw([3])[0])
    for i in range(2):
        ws = torch.cat([columns[:, :2], rows[i : i + 1, 2:]], 1)
        assert torch.allclose(grid[i], game.limit(game.synthesize(ws)), atol=1e-6)
    with pytest.raises(BadArgument, match="layer 6 is out of range"):
        game.mix([1], [2], layers=[6])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"truncation": float("nan")}, "truncation is nan"),
        ({"truncation_cutoff": 7}, "truncation_cutoff is 7; a number of layers from 0 to 6"),
        ({"noise": "pink"}, "noise is 'pink'; random, const or none"),
        ({"colour": 1}, "StyleGAN has no colour"),
    ],
)
def test_wrong_options_are_one_line(options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadArgument, match=said) as error:
        made().sample(1, **options)
    assert "\n" not in str(error.value)


def test_wrong_latents_are_one_line() -> None:
    game = made()
    with pytest.raises(BadArgument, match=r"z has shape \(2, 5\); \(N, 6\) is expected"):
        game.map(torch.randn(2, 5))
    with pytest.raises(BadArgument, match="has no classes"):
        game.map(torch.randn(2, 6), labels=[0, 1])


# ---------------------------------------------------------------------------------------------------------- training


def test_the_losses_on_a_linear_discriminator(monkeypatch: pytest.MonkeyPatch) -> None:
    game = made(size=8, gamma=3.0, mixing=0.0).double()
    w = torch.randn(64, dtype=torch.float64) / 8
    monkeypatch.setattr(game, "record", lambda **values: None)
    monkeypatch.setattr(game.discriminator, "forward", lambda x, labels: x.flatten(1) @ w[:, None])
    batch = Batch(torch.rand(5, 1, 8, 8, dtype=torch.float64))
    fake = torch.rand(5, 1, 8, 8, dtype=torch.float64)
    monkeypatch.setattr(game, "images_seen", 10**6)  # grown whole
    monkeypatch.setattr(game, "fake", lambda batch: fake)
    real_logits, fake_logits = batch.images.flatten(1) @ w, fake.flatten(1) @ w
    expected = F.softplus(fake_logits).mean() + F.softplus(-real_logits).mean() + 1.5 * w.square().sum()
    assert torch.allclose(game.discriminator_loss(batch), expected)
    assert torch.allclose(game.generator_loss(batch), F.softplus(-fake_logits).mean())


def test_learning_rates_at_high_resolutions() -> None:
    game = made(size=256, widths=[2] * 7, start=64, stabilise=100, transition=100)
    rates = {0: 1.0, 100: 1.0, 101: 1.5, 299: 1.5, 301: 2.0, 400: 2.0}
    assert {images: game.rate(images) for images in rates} == rates


def test_the_mean_of_w_follows() -> None:
    game = made(decay=0.9, mixing=0.5)
    mapping, z = game.generator.mapping, torch.randn(8, 6)
    before, w = mapping.mean.clone(), mapping(z)[:, 0]
    game.generator(z, mixing=0.5, track=True)
    assert torch.allclose(mapping.mean, 0.9 * before + 0.1 * w.mean(0), atol=1e-6)
    game.generator(z)
    assert torch.allclose(mapping.mean, 0.9 * before + 0.1 * w.mean(0), atol=1e-6), "only while training"


def test_a_run_resumed_across_a_boundary_is_the_run(tmp_path: Path) -> None:
    whole = made()
    fit(whole, 8)
    trained = fit(made(), 5, plugins=[AtomicIO()])  # in the last batch of the first fade
    trained.save_checkpoint(tmp_path / "half.ckpt")
    second = made()
    fit(second, 8, ckpt=tmp_path / "half.ckpt")
    assert same(tensors(whole), tensors(second)) == []
    assert float(second.averaged.synthesis.lod) == 1.0


def test_an_unfinished_conditional_model_is_loaded_as_it_was(tmp_path: Path) -> None:
    game = made(classes=3)
    trainer(4).fit(game, Noise((1, 16, 16), classes=3))
    write_model(game, tmp_path / "model", {})
    loaded = ganzoo.load(tmp_path / "model")
    images = loaded.sample(2, seed=3, labels=[0, 2])
    assert torch.allclose(images, game.sample(2, seed=3, labels=torch.eye(3)[[0, 2]]), atol=1e-5)
    assert torch.equal(images, enlarge(images[..., ::2, ::2])), "its pixels are those of 8 x 8"
    assert not torch.allclose(images, loaded.sample(2, seed=3, labels=1))
