"""The penalties against critics whose gradients are known: linear, quadratic, small networks by finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ganzoo.objectives import penalties
from ganzoo.types import BadArgument

N = 6
SHAPE = (N, 2, 3, 2)
SIZE = math.prod(SHAPE[1:])

Penalty = Callable[[penalties.Critic, Tensor, Tensor], Tensor]

# each as a function of (critic, real, fake), and what it is where the norm of the gradient is g everywhere
CASES: dict[str, tuple[Penalty, Callable[[Any], Any]]] = {
    "gradient_penalty": (penalties.gradient_penalty, lambda g: (g - 1) ** 2),
    "zero_centered": (penalties.zero_centered, lambda g: g**2),
    "dragan": (lambda critic, real, fake: penalties.dragan(critic, real), lambda g: (g - 1) ** 2),
    "r1": (lambda critic, real, fake: penalties.r1(critic, real), lambda g: g**2 / 2),
    "r2": (lambda critic, real, fake: penalties.r2(critic, fake), lambda g: g**2 / 2),
    "scored": (lambda critic, real, fake: penalties.scored(critic, real)[1].mean(), lambda g: g**2 / 2),
}

every_penalty = pytest.mark.parametrize("name", CASES)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def samples(dtype: torch.dtype = torch.float64, shape: tuple[int, ...] = SHAPE) -> tuple[Tensor, Tensor]:
    return torch.randn(shape, dtype=dtype), torch.randn(shape, dtype=dtype) - 1.0


class Draws(TorchFunctionMode):
    """Records what torch.rand and torch.randn return."""

    def __init__(self) -> None:
        super().__init__()
        self.uniform: list[Tensor] = []
        self.normal: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.rand:
            self.uniform.append(result)
        if func is torch.randn:
            self.normal.append(result)
        return result


class Seen:
    """A critic that keeps the samples it was shown: C(x) = 1/2 x^T A x, with the gradient A x for a symmetric A."""

    def __init__(self) -> None:
        square = torch.randn(SIZE, SIZE, dtype=torch.float64)
        self.A = square + square.T
        self.x = torch.empty(0)

    def __call__(self, x: Tensor) -> Tensor:
        self.x = x.detach()
        flat = x.flatten(1)
        return ((flat @ self.A) * flat).sum(1) / 2

    def norms(self, x: Tensor) -> np.ndarray:
        norms: np.ndarray = np.linalg.norm(x.reshape(len(x), -1).numpy() @ self.A.numpy(), axis=1)
        return norms


@every_penalty
def test_linear_critic(name: str) -> None:
    # C(x) = <w, x>: the gradient is w at every x; the penalty's own is dh(||w||) w / ||w||
    penalty, h = CASES[name]
    w = torch.randn(SIZE, dtype=torch.float64, requires_grad=True)
    real, fake = samples()
    value = penalty(lambda x: x.flatten(1) @ w, real, fake)
    (gradient,) = torch.autograd.grad(value, w)
    norm = np.linalg.norm(w.detach().numpy())
    slope = {"gradient_penalty": 2 * (norm - 1), "dragan": 2 * (norm - 1), "zero_centered": 2 * norm}.get(name, norm)
    assert value.shape == () and value.item() == pytest.approx(h(norm), rel=1e-12)
    np.testing.assert_allclose(gradient.numpy(), slope * w.detach().numpy() / norm, rtol=1e-12)


@every_penalty
def test_quadratic_critic(name: str) -> None:
    penalty, h = CASES[name]
    critic = Seen()
    value = penalty(critic, *samples())
    assert value.item() == pytest.approx(h(critic.norms(critic.x)).mean(), rel=1e-12)


def test_where_the_gradient_is_taken() -> None:
    real, fake = samples()
    critic = Seen()
    penalties.r1(critic, real)
    assert torch.equal(critic.x, real)
    penalties.r2(critic, fake)
    assert torch.equal(critic.x, fake)
    for penalty in (penalties.gradient_penalty, penalties.zero_centered):
        with Draws() as draws:
            penalty(critic, real, fake)
        (epsilon,) = draws.uniform
        assert epsilon.shape == (N, 1, 1, 1)
        torch.testing.assert_close(critic.x, epsilon * real + (1 - epsilon) * fake)
    with Draws() as draws:
        penalties.dragan(critic, real)
    alpha, noise = sorted(draws.uniform, key=Tensor.numel)
    assert alpha.shape == (N, 1, 1, 1) and noise.shape == SHAPE
    # the authors' code: numpy's standard deviation of the whole batch, divided by the number of values
    np.testing.assert_allclose(
        critic.x.numpy(), real.numpy() + alpha.numpy() * 0.5 * real.numpy().std() * noise.numpy(), rtol=1e-12
    )


def test_scores_come_with_the_penalty() -> None:
    real, _ = samples()
    critic = Seen()
    scores, each = penalties.scored(critic, real)
    torch.testing.assert_close(scores, critic(real))
    np.testing.assert_allclose(each.detach().numpy(), critic.norms(real) ** 2 / 2, rtol=1e-12)


@every_penalty
def test_derivatives_by_the_critics_weights(name: str) -> None:
    # finite differences of the penalty of a two-layer network, in float64: a wrong double backward shows
    penalty = CASES[name][0]
    real, fake = samples(shape=(4, 3))
    first = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    second = torch.randn(5, 1, dtype=torch.float64, requires_grad=True)

    def of_weights(first: Tensor, second: Tensor) -> Tensor:
        torch.manual_seed(1)
        return penalty(lambda x: torch.tanh(x @ first) @ second, real, fake)

    assert torch.autograd.gradcheck(of_weights, (first, second))
    # what differentiates through critic updates needs one more
    assert torch.autograd.gradgradcheck(of_weights, (first, second))


@every_penalty
def test_shape_of_the_scores_does_not_matter(name: str) -> None:
    penalty = CASES[name][0]
    critic = Seen()
    values = []
    for shape in ((N,), (N, 1), (N, 1, 1, 1)):
        torch.manual_seed(1)
        values.append(penalty(reshaped(critic, shape), *samples()))
    assert torch.equal(values[0], values[1]) and torch.equal(values[0], values[2])


def reshaped(critic: penalties.Critic, shape: tuple[int, ...]) -> penalties.Critic:
    return lambda x: critic(x).view(shape)


@every_penalty
def test_gradient_of_zero(name: str) -> None:
    # a norm has no derivative at 0: the subgradient 0 is taken, never NaN
    penalty, h = CASES[name]
    w = torch.zeros(SIZE, dtype=torch.float64, requires_grad=True)
    value = penalty(lambda x: x.flatten(1) @ w, *samples())
    (gradient,) = torch.autograd.grad(value, w)
    assert value.item() == h(0.0)
    assert torch.equal(gradient, torch.zeros_like(w))


def test_label_through_a_closure() -> None:
    # D(x, y) = <w_y, x>
    w = torch.randn(3, SIZE, dtype=torch.float64)
    labels = torch.tensor([0, 2, 1, 1, 0, 2])
    value = penalties.r1(lambda x: (x.flatten(1) * w[labels]).sum(1), samples()[0])
    assert value.item() == pytest.approx((w.numpy()[labels.numpy()] ** 2).sum(1).mean() / 2, rel=1e-12)


@every_penalty
def test_autocast_is_off_inside(name: str) -> None:
    penalty = CASES[name][0]
    critic = nn.Sequential(nn.Flatten(), nn.Linear(SIZE, 16), nn.SiLU(), nn.Linear(16, 1))
    seen: list[torch.dtype] = []

    def watched(x: Tensor) -> Tensor:
        scores: Tensor = critic(x)
        seen.extend((x.dtype, scores.dtype))
        return scores

    real, fake = samples(torch.float32)
    values = []
    for autocast in (False, True):
        torch.manual_seed(1)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            assert critic(real).dtype == (torch.bfloat16 if autocast else torch.float32)
            values.append(penalty(watched, real, fake))
    assert torch.equal(values[0], values[1])
    penalty(watched, real.bfloat16(), fake.bfloat16())
    penalty(watched, real.half(), fake)
    assert set(seen) == {torch.float32}


class SmallCritic(nn.Module):
    """A class of its own: torch 2.13 leaves a bare nn.Sequential uncompiled when it is compiled in place."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(SIZE, 16), nn.SiLU(), nn.Linear(16, 1))

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.layers(x)
        return scores


