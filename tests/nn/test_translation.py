"""The networks of translation beside the same layers in PyTorch's own modules, as their papers list them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.nn import translation
from ganzoo.types import BadArgument

KINDS: tuple[translation.Normalization, ...] = ("instance", "instance-affine", "batch")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def lively(network: nn.Module, seed: int = 0) -> nn.Module:
    """Weights, gains and statistics that are not the initial ones."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.is_floating_point():
            tensor.data.copy_(torch.rand(tensor.shape, generator=generator) - (0.5 if tensor.dim() > 1 else -0.3))
    return network.eval()


def norm(layer: Any, x: Tensor) -> Tensor:
    if isinstance(layer, nn.BatchNorm2d):
        return F.batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias)
    return F.instance_norm(x, weight=layer.weight, bias=layer.bias)


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("shape", [(1, 5, 6, 7), (3, 4, 8, 8), (2, 1, 3, 3), (2, 3, 1, 2)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_instance_normalization_is_pytorchs(affine: bool, shape: tuple[int, ...], layout: torch.memory_format) -> None:
    ours, theirs = lively(translation.InstanceNorm(shape[1], affine)), nn.InstanceNorm2d(shape[1], affine=affine)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(shape).mul_(3).add_(1).to(memory_format=layout).requires_grad_()
    y = ours(x)
    expected = theirs(x)
    assert torch.allclose(y, expected, atol=1e-5)
    assert y.is_contiguous(memory_format=layout)
    weight = torch.randn(shape)
    (gradient,), (wanted,) = (torch.autograd.grad((made * weight).sum(), x) for made in (y, expected))
    assert torch.allclose(gradient, wanted, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dropout", [False, True])
def test_residual_generator(kind: translation.Normalization, dropout: bool) -> None:
    """c7s1-w, d2w, d4w, R4w ..., u2w, uw, c7s1-3 (Zhu 2017, section 7.2)."""
    net: Any = lively(translation.ResNetGenerator(2, 3, 4, 2, kind, dropout)).double()  # what saturates differs by less
    x = torch.rand(2, 2, 12, 16, dtype=torch.float64)

    def reflect(x: Tensor, by: int) -> Tensor:
        return F.pad(x, (by,) * 4, mode="reflect")

    def conv(layer: Any, x: Tensor, **how: Any) -> Tensor:
        return F.conv2d(x, layer.weight, layer.bias, **how)

    h = F.relu(norm(net.down[2], conv(net.down[1], reflect(x, 3))))
    for i in (4, 7):
        h = F.relu(norm(net.down[i + 1], conv(net.down[i], h, stride=2, padding=1)))
    for block in net.blocks:
        inner = F.relu(norm(block.norm1, conv(block.conv1, reflect(h, 1))))
        h = h + norm(block.norm2, conv(block.conv2, reflect(inner, 1)))
    for i in (0, 3):
        layer = net.up[i]
        h = F.conv_transpose2d(h, layer.weight, layer.bias, stride=2, padding=1, output_padding=1)
        h = F.relu(norm(net.up[i + 1], h))
    expected = torch.tanh(conv(net.up[7], reflect(h, 3)))
    with torch.no_grad():
        assert torch.allclose(net(x), expected, atol=1e-9) and expected.shape == (2, 3, 12, 16)
        assert torch.allclose(net.to(memory_format=torch.channels_last)(x), expected, atol=1e-9)
        moved = net.train()(x)
    assert (kind == "batch" or dropout) != torch.allclose(moved, expected, atol=1e-6)
    assert (net.down[1].bias is None) == (kind == "batch") and net.up[7].bias is not None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("depth", [2, 3, 6])
def test_u_net(kind: translation.Normalization, depth: int) -> None:
    """Encoder layer i hands its activation to the decoder layer of its size (Isola 2017, section 6.1)."""
    net: Any = lively(translation.UNetGenerator(2, 3, 2, depth, kind))
    x = torch.rand(2, 2, 2**depth, 2 ** (depth + 1))

    def layers(module: Any) -> tuple[Any, Any]:
        return (module[0], module[1]) if isinstance(module, nn.Sequential) else (module, None)

    widths, skips, h = [2 * min(2**i, 8) for i in range(depth)], [], x
    for i, module in enumerate(net.down):
        layer, normal = layers(module)
        assert layer.weight.shape == (widths[i], 2 if i == 0 else widths[i - 1], 4, 4)
        assert (normal is None) == (i in (0, depth - 1))
        h = F.conv2d(h if i == 0 else F.leaky_relu(h, 0.2), layer.weight, layer.bias, stride=2, padding=1)
        h = h if normal is None else norm(normal, h)
        skips.append(F.leaky_relu(h, 0.2))
    for i, module in enumerate(net.up):
        layer, normal = layers(module)
        inputs = h if i == 0 else torch.cat([skips[depth - 1 - i], h], 1)
        h = F.conv_transpose2d(F.relu(inputs), layer.weight, layer.bias, stride=2, padding=1)
        h = h if normal is None else norm(normal, h)
    with torch.no_grad():
        assert torch.allclose(net(x), torch.tanh(h), atol=1e-4) and h.shape == (2, 3, *x.shape[2:])
        assert torch.allclose(net.to(memory_format=torch.channels_last)(x), torch.tanh(h), atol=1e-4)


def test_the_u_net_of_256_pixels() -> None:
    """Eight halvings, at most eight widths, dropout in three layers (Isola 2017, section 6.1.1; the authors' code)."""
    net: Any = translation.UNetGenerator(width=1)
    dropping = [any(isinstance(m, translation.Dropout) for m in layer.modules()) for layer in net.up]
    assert dropping == [False, True, True, True, False, False, False, False]
    assert net.stride == 256
    encoder, decoder = [3, 1, 2, 4, 8, 8, 8, 8, 8], [8, 8, 8, 8, 8, 4, 2, 1, 3]
    weights = sum(16 * a * b for a, b in pairwise(encoder))
    weights += sum(16 * a * b * (1 if i == 0 else 2) for i, (a, b) in enumerate(pairwise(decoder)))
    gains = 2 * (sum(encoder[2:-1]) + sum(decoder[1:-1]))
    assert sum(p.numel() for p in net.parameters()) == weights + gains + 3  # one bias, of the last layer


@pytest.mark.parametrize(
    ("layers", "side", "scores"), [(0, 9, 9), (1, 16, 6), (2, 32, 6), (3, 64, 6), (3, 256, 30), (5, 256, 6)]
)
def test_patches(layers: int, side: int, scores: int) -> None:
    net = translation.PatchDiscriminator(3, 1, layers)
    assert net(torch.zeros(2, 3, side, side)).shape == (2, 1, scores, scores)
    net.check(side)


@pytest.mark.parametrize(("layers", "field"), [(0, 1), (1, 16), (2, 34), (3, 70)])
def test_a_score_is_a_patchs(layers: int, field: int) -> None:
    """The receptive fields of Isola 2017, section 6.1.2; batch normalization in evaluation couples no positions."""
    net = lively(translation.PatchDiscriminator(1, 2, layers, "batch"))
    x = torch.rand(1, 1, 128, 128, requires_grad=True)
    scores = net(x)
    middle = scores.shape[-1] // 2
    (gradient,) = torch.autograd.grad(scores[0, 0, middle, middle], x)
    assert int((gradient[0, 0] != 0).any(0).sum()) == field and int((gradient[0, 0] != 0).any(1).sum()) == field


def test_the_pixel_discriminators_last_bias_goes_with_the_normalization() -> None:
    assert translation.PatchDiscriminator(3, 2, 0, "batch").main[-1].bias is None
    assert translation.PatchDiscriminator(3, 2, 0, "instance").main[-1].bias is not None
    assert translation.PatchDiscriminator(3, 2, 1, "batch").main[-1].bias is not None


def test_initial_weights() -> None:
    for network in (translation.UNetGenerator(width=16, depth=4), translation.PatchDiscriminator(3, 32, 3, "batch")):
        for module in network.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                if module.weight.numel() > 10_000:
                    assert module.weight.std().item() == pytest.approx(0.02, rel=0.05)
                assert module.bias is None or not module.bias.any()
            elif isinstance(module, nn.BatchNorm2d) and module.num_features >= 64:
                assert module.weight.mean().item() == pytest.approx(1, abs=0.02) and 0.01 < module.weight.std() < 0.04


def test_as_tested_takes_each_images_own_statistics() -> None:
    net = lively(translation.UNetGenerator(3, 3, 2, 3, "batch", dropout=False))
    x = torch.rand(3, 3, 8, 8)
    with torch.no_grad():
        running = net(x)
        with translation.as_tested(net):
            own = net(x)
        assert torch.equal(net(x), running), "afterwards it is as before"
        net.train()
        alone = torch.cat([net(image) for image in x.split(1)])
    assert torch.allclose(own, alone, atol=1e-5) and not torch.allclose(own, running, atol=1e-2)


def test_as_tested_draws_the_masks_by_the_images_seed() -> None:
    net = lively(translation.UNetGenerator(3, 3, 1, 6, "instance"))
    x, state = torch.rand(3, 3, 64, 64), torch.get_rng_state()
    with torch.no_grad():
        still = net(x)
        with translation.as_tested(net, seeds=[4, 5, 4]):
            drawn = net(torch.cat([x[:1]] * 3))
        with translation.as_tested(net, seeds=[5]):
            again = net(x[:1])
        assert torch.equal(net(x), still)
    assert torch.equal(drawn[0], drawn[2]) and not torch.allclose(drawn[0], drawn[1], atol=1e-3)
    assert torch.allclose(again[0], drawn[1], atol=1e-6)
    assert torch.equal(torch.get_rng_state(), state)


def test_dropout_that_is_alive_drops_half_and_keeps_the_mean() -> None:
    drop = translation.Dropout(0.5).eval()
    drop.streams = [torch.Generator().manual_seed(0)]
    values, counts = drop(torch.ones(1, 10, 50, 50)).unique(return_counts=True)
    assert values.tolist() == [0, 2] and counts[0].item() == pytest.approx(12_500, rel=0.03)


def test_what_cannot_be() -> None:
    known = "instance, instance-affine, batch or none"
    with pytest.raises(BadArgument, match=f"normalization is 'group'; {known} is expected"):
        translation.ResNetGenerator(normalization="group")  # type: ignore[arg-type]
    with pytest.raises(BadArgument, match=r"depth is 1; a U-Net has at least 2 halvings"):
        translation.UNetGenerator(depth=1)
    for side in (4, 10, 0):
        with pytest.raises(BadArgument, match=f"a side of {side} pixels; multiples of 4 from 8 on are expected"):
            translation.ResNetGenerator(width=1, blocks=1).check(16, side)
    with pytest.raises(BadArgument, match=r"a side of 36 pixels; multiples of 8 = 2\^3 are expected"):
        translation.UNetGenerator(width=1, depth=3).check(36)
    with pytest.raises(BadArgument, match=r"a side of 20 pixels holds no patch .* at least 24 pixels are expected"):
        translation.PatchDiscriminator(width=1).check(64, 20)
