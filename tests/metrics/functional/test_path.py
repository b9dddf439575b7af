"""The path length of generators whose length is known in closed form."""

import math

import numpy as np
import pytest
import torch

from ganzoo.metrics import feature_network, perceptual_path_length
from ganzoo.metrics.features.network import describe
from ganzoo.metrics.functional.path import Paths, feature_distance, slerp
from ganzoo.types import BadArgument, BadData


def latents(n: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.stack([np.random.RandomState(seed + i).randn(6) for i in range(n)]))


def squared(one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
    return (one - two).flatten(1).square().sum(1)


def as_images(z: torch.Tensor) -> torch.Tensor:
    return (0.1 * z).view(-1, 1, 2, 3)


def trimmed(lengths: list[float]) -> float:
    low, high = np.percentile(lengths, 1, method="lower"), np.percentile(lengths, 99, method="higher")
    return float(np.mean([v for v in lengths if low <= v <= high]))


def test_a_linear_generator_has_the_squared_length_of_its_paths_in_w() -> None:
    n = 200
    z = latents(2 * n, 0)
    expected = trimmed([float(0.01 * (b - a).square().sum()) for a, b in zip(z[0::2], z[1::2], strict=True)])
    for ends in (False, True):
        paths = Paths(latents, as_images, lambda z: z, as_images)
        found = perceptual_path_length(paths, squared, n, space="w", ends=ends, epsilon=1e-3, batch_size=33)
        assert found.value == pytest.approx(expected, rel=1e-6)
    assert found.details["paths"] <= n - 2


def test_on_the_sphere_the_length_of_a_path_is_its_angle() -> None:
    n = 150
    unit = [z / z.norm(dim=1, keepdim=True) for z in (latents(2 * n, 0)[0::2], latents(2 * n, 0)[1::2])]
    angles = (unit[0] * unit[1]).sum(1).arccos()
    expected = trimmed([float(0.01 * angle**2) for angle in angles])

    def directions(m: int, seed: int) -> torch.Tensor:
        return torch.nn.functional.normalize(latents(m, seed), dim=1)

    found = perceptual_path_length(Paths(directions, as_images), squared, n, epsilon=1e-4)
    assert found.value == pytest.approx(expected, rel=1e-5)


def test_slerp_runs_along_the_great_circle_and_keeps_norms() -> None:
    a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    assert torch.allclose(slerp(a, b, torch.tensor([[0.0]])), a)
    assert torch.allclose(slerp(a, b, torch.tensor([[1.0]])), b)
    assert torch.allclose(slerp(a, b, torch.tensor([[0.5]])), 3 * torch.tensor([[math.sqrt(0.5)] * 2]))
    assert torch.allclose(slerp(a, a, torch.tensor([[0.3]])), a)  # no direction to go to


def test_distance_in_features_is_squared_and_unrounded() -> None:
    network = feature_network("digits_cnn")
    one = torch.zeros(3, 1, 8, 8)
    two = one + 0.001  # less than one level of 8 bits
    expected = (network(one) - network(two)).square().sum(1)
    found = feature_distance(network)(one, two)
    assert torch.allclose(found.float(), expected, rtol=1e-3) and bool((found > 0).all())


def test_the_learned_distance_is_described_without_its_weights() -> None:
    assert describe("vgg16_lpips").sha256.startswith("397923af")


def test_bad_input_is_named() -> None:
    paths = Paths(latents, as_images)
    with pytest.raises(BadArgument, match="n=1"):
        perceptual_path_length(paths, squared, n=1)
    with pytest.raises(BadArgument, match="epsilon=0"):
        perceptual_path_length(paths, squared, epsilon=0)
    with pytest.raises(BadArgument, match="no latents w"):
        perceptual_path_length(paths, squared, space="w")
    with pytest.raises(BadData, match="path 0 is NaN"):
        perceptual_path_length(paths, lambda a, b: squared(a, b) * torch.nan, n=4)
