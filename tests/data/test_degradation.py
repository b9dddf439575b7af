"""The second-order degradation: kernels against closed forms, noise and resizing by their statistics."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from helpers import pictures
from numpy.random import RandomState
from scipy import special  # type: ignore[import-untyped]

from ganzoo.data.degradation import (
    FIRST,
    Order,
    blur_kernel,
    degrade,
    filtered,
    jpeg,
    noisy,
    random_kernel,
    resized,
    sharpened,
    sinc_kernel,
)
from ganzoo.types import BadArgument


def test_a_round_gaussian_is_the_product_of_two() -> None:
    at = np.arange(-7, 8)
    row = np.exp(-0.5 * (at / 1.7) ** 2)
    wanted = np.outer(row, row) / row.sum() ** 2
    assert np.allclose(blur_kernel(15, 1.7, 1.7), wanted, atol=1e-7)


def test_a_turned_ellipse_has_its_covariance() -> None:
    kernel = blur_kernel(61, 4.0, 2.0, angle=0.6).double().numpy()
    at = np.arange(-30, 31)
    x, y = np.meshgrid(at, at)
    turn = np.array([[math.cos(0.6), -math.sin(0.6)], [math.sin(0.6), math.cos(0.6)]])
    wanted = turn @ np.diag([16.0, 4.0]) @ turn.T
    found = np.array(
        [[(kernel * x * x).sum(), (kernel * x * y).sum()], [(kernel * x * y).sum(), (kernel * y * y).sum()]]
    )
    assert np.allclose(found, wanted, rtol=1e-3)


def test_powers_and_plateaus() -> None:
    q = np.add.outer(np.arange(-3, 4) ** 2, np.arange(-3, 4) ** 2) / 1.5**2
    for plateau, raw in ((False, np.exp(-0.5 * q**0.7)), (True, 1 / (1 + q**0.7))):
        assert np.allclose(blur_kernel(7, 1.5, 1.5, power=0.7, plateau=plateau), raw / raw.sum(), atol=1e-7)


def test_the_sinc_passes_what_is_slow_and_stops_what_is_fast() -> None:
    kernel = sinc_kernel(1.2, 21)
    at = np.arange(-10, 11)
    r = np.hypot(*np.meshgrid(at, at)) + 1e-12
    raw = 1.2 * special.j1(1.2 * r) / (2 * np.pi * r)
    assert np.allclose(kernel, raw / raw.sum(), atol=1e-7)
    heard = [abs((kernel.numpy() * np.cos(w * at)).sum()) for w in (0.3, 2.8)]
    assert heard[0] > 0.9 and heard[1] < 0.1


def test_kernels_are_drawn_of_all_kinds() -> None:
    rng = RandomState(0)
    kernels = [random_kernel(rng, (0.2, 3.0)) for _ in range(400)]
    assert {len(kernel) for kernel in kernels} == set(range(7, 22, 2))
    assert all(abs(float(kernel.sum()) - 1) < 1e-5 for kernel in kernels)
    ringing = np.mean([float(kernel.min()) < -1e-6 for kernel in kernels])
    assert 0.02 < ringing < 0.18, "a tenth are sinc filters"
    turned = np.mean([not torch.allclose(kernel, kernel.T, atol=1e-6) for kernel in kernels])
    assert 0.18 < turned < 0.4, "0.9 times 0.31 are longer one way"


def test_filters_leave_what_is_even_as_it_is() -> None:
    even = torch.full((3, 5, 4), 0.3)
    assert torch.allclose(filtered(even, blur_kernel(21, 2.0, 3.0, 0.4)), even)
    assert filtered(even, None) is even
    assert resized(even, (2, 9), "area").shape == (3, 2, 9)


def test_noise_has_the_strength_that_it_is_asked_for() -> None:
    grey = torch.full((3, 64, 64), 0.5)
    order = Order(gaussian=(10.0, 10.0), poisson=(1.0, 1.0), grey=0.4)
    spreads, alike = [], []
    for seed in range(200):
        rest = noisy(grey, order, RandomState(seed)) - grey
        spreads.append(round(float(rest.std()), 2))
        alike.append(torch.equal(rest[0], rest[1]))
    # Gaussian of 10 / 255; Poisson's of one level of light, sqrt(0.5)... is clamped, and so smaller
    assert np.mean(np.isclose(spreads, 0.04, atol=0.011)) == pytest.approx(0.5, abs=0.18)
    assert np.mean(alike) == pytest.approx(0.4, abs=0.18)
    assert noisy(grey, FIRST, RandomState(3)).equal(noisy(grey, FIRST, RandomState(3)))


def test_poisson_noise_follows_the_light() -> None:
    light = torch.linspace(0, 1, 256).repeat(256, 1)[None]  # 256 levels, and so 256 counts at most
    order = Order(poisson=(1.0, 1.0), grey=0.0)
    found = next(
        noisy(light, order, rng) - light
        for rng in map(RandomState, range(20))
        if RandomState(rng.get_state()[1][0]).uniform() >= 0.5  # type: ignore[index]
    )
    for level in (0.25, 0.5, 0.75):
        column = round(level * 255)
        spread = float(found[0, :, column - 5 : column + 6].std())
        assert spread == pytest.approx(math.sqrt(level / 256), rel=0.15)


def test_jpeg_and_sharpening() -> None:
    image = torch.from_numpy(RandomState(0).uniform(0, 1, (3, 32, 32)).astype(np.float32))
    bad, good = (float((jpeg(image, q) - image).abs().mean()) for q in (30, 95))
    assert 0 < good < bad
    edge = torch.zeros(1, 1, 40, 40)
    edge[..., 20:] = 0.5
    sharp = sharpened(edge)
    assert sharp.shape == edge.shape and sharp[..., 19].mean() < 0 < 0.5 < sharp[..., 20].mean(), "an edge is steeper"
    even = torch.full((1, 3, 16, 16), 0.2)
    assert torch.allclose(sharpened(even), even, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_degraded_pictures(channels: int) -> None:
    images = pictures(3, (channels, 32, 40))
    small = degrade(images, 4, torch.tensor([1, 2, 3]))
    assert small.shape == (3, channels, 8, 10) and small.abs().max() <= 1
    levels = (small + 1) * 127.5
    assert torch.allclose(levels, levels.round(), atol=1e-3), "as of a file"
    assert torch.equal(degrade(images[1:2], 4, torch.tensor([2]))[0], small[1]), "each from its own seed"
    assert not torch.equal(degrade(images[1:2], 4, torch.tensor([3]))[0], small[1])
    with pytest.raises(BadArgument, match="32x40 pixels; multiples of 3"):
        degrade(images, 3, torch.zeros(3))


def test_a_grey_picture_stays_about_as_light_as_it_was() -> None:
    images = torch.full((40, 1, 16, 16), 0.0)
    small = degrade(images, 2, torch.arange(40))
    assert abs(float(small.mean())) < 0.1
