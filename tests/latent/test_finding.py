"""Directions: SeFa against the weights, GANSpace against PCA of numpy, planes and reconstructors on known data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import close, tiny
from torch import Tensor

from ganzoo import latent
from ganzoo.game import registry
from ganzoo.latent.attribute import discriminants
from ganzoo.latent.finding import Directions, ganspace, readers, sefa
from ganzoo.latent.latents import draw_many
from ganzoo.latent.voynov import glimpses
from ganzoo.types import BadArgument


def by_weights(a: np.ndarray, count: int) -> Tensor:
    """Eigenvectors of the rows' products, each row first of length 1, with the largest number positive."""
    a = a / np.linalg.norm(a, axis=1, keepdims=True)
    _, vectors = np.linalg.eigh(a.T @ a)
    found = vectors.T[::-1][:count]
    return torch.from_numpy(np.stack([v * np.sign(v[np.abs(v).argmax()]) for v in found]))


def test_sefa_of_a_first_layer_is_that_of_its_weights() -> None:
    game: Any = tiny("dcgan")
    weight = game.generator.main[0].weight.detach().double().numpy()  # (latent, maps, 4, 4)
    found = sefa(game, count=3)
    assert found.space == "z" and close(found.vectors.double(), by_weights(weight.reshape(len(weight), -1).T, 3), 1e-4)
    assert close(found.vectors.norm(dim=1), torch.ones(3), 1e-5)


@pytest.mark.parametrize("layers", [None, [0, 1]])
def test_sefa_of_styles_is_that_of_their_affine_maps(layers: list[int] | None) -> None:
    game: Any = tiny("stylegan2")
    blocks = game.generator.synthesis.blocks
    # (layer of w, its map): the image's w is that of the next block's first convolution
    maps = [(0, blocks[0].conv.conv), (1, blocks[0].to_rgb), (1, blocks[1].up.conv), (2, blocks[1].conv.conv)]
    maps += [(3, blocks[1].to_rgb)]
    rows = [m.affine.weight.detach().double().numpy() for layer, m in maps if layers is None or layer in layers]
    found = sefa(game, count=2, layers=layers)
    assert found.space == "w" and close(found.vectors.double(), by_weights(np.concatenate(rows), 2), 1e-4)


@pytest.mark.parametrize("name", registry.list_families())
def test_every_family_that_samples_has_layers_that_read_its_latent(name: str) -> None:
    game: Any = tiny(name)
    if "samples" not in game.abilities:
        with pytest.raises(BadArgument, match="has no z"):
            sefa(game)
        return
    found = sefa(game, count=2)
    assert found.vectors.isfinite().all() and (found.scales > 0).all()
    latents = latent.draw(game, [0, 1], found.space)
    images = latent.sheet(game, latents, found, [-2, 0, 2])
    assert images.shape == (2, 2, 3, *game.shape)
    assert close(images[0, :, 1], latent.images(game, latents), 1e-5), "strength 0 moves nothing"


def test_looking_leaves_the_model_as_it_was() -> None:
    game: Any = tiny("dcgan")
    before = {key: value.clone() for key, value in game.state_dict().items()}
    game.train()
    readers(game, latent.draw(game, [0]))
    assert all(p.requires_grad and p.grad is None for p in game.generator.parameters()) and game.generator.training
    assert all(torch.equal(before[key], value) for key, value in game.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in game.generator.modules())


def test_ganspace_of_w_is_its_pca() -> None:
    game: Any = tiny("stylegan2")
    found = ganspace(game, count=2, n=500)
    w = draw_many(game, "w", 500).values[:, 0].double().numpy()
    values, vectors = np.linalg.eigh(np.cov(w.T))
    for vector, wanted, share in zip(found.vectors, vectors.T[::-1], found.facts["variance"], strict=False):
        assert abs(abs(float(vector.double() @ torch.from_numpy(wanted.copy()))) - 1) < 1e-3
        assert share > 0
    assert abs(found.facts["variance"][0] - values[-1] / values.sum()) < 1e-3