@every_penalty
def test_compiled_critic(name: str) -> None:
    # double backward through compiled code raises (pytorch #91469): the penalty runs it eagerly, and only the penalty
    if not hasattr(torch.compiler, "set_stance"):
        pytest.skip("this torch has no torch.compiler.set_stance")
    penalty = CASES[name][0]
    compiled_graphs: list[int] = []

    def backend(graph: Any, inputs: Any) -> Any:
        from torch._dynamo.backends.debugging import aot_eager

        compiled_graphs.append(1)
        return aot_eager(graph, inputs)

    torch.manual_seed(1)
    critic = SmallCritic()
    real, fake = samples(torch.float32)

    def gradients(function: penalties.Critic, with_main_loss: bool) -> list[Tensor]:
        critic.zero_grad()
        torch.manual_seed(2)
        loss = penalty(function, real, fake)
        if with_main_loss:
            loss = loss + function(fake).mean()
        loss.backward()
        return [p.grad.clone() for p in critic.parameters() if p.grad is not None]

    expected_alone, expected = gradients(critic, False), gradients(critic, True)
    as_object = torch.compile(critic, backend="aot_eager")
    torch.testing.assert_close(gradients(as_object, False), expected_alone)
    critic.compile(backend=backend)
    torch.testing.assert_close(gradients(critic, False), expected_alone)
    assert compiled_graphs == []
    torch.testing.assert_close(gradients(critic, True), expected)
    assert compiled_graphs == [1]  # the main loss next to it runs compiled


