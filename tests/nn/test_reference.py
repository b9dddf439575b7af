"""Reference and virtual batch normalization by loops over samples, torch's own, and closed forms."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from ganzoo.nn import dcgan
from ganzoo.nn.reference import ReferenceNorm, WithReference, reference_batch_norm, virtual_batch_norm

SHAPES = pytest.mark.parametrize("positions", [(), (3, 5)])


def drawn(n: int, *positions: int) -> Tensor:
    return 2 + 3 * torch.randn(n, 6, *positions, generator=torch.Generator().manual_seed(n), dtype=torch.float64)


@SHAPES
def test_reference_batch_norm_is_torchs_with_the_references_statistics(positions: tuple[int, ...]) -> None:
    x, reference = drawn(4, *positions), drawn(9, *positions)
    axes = (0, *range(2, x.ndim))
    mean, variance = reference.mean(axes), reference.var(axes, unbiased=False)
    out = reference_batch_norm(torch.cat([x, reference]), 9)
    assert torch.allclose(out, nn.functional.batch_norm(torch.cat([x, reference]), mean, variance), rtol=1e-10)
    assert torch.allclose(out[4:].mean(axes), torch.zeros(6).double(), atol=1e-12)


@SHAPES
def test_virtual_batch_norm_is_torchs_of_each_sample_with_the_reference(positions: tuple[int, ...]) -> None:
    x, reference = drawn(4, *positions), drawn(9, *positions)
    out = virtual_batch_norm(torch.cat([x, reference]), 9)
    for i in range(4):
        batch = torch.cat([x[i : i + 1], reference])
        assert torch.allclose(out[i], nn.functional.batch_norm(batch, None, None, training=True)[0], rtol=1e-8)
    assert torch.allclose(out[4:], nn.functional.batch_norm(reference, None, None, training=True), rtol=1e-8)


def test_an_outlier_comes_out_as_it_is_or_within_the_root_of_r() -> None:
    """At u deviations from the reference's mean: u, and u √(R / (R + 1)) / √(1 + u² / (R + 1))."""
    reference = torch.tensor([-1.0, 1.0, -1.0, 1.0], dtype=torch.float64)[:, None]
    u = torch.tensor([0.5, 3.0, 1e4], dtype=torch.float64)[:, None]
    batch = torch.cat([u, reference])
    assert torch.allclose(reference_batch_norm(batch, 4)[:3], u, rtol=1e-4)
    virtual = u * math.sqrt(4 / 5) / (1 + u.square() / 5).sqrt()
    assert torch.allclose(virtual_batch_norm(batch, 4)[:3], virtual, rtol=1e-4)
    assert virtual.max() == pytest.approx(2, rel=1e-4)


@pytest.mark.parametrize("virtual", [False, True])
def test_a_generator_with_a_reference_minds_no_batchmates(virtual: bool) -> None:
    torch.manual_seed(0)
    made = partial(ReferenceNorm, reference=5, virtual=virtual)
    generator = WithReference(dcgan.Generator(4, 1, 8, 4, normalization=made), torch.randn(5, 4)).double()
    z = torch.randn(6, 4).double()
    together, alone = generator(z), generator(z[2:3])
    assert together.shape == (6, 1, 8, 8) and torch.allclose(together[2:3], alone, rtol=1e-9)
    plain = dcgan.Generator(4, 1, 8, 4).double()
    assert not torch.allclose(plain(z)[2], plain(z[:3])[2], rtol=1e-3), "unlike batch normalization"
    assert "reference" in generator.state_dict()
    gains = [layer.weight for layer in generator.modules() if isinstance(layer, ReferenceNorm)]
    assert gains and all(0 < float((gain.detach() - 1).abs().max()) < 0.12 for gain in gains), "DCGAN's first gains"


def test_gain_and_bias_are_a_channels_and_half_types_are_widened_inside() -> None:
    layer = ReferenceNorm(6, 9)
    x = drawn(13, 2).float()
    before = layer(x)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(6.0))
        layer.bias.fill_(3)
    assert torch.allclose(layer(x), before * torch.arange(6.0)[:, None] + 3, atol=1e-6)
    half = layer(1000 + x.bfloat16())
    assert half.isfinite().all()
    assert torch.equal(reference_batch_norm(x.bfloat16(), 9), reference_batch_norm(x.bfloat16().float(), 9))
