"""f-GAN: the bound of every divergence, at its best V, is the divergence of two Gaussians in closed form."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
from helpers import tiny
from torch import Tensor

from ganzoo.families.fgan import _FUNCTIONS, Divergence, _alpha, _weighted, functions
from ganzoo.types import BadArgument, Batch

MEAN = 0.8  # of P = N(MEAN, 1); Q is N(0, 1)
X = torch.linspace(-14, 15, 400_001, dtype=torch.float64)
P, Q = (torch.exp(-((X - mean) ** 2) / 2) / math.sqrt(2 * math.pi) for mean in (MEAN, 0.0))
LOG = MEAN * X - MEAN**2 / 2  # log p/q


def integral(y: Tensor) -> float:
    return torch.trapezoid(y, X).item()


MIXED = (P + Q) / 2
JENSEN = 0.5 * (integral(P * (P / MIXED).log().nan_to_num()) + integral(Q * (Q / MIXED).log().nan_to_num()))
RATIO = LOG.exp()

# the best V as a function of p/q, and the divergence
CASES: dict[str, tuple[Tensor, float]] = {
    "total_variation": (50 * LOG.sign(), math.erf(MEAN / 2 / math.sqrt(2))),
    "kl": (1 + LOG, MEAN**2 / 2),
    "reverse_kl": (LOG, MEAN**2 / 2),
    "pearson": (2 * (RATIO - 1), math.exp(MEAN**2) - 1),
    "neyman": (2 * LOG, math.exp(MEAN**2) - 1),
    "hellinger": (LOG / 2, 2 - 2 * math.exp(-(MEAN**2) / 8)),
    "jeffrey": (1 - 1 / RATIO + LOG, MEAN**2),
    "jensen_shannon": (LOG, 2 * JENSEN),
    "gan": (LOG, 2 * JENSEN - math.log(4)),
}
PAIRS = dict(_FUNCTIONS)
for alpha in (-0.5, 0.3, 0.5, 0.9, 2.0, 3.0):
    # of the two Gaussians int p^a q^(1-a) = exp(a (a - 1) MEAN^2 / 2); the best T is (u^(a-1) - 1) / (a - 1), u = p/q
    PAIRS[f"alpha {alpha}"] = _alpha(alpha)
    divergence = (math.exp(alpha * (alpha - 1) * MEAN**2 / 2) - 1) / (alpha * (alpha - 1))
    t = torch.expm1((alpha - 1) * LOG) / (alpha - 1)
    less = torch.exp((alpha - 1) * LOG) / abs(1 - alpha)  # 1/(1 - a) - t, where g(v) = 1/(1 - a) - log(1 + e^(c - v))
    best = t if alpha > 1 else -less - torch.log(-torch.expm1(-less))
    if alpha < 1:  # c, by which g(0) = f'(1) = 0
        best = best + math.log(math.expm1(1 / (1 - alpha)))
    CASES[f"alpha {alpha}"] = best, divergence
for pi in (0.2, 0.5, 0.7):
    PAIRS[f"weighted {pi}"] = _weighted(pi)
    mixed = pi * P + (1 - pi) * Q
    divergence = pi * integral(P * (P / mixed).log().nan_to_num())
    divergence += (1 - pi) * integral(Q * (Q / mixed).log().nan_to_num())
    # T = pi log(u / (1 - pi + pi u)), and -pi log pi - log(1 + e^-v) = T
    CASES[f"weighted {pi}"] = -torch.log(torch.expm1(pi * torch.log1p((1 - pi) / pi / RATIO))), divergence


def bound(name: str, v: Tensor) -> float:
    activation, conjugate = PAIRS[name]
    return integral(P * activation(v)) - integral(Q * conjugate(v))


def test_every_divergence_has_a_case() -> None:
    assert CASES.keys() == PAIRS.keys()
    assert {name.split()[0] for name in CASES} == {*get_args(Divergence), "weighted"} - {"weighted_jensen_shannon"}


def test_parameters_at_which_a_divergence_is_another() -> None:
    """Alpha 2 is half of Pearson's, so that its f* at t is half of the other's at 2t."""
    t = torch.linspace(-0.9, 3, 20, dtype=torch.float64)
    assert torch.allclose(_alpha(2.0)[1](t), _FUNCTIONS["pearson"][1](2 * t) / 2)
    with pytest.raises(BadArgument, match="alpha is 1, where the divergence is kl"):
        functions("alpha", alpha=1)


@pytest.mark.parametrize("name", ["alpha 0.3", "alpha -0.5", "alpha 3.0", "weighted 0.2"])
def test_far_from_zero_values_and_gradients_stay_finite(name: str) -> None:
    v = torch.tensor([-200.0, -40.0, 29.0, 31.0, 100.0], requires_grad=True)
    for function in PAIRS[name]:
        made = function(v)
        (gradient,) = torch.autograd.grad(made.sum(), v)
        assert made.isfinite().all() and gradient.isfinite().all() and (gradient >= 0).all()


@pytest.mark.parametrize("name", CASES)
def test_the_bound_is_the_divergence_at_the_best_v_and_below_it_elsewhere(name: str) -> None:
    best, wanted = CASES[name]
    assert bound(name, best) == pytest.approx(wanted, rel=1e-6)
    for other in (best * 0.8, best + 0.2, best + 0.3 * torch.sin(X)):
        assert bound(name, other) < wanted - (1e-4 if name != "total_variation" else -1e-9)


@pytest.mark.parametrize("name", CASES)
def test_the_conjugates_slope_is_the_ratio(name: str) -> None:
    """d f*(t) / dt = p/q at t = f'(p/q): by the chain rule over v, Lambert's W included."""
    v = CASES[name][0][150_000:250_000:5000].clone().requires_grad_()
    if name == "total_variation":
        v = torch.linspace(-2, 2, 20, dtype=torch.float64).requires_grad_()
    slopes = [torch.autograd.grad(f(v).sum(), v)[0] for f in (PAIRS[name][1], PAIRS[name][0])]
    wanted = torch.ones_like(v) if name == "total_variation" else RATIO[150_000:250_000:5000]
    assert torch.allclose(slopes[0] / slopes[1], wanted, rtol=1e-6)


@pytest.mark.parametrize("trick", [False, True])
def test_the_players_share_f(trick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, z = Batch(torch.rand(5, 1, 8, 8) * 2 - 1), torch.rand(5, 6)
    game: Any = tiny("fgan", divergence="pearson", trick=trick).eval()
    monkeypatch.setattr(game, "noise", lambda batch: z)
    real, fake = game.discriminator(batch.images).tolist(), game.discriminator(game.generator(z)).tolist()
    f = sum(real) / 5 - sum(v**2 / 4 + v for v in fake) / 5
    assert game.discriminator_loss(batch).item() == pytest.approx(-f, rel=1e-5)
    wanted = -sum(fake) / 5 if trick else -sum(v**2 / 4 + v for v in fake) / 5
    assert game.generator_loss(batch).item() == pytest.approx(wanted, rel=1e-5)
