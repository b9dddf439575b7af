"""Against torch-fidelity's and scipy's computation, closed forms, and each other's path."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from ganzoo.metrics.functional.frechet import frechet_distance, frechet_distance_of_moments, moments
from ganzoo.types import BadArgument, BadData

fidelity = pytest.importorskip("torch_fidelity.metric_fid")
linalg = pytest.importorskip("scipy.linalg")

CASES = [(300, 400, 64), (1000, 700, 128), (90, 200, 128), (150, 60, 256), (80, 120, 2048)]  # the last three have n < d


def features(n: int, d: int, seed: int, shift: float = 0.0) -> Any:
    random = np.random.RandomState(seed)
    mix = random.randn(d, d) / math.sqrt(d)
    return torch.from_numpy((np.maximum(random.randn(n, d) @ mix + shift, 0)).astype(np.float32))


def pair(n: int, m: int, d: int, seed: int = 0) -> Any:
    return features(n, d, seed), features(m, d, seed + 1, 0.2)


def by_scipy(x: torch.Tensor, y: torch.Tensor) -> Any:
    one, two = x.double().numpy(), y.double().numpy()
    s1, s2 = np.cov(one, rowvar=False), np.cov(two, rowvar=False)
    root = linalg.sqrtm(s1 @ s2)
    difference = one.mean(0) - two.mean(0)
    return difference @ difference + np.trace(s1) + np.trace(s2) - 2 * np.trace(root).real


@pytest.mark.filterwarnings("ignore:The Fréchet distance of")
@pytest.mark.parametrize("n, m, d", CASES)
def test_agrees_with_torch_fidelity_on_any_ratio_of_samples_to_dimensions(n: int, m: int, d: int) -> None:
    x, y = pair(n, m, d)
    stats = [fidelity.fid_features_to_statistics(v.double()) for v in (x, y)]
    if d < 2000:
        expected = fidelity.fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"]
    else:  # an unsymmetric 2048-d eigenproblem takes seconds: the singular values of the centred sets say the same
        a, b = (torch.from_numpy(v.double().numpy() - v.double().numpy().mean(0)) / (len(v) - 1) ** 0.5 for v in (x, y))
        gap = np.square(stats[0]["mu"] - stats[1]["mu"]).sum()
        expected = float(gap + a.square().sum() + b.square().sum() - 2 * torch.linalg.matrix_norm(a @ b.T, "nuc"))
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-4)
    if d < 2000:
        assert frechet_distance_of_moments(moments(x), moments(y)) == pytest.approx(expected, rel=1e-4)


def test_agrees_with_scipys_matrix_root() -> None:
    x, y = pair(500, 300, 64, seed=7)
    assert frechet_distance(x, y) == pytest.approx(by_scipy(x, y), rel=1e-6)


def test_one_dimension_has_a_closed_form() -> None:
    x = torch.tensor([[0.0], [2.0], [4.0]], dtype=torch.float64)
    y = torch.tensor([[1.0], [1.5], [2.0], [2.5]], dtype=torch.float64)
    s1, s2 = (float(v.std()) for v in (x, y))
    expected = (2.0 - 1.75) ** 2 + (s1 - s2) ** 2  # two Gaussians on a line
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-12)


@pytest.mark.filterwarnings("ignore:The Fréchet distance of")
@pytest.mark.parametrize("n, d", [(200, 32), (20, 32)])
def test_a_set_is_at_distance_zero_from_itself_and_the_distance_is_symmetric(n: int, d: int) -> None:
    x, y = pair(n, n, d)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-5)
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x), rel=1e-9)


def test_a_shift_adds_its_square() -> None:
    x, _ = pair(500, 2, 16)
    assert frechet_distance(x, x + 3.0) == pytest.approx(16 * 9, rel=1e-5)


def test_too_few_samples_warn_with_the_rank_and_never_give_nan() -> None:
    x, y = pair(5, 4, 64)
    with pytest.warns(UserWarning, match=r"4 samples in 64 dimensions.*rank 3 at most"):
        assert math.isfinite(frechet_distance(x, y))
    constant = torch.ones(10, 8)  # covariance zero
    with pytest.warns(UserWarning, match="rank"):
        assert frechet_distance(constant[:4], constant) == 0


def test_a_singular_covariance_of_enough_samples_is_no_obstacle() -> None:
    x, y = pair(400, 400, 32)
    x, y = torch.cat([x, x], 1), torch.cat([y, y], 1)  # rank 32 of 64
    assert frechet_distance(x, y) == pytest.approx(2 * frechet_distance(x[:, :32], y[:, :32]), rel=1e-5)


def test_the_mean_and_covariance_are_those_of_numpy() -> None:
    x, _ = pair(5000, 2, 20)  # more than one block
    found = moments(x)
    assert np.allclose(found.covariance.numpy(), np.cov(x.double().numpy(), rowvar=False), rtol=1e-12)
    assert np.allclose(found.mean.numpy(), x.double().numpy().mean(0), rtol=1e-12)


def test_bad_input_is_named() -> None:
    x = torch.zeros(5, 4)
    with pytest.raises(BadArgument, match="4 and of 3 dimensions"):
        frechet_distance(x, torch.zeros(5, 3))
    with pytest.raises(BadData, match="one has 1"):
        frechet_distance(x, x[:1])
    with pytest.raises(BadData, match="one has 0"):
        frechet_distance(x, x[:0])
    broken = x.clone()
    broken[3, 1] = torch.nan
    with pytest.raises(BadData, match="sample 3"):
        frechet_distance(x, broken)
    with pytest.raises(BadArgument, match="int64"):
        frechet_distance(x.long(), x)
