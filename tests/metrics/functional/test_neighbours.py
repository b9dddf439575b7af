"""Against the authors' package `prdc`, torch-fidelity, and exact arithmetic by hand."""

import contextlib
import io
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ganzoo.metrics import density_coverage, frechet_distance, nearest_neighbours, precision_recall
from ganzoo.metrics.functional import neighbours
from ganzoo.metrics.functional.kernel import kernel_distance_full
from ganzoo.types import BadArgument, BadData

prdc = pytest.importorskip("prdc")
fidelity = pytest.importorskip("torch_fidelity.metric_prc")

CASES = [(300, 400, 64), (500, 350, 128), (60, 80, 512), (50, 70, 2048), (200, 200, 8)]


def pair(n: int, m: int, d: int, seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator) + 2
    return x, 0.9 * torch.randn(m, d, generator=generator) + 2.02


def by_prdc(x: torch.Tensor, y: torch.Tensor, k: int) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):
        return prdc.compute_prdc(x.double().numpy(), y.double().numpy(), k)


@pytest.fixture(params=[1024, 33], ids=["one block", "many blocks"])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK", request.param)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("n, m, d", CASES)
@pytest.mark.parametrize("k", [3, 5])
def test_counts_are_exactly_those_of_prdc(n: int, m: int, d: int, k: int) -> None:
    x, y = pair(n, m, d, seed=n + k)
    expected = by_prdc(x, y, k)
    found = precision_recall(x, y, k)
    assert (found.precision, found.recall) == (expected["precision"], expected["recall"])
    density, coverage = density_coverage(x, y, k)
    assert density == pytest.approx(expected["density"], rel=1e-12)  # a sum in another order
    assert coverage == expected["coverage"]
    assert found.precision > 0 and coverage > 0  # the comparison says something


@pytest.mark.parametrize("factor", [1, 300, 3000, 30_000])
def test_counts_stay_exact_however_little_float32_is_trusted(monkeypatch: pytest.MonkeyPatch, factor: int) -> None:
    bound = neighbours._error
    monkeypatch.setattr(neighbours, "_error", lambda x, y: factor * bound(x, y))
    monkeypatch.setattr(neighbours, "BLOCK", 100)
    for seed in range(3):
        x, y = pair(400, 300, 16, seed)
        expected = by_prdc(x, y, 3)
        assert tuple(precision_recall(x, y, 3)) == (expected["precision"], expected["recall"])
        assert density_coverage(x, y, 3).density == pytest.approx(expected["density"], rel=1e-12)


def test_precision_and_recall_are_those_of_torch_fidelity() -> None:
    x, y = pair(200, 300, 32)
    expected = fidelity.calculate_precision_recall_full(y.double(), x.double(), 3)
    assert tuple(precision_recall(x, y, 3)) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("spread", [1e-3, 1e-5, 1e-7])
def test_a_collapsed_generator_whose_samples_float32_cannot_tell_apart_is_counted_exactly(spread: float) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(300, 64, generator=generator, dtype=torch.float64)
    y = 20.0 * torch.randint(0, 4, (200, 1), generator=generator) + spread * torch.randn(
        200, 64, generator=generator, dtype=torch.float64
    )
    expected = by_prdc(x, y, 3)
    assert tuple(precision_recall(x, y, 3)) == (expected["precision"], expected["recall"])
    assert density_coverage(x, y, 3).coverage == expected["coverage"]


def test_copies_of_real_images_lie_on_the_boundary_and_count() -> None:
    x, _ = pair(50, 1, 8)
    found = precision_recall(x, x[:10].repeat(6, 1), k=3)
    assert found.precision == 1.0
    assert found.recall == 10 / 50  # radius 0: a manifold of ten points


def test_distant_sets_have_nothing_in_common() -> None:
    x, y = pair(50, 60, 8)
    assert tuple(precision_recall(x, y + 100)) == (0, 0)
    assert tuple(density_coverage(x, y + 100)) == (0, 0)


def test_a_fallen_mode_costs_recall_and_an_invented_one_precision() -> None:
    x, _ = pair(400, 1, 4)
    x[200:] += 50
    generator = torch.Generator().manual_seed(9)
    own = torch.randn(200, 4, generator=generator) + 2
    dropped = precision_recall(x, own)
    assert dropped.precision > 0.8 and 0.3 < dropped.recall < 0.5
    invented = precision_recall(x, torch.cat([own, own + 50, own - 50, own - 100]))
    assert invented.recall > 0.8 and 0.4 < invented.precision < 0.55


@pytest.mark.usefixtures("block")
def test_nearest_neighbours_are_found_in_order() -> None:
    x, y = pair(100, 150, 16)
    found = nearest_neighbours(x, y, k=4)
    distances = np.linalg.norm(x.double().numpy()[:, None] - y.double().numpy()[None], axis=2)
    order = distances.argsort(axis=1)[:, :4]
    assert (found.rows.numpy() == order).all()
    assert np.allclose(found.distances.numpy(), np.take_along_axis(distances, order, 1), rtol=1e-12)


def test_a_copied_image_is_at_distance_zero() -> None:
    x, y = pair(40, 60, 16)
    y[37] = x[5]
    found = nearest_neighbours(x, y)
    assert found.rows[5, 0] == 37 and found.distances[5, 0] == 0
    assert (found.distances[:5] > 0).all()


@pytest.mark.parametrize("k", [0, 5])
def test_impossible_numbers_of_neighbours_are_refused(k: int) -> None:
    x, y = pair(5, 9, 3)
    with pytest.raises(BadArgument, match="give 1 to 4"):
        precision_recall(x, y, k)
    with pytest.raises(BadArgument, match="k="):
        nearest_neighbours(y, x, k=6 * (k > 0))


def test_half_precision_features_are_taken_as_they_are() -> None:
    x, y = (v.half() for v in pair(60, 50, 16))
    assert precision_recall(x, y) == precision_recall(x.float(), y.float())
    assert density_coverage(x, y) == density_coverage(x.double(), y.double())
    assert kernel_distance_full(x, y) == pytest.approx(kernel_distance_full(x.double(), y.double()), rel=1e-5)
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(x.double(), y.double()), rel=1e-9)


def test_broken_features_are_refused() -> None:
    x, y = pair(5, 9, 3)
    with pytest.raises(BadData):
        precision_recall(x, y * torch.inf)
    with pytest.raises(BadArgument, match="3 and of 2"):
        density_coverage(x, y[:, :2], k=3)


class Largest(TorchDispatchMode):
    """Notes the largest tensor that is made."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for each in made if isinstance(made, tuple | list) else [made]:
            if isinstance(each, torch.Tensor):
                self.numbers = max(self.numbers, each.numel())
        return made


def test_no_tensor_is_larger_than_a_block_or_the_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK", 128)
    x, y = pair(1500, 1400, 16)  # a whole matrix of distances would hold two million numbers
    with Largest() as largest:
        precision_recall(x, y)
        density_coverage(x, y)
        nearest_neighbours(y, x, k=3)
    assert 128 * 128 <= largest.numbers <= 1500 * 16 * 2
