"""Projection: own samples are found again, schedules and noise against the formulas by hand, resuming to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import close, pictures, tiny
from torch import Tensor

from ganzoo import latent
from ganzoo.latent.projection import Projection, nearest_network, save_projection, signals, way_of
from ganzoo.types import BadArgument


def flat(images: Tensor) -> Tensor:
    """Stands in for a feature network: pixels, divided so that the squared distance is a mean."""
    return images.flatten(1) / images[0].numel() ** 0.5


def strong(name: str, **arguments: Any) -> Any:
    """A tiny model whose pictures differ, and lie in [-1, 1]: fresh weights make them grey, or too strong."""
    game: Any = tiny(name, **arguments)
    factor = 0.3 if name == "stylegan2" else 6
    with torch.no_grad():
        for key, parameter in game.generator.named_parameters():
            if parameter.dim() > 1 and (name != "stylegan2" or key.endswith("to_rgb.weight")):
                parameter *= factor
    return game


@pytest.mark.parametrize(("name", "space"), [("stylegan2", "w"), ("stylegan2", "w+"), ("dcgan", "z"), ("bigan", "z")])
def test_own_samples_are_found_again(name: str, space: str) -> None:
    game = strong(name)
    options = {"noise": "const"} if name == "stylegan2" else {}
    targets = game.sample(3, seed=500, **options)
    told: list[int] = []
    found = latent.project(game, targets, space, 80, network=flat, noise="const", starts=2, progress=told.append)
    begun = latent.project(game, targets, space, 1, network=flat, noise="const", starts=2)
    assert len(told) == 80 and found.network == "given"
    assert (found.distances < 0.5 * begun.distances + 1e-6).all()
    wanted = (found.images - targets).abs().mean((1, 2, 3))
    assert close(found.errors, wanted, 1e-5)
    assert close(latent.images(game, found.latents), found.images, 1e-4), "the latents make the images"
    if space == "z":
        assert found.latents.values.abs().max() < 1, "inside the prior's range"
    if space == "w":
        assert close(found.latents.values[:, 0], found.latents.values[:, 1], 1e-6)


def test_noise_is_learnt_and_stays_white() -> None:
    game = strong("stylegan2")
    found = latent.project(game, pictures(2, game.shape), "w", 5, network=flat)
    assert [tuple(each.shape) for each in found.noise] == [(2, 1, s, s) for s in game.averaged.synthesis.sizes]
    for each in found.noise:
        assert close(each.mean((1, 2, 3)), torch.zeros(2), 1e-5, 1.0)
        assert close(each.square().mean((1, 2, 3)), torch.ones(2), 1e-5)


def test_signals_in_noise_by_hand() -> None:
    noise = np.random.RandomState(0).randn(1, 1, 16, 16)
    total = 0.0
    for level in (noise[0, 0], noise[0, 0].reshape(8, 2, 8, 2).mean((1, 3))):
        for axis in (0, 1):
            total += (level * np.roll(level, 1, axis)).mean() ** 2
    assert close(signals(torch.from_numpy(noise)), torch.tensor([total], dtype=torch.float64), 1e-9)


def test_an_interrupted_search_goes_on_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganzoo.latent.projection._SAVED", 10)
    game = strong("stylegan2")
    targets = pictures(2, game.shape)

    def searched(state: str, **options: Any) -> Projection:
        return latent.project(game, targets, "w", 22, network=flat, state=tmp_path / state, **options)

    whole = searched("whole")
    stop = iter(range(15))

    def interrupt(n: int) -> None:
        if next(stop, None) is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        searched("cut", progress=interrupt)
    told: list[int] = []
    again = searched("cut", resume=True, progress=told.append)
    assert len(told) == 12, "from step 10 on"
    assert torch.equal(again.latents.values, whole.latents.values)
    assert all(torch.equal(a, b) for a, b in zip(again.noise, whole.noise, strict=True))
    assert len(again.way) == len(whole.way) == 22
    with pytest.raises(BadArgument, match=r"is of another search: its pixels is 1\.0, not 0\.5"):
        searched("cut", resume=True, pixels=0.5)


def test_pivotal_tuning_moves_a_copy_of_the_generator() -> None:
    game = strong("stylegan2")
    before = {key: value.clone() for key, value in game.state_dict().items()}
    found = latent.project(game, pictures(1, game.shape), "w", 20, network=flat)
    tuned = latent.tune(found, 30, network=flat, lr=3e-3)
    assert tuned.distances[0] < 0.9 * found.distances[0] and tuned.model is not game
    assert torch.equal(tuned.latents.values, found.latents.values), "the pivot stays"
    assert all(torch.equal(before[key], value) for key, value in game.state_dict().items())


def test_an_encoder_begins() -> None:
    game = strong("bigan")
    targets = game.sample(2)
    found = latent.project(game, targets, "z", 1, network=flat)
    # The first step has a rate of 0: what is found is where it began
    assert close(found.latents.values, game.encode(targets), 1e-3, 1.0)


def test_labels_come_from_the_starts_or_are_given() -> None:
    game: Any = tiny("acgan")
    targets = game.sample(2, labels=[0, 2])
    given = latent.project(game, targets, "z", 2, network=flat, labels=[0, 2], starts=2).latents.labels
    own = latent.project(game, targets, "z", 2, network=flat, starts=2).latents.labels
    assert given is not None and own is not None and given.tolist() == [0, 2] and own.shape == (2,)


def test_a_named_network_and_what_is_written(tmp_path: Path) -> None:
    assert nearest_network() in ("vgg16_lpips", "mobilenet_v2")
    game = strong("dcgan")
    found = latent.project(game, game.sample(2), "z", 2, network="digits_cnn")
    assert found.network == "digits_cnn" and found.distances.shape == (2,)
    save_projection(found, tmp_path)
    assert torch.equal(latent.load_latents(tmp_path / "latents.safetensors", game).values, found.latents.values)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latents.safetensors", "projection.png"]
    assert [frame.size for frame in way_of(found)] == [(128, 128)] * 2


def test_strokes_are_painted_and_the_rest_stays() -> None:
    game = strong("dcgan")
    start = latent.draw(game, [4])
    before = game.sample(1, seed=4)
    mask, strokes = torch.zeros(8, 8), torch.zeros(1, 8, 8)
    mask[:4, :4], strokes[:, :4, :4] = 1, game.sample(1, seed=5)[0, :, :4, :4]
    found, image = latent.paint(game, start, strokes, mask, 60, near=0.0)
    inside, began = ((x[0] - strokes)[:, :4, :4].abs().mean() for x in (image, before))
    assert inside < 0.7 * began
    assert close(latent.images(game, found), image, 1e-4)
    photo = pictures(1, game.shape)[0] * 0.5
    _, edited = latent.paint(game, start, strokes, mask, 10, photo=photo)
    change = latent.images(game, latent.paint(game, start, strokes, mask, 10)[0]) - before
    assert ((edited - photo[None]).abs() <= change.abs() + 1e-5).all(), "a photograph takes no more than the change"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"space": "w"}, "space is 'w'; z is expected of DCGAN"),
        ({"targets": torch.zeros(1, 1, 9, 9)}, r"images have shape \(1, 1, 9, 9\); \(n, 1, 8, 8\) is expected"),
        ({"targets": torch.full((1, 1, 8, 8), 2.0)}, r"Images must lie in \[-1, 1\]"),
        ({"steps": 0}, "0 steps from 1 starts"),
    ],
)
def test_what_cannot_be_projected(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(BadArgument, match=said):
        latent.project(tiny("dcgan"), **{"targets": torch.zeros(1, 1, 8, 8), "network": flat, **asked})


@pytest.mark.parametrize(
    ("strokes", "mask"),
    [((1, 9, 9), (8, 8)), ((1, 8, 8), (9, 9)), ((1, 8, 8), (0, 0)), ((1, 8, 8), (8, 8))],
)
def test_strokes_outside_the_picture(strokes: tuple[int, ...], mask: tuple[int, ...]) -> None:
    game: Any = tiny("dcgan")
    with pytest.raises(BadArgument, match=r"strokes have shape \(1, 9, 9\); that of the picture|mask is "):
        latent.paint(game, latent.draw(game, [0]), torch.zeros(strokes), torch.zeros(mask))
