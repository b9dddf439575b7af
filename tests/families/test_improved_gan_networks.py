"""Minibatch discrimination against loops, normalization and historical averaging by their formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ganzoo.families.improved_gan.networks import History, Normalization
from ganzoo.nn.minibatch import MinibatchDiscrimination


def test_minibatch_discrimination_against_loops() -> None:
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(features=4, kernels=3, size=2)
    with torch.no_grad():
        layer.log_scale.normal_()
        layer.bias.normal_()
    f = torch.randn(5, 4)
    out = layer(f)
    assert out.shape == (5, 7) and torch.equal(out[:, :4], f)
    for i in range(5):
        for b in range(3):
            near = 0.0
            for j in range(5):
                if j == i:
                    continue
                distance = 0.0
                for c in range(2):
                    t = layer.tensor[:, b, c] * math.exp(layer.log_scale[b, c]) / layer.tensor[:, b, c].norm()
                    distance += abs(float(f[i] @ t) - float(f[j] @ t))
                near += math.exp(-distance)
            assert out[i, 4 + b].item() == pytest.approx(near + float(layer.bias[b]), abs=1e-4)


def test_samples_that_are_alike_are_seen_to_be() -> None:
    layer = MinibatchDiscrimination(features=4, kernels=3, size=2)
    f = torch.randn(6, 4)
    assert torch.allclose(layer(f[:1].expand(6, -1))[:, 4:], torch.full((6, 3), 5.0 - 1.0), atol=1e-4)
    assert (layer(50 * f)[:, 4:] < layer(f)[:, 4:]).all()


def test_minibatch_discriminations_first_batch() -> None:
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(features=8, kernels=3, size=5)
    f = 30 * torch.randn(40, 8)
    out = layer.initialize(f)
    assert torch.allclose(layer.distances(f).amin(1).mean(0), torch.full((3,), 2.0), atol=1e-4)
    assert torch.allclose(out[:, 8:].mean(0), torch.zeros(3), atol=1e-5)
    assert torch.equal(out, layer(f))


def test_a_virtually_normalized_sample_does_not_depend_on_its_batch() -> None:
    layer = Normalization(6, reference=9)
    x, reference = torch.randn(4, 6), torch.randn(9, 6)
    whole = layer(torch.cat([x, reference]))
    alone = layer(torch.cat([x[2:3], reference]))
    assert torch.allclose(whole[2], alone[0], atol=1e-5)
    plain = Normalization(6)
    assert not torch.allclose(plain(x)[2], plain(x[:3])[2], atol=1e-3), "unlike batch normalization"


@pytest.mark.parametrize("reference", [0, 9])
def test_the_bias_is_all_that_normalizations_learn(reference: int) -> None:
    layer = Normalization(6, reference)
    assert [name for name, _ in layer.named_parameters()] == ["bias"]
    x = torch.randn(12, 6)
    before = layer(x)
    with torch.no_grad():
        layer.bias.fill_(3)
    assert torch.allclose(layer(x), before + 3, atol=1e-6)


def test_historical_averaging_is_the_distance_from_the_mean_of_all_values() -> None:
    torch.manual_seed(0)
    network, history, values = nn.Linear(3, 2), History(weight=0.25), []
    for _ in range(5):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
        history.observe("network", network)
        values.append([p.detach().clone() for p in network.parameters()])
        means = [torch.stack(each).mean(0) for each in zip(*values, strict=True)]
        distance = sum(float((p - m).square().sum()) for p, m in zip(network.parameters(), means, strict=True))
        assert float(history.term("network", network)) == pytest.approx(0.25 * distance, rel=1e-4, abs=1e-6)
    term = history.term("network", network)
    assert isinstance(term, torch.Tensor)
    (gradient,) = torch.autograd.grad(term, [network.weight])
    assert torch.allclose(gradient, 0.5 * (network.weight - means[0]), atol=1e-5), "the mean is a constant"


def test_without_a_weight_nothing_is_kept() -> None:
    history = History(0.0)
    history.observe("network", nn.Linear(3, 2))
    assert history.means == {} and history.term("network", nn.Linear(3, 2)) == 0.0
