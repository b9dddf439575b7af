"""Spectral normalization against singular values and torch's own; what moves when, and what flows."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from ganzoo.nn import spectral
from ganzoo.nn.spectral import Normalized, follow_weights, power_iteration, spectral_layers

MAKERS: dict[str, tuple[Any, Any]] = {
    "conv": (lambda layers: layers.conv(3, 5, 3, padding=1), lambda: torch.randn(2, 3, 6, 6)),
    "linear": (lambda layers: layers.linear(7, 5), lambda: torch.randn(4, 7)),
    "embedding": (lambda layers: layers.embedding(6, 4), lambda: torch.tensor([0, 5, 2])),
}
every_layer = pytest.mark.parametrize("kind", MAKERS)


def made(kind: str, **options: Any) -> tuple[Any, Tensor]:
    """A layer and an input, of seed 0."""
    torch.manual_seed(0)
    make, given = MAKERS[kind]
    return make(spectral_layers(**options)), given()


@every_layer
def test_settled_weights_have_spectral_norm_1(kind: str) -> None:
    layer, _ = made(kind)
    nn.init.normal_(layer.weight, 0.3, 2.0)
    follow_weights(layer, 300)
    layer.eval()
    singular = torch.linalg.svdvals(layer.normalized_weight().flatten(1))
    assert torch.allclose(singular[0], torch.ones(()), atol=1e-5)
    expected = torch.linalg.svdvals(layer.weight.flatten(1))
    assert torch.allclose(singular, expected / expected[0], atol=1e-5), "the weight is scaled and nothing else"


@every_layer
def test_outputs_and_gradients_are_torchs_own(kind: str) -> None:
    """`torch.nn.utils.spectral_norm`, which takes the steps in Algorithm 1's order; its successor's is another."""
    layer, x = made(kind)
    plain: Any = MAKERS[kind][0](spectral.PLAIN)
    plain.load_state_dict({k: v for k, v in layer.state_dict().items() if k not in ("u", "v")})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        theirs: Any = nn.utils.spectral_norm(plain)
    theirs.weight_u.copy_(layer.u)
    theirs.weight_v.copy_(layer.v)
    for _ in range(3):  # the vectors follow a weight that learns
        layer.zero_grad()
        theirs.zero_grad()
        ours, other = layer(x), theirs(x)
        assert torch.allclose(ours, other, atol=1e-6)
        ours.square().sum().backward()
        other.square().sum().backward()
        assert torch.allclose(layer.weight.grad, theirs.weight_orig.grad, atol=1e-5)
        assert layer.weight.grad.abs().sum() > 0.1
        with torch.no_grad():
            layer.weight -= 0.1 * layer.weight.grad
            theirs.weight_orig.copy_(layer.weight)
    layer.eval(), theirs.eval()
    assert torch.allclose(layer(x), theirs(x), atol=1e-6)
    assert torch.allclose(layer.u, theirs.weight_u, atol=1e-5)


@every_layer
def test_settled_it_is_torchs_parametrization(kind: str) -> None:
    layer, x = made(kind)
    follow_weights(layer, 300)
    plain: Any = MAKERS[kind][0](spectral.PLAIN)
    plain.load_state_dict({k: v for k, v in layer.state_dict().items() if k not in ("u", "v")})
    theirs = parametrizations.spectral_norm(plain, n_power_iterations=300).eval()
    assert torch.allclose(layer.eval()(x), theirs(x), atol=1e-4)


def test_the_power_method_finds_the_first_singular_vectors() -> None:
    torch.manual_seed(1)
    weight = torch.randn(5, 8)
    u, v = power_iteration(weight, torch.randn(5), iterations=500)
    left, values, right = torch.linalg.svd(weight)
    assert torch.allclose(torch.abs(u @ left[:, 0]), torch.ones(()), atol=1e-5)
    assert torch.allclose(torch.abs(v @ right[0]), torch.ones(()), atol=1e-5)
    assert torch.allclose(u @ weight @ v, values[0], atol=1e-4)


def test_a_weight_of_zeros_gives_no_estimate_of_its_direction() -> None:
    u, v = power_iteration(torch.zeros(3, 4), torch.ones(3))
    assert torch.equal(u, torch.zeros(3)) and torch.equal(v, torch.zeros(4))


def test_eps_bounds_the_norms_from_below() -> None:
    weight, start = torch.tensor([[1e-3]]), torch.ones(1)
    assert torch.allclose(power_iteration(weight, start)[1], torch.ones(1))
    assert torch.allclose(power_iteration(weight, start, eps=1e-1)[1], torch.tensor([1e-2]))


@every_layer
def test_training_moves_the_vectors_once_a_pass_and_evaluation_does_not(kind: str) -> None:
    layer, x = made(kind)
    before = layer.u.clone()
    expected = power_iteration(layer.weight, before)
    layer(x)
    assert torch.equal(layer.u, expected[0]) and torch.equal(layer.v, expected[1])
    assert not torch.equal(layer.u, before)
    layer.eval()
    state = copy.deepcopy(layer.state_dict())
    assert torch.equal(layer(x), layer(x))
    assert all(torch.equal(state[key], value) for key, value in layer.state_dict().items())


def test_several_steps_a_pass() -> None:
    layer, x = made("linear", iterations=3)
    expected = power_iteration(layer.weight, layer.u, iterations=3)
    layer(x)
    assert torch.equal(layer.u, expected[0])


def test_refined_evaluation_takes_a_step_and_forgets_it() -> None:
    layer, x = made("linear", refine=True, eps=1e-6)
    layer.eval()
    with torch.no_grad():
        layer.weight.add_(torch.randn(5, 7))  # as a moving average's: not the weight that u and v follow
    state = copy.deepcopy(layer.state_dict())
    y = layer(x)
    u, v = power_iteration(layer.weight, layer.u, 1e-6)
    sigma = torch.linalg.vector_norm(layer.weight @ v)  # BigGAN's: ||W v|| with v from the stored u
    assert torch.allclose(y, x @ (layer.weight / sigma).T + layer.bias, atol=1e-6)
    assert torch.allclose(u @ layer.weight @ v, sigma, atol=1e-6)
    assert torch.equal(layer.u, state["u"]) and torch.equal(layer.v, state["v"])
    layer.refine = False
    assert not torch.allclose(layer(x), y, atol=1e-4)


@every_layer
def test_two_passes_then_two_backward_passes(kind: str) -> None:
    layer, x = made(kind)
    first, second = layer(x), layer(x)
    (first.sum() + second.square().sum()).backward(retain_graph=True)
    once = layer.weight.grad.clone()
    (first.sum() + second.square().sum()).backward()
    assert torch.allclose(layer.weight.grad, 2 * once, atol=1e-5)


def test_second_derivatives() -> None:
    torch.manual_seed(0)
    layer = spectral_layers().linear(2, 3).double().eval()
    x = torch.randn(2, 2, dtype=torch.float64, requires_grad=True)

    def scores(weight: Tensor, x: Tensor) -> Tensor:
        changed: Tensor = torch.func.functional_call(layer, {"weight": weight}, (x,))
        return changed.tanh()

    weight = layer.weight.detach().clone().requires_grad_(True)
    assert torch.autograd.gradcheck(scores, (weight, x))
    assert torch.autograd.gradgradcheck(scores, (weight, x))


@pytest.mark.nightly
def test_compiled_layers_compute_and_move_the_same() -> None:
    layer, x = made("conv")
    other = copy.deepcopy(layer)
    other.compile(backend="aot_eager")
    for _ in range(2):
        layer.zero_grad(), other.zero_grad()
        ours, compiled = layer(x), other(x)
        assert torch.allclose(ours, compiled, atol=1e-6)
        ours.square().sum().backward()
        compiled.square().sum().backward()
        assert torch.allclose(layer.weight.grad, other.weight.grad, atol=1e-5)
    assert torch.allclose(layer.u, other.u, atol=1e-6)


def test_sigma_is_computed_in_32_bits_under_autocast() -> None:
    layer, x = made("conv")
    other = copy.deepcopy(layer)
    layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert other(x).dtype == torch.bfloat16
        assert other.normalized_weight().dtype == torch.float32
    layer(x)
    assert torch.equal(layer.u, other.u)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_in_16_bits(dtype: torch.dtype) -> None:
    layer, _ = made("linear")
    follow_weights(layer, 100)
    layer.eval()
    expected = layer.normalized_weight()
    layer.to(dtype)
    assert layer.u.dtype == dtype and layer.normalized_weight().dtype == dtype
    assert torch.allclose(layer.normalized_weight().float(), expected, atol=2e-2)


def test_channels_last_changes_nothing() -> None:
    layer, x = made("conv")
    other = copy.deepcopy(layer).to(memory_format=torch.channels_last)
    assert torch.allclose(layer(x), other(x.to(memory_format=torch.channels_last)), atol=1e-6)
    assert torch.allclose(layer.v, other.v, atol=1e-6)


@every_layer
def test_a_layer_is_made_on_no_device_and_filled_strictly(kind: str) -> None:
    layer, x = made(kind)
    layer.eval()
    with torch.device("meta"):
        empty: Any = MAKERS[kind][0](spectral_layers())
        follow_weights(empty)
    assert all(value.is_meta for value in empty.state_dict().values())
    empty.load_state_dict(layer.state_dict(), assign=True)
    assert torch.equal(empty.eval()(x), layer(x))
    assert {"weight", "u", "v"} <= layer.state_dict().keys()


def test_plain_layers_are_torchs() -> None:
    assert tuple(spectral.PLAIN) == (nn.Conv2d, nn.Linear, nn.Embedding)
    assert not any(isinstance(MAKERS[kind][0](spectral.PLAIN), Normalized) for kind in MAKERS)