@every_penalty
def test_nothing_waits_for_the_device(name: str, no_sync: AbstractContextManager[object]) -> None:
    w = torch.randn(SIZE, requires_grad=True)
    with no_sync:
        CASES[name][0](lambda x: x.flatten(1) @ w, *samples(torch.float32)).backward()


@every_penalty
def test_samples_are_constants_unless_they_learn(name: str) -> None:
    penalty = CASES[name][0]
    critic = Seen()
    real, fake = samples()
    value = penalty(critic, real, fake)
    assert not real.requires_grad and not fake.requires_grad
    assert not value.requires_grad or value.grad_fn is not None
    shift = torch.zeros((), dtype=torch.float64, requires_grad=True)

    def of_shift(shift: Tensor) -> Tensor:
        torch.manual_seed(1)
        return penalty(critic, real + shift, fake + shift)

    assert torch.autograd.gradcheck(of_shift, (shift,))


@every_penalty
def test_under_no_grad(name: str) -> None:
    # a penalty can be logged in evaluation; it has no graph then
    penalty = CASES[name][0]
    w = torch.randn(SIZE, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        value = penalty(lambda x: x.flatten(1) @ w, *samples())
    assert not value.requires_grad
    assert value.item() == pytest.approx(CASES[name][1](np.linalg.norm(w.detach().numpy())), rel=1e-12)


def test_interpolates() -> None:
    real, fake = samples(shape=(4000, 5))
    between = penalties.interpolates(real, fake)
    epsilon = ((between - fake) / (real - fake)).numpy()
    # one ε a sample, uniform in [0, 1): largest distance from the uniform distribution function (Kolmogorov, 0.1 %)
    np.testing.assert_allclose(epsilon, np.repeat(epsilon[:, :1], 5, 1), atol=1e-6)
    one = np.sort(np.median(epsilon, 1))
    assert one[0] >= 0 and one[-1] < 1
    assert np.abs(one - np.arange(4000) / 4000).max() < 1.95 / math.sqrt(4000)


def test_interpolates_of_different_types() -> None:
    # generated samples come in bfloat16 out of autocast
    real, fake = samples(torch.float32)
    assert penalties.interpolates(real, fake.bfloat16()).dtype == torch.float32


def test_unequal_shapes() -> None:
    for function in (
        penalties.interpolates,
        lambda real, fake: penalties.gradient_penalty(Seen(), real, fake),
        lambda real, fake: penalties.zero_centered(Seen(), real, fake),
    ):
        with pytest.raises(BadArgument, match=r"\(4, 2\) and generated ones of shape \(3, 2\) cannot be interpolated"):
            function(torch.zeros(4, 2), torch.zeros(3, 2))


# images = M w, linear: J^T y = M^T y, whatever w
D, C, H, W = 5, 2, 3, 4


def test_path_lengths_of_a_linear_generator() -> None:
    M = torch.randn(D, C * H * W, dtype=torch.float64)
    w = torch.randn(N, D, dtype=torch.float64)
    with Draws() as draws:
        lengths = penalties.path_lengths(lambda w: (w @ M).view(-1, C, H, W), w)
    (y,) = draws.normal
    assert y.shape == (N, C, H, W)
    expected = np.linalg.norm(y.view(N, -1).numpy() @ M.T.numpy(), axis=1) / math.sqrt(H * W)
    np.testing.assert_allclose(lengths.numpy(), expected, rtol=1e-12)


def test_path_lengths_with_a_latent_for_each_layer() -> None:
    # the authors' code: the square root of the mean over layers of the squared norms
    M = torch.randn(3, D, C * H * W, dtype=torch.float64)
    w = torch.randn(N, 3, D, dtype=torch.float64)
    with Draws() as draws:
        lengths = penalties.path_lengths(lambda w: torch.einsum("nld,ldp->np", w, M).view(-1, C, H, W), w)
    y = draws.normal[0].view(N, -1).numpy() / math.sqrt(H * W)
    squares = (np.einsum("np,ldp->nld", y, M.numpy()) ** 2).sum(2)
    np.testing.assert_allclose(lengths.numpy(), np.sqrt(squares.mean(1)), rtol=1e-12)


def test_path_lengths_of_a_network() -> None:
    # against the whole Jacobian of each image
    M = torch.randn(D, C * H * W, dtype=torch.float64)
    w = torch.randn(N, D, dtype=torch.float64)

    def synthesize(w: Tensor) -> Tensor:
        return torch.tanh(w @ M).view(-1, C, H, W)

    with Draws() as draws:
        lengths = penalties.path_lengths(synthesize, w)
    y = draws.normal[0] / math.sqrt(H * W)
    for i in range(N):
        jacobian = torch.autograd.functional.jacobian(lambda one: synthesize(one[None]).flatten(), w[i])
        torch.testing.assert_close(lengths[i], torch.linalg.norm(jacobian.T @ y[i].flatten()))


def test_path_length_and_its_mean() -> None:
    M = torch.randn(D, C * H * W, dtype=torch.float64)
    w = torch.randn(N, D, dtype=torch.float64)
    mean = torch.tensor(0.7, dtype=torch.float64)

    def synthesize(w: Tensor) -> Tensor:
        return (w @ M).view(-1, C, H, W)

    torch.manual_seed(1)
    lengths = penalties.path_lengths(synthesize, w).numpy()
    torch.manual_seed(1)
    penalty, new_mean = penalties.path_length(synthesize, w, mean, decay=0.1)
    a = 0.9 * 0.7 + 0.1 * lengths.mean()
    assert new_mean.item() == pytest.approx(a, rel=1e-12)
    assert penalty.item() == pytest.approx(((lengths - a) ** 2).mean(), rel=1e-12)
    assert mean.item() == 0.7 and not new_mean.requires_grad
    # a running mean in float32 serves too, and the result stays in the wider type
    assert penalties.path_length(synthesize, w, torch.tensor(0.7))[1].dtype == torch.float64


def test_path_length_mean_finds_the_expectation() -> None:
    # for orthonormal rows of M, ||M y|| / sqrt(HW) is chi-distributed: the mean of sqrt(2) Γ((D + 1) / 2) / Γ(D / 2)
    M = torch.linalg.qr(torch.randn(C * H * W, D, dtype=torch.float64)).Q.T
    w = torch.randn(256, D, dtype=torch.float64)
    mean = torch.zeros((), dtype=torch.float64)
    for _ in range(150):
        _, mean = penalties.path_length(lambda w: (w @ M).view(-1, C, H, W), w, mean, decay=0.05)
    expected = math.sqrt(2) * math.gamma((D + 1) / 2) / math.gamma(D / 2) / math.sqrt(H * W)
    assert mean.item() == pytest.approx(expected, rel=0.02)


def test_path_length_trains_synthesis_and_mapping() -> None:
    # finite differences; the gradient passes through this batch's part of the running mean, as in the authors' code
    z = torch.randn(3, D, dtype=torch.float64)
    M = torch.randn(D, C * H * W, dtype=torch.float64, requires_grad=True)
    mapping = torch.randn(D, D, dtype=torch.float64, requires_grad=True)
    mean = torch.tensor(0.3, dtype=torch.float64)

    def of_weights(M: Tensor, mapping: Tensor) -> Tensor:
        torch.manual_seed(1)
        w = torch.tanh(z @ mapping)
        return penalties.path_length(lambda w: torch.tanh(w @ M).view(-1, C, H, W), w, mean, decay=0.4)[0]

    assert torch.autograd.gradcheck(of_weights, (M, mapping))


def test_path_length_under_autocast_and_without_sync(no_sync: AbstractContextManager[object]) -> None:
    synthesis = nn.Sequential(nn.Linear(D, C * H * W), nn.Unflatten(1, (C, H, W)))
    w = torch.randn(N, D)
    values = []
    for autocast in (False, True):
        torch.manual_seed(1)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast), no_sync:
            values.append(penalties.path_length(synthesis, w, torch.zeros(()))[0])
    assert torch.equal(values[0], values[1])


def test_clip_weights() -> None:
    critic = nn.Linear(40, 3)
    with torch.no_grad():
        critic.weight.mul_(10)
    before = {name: parameter.detach().numpy().copy() for name, parameter in critic.named_parameters()}
    tensors = list(critic.parameters())
    penalties.clip_weights(critic.parameters(), 0.05)
    for (name, parameter), same in zip(critic.named_parameters(), tensors, strict=True):
        assert parameter is same and parameter.requires_grad and parameter.is_leaf
        np.testing.assert_array_equal(parameter.detach().numpy(), np.clip(before[name], -0.05, 0.05).astype(np.float32))
    assert critic.weight.abs().max() == torch.tensor(0.05)


@pytest.mark.parametrize("c", [0.0, -0.01, math.nan])
def test_clip_weights_bound(c: float) -> None:
    with pytest.raises(BadArgument, match=f"c = {c}: give a number greater than 0"):
        penalties.clip_weights([torch.ones(2)], c)