@pytest.mark.parametrize("layer", [None, "main.0"])
def test_ganspace_of_z_answers_its_activations(layer: str | None) -> None:
    game: Any = tiny("dcgan")
    found = ganspace(game, count=2, n=300, layer=layer)
    z = draw_many(game, "z", 300).values.double()
    x = torch.nn.functional.conv_transpose2d(z[..., None, None], game.generator.main[0].weight.detach().double())
    x = x.flatten(1) - x.flatten(1).mean(0)
    _, _, axes = torch.linalg.svd(x, full_matrices=False)
    wanted = torch.linalg.lstsq((x @ axes[0])[:, None], z - z.mean(0)).solution[0]
    assert abs(float(found.vectors[0].double() @ wanted / wanted.norm())) > 0.999


def test_a_hyperplane_finds_the_attribute_that_it_is_told() -> None:
    game: Any = tiny("dcgan")
    z = latent.draw(game, range(400)).values
    normal = torch.tensor([0.6, 0.0, -0.8, 0.0, 0.0, 0.0])
    found = latent.directions(game, "attribute", scores=z @ normal, n=400, share=0.2, name="lean")
    assert found.vectors[0] @ normal > 0.98 and found.facts["accuracy"] > 0.9 and found.facts["attribute"] == "lean"
    turned = latent.directions(game, "attribute", scores=-(z @ normal), n=400, share=0.2)
    assert turned.vectors[0] @ normal < -0.98
    brighter = latent.directions(game, "attribute", scores=lambda x: x.mean((1, 2, 3)), n=200)
    moved = latent.edit(game, latent.draw(game, range(20)), brighter, strength=2)
    rise = latent.images(game, moved).mean((1, 2, 3)) - game.sample(20).mean((1, 2, 3))
    assert (rise > 0).float().mean() > 0.9


def test_discriminants_are_those_of_the_nearest_mean() -> None:
    rng = np.random.RandomState(0)
    kinds = rng.randint(0, 4, 400)
    x = rng.randn(4, 6)[kinds] * 2 + rng.randn(400, 6) @ rng.randn(6, 6)
    normals, axes, means = (each.numpy() for each in discriminants(torch.tensor(x), torch.tensor(kinds), 4))
    assert np.allclose(normals @ axes.T, np.eye(3)) and means.shape == (4, 3)
    # By Mahalanobis's distance in all six numbers, with the same covariance
    mu = np.stack([x[kinds == k].mean(0) for k in range(4)])
    s = np.cov((x - mu[kinds]).T, bias=True)
    s = 0.9 * s + 0.1 * np.trace(s) / 6 * np.eye(6)
    off = x[:, None] - mu
    far = np.einsum("nki,ij,nkj->nk", off, np.linalg.inv(s), off)
    near = ((x @ normals.T)[:, None] - means) ** 2
    assert np.allclose(far - far[:, :1], near.sum(2) - near.sum(2)[:, :1])


def test_a_latent_takes_a_value_and_keeps_all_else() -> None:
    game: Any = tiny("dcgan")
    z = latent.draw(game, range(600)).values
    ways = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(0)))[0][:3]
    found = latent.directions(game, "attribute", scores=z @ ways.T, n=600, values=["red", "green", "blue"])
    assert len(found) == 2 and found.facts["accuracy"] > 0.8
    start = latent.draw(game, range(1000, 1100))
    moved = latent.towards(game, start, found, "green")
    assert ((moved.values @ ways.T).argmax(1) == 1).float().mean() > 0.95
    assert close(latent.towards(game, moved, found, 1).values, moved.values, 1e-4), "it is there already"
    assert torch.equal(latent.towards(game, start, found, 1, share=0.0).values, start.values)
    step = moved.values - start.values
    assert close(step @ torch.linalg.pinv(found.vectors) @ found.vectors, step, 1e-4), "in the directions' span"
    assert np.linalg.matrix_rank(step.numpy(), tol=1e-3) == 2


