"""The losses against their papers' formulas in 80-digit arithmetic, and against what the papers prove of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ganzoo.objectives import losses
from ganzoo.types import BadArgument

REAL = [-100.0, -30.0, -2.5, -0.1, 0.0, 0.7, 3.0, 25.0, 100.0]
FAKE = [4.0, -100.0, 0.0, 100.0, -1.2, 21.0, -0.3, 2.0, -40.0]

Expected = Callable[[list[Decimal], list[Decimal]], Decimal]


def D(logit: Decimal) -> Decimal:
    """The probability, where nothing rounds to 0 or 1."""
    return 1 / (1 + (-logit).exp())


def log_D(logit: Decimal) -> Decimal:
    return D(logit).ln()


def log_not_D(logit: Decimal) -> Decimal:
    return (1 - D(logit)).ln()


def mean(values: Any) -> Decimal:
    values = list(values)
    return sum(values, Decimal(0)) / len(values)


def smoothed(real: list[Decimal], fake: list[Decimal]) -> Decimal:
    target = Decimal("0.9")
    return -mean(target * log_D(r) + (1 - target) * log_not_D(r) for r in real) - mean(map(log_not_D, fake))


def average(real: list[Decimal], fake: list[Decimal]) -> Decimal:
    return -mean(log_D(r - mean(fake)) for r in real) - mean(log_not_D(f - mean(real)) for f in fake)


# name: the loss as a function of (real, fake), and its formula
CASES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Expected]] = {
    "minimax_discriminator": (
        losses.minimax_discriminator,
        lambda real, fake: -mean(map(log_D, real)) - mean(map(log_not_D, fake)),
    ),
    "minimax_discriminator, smoothed": (lambda r, f: losses.minimax_discriminator(r, f, smoothing=0.1), smoothed),
    "minimax_generator": (lambda _, f: losses.minimax_generator(f), lambda _, fake: mean(map(log_not_D, fake))),
    "nonsaturating_generator": (
        lambda _, f: losses.nonsaturating_generator(f),
        lambda _, fake: -mean(map(log_D, fake)),
    ),
    "maximum_likelihood_generator": (
        # D / (1 - D) is exp(sigmoid^-1(D)); exact up to a logit of 60
        lambda _, f: losses.maximum_likelihood_generator(f.clamp(max=55)),
        lambda _, fake: -mean(D(min(f, Decimal(55))) / (1 - D(min(f, Decimal(55)))) for f in fake),
    ),
    "least_squares_discriminator": (
        losses.least_squares_discriminator,
        lambda real, fake: (mean((r - 1) ** 2 for r in real) + mean(f**2 for f in fake)) / 2,
    ),
    "least_squares_discriminator, a b": (
        lambda r, f: losses.least_squares_discriminator(r, f, a=-0.5, b=2.0),
        lambda real, fake: (mean((r - 2) ** 2 for r in real) + mean((f + Decimal("0.5")) ** 2 for f in fake)) / 2,
    ),
    "least_squares_generator": (
        lambda _, f: losses.least_squares_generator(f),
        lambda _, fake: mean((f - 1) ** 2 for f in fake) / 2,
    ),
    "least_squares_generator, c": (
        lambda _, f: losses.least_squares_generator(f, c=-3.0),
        lambda _, fake: mean((f + 3) ** 2 for f in fake) / 2,
    ),
    "wasserstein_critic": (losses.wasserstein_critic, lambda real, fake: mean(fake) - mean(real)),
    "wasserstein_generator": (lambda _, f: losses.wasserstein_generator(f), lambda _, fake: -mean(fake)),
    "hinge_discriminator": (
        losses.hinge_discriminator,
        lambda real, fake: -mean(min(Decimal(0), r - 1) for r in real) - mean(min(Decimal(0), -f - 1) for f in fake),
    ),
    "hinge_generator": (lambda _, f: losses.hinge_generator(f), lambda _, fake: -mean(fake)),
    "relativistic_discriminator": (
        losses.relativistic_discriminator,
        lambda real, fake: -mean(log_D(r - f) for r, f in zip(real, fake, strict=True)),
    ),
    "relativistic_generator": (
        losses.relativistic_generator,
        lambda real, fake: -mean(log_D(f - r) for r, f in zip(real, fake, strict=True)),
    ),
    "relativistic_average_discriminator": (losses.relativistic_average_discriminator, average),
    "relativistic_average_generator": (
        losses.relativistic_average_generator,
        lambda real, fake: average(fake, real),
    ),
}

every_loss = pytest.mark.parametrize("loss", [pytest.param(case[0], id=name) for name, case in CASES.items()])


def test_every_loss_is_tested() -> None:
    public = {name for name in dir(losses) if name.endswith(("_discriminator", "_generator", "_critic"))}
    assert public == {name.split(",")[0] for name in CASES} and len(public) == 14


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
@pytest.mark.parametrize("name", CASES)
def test_formula(name: str, dtype: torch.dtype, tolerance: float) -> None:
    loss, formula = CASES[name]
    real, fake = torch.tensor(REAL, dtype=dtype), torch.tensor(FAKE, dtype=dtype)
    with localcontext() as context:
        context.prec = 80
        expected = float(formula([Decimal(r) for r in real.tolist()], [Decimal(f) for f in fake.tolist()]))
    value = loss(real, fake)
    assert value.shape == () and value.dtype == dtype
    assert value.item() == pytest.approx(expected, rel=tolerance, abs=0)
    # any shape, such as (N, 1) or the scores of patches
    assert loss(real.view(3, 1, 3, 1), fake.view(3, 1, 3, 1)).item() == pytest.approx(expected, rel=tolerance, abs=0)


@every_loss
def test_first_and_second_derivatives(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    # against finite differences; far from the hinge's corners at 1 and -1
    real = torch.tensor([-3.0, -0.4, 0.3, 2.2], dtype=torch.float64, requires_grad=True)
    fake = torch.tensor([0.5, 1.7, -2.4, -0.1], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (real, fake))
    if not {"wasserstein", "hinge"} & set(loss_name(loss).split("_")):  # piecewise linear: no second derivative
        assert torch.autograd.gradgradcheck(loss, (real, fake))


def loss_name(loss: Callable[[Tensor, Tensor], Tensor]) -> str:
    return next(name for name, case in CASES.items() if case[0] is loss)


@every_loss
@pytest.mark.parametrize("logit", [-100.0, 100.0])
def test_extreme_logits_stay_finite(loss: Callable[[Tensor, Tensor], Tensor], logit: float) -> None:
    real = torch.full((512,), -logit, requires_grad=True)
    fake = torch.full((512,), logit, requires_grad=True)
    value = loss(real, fake)
    value.backward()
    assert torch.isfinite(value)
    for scores in (real, fake):
        assert scores.grad is None or torch.isfinite(scores.grad).all()


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_are_widened(loss: Callable[[Tensor, Tensor], Tensor], dtype: torch.dtype) -> None:
    real, fake = torch.linspace(-8, 20, 300).to(dtype), torch.linspace(20, -15, 300).to(dtype)
    value = loss(real, fake)
    assert value.dtype == torch.float32 and torch.isfinite(value)
    torch.testing.assert_close(value, loss(real.float(), fake.float()), rtol=0, atol=0)


@every_loss
def test_nothing_waits_for_the_device(
    loss: Callable[[Tensor, Tensor], Tensor], no_sync: AbstractContextManager[object]
) -> None:
    with no_sync:
        loss(torch.tensor(REAL, requires_grad=True), torch.tensor(FAKE, requires_grad=True)).backward()


def test_no_sync_notices_one(no_sync: AbstractContextManager[object]) -> None:
    with pytest.raises(AssertionError), no_sync:
        torch.ones(()).item()


def discrete(scores: Tensor, counts: list[int]) -> Tensor:
    """The samples of a discrete distribution: state i as often as `counts[i]`."""
    return scores.repeat_interleave(torch.tensor(counts))


P_DATA, P_MODEL = [1, 2, 3, 4], [4, 3, 2, 1]


def test_optimal_discriminator_gives_the_jensen_shannon_divergence() -> None:
    # Goodfellow et al. 2014, Proposition 1 and Theorem 1: D* = p / (p + q), and there the value is 2 JSD - log 4
    p, q = np.array(P_DATA) / 10, np.array(P_MODEL) / 10
    logits = torch.tensor(np.log(p / q), requires_grad=True)
    loss = losses.minimax_discriminator(discrete(logits, P_DATA), discrete(logits, P_MODEL))
    (gradient,) = torch.autograd.grad(loss, logits)
    m = (p + q) / 2
    jensen_shannon = (p * np.log(p / m) + q * np.log(q / m)).sum() / 2
    assert loss.item() == pytest.approx(math.log(4) - 2 * jensen_shannon, rel=1e-12)
    torch.testing.assert_close(gradient, torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-15)


def test_least_squares_gives_pearson() -> None:
    # Mao et al. 2017, eq. 5 to 7 for b - c = 1, b - a = 2: D* = (b p + a q) / (p + q), and there twice the (extended)
    # generator's loss is the Pearson chi-squared divergence of p + q and 2 q
    p, q = np.array(P_DATA) / 10, np.array(P_MODEL) / 10
    a, b, c = -1.0, 1.0, 0.0
    scores = torch.tensor((b * p + a * q) / (p + q), requires_grad=True)
    real, fake = discrete(scores, P_DATA), discrete(scores, P_MODEL)
    (gradient,) = torch.autograd.grad(losses.least_squares_discriminator(real, fake, a=a, b=b), scores)
    torch.testing.assert_close(gradient, torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-15)
    # the extension by the same term over the data is constant in the generator
    extended = losses.least_squares_generator(fake, c=c) + losses.least_squares_generator(real, c=c)
    pearson = ((2 * q - (p + q)) ** 2 / (p + q)).sum()
    assert 2 * extended.item() == pytest.approx(pearson, rel=1e-12)


def test_maximum_likelihood_weighs_samples_by_the_density_ratio() -> None:
    # Goodfellow 2014 (arXiv:1412.6515): with D* the loss of a sample is -p / q, so that the expectation over q of loss
    # times score function is the gradient of KL(p || q). At the optimum exp(logit) = p / q, and so E_q[p / q] = 1.
    p, q = np.array(P_DATA) / 10, np.array(P_MODEL) / 10
    logits = torch.tensor(np.log(p / q), requires_grad=True)
    loss = losses.maximum_likelihood_generator(discrete(logits, P_MODEL))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.item() == pytest.approx(-1.0, rel=1e-12)
    np.testing.assert_allclose(gradient.numpy(), -p, rtol=1e-12)  # -q (p / q)


def test_maximum_likelihood_beyond_60_is_the_tangent() -> None:
    logits = torch.tensor([59.0, 61.0, 80.0], dtype=torch.float64, requires_grad=True)
    values = torch.stack([losses.maximum_likelihood_generator(logit) for logit in logits])
    (gradient,) = torch.autograd.grad(values.sum(), logits)
    edge = math.exp(60)
    np.testing.assert_allclose(values.detach().numpy(), [-math.exp(59), -2 * edge, -21 * edge], rtol=1e-12)
    np.testing.assert_allclose(gradient.numpy(), [-math.exp(59), -edge, -edge], rtol=1e-12)


def test_generators_of_the_original_game_differ_where_the_discriminator_is_sure() -> None:
    # derivatives by the logit: -D saturates, D - 1 does not
    logits = torch.tensor([-20.0, 0.0, 20.0], dtype=torch.float64, requires_grad=True)
    D = 1 / (1 + np.exp(-logits.detach().numpy()))
    (saturating,) = torch.autograd.grad(3 * losses.minimax_generator(logits), logits)
    (nonsaturating,) = torch.autograd.grad(3 * losses.nonsaturating_generator(logits), logits)
    np.testing.assert_allclose(saturating.numpy(), -D, rtol=1e-12)
    np.testing.assert_allclose(nonsaturating.numpy(), D - 1, rtol=1e-6)  # the oracle itself cancels


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
def test_smoothing_moves_the_optimum_of_real_samples_only(smoothing: float) -> None:
    # Salimans et al. 2016, section 3.4: derivatives are D(x) - (1 - smoothing) and D(G(z)) - 0
    real = torch.tensor([0.0, math.log((1 - 0.3) / 0.3), -4.0], dtype=torch.float64, requires_grad=True)
    fake = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    loss = losses.minimax_discriminator(real, fake, smoothing=smoothing)
    by_real, by_fake = torch.autograd.grad(loss, (real, fake))
    np.testing.assert_allclose(3 * by_real.numpy(), real.sigmoid().detach().numpy() - (1 - smoothing), atol=1e-12)
    np.testing.assert_allclose(by_fake.numpy(), fake.sigmoid().detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, 1.5, math.nan])
def test_smoothing_outside_its_range(smoothing: float) -> None:
    with pytest.raises(BadArgument, match=rf"smoothing is {smoothing}: give a number in \[0, 1\)"):
        losses.minimax_discriminator(torch.zeros(2), torch.zeros(2), smoothing=smoothing)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith(("relativistic", "wasserstein_critic"))])
def test_only_differences_of_scores_count(name: str) -> None:
    # Jolicoeur-Martineau 2019: a constant added to C changes nothing
    loss = CASES[name][0]
    real, fake = torch.randn(2, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loss(real + 3.0, fake + 3.0), loss(real, fake))
    assert not torch.isclose(loss(real + 3.0, fake), loss(real, fake))


def test_relativistic_losses_pair_samples() -> None:
    for loss in (losses.relativistic_discriminator, losses.relativistic_generator):
        with pytest.raises(BadArgument, match=r"\(4,\) and generated ones of shape \(4, 1\) cannot be paired"):
            loss(torch.zeros(4), torch.zeros(4, 1))
