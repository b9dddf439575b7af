"""Against torch-fidelity's kernel on the full sets, and against a double loop."""

from typing import Any

import numpy as np
import pytest
import torch

from ganzoo.metrics.functional.kernel import kernel_distance, kernel_distance_full
from ganzoo.types import BadArgument, BadData

fidelity = pytest.importorskip("torch_fidelity.metric_kid")
POLYNOMIAL = {
    "kid_kernel": "poly",
    "kid_kernel_poly_degree": 3,
    "kid_kernel_poly_gamma": None,
    "kid_kernel_poly_coef0": 1,
}


def pair(n: int, m: int, d: int, seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator).abs()
    return x, torch.randn(m, d, generator=generator).abs() * 1.02 + 0.01


@pytest.mark.parametrize("n, d", [(400, 64), (700, 128), (90, 512), (60, 2048), (333, 1280)])
def test_agrees_with_torch_fidelity_on_the_full_set(n: int, d: int) -> None:
    x, y = pair(n, n, d, seed=n)
    expected = fidelity.kernel_mmd(x.double().numpy(), y.double().numpy(), **POLYNOMIAL)
    assert kernel_distance_full(x, y) == pytest.approx(expected, rel=1e-4)
    assert kernel_distance_full(x, y, block=17) == pytest.approx(expected, rel=1e-4)


def test_sets_of_unequal_size_follow_the_formula() -> None:
    x, y = pair(7, 5, 3)
    k = [[[(float(a @ b) / 3 + 1) ** 3 for b in s] for a in r] for r, s in ((x, x), (y, y), (x, y))]
    within = [sum(v for i, row in enumerate(m) for j, v in enumerate(row) if i != j) for m in k[:2]]
    expected = within[0] / 42 + within[1] / 20 - 2 * sum(map(sum, k[2])) / 35
    assert kernel_distance_full(x, y) == pytest.approx(expected, rel=1e-5)


def test_the_mean_over_subsets_is_near_the_full_set_and_repeats() -> None:
    x, y = pair(600, 500, 32)
    y = y + 0.3
    found = kernel_distance(x, y, subsets=20, subset_size=200, seed=3)
    assert found == kernel_distance(x, y, subsets=20, subset_size=200, seed=3)
    assert found.mean != kernel_distance(x, y, subsets=20, subset_size=200, seed=4).mean
    assert abs(found.mean - kernel_distance_full(x, y)) < 4 * found.std / np.sqrt(20)
    assert 0 < found.std < found.mean


def test_subsets_are_those_of_numpys_random_state() -> None:
    x, y = pair(40, 30, 8)
    random = np.random.RandomState(5)
    values = []
    for _ in range(3):
        rows = [random.choice(len(v), 10, replace=False) for v in (x, y)]
        values.append(fidelity.kernel_mmd(x.double().numpy()[rows[0]], y.double().numpy()[rows[1]], **POLYNOMIAL))
    found = kernel_distance(x, y, subsets=3, subset_size=10, seed=5)
    assert found.mean == pytest.approx(np.mean(values), rel=1e-4)
    assert found.std == pytest.approx(np.std(values), rel=1e-4)


def test_it_is_unbiased_where_the_frechet_distance_is_not() -> None:
    values = [kernel_distance_full(*(v[:50] for v in pair_of_equals(seed))) for seed in range(200)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(200)


def pair_of_equals(seed: int) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(50, 16, generator=generator), torch.randn(50, 16, generator=generator)


@pytest.mark.parametrize("subsets, size", [(0, 10), (5, 41), (5, 1)])
def test_impossible_subsets_are_refused(subsets: int, size: int) -> None:
    x, y = pair(50, 40, 4)
    with pytest.raises(BadArgument, match="subset"):
        kernel_distance(x, y, subsets=subsets, subset_size=size)


def test_one_sample_is_refused() -> None:
    with pytest.raises(BadData):
        kernel_distance_full(torch.zeros(1, 4), torch.zeros(5, 4))