def test_an_attribute_that_is_there_or_not() -> None:
    game: Any = tiny("stylegan2")
    w = latent.draw(game, range(300), "w")
    scores = w.values[:, 0, 1]
    found = latent.directions(game, "attribute", scores=scores, n=300, share=0.3, name="lean")
    assert found.facts["values"] == ["without lean", "lean"] and found.space == "w"
    some, few, top = w.part(0, 50), scores.sort().values[-90:], [0, 2]
    moved = latent.towards(game, some, found, "lean", layers=top)
    assert torch.equal(moved.values[:, [1, 3]], some.values[:, [1, 3]])
    # The mean of those that have it, and a deviation of theirs more
    assert (moved.values[:, top, 1].mean() - few.mean() - few.std()).abs() < few.std()


def test_a_reconstructor_of_a_layer_goes_on_to_the_bit(tmp_path: Path) -> None:
    game: Any = tiny("stylegan2")
    options: dict[str, Any] = {"count": 2, "batch_size": 4, "layer": "synthesis.blocks.0", "steps": 4}
    whole = latent.directions(game, "voynov", **options)
    assert 0 < whole.facts["explained"] <= 1 and whole.facts["layer"] == "synthesis.blocks.0"
    options |= {"state": tmp_path / "state"}
    latent.directions(game, "voynov", **{**options, "steps": 2})
    again = latent.directions(game, "voynov", **options, resume=True)
    assert torch.equal(again.vectors, whole.vectors) and again.facts == whole.facts
    assert all(torch.equal(again.tensors[key], value) for key, value in whole.tensors.items())
    with pytest.raises(BadArgument, match=r"is of another search: its lr is 0\.001, not 0\.1"):
        latent.directions(game, "voynov", **{**options, "lr": 0.1}, resume=True)


def test_a_picture_is_read_off_a_layer() -> None:
    game: Any = tiny("dcgan")  # whose last layer but tanh is a picture already
    with game.inferring():
        look, share = glimpses(game, f"main.{len(game.generator.main) - 2}", "z", 8)
        z = latent.draw(game, range(4))
        assert share > 0.99 and close(look(z), game.sample(z=z.values), 0.1)


def test_a_reconstructor_learns_with_its_directions() -> None:
    game: Any = tiny("dcgan", width=16)
    with torch.no_grad():
        for weight in game.generator.parameters():
            weight *= 4  # fresh weights of N(0, 0.02) make grey pictures, which nobody can tell apart
    told: list[int] = []
    options: dict[str, Any] = {"count": 3, "steps": 150, "batch_size": 16, "lr": 0.01}
    found = latent.directions(game, "voynov", progress=told.append, **options)
    assert len(told) == 150 and found.facts["accuracy"] > 0.5, "chance is a third"
    options["steps"] = 3
    one, other = (latent.directions(game, "voynov", **options) for _ in range(2))
    assert torch.equal(one.vectors, other.vectors)
    assert "reconstructor.trunk.0.weight" in found.tensors
    styled: Any = tiny("stylegan2")
    assert latent.directions(styled, "voynov", count=2, steps=2, batch_size=4).space == "w"


