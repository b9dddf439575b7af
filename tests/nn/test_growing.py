from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ganzoo.nn import growing
from ganzoo.nn.double_backward import input_gradients
from ganzoo.nn.growing import DownConv2d, Schedule, UpConv2d
from ganzoo.objectives import penalties
from ganzoo.types import BadArgument


def test_the_schedule_of_figure_2() -> None:
    level = Schedule(size=32, start=8, stabilise=100, transition=50)
    expected = {0: 2.0, 99: 2.0, 100: 2.0, 125: 1.5, 149: 1.02, 150: 1.0, 250: 1.0, 275: 0.5, 300: 0.0, 10**9: 0.0}
    for images, lod in expected.items():
        assert level(images) == pytest.approx(lod), images
    assert Schedule(32, 32, 100, 50)(0) == 0, "start = size is no growing"
    steps = [level(images) for images in range(0, 400, 7)]
    assert steps == sorted(steps, reverse=True)


def test_other_layers_come_into_use_when_a_fade_begins_or_ends() -> None:
    level = Schedule(size=32, start=8, stabilise=100, transition=50)
    assert [n for n in range(400) if level.turns(n, n + 1)] == [100, 149, 250, 299]
    assert level.turns(90, 160) and not level.turns(101, 149) and not level.turns(300, 10**6)


@pytest.mark.parametrize(
    ("widths", "size", "start", "said"),
    [
        ([4] * 9, 48, 4, "image size is 48; a power of two"),
        ([4] * 9, 2, 4, "image size is 2; a power of two"),
        ([4] * 9, 32, 6, "start is 6; a power of two"),
        ([4] * 9, 32, 64, "start is 64; at most the image size 32"),
        ([4, 4], 32, 4, "widths has 2 values; 4 are expected, for 4 to 32 pixels"),
    ],
)
def test_sizes_that_cannot_be(widths: list[int], size: int, start: int, said: str) -> None:
    with pytest.raises(BadArgument, match=said):
        growing.feature_maps(widths, size, start)


def test_feature_maps_are_those_of_the_resolutions() -> None:
    assert growing.feature_maps([9, 8, 7, 6, 5], 16) == [9, 8, 7]


def test_a_network_knows_how_far_it_has_grown() -> None:
    network = growing.Growing(3)
    for lod, stage in ((0.0, (2, False)), (0.25, (2, True)), (1.25, (1, True)), (2.0, (0, False))):
        network.grow(lod)
        assert network.stage() == stage and float(network.lod) == lod
        other = growing.Growing(3)
        other.load_state_dict(network.state_dict())
        assert other.stage() == stage, "what is loaded counts"
        other.lod = torch.tensor(1.0)
        assert other.stage() == (1, False)
        assert copy.deepcopy(network).stage() == stage
    for lod in (-0.5, 2.5, math.nan):
        with pytest.raises(BadArgument, match="level of detail"):
            network.grow(lod)
        network.lod.fill_(lod)
        with pytest.raises(BadArgument, match="level of detail"):
            network.stage()


def test_real_images_fade_as_networks_do() -> None:
    images = torch.arange(16.0).reshape(1, 1, 4, 4)
    means = torch.tensor([[2.5, 4.5], [10.5, 12.5]])  # of the quarters of 0 ... 15
    coarse = means.repeat_interleave(2, 0).repeat_interleave(2, 1)
    assert torch.equal(growing.at_level(images, 0.0), images)
    assert torch.equal(growing.at_level(images, 1.0)[0, 0], coarse)
    assert torch.allclose(growing.at_level(images, 0.25)[0, 0], 0.75 * images[0, 0] + 0.25 * coarse)
    assert torch.allclose(growing.at_level(images, 1.5)[0, 0], 0.5 * coarse + 0.5 * 7.5)
    assert torch.allclose(growing.at_level(images, 2.0), torch.full((1, 1, 4, 4), 7.5))


@pytest.mark.parametrize("side", [6, 128])
def test_resampling_and_convolving_as_one_is_both_after_another(side: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, side, side, dtype=torch.float64)
    up, down = (kind(3, 5, 3, gain=1.3).double() for kind in (UpConv2d, DownConv2d))
    for layer in (up, down):
        assert layer.bias is not None
        layer.bias.data.normal_()
    weight = up.weight * 1.3 / math.sqrt(27)
    doubled = F.conv2d(x.repeat_interleave(2, 2).repeat_interleave(2, 3), weight, up.bias, padding=1)
    halved = F.avg_pool2d(F.conv2d(x, down.weight * 1.3 / math.sqrt(27), down.bias, padding=1), 2)
    for training in (False, True):
        assert torch.allclose(up.train(training)(x), doubled) and torch.allclose(down.train(training)(x), halved)


