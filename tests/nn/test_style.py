"""The layers of the style-based networks against their definitions in the papers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from ganzoo.nn import style
from ganzoo.nn.resampling import Resampling, convolve
from ganzoo.types import BadArgument

# ------------------------------------------------------------------------------------------------ equalized layers


@pytest.mark.parametrize("n", [2, 50])  # the scale goes to the input, or to the weights
@pytest.mark.parametrize("rate", [1.0, 0.01])
def test_linear_layer(n: int, rate: float) -> None:
    layer: Any = style.EqualizedLinear(12, 9, bias=0.5, rate=rate, activation="lrelu").double()
    assert torch.equal(layer.bias, torch.full((9,), 0.5, dtype=torch.float64))
    x = torch.randn(n, 12, dtype=torch.float64)
    plain = x @ (layer.weight * rate / math.sqrt(12)).t() + layer.bias * rate
    assert torch.allclose(layer(x), F.leaky_relu(plain, 0.2) * math.sqrt(2))


def test_layers_have_unit_variance_at_the_start() -> None:
    torch.manual_seed(0)
    x = torch.randn(400, 64)
    for rate in (1.0, 0.01):
        assert style.EqualizedLinear(64, 300, rate=rate)(x).detach().std() == pytest.approx(1, abs=0.05)
    images = torch.randn(8, 32, 16, 16)
    assert style.EqualizedConv2d(32, 64, 3)(images)[:, :, 1:-1, 1:-1].detach().std() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("side", [4, 32])
def test_convolution(side: int) -> None:
    layer: Any = style.EqualizedConv2d(5, 6, 3, activation="lrelu", clamp=1.0).double()
    with torch.no_grad():
        layer.bias.normal_()
    x = torch.randn(2, 5, side, side, dtype=torch.float64)
    plain = F.conv2d(x, layer.weight / math.sqrt(45), layer.bias, padding=1)
    expected = (F.leaky_relu(plain, 0.2) * math.sqrt(2) * 0.5).clamp(-0.5, 0.5)
    assert torch.allclose(layer(x, 0.5), expected) and (layer(x, 0.5).abs() == 0.5).any()


# ------------------------------------------------------------------------------------------------ modulation


def per_sample(layer: style.ModulatedConv2d, x: Tensor, w: Tensor) -> Tensor:
    """Eq. 1 to 3 as they stand: weights for each sample."""
    made = []
    weight = layer.weight.transpose(0, 1) if layer.resample == "up" else layer.weight
    for image, styles in zip(x, layer.affine(w), strict=True):
        own = weight * styles[None, :, None, None]
        if layer.demodulate:
            own = own / (own.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        else:
            own = own / math.sqrt(weight[0].numel())
        made.append(convolve(image[None], own, None, layer.resample))
    return torch.cat(made)


MODULATED: list[tuple[int, bool, Resampling | None]] = [(3, True, None), (3, True, "up"), (1, False, None)]


@pytest.mark.parametrize(("kernel", "demodulate", "resample"), MODULATED)
def test_scaling_inputs_and_outputs_is_scaling_weights(
    kernel: int, demodulate: bool, resample: Resampling | None
) -> None:
    torch.manual_seed(0)
    layer = style.ModulatedConv2d(5, 4, kernel, 7, demodulate=demodulate, resample=resample).double()
    x, w = (torch.randn(*s, dtype=torch.float64) for s in ((3, 5, 8, 8), (3, 7)))
    expected = per_sample(layer, x, w)
    assert torch.allclose(layer(x, w), expected) and torch.allclose(layer(x, w, 1.5), 1.5 * expected)


@pytest.mark.parametrize(("kernel", "demodulate", "resample"), MODULATED)
def test_derivatives_of_a_modulated_convolution(kernel: int, demodulate: bool, resample: Resampling | None) -> None:
    torch.manual_seed(0)
    layer = style.ModulatedConv2d(2, 3, kernel, 4, demodulate=demodulate, resample=resample).double()
    inputs = [torch.randn(*s, dtype=torch.float64, requires_grad=True) for s in ((2, 2, 4, 4), (2, 4))]
    names = ["weight", "affine.weight"]

    def run(x: Tensor, w: Tensor, *parameters: Tensor) -> Tensor:
        made: Tensor = torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x, w, 1.5))
        return made

    given = (*inputs, *(layer.get_parameter(name) for name in names))
    assert gradcheck(run, given, fast_mode=True) and gradgradcheck(run, given, fast_mode=True)


def test_inference_follows_every_change_of_the_weights() -> None:
    layer = style.ModulatedConv2d(4, 5, 3, 6).eval()
    x, w = torch.randn(2, 4, 8, 8), torch.randn(2, 6)

    def check() -> None:
        assert torch.allclose(layer(x, w), per_sample(layer, x, w), atol=1e-5)

    with torch.no_grad():
        check()
        layer.weight.mul_(torch.rand_like(layer.weight))
        check()
        layer.load_state_dict({**layer.state_dict(), "weight": torch.randn(5, 4, 3, 3)})
        check()
    # A fused step leaves no trace in the version of the weights
    adam = torch.optim.Adam(layer.parameters(), lr=0.5, fused=True)
    layer(x, w).square().sum().backward()
    adam.step()
    with torch.no_grad():
        check()
        layer.double()
        x, w = x.double(), w.double()
        check()
    with torch.inference_mode():
        check()


def test_half_precision_does_not_overflow() -> None:
    layer: Any = style.ModulatedConv2d(8, 8, 3, 4)
    with torch.no_grad():
        layer.affine.bias.fill_(3e4)
    x, w = torch.randn(2, 8, 8, 8) * 10, torch.randn(2, 4)
    exact = layer(x, w)
    with torch.autocast("cpu", dtype=torch.float16):
        half = layer(x.half(), w)
    assert half.isfinite().all() and torch.allclose(half.float(), exact, atol=0.1)


# ------------------------------------------------------------------------------------------------ the mapping network


def test_mapping_by_the_papers_steps() -> None:
    network: Any = style.Mapping(6, 5, 3, classes=4, count=7, width=8, embedding=3).double()
    z, labels = torch.randn(9, 6, dtype=torch.float64), torch.randint(4, (9,))
    x = z / (z.square().mean(1, keepdim=True) + 1e-8).sqrt()
    embedded = F.one_hot(labels, 4).double() @ (network.embed.weight / 2).t() + network.embed.bias
    y = embedded / (embedded.square().mean(1, keepdim=True) + 1e-8).sqrt()
    w = torch.cat([x, y], 1)
    for layer, inputs in zip(network.layers, (9, 8, 8), strict=True):
        weight, bias = layer.get_parameter("weight"), layer.get_parameter("bias")
        w = F.leaky_relu(w @ (weight * 0.01 / math.sqrt(inputs)).t() + bias * 0.01, 0.2) * math.sqrt(2)
    found = network(z, labels)
    assert found.shape == (9, 7, 5) and torch.allclose(found, w[:, None].expand(-1, 7, -1))
    assert torch.allclose(network(z, F.one_hot(labels, 4).double()), found), "a class is its vector"


def test_truncation_and_its_cutoff() -> None:
    network = style.Mapping(4, 5, 2, count=6)
    network.mean.normal_()
    z = torch.randn(3, 4)
    w = network(z)
    pulled = network.mean + 0.7 * (w - network.mean)
    assert torch.allclose(network(z, truncation=0.7), pulled, atol=1e-6)
    found = network(z, truncation=0.7, cutoff=2)
    assert torch.allclose(found[:, :2], pulled[:, :2], atol=1e-6) and torch.equal(found[:, 2:], w[:, 2:])
    assert torch.equal(network(z, truncation=0.7, cutoff=0), w)
    assert torch.allclose(network(z, truncation=0.0)[0], network.mean.expand(6, -1))


def test_the_mean_follows_where_it_is_asked_to() -> None:
    network = style.Mapping(4, 5, 2, count=6, decay=0.9)
    z = torch.randn(8, 4)
    w = network(z)
    assert torch.equal(network.mean, torch.zeros(5))
    network(z, track=True)
    assert torch.allclose(network.mean, 0.1 * w[:, 0].mean(0))
    network(z, track=3)
    assert torch.allclose(network.mean, 0.09 * w[:, 0].mean(0) + 0.1 * w[:3, 0].mean(0), atol=1e-6)


@pytest.mark.parametrize("labels", [None, torch.zeros(2, 5), torch.zeros(3, dtype=torch.long), torch.zeros(2)])
def test_wrong_labels_are_refused(labels: Tensor | None) -> None:
    with pytest.raises(BadArgument, match=r"labels"):
        style.Mapping(4, 5, 2, classes=4)(torch.randn(2, 4), labels)


# ------------------------------------------------------------------------------------------------ the discriminator


def test_minibatch_standard_deviation_in_closed_form() -> None:
    # Two groups, {0, 2} and {1, 3}: of constant images a and b the standard deviation is |a - b| / 2
    values = torch.tensor([1.0, 2.0, 5.0, 2.5])
    x = values[:, None, None, None].expand(4, 3, 2, 2)
    added = style.minibatch_stddev(x, group=2)
    assert torch.equal(added[:, :3], x)
    assert torch.allclose(added[:, 3], torch.tensor([2.0, 0.25, 2.0, 0.25])[:, None, None].expand(4, 2, 2), atol=1e-4)
    # Of features alone: two maps, of which one varies
    y = torch.zeros(2, 2, 1, 1)
    y[0, 1] = 6.0
    assert torch.allclose(style.minibatch_stddev(y, None, channels=2)[:, 2:].flatten(1), torch.tensor([1e-4, 3.0]))
    assert style.minibatch_stddev(torch.randn(6, 2, 1, 1), group=4).shape == (6, 3, 1, 1)  # groups of 3
    with pytest.raises(BadArgument, match="cannot be divided"):
        style.minibatch_stddev(torch.zeros(3, 2, 1, 1), parts=2)


@pytest.mark.parametrize("architecture", ["resnet", "skip", "orig"])
@pytest.mark.parametrize("classes", [0, 3])
def test_real_and_generated_in_one_pass(architecture: Any, classes: int) -> None:
    torch.manual_seed(0)
    network = style.Discriminator(16, 3, classes, base=64, most=12, architecture=architecture, clamp=256).double()
    images = torch.randn(16, 3, 16, 16, dtype=torch.float64)
    labels = torch.randint(3, (16,)) if classes else None
    halves = [network(images[h], labels[h] if labels is not None else None) for h in (slice(8), slice(8, 16))]
    together = network(images, labels, parts=2)
    assert together.shape == (16, 1) and torch.allclose(together, torch.cat(halves), atol=1e-10)
    assert not torch.allclose(network(images, labels), together, atol=1e-6), "the groups would mix otherwise"


def test_the_label_is_projected() -> None:
    network: Any = style.Discriminator(8, 1, 3, base=32, most=6, mapping_layers=2)
    images = torch.randn(4, 1, 8, 8)
    features: list[Tensor] = []
    network.head.register_forward_hook(lambda *given: features.append(given[-1]))
    scores = network(images, torch.tensor([0, 1, 2, 0]))
    mapped = network.mapping(None, F.one_hot(torch.tensor([0, 1, 2, 0]), 3))
    assert torch.allclose(scores[:, 0], (features[0] * mapped).sum(1) / math.sqrt(6), atol=1e-6)


def test_second_derivatives_of_the_discriminator() -> None:
    torch.manual_seed(0)
    network = style.Discriminator(8, 1, base=16, most=3).double()
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    assert gradgradcheck(network, (x,), fast_mode=True)


def test_wrong_sizes_are_refused() -> None:
    for size in (4, 12, 0):
        with pytest.raises(BadArgument, match=f"image size is {size}"):
            style.Discriminator(size)
    with pytest.raises(BadArgument, match="3 numbers are expected"):
        style.Discriminator(16, widths=[4, 4])
    with pytest.raises(BadArgument, match=r"\(N, 3, 16, 16\) is expected"):
        style.Discriminator(16, base=16)(torch.randn(1, 3, 8, 8))