def test_directions_are_their_models_alone(tmp_path: Path) -> None:
    game: Any = tiny("dcgan")
    found = sefa(game, count=2)
    found.save(tmp_path / "d.safetensors")
    again = latent.load_directions(tmp_path / "d.safetensors", game)
    assert torch.equal(again.vectors, found.vectors) and torch.equal(again.scales, found.scales)
    assert (again.method, again.facts, again.generator) == (found.method, found.facts, found.generator)
    other: Any = tiny("dcgan", width=5)
    with pytest.raises(BadArgument, match="is of another model"):
        latent.load_directions(tmp_path / "d.safetensors", other)
    with pytest.raises(BadArgument, match="directions of another model"):
        latent.edit(other, latent.draw(other, [0]), found)
    latent.save_latents(tmp_path / "z.safetensors", game, latent.draw(game, [3]))
    assert torch.equal(latent.load_latents(tmp_path / "z.safetensors", game).values, latent.draw(game, [3]).values)
    with pytest.raises(BadArgument, match="is of another model"):
        latent.load_latents(tmp_path / "z.safetensors", other)
    with pytest.raises(BadArgument, match="no file of latents"):
        latent.load_latents(tmp_path / "d.safetensors", game)


@pytest.mark.parametrize("content", [b"", b"x" * 100, (2**40).to_bytes(8, "little") + b"{}", b"\2\0\0\0\0\0\0\0{}"])
def test_a_file_that_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "d").write_bytes(content)
    with pytest.raises(BadArgument, match="no file of directions"):
        latent.load_directions(tmp_path / "d", tiny("dcgan"))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"index": 2}, "direction 2 is out of range; there are 2"),
        ({"strength": float("nan")}, "strength is nan"),
        ({"layers": [9]}, "layer 9 is out of range; the layers of w run from 0 to 3"),
    ],
)
def test_what_cannot_be_edited(asked: dict[str, Any], said: str) -> None:
    game: Any = tiny("stylegan2")
    with pytest.raises(BadArgument, match=said):
        latent.edit(game, latent.draw(game, [0], "w"), sefa(game, count=2), **asked)


def test_directions_of_no_attribute_have_no_values() -> None:
    game: Any = tiny("dcgan")
    with pytest.raises(BadArgument, match="layers are those of w; the directions looked for are in z"):
        sefa(game, layers=[0])
    with pytest.raises(BadArgument, match="directions by sefa have no values to move to"):
        latent.towards(game, latent.draw(game, [0]), sefa(game, count=2))
    scores = latent.draw(game, range(60)).values[:, 0]
    found = latent.directions(game, "attribute", scores=scores, n=60, share=0.5)
    with pytest.raises(BadArgument, match="value 2 is out of range; there are 2"):
        latent.towards(game, latent.draw(game, [0]), found, 2)


def test_a_direction_moves_the_layers_that_it_is_meant_for() -> None:
    game: Any = tiny("stylegan2")
    found: Directions = sefa(game, count=1, layers=[2])
    latents = latent.draw(game, [0], "w")
    moved = (latent.edit(game, latents, found).values - latents.values)[0].norm(dim=1)
    assert moved[2] > 0 and not moved[[0, 1, 3]].any()
    with pytest.raises(BadArgument, match=r"a direction in w cannot move latents \(1, 6\)"):
        latent.edit(game, latent.draw(game, [0]), found)


@pytest.mark.parametrize(
    ("method", "options", "said"),
    [
        ("pca", {}, "method is 'pca'; sefa, ganspace, voynov, attribute are expected"),
        ("sefa", {"n": 3}, "sefa has no n; its options are space, count"),
        ("sefa", {"count": 0}, "0 directions were asked for"),
        ("ganspace", {"layer": "x", "n": 10}, "the generator has no layer 'x'"),
        ("attribute", {"scores": torch.zeros(50), "n": 50}, "are all the same"),
        ("attribute", {"scores": torch.zeros(3), "n": 50}, "3 scores of 50 samples"),
        ("attribute", {"scores": torch.eye(3)[[0, 1] * 25], "n": 50}, "0 of 50 samples are value 2, too few"),
        ("attribute", {"scores": torch.eye(50), "n": 50, "values": ["a"]}, "1 names of 50 values"),
        ("voynov", {"layer": "x", "steps": 1}, "the generator has no layer 'x'"),
    ],
)
def test_what_cannot_be_found(method: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadArgument, match=said):
        latent.directions(tiny("dcgan"), method, **options)