def test_second_derivatives() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    up, down = (kind(1, 2, 3).double() for kind in (UpConv2d, DownConv2d))
    for layer in (up, down):
        assert torch.autograd.gradgradcheck(lambda x, layer=layer: layer(x), x)
    y = torch.randn(4, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    for sample in (False, True):
        assert torch.autograd.gradgradcheck(lambda y, s=sample: growing.append_deviation(y, 2, 1, s), y)


def test_the_standard_deviation_of_a_group() -> None:
    rng = np.random.RandomState(0)
    x = rng.randn(8, 4, 3, 3)
    for sample in (False, True):
        made = growing.append_deviation(torch.from_numpy(x), 4, 2, sample).numpy()
        assert made.shape == (8, 6, 3, 3) and np.array_equal(made[:, :4], x)
        for i in range(8):
            group = x[i // 4 * 4 : i // 4 * 4 + 4] if sample else x[i % 2 :: 2]
            spread = np.sqrt(group.var(0, ddof=int(sample)) + 1e-8)
            expected = [spread[:2].mean(), spread[2:].mean()]
            assert np.allclose(made[i, 4:], np.reshape(expected, (2, 1, 1)))


def test_groups_of_an_odd_batch() -> None:
    x = torch.randn(6, 2, 2, 2)
    whole = growing.append_deviation(x, 4, 1, sample=True)
    expected = (x.var(0) + 1e-8).sqrt().mean()
    assert torch.allclose(whole[:, 2], expected.expand(6, 2, 2)), "pytorch_GAN_zoo takes the whole batch"
    single = x[:1].clone().requires_grad_()
    one = growing.append_deviation(single, 4, 1, sample=True)
    assert torch.equal(one[:, 2], torch.zeros(1, 2, 2))
    assert torch.equal(torch.autograd.grad(one.sum(), single)[0], torch.ones(1, 2, 2, 2))


def tiny(**options: int | bool) -> growing.Discriminator:
    torch.manual_seed(0)
    made = growing.Discriminator(2, [6, 5, 4], **options).double()  # type: ignore[arg-type]
    for parameter in made.parameters():
        parameter.data.normal_()
    return made


def at(network: growing.Discriminator, lod: float) -> growing.Discriminator:
    network.grow(lod)
    return network


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("blur", [True, False])
def test_the_discriminator_at_a_level_is_the_smaller_one_on_smaller_images(fused: bool, blur: bool) -> None:
    whole = tiny(fused=fused, blur=blur)
    small = growing.Discriminator(2, [6, 5], fused=fused, blur=blur).double()
    state = whole.state_dict()
    small.load_state_dict({name: state[name] for name in small.state_dict()})
    images = torch.randn(4, 2, 16, 16, dtype=torch.float64)
    expected = small(F.avg_pool2d(images, 2))
    assert torch.allclose(at(whole, 1.0)(images), expected)
    assert torch.allclose(at(whole, 1 - 1e-12)(images), expected), "a fade ends where the next level begins"
    upper = at(whole, 0.0)(images)
    assert torch.allclose(at(whole, 1e-12)(images), upper)
    assert not torch.allclose(at(whole, 0.5)(images), expected)
    whole.lod.fill_(1.0)
    assert torch.allclose(whole(images), expected), "the buffer counts, however it was set"
    assert torch.allclose(at(whole, 1.5)(images), at(small, 0.5)(F.avg_pool2d(images, 2)))


def test_a_label_chooses_the_score() -> None:
    judge = tiny(outputs=3, classes=3)
    images = torch.randn(4, 2, 16, 16, dtype=torch.float64)
    labels = torch.tensor([2, 0, 1, 1])
    chosen = judge(images, labels)
    every = torch.cat([judge(images, F.one_hot(torch.full((4,), k), 3)) for k in range(3)], 1)
    assert chosen.shape == (4, 1) and torch.allclose(chosen, every.gather(1, labels[:, None]))
    assert torch.allclose(judge(images, torch.tensor([0.5, 0.5, 0.0]).expand(4, 3)), every[:, :2].mean(1, keepdim=True))
    with pytest.raises(BadArgument, match="labels are needed"):
        judge(images)


@pytest.mark.parametrize("blur", [True, False])
def test_the_gradient_of_a_penalty_on_gradients(blur: bool) -> None:
    """Against a difference quotient, with the level below still showing."""
    judge = at(tiny(blur=blur), 0.5)
    images = torch.randn(4, 2, 16, 16, dtype=torch.float64)

    def penalty() -> torch.Tensor:
        with input_gradients():
            return penalties.r1(judge, images)

    parameters = [p for name, p in judge.named_parameters() if p.dim() > 1]
    directions = [torch.randn_like(parameter) for parameter in parameters]
    gradients = torch.autograd.grad(penalty(), parameters, allow_unused=True)
    slope = sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=True) if g is not None)
    values = []
    for step in (1e-6, -2e-6):
        with torch.no_grad():
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.add_(direction, alpha=step)
        values.append(float(penalty().detach()))
    assert slope == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4)
