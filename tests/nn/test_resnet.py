"""The residual networks against the same written as the papers draw them: a layer for every operation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.nn import resnet
from ganzoo.nn.resnet import ConditionalBatchNorm2d, Discriminator, Generator
from ganzoo.nn.spectral import PLAIN, Normalized, spectral_layers
from ganzoo.types import BadArgument


def stirred(network: Any) -> Any:
    """With biases, gains and statistics that are not the initial ones."""
    torch.manual_seed(3)
    for name, value in network.state_dict().items():
        if value.is_floating_point() and not name.endswith((".u", ".v")):
            value.add_(torch.rand_like(value) * 0.3)
    return network.double().eval()


def up(x: Tensor, how: str) -> Tensor:
    return (
        F.interpolate(x, scale_factor=2, mode="nearest")
        if how == "nearest"
        else F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    )


@pytest.mark.parametrize("layers", [PLAIN, spectral_layers()])
@pytest.mark.parametrize("how", ["nearest", "bilinear"])
def test_the_generators_block_is_figure_8(layers: Any, how: Any) -> None:
    block = stirred(resnet.GeneratorBlock(3, 5, 4, layers, how))
    x, y = torch.randn(2, 3, 5, 4, dtype=torch.float64), torch.tensor([1, 3])
    h = block.conv1(up(F.relu(block.norm1(x, y)), how))
    h = block.conv2(F.relu(block.norm2(h, y)))
    assert torch.allclose(block(x, y), h + block.shortcut(up(x, how)), atol=1e-10)


@pytest.mark.parametrize("layers", [PLAIN, spectral_layers()])
def test_the_discriminators_blocks_are_figure_8(layers: Any) -> None:
    x = torch.randn(2, 3, 7, 6, dtype=torch.float64)  # an odd side loses its last row, as pooling does
    first = stirred(resnet.FirstBlock(3, 5, layers))
    h = F.avg_pool2d(first.conv2(F.relu(first.conv1(x))), 2)
    assert torch.allclose(first(x), h + F.avg_pool2d(first.shortcut(x), 2), atol=1e-10)
    for down, outputs, activated in ((True, 5, False), (False, 5, False), (False, 3, False), (True, 5, True)):
        block = stirred(resnet.DiscriminatorBlock(3, outputs, down, layers, activated))
        pool: Any = (lambda z: F.avg_pool2d(z, 2)) if down else (lambda z: z)
        h = pool(block.conv2(F.relu(block.conv1(F.relu(x)))))
        expected = h + pool(block.shortcut(F.relu(x) if activated else x))
        assert torch.allclose(block(x), expected, atol=1e-10)
        assert isinstance(block.shortcut, nn.Identity) == (not down and outputs == 3)


def test_merged_convolutions_have_the_gradients_of_what_they_merge() -> None:
    torch.manual_seed(0)
    conv: Any = nn.Conv2d(3, 4, 3, padding=1).double()
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64, requires_grad=True)
    for merged, plain in (
        (resnet.pooled_convolution, lambda x, c: F.avg_pool2d(c(x), 2)),
        (resnet.upsampled_convolution, lambda x, c: c(up(x, "nearest"))),
    ):
        ours, theirs = merged(x, conv), plain(x, conv)
        assert torch.allclose(ours, theirs, atol=1e-12)
        g = torch.randn_like(ours)
        for one, other in zip(
            torch.autograd.grad(ours, [x, conv.weight, conv.bias], g),
            torch.autograd.grad(theirs, [x, conv.weight, conv.bias], g),
            strict=True,
        ):
            assert torch.allclose(one, other, atol=1e-10)


def test_conditional_batch_normalization_is_that_of_each_class() -> None:
    torch.manual_seed(0)
    layer = ConditionalBatchNorm2d(3, 4)
    nn.init.normal_(layer.bias.weight)
    x, y = torch.randn(5, 3, 4, 4), torch.tensor([0, 1, 1, 3, 2])
    out = layer(x, y)
    plain = F.batch_norm(x, None, None, training=True)
    for i, label in enumerate(y):
        gain, bias = layer.gain.weight[label], layer.bias.weight[label]
        assert torch.allclose(out[i], gain[:, None, None] * plain[i] + bias[:, None, None], atol=1e-6)
    assert not torch.equal(layer.gain.weight[0], layer.gain.weight[1])


@pytest.mark.parametrize(
    ("size", "widths", "critic", "downs", "sides"),
    [
        (32, (8, 8, 8, 8), (8, 8, 8, 8), 2, [16, 8, 8, 8]),
        (48, (16, 8, 4, 2), (2, 4, 8, 16, 32), 4, [24, 12, 6, 3, 3]),
        (28, (8, 4, 2), (2, 4), 2, [14, 7]),
        (64, (16, 8, 4, 2, 2), (2, 4, 8, 16, 16), 5, [32, 16, 8, 4, 2]),
    ],
)
def test_sizes(size: int, widths: Any, critic: Any, downs: int, sides: list[int]) -> None:
    g, d = Generator(5, 2, size, widths), Discriminator(2, size, critic, downs, layers=spectral_layers())
    seen: list[int] = []
    for block in (d.first, *d.blocks):
        block.register_forward_hook(lambda m, i, o: seen.append(o.shape[-1]))
    images = g(torch.randn(3, 5))
    assert images.shape == (3, 2, size, size) and images.abs().max() <= 1
    assert d(images).shape == (3,)
    assert seen == sides


def test_the_score_is_the_papers() -> None:
    d = stirred(Discriminator(2, 8, (4, 6), 1, classes=3, layers=spectral_layers()))
    x, y = torch.randn(4, 2, 8, 8, dtype=torch.float64), torch.tensor([2, 0, 1, 1])
    features = F.relu(d.blocks[0](d.first(x))).sum((2, 3))
    table = d.projection.normalized_weight()
    expected = d.score(features)[:, 0] + torch.stack([table[label] @ f for label, f in zip(y, features, strict=True)])
    assert torch.allclose(d(x, y), expected, atol=1e-10)
    assert not torch.allclose(d(x, y), d(x, y.roll(1)))


def test_a_score_depends_on_its_own_sample_alone() -> None:
    d = Discriminator(1, 8, (4, 4), 2, classes=2, layers=spectral_layers(), attention=4).eval()
    x, y = torch.randn(5, 1, 8, 8), torch.tensor([0, 1, 0, 1, 1])
    assert torch.allclose(d(x, y)[1:2], d(x[1:2], y[1:2]), atol=1e-6)


@pytest.mark.parametrize(("side", "after"), [(4, 0), (8, 1), (16, 2)])
def test_the_generators_attention_stands_where_it_is_asked_for(side: int, after: int) -> None:
    g = Generator(5, 1, 16, (8, 6, 4), classes=2, layers=spectral_layers(), attention=side)
    seen: list[Any] = []
    assert g.attention is not None
    g.attention.register_forward_hook(lambda m, i, o: seen.append(i[0].shape[-1]))
    g(torch.randn(2, 5), torch.tensor([0, 1]))
    assert seen == [side] and g.attended == after
    assert g.before(torch.randn(2, 5), torch.tensor([0, 1])).shape[-1] == side


def test_the_discriminators_attention_comes_after_the_first_block_of_that_side() -> None:
    d = Discriminator(1, 16, (4, 6, 8, 8), 2, layers=spectral_layers(), attention=4)
    order: list[str] = []
    for name, module in d.named_modules():
        if name in ("first", "attention") or name.removeprefix("blocks.").isdigit():
            module.register_forward_hook(lambda m, i, o, name=name: order.append(name))
    d(torch.randn(2, 1, 16, 16))
    assert order == ["first", "blocks.0", "attention", "blocks.1", "blocks.2"]


def test_which_layers_are_normalized() -> None:
    def layers(network: nn.Module) -> list[nn.Module]:
        return [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear)) or m is network.projection]

    d = Discriminator(1, 8, (4, 4), 2, classes=2, layers=spectral_layers(), attention=4)
    assert all(isinstance(m, Normalized) for m in layers(d))
    for name, value in d.named_buffers():
        assert name.endswith((".u", ".v")) and torch.allclose(value.norm(), torch.ones(()), atol=1e-5)
    for module in d.modules():  # settled: no estimate is far below the truth
        if isinstance(module, Normalized):
            sigma = torch.linalg.svdvals(module.normalized_weight().flatten(1))[0]
            assert 0.95 < sigma < 1.25
    g = Generator(5, 1, 8, (4, 4))
    assert not any(isinstance(m, Normalized) for m in g.modules())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Generator(5, 1, 30, (4, 4, 4)), "image size is 30 and there are 3 widths; .* a multiple of 4"),
        (lambda: Generator(5, 1, 8, (4,)), "at least 2 widths"),
        (lambda: Generator(5, 1, 8, (4, 4), attention=5), r"attention is 5; .* one of \[4, 8\], or 0"),
        (lambda: Discriminator(1, 8, (4, 4), 3), "3 of 2 blocks halve the side of 8 pixels"),
        (lambda: Discriminator(1, 4, (4, 4, 4), 3), "3 of 3 blocks halve the side of 4 pixels"),
        (lambda: Discriminator(1, 8, (4, 4), 2, attention=8), r"attention is 8; .* one of \[4, 2\]"),
    ],
)
def test_what_does_not_fit_is_said(make: Any, said: str) -> None:
    with pytest.raises(BadArgument, match=said):
        make()


def test_half_precision_and_second_derivatives() -> None:
    d = Discriminator(1, 8, (4, 4), 2, layers=spectral_layers(), attention=4)
    x = torch.randn(3, 1, 8, 8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        rough = d(x)
    assert torch.allclose(rough.float(), d(x), atol=0.1)
    (slope,) = torch.autograd.grad(d(x).sum(), x, create_graph=True)
    slope.square().sum().backward()
    assert all(m.weight.grad is not None for m in d.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3))


@pytest.mark.parametrize(
    ("variant", "upsampling", "eps", "activated", "norm"),
    [
        ("paper", "nearest", 1e-5, False, ConditionalBatchNorm2d),
        ("mimicry", "bilinear", 1e-5, True, ConditionalBatchNorm2d),
        ("studiogan", "nearest", 1e-4, True, resnet.OneHotBatchNorm2d),
    ],
)
def test_sngans_networks_in_the_details_of_each_code(
    variant: Any, upsampling: str, eps: float, activated: bool, norm: type[nn.Module]
) -> None:
    generator, critic = resnet.sngan(Discriminator, 6, 1, 8, (8, 8), (4, 8), 1, classes=3, variant=variant)
    block, other = generator.blocks[0], critic.blocks[0]
    assert isinstance(block, resnet.GeneratorBlock) and isinstance(other, resnet.DiscriminatorBlock)
    assert (block.upsampling, generator.norm.eps, other.activated) == (upsampling, eps, activated)
    assert type(block.norm1) is norm and critic.projection is not None
    assert other.conv1.out_channels == (8 if variant == "studiogan" else 4), "which convolution widens"
    assert isinstance(other.conv1, Normalized) and not isinstance(block.conv1, Normalized)
    plain, alone = resnet.sngan(Discriminator, 6, 1, 8, (8, 8), (4, 8), 1, variant=variant)
    assert alone.projection is None and plain(torch.randn(2, 6)).shape == (2, 1, 8, 8)
